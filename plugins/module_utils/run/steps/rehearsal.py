# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a rehearsal on a staging server needs."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import restart, running
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.release import wait
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import UPGRADE, Context, Journal, Step, now
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.wait import options


def rehearsing(context: Context) -> Journal:
    """Return who rehearses, from the first container that is removed to the report: the run's own journal begins with
    its upgrade only.
    """
    return Journal(context.state("rehearsing.json"), UPGRADE, context.run, not context.check_mode)


class Begin(Step):
    """Note that this controller rehearses: two rehearsals would drop each other's copy."""

    name = "rehearsal_begin"

    def run(self) -> Dict[str, Any]:
        """Note it; raise OperationError when somebody else does."""
        journal = rehearsing(self.context)
        journal.require_sound()
        params = {
            **self.context.run,
            "step": "restore_copy",
            "phase": UPGRADE,
            "plan": [],
            "run": {},
            "path": journal.path,
        }
        journal.save(journals.started(journal.content, params, now()))
        return {}


class Over(Step):
    """Let others rehearse. It comes after the rehearsal and often after its failure, which it must not hide."""

    name = "rehearsal_over"

    def run(self) -> Dict[str, Any]:
        """Note that nobody rehearses any more; where that fails, say so."""
        journal = rehearsing(self.context)
        try:
            journal.require_sound()
            if journal.content is not None and not journal.content["finished"]:
                params = {**self.context.run, "outcome": "upgraded", "path": journal.path}
                journal.save(journals.finished(journal.content, params, now()))
        except OperationError as error:
            self.context.say(
                f"warning   {journal.path} still says that somebody rehearses: {error}",
                "The next rehearsal from this controller sees that this one is gone; from another one run it with"
                " openlmis_take_over=true.",
            )
        return {}


class Stop(Step):
    """Remove the containers of components, UI, nginx and consul."""

    name = "rehearsal_stop"

    def run(self) -> Dict[str, Any]:
        """Remove them."""
        running.remove(self.context.seen, self.context.services("stopped_for_upgrade"), self.context.progress)
        self.context.changed = True
        return {}


class Start(Step):
    """Start the staging server: on the copy, or after a failure as it was."""

    name = "rehearsal_start"

    def run(self) -> Dict[str, Any]:
        """Start it; after a failure containers start by themselves again, else it is waited for."""
        context = self.context
        context.changed = True
        running.up(context.seen, [], context.server["restarts"], context.progress)
        context.look()
        if context.told.get("as_it_was"):
            restart.release(context.seen)
        else:
            wait.wait(options(context, [], components=context.told["components"]), False, context.progress)
        return {}


class Summary(Step):
    """Tell how long each step of the run took."""

    name = "rehearsal_summary"

    def run(self) -> Dict[str, Any]:
        """Return the run's id, what it began with, and the seconds."""
        content = self.journal.content or {}
        told = {"run_id": self.journal.run_id, "under_way": self.journal.under_way, "begun": content.get("run", {})}
        return {**told, "summary": journals.summarise(self.journal.content)}
