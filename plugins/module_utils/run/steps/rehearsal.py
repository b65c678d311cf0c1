# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rehearsal: a copy of production takes the place of a staging server's database, and an upgrade of it is timed."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk, progress, skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import restart, running
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import copy, harmless, look
from ansible_collections.openlmis.operations.plugins.module_utils.release import wait
from ansible_collections.openlmis.operations.plugins.module_utils.run.rehearsing import FIRST as COPIED
from ansible_collections.openlmis.operations.plugins.module_utils.run.rehearsing import Rehearsing
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Context, Step, now
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps import report
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.wait import options

STARTED, BACK = "start_copy", "way_back"


def copy_options(context: Context, run: str, state: str) -> Dict[str, Any]:
    """Return the options of the copy."""
    site = context.site
    return {
        **site,
        "state": state,
        "run": run,
        "dump": site["rehearse_dump"],
        "database": site["rehearse_database"],
        "work_dir": context.state("rehearsal"),
        "jobs": site["backup_jobs"],
        "image": site["backup_image"],
        "wait_for_sessions": 60,
    }


class CheckRehearsal(Step):
    """Refuse a rehearsal where it could reach real users or partners, and look at the dump."""

    name = "check_rehearsal"

    def run(self) -> Dict[str, Any]:
        """Return what was found, and in C(refused) why the rehearsal must not begin."""
        context, site = self.context, self.site
        found = look.check(look_options(context))
        context.say(*found["table"])
        if found["refused"]:
            return {"refused": found["refused"], "nothing_to_do": "", "question": ""}
        planned = copy.run(copy_options(context, journals.run_id(now()), "beside"), True, context.progress)
        context.say(*planned["lines"])
        question = (
            f"{site['name']} is staging and goes offline now, gets a copy of production's database and is upgraded to"
            f" OpenLMIS {context.release['name']}."
        )
        return {"refused": [], "nothing_to_do": "", "question": question}


def look_options(context: Context) -> Dict[str, Any]:
    """Return the options of the look at dump and server."""
    site, journal = context.site, context.journal
    return {**site, "dump": site["rehearse_dump"], "run": journal.run_id if journal.under_way else ""}


class RestoreCopy(Step):
    """Restore the dump beside the database, make it harmless, and let it take the database's name."""

    name = COPIED

    def run(self) -> Dict[str, Any]:
        """Do it; whatever fails is followed by C(rehearsal_failed)."""
        context, rehearsing = self.context, Rehearsing(self.context)
        if context.check_mode:
            return {}
        rehearsing.begin(COPIED, {})
        release, found = context.server["release"], look.check(look_options(context))
        if found["refused"]:
            context.say(*rehearsing.over())
            raise OperationError(f"Refused; the server is as it was. {' '.join(found['refused'])}")
        running.remove(context.seen, context.services("stopped_for_upgrade"), context.progress)
        context.changed = True
        copied = copy.run(copy_options(context, rehearsing.run_id, "beside"), False, context.progress)
        context.say(*copied["lines"])
        context.progress.say("making the copy harmless")
        beside = {**self.site, "login_db": copied["scratch"]}
        self.require_release(context.look(login_db=copied["scratch"])[1]["release"], release)
        context.say(*harmless.said(harmless.rewrite(database.resolve_connection(beside), 0, False)))
        # Somebody may have taken over while this went on, and be restoring a copy of his own.
        rehearsing.load()
        journals.require_held(rehearsing.content, {**context.run, "path": rehearsing.path}, step_ends=True)
        in_place = copy.run(copy_options(context, rehearsing.run_id, "in_place"), False, context.progress)
        context.say(*in_place["lines"])
        rehearsing.end(
            COPIED, {"bytes": copied["bytes"], "kept_as": in_place["kept_as"], "components": found["components"]}, {}
        )
        return {}

    @staticmethod
    def require_release(found: str, wanted: str) -> None:
        """Raise OperationError when the copy is of another release than the one that runs here."""
        if found != wanted:
            raise OperationError(
                f"The migrations in the copy are those of {found or 'a mix of releases'}; this server runs {wanted}."
                " The staging server's database is unchanged. Deploy the release here that production runs, and run"
                " again."
            )


class StartCopy(Step):
    """Start the release of before on the copy, and wait until every component answers."""

    name = STARTED

    def run(self) -> Dict[str, Any]:
        """Start it; whatever fails is followed by C(rehearsal_failed)."""
        context, rehearsing = self.context, Rehearsing(self.context)
        if context.check_mode:
            return {}
        if not (journals.unfinished(rehearsing.content) and rehearsing.ended(COPIED)):
            raise OperationError(
                "No copy of production was put onto this server by a rehearsal that is under way. Run rehearse-3.4.yml"
                " without --tags."
            )
        rehearsing.begin(STARTED, {})
        running.up(context.seen, [], context.server["restarts"], context.progress)
        context.look()
        components = rehearsing.data(COPIED).get("components") or []
        wait.wait(options(context, [], components=components), False, context.progress)
        rehearsing.end(STARTED, {}, {})
        context.changed = True
        return {}


