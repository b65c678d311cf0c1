# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the steps make of the facts; what they do to a server is tested on one."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import restart, running
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import activity_note, gate
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import copy
from ansible_collections.openlmis.operations.plugins.module_utils.run import database_up
from ansible_collections.openlmis.operations.plugins.module_utils.run.rehearsing import Rehearsing
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import PLANS, ROLLBACK, UPGRADE
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps import check, rehearsal, resume, wait
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.backup import Backup
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.maintenance import MaintenanceOff
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.migrate import MigrateContactDetails
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.pull import Pull
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.rehearsal import (
    RehearsalFailed,
    ReportRehearsal,
    StartCopy,
    WayBack,
)
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.resume import Ways
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.start import Start
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.stop import Stop
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.versions import SetVersions

OTHER = {"host": "office", "user": "operator", "pid": 8, "started": 80}


def before(step, phase=UPGRADE):
    """Return the steps before one."""
    return PLANS[phase][: PLANS[phase].index(step)]


# -- pull ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "reached", "said"), [([], True, []), (["redis:3.2.12"], False, ["Would fetch redis:3.2.12."])]
)
def test_images_are_there_or_would_be_fetched(place, missing, reached, said):
    place.facts["images_to_pull"] = missing
    step = Pull(place.context())
    assert (step.reached(), step.intention()) == (reached, said)
    assert ("redis:3.2.12 is not on this host after it was fetched" in step.shortfall()) is not reached


# -- stop ------------------------------------------------------------------------------------------------------------


def stop(place, **options):
    """Return what the step would remove and stop."""
    step = Stop(place.context(**options))
    assert step.reached() is not bool(step.removed() + step.paused())
    return step.removed(), step.paused()


def test_what_uses_the_database_is_stopped_and_what_the_upgrade_replaces_removed(place):
    place.service("auth")
    place.service("nginx", container=None)
    place.service("reports", stopped_for_upgrade=False, uses_database=True)
    place.service("sleeping", stopped_for_upgrade=False, uses_database=True, status="exited")
    place.service("db", stopped_for_upgrade=False)
    place.have_done("pull", "maintenance_on")
    assert stop(place) == (["auth"], ["reports"])
    assert "auth, reports still has a container, or runs" in Stop(place.context()).shortfall()


def test_once_the_backup_is_made_only_what_is_not_the_release_s_has_to_go(place):
    place.service("auth")
    place.service("requisition", stale=True)
    place.service("reports", stopped_for_upgrade=False, uses_database=True)
    place.have_done(*before("set_versions"))
    assert stop(place) == (["requisition"], [])
    # The way back stops everything before it restores.
    assert stop(place, phase=ROLLBACK) == (["auth", "requisition"], ["reports"])


# -- backup ----------------------------------------------------------------------------------------------------------


def backed_up(place, **manifest):
    """Have a backup that its manifest says is whole; return its folder."""
    folder = place.path.parent.parent / "backup" / "1"
    folder.mkdir(parents=True)
    told = {"format": 1, "run": place.journal().run_id, "checksums": {}, "sizes": {}, "links": {}, **manifest}
    (folder / "manifest.json").write_text(json.dumps(told))
    return str(folder)


def with_backup(place, **manifest):
    place.have_done(*before("backup"))
    folder = backed_up(place, **manifest)
    place.have_done("backup", backup={"dest": folder})
    return folder


def test_a_backup_is_made_of_a_database_of_before_that_nobody_may_write_to(place):
    place.service("db", stopped_for_upgrade=False)
    place.have_done(*before("backup"))
    step = Backup(place.context())
    assert (step.untouched(), step.stopped_since(), step.reached(), step.obstacle()) == (True, True, False, "")
    place.service("auth", status="exited")
    place.service("reports", stopped_for_upgrade=False, uses_database=True)
    place.service("sleeping", stopped_for_upgrade=False, uses_database=True, status="exited")
    assert Backup(place.context()).obstacle().startswith("auth, reports may write to the database; nothing may")


def test_a_backup_of_this_run_stays_until_the_server_was_stopped_again(place):
    with_backup(place)
    assert Backup(place.context()).reached()
    place.have_done("maintenance_on", "stop")
    assert not Backup(place.context()).reached()


