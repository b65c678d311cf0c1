# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.journal import process
from ansible_collections.openlmis.operations.plugins.module_utils.run import step as steps
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import ROLLBACK, UPGRADE, Journal, Step

ME = {"host": "laptop", "user": "operator", "pid": 7, "started": 70}
OTHER = {"host": "office", "user": "operator", "pid": 8, "started": 80}
RUN = {"holder": ME, "commands": {"resume": "go on", "rollback": "go back"}, "take_over": False}
THEIRS = {**RUN, "holder": OTHER}
ELSE = {"name": "open_lmis", "oid": 1, "system_identifier": "1", "mounts": {"/data": "abc"}}
GONE = {"identity": None, "error": "the database does not answer", "users": None}


@pytest.fixture
def path(tmp_path):
    """Where the journal is; the folder is made with it."""
    return tmp_path / "state" / "journal.json"


# -- the journal on the host -----------------------------------------------------------------------------------------


def journal(path, run=RUN, phase=UPGRADE, writes=True):
    return Journal(str(path), phase, run, writes)


def test_without_a_file_there_is_no_run(path):
    found = journal(path)
    assert (found.content, found.damaged, found.under_way, found.run_id, found.steps) == (None, "", False, "", [])
    assert (found.done(), found.ended("pull"), found.data("pull")) == ([], [], {})
    found.require_sound()
    assert not path.exists()


def test_a_step_is_in_the_file_from_its_beginning_to_its_end(path):
    journal(path).begin("pull", {"from": "3.3.1", "users": 9})
    begun = journal(path)
    assert [(one["step"], one["finished"]) for one in begun.steps] == [("pull", None)]
    assert begun.content["run"] == {"from": "3.3.1", "users": 9}
    assert begun.content["commands"] == RUN["commands"]
    assert begun.done() == []
    assert not begun.under_way
    begun.end("pull", {"images": {"auth": {"id": "1"}}}, {"users": 10})
    ended = journal(path)
    assert ended.done() == ["pull"]
    assert ended.data("pull") == {"images": {"auth": {"id": "1"}}}
    assert ended.content["run"] == {"from": "3.3.1", "users": 10}
    ended.begin("maintenance_on", {"from": "another"})
    assert journal(path).content["run"]["from"] == "3.3.1"
    assert journal(path).under_way


def test_the_first_and_the_last_attempt_are_told_apart_and_one_that_did_not_end_is_none(path):
    found = journal(path)
    found.begin("pull", {})
    found.end("pull", {"exited": []}, {})
    for number in (1, 2, 3):
        found.begin("maintenance_on", {})
        if number < 3:
            found.end("maintenance_on", {"number": number}, {})
    assert found.data("maintenance_on", first=True) == {"number": 1}
    assert found.data("maintenance_on") == {"number": 2}
    assert [one["step"] for one in found.ended("maintenance_on", "pull")] == [
        "pull",
        "maintenance_on",
        "maintenance_on",
    ]
    assert len(found.steps) == 4


def test_a_way_back_knows_what_is_done_on_it_and_not_on_the_way_forth(path):
    found = journal(path)
    for name in steps.PLANS[UPGRADE][:3]:
        found.begin(name, {})
        found.end(name, {}, {})
    back = journal(path, phase=ROLLBACK)
    assert back.done() == []
    back.begin("maintenance_on", {})
    back.end("maintenance_on", {}, {})
    assert journal(path, phase=ROLLBACK).done() == ["maintenance_on"]
    with pytest.raises(OperationError, match="The rollback of run .* is under way"):
        journal(path).require_sound()


def test_in_check_mode_nothing_is_written(path):
    found = journal(path, writes=False)
    found.begin("pull", {})
    found.end("pull", {}, {})
    assert found.done() == ["pull"]
    assert not path.parent.exists()


def test_a_journal_that_stays_as_it_is_is_not_written_anew(path):
    journal(path).begin("pull", {})
    before = path.stat()
    found = journal(path)
    found.save(dict(found.content))
    found.save(None)
    assert (path.stat().st_ino, found.content) == (before.st_ino, None)


def test_a_step_needs_the_one_before_it_and_nothing_is_written_without(path):
    with pytest.raises(OperationError, match=rf"There is no journal {path}, and step backup"):
        journal(path).begin("backup", {})
    assert not path.exists()
    journal(path).begin("pull", {})
    with pytest.raises(OperationError, match="the journal says that pull, which comes before it, is not done"):
        journal(path).begin("maintenance_on", {})


