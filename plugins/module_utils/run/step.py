# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A step of a run: one process on the host that begins it in the journal, does it, verifies it and ends it there."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.journal import process
from ansible_collections.openlmis.operations.plugins.module_utils.run import site as sites

DATABASE_WAIT = 120  # seconds; one that has just been started needs a moment
UPGRADE, ROLLBACK = "upgrade", "rollback"
# The steps of each way, in their order; a step needs the one before it.
PLANS = {
    UPGRADE: [
        "pull",
        "maintenance_on",
        "stop",
        "backup",
        "set_versions",
        "start",
        "wait",
        "migrate_contact_details",
        "smoke_test",
        "maintenance_off",
    ],
    ROLLBACK: ["maintenance_on", "stop", "restore", "start", "wait", "smoke_test", "maintenance_off"],
}


class Journal:
    """The journal of the run on this host; nothing is written in check mode."""

    def __init__(self, path: str, phase: str, run: Mapping[str, Any], writes: bool) -> None:
        self.path, self.phase, self.run, self.writes = path, phase, run, writes
        self.load()

    def load(self) -> None:
        """Read the file; in check mode once, since then nothing of what is done stands in it."""
        if self.writes or not hasattr(self, "content"):
            self.content, self.damaged = journals.load(self.path)

    @property
    def under_way(self) -> bool:
        """Whether there is a run to resume."""
        return journals.under_way(self.content)

    @property
    def run_id(self) -> str:
        """The run's id, empty without one."""
        return self.content["run_id"] if self.content else ""

    @property
    def steps(self) -> List[Dict[str, Any]]:
        """Every attempt at a step, of an earlier run too when that is the last one."""
        return self.content["steps"] if self.content else []

    def ended(self, *names: str) -> List[Dict[str, Any]]:
        """Return the ended attempts at these steps."""
        return [one for one in self.steps if one["step"] in names and one["finished"]]

    def data(self, name: str, first: bool = False) -> Dict[str, Any]:
        """Return what the last (or the first) ended attempt at a step has noted; nothing without one."""
        found = self.ended(name)
        return found[0 if first else -1]["data"] if found else {}

    def done(self) -> List[str]:
        """Return the steps that are done in this run and phase."""
        return sorted(journals.finished_steps(self.content, self.phase))

    def require_sound(self) -> None:
        """Raise OperationError where no step may begin: a damaged journal, or a rollback under way where an upgrade is
        asked for.
        """
        if self.damaged and self.writes:
            raise OperationError(self.damaged)
        journals.require_phase(self.content, self.phase)

    def begin(self, step: str, told: Mapping[str, Any]) -> None:
        """Note that a step begins, in the run under way or else in a new one, for which C(told) is kept."""
        self.load()
        params = {
            **self.run,
            "step": step,
            "phase": self.phase,
            "plan": PLANS[self.phase],
            "run": told,
            "path": self.path,
        }
        params["process"] = process.mine()
        self.save(journals.started(self.content, params, now()))

    def note(self, data: Mapping[str, Any]) -> None:
        """Keep what the step that has begun found: its end may be another process."""
        if data:
            self.load()
            self.save(journals.noted(self.content, {**self.run, "path": self.path}, data))

    def end(self, step: str, data: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        """Note that a step has ended, with its data and what has changed of the run.

        The file may have changed meanwhile: a controller that took the run over is not overwritten.
        """
        self.load()
        params = {**self.run, "step": step, "data": data, "run": told, "path": self.path}
        self.save(journals.done(self.content, params, now()))

    def save(self, content: Optional[journals.Journal]) -> None:
        """Have the file hold this journal."""
        if content is not None and content != self.content and self.writes:
            try:
                journals.save(self.path, content)
            except OSError as error:
                raise OperationError(
                    f"{self.path} cannot be written ({error.strerror}), and a run needs a journal that survives it."
                    " Free some space, or set openlmis_state_dir to a directory that this user may write, and run"
                    " again."
                ) from error
        self.content = content


def now() -> str:
    """Return this moment as the journal writes times: the host's clock, in UTC."""
    return datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")


class Context:
    """What every step works with: the site, the run and its journal, the server, and what is shown of it all."""

    def __init__(self, module: Any, progress: Any) -> None:
        params = module.params
        secrets = {name: params[name] for name in ("login_password", "admin_password", "client_secret")}
        self.module, self.progress, self.check_mode = module, progress, module.check_mode
        self.site = sites.read(params["site"], **secrets)
        self.phase, self.again, self.part, self.told = params["phase"], params["again"], params["part"], params["told"]
        self.run = params["run"]
        self.journal = Journal(self.state("journal.json"), self.phase, self.run, not self.check_mode)
        self.lines: List[str] = []
        self.changed = False
        self.diff: List[Dict[str, str]] = []
        # How long the work itself took, in seconds, where something tells.
        self.duration: Any = None
        self._looked: Optional[Tuple[server.Look, Dict[str, Any]]] = None

    @property
    def release(self) -> Mapping[str, Any]:
        """The release that the run leads to."""
        return self.site["release"]

    @property
    def going_back(self) -> bool:
        """Whether this is a rollback."""
        return self.phase == ROLLBACK

    def state(self, name: str) -> str:
        """Return the path of a file of the run."""
        return os.path.join(self.site["state_dir"], name)

    def say(self, *lines: str) -> None:
        """Have lines shown when the step is over."""
        self.lines.extend(line for line in lines if line)

    @property
    def server(self) -> Dict[str, Any]:
        """What the server is, as it was last looked at."""
        return (self._looked or self.look())[1]

    @property
    def seen(self) -> server.Look:
        """Docker's and Compose's side of it; it holds passwords."""
        return (self._looked or self.look())[0]

    def look(self, database_wait: int = DATABASE_WAIT, **options: Any) -> Tuple[server.Look, Dict[str, Any]]:
        """Look at the server anew; options as those of C(server.gather)."""
        self._looked = server.gather({**self.site, **options}, database_wait)
        return self._looked

    def forget(self) -> None:
        """Have whoever needs the server next look at it anew."""
        self._looked = None

    def services(self, key: str) -> List[str]:
        """Return the services of which a fact holds."""
        return [name for name, one in self.server["services"].items() if one[key]]


class Step:
    """A step, read from top to bottom: what it needs, what is there already, what it does, what it must
    have reached.
    """

    name = ""
    # A rollback may begin with the database gone, and puts another one in its place.
    database_optional_in_rollback = False

    def __init__(self, context: Context) -> None:
        self.context, self.site, self.journal = context, context.site, context.journal
        self.run_changes: Dict[str, Any] = {}

    # -- what a step says of itself --------------------------------------------------------------------------------

    def reached(self) -> bool:
        """Return whether all that the step brings about is the case; asked only where the journal says
        that it is done.
        """
        return False

    def obstacle(self) -> str:
        """Return why the step may not begin, with what to do; empty when it may."""
        return ""

    def intention(self) -> List[str]:
        """Return what the step would do, for check mode."""
        return []

    def prepare(self) -> Dict[str, Any]:
        """Do what comes before the site's own tasks, where it has any; return what the journal keeps of it."""
        return {}

    def work(self) -> Dict[str, Any]:
        """Do what the step is for; return what the journal keeps of it."""
        raise NotImplementedError

    def shortfall(self) -> str:
        """Return what the step was to reach and has not; empty when all is well. It may look at the server anew."""
        return ""

    def site_tasks(self) -> bool:
        """Return whether tasks of the site's own do a part of the step."""
        return False

    # -- how it is done --------------------------------------------------------------------------------------------

    def run(self) -> Dict[str, Any]:
        """Do the step, or the part of it before or after the site's own tasks; return what the task file goes by."""
        context, journal = self.context, self.journal
        journal.require_sound()
        if context.part != "end":
            if self.name in journal.done() and journals.may_skip(
                journal.content, self.name, context.phase, self.reached()
            ):
                return {"site_tasks": False}
            if context.check_mode:
                context.changed = True
                context.say(*self.intention())
                return {"site_tasks": False}
            self.begin()
            if self.site_tasks():
                return {"site_tasks": True}
        # Somebody may have taken the run over while the site's own tasks went on.
        journals.require_held(journal.content, {**context.run, "path": journal.path}, step_ends=True)
        data = self.work()
        problem = self.shortfall()
        if problem:
            raise OperationError(problem)
        self.require_database(self.run_changes.get("database"))
        journal.end(self.name, data, self.run_changes)
        context.changed = True
        return {"site_tasks": False}

    def begin(self) -> None:
        """Begin the step in the journal, so that its failure can be noted there, and see that it may go on."""
        facts = self.look()
        told = {
            "from": facts["release"],
            "to": self.context.release["name"],
            "database": facts["database"]["identity"],
            "users": facts["database"]["users"],
            "warnings": self.context.told.get("warned", []),
        }
        self.journal.begin(self.name, told)
        self.require_database()
        problem = self.obstacle()
        if problem:
            raise OperationError(problem)
        self.journal.note(self.prepare())

    @property
    def database_optional(self) -> bool:
        """Whether the step goes on with any database, or none."""
        return self.database_optional_in_rollback and self.context.going_back

    def look(self) -> Dict[str, Any]:
        """Look at the server as it is now, unless that was done."""
        if self.database_optional and self.context._looked is None:
            self.context.look(0)
        return self.context.server

    def require_database(self, identity: Any = None) -> None:
        """Raise OperationError when the database is not the one that the run began with; C(identity) is one that the
        step has put there.
        """
        if not self.database_optional and identity is None:
            journals.require_database(self.journal.content, self.look()["database"], self.journal.path)
