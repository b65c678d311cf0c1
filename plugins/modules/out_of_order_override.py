#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: out_of_order_override
short_description: Let Compose services start once with out-of-order migration
version_added: "0.1.0"
description:
  - Flyway 4 silently skips a migration that is older than the newest one applied, and a later one then fails for the lack
    of it. Requisition 7.0.0 does so on the database of requisition 6.1.0.
  - Writes a Compose file that adds C(-Dflyway.out-of-order=true) to C(JAVA_OPTS) of the services named, as Compose renders
    it now. Start the services with this file behind the deployment's own; the deployment's files stay as they are.
  - The file may hold what C(JAVA_OPTS) holds, so it has mode 0600 and its content is not returned.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  project_name:
    description: Name of the Compose project, when it is not the one that Compose derives.
    type: str
  compose_files:
    description: Compose files of the deployment; those that Compose loads on its own when empty.
    type: list
    elements: str
    default: []
  services:
    description: The services that may migrate out of order. None is allowed; the file then changes nothing.
    type: list
    elements: str
    required: true
  dest:
    description: The Compose file to write.
    type: path
    required: true
attributes:
  check_mode:
    description: Tells whether the file would change.
    support: full
  diff_mode:
    description: The file may hold secrets.
    support: none
"""

EXAMPLES = r"""
- name: Let requisition apply what it would skip
  openlmis.operations.out_of_order_override:
    project_src: /opt/openlmis
    services: [requisition]
    dest: /var/lib/openlmis-operations/out-of-order.yml
"""

RETURN = r"""
services:
  description: The services in the file.
  returned: success
  type: list
  elements: str
  sample: [requisition]
dest:
  description: The file.
  returned: success
  type: str
"""

import json
import os
from typing import Any, Dict, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import deployment
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

OPTION = "-Dflyway.out-of-order=true"


def override(rendered: Mapping[str, Any], services: Sequence[str]) -> Dict[str, Any]:
    """Return the Compose file that adds the option. Raises OperationError when a service is not in the configuration."""
    unknown = [name for name in services if name not in rendered["services"]]
    if unknown:
        raise OperationError(
            f"Service {', '.join(unknown)} is not in the Compose configuration ({', '.join(sorted(rendered['services']))} are);"
            " services of this deployment are expected. Correct the names."
        )
    changed = {}
    for name in services:
        options = ((rendered["services"][name].get("environment") or {}).get("JAVA_OPTS") or "").split()
        value = " ".join([option for option in options if not option.startswith("-Dflyway.out-of-order=")] + [OPTION])
        # Compose interpolates this file too: a dollar that is meant has to be doubled.
        changed[name] = {"environment": {"JAVA_OPTS": value.replace("$", "$$")}}
    return {"services": changed}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "project_src": {"type": "path", "required": True},
            "project_name": {"type": "str"},
            "compose_files": {"type": "list", "elements": "str", "default": []},
            "services": {"type": "list", "elements": "str", "required": True},
            "dest": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        files = deployment.compose_files(params["project_src"], params["compose_files"])
        rendered = deployment.render(params["project_src"], files, params["project_name"])
        # JSON is YAML that needs no library to write.
        text = json.dumps(override(rendered, params["services"]), indent=2) + "\n"
    except OperationError as error:
        module.fail_json(msg=str(error))
    current = None
    if os.path.exists(params["dest"]):
        with open(params["dest"], encoding="utf-8") as stream:
            current = stream.read()
    changed = current != text
    if changed and not module.check_mode:
        handle = os.open(params["dest"] + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(params["dest"] + ".new", params["dest"])
    module.exit_json(changed=changed, dest=params["dest"], services=params["services"])


if __name__ == "__main__":
    main()
