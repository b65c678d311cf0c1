# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Short-lived containers of the collection's own."""

from __future__ import annotations

from typing import Any, NamedTuple

try:
    from docker.errors import DockerException, NotFound
except ImportError:
    # The module that uses this says what is missing (compose.require_docker).
    DockerException = NotFound = Exception

import contextlib

from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

LABEL = "org.openlmis.operations"


class Outcome(NamedTuple):
    """How a container's one command ended."""

    code: int
    out: str
    err: str


def run_once(client: Any, name: str, image: str, command: list, **options: Any) -> Outcome:
    """Run one command in a container of this name and remove the container, whatever happens.

    C(options) are those of the Docker SDK's C(containers.create). One that an earlier run left under the name is
    removed first. Raises OperationError when Docker refuses the container.
    """
    try:
        with contextlib.suppress(NotFound):
            client.containers.get(name).remove(v=True, force=True)
        container = client.containers.create(
            image, name=name, entrypoint=command[0], command=command[1:], labels={LABEL: "true"}, **options
        )
        try:
            container.start()
            code = container.wait()["StatusCode"]
            out, err = (
                container.logs(stdout=stdout, stderr=not stdout).decode("utf-8", "replace") for stdout in (True, False)
            )
            return Outcome(code, out, err)
        finally:
            # With its volumes: the database's image makes an anonymous one, which nobody must later take for the database's.
            container.remove(v=True, force=True)
    except DockerException as error:
        raise OperationError(
            f"Container {name} cannot run: Docker said: {getattr(error, 'explanation', None) or error}. One short container beside the"
            " database is expected to run. Mend that and run again."
        ) from error
