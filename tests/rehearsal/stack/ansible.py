# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible commands against a rehearsal server, as an operator types them."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
import sys

from .releases import CHECKOUT
from .world import Server

ANSIBLE = pathlib.Path(sys.executable).parent


@dataclasses.dataclass
class Run:
    """One command: its exit code and everything that it printed."""

    code: int
    text: str

    def recap(self, word: str) -> int:
        """A number of the play recap."""
        return int(re.search(rf"\b{word}=(\d+)", self.text.rpartition("PLAY RECAP")[2])[1])


def command(server: Server, *arguments: str) -> Run:
    """Run an Ansible command in the checkout against the rehearsal server, without a terminal."""
    done = subprocess.run(
        [*server.prefix, str(ANSIBLE / arguments[0]), "--inventory", str(server.inventory), *arguments[1:]],
        cwd=CHECKOUT,
        env=server.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


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
    return {mount["Destination"]: mount.get("Name") or mount["Source"] for mount in server.container("db").attrs["Mounts"]}
