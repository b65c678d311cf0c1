# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each service of a Compose project is to an upgrade. No I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Set

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project.database_url import parse_database_url
from ansible_collections.openlmis.operations.plugins.module_utils.project.deployment import (
    Service,
    component_of,
    split_image,
)

COMPONENT, REMOVED, DATABASE, USER = "component", "removed with the components", "database", "uses the database"
ONE_SHOT, DATA, OTHER = "exits by itself", "holds data", "other"
# What an upgrade does with a service of each kind.
FATE = {
    COMPONENT: "upgraded",
    REMOVED: "removed, and started again",
    DATABASE: "stays",
    USER: "stopped, and started with the components",
    ONE_SHOT: "runs again, is not waited for",
    DATA: "stays",
    OTHER: "stays",
}
# Servers of PostgreSQL and what stands in front of one, by their image and by the ports that it exposes.
_SERVES = re.compile(r"postgres|postgis|pgbouncer|pgpool|timescale|odyssey", re.IGNORECASE)
_PORTS = ("5432/tcp", "6432/tcp")


def database_hosts(services: Iterable[Service]) -> Set[str]:
    """Return the hosts that the components' database URLs name."""
    found: Set[str] = set()
    for service in services:
        if service.schema and service.data_source.url:
            try:
                found.update(parse_database_url(service.data_source.url).hosts)
            except OperationError:
                continue  # the check of the URL says so
    return found - {"", "localhost"}


def rendered_users(services: Sequence[Service]) -> Set[str]:
    """Return the services that are no component and are given the components' database, as Compose renders them."""
    hosts = database_hosts(services)
    if not hosts:
        return set()
    mentions = mention_of(hosts)
    return {
        one.name
        for one in services
        if may_use(one)
        and one.name not in hosts
        and any(map(mentions.search, [*one.environment.values(), *one.command]))
    }


def mention_of(hosts: Set[str]) -> re.Pattern[str]:
    """Return what finds one of these hosts in a value: it is the whole value, or it stands in a URL or behind an equals
    sign.
    """
    names = "|".join(map(re.escape, sorted(hosts)))
    return re.compile(rf"(?:^|[/@,=])(?:{names})(?:[:/?,\s]|$)") if names else re.compile(r"(?!)")


def may_use(service: Service) -> bool:
    """Tell whether a service could be a user of the database: it is nothing else that the release knows, nor a server
    of it.
    """
    known = service.stopped_for_upgrade or service.no_database_user
    return not known and not _SERVES.search(service.image)


def serves(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a container is a PostgreSQL server or stands in front of one, by the ports that its
    image exposes.
    """
    exposed = (attributes.get("Config") or {}).get("ExposedPorts") or {}
    return any(port in exposed for port in _PORTS)


def session_users(sessions: Mapping[str, int], addresses: Mapping[str, Set[str]]) -> Dict[str, int]:
    """Return how many of the sessions, which are counted by client address, each service has."""
    found = {name: sum(sessions.get(one, 0) for one in held) for name, held in addresses.items()}
    return {name: count for name, count in found.items() if count}


def kind_of(service: Service, attributes: Mapping[str, Any], serving: bool, uses: bool) -> str:
    """Return what a service is. C(attributes) are its container's, empty where it has none."""
    if service.component is not None:
        return COMPONENT
    if service.one_shot:
        return ONE_SHOT
    if service.removable:
        return REMOVED
    if serving:
        return DATABASE
    if uses:
        return USER
    if exited_well(attributes):
        return ONE_SHOT
    return DATA if volumes_of(attributes) else OTHER


def exited_well(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a container has ended with code 0 and nobody starts it again."""
    state = attributes.get("State") or {}
    return state.get("Status") == "exited" and state.get("ExitCode") == 0


def volumes_of(attributes: Mapping[str, Any]) -> List[str]:
    """Return the places of a container at which volumes are mounted, or folders of the host that it may write to."""
    return [
        one["Destination"]
        for one in attributes.get("Mounts") or []
        if one.get("RW", True) and not one.get("Source", "").endswith(".sock")
    ]


def outside_rendering(
    containers: Mapping[str, Mapping[str, Any]], hosts: Set[str], users: Set[str], release: Mapping[str, Any]
) -> Dict[str, Dict[str, Any]]:
    """Return what the services are whose containers are there and that Compose does not render, by their inspected
    containers.
    """
    found, mentions = {}, mention_of(hosts)
    for name, attributes in containers.items():
        config = attributes.get("Config") or {}
        image = config.get("Image") or ""
        given = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
        component = component_of(name, image, release)
        known = (
            split_image(image)[0] in [*release["removable"], *release.get("no_database_users", ())]
            or name in release["removable"]
        )
        mentioned = any(map(mentions.search, given.values()))
        uses = name in users or (not known and not serves(attributes) and mentioned)
        running = (attributes.get("State") or {}).get("Status") in ("running", "restarting", "paused")
        found[name] = {
            "image": image,
            "container_name": (attributes.get("Name") or name).lstrip("/"),
            "component": component,
            "uses_database": component is None and uses,
            "running": running,
            "kind": COMPONENT if component else USER if uses else DATA if volumes_of(attributes) else OTHER,
        }
    return found
