# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the data of the database lies, and the Compose file that mounts it again."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment


def service_called(rendered: Mapping[str, Any], host: str) -> Optional[str]:
    """Return the service that the host name means inside the project: by its name, container name, host
    name or alias.
    """
    for name, service in rendered.get("services", {}).items():
        networks = (service.get("networks") or {}).values()
        aliases = [alias for network in networks if network for alias in network.get("aliases") or []]
        if host in [name, service.get("container_name"), service.get("hostname"), *aliases]:
            return name
    return None


def undeclared(service: Mapping[str, Any], mounts: Mapping[str, str]) -> Dict[str, str]:
    """Return the volumes that the deployment's files do not mount: only the container knew them. Host folders are not
    among them.
    """
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
    result = {
        "service": service,
        "project": project.name,
        "status": "missing",
        "stray": None,
        "lost": [],
        "mapped": {},
        "files": files,
    }
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


def find(params: Mapping[str, Any], dest: str, writes: bool) -> Dict[str, Any]:
    """Return where the database's data lies and how its service is started on it.

    C(files) are Compose's, with C(dest) behind them where a volume has to be named that the files do not mount; it is
    written then.
    """
    result = look(params)
    if result["mapped"]:
        result["files"] = [*result["files"], dest]
        if writes:
            # JSON is YAML that needs no library to write.
            disk.write(dest, override(result["service"], result["mapped"]))
    return result
