# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Compose project as its containers' labels tell it, read through the Docker SDK."""

from __future__ import annotations

import os
import re
import shutil
import traceback
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError, no_library
from ansible_collections.openlmis.operations.plugins.module_utils.docker.env_file import read_env_file

try:
    import docker
    import docker.errors
except ImportError:
    docker = None
    DOCKER_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    DOCKER_IMPORT_ERROR = None

LABEL = "com.docker.compose."
# What Compose takes out of a project's name.
_STRIPPED_BY_V2, _STRIPPED_BEFORE_1_21 = r"^[_-]+|[^-_a-z0-9]", r"[^a-z0-9]"


class Project(NamedTuple):
    """A Compose project: its name and all its containers, stopped ones included, one-off runs excluded."""

    name: str
    containers: list[Any]

    def services(self) -> dict[str, list[Any]]:
        """The containers of each service, running ones first."""
        found: dict[str, list[Any]] = {}
        for container in sorted(self.containers, key=lambda one: one.status != "running"):
            found.setdefault(container.labels.get(LABEL + "service", ""), []).append(container)
        return found

    def service(self, name: str) -> Any | None:
        """The (first running) container of the service ``name``, or None."""
        return self.services().get(name, [None])[0]

    def host(self, name: str) -> Any | None:
        """The container that ``name`` means inside the project: a service, a container name or a network alias."""
        container = self.service(name)
        if container is not None:
            return container
        for container in sorted(self.containers, key=lambda one: one.status != "running"):
            if container.name == name or name in _aliases(container):
                return container
        return None


def require_docker(module: AnsibleModule) -> None:
    """End the module with the remedy when the Docker SDK is not there."""
    if docker is None:
        module.fail_json(msg=no_library("docker"), exception=DOCKER_IMPORT_ERROR)


def docker_client() -> Any:
    """A client of the Docker Engine that the environment names (DOCKER_HOST and its like), proven to answer."""
    if docker is None:
        raise OperationError(no_library("docker"))
    named = os.environ.get("DOCKER_HOST")
    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError, ValueError) as error:
        todo = (
            "start it" if named or shutil.which("docker") else "install Docker Engine 20.10 and Compose 2.18 or newer"
        )
        raise OperationError(
            "The Docker Engine at %s does not answer (%s). Expected one that this user may use: %s, or run as root or a"
            " member of the group docker, or set DOCKER_HOST (openlmis_compose_environment)."
            % (named or "its local socket", _first_line(error), todo)
        ) from error
    return client


def find_project(client: Any, project_src: str | None, project_name: str | None = None, service: str = "") -> Project:
    """The Compose project that was started from ``project_src``, or is named ``project_name``; only that ``service``
    where it has it.

    The containers' labels decide. Where a project's tell no folder (Compose before 1.25) its name may be one that is
    derived from the folder's, or from COMPOSE_PROJECT_NAME in its .env. Raises OperationError when no container, or
    several projects, fit.
    """
    rows = _list(client)
    if project_name:
        names = {project_name} & {_label(row, "project") for row in rows}
    else:
        names = _names_at(rows, project_src or "")
    if not names:
        what = "named %s" % project_name if project_name else "started from %s" % project_src
        known = ", ".join(sorted({_label(row, "project") for row in rows})) or "none"
        raise OperationError(
            "The Docker Engine has no container of a Compose project %s (projects found: %s). Expected at least its"
            " database: start the project, or correct project_src or project_name." % (what, known)
        )
    if len(names) > 1:
        raise OperationError(
            "Several Compose projects were started from %s: %s. Expected one: set project_name."
            % (project_src, ", ".join(sorted(names)))
        )
    name = names.pop()
    own = [row for row in rows if _label(row, "project") == name and _label(row, "oneoff") != "True"]
    wanted = [row for row in own if service and _label(row, "service") == service] or own
    return Project(
        name, [container for container in (_get(client, row["Id"]) for row in wanted) if container is not None]
    )


def container_address(container: Any) -> str:
    """The address at which this host reaches ``container``; OperationError when it is not running or has none."""
    if container.status != "running":
        raise OperationError(
            "The container %s is %s. Expected it to run: start it (docker start %s) and run this again."
            % (container.name, container.status, container.name)
        )
    if container.attrs.get("HostConfig", {}).get("NetworkMode") == "host":
        return "127.0.0.1"
    networks = _networks(container)
    for key in ("IPAddress", "GlobalIPv6Address"):
        for network in networks:
            if network.get(key):
                return network[key]
    raise OperationError(
        "The container %s has no network address of its own. Expected one on a Docker network: name the database's"
        " address with login_host and login_port." % container.name
    )


def container_addresses(container: Any) -> set[str]:
    """Every address that ``container`` has on a network of its own."""
    return {
        network[key]
        for network in _networks(container)
        for key in ("IPAddress", "GlobalIPv6Address")
        if network.get(key)
    }


def _list(client: Any) -> list[dict[str, Any]]:
    try:
        return client.api.containers(all=True, filters={"label": LABEL + "project"})
    except (docker.errors.DockerException, OSError) as error:
        raise OperationError(
            "The Docker Engine did not list its containers (%s). Look at its log." % _first_line(error)
        ) from error


def _get(client: Any, identity: str) -> Any | None:
    try:
        return client.containers.get(identity)
    except docker.errors.NotFound:
        return None  # removed since it was listed


def _label(row: dict[str, Any], name: str) -> str:
    return (row.get("Labels") or {}).get(LABEL + name, "")


def _names_at(rows: list[dict[str, Any]], project_src: str) -> set[str]:
    """Names of the projects that were started from this folder."""
    folder = os.path.realpath(project_src)
    told = {_label(row, "project") for row in rows if _label(row, "project.working_dir")}
    names = {
        _label(row, "project")
        for row in rows
        if _label(row, "project.working_dir") and os.path.realpath(_label(row, "project.working_dir")) == folder
    }
    written = [os.path.basename(folder).lower(), _named_in_env(folder).lower()]
    derived = {re.sub(rule, "", name) for name in written if name for rule in (_STRIPPED_BY_V2, _STRIPPED_BEFORE_1_21)}
    # Both: where a newer Compose has been tried beside the old project, the one with a label is the empty one.
    return names | (derived & ({_label(row, "project") for row in rows} - told))


def _named_in_env(folder: str) -> str:
    path = os.path.join(folder, ".env")
    return read_env_file(path).values.get("COMPOSE_PROJECT_NAME", "") if os.path.exists(path) else ""


def _networks(container: Any) -> list[dict[str, Any]]:
    settings = container.attrs.get("NetworkSettings") or {}
    return [network or {} for network in (settings.get("Networks") or {}).values()]


def _aliases(container: Any) -> set[str]:
    return {alias for network in _networks(container) for alias in network.get("Aliases") or []}


def _first_line(error: BaseException) -> str:
    known = re.search("No such file or directory|Permission denied|Connection refused", str(error))
    if known:
        return known.group()  # without what requests and urllib3 wrap around it
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
