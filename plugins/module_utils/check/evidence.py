# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the check goes by besides C(server.collect). Nothing is changed, and no secret is in the result."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.check import evidence_database as database
from ansible_collections.openlmis.operations.plugins.module_utils.check import evidence_deployment as deployment
from ansible_collections.openlmis.operations.plugins.module_utils.check import evidence_server as host
from ansible_collections.openlmis.operations.plugins.module_utils.check import origin
from ansible_collections.openlmis.operations.plugins.module_utils.docker import engine
from ansible_collections.openlmis.operations.plugins.module_utils.host import server

rendered = deployment.rendered


def live(seen: server.Look, facts: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what only the beginning of a run is held against."""
    local = not engine.remote_host()
    # These wait for others most of the time.
    with ThreadPoolExecutor(4) as pool:
        anew = pool.submit(host.made_anew, seen)
        site = pool.submit(host.ask_site, params, facts["components"])
        answered = pool.submit(database.database_facts, params, seen, facts)
        registered = pool.submit(host.stale_registrations, seen, params["release"])
    return {
        "environment": deployment.environment_differences(seen),
        "started_elsewhere": deployment.started_elsewhere(seen),
        "database": answered.result(),
        "named": database.named_otherwise(params, seen, facts),
        "names_taken": host.names_taken(seen, params["release"]),
        "copied": host.copied(facts, params["backup_dir"]),
        "seconds_up": host.seconds_up(seen.project, time.time()),
        "made_anew": anew.result(),
        "container_files": host.container_files(seen, anew.result()),
        "volume_files": host.volume_files(seen, params["release"]),
        "registrations": registered.result(),
        "unreached": host.unreached(seen) if local else "",
        "memory": host.memory(seen, facts) if local else None,
        "room": host.room(seen, facts, params) if local else host.room_for_dump(facts, params),
        "dump": host.dump(seen, facts, params),
        "deployed_from": {"signs": origin.signs(seen.src, seen.files, [one.labels for one in seen.project.containers])},
        **site.result(),
    }
