# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed host: Debian with sshd, sudo and the Engine's socket, but without the Python libraries that the modules
need.

It is a container that shares networks and processes with this machine, so that for the modules it is the Docker host.
Nothing of the machine itself is changed: users, sudo rules, Python packages and the firewall's programs are the
container's.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import yaml

from . import images
from .ansible import ANSIBLE, Run
from .images import BUILD_LABEL, CONFIG_BASE, RehearsalError
from .releases import CHECKOUT
from .world import ADMIN, Server

PORT = 18022
IMAGE = "openlmis-operations/host:latest"
# May become root with the password, and may use the Engine without becoming anybody else.
OPERATOR, ORDINARY = "ops", "ordinary"
SUDO_PASSWORD = "b3come"
PACKAGES = "openssh-server sudo python3-venv iptables iproute2"
BEGIN = """set -e
groupadd --non-unique --gid "$ENGINE_GROUP" engine
for user in ops ordinary; do
    useradd --create-home --shell /bin/bash "$user"
    install -D -m 0644 /ssh/key.pub "/etc/ssh/keys/$user"
done
usermod --append --groups engine ordinary
usermod --append --groups sudo ops
echo "ops:$SUDO_PASSWORD" | chpasswd
echo "ordinary:*" | chpasswd --encrypted
printf '[global]\\nno-index = true\\nfind-links = /wheels\\n' >/etc/pip.conf
# Or sudo asks a name server for it, which a network namespace may not reach.
echo "127.0.1.1 $(hostname)" >>/etc/hosts
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -h /ssh/host -o Port=$SSH_PORT -o ListenAddress=127.0.0.1 -o UseDNS=no -o UsePAM=no \\
    -o AuthorizedKeysFile=/etc/ssh/keys/%u
"""


def build() -> None:
    """Make the image, unless it is there and of the same base."""
    engine = images.client()
    base = images.labels_of(engine, CONFIG_BASE) or {}
    made = images.digest(base.get(BUILD_LABEL, "").encode(), PACKAGES.encode())
    if (images.labels_of(engine, IMAGE) or {}).get(BUILD_LABEL) == made:
        return
    install = (
        "apt-get -qq update && apt-get -qq purge -y python3-psycopg2 && apt-get -qq install -y --no-install-recommends "
        + PACKAGES
    )
    images.build(
        engine,
        IMAGE,
        images.dockerfile(CONFIG_BASE, made, ["ENV DEBIAN_FRONTEND=noninteractive", "RUN %s >/dev/null" % install]),
    )


def wheels(requirements: pathlib.Path = CHECKOUT / "requirements-host.txt", *options: str) -> pathlib.Path:
    """A folder with the libraries that a file of requirements names, for the image's Python: the package index of
    whoever reaches none.
    """
    folder = CHECKOUT / ".cache" / "wheels" / (requirements.stem + "-" + images.digest(requirements.read_bytes()))
    if not folder.exists():
        partial = folder.with_suffix(".new")
        shutil.rmtree(partial, ignore_errors=True)
        arguments = [
            "--quiet",
            "--only-binary=:all:",
            "--python-version=3.11",
            "--dest",
            str(partial),
            "--requirement",
            str(requirements),
        ]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, *arguments], check=True)
        partial.rename(folder)
    return folder


def compose_plugin() -> str:
    """The file of the Compose plugin on this machine."""
    command = [
        "docker",
        "info",
        "--format",
        '{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Path}}{{end}}{{end}}',
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Host:
    """One managed host in front of a rehearsal server; `folder` holds what belongs to it and not to the server."""

    def __init__(self, server: Server, folder: pathlib.Path) -> None:
        self.server, self.folder = server, folder
        (folder / "ssh").mkdir(parents=True)
        for name in ("host", "key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "ssh" / name)], check=True
            )
        engine = images.client()
        socket = urllib.parse.urlparse(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path
        mounts = {
            socket: "/var/run/docker.sock",
            str(server.root): str(server.root),
            str(folder / "ssh"): "/ssh",
            str(wheels()): "/wheels",
            shutil.which("docker"): "/usr/bin/docker",
            compose_plugin(): "/usr/libexec/docker/cli-plugins/docker-compose",
        }
        self.container = engine.containers.create(
            IMAGE,
            ["sh", "-c", BEGIN],
            environment={"ENGINE_GROUP": os.stat(socket).st_gid, "SUDO_PASSWORD": SUDO_PASSWORD, "SSH_PORT": PORT},
            network_mode="host",
            pid_mode="host",
            cap_add=["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE"],
            volumes=["%s:%s" % pair for pair in mounts.items()],
        )

    def start(self) -> None:
        """Start it, and wait until it may be logged in to."""
        self.container.start()
        until = time.monotonic() + 20
        while b"Server listening" not in self.container.logs():
            self.container.reload()
            if self.container.status != "running" or time.monotonic() > until:
                raise RehearsalError("The managed host does not start:\n" + self.container.logs().decode())
            time.sleep(0.1)

    def sh(self, command: str) -> str:
        """The output of a shell command on the host, as root; it must succeed."""
        code, output = self.container.exec_run(["sh", "-c", command])
        if code:
            raise RehearsalError("On the managed host, %s ended with %d: %s" % (command, code, output.decode()))
        return output.decode()

    def exists(self, path: Any) -> bool:
        """Whether the host has a file."""
        return self.container.exec_run(["test", "-e", str(path)]).exit_code == 0

    def variables(self, user: str = OPERATOR, **more: Any) -> dict[str, Any]:
        """What an inventory says of the host: reached by a user, who becomes root when it is the operator."""
        ssh = {
            "ansible_host": "127.0.0.1",
            "ansible_port": PORT,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.folder / "ssh" / "key"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            # The operator's connection has Ansible's faster way, the ordinary user's its usual one.
            **(
                {"ansible_become_password": SUDO_PASSWORD, "ansible_pipelining": True}
                if user == OPERATOR
                else {"ansible_become": False}
            ),
        }
        openlmis = {
            "openlmis_project_src": str(self.server.project_src),
            "openlmis_base_url": self.server.base_url,
            "openlmis_admin_username": ADMIN[0],
            "openlmis_admin_password": ADMIN[1],
            "openlmis_backup_dir": str(self.server.backup_dir),
            "openlmis_state_dir": str(self.server.state_dir),
        }
        return {**ssh, **openlmis, **more}

    def run(
        self, playbook: str, hosts: dict[str, dict[str, Any]], *arguments: str, programs: pathlib.Path = ANSIBLE
    ) -> Run:
        """Run a playbook from this checkout against an inventory of these hosts, in this order, without a terminal."""
        inventory = self.folder / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"openlmis": {"hosts": hosts}}, sort_keys=False))
        done = subprocess.run(
            [str(programs / "ansible-playbook"), "--inventory", str(inventory), "playbooks/" + playbook, *arguments],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)


@contextlib.contextmanager
def managed(server: Server, folder: pathlib.Path) -> Iterator[Host]:
    """A managed host for the length of a with block."""
    build()
    host = Host(server, folder)
    try:
        host.start()
        yield host
    finally:
        host.container.remove(force=True)
