# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the server offline."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.host import running
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step

AWAKE = ("running", "restarting", "paused")


class Stop(Step):
    """Remove the containers of components, UI, nginx and consul, as C(docker-compose down) of the published procedure
    does.

    The services that may hold data in their containers stay; what else uses the database is stopped and keeps its
    container.
    """

    name = "stop"
    database_optional_in_rollback = True

    def removed(self) -> List[str]:
        """Return the services whose containers are to go. Once the backup is verified, or the restore done, only those
        of the other release.
        """
        past = {"backup", "restore"} & set(self.journal.done())
        services = self.look()["services"].items()
        return [
            name
            for name, one in services
            if one["stopped_for_upgrade"] and one["container"] and (one["stale"] or not past)
        ]

    def paused(self) -> List[str]:
        """Return the services that use the database without being a component, and run."""
        if {"backup", "restore"} & set(self.journal.done()):
            return []
        return [
            name for name, one in self.look()["services"].items() if one["uses_database"] and one["status"] in AWAKE
        ]

    def reached(self) -> bool:
        """Return whether nothing is left to be stopped."""
        return not self.removed() + self.paused()

    def intention(self) -> List[str]:
        """Return what would be stopped."""
        return [
            f"Would remove the containers of {', '.join(self.removed())}; no volume, and no other container.",
            f"Would stop what else uses the database: {', '.join(self.paused()) or 'nothing'}.",
        ]

    def work(self) -> Dict[str, Any]:
        """Stop what uses the database before the components, which it may need to end well."""
        seen, services = self.context.seen, self.look()["services"].items()
        running.stop(
            seen,
            [name for name, one in services if one["uses_database"] and one["status"] in AWAKE],
            self.context.progress,
        )
        running.remove(
            seen,
            [name for name, one in services if one["stopped_for_upgrade"] and one["container"]],
            self.context.progress,
        )
        self.context.forget()
        return {}

    def shortfall(self) -> str:
        """Return what is there still."""
        left = self.removed() + self.paused()
        if not left:
            return ""
        return (
            f"{', '.join(left)} still has a container, or runs, while the server is offline. Something else starts them"
            " (a cron job, a deployment): stop it and run again."
        )