@pytest.mark.parametrize(
    "damage", [{"run": "20250101T000000Z"}, {"sizes": {"globals.sql": 1}, "checksums": {"globals.sql": "0"}}]
)
def test_a_backup_that_is_damaged_or_another_run_s_is_none(place, damage):
    with_backup(place, **damage)
    assert not Backup(place.context()).reached()


def test_once_a_migration_is_in_the_database_the_backup_from_before_stays_the_way_back(place):
    with_backup(place)
    place.facts["release"] = None
    place.have_done("stop")
    step = Backup(place.context())
    assert (step.untouched(), step.reached(), step.obstacle(), step.site_tasks()) == (False, True, "", False)
    assert step.work() == {"dest": step.kept["dest"], "without_way_back": True}


def test_without_a_whole_backup_from_before_the_migrations_it_goes_on_only_when_told(place):
    place.have_done(*before("backup"))
    place.facts["release"] = None
    step = Backup(place.context())
    assert "the journal knows no backup from before them" in step.obstacle()
    place.site["without_way_back"] = True
    step = Backup(place.context())
    assert (step.reached(), step.obstacle(), step.work()) == (False, "", {"without_way_back": True})


def test_a_damaged_backup_is_named_where_it_is_the_only_way_back(place):
    folder = with_backup(place, sizes={"globals.sql": 1}, checksums={"globals.sql": "0"})
    place.facts["release"] = None
    obstacle = Backup(place.context()).obstacle()
    assert "is not whole: globals.sql is missing" in obstacle
    assert f"Put {folder} back from a copy" in obstacle


def test_a_server_that_was_at_the_release_when_the_run_began_is_as_before_until_details_are_copied(place):
    place.facts["release"] = "3.4.0"
    assert Backup(place.context()).untouched()
    place.have_done(*before("migrate_contact_details"))
    assert Backup(place.context()).untouched()
    place.have_done("migrate_contact_details")
    assert not Backup(place.context()).untouched()


def test_a_backup_of_the_site_s_own_has_no_identity_of_a_database(place):
    place.facts.update(components=[], exited=[])
    place.have_done("pull", pull={"images": {"auth": {"id": "1"}}, "answers": {"auth": "3.2.0"}, "exited": ["cron"]})
    told = Backup(place.context()).told()
    assert told["database"] == {"identity": place.facts["database"]["identity"]}
    assert (told["run"], told["images"], told["exited"]) == (place.journal().run_id, {"auth": {"id": "1"}}, ["cron"])
    place.site["backup"] = "/opt/site/backup.yml"
    assert "database" not in Backup(place.context()).told()
    assert Backup(place.context()).site_tasks()


# -- set_versions, start, migrate_contact_details ----------------------------------------------------------------------


def test_versions_are_set_when_compose_renders_the_release_and_no_edit_is_left(place):
    place.service("auth")
    assert SetVersions(place.context()).reached()
    assert SetVersions(place.context()).shortfall() == ""
    place.facts["edits"] = [{"path": "/opt/lmis/.env", "summary": "auth 3.2.0 -> 4.0.0"}]
    assert (
        "Compose still renders no wrong image and there remains to be changed: auth 3.2.0 -> 4.0.0"
        in SetVersions(place.context()).shortfall()
    )
    place.service("auth", current=False, image="openlmis/auth:3.2.0")
    assert not SetVersions(place.context()).reached()
    assert "Compose still renders openlmis/auth:3.2.0" in SetVersions(place.context()).shortfall()


def test_nothing_is_started_forth_with_another_image_than_the_release_s(place):
    place.service("auth", current=False, image="openlmis/auth:3.2.0")
    assert (
        Start(place.context())
        .obstacle()
        .startswith("Compose renders openlmis/auth:3.2.0; the images of 3.4.0 are expected")
    )
    assert Start(place.context(phase=ROLLBACK)).obstacle() == ""


