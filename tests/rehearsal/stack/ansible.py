# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible commands against a rehearsal server, as an operator types them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from .releases import CHECKOUT
from .world import Server

ANSIBLE = pathlib.Path(sys.executable).parent
# Seconds: several times what the longest command takes on a slow machine.
PATIENCE = 600


@dataclasses.dataclass
class Run:
    """One command: its exit code and everything that it printed."""

    code: int
    text: str

    def recap(self, word: str) -> int:
        """A number of the play recap."""
        return int(re.search(rf"\b{word}=(\d+)", self.text.rpartition("PLAY RECAP")[2])[1])


def command(server: Server, *arguments: str) -> Run:
    """Run an Ansible command in the checkout against the rehearsal server, without a terminal.

    Raises AssertionError with what it printed when it does not end within PATIENCE seconds.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            [*server.prefix, str(ANSIBLE / arguments[0]), "--inventory", str(server.inventory), *arguments[1:]],
            cwd=CHECKOUT,
            env=server.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE)
        except BaseException as error:
            # The workers as well: they would go on with the server.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        output.seek(0)
        text = output.read()
    assert process.returncode != -signal.SIGKILL, (
        f"{arguments[0]} did not end within {PATIENCE} seconds. It printed:\n{text}"
    )
    return Run(process.returncode, text)


def without_server(folder: pathlib.Path, play: str, hosts: str = "localhost,", /, **variables: object) -> Run:
    """Run a playbook on this machine where no server is behind it; its text has single blanks only."""
    (folder / "play.yml").write_text(play)
    given = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
    done = subprocess.run(
        [str(ANSIBLE / "ansible-playbook"), "-i", hosts, "-e", json.dumps(given), str(folder / "play.yml")],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return Run(done.returncode, " ".join((done.stdout + done.stderr).split()))


def upgrade(server: Server, *arguments: str) -> Run:
    """Run the playbook; nobody is there to confirm."""
    return command(server, "ansible-playbook", "playbooks/upgrade-3.4.yml", "-e", "openlmis_confirm=false", *arguments)


def migration(server: Server, *arguments: str) -> Run:
    """Run the module by itself, as README shows it."""
    return command(
        server,
        "ansible",
        "rehearsal",
        "-m",
        "openlmis.operations.user_contact_details_migration",
        "-a",
        f"settings_file={server.project_src}/settings.env project_src={server.project_src}",
        *arguments,
    )


def database_mounts(server: Server) -> dict[str, str]:
    """Where the database's files lie: destination to volume, or to folder of the host."""
    return {
        mount["Destination"]: mount.get("Name") or mount["Source"] for mount in server.container("db").attrs["Mounts"]
    }
