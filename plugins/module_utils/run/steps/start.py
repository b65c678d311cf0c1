# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the server."""

from __future__ import annotations

import re
from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.host import running
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.project import override
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.maintenance import firewall


class Start(Step):
    """Start the services that hold data, and when the database accepts connections everything: the components migrate
    their schemas.
    """

    name = "start"

    def disordered(self) -> List[str]:
        """Return the services with migrations that Flyway would skip; going back, nothing is migrated."""
        facts = self.context.server
        late = {name for name, one in facts["histories"].items() if one["out_of_order"]}
        return [] if self.context.going_back else [one["service"] for one in facts["components"] if one["name"] in late]

    def obstacle(self) -> str:
        """Return which images are not the release's."""
        other = [one["image"] for one in self.context.server["services"].values() if not one["current"]]
        if self.context.going_back or not other:
            return ""
        return (
            f"Compose renders {', '.join(other)}; the images of {self.context.release['name']} are expected before"
            " anything is started. Run the playbook without --tags: it changes the versions first."
        )

    def intention(self) -> List[str]:
        """Return what would be started."""
        late = self.disordered()
        more = f" with out-of-order migration for {', '.join(late)}" if late else ""
        return [
            f"Would start {', '.join(self.context.services('started_first'))}, and when the database accepts"
            f" connections the rest{more}."
        ]

    def work(self) -> Dict[str, Any]:
        """Start in two parts. Components die when they start before the database does, and nothing restarts them."""
        context = self.context
        facts, restarts = context.server, context.server["restarts"]
        running.network_gone(context.seen.client, facts["project"]["unlabelled_networks"])
        kept = context.services("started_first")
        if kept and not context.again:
            said = running.up(context.seen, kept, restarts, context.progress)
            # One that ran already was seen to accept connections, and nothing has stopped it since.
            name = facts["database"].get("container_name")
            untouched = name is not None and any(
                re.search(rf"Container {re.escape(name)} +Running", line) for line in said
            )
            if not (untouched or (name is None and not context.going_back)):
                context.progress.say("waiting until the database accepts connections")
                context.look()
        # Another one, or none, must not be touched by a component.
        self.require_database()
        late, more = self.disordered(), []
        if late:
            more = [context.state("out-of-order.yml")]
            override.write(context.seen.rendered, late, more[0])
        running.up(context.seen, [], restarts, context.progress, more)
        # Docker has chosen ports for the new containers that no rule knew.
        if journals.keep_out(self.journal.content):
            firewall(context, "present")
        # The wait looks next, and nobody waits for it meanwhile.
        return {"temporary": late}