def taken(path):
    """Return the journal as this process has read it, of a run that another controller has taken over since with its
    next step.
    """
    found = journal(path)
    found.begin("pull", {})
    found.end("pull", {}, {})
    found.begin("maintenance_on", {})
    theirs = journal(path, {**THEIRS, "take_over": True})
    theirs.begin("maintenance_on", {})
    return theirs


@pytest.mark.parametrize("take_over", [False, True])
def test_a_run_taken_over_is_refused_where_the_next_step_begins(path, take_over):
    taken(path).end("maintenance_on", {}, {})
    before = path.read_text()
    with pytest.raises(
        OperationError, match=r"was taken over by operator@office \(process 8\); this controller, operator@laptop"
    ):
        journal(path, {**RUN, "take_over": take_over}).begin("stop", {})
    assert path.read_text() == before


def test_a_run_taken_over_is_refused_where_the_step_ends(path):
    theirs = taken(path)
    before = path.read_text()
    with pytest.raises(OperationError, match=r"was taken over by operator@office"):
        journal(path).end("maintenance_on", {}, {})
    theirs.save(journals.failed(theirs.content, "no", steps.now()))
    with pytest.raises(OperationError, match=r"was taken over and has stopped since"):
        journal(path).end("maintenance_on", {}, {})
    assert path.read_text() != before


def test_a_run_in_other_hands_says_whose_so_that_a_controller_that_is_gone_can_be_told(path):
    found = journal(path, THEIRS)
    found.begin("pull", {})
    with pytest.raises(OperationError, match="was started by operator@office") as refused:
        journal(path).begin("pull", {})
    assert refused.value.facts == {"held_by": OTHER}
    journal(path, {**RUN, "take_over": True}).begin("pull", {})
    assert journal(path).content["holder"] == ME


@pytest.mark.parametrize("text", ["", '{"run_id": ', "[]"])
def test_a_damaged_journal_stops_every_step_and_stays_as_it_is(path, text):
    path.parent.mkdir()
    path.write_text(text)
    found = journal(path)
    assert (found.content, found.under_way) == (None, False)
    with pytest.raises(OperationError, match=rf"{path} .*without --tags: it moves the file aside"):
        found.require_sound()
    journal(path, writes=False).require_sound()
    assert path.read_text() == text


def test_a_journal_that_cannot_be_written_is_said_in_words(path):
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(OperationError, match=r"journal.json cannot be written \(File exists\).*set openlmis_state_dir"):
        journal(path).save({"run_id": "1", "steps": []})


def test_a_time_is_as_the_journal_writes_it():
    assert journals.run_id(steps.now()).endswith("Z")
    assert journals.seconds(steps.now(), steps.now()) < 5


# -- a step ----------------------------------------------------------------------------------------------------------


class Lift(Step):
    """Do in plain data what a step does: C(world) is the host, and remembers what was done to it."""

    name = "maintenance_on"
    world: dict

    def reached(self):
        return self.world.get("lifted", False)

    def obstacle(self):
        return self.world.get("obstacle", "")

    def intention(self):
        return ["Would lift it.", ""]

    def prepare(self):
        self.world["did"].append("prepare")

    def work(self):
        self.world["did"].append("work")
        self.world["lifted"] = not self.world.get("stuck")
        self.context.say("Lifted.")
        return {"by": "hand", "rows": 7}

    def shortfall(self):
        return "" if self.world["lifted"] else "It is where it was."

    def site_tasks(self):
        return self.world.get("tasks", False)


def do(place, kind=Lift, **options):
    return place.do(type(kind.__name__, (kind,), {"world": place.world}), **options)


PULLED, BEGUN, ENDED = ("pull", True), ("maintenance_on", False), ("maintenance_on", True)


def test_a_step_begins_in_the_journal_works_and_ends_there(place):
    place.have_done("pull")
    context, result = do(place)
    assert place.begun() == [PULLED, ENDED]
    assert place.world["did"] == ["prepare", "work"]
    assert (context.changed, context.lines, result) == (True, ["Lifted."], {"site_tasks": False})
    assert place.journal().data("maintenance_on") == {"by": "hand", "rows": 7}


