# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait until the release is there."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.release import wait
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Context, Step
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps import rollback


def components(context: Context) -> List[Dict[str, Any]]:
    """Return the components that run in the end: the release's, or on the way back those of before."""
    return rollback.components(context) if context.going_back else context.server["components"]


def options(context: Context, ended_before: List[str], **more: Any) -> Dict[str, Any]:
    """Return the options of the wait. What had ended before the run was begun, for whatever reason, is
    not waited for.
    """
    services = context.server["services"].items()
    lasting = [name for name, one in services if not one["one_shot"] and name not in ended_before]
    # A job of the site's own ends when it has done what it is for.
    may_exit = [name for name, one in services if not one["stopped_for_upgrade"] and one["kind"] != "database"]
    told = {"services": lasting, "may_exit": may_exit, "timeout": context.site["wait_timeout"], "interval": 1}
    return {**context.site, "components": components(context), **told, **more}


class Wait(Step):
    """Wait until every component has migrated and answers with its version: evidence, not a clock."""

    name = "wait"

    def intention(self) -> List[str]:
        """Return for what would be waited."""
        return [wait.wait(options(self.context, []), True, self.context.progress)["msg"]]

    def work(self) -> Dict[str, Any]:
        """Wait."""
        before = rollback.manifest(self.context) if self.context.going_back else self.journal.data("pull", first=True)
        ready = wait.wait(options(self.context, before.get("exited") or []), False, self.context.progress)
        self.context.say(ready["msg"])
        self.context.duration = ready["duration"]
        self.context.forget()
        return {"components": ready["components"]}