def test_only_forth_are_late_migrations_let_in(place):
    place.service("db", started_first=True)
    place.facts["histories"] = {"auth": {"out_of_order": []}, "requisition": {"out_of_order": ["5"]}}
    place.facts["components"] = [{"name": "auth", "service": "auth"}, {"name": "requisition", "service": "req"}]
    assert Start(place.context()).intention() == [
        "Would start db, and when the database accepts connections the rest with out-of-order migration for req."
    ]
    assert Start(place.context(phase=ROLLBACK)).disordered() == []


def copied(place, kept, attempts=1):
    place.have_done(*before("migrate_contact_details"))
    for _attempt in range(attempts):
        place.journal().begin("migrate_contact_details", {})
    MigrateContactDetails(place.context()).refuse_what_is_not_understood(
        {"kept": kept, "kept_users": ["1", "2"][:kept]}
    )


def test_details_that_differ_before_the_first_copy_are_asked_about_once(place):
    with pytest.raises(OperationError, match=r"2 users had contact details .* \(ids 1, 2\)"):
        copied(place, 2)
    copied(place, 2, attempts=1)


def test_details_that_differ_where_users_have_worked_in_the_release_are_kept(place):
    place.facts["release"] = "3.4.0"
    copied(place, 2)


def test_details_are_copied_when_nothing_is_left_to_migrate(place):
    place.facts["histories"] = {"auth": {"missing": []}, "notification": {"missing": ["1"]}}
    assert MigrateContactDetails(place.context()).obstacle().startswith("notification lacks migrations of 3.4.0")
    place.facts["histories"]["notification"]["missing"] = []
    assert MigrateContactDetails(place.context()).obstacle() == ""
    for left, reached in ((0, True), (3, False), (None, False)):
        place.facts["database"]["users_without_details"] = left
        assert MigrateContactDetails(place.context()).reached() is reached


def test_the_owner_of_the_details_is_found_by_its_component(place):
    place.service("mail", component="notification")
    place.service("auth")
    assert MigrateContactDetails(place.context()).owner() == ["mail"]


# -- the gate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept_out(place, monkeypatch):
    """Have a server whose firewall and counted rows are data."""
    place.site.update(gate="firewall", gate_ports=[], gate_allow=[], count_timeout=60)
    did = place.world["did"]

    def firewall(params, _check_mode, _find):
        did.append(params["state"])
        if place.world.pop("stuck", False):
            raise OperationError("the firewall is stuck")
        return {"changed": True, "lines": []}

    def note(_site, _dest, _seconds, replace):
        did.append(f"noted, replace={replace}")
        return {"rows": {"auth.users": 9}}

    monkeypatch.setattr(gate, "run", firewall)
    monkeypatch.setattr(activity_note, "note", note)
    monkeypatch.setattr(restart, "release", lambda _look: did.append("released"))
    return did


def test_what_users_could_have_done_is_counted_from_the_first_attempt_to_let_them_in(place, kept_out):
    place.have_done(*before("maintenance_off"))
    place.world["stuck"] = True
    with pytest.raises(OperationError, match="stuck"):
        place.do(MaintenanceOff)
    place.do(MaintenanceOff)
    assert kept_out == ["noted, replace=True", "released", "absent", "noted, replace=False", "released", "absent"]


def test_the_rows_are_in_the_journal_also_where_the_site_lets_users_in(place, kept_out):
    place.site["gate"] = "/site/gate.yml"
    place.have_done(*before("maintenance_off"))
    place.do(MaintenanceOff)
    place.do(MaintenanceOff, part="end")
    assert place.journal().data("maintenance_off") == {"rows": {"auth.users": 9}}


@pytest.mark.parametrize(("done", "asked"), [(before("start"), ["present"]), (PLANS[UPGRADE], [])])
def test_ports_that_docker_chooses_at_the_start_are_closed_where_users_are_kept_out(
    place, kept_out, monkeypatch, done, asked
):
    place.service("auth")
    place.facts.update(restarts={}, components=[])
    place.facts["project"]["unlabelled_networks"] = []
    place.have_done(*done)
    kept_out.clear()
    monkeypatch.setattr(running, "network_gone", lambda *_: None)
    monkeypatch.setattr(running, "up", lambda *_: [])
    place.do(Start)
    assert kept_out == asked


