# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a dump and of the server that a copy of production is to be put onto."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.backup import dumps
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks, evidence
from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import REFUSED, table, verdict
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, outlook
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import findings

# They look at the database that is replaced.
OF_THE_DATABASE = ("database", "database volume", "migration order")


def check(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Look at dump and server; return what was found as a C(table), and in C(refused) why no copy may be put there."""
    dump = dumps.look(params["dump"]).told()
    versions = server.docker_versions()
    # A rehearsal that was cut off has left no component's container.
    seen = server.look(params, may_be_gone=True)
    facts = server.facts_of(seen, params)
    starts = params["release"]["upgrades_from"]
    known = {
        **facts,
        **{key: params[key] for key in ("staging", "base_url", "production_base_url", "mail_hosts", "run", "images")},
        "dump": dump,
        "backup_dir": os.path.realpath(params["backup_dir"]),
        "starts": starts,
        "docker": versions,
        "named": params["release"].get("services") or {},
        "user_interface": params["release"]["user_interface"],
        "compose_profiles": deployment.chosen_profiles(seen.src),
        "without_way_back": False,
        "discard_files": [],
        "rendered": evidence.rendered(seen, list(facts["unrendered"])),
        "outlook": outlook.look(params, seen.project, seen.files, seen.services, seen.rendered),
        "live": {},
    }
    # What the upgrade would refuse of the files is better known before a long restore than after it.
    found = findings.findings(known) + [
        one for one in checks.findings(known, resumed=True) if one.check not in OF_THE_DATABASE
    ]
    here = facts["release"]
    return {
        "table": [*table(found), verdict(found, "a copy of production may be put onto this server")],
        "refused": [f"{finding.check}: {finding.sentence()}" for finding in found if finding.status == REFUSED],
        "dump": dump,
        "production_base_url": findings.production_url(known),
        "components": (
            deployment.components_at(facts["components"], starts[here], params["migrations"]) if here in starts else []
        ),
    }
