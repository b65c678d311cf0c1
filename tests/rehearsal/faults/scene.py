# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault, two endings: inject it and go on, inject it again and roll back; each is held against a picture."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import docker.errors
import psycopg2
from stack import deployment
from stack.ansible import Run
from stack.daemon import Daemon
from stack.images import RehearsalError
from stack.releases import CHECKOUT
from stack.saved import Picture, SavedServer, picture
from stack.world import Server, expected_contact_details

from .playbook import Moment, Playbook

LOGS = CHECKOUT / ".cache" / "faults"
UPGRADE, ROLLBACK = "upgrade-3.4.yml", "rollback-3.4.yml"
# What a start takes is the time of its components; the smoke test needs these, and requisition has migrations out of
# order.
LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "report", "diagnostics")
# A reporting role as sites have them: it may log in and read one table, and nothing else.
REPORTING = """
create role reporting login password 'report only' connection limit 3;
grant connect on database open_lmis to reporting;
revoke temporary on database open_lmis from public;
grant usage on schema requisition to reporting;
grant select on requisition.requisitions to reporting;
alter role reporting in database open_lmis set statement_timeout = '30s';
alter role reporting set search_path = requisition;
alter database open_lmis set timezone = 'Africa/Maputo';
alter database open_lmis connection limit 150;
"""
# What ends a row and not the campaign.
BROKEN = (
    RehearsalError,
    psycopg2.Error,
    OSError,
    ValueError,
    subprocess.SubprocessError,
    docker.errors.DockerException,
)
Action = Callable[["Scene"], None]
Strike = Callable[["Scene", Playbook], None]


def nothing(*_arguments: object) -> None:
    """Do nothing."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A way to break an upgrade, and what a human does about it before running a playbook again."""

    name: str
    # When `strike` happens; without one the fault is `prepare` alone.
    moment: Moment | None = None
    strike: Strike = nothing
    # Before the run, on the restored server.
    prepare: Action = nothing
    # What must be fixed whichever way the operator goes: free the disk, start the daemon.
    fix: Action = nothing
    # What only the way forward needs: the component that was broken, the file that was spoilt.
    correct: Action = nothing
    # What the first run is told, and what the operator says when going on or back, as the failure asked for.
    arguments: tuple[str, ...] = ()
    go_on_with: tuple[str, ...] = ()
    roll_back_with: tuple[str, ...] = ()
    # Differences from an undisturbed upgrade that this fault itself makes.
    differs: tuple[str, ...] = ()
    # The run gets over it by itself.
    survived: bool = False
    # The fault took the only way back: the rollback must refuse, change nothing, and leave the way on.
    no_way_back: bool = False


@dataclasses.dataclass
class Ending:
    """How one way out of a fault ended."""

    first: str
    result: str
    ok: bool
    seconds: float


