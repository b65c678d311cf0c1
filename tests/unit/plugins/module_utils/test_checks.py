# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils import checks, server

SERVICE = {
    "image": "openlmis/auth:3.2.0",
    "component": "auth",
    "target_image": "openlmis/auth:4.0.0",
    "running_image": "openlmis/auth:3.2.0",
    "profiles": ["production"],
    "uses_database": True,
    "status": "running",
    "restart_count": 0,
    "restart_policy": "",
}
FACTS = {
    "state": "start",
    "release": "3.3.1",
    "release_target": "3.4.0",
    "services": {"auth": SERVICE, "cce": dict(SERVICE, component="cce")},
    "database_groups": [["auth", "cce"]],
    "database": {
        "error": None,
        "name": "open_lmis",
        "server_version": "9.6.24",
        "size": 8 << 20,
        "user": "postgres",
        "may_create_schema": True,
        "container": "abc",
        "service": None,
        "mounts": {"/var/lib/postgresql/data": "0123456789abcdef"},
        "duplicate_program_orderables": 0,
        "users_without_details": None,
    },
    "histories": {"auth": {"applied": 9, "newest": "20180320172415321", "missing": [], "out_of_order": []}},
    "images_to_pull": [],
    "edits": [],
}


def changed(path, value):
    """FACTS with one value changed; the path's parts are separated by a slash."""
    facts = copy.deepcopy(FACTS)
    *parents, last = path.split("/")
    place = facts
    for part in parents:
        place = place[part]
    place[last] = value
    return facts


def outcome(facts, check):
    return next(finding for finding in checks.findings(facts, False) if finding.check == check)


def test_a_healthy_server_is_refused_nothing():
    assert {finding.status for finding in checks.findings(FACTS, False)} == {checks.OK}
    assert len(checks.findings(FACTS, False)) == len(checks.CHECKS)


@pytest.mark.parametrize(
    ("path", "value", "check", "words"),
    [
        ("database/error", "It does not answer.", "database", "It does not answer."),
        ("database/may_create_schema", False, "database", 'GRANT CREATE ON DATABASE "open_lmis" TO "postgres"'),
        ("database/mounts", {}, "database volume", "the data is in the container itself"),
        ("release", None, "start release", "no release that this runbook knows"),
        ("release", "3.4.0", "start release", "but not by this runbook"),
        (
            "services/cce/profiles",
            ["demo-data", "refresh-db"],
            "production profile",
            "cce renders with demo-data,refresh-db",
        ),
        ("services/cce/profiles", [], "production profile", "cce renders with no profile"),
        ("database_groups", [["auth"], ["cce"]], "database URL", "in these groups: auth; cce"),
        ("database_groups", [], "database URL", "no component renders a DATABASE_URL"),
        ("services/cce/target_image", None, "images", "openlmis_images: {cce:"),
        ("database/duplicate_program_orderables", 2, "program orderables", "2 pairs"),
        ("services/auth/status", "exited", "containers", "auth is exited"),
        ("services/auth/restart_count", 9, "containers", "restarted 9 times"),
    ],
)
def test_an_armed_trap_is_refused_with_its_evidence(path, value, check, words):
    facts = changed(path, value)
    assert outcome(facts, check).status == checks.REFUSED
    assert words in outcome(facts, check).sentence()
    others = [finding.check for finding in checks.findings(facts, False) if finding.status == checks.REFUSED]
    assert check in others


@pytest.mark.parametrize(
    ("path", "value", "check", "words"),
    [
        ("histories/auth/out_of_order", ["1"], "migration order", "auth would silently skip 1 (1)"),
        ("services/auth/restart_policy", "always", "restart policy", "auth restart by themselves"),
    ],
)
def test_what_the_runbook_handles_is_a_warning(path, value, check, words):
    finding = outcome(changed(path, value), check)
    assert finding.status == checks.WARNING
    assert words in finding.sentence()


def test_a_resumed_run_is_held_to_the_invariants_only():
    facts = changed("services/auth/status", "exited")
    facts["release"] = None
    facts["services"]["cce"]["profiles"] = []
    refused = [finding.check for finding in checks.findings(facts, True) if finding.status == checks.REFUSED]
    assert refused == ["production profile"]


@pytest.mark.parametrize(
    ("engine", "compose", "status"),
    [
        ("20.10.24+dfsg1", "2.26.1-4", checks.OK),
        ("29.0.1", "5.0.0", checks.OK),
        ("19.03.8", "2.26.1", checks.REFUSED),
        ("20.10.24", "2.17.3", checks.REFUSED),
    ],
)
def test_docker(engine, compose, status):
    assert checks.check_docker(engine, compose).status == status


@pytest.mark.parametrize(("free", "status"), [(9 << 20, checks.OK), (8 << 20, checks.REFUSED)])
def test_room_for_the_backup(free, status):
    assert checks.check_room(FACTS, free).status == status


def test_login():
    assert checks.check_login("http://x", "admin", "").status == checks.OK
    assert checks.check_login("http://x", "admin", "answers 400").status == checks.REFUSED
    assert checks.check_login(None, None, "nothing is set").sentence().startswith("nothing is set. Expected:")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "start"),
        ({"release": None}, "between"),
        ({"release": "3.4.0"}, "between"),
    ],
)
def test_state(changes, state):
    assert server.state_of(dict(FACTS, **changes)) == state


def test_state_is_target_only_when_nothing_is_left():
    facts = copy.deepcopy(dict(FACTS, release="3.4.0"))
    facts["database"]["users_without_details"] = 0
    for service in facts["services"].values():
        service["running_image"] = service["target_image"]
    assert server.state_of(facts) == "target"
    assert server.state_of(dict(facts, edits=[{"summary": "x"}])) == "between"
    facts["database"]["users_without_details"] = 1
    assert server.state_of(facts) == "between"
    facts["database"]["users_without_details"] = 0
    facts["services"]["auth"]["running_image"] = "openlmis/auth:3.2.0"
    assert server.state_of(facts) == "between"
