# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the check goes by besides C(server.collect). Nothing is changed, and no secret is in the result."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils import engine, origin, server
from ansible_collections.openlmis.operations.plugins.module_utils import evidence_database as database
from ansible_collections.openlmis.operations.plugins.module_utils import evidence_deployment as deployment
from ansible_collections.openlmis.operations.plugins.module_utils import evidence_server as host

rendered = deployment.rendered


def live(seen: server.Look, facts: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what only the beginning of a run is held against."""
    local = not engine.remote_host()
    anew = host.made_anew(seen)
    site = host.ask_site(params, facts["components"])
    return {
        "environment": deployment.environment_differences(seen),
        "database": database.database_facts(params, facts),
        "seconds_up": host.seconds_up(seen.project, time.time()),
        "made_anew": anew,
        "container_files": host.container_files(seen, anew),
        "volume_files": host.volume_files(seen, params["release"]),
        "registrations": host.stale_registrations(seen, params["release"]),
        "unreached": host.unreached(seen) if local else "",
        "memory": host.memory(seen, facts) if local else None,
        "room": host.room(seen, facts, params) if local else host.room_for_dump(facts, params),
        "dump": host.dump(seen, facts, params),
        "deployed_from": {"signs": origin.signs(seen.src, seen.files, [one.labels for one in seen.project.containers])},
        **site,
    }
