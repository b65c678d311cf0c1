# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals

AT = "2026-01-02T19:00:0{}.000"
PLAN = ["pull", "maintenance_on", "stop", "backup"]
ME = {"host": "laptop", "user": "operator", "pid": 7, "started": 70}
OTHER = {"host": "office", "user": "operator", "pid": 8, "started": 80}
IDENTITY = {"name": "open_lmis", "oid": 16384, "system_identifier": "1", "mounts": {"/data": "abc"}}
PATH = "/state/journal.json"
COMMANDS = {"resume": "go on", "rollback": "go back"}


def begin(journal, step, second, **options):
    params = {
        "step": step,
        "phase": "upgrade",
        "plan": [],
        "run": {},
        "holder": ME,
        "take_over": False,
        "commands": {},
        "path": PATH,
    }
    return journals.started(journal, {**params, **options}, AT.format(second))


def end(journal, step, second, data=None, run=None, holder=ME):
    params = {"step": step, "data": data or {}, "run": run or {}, "holder": holder, "path": PATH}
    return journals.done(journal, params, AT.format(second))


def stopped():
    """A run whose gate took 3 s to close and was open 5 s after that had begun."""
    text = end(begin(None, "maintenance_on", 0, run={"from": "3.3.1"}), "maintenance_on", 3)
    return end(begin(text, "maintenance_off", 4, run={"from": "other"}), "maintenance_off", 5)


def test_a_run_keeps_what_it_began_with():
    assert stopped()["run"] == {"from": "3.3.1"}
    assert stopped()["run_id"] == "20260102T190000Z"


def test_summary_of_seconds():
    assert journals.summarise(stopped()) == {
        "offline": 5.0,
        "steps": [{"step": "maintenance_on", "seconds": 3.0}, {"step": "maintenance_off", "seconds": 1.0}],
    }
    assert journals.summarise(None) == {"offline": None, "steps": []}


def test_a_moment_so_much_later():
    assert journals.later(AT.format(1), 62.25) == "2026-01-02T19:01:03.250"
    assert journals.seconds(AT.format(1), journals.later(AT.format(1), 62.25)) == 62.2


def test_a_failed_step_keeps_its_reason_when_the_next_attempt_fails_before_any_step():
    text = journals.failed(begin(None, "wait", 0), "auth ended", AT.format(1), {"components": {"auth": {}}})
    again = journals.failed(journals.claimed(text, OTHER, False), "the check refuses", AT.format(9))
    assert again["steps"] == text["steps"]
    assert again["holder"] == {}


def test_every_claim_is_one_attempt_more():
    text = begin(None, "stop", 0)
    again = journals.claimed(journals.failed(text, "no", AT.format(1), {"components": {}}), OTHER, False)
    assert again["holder"] == OTHER
    assert begin(again, "stop", 2, holder=OTHER)["steps"][-1]["attempt"] == 2
    assert again["steps"][0]["data"] == {"components": {}}
    with pytest.raises(OperationError, match=r"was started by operator@office \(process 8\)"):
        journals.claimed(again, ME, False)


def test_a_finished_run_makes_place_for_a_new_one():
    finished = dict(stopped(), finished=AT.format(6))
    assert not journals.under_way(finished)
    again = begin(finished, "pull", 7, run={"from": "x"})
    assert [step["step"] for step in again["steps"]] == ["pull"]
    assert again["run"] == {"from": "x"}
    assert again["run_id"] != finished["run_id"]


def test_a_step_that_was_cut_off_stays_unfinished():
    text = begin(begin(stopped(), "wait", 6), "wait", 7)
    text = end(text, "wait", 8)
    assert [step["finished"] for step in text["steps"][-2:]] == [None, AT.format(8)]


@pytest.mark.parametrize("step", ["backup", "maintenance_off"])
def test_only_the_running_step_can_end(step):
    with pytest.raises(OperationError, match="The journal's last step is maintenance_off"):
        end(stopped(), step, 9)


