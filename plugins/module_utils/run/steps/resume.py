# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must come first where a run was cut off, before anything is read or asked: take over the run, keep users out
again.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, containers
from ansible_collections.openlmis.operations.plugins.module_utils.host import restart, running
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.journal import process
from ansible_collections.openlmis.operations.plugins.module_utils.run import database_up, traces
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step, now
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.maintenance import FIREWALL, NONE, firewall

PAUSE = 0.5  # seconds between two looks at a process


class Resume(Step):
    """Find out which run is under way, written again where its journal was lost, and have the server as that run left
    it.
    """

    name = "resume"

    def run(self) -> Dict[str, Any]:
        """Take over the run; return whether it is C(under_way), its C(journal), and whether the site's own tasks have
        to keep users out.
        """
        context = self.context
        if not context.check_mode:
            self.wait_for_process()
        if self.site["take_over"]:
            self.refuse_while_others_work()
        told = self.claim()
        facts = context.server
        if told["mounts"] and not context.check_mode and not facts["project"]["unreadable"]:
            # Only the histories tell how far the run came; the database is started on the data that the backup names.
            database_up.bring_up(context, told["mounts"], own_data_only=True)
            again = self.claim()
            told = {"lost": told["lost"] or again["lost"], "recovered": told["recovered"] or again["recovered"]}
            facts = context.server
        self.say_what_was_wrong(told)
        keep_out = journals.keep_out(self.journal.content) and not facts["project"]["unreadable"]
        if keep_out:
            self.keep_out()
        tasks = keep_out and self.site["gate"] not in (FIREWALL, NONE)
        return {
            "site_tasks": tasks,
            "under_way": self.journal.under_way,
            "journal": self.journal.content if self.journal.under_way else None,
        }

    def wait_for_process(self) -> None:
        """Wait until the process of a step has ended that goes on without its controller; it notes the
        end by itself.
        """
        while (
            self.journal.steps
            and not self.journal.steps[-1]["finished"]
            and process.is_alive(self.journal.steps[-1].get("process"))
        ):
            entry = self.journal.steps[-1]
            # Nobody waits for a controller that works on the run: that is refused at once.
            journals.held(self.journal.content, self.context.run["holder"], self.context.run["take_over"])
            self.context.progress.say(
                f"waiting for process {entry['process']['pid']} of this host, which still works at the step"
                f" {entry['step']}"
            )
            time.sleep(PAUSE)
            self.journal.load()

    def refuse_while_others_work(self) -> None:
        """Raise OperationError when something of the other controller still works."""
        working = containers.all_of_ours(compose.docker_client())
        if working:
            raise OperationError(
                f"{', '.join(one.name for one in working)} still works for the controller that started the run. Wait"
                " until it has ended (`docker wait`), or remove it, and run again."
            )

    def claim(self) -> Dict[str, Any]:
        """Look at the server and make the run under way this controller's; return what there is to tell of how it was
        found.

        A rollback also looks where Compose cannot read the deployed files: by those of the backup, which it puts back
        after the question.
        """
        context, journal, site = self.context, self.journal, self.site
        back = context.going_back
        more = (
            {"look_by_backup": site["rollback_backup"], "look_by_backup_in": site["backup_dir"], "target_files": None}
            if back
            else {}
        )
        facts = context.look(0, **more)[1]
        left = traces.traces(facts["project"]["src"], site["backup_dir"], context.module.get_bin_path)
        content, lost = journal.content, journal.damaged
        lost = lost or (journals.stray(content, left, facts) if content is not None else "")
        if lost:
            lost, content = self.put_aside(lost), None
        mounts, before = journals.unanswered(content, left, facts), content
        content = journals.recovered(content, left, facts, context.release["name"], now())
        # A run of which no journal was left is the only one that is unfinished now and was not before.
        recovered = journals.unfinished(content) and not journals.unfinished(before)
        if content is not None and journals.under_way(content):
            content = journals.claimed(content, context.run["holder"], context.run["take_over"])
            content = content if back else journals.given_up(content, facts["database"]["identity"])
        journal.save(content)
        journal.content, journal.damaged = content, ""
        return {"lost": lost, "mounts": mounts, "recovered": recovered}

    def put_aside(self, why: str) -> str:
        """Move a journal aside that is none of a run on this server; return what there is to tell of it."""
        kind = "damaged" if self.journal.content is None else "stray"
        aside = f"{self.journal.path}.{kind}-{journals.run_id(now())}"
        if not self.context.check_mode:
            os.replace(self.journal.path, aside)
        return f"The journal {'would be' if self.context.check_mode else 'was'} put aside as {aside}: {why}"

    def say_what_was_wrong(self, told: Dict[str, Any]) -> None:
        """Say what was wrong with the journal."""
        self.context.say(told["lost"])
        if told["recovered"]:
            self.context.say(
                f"Run {self.journal.run_id} had begun and has no journal: it"
                f" {'would be' if self.context.check_mode else 'was'} written again from the backup, the kept images"
                " and the state of this server."
            )

    def keep_out(self) -> None:
        """Keep users out again where a reboot has let them in, and have the database run again where one has stopped
        it.
        """
        context = self.context
        context.say(*firewall(context, "present")["lines"])
        if context.check_mode:
            return
        if context.server["restarts"]:
            restart.hold(context.seen)
        running.clear(context.seen)
        mounts = ((self.journal.content or {})["run"].get("database") or {}).get("mounts") or {}
        # A rollback asks first, and may find the data gone.
        database_up.bring_up(context, mounts, own_data_only=context.going_back)


class Ways(Step):
    """Leave the commands to resume and to roll back on the host, before the window opens: a lost connection prints
    nothing.
    """

    name = "ways"

    def run(self) -> Dict[str, Any]:
        """Write and say them."""
        commands, path = self.context.run["commands"], self.context.state("ways.txt")
        back = (
            f"  to roll back: {commands['rollback']}"
            if commands.get("rollback")
            else "  nothing else: a rollback is finished"
        )
        lines = [
            "If this run stops, or the connection to it is lost, on the controller",
            f"  to go on:     {commands['resume']}",
            back,
            f"This also stands in {path} on {self.site['name']}.",
        ]
        os.makedirs(self.site["state_dir"], mode=0o700, exist_ok=True)
        disk.write_text(path, "\n".join([*lines, ""]))
        self.context.say(*lines)
        return {}