class Scene:
    """The server of a campaign: how it was before, and how an undisturbed upgrade leaves it."""

    def __init__(self, server: Server, logs: pathlib.Path = LOGS) -> None:
        self.server = server
        self.logs = logs
        deployment.psql(server, REPORTING)
        # How it was before the run of the row.
        self.prepared = picture(server)
        self.daemon = Daemon()
        self.undo: list[Callable[[], None]] = []
        # What a fault keeps for its fixing.
        self.kept: dict[str, object] = {}
        self.runs: list[Playbook] = []
        self.log_name = ""

    @functools.cached_property
    def saved(self) -> SavedServer:
        """The server as it was before anything happened; who needs it asks for it before the first run."""
        return SavedServer(self.server)

    def upgrade_undisturbed(self) -> None:
        """The picture that every upgrade that was gone on with must equal."""
        self.log_name = "undisturbed"
        self.prepared = picture(self.saved.server)
        run = self.start(UPGRADE).end()
        if run.code:
            raise RehearsalError("The undisturbed upgrade failed:\n" + run.text[-4000:])
        if self.server.contact_details() != expected_contact_details(self.server.users()):
            raise RehearsalError("The undisturbed upgrade did not leave the contact details that are expected.")
        self.upgraded = picture(self.server)

    def start(self, playbook: str, *arguments: str, moment: Moment | None = None) -> Playbook:
        """Start a playbook."""
        log = self.logs / ("%s-%d.log" % (self.log_name, len(self.runs)))
        arguments = tuple(one.replace("{root}", str(self.server.root)) for one in arguments)
        self.runs.append(Playbook(self.server, playbook, log, arguments, moment))
        return self.runs[-1]

    def inject(self, fault: Fault) -> Run:
        """Put the saved server back and upgrade it with the fault; the first run's end."""
        self.saved.restore()
        fault.prepare(self)
        self.prepared = picture(self.server)
        return self.strike(fault)

    def strike(self, fault: Fault) -> Run:
        """Run the upgrade with the fault on the server as it is."""
        run = self.start(UPGRADE, *fault.arguments, moment=fault.moment)
        if fault.moment:
            run.reach()
            fault.strike(self, run)
            run.go_on()
        first = run.end()
        if (first.code == 0) != fault.survived:
            raise RehearsalError("the first run ended with %d, so the fault was none" % first.code)
        return first

    @contextlib.contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Whatever a fault has set up or left running is cleared away after it."""
        self.log_name, self.runs, self.kept = name.replace(" ", "-"), [], {}
        try:
            yield
        finally:
            for run in self.runs:
                run.kill_everything()
            self.daemon.start()
            while self.undo:
                self.undo.pop()()

    def wait_for_components(self) -> None:
        """Wait until the components of before the upgrade answer."""
        server, wanted = self.server, self.saved.versions
        deployment.wait_until("the components", lambda: server.versions() == wanted, 60)

    # -- the two ways out ------------------------------------------------------------------------------------------

    def resumed(self, fault: Fault) -> Ending:
        """Inject, fix, run the upgrade again: it must finish and leave what an undisturbed one leaves."""
        began = time.monotonic()
        first = "-"
        with self.row(fault.name + " resumed"):
            try:
                first = said(self.inject(fault))
                fault.fix(self)
                fault.correct(self)
                run = self.start(UPGRADE, *fault.go_on_with).end()
                problems = [] if run.code == 0 else [said(run)]
                problems += self.compared(self.upgraded, fault.differs)
                journal = json.loads((self.server.state_dir / "journal.json").read_text())
                problems += [] if journal["finished"] else ["the journal says that the run is under way"]
            except BROKEN as error:
                problems = [str(error)]
        return Ending(first, "; ".join(problems) or "ok", not problems, time.monotonic() - began)

    def chained(self, name: str, faults: list[Fault]) -> dict[str, Ending]:
        """One upgrade that is struck by one fault after the other: each run must come to the next fault, the last one
        to its end.
        """
        endings: dict[str, Ending] = {}
        with self.row("chain " + name):
            self.saved.restore()
            for fault in faults:
                began = time.monotonic()
                try:
                    first = said(self.strike(fault))
                    fault.fix(self)
                    endings[fault.name] = Ending(first, "ok", True, time.monotonic() - began)
                except BROKEN as error:
                    # It is the fault before that was not got over.
                    last = list(endings)[-1] if endings else fault.name
                    endings[last] = Ending(
                        endings[last].first if endings else "-", str(error), False, time.monotonic() - began
                    )
                    return endings
            run = self.start(UPGRADE).end()
            problems = ([] if run.code == 0 else [said(run)]) + self.compared(self.upgraded, ())
            if problems:
                endings = {
                    one: Ending(end.first, "; ".join(problems), False, end.seconds) for one, end in endings.items()
                }
        return endings

    def rolled_back(self, fault: Fault) -> Ending:
        """Inject, fix, roll back: everything must be as it was."""
        began = time.monotonic()
        first = "-"
        with self.row(fault.name + " rolled back"):
            try:
                first = said(self.inject(fault))
                fault.fix(self)
                problems = self.refused_and_gone_on(fault) if fault.no_way_back else self.taken_back(fault)
            except BROKEN as error:
                problems = [str(error)]
        return Ending(first, "; ".join(problems) or "ok", not problems, time.monotonic() - began)

    def taken_back(self, fault: Fault) -> list[str]:
        """Roll back; what is not as it was."""
        run = self.start(ROLLBACK, *fault.roll_back_with).end()
        return ([] if run.code == 0 else [said(run)]) + self.compared(self.prepared, ())

    def refused_and_gone_on(self, fault: Fault) -> list[str]:
        """Roll back where that cannot be, then go on; what is not as it must be."""
        before = self.settled()
        run = self.start(ROLLBACK).end()
        problems = [] if run.code else ["the rollback did not refuse"]
        problems += self.compared(before, ())
        run = self.start(UPGRADE, *fault.go_on_with).end()
        return problems + ([] if run.code == 0 else [said(run)]) + self.compared(self.upgraded, fault.differs)

    def settled(self) -> Picture:
        """A picture once nothing changes by itself any more: components that were started may still migrate."""
        pictures: list[Picture] = []

        def still() -> bool:
            with contextlib.suppress(psycopg2.Error):
                pictures.append(picture(self.server))
            return len(pictures) > 1 and pictures[-2].differences(pictures[-1]) == []

        deployment.wait_until("a server that stays as it is", still, 120)
        return pictures[-1]

    def compared(self, wanted: Picture, leave_out: tuple[str, ...]) -> list[str]:
        """What differs from a picture, as at most one sentence."""
        found = wanted.differences(picture(self.server), leave_out)
        return (
            ["differs: " + ", ".join(found[:6]) + (" and %d more" % (len(found) - 6) if found[6:] else "")]
            if found
            else []
        )


def said(run: Run) -> str:
    """What a run said at its end: its exit code and what it found."""
    if run.code == 0:
        return "0"
    if run.code < 0:
        return "killed"
    found = re.findall(r"^Found +(.*)$", run.text, re.MULTILINE)
    found = found or re.findall(r"""^ *(?:"?msg"?: *|fatal: .*?[Mm]sg"?: )(.*)$""", run.text, re.MULTILINE)
    return "%d: %s" % (run.code, (found[0] if found else run.text.strip().splitlines()[-1]).strip("'\" "))
