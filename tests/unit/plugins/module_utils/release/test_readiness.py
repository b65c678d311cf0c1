# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.release.readiness import (
    ContainerState,
    contradiction,
    find_crash,
    has_done_its_work,
    how_far,
    lacks,
    missing_migrations,
    not_running,
    state_of,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import Component, Version

AUTH = Component("auth", "4.0.0", "/auth", "auth", "auth", ("1", "2", "3"))
DIAGNOSTICS = Component("diagnostics", "1.0.1", "/diagnostics", "diagnostics")
ALL = frozenset(["0", "1", "2", "3", "4"])
READY = Version("4.0.0")


def state(status, **more):
    return ContainerState("id", "openlmis_auth_1", status, **more)


def test_a_state_is_read_off_an_inspection():
    inspected = {
        "Id": "abc",
        "Name": "/openlmis_auth_1",
        "RestartCount": 3,
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "Error": ""},
    }
    assert state_of(inspected) == ("abc", "openlmis_auth_1", "exited", 137, True, "", 3)


@pytest.mark.parametrize(
    "states",
    [
        [state("running")],
        [state("running", restarts=1)],
        [state("running", oom_killed=True)],  # a child was killed, the service goes on
        [state("restarting", restarts=1, exit_code=1)],
        [state("paused")],
        [state("created")],
        [state("exited", exit_code=1), state("running")],
    ],
)
def test_what_runs_or_is_on_its_way_is_no_crash(states):
    assert find_crash("auth", states, {}) is None


@pytest.mark.parametrize(
    ("states", "found", "exit_code"),
    [
        ([], "has no container", None),
        ([state("removing")], "has no container", None),
        ([state("exited", exit_code=1)], "has stopped (container openlmis_auth_1, exit code 1)", 1),
        ([state("exited")], "has stopped (container openlmis_auth_1, exit code 0)", 0),
        ([state("dead", exit_code=137)], "has stopped (container openlmis_auth_1, exit code 137)", 137),
        (
            [state("exited", exit_code=137, oom_killed=True)],
            "has stopped (container openlmis_auth_1, exit code 137, killed for want of memory)",
            137,
        ),
        (
            [state("created", exit_code=128, error="port is already allocated")],
            "could not be started (container openlmis_auth_1, exit code 128: port is already allocated)",
            128,
        ),
        (
            [state("restarting", restarts=2, exit_code=1)],
            "restarts again and again (container openlmis_auth_1, 2 restarts, last exit code 1)",
            1,
        ),
        (
            [state("running", restarts=2, exit_code=0)],
            "restarts again and again (container openlmis_auth_1, 2 restarts)",
            None,
        ),
    ],
)
def test_what_will_not_run_without_help_is_named_with_its_exit_code(states, found, exit_code):
    crash = find_crash("auth", states, {})
    assert (crash.service, crash.found, crash.exit_code) == ("auth", found, exit_code)


def test_restarts_from_before_the_wait_do_not_count():
    assert find_crash("auth", [state("running", restarts=8)], {"id": 7}) is None
    assert find_crash("auth", [state("running", restarts=9)], {"id": 7}) is not None


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([state("running")], ""),
        ([state("paused")], "service auth is paused"),
        ([state("created"), state("restarting")], "service auth is created and restarting"),
    ],
)
def test_only_a_running_container_counts_as_running(states, found):
    assert not_running("auth", states) == found


@pytest.mark.parametrize(
    ("component", "history", "answer", "found"),
    [
        (AUTH, ALL, READY, []),
        (DIAGNOSTICS, None, Version("1.0.1"), []),
        (AUTH, None, None, ["auth.schema_version was not read yet", "/auth has not answered yet"]),
        (AUTH, "does not exist yet", READY, ["auth.schema_version does not exist yet"]),
        (AUTH, ALL, Version(problem="answers 502"), ["/auth answers 502"]),
        (AUTH, ALL, Version("3.2.0"), ["/auth answers version 3.2.0, not 4.0.0"]),
        (AUTH._replace(version=""), ALL, Version("3.2.0"), []),
        (AUTH._replace(version=""), ALL, Version(problem="answers 502"), ["/auth answers 502"]),
        (AUTH, frozenset(["1"]), READY, ["2 of 3 migrations missing in auth.schema_version (2, 3)"]),
    ],
)
def test_what_a_component_lacks(component, history, answer, found):
    assert lacks(component, history, answer) == found


def test_only_the_first_missing_migrations_are_named():
    many = AUTH._replace(migrations=tuple(str(number) for number in range(100, 140)))
    (found,) = lacks(many, frozenset(), READY)
    assert found == "40 of 40 migrations missing in auth.schema_version (100, 101, 102, 103, 104, …)"


def test_every_migration_is_wanted_not_only_the_newest():
    assert missing_migrations(AUTH, frozenset(["3"])) == ["1", "2"]


def test_migrations_that_are_missing_although_the_component_answers_will_not_come():
    found = contradiction(AUTH, frozenset(["1", "3"]), READY)
    assert "1 of 3 migrations are missing in auth.schema_version (2)" in found
    assert "out-of-order" in found


@pytest.mark.parametrize(
    ("history", "answer"),
    [
        (ALL, READY),
        (frozenset(["1"]), Version("3.2.0")),
        (frozenset(["1"]), Version(problem="answers 502")),
        (frozenset(["1"]), None),
        ("does not exist yet", READY),
        (None, READY),
    ],
)
def test_anything_else_may_still_come(history, answer):
    assert contradiction(AUTH, history, answer) == ""


@pytest.mark.parametrize(
    ("auth", "diagnostics", "said"),
    [
        (
            (None, None),
            (None, None),
            (
                "0 of 2 components ready; the history of auth was not read yet; no answer yet from diagnostics (all"
                " migrations applied)"
            ),
        ),
        (
            ("does not exist yet", None),
            (None, READY._replace(version="1.0.1")),
            "1 of 2 components ready; the history of auth does not exist yet",
        ),
        (
            (frozenset(), None),
            (None, READY._replace(version="1.0.1")),
            "1 of 2 components ready; auth at no migration yet (0 of 3)",
        ),
        (
            (frozenset("12"), None),
            (None, READY._replace(version="1.0.1")),
            "1 of 2 components ready; auth at 2 (2 of 3)",
        ),
        ((ALL, READY), (None, READY._replace(version="1.0.1")), "2 of 2 components ready"),
    ],
)
def test_how_far_all_are_is_one_line(auth, diagnostics, said):
    assert how_far({AUTH: auth, DIAGNOSTICS: diagnostics}) == said


@pytest.mark.parametrize(
    ("states", "done"),
    [
        ([("exited", 0)], True),
        ([("exited", 0), ("running", 0)], False),
        ([("exited", 1)], False),
        ([("created", 0)], False),
        ([], False),
    ],
)
def test_a_job_has_done_its_work_when_it_has_ended_well(states, done):
    found = [ContainerState("id", "job", status, exit_code) for status, exit_code in states]
    assert has_done_its_work(found) == done