# -- wait, the database ------------------------------------------------------------------------------------------------


def test_what_had_ended_before_the_run_and_what_ends_by_itself_is_not_waited_for(place):
    place.facts["components"] = [{"name": "auth"}]
    place.site["wait_timeout"] = 900
    place.service("auth")
    place.service("service-configuration", one_shot=True)
    place.service("cron", stopped_for_upgrade=False, kind="other")
    place.service("job", stopped_for_upgrade=False, kind="other")
    place.service("db", stopped_for_upgrade=False, kind="database")
    told = wait.options(place.context(), ["cron"])
    assert (told["services"], told["may_exit"]) == (["auth", "job", "db"], ["cron", "job"])
    assert (told["timeout"], told["components"], told["project_src"]) == (
        900,
        [{"name": "auth"}],
        place.site["project_src"],
    )
    assert wait.options(place.context(), [], components=[])["components"] == []


@pytest.mark.parametrize(
    ("found", "mounts", "needed", "own_data"),
    [
        ({"service": None}, {}, False, False),
        ({}, {"/data": "a"}, False, False),
        ({"status": "exited"}, {}, True, True),
        ({"status": "detached"}, {}, True, True),
        ({"status": "missing"}, {}, True, False),
        ({"status": "missing"}, {"/data": "a"}, True, True),
        ({"status": "missing", "lost": ["a"]}, {"/data": "a"}, True, False),
        ({"stray": "lmis-db-1"}, {"/data": "a"}, True, False),
    ],
)
def test_the_database_is_started_where_it_does_not_run_on_its_data_and_on_no_other_unless_that_is_asked_for(
    found, mounts, needed, own_data
):
    known = {"service": "db", "status": "running", "stray": None, "lost": [], **found}
    assert database_up.needed(known, mounts, own_data_only=False) is needed
    assert database_up.needed(known, mounts, own_data_only=True) is own_data


# -- the way back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "unreadable", "said"),
    [
        (None, "", "would be restored"),
        ("no answer", "", "is brought up first"),
        # The connection is read from the files that are put back first.
        (None, "yaml: line 10", "once the deployed files are put back"),
    ],
)
def test_a_rollback_looks_into_the_database_before_the_question_where_that_can_be(
    place, monkeypatch, error, unreadable, said
):
    place.site.update(rollback_backup=None)
    place.facts["project"]["unreadable"] = unreadable
    place.facts["database"]["error"] = error
    planned = {"restore": True, "refused": [], "nothing": "", "lines": ["back"], "release": "3.3.1", "gone": False}
    monkeypatch.setattr(check.rollback, "plan", lambda *_: {**planned, "manifest": {}})
    monkeypatch.setattr(check.rollback, "restore_options", lambda *_: {})
    monkeypatch.setattr(check.restore, "into_place", lambda *_: {"lines": ["It would be restored"]})
    context, result = place.do(check.CheckRollback, phase=ROLLBACK)
    assert said in context.lines[-1]
    assert result["further"] is not bool(unreadable)


# -- beside the run ----------------------------------------------------------------------------------------------------


def rehearsing(place, **options):
    """Return who rehearses, as a process of its own reads it."""
    return Rehearsing(place.context(**options))


def test_two_controllers_do_not_rehearse_at_once(place):
    mine, theirs = place.run, {**place.run, "holder": OTHER}
    rehearsing(place).begin("restore_copy", {})
    place.run = theirs
    with pytest.raises(OperationError, match=r"was started by operator@laptop \(process 7\)") as refused:
        rehearsing(place).begin("restore_copy", {})
    assert refused.value.facts == {"held_by": mine["holder"]}
    assert not rehearsing(place).held
    place.run = mine
    assert rehearsing(place).held
    assert rehearsing(place).over() == []
    place.run = theirs
    rehearsing(place).begin("restore_copy", {})
    # The run's own journal is another one.
    assert not place.path.exists()


