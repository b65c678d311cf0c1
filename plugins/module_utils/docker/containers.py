# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of the collection's own: one command each, detached, named after the run, found again by a rerun."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple

try:
    from docker.errors import DockerException, NotFound
    from docker.types import LogConfig
except ImportError:
    # The module that uses this says what is missing (compose.require_docker).
    DockerException = NotFound = Exception
    LogConfig = None

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

LABEL = "org.openlmis.operations"
RUN_LABEL = LABEL + ".run"
WORK_LABEL = LABEL + ".work"
PASSWORD_FILE = "/openlmis-pgpass"
# What is kept of a container's output, in memory and on disk.
OUTPUT_LIMIT = 1 << 24
ERROR_LIMIT = 1 << 16
_COMPLAINT = re.compile("error|fatal|could not|cannot|failed|denied", re.IGNORECASE)


class Outcome(NamedTuple):
    """How a container's one command ended. A command that was killed ends with 137."""

    code: int
    out: str
    err: str

    def said(self) -> str:
        """The line in which it complained, without a value of a row that could not be restored."""
        lines = self.err.strip().splitlines() or ["nothing"]
        line = next((line for line in lines if _COMPLAINT.search(line)), lines[0])
        return re.sub(r'(COPY failed for table ".*?").*', r"\1", line)


def name_of(what: str, run: str) -> str:
    """Return the name of a run's container: C(openlmis-<what>-<run>)."""
    return f"openlmis-{what}-{run}"


def work_of(image: str, command: List[str], options: Dict[str, Any]) -> str:
    """Return a digest by which a rerun knows a container that does the same work."""
    told = [image, command, {key: str(value) for key, value in sorted(options.items())}]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def start(client: Any, what: str, run: str, image: str, command: List[str], adopt: bool = False, **options: Any) -> Any:
    """Start one command in a detached container and return the container.

    C(options) are those of the Docker SDK's C(containers.create). A container that an earlier attempt left under the
    name is taken over when C(adopt) is set and it was started for the same work, ended or not; else it is removed
    first. Raises OperationError when Docker refuses the container; none stays then.
    """
    name, work = name_of(what, run), work_of(image, command, options)
    with _docker(name):
        with contextlib.suppress(NotFound):
            found = client.containers.get(name)
            if adopt and found.labels.get(WORK_LABEL) == work and found.status in ("running", "exited"):
                return found
            found.remove(v=True, force=True)
        container = client.containers.create(
            image,
            name=name,
            entrypoint=command[0],
            command=command[1:],
            labels={LABEL: "true", RUN_LABEL: run, WORK_LABEL: work},
            # Bounded, and readable whatever the engine's own log driver is.
            log_config=LogConfig(type="json-file", config={"max-size": str(2 * OUTPUT_LIMIT), "max-file": "1"}),
            **options,
        )
        try:
            container.start()
        except BaseException:
            container.remove(v=True, force=True)
            raise
        return container


def finish(container: Any) -> Outcome:
    """Wait until the container's command has ended, remove the container and return how it ended.

    When the wait is cut short by an exception the container is removed, too.
    """
    with _docker(container.name):
        try:
            code = container.wait()["StatusCode"]
            return Outcome(
                code,
                bounded(container.logs(stdout=True, stderr=False, stream=True, follow=False), OUTPUT_LIMIT),
                bounded(container.logs(stdout=False, stderr=True, stream=True, follow=False), ERROR_LIMIT),
            )
        finally:
            # With its volumes: the database's image makes an anonymous one, which nobody must later take for the
            # database's.
            container.remove(v=True, force=True)


def run_once(
    client: Any, what: str, run: str, image: str, command: List[str], adopt: bool = False, **options: Any
) -> Outcome:
    """Run one command as :func:`start` does, and :func:`finish` it."""
    return finish(start(client, what, run, image, command, adopt, **options))


def remove(container: Any) -> None:
    """Remove a container with its volumes, running or not; nothing happens when it is gone."""
    with _docker(container.name), contextlib.suppress(NotFound):
        container.remove(v=True, force=True)


def of_run(client: Any, run: str) -> List[Any]:
    """Return the containers of a run, ended ones included."""
    with _docker("of the run " + run):
        return client.containers.list(all=True, ignore_removed=True, filters={"label": f"{RUN_LABEL}={run}"})


def all_of_ours(client: Any) -> List[Any]:
    """Return every container that this collection made, of whatever run, ended ones included."""
    with _docker("of this collection"):
        return client.containers.list(all=True, ignore_removed=True, filters={"label": LABEL + "=true"})


def passfile_line(user: str, password: str) -> str:
    """Return a PGPASSFILE line for any host, in which backslash and colon are escaped."""
    escape = {ord("\\"): "\\\\", ord(":"): "\\:"}
    return f"*:*:*:{user.translate(escape)}:{password.translate(escape)}\n"


@contextlib.contextmanager
def password_file(path: str, user: str, password: str) -> Iterator[Dict[str, Any]]:
    """Write a password file, mode 0600, for as long as containers are started with it; yield its entry for C(volumes).

    A running container keeps the file that was mounted when the name on the host is gone: leave the block when it has
    started.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(passfile_line(user, password))
        yield {path: {"bind": PASSWORD_FILE, "mode": "ro"}}
    finally:
        os.unlink(path)


def bounded(chunks: Iterable[bytes], limit: int) -> str:
    """Return the text of the chunks; of more than the limit its first and its last half, with a line between that says
    so.
    """
    head, tail, left_out = b"", b"", False
    for chunk in chunks:
        room = limit // 2 - len(head)
        head += chunk[:room]
        tail += chunk[room:]
        if len(tail) > limit - limit // 2:
            tail, left_out = tail[-(limit - limit // 2) :], True
    between = b"\n[...]\n" if left_out else b""
    return (head + between + tail).decode("utf-8", "replace")


@contextlib.contextmanager
def _docker(name: str) -> Iterator[None]:
    try:
        yield
    # The connection to the engine ends with requests' own errors, which are OSErrors.
    except (DockerException, OSError) as error:
        raise OperationError(
            f"Container {name} cannot run to its end: Docker said: {getattr(error, 'explanation', None) or error}. One"
            " container beside the database is expected to run. Fix that and run again."
        ) from error