def test_the_first_step_of_a_run_notes_what_the_server_was(place):
    do(place, type("Pull", (Lift,), {"name": "pull"}), told={"warned": [{"check": "memory"}]})
    run = {
        "from": "3.3.1",
        "to": "3.4.0",
        "database": place.facts["database"]["identity"],
        "users": 9,
        "warnings": [{"check": "memory"}],
    }
    assert place.journal().content["run"] == run


def test_a_step_with_an_obstacle_fails_as_begun_and_has_done_nothing(place):
    place.have_done("pull")
    place.world["obstacle"] = "Something is in the way. Take it away, and run again."
    with pytest.raises(OperationError, match="^Something is in the way"):
        do(place)
    assert place.begun() == [PULLED, BEGUN]
    assert place.world["did"] == []


def test_a_step_that_has_not_reached_what_it_is_for_does_not_end(place):
    place.have_done("pull")
    place.world["stuck"] = True
    with pytest.raises(OperationError, match=r"^It is where it was\.$"):
        do(place)
    assert place.begun() == [PULLED, BEGUN]
    place.world["stuck"] = False
    do(place)
    assert place.begun() == [PULLED, BEGUN, ENDED]


def test_what_breaks_in_the_work_leaves_the_step_begun(place):
    place.have_done("pull")

    def broken(_self):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        do(place, type("Broken", (Lift,), {"work": broken}))
    assert place.begun() == [PULLED, BEGUN]


def test_a_step_is_skipped_when_the_journal_says_that_it_is_done_and_the_server_agrees(place):
    place.have_done("pull")
    do(place)
    place.world["did"].clear()
    context, result = do(place)
    assert (context.changed, context.lines, result) == (False, [], {"site_tasks": False})
    assert (place.world["did"], place.begun()) == ([], [PULLED, ENDED])


def test_a_step_is_done_again_when_the_server_does_not_agree(place):
    place.have_done("pull")
    do(place)
    place.world["lifted"] = False
    context, _result = do(place)
    assert context.changed
    assert place.begun() == [PULLED, ENDED, ENDED]


def test_the_server_is_not_asked_for_a_step_that_the_journal_does_not_know(place):
    place.have_done("pull")
    place.world["lifted"] = True
    do(place)
    assert place.begun() == [PULLED, ENDED]


def test_in_check_mode_a_step_only_says_what_it_would_do(place):
    place.have_done("pull")
    before = place.path.read_text()
    context, result = do(place, check_mode=True)
    assert (context.changed, context.lines, result) == (True, ["Would lift it."], {"site_tasks": False})
    assert (place.world["did"], place.path.read_text()) == ([], before)
    # Also where no step before it was done, or would be.
    place.path.unlink()
    assert do(place, check_mode=True)[0].lines == ["Would lift it."]
    assert not place.path.exists()


def test_in_check_mode_a_step_that_is_done_says_nothing(place):
    place.have_done("pull")
    do(place)
    context, _result = do(place, check_mode=True)
    assert (context.changed, context.lines) == (False, [])


def test_the_site_s_own_tasks_come_between_the_two_parts_of_a_step(place):
    place.have_done("pull")
    place.world["tasks"] = True
    context, result = do(place)
    assert (result, place.begun(), place.world["did"]) == ({"site_tasks": True}, [PULLED, BEGUN], ["prepare"])
    context, result = do(place, part="end")
    assert (result, place.begun(), place.world["did"]) == ({"site_tasks": False}, [PULLED, ENDED], ["prepare", "work"])
    assert context.changed
    # Done once more it is skipped as a whole, without the site's tasks.
    assert do(place)[1] == {"site_tasks": False}
    assert place.begun() == [PULLED, ENDED]


def test_the_end_of_a_step_with_tasks_is_none_without_its_beginning(place):
    place.have_done("pull")
    place.world["tasks"] = True
    with pytest.raises(OperationError, match="The journal's last step is pull, and maintenance_on was to be ended"):
        do(place, part="end")
    assert place.begun() == [PULLED]


def test_a_run_that_somebody_took_over_between_the_two_parts_is_not_ended(place):
    place.have_done("pull")
    place.world["tasks"] = True
    do(place)
    place.journal(run={**THEIRS, "take_over": True}).begin("maintenance_on", {})
    with pytest.raises(OperationError, match="was taken over by operator@office"):
        do(place, part="end")
    assert place.begun() == [PULLED, BEGUN, BEGUN]
    assert place.world["did"] == ["prepare"]