def test_the_end_of_a_rehearsal_hides_no_failure_of_it(place):
    assert rehearsing(place).over() == []
    rehearsing(place).begin("restore_copy", {})
    place.run = {**place.run, "holder": OTHER}
    warning, advice = rehearsing(place).over()
    assert warning.startswith(f"warning   {place.path.parent}/rehearsing.json still says that somebody rehearses: Run ")
    assert "openlmis_take_over=true" in advice
    (place.path.parent / "rehearsing.json").write_text("")
    assert "cannot be read as a journal" in rehearsing(place).over()[0]


def test_the_end_of_a_rehearsal_is_not_written_over_the_next_one(place):
    rehearsing(place).begin("restore_copy", {})
    mine = rehearsing(place)
    place.run = {**place.run, "holder": OTHER, "take_over": True}
    rehearsing(place).begin("restore_copy", {})
    assert "still says that somebody rehearses" in mine.over()[0]
    assert rehearsing(place).held


@pytest.fixture
def restoring(place, monkeypatch):
    """Have a dump that would be restored; return what was done."""
    did, found = place.world["did"], {"refused": [], "components": [], "table": []}
    place.site.update(rehearse_dump="/backup", rehearse_database=None, backup_jobs=2, backup_image=None)
    place.world["found"] = found

    def run(params, _check_mode, _progress):
        did.append(params["state"])
        return {"scratch": "beside", "lines": [], "bytes": 1, "kept_as": None}

    def rewrite(*_):
        did.append("harmless")
        place.world.get("meanwhile", lambda: None)()

    monkeypatch.setattr(rehearsal.look, "check", lambda _params: found)
    monkeypatch.setattr(copy, "run", run)
    monkeypatch.setattr(running, "remove", lambda *_: did.append("removed"))
    monkeypatch.setattr(rehearsal.harmless, "rewrite", rewrite)
    monkeypatch.setattr(rehearsal.harmless, "said", lambda _result: [])
    monkeypatch.setattr(rehearsal.database, "resolve_connection", lambda _params: None)
    return did


def test_a_copy_is_harmless_before_it_takes_the_place(place, restoring):
    place.do(rehearsal.RestoreCopy)
    assert restoring == ["removed", "beside", "harmless", "in_place"]
    assert rehearsing(place).data("restore_copy")["bytes"] == 1


def test_a_server_that_is_refused_is_not_touched_also_without_the_check_before(place, restoring):
    place.world["found"]["refused"] = ["real people: openlmis_staging is not set"]
    with pytest.raises(OperationError, match="openlmis_staging is not set"):
        place.do(rehearsal.RestoreCopy)
    assert restoring == []
    assert not rehearsing(place).held


def test_a_copy_takes_no_place_once_somebody_has_taken_over(place, restoring):
    def taken_over():
        place.run = {**place.run, "holder": OTHER, "take_over": True}
        rehearsing(place).begin("restore_copy", {})

    place.world["meanwhile"] = taken_over
    with pytest.raises(OperationError, match="was taken over by operator@office"):
        place.do(rehearsal.RestoreCopy)
    assert restoring == ["removed", "beside", "harmless"]


def test_a_rehearsal_that_was_cut_off_lends_nothing_to_the_next(place):
    rehearsing(place).begin("restore_copy", {})
    rehearsing(place).end("restore_copy", {"kept_as": "open_lmis_before"}, {})
    rehearsing(place).begin("restore_copy", {})
    assert rehearsing(place).data("restore_copy") == {}


def test_a_failed_rehearsal_of_another_controller_is_left_alone(place):
    place.run, mine = {**place.run, "holder": OTHER}, place.run
    rehearsing(place).begin("restore_copy", {})
    place.run = mine
    context, result = place.do(RehearsalFailed, told={"failed": {"msg": "Refused."}})
    assert (result["sentence"], context.lines, context.changed) == ("Refused.", [], False)