def test_a_step_is_skipped_only_when_journal_and_world_agree():
    text = end(begin(None, "stop", 0), "stop", 1)
    assert journals.may_skip(text, "stop", "upgrade", True)
    assert not journals.may_skip(text, "stop", "upgrade", False)
    assert not journals.may_skip(text, "backup", "upgrade", True)
    assert not journals.may_skip(begin(None, "stop", 0), "stop", "upgrade", True)
    assert not journals.may_skip(text, "stop", "rollback", True)
    assert not journals.may_skip(dict(text, finished=AT.format(2)), "stop", "upgrade", True)
    assert not journals.may_skip(None, "stop", "upgrade", True)


def test_a_step_needs_the_one_before_it():
    text = end(begin(None, "pull", 0, plan=PLAN), "pull", 1)
    with pytest.raises(OperationError, match="stop was asked for, and the journal says that maintenance_on"):
        begin(text, "stop", 2, plan=PLAN)
    with pytest.raises(
        OperationError,
        match="There is no journal /state/journal.json, and step backup was asked for.*stop.*without --tags",
    ):
        begin(None, "backup", 2, plan=PLAN)
    text = end(begin(text, "maintenance_on", 2, plan=PLAN), "maintenance_on", 3)
    assert begin(text, "stop", 4, plan=PLAN)["steps"][-1]["step"] == "stop"


def test_a_run_in_other_hands_is_refused_with_who_and_when():
    text = begin(None, "stop", 0, holder=OTHER)
    with pytest.raises(
        OperationError,
        match=r"20260102T190000Z was started by operator@office \(process 8\), last seen with step stop at 2026",
    ):
        begin(text, "stop", 1)
    with pytest.raises(OperationError) as refused:
        begin(text, "stop", 1)
    assert refused.value.facts == {"held_by": OTHER}
    taken = begin(text, "stop", 1, take_over=True)
    assert (taken["holder"], taken["holders"]) == (ME, [OTHER, ME])
    assert begin(taken, "backup", 2)["holders"] == [OTHER, ME]
    assert begin(journals.failed(text, "no", AT.format(1)), "pull", 2)["holder"] == ME


def test_a_rollback_turns_a_run_round_and_the_upgrade_waits_for_it():
    finished = dict(stopped(), finished=AT.format(6), outcome="upgraded")
    text = begin(finished, "maintenance_on", 7, phase="rollback", plan=["maintenance_on", "stop"])
    assert (text["run_id"], text["phase"], text["finished"]) == (finished["run_id"], "rollback", None)
    assert journals.finished_steps(text, "rollback") == set()
    journals.require_phase(text, "rollback")
    with pytest.raises(OperationError, match="rollback of run 20260102T190000Z is under way"):
        journals.require_phase(text, "upgrade")
    journals.require_phase(dict(text, finished=AT.format(9)), "upgrade")
    journals.require_phase(finished, "upgrade")


def test_a_step_may_change_what_the_run_knows():
    text = end(begin(None, "restore", 0, run={"database": 1, "to": "x"}), "restore", 1, run={"database": 2})
    assert text["run"] == {"database": 2, "to": "x"}


RUN, LATER = "20260101T000000Z", "20260101T120000Z"
SERVICE = {
    "stopped_for_upgrade": True,
    "one_shot": False,
    "component": "auth",
    "container": "1",
    "image": "openlmis/auth:3.2.0",
}
SERVER = {
    "project": {"src": "/opt/lmis"},
    "database": {"identity": IDENTITY, "error": None, "users": 9, "users_without_details": None},
    "release": "3.3.1",
    "release_target": "3.4.0",
    "begun_from": None,
    "edits": ["auth 3.2.0 -> 4.0.0"],
    "services": {
        "auth": {**SERVICE, "status": "running", "mounts": {}},
        "db": {
            **SERVICE,
            "stopped_for_upgrade": False,
            "component": None,
            "status": "running",
            "image": "db",
            "mounts": {"/data": "abc"},
        },
    },
}
KEPT = {
    RUN: {
        "auth": {"id": "sha256:auth", "names": ["openlmis/auth:3.2.0"]},
        "db": {"id": "sha256:db", "names": ["kept only"]},
    }
}
GONE = {"identity": None, "error": "it does not run", "users": None}


