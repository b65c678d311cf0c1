# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show how far a module is, and what it says; take over a run whose process on this controller is gone."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.openlmis.operations.plugins.action.show import color
from ansible_collections.openlmis.operations.plugins.lookup.controller import is_gone
from ansible_collections.openlmis.operations.plugins.plugin_utils.following import FollowingAction

# In a word, where the name of a step or module does not say it. meta/runtime.yml leads the modules here.
DOES = {
    "backup": "dump",
    "database_backup": "dump",
    "database_copy": "restore",
    "database_restore": "restore",
    "migrate_contact_details": "copy",
    "user_contact_details_migration": "copy",
    "wait_for_release": "wait",
}


def expected_seconds(step: str, again: bool, rehearsed: dict[str, Any]) -> dict[str, float]:
    """Return how long a step took in a rehearsal; one that comes twice has two times, and what was told once holds for
    both.
    """
    told = (rehearsed.get("seconds") or {}).get(step) or []
    return {"expected_seconds": told[min(int(again), len(told) - 1)]} if told else {}


class ActionModule(FollowingAction):
    """The action behind the module of the same name, and behind those whose progress is shown."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; what a step says is shown once, and is no part of the result that Ansible prints."""
        module = self._task.action.rpartition(".")[2]
        if module != "run_step":
            self.DOES = DOES[module]
            return super().run(tmp, task_vars)
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
