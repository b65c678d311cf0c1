# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service registry (consul) holds, against the addresses that containers have."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set

from ansible_collections.openlmis.operations.plugins.module_utils import compose, deployment, engine
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

TIMEOUT = 10


def stale(registered: Sequence[Mapping[str, Any]], addresses: Mapping[str, Set[str]]) -> List[str]:
    """Return the ids of registrations (as consul's catalog lists them) whose address their service does not have."""
    return sorted(
        one["ServiceID"]
        for one in registered
        if one["ServiceName"] in addresses and one["ServiceAddress"] not in addresses[one["ServiceName"]]
    )


def addresses_of(project: compose.Project, services: Sequence[deployment.Service]) -> Dict[str, Set[str]]:
    """Return the addresses of the running containers of each service, by its name and by that of its component."""
    found: Dict[str, Set[str]] = {}
    for service in services:
        running = [one for one in project.services().get(service.name, []) if one.status == "running"]
        held = set().union(*map(compose.container_addresses, running))
        for name in {service.name, service.component} - {None}:
            found.setdefault(name, set()).update(held)
    return found


def ask(url: str, method: str = "GET") -> Any:
    """Return consul's answer. Raises OperationError when it gives none."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request(method, parts.path)
        answer = connection.getresponse()
        text, problem = answer.read(), "" if answer.status == 200 else f"answers {answer.status}"
    except (http.client.HTTPException, OSError) as error:
        text, problem = b"", f"does not answer ({error})"
    finally:
        connection.close()
    if problem:
        raise OperationError(
            f"The service registry at {url} {problem}; it is expected to answer, since its container runs. Look at its log, and run again."
        )
    return json.loads(text) if text else None


def find_stale(
    registry: str, look: Callable[[], compose.Project], services: Sequence[deployment.Service]
) -> List[str]:
    """Return the ids of the registrations whose address no running container of their service has.

    The containers are looked at last: one that has just started and registered must not be taken for one that is gone.
    """
    names = ask(f"{registry}/v1/catalog/services")
    registered = [one for name in names for one in ask(f"{registry}/v1/catalog/service/{urllib.parse.quote(name)}")]
    return stale(registered, addresses_of(look(), services))


def registry_address(
    project: compose.Project, services: Sequence[deployment.Service], release: Mapping[str, Any]
) -> Optional[str]:
    """Return the URL of the service registry, None where the site has none or it does not run."""
    names = [service.name for service in services if deployment.split_image(service.image)[0] == release["registry"]]
    for container in filter(None, map(project.service, names)):
        if container.status == "running":
            port = release["registry_port"]
            here = f"{compose.container_address(container)}:{port}"
            return "http://" + (engine.published_address(container, port) if engine.remote_host() else here)
    return None


def take_back(
    look: Callable[[], compose.Project], project_src: str, files: Sequence[str], release: Mapping[str, Any]
) -> List[str]:
    """Take back what containers that are gone have registered, and return it; see :func:`find_stale`.

    A container that was made anew has left its registration behind, for an address that another one may get: nginx would then
    send another component's requests there. Names that are no service of the project stay. Raises OperationError.
    """
    project = look()
    rendered = deployment.render(project_src, deployment.compose_files(project_src, files), project.name)
    services = deployment.services_of(rendered, rendered, release)
    registry = registry_address(project, services, release)
    found = find_stale(registry, look, services) if registry else []
    for identity in found:
        ask(f"{registry}/v1/agent/service/deregister/{urllib.parse.quote(identity)}", "PUT")
    return found
