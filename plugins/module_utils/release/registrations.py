# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service registry (consul) holds, compared with the containers that run."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, engine
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

TIMEOUT = 10


class Holder(NamedTuple):
    """A running container that may hold a registration: its host name and its addresses."""

    host: str
    addresses: FrozenSet[str]


class Tidied(NamedTuple):
    """One look at the registry: the ids that were taken back, and the services that had several registrations until
    then.
    """

    taken_back: List[str]
    several: Set[str]


def stale(registered: Sequence[Mapping[str, Any]], holders: Mapping[str, Sequence[Holder]]) -> List[str]:
    """Return the ids of registrations (as consul's catalog lists them) that belong to no running container of their
    service.

    Each container has one. Of several at its address, which a container before it may have had, it is the one that
    names its host; OpenLMIS' own are random numbers, so else the newest. consul lists itself without an address.
    """
    found = []
    for name, containers in holders.items():
        listed = [one for one in registered if one["ServiceName"] == name and one["ServiceAddress"]]
        kept = {_held_by(container, listed) for container in containers}
        found += [one["ServiceID"] for one in listed if one["ServiceID"] not in kept]
    return sorted(found)


def _held_by(container: Holder, listed: Sequence[Mapping[str, Any]]) -> Optional[str]:
    def rank(one: Mapping[str, Any]) -> Tuple[bool, int]:
        return bool(container.host) and container.host in one["ServiceID"], one.get("CreateIndex") or 0

    here = [one for one in listed if one["ServiceAddress"] in container.addresses]
    return max(here, key=rank)["ServiceID"] if here else None


def holders_of(project: compose.Project, services: Sequence[deployment.Service]) -> Dict[str, List[Holder]]:
    """Return the running containers of each service, by its name and by that of its component.

    Left out is a service with a container that has no address of its own (on the host's network), and one without a
    running container: when a name has no registration any more and does not resolve either, nginx refuses its whole
    configuration.
    """
    found: Dict[str, List[Holder]] = {}
    for service in services:
        running = [one for one in project.services().get(service.name, []) if one.status == "running"]
        for name in {service.name, service.component} - {None}:
            found.setdefault(name, []).extend(map(_holder, running))
    return {name: held for name, held in found.items() if held and all(one.addresses for one in held)}


def _holder(container: Any) -> Holder:
    host = (container.attrs.get("Config") or {}).get("Hostname") or ""
    return Holder(host, frozenset(compose.container_addresses(container)))


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
            f"The service registry at {url} {problem}; it is expected to answer, since its container runs. Look at its"
            " log, and run again."
        )
    return json.loads(text) if text else None


def find_stale(registry: str, look: Callable[[], compose.Project], services: Sequence[deployment.Service]) -> List[str]:
    """Return the ids of the registrations that belong to no running container of their service.

    The containers are looked at last: one that has just started and registered must not be taken for one that is gone.
    """
    registered = list_registered(registry)  # before the containers
    return stale(registered, holders_of(look(), services))


def list_registered(registry: str) -> List[Dict[str, Any]]:
    """Return every registration, as consul's catalog lists it. Raises OperationError."""
    names = ask(f"{registry}/v1/catalog/services")
    return [one for name in names for one in ask(f"{registry}/v1/catalog/service/{urllib.parse.quote(name)}")]


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
    look: Callable[[], compose.Project], services: Sequence[deployment.Service], release: Mapping[str, Any]
) -> Tidied:
    """Take back what containers that are gone have registered; see :func:`find_stale`.

    A container that was recreated has left its registration behind. At an address that nobody or another component has,
    requests are lost; at the address of the new container, nginx has two servers for one and takes each for failed
    while it boots. Names that are no service of the project stay, and so does what the registry does not let go. Raises
    OperationError.
    """
    registry = registry_address(look(), services, release)
    if not registry:
        return Tidied([], set())
    registered = list_registered(registry)
    names = [one["ServiceName"] for one in registered]
    taken_back = []
    for identity in stale(registered, holders_of(look(), services)):
        try:
            ask(f"{registry}/v1/agent/service/deregister/{urllib.parse.quote(identity)}", "PUT")
            taken_back.append(identity)
        except OperationError:
            continue  # nginx keeps several servers then, which the caller is told of
    return Tidied(taken_back, {name for name in names if names.count(name) > 1})


def services_at(
    project: compose.Project, project_src: str, files: Sequence[str], release: Mapping[str, Any]
) -> List[deployment.Service]:
    """Return the services as the deployment renders them. Raises OperationError."""
    rendered = deployment.render(project_src, deployment.compose_files(project_src, files), project.name)
    return deployment.services_of(rendered, rendered, release)
