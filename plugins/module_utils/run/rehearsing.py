# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who rehearses on a server: two rehearsals at once would drop each other's copy."""

from __future__ import annotations

from typing import Any, List, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import UPGRADE, Context, Journal, now

FIRST = "restore_copy"


class Rehearsing(Journal):
    """Who rehearses, from the first container that is removed to the report, and what the rehearsal has found out.

    The run's own journal begins with its upgrade only.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context.state("rehearsing.json"), UPGRADE, context.run, not context.check_mode)

    @property
    def held(self) -> bool:
        """Whether this controller rehearses."""
        return journals.unfinished(self.content) and journals.is_run_by(self.content, self.run["holder"])

    def begin(self, step: str, told: Mapping[str, Any]) -> None:
        """Note that a part begins, a new rehearsal with the first. Raises OperationError when another one rehearses."""
        self.load()
        self.require_sound()
        if step == FIRST and self.content is not None and journals.unfinished(self.content):
            journals.held(self.content, self.run["holder"], self.run["take_over"])
            self.content = None
        params = {**self.run, "step": step, "phase": UPGRADE, "plan": [], "run": told, "path": self.path}
        self.save(journals.started(self.content, params, now()))

    def keep(self, step: str, data: Mapping[str, Any]) -> None:
        """Keep what a part has found out."""
        self.begin(step, {})
        self.end(step, data, {})

    def over(self) -> List[str]:
        """Let others rehearse; return what there is to say where that fails, for it often comes after a failure."""
        try:
            # Another controller may have taken over meanwhile.
            self.load()
            self.require_sound()
            if self.content is not None and not self.content["finished"]:
                self.save(
                    journals.finished(self.content, {**self.run, "outcome": "upgraded", "path": self.path}, now())
                )
        except OperationError as error:
            return [
                f"warning   {self.path} still says that somebody rehearses: {error}",
                "The next rehearsal from this controller sees that this one is gone; from another one run it with"
                " openlmis_take_over=true.",
            ]
        return []