def server(status="running", container="1", **changes):
    services = {**SERVER["services"], "auth": {**SERVER["services"]["auth"], "status": status, "container": container}}
    return {**SERVER, "services": services, **changes}


STOPPED = server("missing", None)
MIX = server("running", release=None, begun_from="3.3.1")


def manifest(**other):
    known = {
        "run": RUN,
        "release": "3.3.1",
        "created": AT.format(0),
        "images": {"auth": {"id": "1"}},
        "project": {"src": "/opt/lmis"},
    }
    return {**known, "database": {"identity": IDENTITY}, **other}


BACKUP = [("/b/1", manifest())]


def lost(facts, journal=None, **traces):
    return journals.recovered(journal, journals.Traces(**traces), facts, "3.4.0", AT.format(9))


def test_a_lost_journal_is_written_again_from_the_backup_of_this_very_database():
    text = lost(MIX, manifests=[("/b/0", manifest(run="20250101T000000Z")), *BACKUP], kept=KEPT)
    assert text["run_id"] == RUN
    assert text["run"] == {"from": "3.3.1", "to": "3.4.0", "database": IDENTITY, "users": 9}
    assert journals.finished_steps(text, "upgrade") == {"pull", "maintenance_on", "stop", "backup"}
    assert text["steps"][0]["data"]["images"] == {"auth": {"id": "1"}}
    assert [step["data"].get("dest") for step in text["steps"] if step["step"] == "backup"] == ["/b/1"]
    assert journals.under_way(text)
    assert journals.keep_out(text)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("changed", [True, False])
def test_a_backup_of_a_database_that_nothing_migrated_is_the_run_s_when_nobody_can_have_worked_since(closed, changed):
    text = lost(STOPPED, manifests=BACKUP, closed=closed, changed=["/b/1"] if changed else [])
    # A stop after the backup has another one made, as long as nothing has migrated.
    assert text["steps"][-1]["step"] == ("backup" if closed or changed else "stop")
    assert [bool(step["data"].get("closed")) for step in text["steps"] if step["step"] == "maintenance_on"] == [closed]


def test_before_any_backup_the_kept_images_tell_the_run():
    text = lost(STOPPED, kept=KEPT)
    assert (text["run_id"], text["run"]["from"]) == (RUN, "3.3.1")
    assert journals.finished_steps(text, "upgrade") == {"pull", "maintenance_on"}
    assert text["steps"][0]["data"]["images"] == {"auth": {"id": "sha256:auth", "name": "openlmis/auth:3.2.0"}}
    assert lost(SERVER, kept=KEPT, closed=True)["run_id"] == RUN
    assert lost(SERVER, closed=True)["run_id"] == "20260102T190009Z"


def test_a_later_run_than_that_of_the_backup_has_none():
    text = lost(MIX, manifests=BACKUP, kept={**KEPT, LATER: {}}, closed=True)
    assert text["run_id"] == LATER
    assert (text["run"]["from"], "backup" in journals.finished_steps(text, "upgrade")) == ("3.3.1", False)


@pytest.mark.parametrize("release", ["3.3.1", "3.4.0"])
@pytest.mark.parametrize("database", [{}, {"users_without_details": 1}])
@pytest.mark.parametrize("journal", [None, "finished"])
def test_no_run_is_invented_on_a_server_whose_components_run_and_whose_users_are_let_in(release, database, journal):
    journal = dict(stopped(), run_id=RUN, finished=AT.format(6)) if journal else None
    healthy = server(release=release, database={**SERVER["database"], **database})
    assert lost(healthy, journal, manifests=BACKUP, kept=KEPT) == journal


