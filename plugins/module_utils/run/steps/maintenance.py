# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep users out, and let them in."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.host import restart
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import activity_note, gate
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Context, Step

FIREWALL, NONE = "firewall", "none"


def firewall(context: Context, state: str, check_mode: bool = False, prove: bool = False) -> Dict[str, Any]:
    """Put the maintenance firewall up or take it down; nothing where the site does it in another way."""
    site = context.site
    if site["gate"] != FIREWALL:
        return {"changed": False, "lines": []}
    options = {**site, "state": state, "ports": site["gate_ports"], "allow": site["gate_allow"], "prove": prove}
    return gate.run(options, check_mode or context.check_mode, context.module.get_bin_path)


class MaintenanceOn(Step):
    """Close the firewall to users, and let nothing that is stopped start by itself: after a reboot the firewall is
    open.
    """

    name = "maintenance_on"
    database_optional_in_rollback = True

    def reached(self) -> bool:
        """Return whether users are kept out and nothing would start by itself, or are let in again
        already by this run.
        """
        if MaintenanceOff.name in self.journal.done():
            return MaintenanceOff(self.context).reached()
        return not firewall(self.context, "present", check_mode=True)["changed"] and not restart.differing(
            self.context.seen, held=True
        )

    def intention(self) -> List[str]:
        """Return what would be closed."""
        return firewall(self.context, "present", check_mode=True)["lines"]

    def prepare(self) -> Dict[str, Any]:
        """Close the firewall. While the old release still runs, containers can be asked whether they
        reach each other.
        """
        self.context.say(*firewall(self.context, "present", prove=True)["lines"])
        if self.site["gate"] == NONE:
            self.context.say(
                "Users are not kept out (openlmis_gate is none): see to it that nobody works on the server."
            )
        return {}

    def site_tasks(self) -> bool:
        """Return whether the site keeps users out by tasks of its own."""
        return self.site["gate"] not in (FIREWALL, NONE)

    def work(self) -> Dict[str, Any]:
        """Let nothing start by itself."""
        restart.hold(self.context.seen)
        return {"gate": self.site["gate"]}


class MaintenanceOff(Step):
    """Note what the database has seen, give containers their restart policy back, and open the firewall."""

    name = "maintenance_off"

    def reached(self) -> bool:
        """Return whether users are let in and containers start by themselves again."""
        return not firewall(self.context, "absent", check_mode=True)["changed"] and not restart.differing(
            self.context.seen, held=False
        )

    def intention(self) -> List[str]:
        """Return that users would be let in."""
        return firewall(self.context, "absent", check_mode=True)["lines"]

    def prepare(self) -> Dict[str, Any]:
        """Note what the database has seen before users work in it, for a rollback and for the report.

        Once an attempt has begun it may have let users in: its note stays, or a rollback would not see what they have
        done since.
        """
        seconds = 0 if self.context.going_back else self.site["count_timeout"]
        note = self.context.state(f"activity-{self.journal.run_id}.json")
        begun = [one for one in self.journal.steps if one["step"] == self.name and one["phase"] == self.context.phase]
        self.context.progress.say("counting the rows of every table")
        # This attempt is among them.
        counted = activity_note.note(self.site, note, seconds, replace=len(begun) == 1)
        restart.release(self.context.seen)
        return counted

    def site_tasks(self) -> bool:
        """Return whether the site lets users in by tasks of its own."""
        return self.site["gate"] not in (FIREWALL, NONE)

    def work(self) -> Dict[str, Any]:
        """Open the firewall."""
        self.context.say(*firewall(self.context, "absent")["lines"])
        return {}