def test_once_the_copy_has_its_place_it_stays_there(place):
    rehearsing(place).begin("restore_copy", {})
    rehearsing(place).end("restore_copy", {"kept_as": "open_lmis_before"}, {})
    context, result = place.do(RehearsalFailed, told={"failed": {"msg": "auth does not answer."}})
    assert result["sentence"] == (
        "auth does not answer. The copy is in its place and harmless. The database that staging had is kept as"
        " open_lmis_before. Fix this and run upgrade-3.4.yml, which begins where this ended; another copy is not"
        " needed."
    )
    assert (context.changed, rehearsing(place).held) == (False, False)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"in_place": True, "kept_as": "open_lmis_before"}, "The copy is in its place and harmless."),
        ({"in_place": False, "kept_as": None}, "The staging server was started again on the database that it had."),
        (OSError("gone"), "could not be dropped: gone The next rehearsal drops it. The staging server was started"),
    ],
)
def test_after_a_failure_the_database_says_whether_the_copy_has_its_place(place, monkeypatch, there, told):
    def absent(params, _check_mode, _progress):
        assert (params["state"], params["run"]) == ("absent", rehearsing(place).run_id)
        if isinstance(there, Exception):
            raise there
        return {**there, "lines": []}

    place.site.update(rehearse_dump="/backup", rehearse_database=None, backup_jobs=2, backup_image=None)
    place.facts["restarts"] = {}
    monkeypatch.setattr(copy, "run", absent)
    monkeypatch.setattr(running, "up", lambda *_: [])
    monkeypatch.setattr(restart, "release", lambda _look: {})
    rehearsing(place).begin("restore_copy", {})
    result = place.do(RehearsalFailed, told={"failed": {"msg": "It was killed."}})[1]
    assert result["sentence"].startswith("It was killed. ")
    assert told in result["sentence"]
    assert not rehearsing(place).held


def test_nothing_is_started_for_a_copy_that_is_none(place):
    with pytest.raises(OperationError, match="No copy of production was put onto this server"):
        place.do(StartCopy)
    assert rehearsing(place).content is None


def test_what_production_has_to_expect_has_the_seconds_of_both_ways(place):
    place.site.update(rehearse_dump="/var/backups/production")
    rehearsing(place).begin("restore_copy", {})
    rehearsing(place).end("restore_copy", {"bytes": 3 << 20}, {})
    place.have_done("pull", "maintenance_on")
    place.do(WayBack)
    context, result = place.do(ReportRehearsal, told={"report_dir": "/reports"})
    path = place.path.parent / "rehearsal.json"
    assert result == {"fetch": [{"src": str(path), "dest": "/reports/lmis-rehearsal.json"}]}
    told = json.loads(path.read_text())
    assert (told["run"], told["database_bytes"], told["users"]) == (place.journal().run_id, 3 << 20, 9)
    assert context.lines[0].endswith("9 users, 3.0 MiB")
    steps = [line.split()[1] for line in context.lines if line.startswith("     0.0")]
    assert steps == ["pull,", "maintenance_on", "pull", "maintenance_on"]
    assert not rehearsing(place).held


def test_a_process_whose_controller_is_gone_is_waited_for_and_a_controller_that_works_refused_at_once(
    place, monkeypatch
):
    place.have_done("pull")
    # The process that does the step is this one, which lives.
    place.journal().begin("maintenance_on", {})
    mine, slept = place.run, []

    def ends(seconds):
        slept.append(seconds)
        place.journal(run=mine).end("maintenance_on", {}, {})

    monkeypatch.setattr(resume.time, "sleep", ends)
    place.run = {**mine, "holder": OTHER}
    with pytest.raises(OperationError, match=r"was started by .* \(process 7\)") as refused:
        resume.Resume(place.context()).wait_for_process()
    assert (refused.value.facts["held_by"], slept) == (mine["holder"], [])
    place.run = {**place.run, "take_over": True}
    resume.Resume(place.context()).wait_for_process()
    assert (slept, place.begun()[-1]) == ([resume.PAUSE], ("maintenance_on", True))


def test_both_ways_are_left_on_the_host_before_the_window_opens(place):
    context, _result = place.do(Ways)
    text = (place.path.parent / "ways.txt").read_text()
    assert text.splitlines() == context.lines
    assert "  to go on:     go on" in context.lines
    assert "  to roll back: go back" in context.lines
    assert os.stat(place.path.parent).st_mode & 0o777 == 0o700
    place.run = {**place.run, "commands": {"resume": "go back", "rollback": None, "upgrade": "go on"}}
    assert "  nothing else: a rollback is finished" in place.do(Ways)[0].lines