def test_no_run_is_invented_where_there_is_no_trace_of_one_or_the_last_one_is_over():
    assert lost(STOPPED) is None
    finished = dict(stopped(), run_id=RUN, finished=AT.format(6))
    assert lost(STOPPED, finished, manifests=BACKUP, kept=KEPT) == finished
    assert lost(STOPPED, finished, manifests=[*BACKUP, ("/b/2", manifest(run=LATER))])["run_id"] == LATER
    # Stopped by hand, all containers there: whoever has stopped them starts them again.
    assert lost(server("exited"), manifests=BACKUP, kept=KEPT) is None
    assert (
        lost(server("exited", edits=[]), manifests=BACKUP, kept=KEPT, changed=["/b/1"])["steps"][-1]["step"] == "backup"
    )


@pytest.mark.parametrize(
    "facts",
    [
        server("exited", release="3.4.0"),
        server(release="3.4.0", database={**SERVER["database"], "users_without_details": 9}),
    ],
)
def test_a_server_with_all_migrations_that_nobody_can_work_on_is_not_finished(facts):
    assert lost(facts, manifests=BACKUP)["run_id"] == RUN


def test_a_backup_of_another_database_is_none():
    other = [("/b/1", manifest(database={"identity": dict(IDENTITY, oid=2)}))]
    assert lost(MIX, manifests=other) is None
    assert lost({**MIX, "database": GONE, "services": {}}, manifests=[("/b/1", manifest(database=None))]) is None


def test_a_rollback_that_lost_its_journal_after_the_restore_still_knows_its_backup():
    restored = {**STOPPED, "database": {**SERVER["database"], "identity": dict(IDENTITY, oid=2)}}
    assert lost(restored, manifests=BACKUP, kept=KEPT, closed=True)["steps"][-1]["data"]["dest"] == "/b/1"
    for facts, traces in (
        (restored, {"kept": KEPT}),
        ({**restored, "release": "3.4.0"}, {"kept": KEPT, "closed": True}),
        (restored, {"closed": True}),
    ):
        text = lost(facts, manifests=BACKUP, **traces)
        assert "backup" not in journals.finished_steps(text, "upgrade")


def test_the_backup_of_the_site_itself_is_known_by_its_run_and_its_deployment():
    own = [("/b/1", {key: value for key, value in manifest().items() if key != "database"})]
    assert lost(STOPPED, manifests=own, kept=KEPT, closed=True)["steps"][-1]["data"]["dest"] == "/b/1"


def test_a_database_that_does_not_answer_is_known_by_its_volumes_and_asked_first():
    down = server("exited", database=GONE, release=None)
    assert journals.unanswered(None, journals.Traces(BACKUP), down) == {"/data": "abc"}
    assert journals.unanswered(None, journals.Traces(BACKUP), SERVER) == {}
    assert journals.unanswered(begin(None, "stop", 0), journals.Traces(BACKUP), down) == {}
    assert lost(down, manifests=BACKUP) is None
    assert lost({**down, "services": STOPPED["services"]}, manifests=BACKUP)["run"]["database"] == IDENTITY


def foreign(facts=SERVER, run_id=RUN, database=None, **traces):
    journal = end(begin(None, "pull", 0, run={"database": database or dict(IDENTITY, oid=1)}), "pull", 1)
    return journals.stray(dict(journal, run_id=run_id), journals.Traces(**traces), facts)


def test_a_journal_of_another_server_is_told_by_its_database_and_by_what_its_run_has_not_left():
    assert "began with another database" in foreign()
    assert foreign(kept=KEPT) == foreign(manifests=[("/b/1", manifest(database=None))]) == ""
    assert foreign(database=IDENTITY) == ""
    assert foreign({**SERVER, "database": GONE}) == ""


def test_a_journal_older_than_a_later_run_s_backup_is_a_stray_one():
    assert f"run {LATER} has made a backup" in foreign(
        kept=KEPT, database=IDENTITY, manifests=[("/b/2", manifest(run=LATER))]
    )


