#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stale_registrations
short_description: Take back registrations of containers that are gone
version_added: "0.1.0"
description:
  - OpenLMIS components register in consul and never take that back. Docker gives the address of a container that is gone to the next
    one, to which nginx would then send another component's requests.
  - Removes every registration of a service of the Compose project whose address no running container of that service has. Names
    that are no service of the project stay.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  project_name:
    description: Name of the Compose project; found from the containers' labels.
    type: str
  compose_files:
    description: Compose files of the deployment, relative to O(project_src); those that Compose loads on its own when empty.
    type: list
    elements: str
    default: []
  release:
    description: The release, as in the role's C(vars/releases); it names the registry's image and port.
    type: dict
    required: true
requirements:
  - docker (Python package)
attributes:
  check_mode:
    description: Tells which registrations would be taken back.
    support: full
  diff_mode:
    description: The result names what changed.
    support: none
"""

EXAMPLES = r"""
- name: Take back what containers that are gone have registered
  openlmis.operations.stale_registrations:
    project_src: /opt/openlmis
    release: "{{ lookup('ansible.builtin.file', 'vars/releases/3.4.0.yml') | from_yaml }}"
"""

RETURN = r"""
registrations:
  description: The registrations that were taken back; none where no registry runs.
  returned: success
  type: list
  elements: str
"""

import urllib.parse
from typing import Any, List, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import compose, deployment, registrations, server
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError


def clean(params: Mapping[str, Any], check_mode: bool) -> List[str]:
    """Take back what is stale and return it."""
    files = deployment.compose_files(params["project_src"], params["compose_files"])
    project = deployment.find_project(compose.docker_client(), params["project_src"], files, params["project_name"])
    rendered = deployment.render(params["project_src"], files, project.name)
    services = deployment.services_of(rendered, rendered, params["release"])
    registry = server.registry_address(project, services, params["release"])
    if registry is None:
        return []
    found = registrations.find_stale(registry, project, services)
    for identity in found if not check_mode else ():
        registrations.ask(f"{registry}/v1/agent/service/deregister/{urllib.parse.quote(identity)}", "PUT")
    return found


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "project_src": {"type": "path", "required": True},
            "project_name": {"type": "str"},
            "compose_files": {"type": "list", "elements": "str", "default": []},
            "release": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    compose.require_docker(module)
    try:
        found = clean(module.params, module.check_mode)
        module.exit_json(changed=bool(found), registrations=found)
    except OperationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
