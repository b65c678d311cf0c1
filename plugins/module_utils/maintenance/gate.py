# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The maintenance firewall of a deployment: which ports it closes, for whom, and the proof that only users are kept
out.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence
from urllib.parse import urlsplit

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import firewall, reach
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

HERE = "this host"


class World(NamedTuple):
    """What the gate needs to know of the server."""

    ports: List[firewall.Ports]
    rules: Dict[int, List[str]]
    components: Dict[str, Any]
    missing: List[str]
    containers: List[Mapping[str, Any]]


def refuse_remote_engine(host: str) -> None:
    """Raise OperationError when the containers are not on this host: its firewall cannot keep anybody from them."""
    if host and not host.startswith("unix://"):
        raise OperationError(
            f"The Docker Engine is at {host.partition('://')[0]}://…, and its ports are not this host's. Expected the"
            f" firewall of the host that runs the containers: run this there, {firewall.INSTEAD}."
        )


def look(params: Mapping[str, Any]) -> World:
    """Find out which ports are OpenLMIS's and which bridges Docker's."""
    # Listed before Docker's networks are: one that Compose makes in between must not pass for somebody else's.
    names = firewall.other_bridges(set())
    client = compose.docker_client()
    files = deployment.compose_files(params["project_src"], params["compose_files"])
    project = deployment.find_project(client, params["project_src"], files, params["project_name"])
    rendered = deployment.render(params["project_src"], files, project.name)
    stopped = [one for one in deployment.services_of(rendered, rendered, params["release"]) if one.stopped_for_upgrade]

    ports = firewall.published_ports(rendered, [service.name for service in stopped])
    ports |= {(port, port) for port in [*params["ports"], firewall.port_of(params["base_url"])]}
    running = {}
    for service in stopped:
        for container in project.services().get(service.name, []):
            ports |= firewall.running_ports(container.attrs)
            if container.status == "running":
                running[service.name] = container
    firewall.refuse_ssh(ports, firewall.ssh_ports(firewall.environments()))

    docker = firewall.bridges([network.attrs for network in client.networks.list()], rendered)
    allow = firewall.sources(params["allow"])
    return World(
        ports=sorted(ports),
        rules={version: firewall.rules_of(version, ports, docker, names - docker, allow) for version in (4, 6)},
        components={one.name: running[one.name] for one in stopped if one.component and one.name in running},
        missing=[one.name for one in stopped if not one.component and not one.one_shot and one.name not in running],
        containers=[container.attrs for container in project.containers],
    )


def unprovable(world: World) -> str:
    """Return why nobody can be asked whether BASE_URL is reached, empty when that can be asked."""
    if not world.components:
        return "no component runs"
    return f"{', '.join(world.missing)} does not run" if world.missing else ""


def unreached(base_url: str, world: World) -> Dict[str, str]:
    """Return the first who gets no answer at BASE_URL, and why; nothing when all do."""
    name = urlsplit(base_url).hostname or ""
    for service, container in world.components.items():
        pid = container.attrs["State"]["Pid"]
        # As inside the container: its hosts file, Docker's name server, then the host's.
        addresses = reach.hosts_entry(name, reach.container_hosts(pid)) or reach.alias_addresses(
            name, container.attrs, world.containers
        )
        problem = reach.problem(base_url, addresses, pid)
        if problem:
            return {f"the container of {service}": problem}
    problem = reach.problem(base_url, [])
    return {HERE: problem} if problem else {}


def prove(wall: firewall.Firewall, base_url: str, world: World) -> None:
    """See that all reach BASE_URL; else take the gate down, ask again to learn whose doing it is, and raise
    OperationError.
    """
    for who, why in unreached(base_url, world).items():
        wall.take_down()
        if unreached(base_url, world):
            todo = "Without the gate it does not either: see that nginx runs and that BASE_URL is right"
        else:
            todo = (
                "Without the gate it does, so its requests come back to this host from outside (a load balancer, NAT):"
                " add the address from which they come to openlmis_gate_allow"
            )
        raise OperationError(
            f"While users are kept out, {who} does not reach {base_url} ({why}). Expected every component and this host"
            f" to, since components call each other there. The gate was taken down again, users are let in. {todo}, and"
            " run again."
        )


def port_list(ports: Sequence[firewall.Ports]) -> str:
    """Return the ports as a person writes them."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ports)


def run(params: Mapping[str, Any], check_mode: bool, find: Callable[[str], Any]) -> Dict[str, Any]:
    """Put the firewall up or take it down, and return C(changed), C(lines) and what was proven.

    C(find) returns the path of a program, as C(AnsibleModule.get_bin_path). Raises OperationError.
    """
    commands = (f"{name}-{verb}" for name in ("iptables", "ip6tables") for verb in ("save", "restore"))
    refuse_remote_engine(os.environ.get("DOCKER_HOST", ""))
    wall = firewall.Firewall({name: find(name) for name in commands})
    if params["state"] == "absent":
        changed = not wall.gone()
        if changed and not check_mode:
            wall.take_down()
        lines = ["Would let users in." if check_mode else "Users are let in."] if changed else []
        return {"changed": changed, "lines": lines}

    world = look(params)
    changed = not wall.stands(world.rules)
    allowed = ", ".join([HERE, "its containers", *firewall.sources(params["allow"])])
    closed = f"TCP ports {port_list(world.ports)} are closed to all but {allowed}."
    result = {"changed": changed, "rules": world.rules, "proven": []}
    if check_mode:
        return {**result, "lines": ["Would keep users out: " + closed] if changed else []}
    if changed:
        wall.put_up(world.rules)
    lines = ["Users are kept out: " + closed]
    if params["prove"]:
        reason = unprovable(world)
        if reason:
            lines.append(f"Not proven that containers reach {params['base_url']} meanwhile: {reason}.")
        else:
            prove(wall, params["base_url"], world)
            result["proven"] = [*world.components, HERE]
            lines.append(f"{len(world.components)} components and this host reach {params['base_url']} meanwhile.")
    return {**result, "lines": lines}
