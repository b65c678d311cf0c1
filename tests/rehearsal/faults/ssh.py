# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away SSH server on this machine, whose connections can be cut."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import time

from stack.images import RehearsalError

from .playbook import kill

PORT = 18022
# {root} is the folder of the rehearsal server.
ARGUMENTS = (
    "-e",
    "ansible_connection=ssh ansible_host=127.0.0.1 ansible_user=root ansible_port=%d"
    " ansible_ssh_private_key_file={root}/ssh/key"
    " ansible_ssh_common_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlPath=none'" % PORT,
)
CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile {folder}/pid
PermitRootLogin yes
StrictModes no
UsePAM no
SetEnv DOCKER_HOST={docker_host}
Subsystem sftp internal-sftp
"""


class Daemon:
    """sshd with keys of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise RehearsalError("sshd is not installed; tools/setup-sshd installs it")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        docker_host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        (folder / "config").write_text(CONFIG.format(port=PORT, folder=folder, docker_host=docker_host))
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [program, "-D", "-f", str(folder / "config"), "-E", str(folder / "log")], start_new_session=True
        )
        time.sleep(0.5)
        if self.process.poll() is not None:
            raise RehearsalError("sshd does not start: " + (folder / "log").read_text())

    def cut(self) -> None:
        """Nothing comes through any more: the daemon and its sessions die, what they have started goes on."""
        kill([self.process.pid, *sessions(self.process.pid)])

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self.cut()
        self.process.wait()


def sessions(daemon: int) -> list[int]:
    """The processes of a daemon that hold its connections."""
    found, parents = [], {daemon}
    while parents:
        children = {
            int(entry.name)
            for entry in pathlib.Path("/proc").iterdir()
            if entry.name.isdigit() and parent_of(entry) in parents and name_of(entry).startswith("sshd")
        }
        found += sorted(children)
        parents = children
    return found


def parent_of(process: pathlib.Path) -> int:
    """The parent of a process, 0 when the process has ended."""
    with contextlib.suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def name_of(process: pathlib.Path) -> str:
    """The program's name, empty when the process has ended."""
    with contextlib.suppress(OSError):
        return (process / "comm").read_text()
    return ""
