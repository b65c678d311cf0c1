#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restart_policy
short_description: Let no component start by itself while an OpenLMIS server is in maintenance
version_added: "0.1.0"
description:
  - A reboot takes the gate away, and containers with the restart policy C(always) come up behind nothing. While the policy
    is held at C(no), none of the services that the upgrade stops does, nor one that is given the database.
  - Works as C(docker update --restart) does. The policy is no part of what Compose compares, so no container is made anew.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  state:
    description:
      - V(held) sets the policy of every container of the services that the upgrade stops to C(no).
      - V(released) puts back what Compose renders.
    type: str
    choices: [held, released]
    required: true
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  project_name:
    description: Name of the Compose project; found from the containers' labels.
    type: str
  compose_files:
    description: Compose files of the deployment; those that Compose loads on its own when empty.
    type: list
    elements: str
    default: []
  release:
    description: The release, as in the role's C(vars/releases); it tells which services the upgrade stops.
    type: dict
    required: true
requirements:
  - docker (Python package)
attributes:
  check_mode:
    description: Tells which containers would change.
    support: full
  diff_mode:
    description: RV(containers) tells what changed.
    support: none
seealso:
  - module: openlmis.operations.gate
"""

EXAMPLES = r"""
- name: Let no component start by itself
  openlmis.operations.restart_policy:
    state: held
    project_src: /opt/openlmis
    release: "{{ lookup('ansible.builtin.file', 'vars/releases/3.4.0.yml') | from_yaml }}"
"""

RETURN = r"""
containers:
  description: The containers whose policy changed, with the one that they have now.
  returned: success
  type: dict
  sample: {"openlmis-auth-1": "no"}
"""

from typing import Any, Dict, Mapping, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import classification, compose, deployment
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

try:
    from docker.errors import DockerException, NotFound
except ImportError:
    # The module says what is missing (compose.require_docker).
    DockerException, NotFound = Exception, LookupError

# What Compose makes of the conditions that a deploy section knows.
CONDITIONS = {"": "no", "none": "no", "any": "always"}


class Policy(NamedTuple):
    """A restart policy: its name, and how often on-failure tries (0: without end)."""

    name: str
    attempts: int


HELD = Policy("no", 0)


def rendered_policy(service: Mapping[str, Any]) -> Policy:
    """Return the policy that Compose gives a container of this rendered service; the deploy section outranks C(restart)."""
    condition, _colon, attempts = str(service.get("restart") or "").partition(":")
    deployed = (service.get("deploy") or {}).get("restart_policy")
    if deployed is not None:
        condition, attempts = deployed.get("condition") or "", str(deployed.get("max_attempts") or "")
    return Policy(CONDITIONS.get(condition, condition), int(attempts) if attempts.isdigit() else 0)


def current_policy(attributes: Mapping[str, Any]) -> Policy:
    """Return the policy that a container has."""
    found = (attributes.get("HostConfig") or {}).get("RestartPolicy") or {}
    return Policy(found.get("Name") or "no", found.get("MaximumRetryCount") or 0)


def apply(params: Mapping[str, Any], check_mode: bool) -> Dict[str, str]:
    """Give every container its policy; return those that had another one."""
    files = deployment.compose_files(params["project_src"], params["compose_files"])
    project = deployment.find_project(compose.docker_client(), params["project_src"], files, params["project_name"])
    rendered = deployment.render(params["project_src"], files, project.name)
    changed, services = {}, deployment.services_of(rendered, rendered, params["release"])
    users = classification.rendered_users(services)
    for service in services:
        stopped = service.stopped_for_upgrade or service.name in users
        for container in project.services().get(service.name, []) if stopped else []:
            wanted = HELD if params["state"] == "held" else rendered_policy(rendered["services"][service.name])
            if current_policy(container.attrs) != wanted and (check_mode or _update(container, wanted)):
                changed[container.name] = wanted.name
    return changed


def _update(container: Any, wanted: Policy) -> bool:
    try:
        container.update(restart_policy={"Name": wanted.name, "MaximumRetryCount": wanted.attempts})
        return True
    except NotFound:
        return False  # removed since it was listed
    except DockerException as error:
        raise OperationError(
            f"The restart policy of {container.name} cannot be set: Docker said: {getattr(error, 'explanation', None) or error}."
            f" Expected {wanted.name}. Mend that and run again."
        ) from error


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "released"], "required": True},
            "project_src": {"type": "path", "required": True},
            "project_name": {"type": "str"},
            "compose_files": {"type": "list", "elements": "str", "default": []},
            "release": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    compose.require_docker(module)
    try:
        changed = apply(module.params, module.check_mode)
        module.exit_json(changed=bool(changed), containers=changed)
    except OperationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
