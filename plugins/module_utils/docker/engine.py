# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the Docker Engine is that the environment names, and what keeps Docker's commands from working with it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

MINIMUM_ENGINE, MINIMUM_COMPOSE = "20.10", "2.18"
ELSEWHERE = "run this on the Docker host"
# What a first `up` of v2 does to a project that v1 started; nobody is to find it out by upgrading Compose alone.
SIDE_EFFECT = (
    "mind that the first `docker compose up` on a server that docker-compose 1 has started makes every container anew,"
    " the database's too, and that it expands a $ in an env file, which a password may hold (docs/remote-engine.md)"
)


def remote_host() -> str:
    """Return the host whose Docker Engine DOCKER_HOST names, empty when that is this host."""
    address = os.environ.get("DOCKER_HOST", "").strip()
    if not address or address.startswith(("/", "unix:", "http+unix:", "npipe:", "fd:")):
        return ""
    name = urlsplit(address if "://" in address else "//" + address).hostname or ""
    return "" if name in ("", "localhost") or _is_ours(name) else name


def _is_ours(name: str) -> bool:
    """Tell whether an address of this name is one of this host: only such a one can be bound."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _name, address in found:
        try:
            with socket.socket(family, kind, protocol) as bound:
                bound.bind(address)
                return True
        except OSError:
            continue
    return False


def refuse_remote(what: str) -> None:
    """Raise OperationError when the engine is on another host, for something that only works beside it."""
    host = remote_host()
    if host:
        raise OperationError(
            f"The Docker Engine is on {host} (DOCKER_HOST), and {what}. Expected an engine on this host: {ELSEWHERE}."
        )


def published_address(container: Any, port: int) -> str:
    """Return C(host:port) at which a container's TCP port is reached on a remote engine's host. Raises OperationError
    without one.
    """
    bindings = ((container.attrs.get("NetworkSettings") or {}).get("Ports") or {}).get(f"{port}/tcp") or []
    reached = [one["HostPort"] for one in bindings if one.get("HostIp") not in ("127.0.0.1", "::1")]
    if reached:
        host = remote_host()
        return f"{f'[{host}]' if ':' in host else host}:{reached[0]}"
    refuse_remote(f"{container.name} publishes its port {port} there to nobody, so it is not reached from here")
    raise OperationError(
        f"{container.name} does not publish its port {port}. Expected it to: publish it, and run this again."
    )


def missing_compose() -> str:
    """Return why there is no Compose v2 here, in one sentence with the remedy; empty when there is one."""
    if not shutil.which("docker"):
        return (
            f"There is no docker command here; Docker Engine {MINIMUM_ENGINE} with Compose {MINIMUM_COMPOSE} or newer"
            f" is expected, so install them, or {ELSEWHERE}."
        )
    if _said(["docker", "compose", "version"]) is not None:
        return ""
    old = re.search(r"\d+\.\d+[.\d]*", _said(["docker-compose", "version", "--short"]) or "")
    found = (
        f"docker-compose {old.group()} is here and no `docker compose`" if old else "There is no `docker compose` here"
    )
    return (
        f"{found}; Compose {MINIMUM_COMPOSE} or newer as docker's plugin is expected, so install it on a day before the"
        f" upgrade (package docker-compose-plugin, docker-compose-v2 or docker-compose), and {SIDE_EFFECT}."
    )


def refuse_another_engine(client: Any) -> None:
    """Raise OperationError when docker's command line speaks to another engine than this client.

    The command line follows `docker context use`, the SDK follows the environment only.
    """
    told = (_said(["docker", "info", "--format", "{{.ID}}"]) or "").strip()
    if told and told != client.info().get("ID"):
        context = (_said(["docker", "context", "show"]) or "").strip() or "unknown"
        raise OperationError(
            f"docker's command line speaks to another Docker Engine (its context is {context}) than this user's"
            " environment names. Expected one and the same: `docker context use default`, or set DOCKER_HOST in"
            " openlmis_compose_environment."
        )


def _said(command: list[str]) -> str | None:
    """Return what a command printed, None when it failed or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout
