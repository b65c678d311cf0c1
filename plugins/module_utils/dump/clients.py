# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_dump, pg_dumpall and pg_restore that fit a server: out of the database's own image, of one that is named, or of
this host.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import containers, engine
from ansible_collections.openlmis.operations.plugins.module_utils.docker.containers import Outcome
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import ConnectionSettings

try:
    from psycopg2.extensions import make_dsn
except ImportError:
    make_dsn = None
try:
    from docker.errors import ImageNotFound
except ImportError:
    # The module that uses this says what is missing (compose.require_docker).
    ImageNotFound = Exception

IN_CONTAINER = "/openlmis-backup"
SOURCE = "/openlmis-dump"
CERTIFICATES = ("sslrootcert", "sslcert", "sslkey")
# Where packages put the programs of several majors beside each other; the ones on the path may be a wrapper.
PROGRAM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
PR_SET_PDEATHSIG = 1


def major_of(version: str) -> Tuple[int, ...]:
    """Return a PostgreSQL major as a tuple that can be compared: (9, 6), (15,)."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]] or [0]
    return tuple(numbers[:1] if numbers[0] >= 10 else numbers)


class ImageClients:
    """Programs of an image, in containers that share the network of the database's container, or else this host's.

    ``folder`` of the host is what they can read and write, ``source`` what they can read besides; :meth:`path` says how
    they call a path in them.
    """

    def __init__(
        self,
        client: Any,
        settings: ConnectionSettings,
        run: str,
        folder: str,
        image: Optional[str] = None,
        source: Optional[str] = None,
    ) -> None:
        self.client, self.settings, self.run, self.folder, self.source = client, settings, run, folder, source
        if settings.container is not None:
            self.image, self.network = settings.container.attrs["Image"], f"container:{settings.container.id}"
            # The server listens on loopback in the network that they share with it.
            self.place = {"host": "127.0.0.1", "port": settings.port}
        else:
            # An image may know fewer names than this host.
            self.image, self.network = image, "host"
            self.place = {"hostaddr": address_of(settings.host), **public_arguments(settings)}
        self.certificates: Dict[str, Any] = {}
        for name in CERTIFICATES:
            if name in self.place:
                mount = self.certificates.setdefault(self.place[name], {"bind": f"{IN_CONTAINER}-{name}", "mode": "ro"})
                self.place[name] = mount["bind"]

    def path(self, path: str) -> str:
        """Return the path by which the programs know a path of the host inside the folder or the source."""
        if self.source and (path + os.sep).startswith(self.source + os.sep):
            return SOURCE + path[len(self.source) :]
        return os.path.join(IN_CONTAINER, os.path.relpath(path, self.folder))

    def sources(self) -> Dict[str, Any]:
        """Return what is mounted to be read only."""
        return {self.source: {"bind": SOURCE, "mode": "ro"}} if self.source else {}

    def dsn(self, database: str) -> str:
        """Return the connection string, without a secret."""
        known = {key: value for key, value in self.place.items() if value}
        return make_dsn(**{**known, "user": self.settings.user, "dbname": database})

    def start(self, what: str, command: List[str]) -> Any:
        """Start a program; :meth:`finish` or :meth:`kill` must follow."""
        secret = os.path.join(self.folder, ".pgpass-" + what)
        with containers.password_file(secret, self.settings.user, self.settings.password or "") as mount:
            return containers.start(
                self.client,
                "backup-" + what,
                self.run,
                self.image,
                command,
                network_mode=self.network,
                environment={"PGPASSFILE": containers.PASSWORD_FILE, "TZ": "UTC", "LC_ALL": "C"},
                user=f"{os.geteuid()}:{os.getegid()}",
                volumes={
                    self.folder: {"bind": IN_CONTAINER, "mode": "rw"},
                    **self.sources(),
                    **mount,
                    **self.certificates,
                },
            )

    def finish(self, job: Any) -> Outcome:
        """Wait for the program and return how it ended."""
        return containers.finish(job)

    def kill(self, job: Any) -> None:
        """End the program when it still runs."""
        containers.remove(job)

    def sweep(self, spared: List[str]) -> None:
        """End what earlier runs left at work beside the folder, but for what is in the folders that are spared."""
        beside = os.path.dirname(self.folder) + os.sep
        for container in containers.all_of_ours(self.client):
            sources = [mount.get("Source", "") for mount in container.attrs.get("Mounts", [])]
            sources = [source for source in sources if source.startswith(beside)]
            if sources and not any(
                (source + os.sep).startswith(folder + os.sep) for source in sources for folder in spared
            ):
                containers.remove(container)


class HostClients:
    """Programs of this host, for a server that is in no container here. They die with the module."""

    def __init__(self, settings: ConnectionSettings, bin_folder: str) -> None:
        self.settings, self.bin_folder = settings, bin_folder

    def path(self, path: str) -> str:
        """Return the path itself."""
        return path

    def dsn(self, database: str) -> str:
        """Return the connection string, without a secret."""
        return make_dsn(**{**public_arguments(self.settings), "dbname": database})

    def start(self, what: str, command: List[str]) -> Any:
        """Start a program; :meth:`finish` or :meth:`kill` must follow. The password is in memory only, in a file
        without a name.
        """
        secret = os.memfd_create("pgpass", 0)
        os.fchmod(secret, 0o600)
        line = containers.passfile_line(self.settings.user, self.settings.password or "")
        os.write(secret, line.encode("utf-8"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        output = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115
        try:
            job = subprocess.Popen(
                [os.path.join(self.bin_folder, command[0])] + command[1:],
                stdin=subprocess.DEVNULL,
                stdout=output[0],
                stderr=output[1],
                env={**kept, "PGPASSFILE": f"/proc/self/fd/{secret}", "TZ": "UTC", "LC_ALL": "C"},
                pass_fds=(secret,),
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        finally:
            os.close(secret)
        job.output = output
        return job

    def finish(self, job: Any) -> Outcome:
        """Wait for the program and return how it ended."""
        try:
            code = job.wait()
            texts = []
            for stream, limit in zip(job.output, (containers.OUTPUT_LIMIT, containers.ERROR_LIMIT)):
                stream.seek(0)
                texts.append(containers.bounded(iter(lambda stream=stream: stream.read(1 << 16), b""), limit))
            return Outcome(code, texts[0], texts[1])
        finally:
            self.kill(job)

    def kill(self, job: Any) -> None:
        """End the program when it still runs."""
        with contextlib.suppress(ProcessLookupError):
            job.kill()
        job.wait()
        for stream in job.output:
            stream.close()

    def sweep(self, spared: List[str]) -> None:
        """Nothing is left at work: the programs died with the module."""


def public_arguments(settings: ConnectionSettings) -> Dict[str, Any]:
    """Return what a connection needs but its secrets."""
    return {key: value for key, value in settings.arguments().items() if key not in ("password", "sslpassword")}


def address_of(host: str) -> str:
    """Return the first address of a name, empty where there is none."""
    try:
        return (
            str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
            if host and not host.startswith("/")
            else ""
        )
    except OSError:
        return ""


# Looked up before any fork: the linker's lock may be held by another thread then, and nobody would give it back to the
# child.
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


def _die_with_parent() -> None:
    if _PRCTL is not None:
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


def installed() -> Dict[Tuple[int, ...], str]:
    """Return the folder of every pg_dump of this host, by its major."""
    folders = [folder for pattern in PROGRAM_FOLDERS for folder in glob.glob(pattern)]
    on_path = shutil.which("pg_dump")
    found = {}
    for folder in folders + ([os.path.dirname(on_path)] if on_path else []):
        program = os.path.join(folder, "pg_dump")
        if os.access(program, os.X_OK) and os.access(os.path.join(folder, "pg_restore"), os.X_OK):
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            found.setdefault(major_of(said), folder)
    return found


def fitting(programs: Dict[Tuple[int, ...], str], server_version: str) -> Optional[str]:
    """Return the folder of the oldest programs that are not older than the server, or None."""
    majors = [major for major in programs if major >= major_of(server_version)]
    return programs[min(majors)] if majors else None


def find(
    client: Any,
    settings: ConnectionSettings,
    server_version: str,
    run: str,
    folder: str,
    image: Optional[str],
    source: Optional[str] = None,
) -> Any:
    """Return the programs for a server: its container's own; else those of the image that the operator named; else this
    host's.

    Raises OperationError when there are none, or when they are older than the server.
    """
    if settings.container is not None:
        return ImageClients(client, settings, run, folder, source=source)
    if image:
        require_fitting(client, image, server_version, run)
        return ImageClients(client, settings, run, folder, image, source)
    return host_clients(settings, server_version)


def require_fitting(client: Any, image: str, server_version: str, run: str) -> None:
    """Raise OperationError when the image's programs cannot dump from this server."""
    if engine.remote_host():
        raise OperationError(
            f"openlmis_backup_image is {image}, and the Docker Engine is on {engine.remote_host()}: it would write the"
            " dump there. Expected a dump on this host: leave it out, so that a pg_dump of this host is taken, or"
            f" {engine.ELSEWHERE}."
        )
    want = ".".join(map(str, major_of(server_version)))
    expected = (
        f"an image on this host with pg_dump and pg_restore {want} or newer is expected, since an older pg_dump refuses"
    )
    try:
        client.images.get(image)
    except ImageNotFound:
        raise OperationError(
            f"openlmis_backup_image is {image}, which is not on this host; {expected}. `docker pull` it."
        ) from None
    try:
        outcome = containers.run_once(
            client, "backup-version", run, image, ["pg_dump", "--version"], network_mode="none"
        )
        said = (
            ""
            if outcome.code == 0 and major_of(outcome.out) >= major_of(server_version)
            else outcome.out.strip() or outcome.said()
        )
    except OperationError as error:
        said = str(error)
    if said:
        raise OperationError(
            f"openlmis_backup_image is {image}, whose pg_dump does not fit ({said}); {expected}. Name another one."
        )


def host_clients(settings: ConnectionSettings, server_version: str) -> HostClients:
    """Return the host's programs that fit the server. Raises OperationError when there are none."""
    programs = installed()
    folder = fitting(programs, server_version)
    if folder is None:
        have = ", ".join(".".join(map(str, major)) for major in sorted(programs)) or "none"
        want = ".".join(map(str, major_of(server_version)))
        raise OperationError(
            f"The database at {settings.where()} is PostgreSQL {want} outside Compose, and this host's pg_dump is"
            f" {have}; pg_dump {want} or newer is expected, since an older one refuses. Install PostgreSQL's client"
            f" programs {want} here, or name an image that has them in openlmis_backup_image, or set openlmis_backup to"
            " a task file of your own, for example for a snapshot of RDS (docs/rds.md)."
        )
    return HostClients(settings, folder)