def test_a_journal_older_than_its_backup_learns_of_it():
    text = dict(end(begin(None, "pull", 0), "pull", 1), run_id=RUN)
    known = lost(MIX, text, manifests=BACKUP)
    assert journals.finished_steps(known, "upgrade") == {"pull", "maintenance_on", "stop", "backup"}
    assert [entry["step"] for entry in known["steps"]].count("pull") == 1
    assert lost(MIX, text, manifests=[("/b/1", manifest(run="x"))]) == text
    assert lost(MIX, known, manifests=BACKUP) == known


@pytest.mark.parametrize(("facts", "recovered"), [(SERVER, None), (MIX, True)])
def test_a_journal_that_could_not_note_the_end_of_the_backup_lacks_nothing_else(facts, recovered):
    text = begin(end(begin(None, "stop", 0, run={"from": "3.3.1"}), "stop", 1), "backup", 2)
    known = lost(facts, text, manifests=[("/b/1", manifest(run=text["run_id"]))])
    assert known["steps"][-1]["data"]["dest"] == "/b/1"
    # Where something has migrated since, the journal is older than it should be.
    assert known["steps"][-1]["data"].get("recovered") is recovered


def test_a_run_that_was_taken_over_is_not_written_to_by_the_controller_before():
    text = begin(None, "stop", 0)
    taken = begin(text, "stop", 1, holder=OTHER, take_over=True)
    released = journals.failed(taken, "no", AT.format(2))
    over = dict(taken, finished=AT.format(2), holder={})
    for journal, said in (
        (taken, "taken over by operator@office"),
        (released, "has stopped since"),
        (over, "has ended since"),
    ):
        with pytest.raises(OperationError, match=said):
            end(journal, "stop", 3)
        with pytest.raises(OperationError, match=said):
            begin(journal, "backup", 3, take_over=True)
    with pytest.raises(OperationError, match="has lost its journal, /state/journal.json"):
        end(None, "stop", 3)
    with pytest.raises(OperationError, match="taken over by"):
        journals.finished(taken, {"holder": ME, "path": "", "outcome": "upgraded"}, AT.format(3))
    assert end(taken, "stop", 3, holder=OTHER)["steps"][-1]["finished"]
    assert journals.finished(text, {"holder": ME, "path": "", "outcome": "upgraded"}, AT.format(3))["holder"] == {}


def test_a_run_that_has_failed_goes_on_with_the_controller_that_had_it_last_or_another():
    failed = journals.failed(begin(None, "stop", 0), "no", AT.format(1))
    assert begin(failed, "stop", 2)["holder"] == ME
    again = journals.failed(begin(failed, "stop", 2, holder=OTHER), "no", AT.format(3))
    assert again["holders"] == [ME, OTHER]
    assert begin(again, "stop", 4, holder=OTHER)["holder"] == OTHER
    with pytest.raises(OperationError, match="was taken over and has stopped since"):
        begin(again, "stop", 4)


def test_a_run_that_has_stopped_nothing_is_no_run_and_the_next_pull_begins_another():
    text = end(begin(None, "pull", 0, plan=PLAN), "pull", 1)
    for journal in (text, journals.failed(begin(None, "pull", 0), "no registry", AT.format(1))):
        assert not journals.under_way(journal)
    released = dict(text, holder={})
    again = begin(released, "pull", 8, plan=PLAN, run={"from": "new"})
    assert (again["run_id"], again["run"], len(again["steps"])) == ("20260102T190008Z", {"from": "new"}, 1)
    # The next step by itself still finds the images fetched, and makes a run of it.
    assert journals.under_way(begin(released, "maintenance_on", 8, plan=PLAN))
    with pytest.raises(OperationError, match="was started by operator@office"):
        begin(end(begin(None, "pull", 0, holder=OTHER), "pull", 1, holder=OTHER), "pull", 8, plan=PLAN)


FACTS = {
    "release": None,
    "release_target": "3.4.0",
    "database": {"error": None, "users_without_details": 4},
    "histories": {"auth": {"missing": []}, "requisition": {"missing": ["1", "2"]}},
    "services": {
        "auth": {"stopped_for_upgrade": True, "one_shot": False, "status": "running"},
        "requisition": {"stopped_for_upgrade": True, "one_shot": False, "status": "missing"},
        "db": {"stopped_for_upgrade": False, "one_shot": False, "status": "exited"},
        "service-configuration": {"stopped_for_upgrade": True, "one_shot": True, "status": "exited"},
    },
}