def test_a_step_over_another_database_fails_as_begun_and_has_done_nothing(place):
    place.have_done("pull")
    place.facts["database"]["identity"] = ELSE
    with pytest.raises(OperationError, match="The database is another one"):
        do(place)
    assert (place.begun(), place.world["did"]) == ([PULLED, BEGUN], [])
    place.facts["database"] = GONE
    with pytest.raises(OperationError, match="^the database does not answer$"):
        do(place)


def test_a_step_during_which_the_database_becomes_another_one_does_not_end(place):
    place.have_done("pull")

    def work(self):
        place.facts["database"]["identity"] = ELSE
        self.context.forget()
        return Lift.work(self)

    with pytest.raises(OperationError, match="The database is another one"):
        do(place, type("Lost", (Lift,), {"work": work}))
    assert place.begun() == [PULLED, BEGUN]


def test_a_step_that_puts_another_database_there_says_so_to_the_run(place):
    place.have_done("pull")

    def work(self):
        place.facts["database"]["identity"] = ELSE
        self.context.forget()
        self.run_changes = {"database": ELSE}
        return Lift.work(self)

    do(place, type("Restored", (Lift,), {"work": work}))
    assert place.journal().content["run"]["database"] == ELSE
    place.world["lifted"] = False
    do(place)
    assert place.begun() == [PULLED, ENDED, ENDED]


@pytest.mark.parametrize(("phase", "optional"), [(UPGRADE, False), (ROLLBACK, True)])
def test_a_way_back_may_begin_without_a_database_and_does_not_wait_for_it(place, phase, optional):
    place.have_done("pull")
    place.facts["database"] = GONE
    kind = type("Close", (Lift,), {"database_optional_in_rollback": True})
    if optional:
        do(place, kind, phase=phase)
        assert place.looks == [0]
    else:
        with pytest.raises(OperationError, match="does not answer"):
            do(place, kind, phase=phase)
        assert place.looks == [steps.DATABASE_WAIT]


def test_the_server_is_looked_at_once_unless_a_step_forgets(place):
    place.service("auth")
    place.service("db", stopped_for_upgrade=False)
    context = place.context()
    assert context.server["release"] == context.server["release"] == "3.3.1"
    assert len(place.looks) == 1
    context.forget()
    assert context.services("stopped_for_upgrade") == ["auth"]
    assert len(place.looks) == 2


def test_a_damaged_journal_stops_a_step_before_anything(place):
    place.path.parent.mkdir()
    place.path.write_text("{")
    with pytest.raises(OperationError, match="cannot be read as a journal"):
        do(place)
    assert (place.world["did"], place.looks, place.path.read_text()) == ([], [], "{")


def test_the_upgrade_does_not_go_on_while_a_rollback_is_under_way(place):
    place.have_done("pull")
    do(place, phase=ROLLBACK)
    assert json.loads(place.path.read_text())["phase"] == ROLLBACK
    with pytest.raises(OperationError, match="Finish the rollback"):
        do(place)


def test_what_is_said_has_no_empty_line_in_it(place):
    context = place.context()
    context.say("one", "", "two")
    context.say("")
    assert context.lines == ["one", "two"]


def test_what_the_operator_has_set_is_read_with_its_secrets(place):
    context = place.context(login_password="hunter2")
    assert (context.site["login_password"], context.site["admin_password"]) == ("hunter2", None)
    assert context.state("ways.txt") == str(place.path.parent / "ways.txt")
    place.site["backup_keeps"] = 1
    with pytest.raises(OperationError, match="backup_keeps"):
        place.context()


def test_a_journal_that_was_taken_over_meanwhile_is_not_overwritten(path):
    old = journal(path)
    old.begin("pull", {})
    new = journal(path, {**THEIRS, "take_over": True})
    new.begin("pull", {})
    with pytest.raises(OperationError, match="was taken over by operator@office"):
        old.end("pull", {}, {})
    new.end("pull", {"theirs": 1}, {})
    assert new.steps[-1]["data"] == {"theirs": 1}


def test_a_process_is_known_by_more_than_its_number():
    with subprocess.Popen(["sleep", "60"]) as other:
        noted = process.identity(other.pid)
        assert process.is_alive(noted)
        assert not process.is_alive({**noted, "started": noted["started"] + 1})
        other.kill()
    assert not process.is_alive(noted)
    assert not process.is_alive(None)
    assert process.is_alive(process.mine())
