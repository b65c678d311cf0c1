# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records docs/sittings/*.txt on a throw-away server: an upgrade that fails, its rollback, and an upgrade that goes
through.

    tools/second-engine .venv/bin/python tools/record.py

As root, about five minutes. What is printed is kept as it is; only folders, addresses and the inventory's name become
those of an ordinary installation, and the seconds between lines are not kept.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import pty
import re
import sys
import tempfile
import time

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "tests/rehearsal"))

from stack import deployment, images  # noqa: E402
from stack.releases import PROJECT  # noqa: E402
from stack.world import Server  # noqa: E402

SITTINGS = CHECKOUT / "docs/sittings"
UPGRADE, ROLLBACK = "openlmis.operations.upgrade_3_4", "openlmis.operations.rollback_3_4"
# Tasks that had nothing to do are left out.
SETTINGS = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}


def ordinary(text: str, server: Server) -> str:
    """What was printed, with the folders and addresses of an ordinary installation."""
    address = re.escape(server.base_url.split("//")[1])
    for found, instead in (
        (re.escape(str(server.inventory)), "inventory.yml"),
        (re.escape(str(server.project_src)), "/opt/openlmis-ref-distro"),
        (re.escape(str(server.backup_dir)), "/var/backups/openlmis"),
        (re.escape(str(server.state_dir)), "/var/lib/openlmis-operations"),
        (re.escape(str(server.root)), "/srv"),
        (re.escape(str(pathlib.Path(sys.executable).parent)) + "/", ""),
        (re.escape(f"{CHECKOUT}/.cache/collections"), "/opt/upgrade/collections"),
        (re.escape(str(CHECKOUT)), "/opt/upgrade"),
        (rf"http://{address}", "https://lmis.example.org"),
        (address.partition(":")[0].replace("\\.", r"\."), "192.0.2.10"),
        (rf"\b{PROJECT}\b", "openlmis"),
        (r"(?<!/)\brehearsal\b", "lmis.example.org"),
        (r"\b[0-9a-f]{64}\b", "0123456789ab…"),
        # What pause writes to the terminal to clear the line, and what is typed there.
        (r"^yes\^M[\^\[\x1bMK\r]*\n?", "yes\n"),
        (r"\x1b\[*[0-9;]*[A-Za-z]|\r", ""),
        (r"[ \t]+$", ""),
    ):
        text = re.sub(found, instead, text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text)


def sit(server: Server, playbook: str) -> str:
    """Run a playbook as an operator does, at a terminal, with a yes when it asks; what the operator then sees."""
    ansible = pathlib.Path(sys.executable).parent / "ansible-playbook"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(CHECKOUT)
        os.execve(ansible, [str(ansible), "--inventory", str(server.inventory), playbook], {**os.environ, **SETTINGS})
    shown = b""
    # A terminal that nobody has open any more cannot be read.
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
            shown += piece
            if b"Type yes to begin" in piece:
                time.sleep(1)  # it throws away what was typed before it asked
                os.write(terminal, b"yes\r")
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = shown.decode().replace("\r\n", "\n")
    return f"$ ansible-playbook --inventory inventory.yml {playbook}\n{text}\n$ echo $?\n{code}\n"


def record(name: str, server: Server, words: str, *playbooks: str) -> None:
    """Record a sitting, which must have come to an end with these words."""
    text = "\n".join(sit(server, playbook) for playbook in playbooks)
    assert words in text, f"{name} did not end as it should: {words} is not there"
    SITTINGS.mkdir(exist_ok=True)
    (SITTINGS / f"{name}.txt").write_text(ordinary(text, server))


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="openlmis-sitting-") as folder,
        deployment.running("3.3.1", pathlib.Path(folder) / "server") as server,
    ):
        images.arm("auth", "4.0.0", "crash-in-migration")
        try:
            record("failed", server, "stopped in step wait", UPGRADE)
        finally:
            images.arm("auth", "4.0.0", "")
        record("rollback", server, "failed=0", ROLLBACK)
        # The second time says that there is nothing to do.
        record("upgrade", server, "Nothing to do: ", UPGRADE, UPGRADE)


if __name__ == "__main__":
    main()
