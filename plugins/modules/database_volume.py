#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_volume
short_description: Let a database's service start on the volume that holds its data
version_added: "0.1.0"
description:
  - The reference distribution keeps the database in an anonymous volume. When the container is removed, C(docker compose up)
    makes a new, empty one; the data lies in a volume that nothing mounts any more.
  - Writes a Compose file that mounts the volumes of O(mounts) where they were, for those that the deployment's own files do not
    declare. Start the database's service once with this file behind the deployment's own. Compose carries such a volume over
    to every later container, also without the file.
  - Without anything to map it writes nothing.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
options:
  project_src:
    required: true
  mounts:
    description: Where the database's data lay, destination to name of the volume, as M(openlmis.operations.server_info) tells it.
    type: dict
    default: {}
  dest:
    description: The Compose file to write.
    type: path
    required: true
attributes:
  check_mode:
    description: Tells whether the file would change.
    support: full
  diff_mode:
    description: The file says what the result says.
    support: none
seealso:
  - module: openlmis.operations.out_of_order_override
"""

EXAMPLES = r"""
- name: Where is the data of the database whose container is gone?
  openlmis.operations.database_volume:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    mounts: "{{ manifest.database.identity.mounts }}"
    dest: /var/lib/openlmis-operations/database-volume.yml
  register: volume
"""

RETURN = r"""
service:
  description: The database's service; none when it is outside this Compose project.
  returned: success
  type: str
project:
  description: Name of the project, as containers tell it, else as Compose derives it.
  returned: success
  type: str
status:
  description: State of the service's container, V(missing) without one, V(detached) of one that runs and has lost its network.
  returned: success
  type: str
stray:
  description: Name of a container of the service that lies on other volumes than those of O(mounts), which exist; else none.
  returned: success
  type: str
lost:
  description: Volumes of O(mounts) that do not exist any more.
  returned: success
  type: list
  elements: str
mapped:
  description: The volumes that are in the file, by destination.
  returned: success
  type: dict
files:
  description: The Compose files to start the service with.
  returned: success
  type: list
  elements: str
"""

import json
import os
from typing import Any, Dict, List, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import compose, database, deployment, server
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError, leave


def service_called(rendered: Mapping[str, Any], host: str) -> Optional[str]:
    """Return the service that the host name means inside the project: by its name, container name, host name or alias."""
    for name, service in rendered.get("services", {}).items():
        networks = (service.get("networks") or {}).values()
        aliases = [alias for network in networks if network for alias in network.get("aliases") or []]
        if host in [name, service.get("container_name"), service.get("hostname"), *aliases]:
            return name
    return None


def undeclared(service: Mapping[str, Any], mounts: Mapping[str, str]) -> Dict[str, str]:
    """Return the volumes that the deployment's files do not mount: only the container knew them. Host folders are not among them."""
    declared = {volume.get("target") for volume in service.get("volumes") or []}
    return {target: name for target, name in mounts.items() if target not in declared and not name.startswith("/")}


def override(service: str, volumes: Mapping[str, str]) -> Dict[str, Any]:
    """Return the Compose file that mounts these volumes (destination to name) in the service."""
    keys = {target: f"openlmis_database_{number}" for number, target in enumerate(sorted(volumes))}
    return {
        "services": {service: {"volumes": [f"{keys[target]}:{target}" for target in sorted(volumes)]}},
        "volumes": {keys[target]: {"external": True, "name": name} for target, name in volumes.items()},
    }


def existing_volumes(client: Any) -> List[str]:
    """Return the names of all volumes."""
    return [volume["Name"] for volume in client.api.volumes().get("Volumes") or []]


def look(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the module's result but for the file itself."""
    client = compose.docker_client()
    files = deployment.compose_files(params["project_src"], params["compose_files"])
    project = deployment.find_project(client, params["project_src"], files, params["project_name"])
    rendered = deployment.render(params["project_src"], files, project.name)
    # Without the project the address is not looked up, which a container that is gone has none of.
    host = database.named_host(params)
    service = service_called(rendered, host) if host else None
    result = {"service": service, "project": project.name, "status": "missing", "stray": None, "lost": [], "mapped": {}, "files": files}
    if service is None:
        return result
    present = existing_volumes(client)
    volumes = {target: name for target, name in params["mounts"].items() if not name.startswith("/")}
    result["lost"] = sorted(name for name in volumes.values() if name not in present)
    wanted = {target: name for target, name in volumes.items() if name in present}
    container = project.service(service)
    if container is not None:
        detached = container.status == "running" and not container.attrs["NetworkSettings"]["Networks"]
        result["status"] = "detached" if detached else container.status
        mounted = server.mounts_of(container.attrs)
        if all(mounted.get(target) == name for target, name in wanted.items()):
            return result
        result["stray"] = container.name
    result["mapped"] = undeclared(rendered["services"][service], wanted)
    return result


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec["project_src"]["required"] = True
    spec.update(
        mounts={"type": "dict", "default": {}},
        dest={"type": "path", "required": True},
    )
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    compose.require_docker(module)
    dest = module.params["dest"]
    try:
        result = look(module.params)
    except OperationError as error:
        module.fail_json(msg=str(error))
    changed = False
    if result["mapped"]:
        # JSON is YAML that needs no library to write.
        text = json.dumps(override(result["service"], result["mapped"]), indent=2) + "\n"
        result["files"] = result["files"] + [dest]
        changed = not os.path.exists(dest)
        if not changed:
            with open(dest, encoding="utf-8") as stream:
                changed = stream.read() != text
        if changed and not module.check_mode:
            with open(os.open(dest + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(dest + ".new", dest)
    leave(module, changed=changed, **result)


if __name__ == "__main__":
    main()
