# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a run: its report, after success and after a failure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.report import report_files
from ansible_collections.openlmis.operations.plugins.module_utils.run.rehearsing import Rehearsing
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Context, Step, now


def write(context: Context, finding: str = "", failure: Optional[List[str]] = None) -> Dict[str, Any]:
    """Write the report and say it. What the run has come to does not depend on it: one that cannot be written is said,
    and no more.
    """
    seen: Dict[str, Any] = {}
    try:
        seen = context.server
    except OperationError as error:
        context.say(f"The server's state cannot be looked at: {error}")
    params = {
        "name": context.site["name"],
        "project": (seen.get("project") or {}).get("name"),
        "base_url": context.site["base_url"],
        "phase": context.phase,
        "server": seen,
        "finding": finding,
        "commands": context.run["commands"],
    }
    made: Dict[str, Any] = {"run": None}
    try:
        made = report_files.make(context.journal.content, params, context.site["state_dir"], failure or [])
        context.say("\n", *made["lines"])
        context.say(f"Report    {made['html']}" if made["html"] else "")
    except OperationError as error:
        context.say("\n", *error.facts.get("lines", failure or []), f"warning   No report: {error}")
    reports = [made[kind] for kind in ("html", "json") if made.get(kind)]
    directory = context.told.get("report_dir")
    names = {
        path: f"{directory}/{context.site['name']}-{made['run']}{path[path.rindex('.') :]}"
        for path in reports
        if directory
    }
    context.say(*(f"          {dest} on the controller" for dest in names.values() if dest.endswith(".html")))
    return {"fetch": [{"src": path, "dest": dest} for path, dest in names.items()]}


class Report(Step):
    """End the run and show its report."""

    name = "report"

    def run(self) -> Dict[str, Any]:
        """End the run in the journal and write the report."""
        journal, context = self.journal, self.context
        if context.check_mode:
            return {"fetch": []}
        journal.require_sound()
        if journal.content is not None:
            outcome = "rolled back" if context.going_back else "upgraded"
            journal.save(
                journals.finished(journal.content, {**context.run, "outcome": outcome, "path": journal.path}, now())
            )
        context.changed = True
        return write(context)


class Failed(Step):
    """Say what was found, what state the server is in, and how to resume and to roll back."""

    name = "failed"

    def run(self) -> Dict[str, Any]:
        """Note why the step did not end, where it is the run that failed and not something beside it,
        such as a check.
        """
        context, journal = self.context, self.journal
        finding = journals.plain(reason(context.told["failed"]))
        # Prepared files that are not there any more must not hide what there is to tell.
        more = {"look_by_backup_in": self.site["backup_dir"]} if context.going_back else {}
        facts: Dict[str, Any] = {}
        try:
            facts = context.look(0, target_files=None, **more)[1]
        except OperationError as error:
            context.say(f"The server's state cannot be looked at: {error}")
        noted = journal.writes and journals.is_run_by(journal.content, context.run["holder"])
        known = journal.content if noted or journal.under_way else None
        lines = journals.failure_lines(known, context.phase, facts, finding, context.run["commands"])
        result: Dict[str, Any] = {"fetch": []}
        unbegun = context.told.get("unbegun") or []
        lines += [f"Not begun {', '.join(unbegun)}; the command to go on comes to them, too"] if unbegun else []
        if noted and journal.content is not None:
            journal.save(journals.failed(journal.content, finding, now(), learned(context.told["failed"])))
            result = write(context, finding, lines) if facts else {**result, **self.unseen(finding, lines)}
        else:
            context.say("\n", *lines)
        rehearsing = Rehearsing(context)
        context.say(*(rehearsing.over() if rehearsing.held else []))
        first = lines[0].partition("FAILED")[2].strip() or lines[0]
        return {
            **result,
            "sentence": f"{first} What was found, the server's state, and the commands to go on and back stand above.",
        }

    def unseen(self, finding: str, lines: List[str]) -> Dict[str, Any]:
        """Write the report of a server that cannot be looked at."""
        self.context._looked = (None, {})  # type: ignore[assignment]
        return write(self.context, finding, lines)


def reason(failed: Mapping[str, Any]) -> str:
    """Return why a task has failed. Of a command Ansible says only that its return code is not zero, of a loop only
    that an item failed.
    """
    items = [one for one in failed.get("results") or [] if isinstance(one, dict) and one.get("failed")]
    said = [one.get("msg") for one in items] + (failed.get("stderr_lines") or [])[-1:] + [failed.get("msg")]
    return next((str(one) for one in said if one), "no reason was given")


def learned(failed: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the step had found out until it failed."""
    results = [one for one in failed.get("results") or [] if isinstance(one, dict) and "detail" in one]
    return {"components": failed.get("components") or {}, "results": results}