def test_a_failure_says_step_finding_state_and_both_ways():
    text = end(begin(None, "maintenance_on", 0), "maintenance_on", 1, {"gate": "firewall"})
    text = end(begin(text, "backup", 1), "backup", 2, {"dest": "/b/1"})
    text = journals.failed(begin(text, "wait", 3), "requisition ended", AT.format(4))
    assert journals.failure_lines(text, "upgrade", FACTS, "requisition ended", COMMANDS) == [
        "FAILED    The upgrade 20260102T190000Z stopped in step wait.",
        "Found     requisition ended",
        "Database  on the way to 3.4.0: migrations missing: requisition lacks 2",
        "Services  requisition not running, the others are",
        "Users     are still kept out",
        "Backup    /b/1, proven",
        "Go on     go on",
        "Roll back go back",
    ]
    assert text["steps"][-1]["finding"] == "requisition ended"
    assert text["holder"] == {}


def test_a_failure_before_the_run_says_that_nothing_was_changed():
    assert journals.failure_lines(None, "upgrade", FACTS, "no login", COMMANDS)[:2] == [
        "Stopped before anything was changed.",
        "Found     no login",
    ]


def test_a_rollback_that_has_not_begun_leaves_both_ways():
    text = begin(None, "backup", 0, commands=COMMANDS)
    lines = journals.failure_lines(text, "rollback", FACTS, "no backup", {"resume": "go back", "rollback": None})
    assert (
        lines[0] == "FAILED    The rollback of 20260102T190000Z has not begun; the upgrade had stopped in step backup."
    )
    assert lines[-2:] == ["Go on     go on", "Roll back go back"]
    lines = journals.failure_lines(
        dict(text, commands={}),
        "rollback",
        FACTS,
        "no backup",
        {"resume": "go back", "rollback": None, "upgrade": "go on"},
    )
    assert lines[-2:] == ["Go on     go on", "Roll back go back"]


def test_a_failed_rollback_offers_only_to_go_on():
    text = begin(None, "restore", 0, phase="rollback")
    lines = journals.failure_lines(text, "rollback", {}, "no room", {"resume": "go on", "rollback": None})
    assert lines[0] == "FAILED    The rollback 20260102T190000Z stopped in step restore."
    assert lines[-1] == "Go on     go on"
    assert "Database  could not be looked at" in lines


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"release": "3.3.1"}, "at 3.3.1, no migration of 3.4.0 in it"),
        ({"release": "3.4.0"}, "at 3.4.0; contact details of 4 users are not copied"),
        (
            {"release": "3.4.0", "database": {"error": None, "users_without_details": 0}},
            "at 3.4.0; all contact details are copied",
        ),
        ({"database": {"error": "no route"}}, "does not answer: no route"),
    ],
)
def test_the_database_in_a_sentence(changes, said):
    assert journals.describe_database({**FACTS, **changes}) == said


def test_the_gate_in_a_sentence():
    closed = end(begin(None, "maintenance_on", 0), "maintenance_on", 1, {"gate": "none"})
    assert "NOT kept out" in journals.describe_gate(closed)
    assert journals.describe_gate(end(begin(closed, "maintenance_off", 2), "maintenance_off", 3)) == "are let in"
    assert journals.describe_gate(begin(None, "pull", 0)) == "are not kept out"
    assert "may be kept out" in journals.describe_gate(
        journals.failed(begin(None, "maintenance_on", 0), "no rights", AT.format(1))
    )


