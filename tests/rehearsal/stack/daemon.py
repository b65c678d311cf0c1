# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops and starts the Docker daemon that the rehearsal uses, as a reboot or a package update does."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import docker
import docker.errors

from .images import RehearsalError

DEFAULT_SOCKET = "/var/run/docker.sock"
PATIENCE = 60


def socket_path() -> str:
    """The daemon's socket on this machine; RehearsalError when the daemon is elsewhere."""
    host = os.environ.get("DOCKER_HOST") or "unix://" + DEFAULT_SOCKET
    if not host.startswith("unix://"):
        raise RehearsalError("DOCKER_HOST is %s: only a daemon on this machine can be restarted." % host)
    return host[len("unix://") :]


def process_id() -> int:
    """The process that listens at the socket: dockerd, or 1 where systemd holds the socket for it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(socket_path())
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[0]


def answers() -> bool:
    """Whether the daemon answers."""
    try:
        docker.from_env(timeout=10).ping()
        return True
    except (docker.errors.DockerException, OSError):
        return False


class Daemon:
    """The daemon as it was found; `start` starts it again in the same way."""

    def __init__(self) -> None:
        self.pid = process_id()
        self.by_systemd = pathlib.Path("/run/systemd/system").is_dir() and (
            self.pid == 1 or b"docker.service" in pathlib.Path("/proc/%d/cgroup" % self.pid).read_bytes()
        )
        if self.by_systemd:
            return
        process = pathlib.Path("/proc/%d" % self.pid)
        self.command = process.joinpath("cmdline").read_bytes().decode().split("\0")[:-1]
        entries = (entry.partition("=") for entry in process.joinpath("environ").read_bytes().decode().split("\0"))
        self.environment = {name: value for name, _equals, value in entries if name}
        log = os.readlink(process / "fd" / "1")
        self.log = log if os.path.isfile(log) else os.devnull

    def stop(self) -> None:
        """Stop it; without live-restore every container ends with it."""
        if self.by_systemd:
            subprocess.run(["systemctl", "stop", "docker.socket", "docker.service"], check=True)
            return
        os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while pathlib.Path("/proc/%d" % self.pid).exists() and not is_zombie(self.pid):
            if time.monotonic() > until:
                raise RehearsalError("dockerd (process %d) did not stop within %d seconds." % (self.pid, PATIENCE))
            time.sleep(0.1)

    def start(self) -> None:
        """Start it and wait until it answers; it outlives this process. Nothing happens when it runs."""
        if not answers():
            if self.by_systemd:
                subprocess.run(["systemctl", "start", "docker.socket", "docker.service"], check=True)
            else:
                with open(self.log, "ab") as log:
                    started = subprocess.Popen(
                        self.command,
                        env=self.environment,
                        cwd="/",
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                self.pid = started.pid
        until = time.monotonic() + PATIENCE
        while not answers():
            if time.monotonic() > until:
                raise RehearsalError("The Docker daemon did not come back within %d seconds." % PATIENCE)
            time.sleep(0.2)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only its parent has not asked yet; one that a Daemon started is its child."""
    try:
        return pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
