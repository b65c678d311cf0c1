# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every known trap: pure functions from facts (C(server.collect) and C(evidence.gather)) to findings. docs/checks.md
lists them.
"""

from __future__ import annotations

from typing import Callable, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.check import checks_database as database
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks_deployment as deployment
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks_layout as layout
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks_server as server
from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import Facts, Finding

CHECKS: Dict[str, Callable[[Facts], Finding]] = {
    "docker": server.check_docker,
    "database": database.check_database,
    "database volume": database.check_database_place,
    "start release": database.check_release,
    "failed migrations": database.check_failed_migrations,
    "migration order": database.check_out_of_order,
    "program orderables": database.check_duplicates,
    "auth users": database.check_auth_users,
    "privileges": database.check_privileges,
    "way back": database.check_way_back,
    "open transactions": database.check_sessions,
    "services": deployment.check_services,
    "database in use": deployment.check_database_in_use,
    "production profile": deployment.check_profiles,
    "database URL": deployment.check_same_database,
    "end of database URL": deployment.check_url_end,
    "settings": deployment.check_environment,
    "https": deployment.check_https,
    "compose files": layout.check_compose_files,
    "project name": layout.check_project_name,
    "images": deployment.check_images,
    "national UI": deployment.check_national_ui,
    "change of versions": layout.check_change,
    "moved tags": deployment.check_tags,
    "restart policy": deployment.check_restart_policy,
    "next deployment": deployment.check_next_deployment,
    "real people": deployment.check_real_people,
    "containers": server.check_containers,
    "container names": server.check_names,
    "containers made anew": server.check_made_anew,
    "data in containers": server.check_container_files,
    "registrations": server.check_registrations,
    "base URL": deployment.check_base_url,
    "answers": server.check_answers,
    "login": server.check_login,
    "memory": server.check_memory,
    "room": server.check_room,
    "copy of the files": server.check_copy,
    "pg_dump": server.check_dump,
}
# A run that was cut off is held to these only: its own steps have changed what the others look at.
INVARIANTS = (
    "docker",
    "database",
    "database volume",
    "migration order",
    "production profile",
    "database URL",
    "end of database URL",
    "https",
    "images",
    "national UI",
    "change of versions",
    "moved tags",
    "restart policy",
)


def findings(facts: Facts, resumed: bool) -> List[Finding]:
    """Return the outcome of every check; a resumed run is held to the invariants only."""
    return [check(facts) for name, check in CHECKS.items() if not resumed or name in INVARIANTS]
