# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read everything and change nothing: before an upgrade, and before a rollback."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.check import preflight
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restore
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps import rollback
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.maintenance import firewall

TARGET = "target"


class Check(Step):
    """Look for everything that could keep the upgrade from its end."""

    name = "check"

    def run(self) -> Dict[str, Any]:
        """Return what was found, and in C(refused) why the upgrade must not begin."""
        context = self.context
        self.look_at_rehearsal_report()
        # In check mode a journal that was lost is not written again.
        resumed = self.journal.under_way or bool(context.check_mode and context.told.get("under_way"))
        context.progress.say("looking at the server")
        found = preflight.check({**context.site, "resumed": resumed})
        context.say(*found["table"])
        if found["refused"]:
            return {**found, "nothing_to_do": "", "question": ""}
        done = found["server"]["state"] == TARGET and not self.journal.under_way
        if not self.journal.under_way and not done:
            # What it refuses, such as a host without iptables, is better known before the question than after it.
            firewall(context, "present", check_mode=True)
        nothing = f"{self.site['name']} is at {context.release['name']}, contact details copied" if done else ""
        return {**found, "nothing_to_do": nothing, "question": self.question(found["server"])}

    def look_at_rehearsal_report(self) -> None:
        """Refuse a rehearsal's report that is none, unless a run is under way: a hint is not worth the upgrade of a
        server that is offline.
        """
        problem = (self.context.run.get("rehearsed") or {}).get("problem")
        if problem and not self.journal.under_way:
            raise OperationError(
                f"openlmis_rehearsal_report is {problem}; the absolute path on the controller of a rehearsal's report"
                " in JSON, with the seconds of its steps, is expected. Nothing was changed. Correct it or leave it"
                " out, and run again."
            )
        if problem:
            self.context.say(f"openlmis_rehearsal_report is {problem}: no step says how much of its time is left")

    def question(self, server: Dict[str, Any]) -> str:
        """Return what is asked before users are kept out."""
        target = self.context.release["name"]
        what = "gets what is left of its upgrade to" if server["release"] == target else "is upgraded to"
        return (
            f"{self.site['name']} goes offline now, is backed up to {self.site['backup_dir']} and {what} OpenLMIS"
            f" {target}."
        )


class CheckRollback(Step):
    """Find out what has to be undone, and whether it may be. Where the database does not answer, the restore asks the
    same once it is up.
    """

    name = "check_rollback"

    def run(self) -> Dict[str, Any]:
        """Return what would be done, and in C(refused) why the rollback must not begin."""
        context, site = self.context, self.site
        # Once: a database that is gone does not come by waiting.
        context.look(0, look_by_backup=site["rollback_backup"], look_by_backup_in=site["backup_dir"], target_files=None)
        planned = rollback.plan(context, context.told.get("journal") if context.check_mode else None)
        facts = context.server
        lines: List[str] = []
        if planned["restore"] and not planned["refused"] and not planned["nothing"]:
            lines = [
                "The database does not answer; its container is brought up first, and what is in it is looked at then"
            ]
            if facts["project"]["unreadable"]:
                lines = ["The database is looked at once the deployed files are put back"]
            elif facts["database"]["error"] is None:
                lines = restore.into_place(rollback.restore_options(context, planned), True, context.progress)["lines"]
        if planned["lines"]:
            context.say(facts["project"]["unreadable"], *planned["lines"], *lines)
        name, unreadable = self.site["name"], bool(facts["project"]["unreadable"])
        return {
            "refused": planned["refused"],
            "nothing_to_do": planned["nothing"],
            "question": f"{name} goes offline now and back to OpenLMIS {planned['release']}, as said above.",
            "unreadable": unreadable,
            "gone": planned["gone"],
            # Without any container there is nobody to keep out, and nothing that a look could go by.
            "further": not (planned["gone"] or unreadable),
            "project_name": (planned["manifest"] or {}).get("project", {}).get("name") if planned["gone"] else None,
        }


class PutFilesBack(Step):
    """Put deployed files back that Compose cannot read: no step could look at the server by those that are there."""

    name = "put_files_back"

    def run(self) -> Dict[str, Any]:
        """Put them back, and bring the database up where every container is gone."""
        context, site = self.context, self.site
        context.look(0, look_by_backup=site["rollback_backup"], look_by_backup_in=site["backup_dir"], target_files=None)
        planned = rollback.plan(context)
        if context.server["project"]["unreadable"]:
            files = rollback.put_files_back(context, planned)
            context.changed = True
            context.say(f"Put back, so that Compose can read them: {', '.join(files)}")
        if planned["gone"]:
            rollback.database_up.bring_up(context, planned["mounts"])
            context.changed = True
        return {}
