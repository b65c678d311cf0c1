# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook under way, held at a chosen moment so that something can be done to it there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from stack.ansible import ANSIBLE, Run
from stack.images import RehearsalError
from stack.releases import CHECKOUT
from stack.world import Server

CALLBACKS = pathlib.Path(__file__).parent / "callback"
PATIENCE = 600


@dataclasses.dataclass(frozen=True)
class Moment:
    """Before a step, or some seconds after it has begun."""

    step: str
    after: float | None = None
    # The playbook starts twice, and waits twice.
    nth: int = 1


class Playbook:
    """A run of a playbook; its output goes to a file that stays."""

    def __init__(
        self, server: Server, playbook: str, log: pathlib.Path, arguments: tuple[str, ...], moment: Moment | None
    ):
        self.folder = server.root / "moment"
        self.journal = server.state_dir / "journal.json"
        self.moment = moment
        self.log = log
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        log.parent.mkdir(parents=True, exist_ok=True)
        # Every process of the run on this machine inherits it, also one that outlives the playbook.
        self.mark = "FAULTS_RUN=%s.%d" % (log.stem, time.monotonic_ns())
        environment = dict([self.mark.split("=")], **os.environ)
        if moment:
            environment.update(
                ANSIBLE_CALLBACK_PLUGINS=str(CALLBACKS),
                ANSIBLE_CALLBACKS_ENABLED="moments",
                FAULTS_FOLDER=str(self.folder),
                FAULTS_MOMENT=json.dumps([moment.step, moment.nth]),
            )
        command = ["ansible-playbook", "--inventory", str(server.inventory), "playbooks/" + playbook]
        with log.open("w") as output:
            output.write("$ %s\n" % " ".join([*command, *arguments]))
            output.flush()
            self.process = subprocess.Popen(
                [str(ANSIBLE / command[0]), *command[1:], "--extra-vars", "openlmis_confirm=false", *arguments],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def reach(self) -> None:
        """Wait for the moment; the playbook is held there, unless the moment is while the step works."""
        assert self.moment
        self.until((self.folder / "arrived").exists, "came to the moment")
        if self.moment.after is not None:
            self.begin()
            time.sleep(self.moment.after)

    def begin(self) -> None:
        """Let a playbook that is held go on until its step has begun in the journal; the step goes on meanwhile."""
        assert self.moment
        step, before = self.moment.step, self.last_entry()
        self.go_on()
        self.until(
            lambda: (now := self.last_entry()) != before and (now["step"], now["finished"]) == (step, None), "began"
        )

    def last_entry(self) -> dict[str, object]:
        """What the journal says of the last step that was begun, nothing without a journal."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return json.loads(self.journal.read_text())["steps"][-1]
        return {"step": None, "finished": None}

    def until(self, condition, what: str) -> None:
        """Poll until the condition holds; RehearsalError when the playbook ends before."""
        until = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RehearsalError("the playbook never %s %s; see %s" % (what, self.moment, self.log))
            time.sleep(0.005)

    def go_on(self) -> None:
        """Let a playbook that is held go on."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "go").touch()

    def processes(self) -> dict[int, str]:
        """Every process of the run that is there, with its command line."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return {number: text for number, text in found.items() if text}

    def remote_processes(self) -> list[int]:
        """The processes that a module runs in, with what they have started."""
        found = {pid: text for pid, text in self.processes().items() if "bin/ansible-playbook" not in text}
        return list(found) if any("AnsiballZ_" in text for text in found.values()) else []

    def kill(self) -> None:
        """Kill the playbook's process; what it has started on the host goes on."""
        self.process.kill()

    def kill_remote(self) -> None:
        """Kill the module's process on the host and what it has started."""
        self.go_on()
        self.until(lambda: bool(self.remote_processes()), "started a remote process")
        kill(self.remote_processes())

    def kill_everything(self) -> None:
        """Kill all of it, as a power failure does."""
        self.process.kill()
        kill(list(self.processes()))

    def end(self) -> Run:
        """Wait for the end; the exit code is negative when the playbook was killed."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            raise RehearsalError("the playbook did not end within %d seconds; see %s" % (PATIENCE, self.log)) from None
        return Run(code, self.log.read_text(errors="replace"))


def kill(pids: list[int]) -> None:
    """Kill processes; one that has ended meanwhile is no matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
