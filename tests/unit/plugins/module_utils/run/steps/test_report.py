# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import ROLLBACK
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.report import (
    Failed,
    Report,
    learned,
    reason,
)

OTHER = {"host": "office", "user": "operator", "pid": 8, "started": 80}


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ({"msg": "no room"}, "no room"),
        ({"msg": "non-zero return code", "rc": 1, "stderr_lines": ["warning", "no route to host"]}, "no route to host"),
        ({"msg": "non-zero return code", "rc": 1, "stderr_lines": []}, "non-zero return code"),
        ({"msg": "non-zero return code", "rc": 1, "stderr_lines": [""]}, "non-zero return code"),
        (
            {"msg": "One or more items failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "the second"}]},
            "the second",
        ),
        ({"msg": "One or more items failed", "results": [{"failed": True}]}, "One or more items failed"),
        ({"msg": "is wrong", "results": [{"name": "ui", "ok": False, "detail": "/ answers 502"}]}, "is wrong"),
        ({"msg": "odd", "results": ["not a dictionary"]}, "odd"),
        ({"results": None, "stderr_lines": None, "msg": ["a", "list"]}, "['a', 'list']"),
        ({"msg": ""}, "no reason was given"),
        ({}, "no reason was given"),
    ],
)
def test_why_a_task_has_failed(failed, said):
    assert reason(failed) == said


def test_what_a_step_had_found_out_is_kept_and_what_a_loop_has_is_not():
    check = {"name": "ui", "ok": False, "skipped": False, "detail": "/ answers 502"}
    assert learned({"msg": "x", "results": [check, {"item": "a", "failed": True}, "odd"]}) == {
        "components": {},
        "results": [check],
    }
    assert learned({"components": {"auth": {"lacks": ["1"]}}}) == {
        "components": {"auth": {"lacks": ["1"]}},
        "results": [],
    }
    assert learned({"components": None, "results": None}) == {"components": {}, "results": []}


@pytest.fixture
def failing(place):
    """A run whose step has begun and not ended."""
    place.have_done("pull")
    place.journal().begin("maintenance_on", {})
    return place


def fail(place, **options):
    told = {"failed": {"msg": "no way", "components": {"auth": {}}}, **options.pop("told", {})}
    return place.do(Failed, told=told, **options)


def test_a_failure_is_noted_at_its_step_and_nobody_works_on_the_run(failing):
    context, result = fail(failing)
    noted = failing.journal().content
    assert (noted["steps"][-1]["finding"], noted["steps"][-1]["finished"], noted["holder"]) == ("no way", None, {})
    assert noted["steps"][-1]["data"] == {"components": {"auth": {}}, "results": []}
    assert (
        result["sentence"]
        == f"The upgrade {noted['run_id']} stopped in step maintenance_on. What was found, the server's state, and the"
        " commands to go on and back stand above."
    )
    assert {"Found     no way", "Go on     go on", "Roll back go back"} <= set(context.lines)
    assert failing.looks == [0]


def test_the_report_is_on_the_host_and_fetched_where_it_is_wanted(failing):
    context, result = fail(failing, told={"report_dir": "/reports"})
    run = failing.journal().run_id
    base = failing.path.parent / f"report-{run}"
    assert result["fetch"] == [
        {"src": f"{base}.{kind}", "dest": f"/reports/lmis-{run}.{kind}"} for kind in ("html", "json")
    ]
    assert f"Report    {base}.html" in context.lines
    assert f"          /reports/lmis-{run}.html on the controller" in context.lines
    assert json.loads((failing.path.parent / f"report-{run}.json").read_text())["failure"]["finding"] == "no way"


def test_a_server_that_cannot_be_seen_has_a_report_with_what_was_found_all_the_same(failing):
    failing.facts = OperationError("Docker does not answer.")
    # The step before has ended: the journal has no place for what was found.
    failing.journal().end("maintenance_on", {}, {})
    context, _result = fail(failing)
    assert context.lines[0] == "The server's state cannot be looked at: Docker does not answer."
    assert "Database  could not be looked at" in context.lines
    told = json.loads((failing.path.parent / f"report-{failing.journal().run_id}.json").read_text())
    assert told["failure"]["finding"] == "no way"


def test_a_report_that_cannot_be_written_hides_nothing(failing):
    (failing.path.parent / "report.txt").mkdir()
    context, result = fail(failing)
    assert (result["fetch"], failing.journal().content["steps"][-1]["finding"]) == ([], "no way")
    assert "Found     no way" in context.lines
    assert context.lines[-1].startswith("warning   No report: The report cannot be written to")


def test_what_fails_beside_another_controller_s_run_is_no_part_of_it(failing):
    before = failing.path.read_text()
    failing.run = {**failing.run, "holder": OTHER}
    context, result = fail(failing)
    assert (failing.path.read_text(), result["fetch"]) == (before, [])
    assert {"Found     no way", "Go on     go on"} <= set(context.lines)


def test_a_failure_without_a_run_says_that_nothing_was_changed(place):
    context, result = fail(place, told={"failed": {"msg": "MODULE FAILURE"}, "unbegun": ["region2", "region3"]})
    assert context.lines[:2] == ["\n", "Stopped before anything was changed."]
    assert context.lines[2].startswith("Found     The process of this step on the server ended without an answer")
    assert context.lines[-1] == "Not begun region2, region3; the command to go on comes to them, too"
    assert result["sentence"].startswith("Stopped before anything was changed. What was found")
    assert not place.path.exists()


def test_in_check_mode_a_failure_is_said_and_not_noted(failing):
    before = failing.path.read_text()
    context, _result = fail(failing, check_mode=True)
    assert "Found     no way" in context.lines
    assert failing.path.read_text() == before


@pytest.mark.parametrize(("phase", "outcome"), [("upgrade", "upgraded"), (ROLLBACK, "rolled back")])
def test_the_report_ends_the_run(place, phase, outcome):
    place.have_done("pull", "maintenance_on")
    before = place.path.read_text()
    assert place.do(Report, phase=phase, check_mode=True)[1] == {"fetch": []}
    assert place.path.read_text() == before
    context, result = place.do(Report, phase=phase)
    content = place.journal().content
    assert (content["outcome"], content["holder"], bool(content["finished"]), context.changed) == (
        outcome,
        {},
        True,
        True,
    )
    assert result == {"fetch": []}
    assert f"Report    {place.path.parent}/report-{content['run_id']}.html" in context.lines


def test_a_run_that_another_controller_has_taken_over_is_not_ended(place):
    place.have_done("pull", "maintenance_on")
    place.journal(run={**place.run, "holder": OTHER, "take_over": True}).begin("stop", {})
    with pytest.raises(OperationError, match="was taken over by operator@office"):
        place.do(Report)
    assert place.journal().content["finished"] is None
