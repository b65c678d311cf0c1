# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pre-flight check."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.check import checks, evidence
from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import REFUSED, WARNING, table, verdict
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, outlook


def purpose(facts: Mapping[str, Any], resumed: bool) -> str:
    """Return what a run would do with the server."""
    target = facts["release_target"]
    if facts["state"] == "target":
        return f"nothing is left to do at {target}"
    if resumed:
        return f"the run that was cut off may go on to {target}"
    if facts["state"] == "start":
        return f"the server may be upgraded from {facts['release']} to {target}"
    return f"the upgrade to {target} that was begun by hand may be brought to its end"


def check(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Look at the server and return the module's result."""
    versions, resumed = server.docker_versions(), params["resumed"]
    # A run that was cut off may have lost its containers to a `docker compose down`.
    seen = server.look(params, may_be_gone=resumed)
    facts = server.facts_of(seen, params)
    known = {
        **facts,
        "docker": versions,
        "images": params["images"],
        "named": params["release"].get("services") or {},
        "user_interface": params["release"]["user_interface"],
        "compose_profiles": deployment.chosen_profiles(seen.src),
        "base_url": params["base_url"],
        "staging": params["staging"],
        "mail_hosts": params["mail_hosts"],
        "without_way_back": params["without_way_back"],
        "discard_files": params["discard_container_files"],
        "rendered": evidence.rendered(seen, list(facts["unrendered"])),
        "outlook": outlook.look(params, seen.project, seen.files, seen.services, seen.rendered),
        "live": {} if resumed else evidence.live(seen, facts, params),
    }
    findings = checks.findings(known, resumed)
    answers = known["live"].get("answers", {})
    return {
        "findings": [finding._asdict() for finding in findings],
        "table": [*table(findings), verdict(findings, purpose(facts, resumed))],
        "refused": [f"{finding.check}: {finding.sentence()}" for finding in findings if finding.status == REFUSED],
        # Not `warnings`, which Ansible keeps for its own.
        "warned": [
            {"check": finding.check, "found": finding.found, "expected": finding.expected, "remedy": finding.remedy}
            for finding in findings
            if finding.status == WARNING
        ],
        "server": facts,
        "answers": {name: answer["version"] for name, answer in answers.items() if answer["version"]},
    }
