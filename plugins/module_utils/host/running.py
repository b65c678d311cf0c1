# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running Docker Compose to change something: its last lines are the progress and, when it fails, the reason."""

from __future__ import annotations

import collections
import subprocess
from typing import Any, List, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.host import restart, server
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

SAID_AT_MOST = 200  # lines kept


def run(command: Sequence[str], progressing: progress.Progress) -> List[str]:
    """Run a command and return what it printed; its newest line is shown meanwhile. Raises OperationError with the last
    one.
    """
    lines: collections.deque = collections.deque(maxlen=SAID_AT_MOST)
    progressing.say(lambda: lines[-1] if lines else "")
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            lines.extend(line.strip() for line in process.stdout or () if line.strip())
    except OSError as error:
        raise OperationError(f"{command[0]} does not run ({error.strerror}). Install it, and run again.") from error
    if process.returncode:
        raise OperationError(
            lines[-1] if lines else f"`{' '.join(command[:2])}` ended with {process.returncode} and said nothing."
        )
    return list(lines)


def remove(look: server.Look, services: Sequence[str], progressing: progress.Progress) -> None:
    """Remove the containers of these services; no volume."""
    if services:
        run([*_command(look), "rm", "--stop", "--force", *services], progressing)


def stop(look: server.Look, services: Sequence[str], progressing: progress.Progress) -> None:
    """Stop these services; they keep their containers."""
    if services:
        run([*_command(look), "stop", *services], progressing)


def up(
    look: server.Look, services: Sequence[str], restarts: bool, progressing: progress.Progress, more: Sequence[str] = ()
) -> List[str]:
    """Start services (all when none is named) with Compose files behind the deployment's own; return what Compose said.

    Where a service has a restart policy (C(restarts)) it is in two parts: between a container's creation and its start
    it loses the policy that would start it by itself after a reboot, when users are no longer kept out. Never with
    --no-deps: it changes what Compose compares, and containers that hold data would be made anew.
    """
    command = [*_command(look), *(word for path in more for word in ("--file", path))]
    clear(look)
    if restarts:
        run([*command, "create", "--pull", "never", *services], progressing)
        restart.hold(look._replace(project=compose.find_project(look.client, look.src, look.project.name)))
    return run([*command, "up", "--detach", "--pull", "never", *services], progressing)


def clear(look: server.Look) -> None:
    """Clear what a Compose has left that was killed while it recreated a container: the new one under another name.

    The next C(up) would take both for the service's, remove one of them, and fail on the name. One that never ran is
    removed where the original is there (its volumes are the original's), else it gets its name.
    """
    from docker.errors import APIError, NotFound

    for one in server.replacements(look.project):
        try:
            container = look.client.containers.get(one["id"])
            if one["superfluous"]:
                container.remove(force=True)
            else:
                container.rename(one["name"])
        except NotFound:
            continue
        except APIError as error:
            # A look that is older than the last of these says so again.
            if "same name" not in str(error.explanation):
                raise OperationError(
                    f"The container {one['found']} cannot be renamed: Docker said: {error.explanation}."
                ) from error


def _command(look: server.Look) -> List[str]:
    return deployment.compose_command(look.src, look.files, look.project.name)


def network_gone(client: Any, names: Sequence[str]) -> None:
    """Remove networks that Compose v2 does not take for its own, with what is on them disconnected: it
    makes them anew.
    """
    for name in names:
        for network in client.networks.list(names=[name]):
            network.reload()
            for container in network.containers:
                network.disconnect(container, force=True)
            network.remove()