class RehearsalFailed(Step):
    """Leave nothing of production behind and the server as it was, unless the copy has its place already."""

    name = "rehearsal_failed"

    def run(self) -> Dict[str, Any]:
        """Return what the playbook fails with."""
        context, rehearsing = self.context, Rehearsing(self.context)
        said = [report.reason(context.told["failed"])]
        if rehearsing.held:
            in_place, kept, problem = bool(rehearsing.ended(COPIED)), rehearsing.data(COPIED).get("kept_as"), ""
            if not in_place:
                in_place, kept, problem = self.dropped(rehearsing.run_id)
            said += self.stays(kept) if in_place else [problem, self.started()]
            context.say(*rehearsing.over())
        return {"sentence": " ".join(one for one in said if one)}

    @staticmethod
    def stays(kept: Optional[str]) -> List[str]:
        """Return what to do when the copy has its place."""
        return [
            "The copy is in its place and harmless.",
            f"The database that staging had is kept as {kept}." if kept else "",
            "Fix this and run upgrade-3.4.yml, which begins where this ended; another copy is not needed.",
        ]

    def dropped(self, run: str) -> Tuple[bool, Optional[str], str]:
        """Drop what was restored; return whether the copy has its place after all, what is kept then, what failed."""
        context = self.context
        try:
            gone = copy.run(copy_options(context, run, "absent"), False, context.progress)
        # Whatever it is, the server is started again.
        except Exception as error:
            said = (
                f"What was restored of production could not be dropped: {text_of(error)} The next rehearsal drops it."
            )
            return False, None, said
        context.say(*gone["lines"])
        return gone["in_place"], gone["kept_as"], ""

    def started(self) -> str:
        """Start the server on the database that it had; return how that went."""
        context = self.context
        context.changed = True
        try:
            running.up(context.seen, [], context.server["restarts"], context.progress)
            context.look()
            restart.release(context.seen)
        # Whatever it is, others may rehearse and the first reason is told.
        except Exception as error:
            return (
                f"The staging server could not be started again: {text_of(error)} Its own database is as it was; fix"
                " this and start it with Compose."
            )
        return "The staging server was started again on the database that it had."


def text_of(error: Exception) -> str:
    """Return what an operator is told of an error, whatever it is."""
    return str(error) if isinstance(error, OperationError) else skeleton.sentence(error) or str(error)


class WayBack(Step):
    """Keep how long each step of a rehearsed rollback took; the upgrade after it begins another journal."""

    name = BACK

    def run(self) -> Dict[str, Any]:
        """Keep it."""
        if not self.context.check_mode:
            Rehearsing(self.context).keep(BACK, {"summary": journals.summarise(self.journal.content)})
        return {}


class ReportRehearsal(Step):
    """Report what production has to expect."""

    name = "report_rehearsal"

    def run(self) -> Dict[str, Any]:
        """Write the report and say it."""
        context, site, rehearsing = self.context, self.site, Rehearsing(self.context)
        if context.check_mode:
            return {"fetch": []}
        summary, begun = journals.summarise(self.journal.content), (self.journal.content or {}).get("run", {})
        expected = {
            "rehearsal": rehearsing.run_id or self.journal.run_id,
            "run": self.journal.run_id,
            "host": site["name"],
            "from": begun.get("from"),
            "to": begun.get("to"),
            "users": begun.get("users"),
            "database_bytes": rehearsing.data(COPIED).get("bytes", 0),
            "dump": site["rehearse_dump"],
            "backup_verify": site["rehearse_backup_verify"] or "restore",
            "offline": summary["offline"],
            "steps": summary["steps"],
            "rollback": rehearsing.data(BACK).get("summary"),
        }
        path, folder = context.state("rehearsal.json"), context.told.get("report_dir")
        disk.write(path, expected)
        fetch = [{"src": path, "dest": f"{folder}/{site['name']}-rehearsal.json"}] if folder else []
        places = ", on the controller ".join([path, *(one["dest"] for one in fetch)])
        context.say(*expectation(expected), f"Report             {places}", *rehearsing.over())
        context.changed = True
        return {"fetch": fetch}


def expectation(expected: Mapping[str, Any]) -> List[str]:
    """Return the report in lines."""
    told = expected
    lines = [
        f"Rehearsed on {told['host']}: OpenLMIS {told['from']} -> {told['to']} on a copy of production, {told['users']}"
        f" users, {progress.size(told['database_bytes'])}",
        " ",
        f"Expected downtime of production: {told['offline']} s, on a server like this one",
        " ",
        "Seconds by step",
    ]
    for one in told["steps"]:
        lines.append(f"{one['seconds']:8.1f} {one['step']}{', users still work' if one['step'] == 'pull' else ''}")
    if told["backup_verify"] == "restore":
        lines.append(
            "The backup was verified by restoring it here; with openlmis_backup_verify: rows, production's default,"
            " that step is shorter."
        )
    back = told["rollback"]
    if back:
        lines += [
            " ",
            f"Way back           {back['offline']} s offline; the server was upgraded again after it, these are the"
            " seconds of that",
        ]
        lines += [f"{one['seconds']:8.1f} {one['step']}" for one in back["steps"]]
    return [*lines, " "]
