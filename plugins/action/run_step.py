# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show how far a step is, and what it says; take over a run whose process on this controller is gone."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.openlmis.operations.plugins.action.show import color
from ansible_collections.openlmis.operations.plugins.lookup.controller import is_gone
from ansible_collections.openlmis.operations.plugins.plugin_utils.following import FollowingAction

DOES = {"backup": "dump", "migrate_contact_details": "copy"}


def expected_seconds(step: str, again: bool, rehearsed: dict[str, Any]) -> dict[str, float]:
    """Return how long a step took in a rehearsal; one that comes twice has two times, and what was told once holds for
    both.
    """
    told = (rehearsed.get("seconds") or {}).get(step) or []
    return {"expected_seconds": told[min(int(again), len(told) - 1)]} if told else {}


class ActionModule(FollowingAction):
    """The action behind the module of the same name."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do the step; what it says is shown once, and is no part of the result that Ansible prints."""
        step, run = self._task.args.get("step"), dict(self._task.args.get("run") or {})
        self.DOES = DOES.get(step, step)
        seconds = expected_seconds(step, bool(self._task.args.get("again")), run.get("rehearsed") or {})
        self._task.args = {**self._task.args, **seconds}
        result = super().run(tmp, task_vars)
        if is_gone(result.get("held_by") or {}):
            self._task.args = {**self._task.args, "run": {**run, "take_over": True}}
            result = super().run(tmp, task_vars)
        for line in result.pop("lines", []):
            Display().display(line, color=color(line))
        return result