def test_written_whole_private_and_read_back(tmp_path):
    path = tmp_path / "state" / "journal.json"
    journals.save(str(path), stopped())
    assert journals.load(str(path)) == (stopped(), "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["journal.json"]


@pytest.mark.parametrize("text", ["", '{"run_id": 1', "[]", json.dumps({"steps": {}})])
def test_what_is_no_journal_is_said(tmp_path, text):
    path = tmp_path / "journal.json"
    path.write_text(text)
    journal, damaged = journals.load(str(path))
    assert journal is None
    assert "it moves the file aside" in damaged


def test_no_file_is_no_journal(tmp_path):
    assert journals.load(str(tmp_path / "none")) == (None, "")


def test_users_are_kept_out_from_the_gate_s_beginning_to_its_end():
    text = begin(None, "pull", 0)
    assert not journals.keep_out(text)
    text = begin(text, "maintenance_on", 1)
    assert journals.keep_out(text)
    text = begin(end(text, "maintenance_on", 2), "maintenance_off", 3)
    assert journals.keep_out(text)
    text = end(text, "maintenance_off", 4)
    assert not journals.keep_out(text)
    assert not journals.keep_out(dict(begin(text, "maintenance_on", 5), finished=AT.format(6)))
    assert not journals.keep_out(None)


def test_a_rollback_that_failed_to_restore_may_be_given_up_while_the_database_is_the_same():
    upgraded = end(begin(None, "stop", 0, run={"database": IDENTITY}), "stop", 1)
    under_way = begin(upgraded, "restore", 2, phase="rollback")
    assert journals.given_up(under_way, IDENTITY)["phase"] == "rollback"
    failed = journals.failed(under_way, "no room", AT.format(3))
    assert journals.given_up(failed, IDENTITY)["phase"] == "upgrade"
    assert journals.given_up(failed, {**IDENTITY, "oid": 9})["phase"] == "rollback"
    assert journals.given_up(end(under_way, "restore", 3), IDENTITY)["phase"] == "rollback"


@pytest.mark.parametrize(
    "said",
    [
        "Task failed: Module result deserialization failed: No start of json char found",
        "MODULE FAILURE\nSee stdout/stderr for the exact error",
    ],
)
def test_a_process_that_was_killed_is_said_so(said):
    assert journals.plain(said).startswith("The process of this step on the server ended without an answer")
    assert journals.plain("requisition ended with 1") == "requisition ended with 1"


def test_only_the_controller_of_the_run_notes_a_failure():
    journal = begin(None, "pull", 0)
    assert journals.is_run_by(journal, ME)
    assert not journals.is_run_by(journal, OTHER)
    assert not journals.is_run_by(journals.failed(journal, "broken", AT.format(1)), ME)
    assert not journals.is_run_by(dict(journal, finished=AT.format(1)), ME)
    assert not journals.is_run_by(None, ME)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"dest": "/backup/1"}, "/backup/1, proven"),
        ({"without_way_back": True}, "none from before the upgrade; it goes forward without a way back"),
        ({}, "made by the site's own task file"),
    ],
)
def test_what_there_is_to_go_back_to(data, said):
    journal = end(begin(None, "backup", 0), "backup", 1, data)
    assert journals.describe_backup(journal) == said


def expect(journal, identity, error=None):
    journals.require_database(journal, {"identity": identity, "error": error}, PATH)


def test_another_database_is_told_from_the_one_that_the_run_began_with():
    text = begin(None, "stop", 0, run={"database": IDENTITY})
    expect(text, dict(IDENTITY))
    with pytest.raises(
        OperationError, match=r"another one, .*'oid': 1.*16384.* is expected.*move the journal /state/journal.json away"
    ):
        expect(text, {**IDENTITY, "oid": 1})
    with pytest.raises(OperationError, match="^it does not answer$"):
        expect(text, None, "it does not answer")
    with pytest.raises(OperationError, match="another one"):
        expect(text, None)


def test_a_run_written_again_over_a_database_that_did_not_answer_takes_the_one_that_does():
    text = end(begin(None, "pull", 0, run={"database": None}), "pull", 1, {"recovered": True})
    expect(text, IDENTITY)
    known = dict(text, steps=[dict(text["steps"][0], data={})])
    with pytest.raises(OperationError, match="another one"):
        expect(known, IDENTITY)
