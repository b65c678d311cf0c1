# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second Docker Engine on this machine, as far away as one on another: reached over TLS only, without a route to its
networks.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import docker
import docker.errors

from . import images
from .certificates import Authority
from .images import RehearsalError
from .outside import Network, client_network

PORT = 2376
# Where neither this host nor the first engine has a network.
BRIDGES = ["--bip=10.213.0.1/24", "--default-address-pool=base=10.214.0.0/16,size=24"]
FOLDER = "openlmis-rehearsal-engine"
PATIENCE = 60


class Engine:
    """The daemon; `here` and `there` are the addresses of this host and of the engine's on the one link
    between them.
    """

    def __init__(self, folder: pathlib.Path, network: Network) -> None:
        self.folder, self.network = folder, network
        self.here, self.there = network.ours[0], network.theirs[0]
        self.authority = Authority()
        self.process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "docker.sock"

    def environment(self, scheme: str = "tcp://") -> dict[str, str]:
        """What an operator sets to reach it."""
        return {
            "DOCKER_HOST": f"{scheme}{self.there}:{PORT}",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.folder / "client"),
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.authority.write(self.folder / "client", "operator")
        self.authority.write(self.folder / "server", self.there)
        # Beside the first engine's data: a file system that a storage driver works on.
        data = data_root()
        tls = [
            f"--tls{what}={self.folder}/server/{file}.pem"
            for what, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))
        ]
        command = [
            "nsenter",
            f"--net=/run/netns/{self.network.name}",
            "dockerd",
            f"--data-root={data}",
            f"--exec-root={self.folder}/exec",
        ]
        end_leftover(data)
        command += [
            f"--pidfile={data}.pid",
            f"--host=tcp://{self.there}:{PORT}",
            f"--host=unix://{self.socket}",
            "--tlsverify",
            *tls,
        ]
        command += [
            "--containerd-namespace=openlmis-rehearsal",
            "--containerd-plugins-namespace=openlmis-rehearsal-plugins",
            *BRIDGES,
        ]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RehearsalError(
                    "The second Docker daemon does not come up:\n" + (self.folder / "log").read_text()[-2000:]
                )
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it answers at its socket."""
        try:
            docker.DockerClient(base_url=f"unix://{self.socket}").ping()
            return True
        except (docker.errors.DockerException, OSError):
            return False

    def load(self) -> None:
        """Give it the first engine's images of the rehearsal; those that it has already are not read again."""
        wanted = {one.tag for one in images.wanted_images()}
        mine = docker.DockerClient(base_url=f"unix://{self.socket}")
        there = {tag: one.id for one in mine.images.list() for tag in one.tags}
        missing = [
            tag
            for one in images.client().images.list()
            for tag in one.tags
            if tag in wanted and there.get(tag) != one.id
        ]
        if missing:
            with subprocess.Popen(["docker", "save", *missing], stdout=subprocess.PIPE) as save:
                subprocess.run(
                    ["docker", "--host", f"unix://{self.socket}", "load", "--quiet"],
                    stdin=save.stdout,
                    check=True,
                    capture_output=True,
                )

    def clear(self) -> None:
        """Remove all that runs or ran on it, and every name that it did not get from the first engine."""
        mine = docker.DockerClient(base_url=f"unix://{self.socket}")
        for container in mine.containers.list(all=True, ignore_removed=True):
            container.remove(v=True, force=True)
        mine.networks.prune()
        for volume in mine.volumes.list():
            volume.remove(force=True)
        wanted = {one.tag for one in images.wanted_images()}
        for tag in {tag for one in mine.images.list() for tag in one.tags} - wanted:
            mine.images.remove(tag, force=True)

    def stop(self) -> None:
        """End it; its images stay for the next time."""
        if self.process and self.answers():
            self.clear()
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
            self.process.kill()


def data_root() -> pathlib.Path:
    """Where the second engine keeps its images from one time to the next."""
    return pathlib.Path(images.client().info()["DockerRootDir"]).parent / FOLDER


def end_leftover(data: pathlib.Path) -> None:
    """End the daemon of a test that was killed: it still has the data."""
    try:
        pid = int(pathlib.Path(f"{data}.pid").read_text())
        if f"--data-root={data}\0" not in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
            return
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    until = time.monotonic() + PATIENCE
    while pathlib.Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.2)


def remove_data() -> None:
    """Remove what it keeps."""
    shutil.rmtree(data_root(), ignore_errors=True)


@contextlib.contextmanager
def remote_engine(folder: pathlib.Path) -> Iterator[Engine]:
    """A second engine with the rehearsal's images for the length of a with block."""
    folder.mkdir(parents=True, exist_ok=True)
    with client_network() as network:
        subprocess.run([*network.inside, "ip", "link", "set", "lo", "up"], check=True)
        engine = Engine(folder, network)
        try:
            engine.start()
            engine.load()
            yield engine
        finally:
            engine.stop()


@contextlib.contextmanager
def spoken_to(environment: dict[str, str]) -> Iterator[None]:
    """Have this process's own Docker commands speak to an engine."""
    before = dict(os.environ)
    # Python's requests would rather take a bundle that the environment names.
    os.environ.update(environment, REQUESTS_CA_BUNDLE=environment["DOCKER_CERT_PATH"] + "/ca.pem")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
