# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy the users' contact details."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details
from ansible_collections.openlmis.operations.plugins.module_utils.host import running
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step

KEPT = ("source", "inserted", "updated", "unchanged", "kept", "kept_users", "without_email")
LIMITS = {"lock_timeout": 30, "statement_timeout": 900}


class MigrateContactDetails(Step):
    """Copy with nobody writing: the service that takes the details over is stopped, and so is what ran with a temporary
    setting.
    """

    name = "migrate_contact_details"

    def reached(self) -> bool:
        """Return whether every user has contact details."""
        return self.context.server["database"]["users_without_details"] == 0

    def obstacle(self) -> str:
        """Return which components lack migrations."""
        unmigrated = [name for name, one in self.context.server["histories"].items() if one["missing"]]
        if not unmigrated:
            return ""
        return (
            f"{', '.join(unmigrated)} lacks migrations of {self.context.release['name']}; none may be missing when"
            " contact details are copied. Run the playbook without --tags: it waits for them."
        )

    def owner(self) -> List[str]:
        """Return the service that takes the details over."""
        wanted = self.context.release["contact_details_owner"]
        return [name for name, one in self.context.server["services"].items() if one["component"] == wanted]

    def intention(self) -> List[str]:
        """Return how many users' details would be copied."""
        return [
            f"Would stop {', '.join(self.owner())} and copy the contact details of"
            f" {self.context.server['database']['users']} users when {self.context.release['contact_details_owner']}"
            " has made its tables."
        ]

    def work(self) -> Dict[str, Any]:
        """Stop and copy."""
        context = self.context
        stopped = [*self.owner(), *(self.journal.data("start").get("temporary") or [])]
        if context.site["restart"] == "all":
            stopped = context.services("stopped_for_upgrade")
        running.remove(context.seen, list(dict.fromkeys(stopped)), context.progress)
        module = context.module
        copy = contact_details.migrate({**context.site, **LIMITS}, False, module._diff, module.warn, context.progress)
        context.say(copy["msg"])
        context.duration = copy["duration"]
        context.diff += [copy["diff"]] if "diff" in copy else []
        self.refuse_what_is_not_understood(copy)
        return {name: copy[name] for name in KEPT}

    def refuse_what_is_not_understood(self, copy: Dict[str, Any]) -> None:
        """Raise OperationError for differing details that were there before the first copy: nobody can have edited
        anything there yet.

        Unless the server was at the release when the run began, and users have worked there since. After a refusal the
        operator has seen the users: the next attempt keeps them as asked.
        """
        attempts = [one for one in self.journal.steps if one["step"] == self.name]
        begun_at = (self.journal.content or {}).get("run", {}).get("from")
        if copy["kept"] and len(attempts) == 1 and begun_at != self.context.release["name"]:
            raise OperationError(
                f"{copy['kept']} users had contact details in the notification service that differ from the reference"
                f" data (ids {', '.join(copy['kept_users'])}); none is expected before the first copy. They were kept,"
                " everybody else was copied, and notification is stopped. Look at these users; then run again, with"
                " openlmis_on_existing=update to take the reference data's, or unchanged to leave them."
            )
