# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.run import rollback as plans

IDENTITY = {"name": "open_lmis", "oid": 1, "system_identifier": "2", "mounts": {"/data": "old"}}
RELEASE = {"upgrades_from": {"3.3.1": {"auth": "3.2.0"}}, "services_added": {"redis": "redis:3.2.12"}}
MIGRATIONS = {"auth": {"versions": {"3.2.0": ["1", "2"], "4.0.0": ["1", "2", "3"]}}}
SERVER = {
    "database": {"identity": IDENTITY, "error": None},
    "release": "3.3.1",
    "begun_from": None,
    "histories": {"auth": {"applied": 2}},
    "services": {
        "auth": {"component": "auth", "status": "running", "image": "openlmis/auth:3.2.0"},
        "db": {"component": None, "status": "exited", "image": "db"},
        "service-configuration": {"component": None, "status": "exited", "image": ""},
    },
    "components": [
        {
            "name": "auth",
            "service": "auth",
            "schema": "auth",
            "path": "/auth",
            "version": "4.0.0",
            "migrations": ["1", "2", "3"],
        },
        {
            "name": "diagnostics",
            "service": "diagnostics",
            "schema": None,
            "path": "/diagnostics",
            "version": "1.0.1",
            "migrations": [],
        },
    ],
}
MANIFEST = {
    "release": "3.3.1",
    "created": "2026-11-23T01:00:00.000",
    "tables": {"a.b": 3},
    "images": {
        "nginx": {"id": "sha256:old", "name": "openlmis/nginx:4"},
        "db": {"id": "sha256:db", "name": "repo@sha256:1"},
    },
    "components": [{"name": "auth", "version": "3.2.0", "migrations": ["1", "2"]}],
    "database": {"identity": IDENTITY},
}


def step(name, finished="2026-11-23T01:00:01.000", phase="upgrade", **data):
    return {"step": name, "phase": phase, "started": "2026-11-23T01:00:00.000", "finished": finished, "data": data}


def journal(*steps, phase="upgrade", finished=None):
    return {
        "run_id": "20261123T010000Z",
        "phase": phase,
        "finished": finished,
        "run": {"database": IDENTITY},
        "steps": list(steps),
    }


CLOSED = step("maintenance_on", recovered=True, closed=True)
BUILT = {"id": "sha256:auth", "name": "openlmis/auth:3.2.0"}
MIXED = {**SERVER, "release": None, "begun_from": "3.3.1"}
UPGRADED = journal(
    *(step(name) for name in ("pull", "stop")), step("backup", dest="/b/1"), step("set_versions"), step("start")
)


def plan(told, server=None, manifest=None, backup=None, backup_dir="/nowhere", **found):
    folder = backup or plans.backup_of(told)
    host = {
        "present": {"openlmis/nginx:4": "sha256:old"},
        "ids": {"sha256:old"},
        "containers": {},
        "problems": [],
        "baseline": None,
    }
    params = {
        "journal": told,
        "backup": backup,
        "backup_dir": str(backup_dir),
        "server": server or SERVER,
        "release": RELEASE,
        "migrations": MIGRATIONS,
    }
    return plans.plan(
        params, {**host, "backup": folder, "manifest": manifest or (MANIFEST if folder else None), **found}
    )


@pytest.mark.parametrize("steps", [[], ["pull", "maintenance_on", "stop"]])
def test_before_the_backup_nothing_has_to_be_restored(steps):
    found = plan(journal(*map(step, steps)))
    assert (found["refused"], found["restore"], found["backup"], found["release"]) == ([], False, None, "3.3.1")
    auth, diagnostics = found["components"]
    assert auth["migrations"] == ["1", "2"]
    assert diagnostics["migrations"] == []
    assert "version" not in auth


def test_a_database_that_no_component_of_the_release_was_started_on_is_left_alone():
    found = plan(journal(step("stop"), step("backup", dest="/b/1"), step("set_versions", finished=None)))
    assert (found["restore"], found["backup"]) == (False, "/b/1")
    assert "The database is left alone: nothing of the new release is in it" in found["lines"]


@pytest.mark.parametrize(
    ("told", "server"),
    [
        (UPGRADED, SERVER),
        (journal(step("backup", dest="/b/1"), step("start", finished=None)), SERVER),
        (journal(step("backup", dest="/b/1")), {**SERVER, "release": None}),
        (journal(step("backup", dest="/b/1")), {**SERVER, "database": {"identity": None, "error": "gone"}}),
        (
            journal(step("backup", dest="/b/1")),
            {**SERVER, "database": {"identity": {**IDENTITY, "oid": 9}, "error": None}},
        ),
        (journal(CLOSED, step("backup", dest="/b/1", recovered=True)), SERVER),
        (
            journal(step("backup", dest="/b/1", recovered=True)),
            {**SERVER, "histories": {"auth": {"applied": 2}, "notification": {"applied": 1}}},
        ),
    ],
)
def test_else_it_is_restored(told, server):
    assert plan(told, server)["restore"] is True


def test_without_a_journal_the_named_backup_is_restored_and_work_is_taken_for_granted():
    found = plan(None, backup="/b/1")
    assert (found["restore"], found["users_let_in"], found["baseline"]) == (True, True, None)


@pytest.mark.parametrize(
    ("steps", "let_in"),
    [
        ([], False),
        ([step("maintenance_off", finished=None)], True),
        ([step("maintenance_off")], True),
        ([step("maintenance_off", phase="rollback")], False),
    ],
)
def test_users_may_have_worked_when_they_were_let_in(steps, let_in):
    found = plan({**UPGRADED, "steps": UPGRADED["steps"] + steps}, baseline={"oid": 1})
    assert (found["users_let_in"], found["baseline"]) == (let_in, {"oid": 1})


def test_where_the_journal_was_lost_a_database_with_nothing_of_the_release_in_it_is_left_alone():
    # Users may have worked in it since the backup: the firewall does not keep them out any more.
    found = plan(journal(step("backup", dest="/b/1", recovered=True)))
    assert (found["refused"], found["restore"], found["backup"]) == ([], False, "/b/1")


@pytest.mark.parametrize(
    ("steps", "server", "let_in"),
    [
        ([CLOSED], SERVER, False),
        ([step("maintenance_on", recovered=True)], MIXED, False),
        ([step("maintenance_on", recovered=True)], {**SERVER, "release": "3.4.0"}, True),
        ([CLOSED, step("maintenance_off", finished=None)], SERVER, True),
    ],
)
def test_where_the_journal_was_lost_the_firewall_and_the_histories_tell_whether_users_were_let_in(
    steps, server, let_in
):
    assert plan(journal(*steps, step("backup", dest="/b/1", recovered=True)), server)["users_let_in"] is let_in


@pytest.mark.parametrize(("running", "refused"), [("sha256:auth", 0), ("sha256:other", 1)])
def test_without_journal_and_backup_the_files_are_as_they_were_when_they_name_what_ran(running, refused):
    kept = step(
        "pull",
        recovered=True,
        images={"auth": {"id": "sha256:auth", "name": "openlmis/auth:3.2.0"}, "service-configuration": BUILT},
    )
    found = plan(journal(kept, CLOSED), present={"openlmis/auth:3.2.0": running}, ids={"sha256:auth", running})
    assert len(found["refused"]) == refused
    assert (found["restore"], found["backup"]) == (False, None)


def test_without_a_backup_those_that_are_there_are_named(tmp_path):
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    (tmp_path / "2" / "manifest.json").write_text(json.dumps({}))
    (sentence,) = plan(None, backup_dir=tmp_path)["refused"]
    assert f"Backups in {tmp_path}: {tmp_path}/2. Name the right one" in sentence
    (sentence,) = plan(journal(step("start")))["refused"]
    assert "The journal of run 20261123T010000Z knows no backup" in sentence


def test_where_no_upgrade_was_begun_there_is_nothing_to_do(tmp_path):
    assert (
        plan(None, backup_dir=tmp_path)["nothing"]
        == "no upgrade was begun: there is neither a journal nor a backup, and it runs as 3.3.1"
    )
    stopped = {**SERVER, "services": {"auth": {"component": "auth", "status": "exited"}}}
    for server in (stopped, {**SERVER, "release": "3.4.0"}):
        found = plan(None, server, backup_dir=tmp_path)
        assert not found["nothing"]
        assert "There is no journal of an upgrade" in found["refused"][0]


def test_a_damaged_backup_is_refused():
    (sentence,) = plan(UPGRADED, problems=["database/1.dat.gz is missing"])["refused"]
    assert "database/1.dat.gz is missing" in sentence


def test_a_reference_that_moved_means_its_image_again_and_one_by_digest_cannot_move():
    found = plan(UPGRADED, present={"openlmis/nginx:4": "sha256:new"})
    assert found["images"] == [{"name": "openlmis/nginx:4", "id": "sha256:old"}]
    assert plan(UPGRADED)["images"] == []
    (sentence,) = plan(UPGRADED, present={}, ids={"sha256:new"})["refused"]
    assert "openlmis/nginx:4" in sentence


def test_a_reference_without_a_tag_means_latest():
    assert plans.deployment.full_name("docker.io/library/consul") == "consul:latest"
    assert plans.deployment.full_name("host:5000/consul") == "host:5000/consul:latest"
    assert plans.deployment.full_name("host:5000/consul:1") == "host:5000/consul:1"


def test_what_the_upgrade_added_is_removed_and_nothing_that_was_there():
    containers = {"redis": ["x-redis-1"], "ftp": ["x-ftp-1"]}
    assert plan(UPGRADED, containers=containers)["added"] == ["x-redis-1"]
    had = {**MANIFEST, "images": {**MANIFEST["images"], "redis": {"id": "sha256:old", "name": "redis:5"}}}
    assert (
        plan(
            UPGRADED,
            manifest=had,
            containers=containers,
            present={"redis:5": "sha256:old", "openlmis/nginx:4": "sha256:old"},
        )["added"]
        == []
    )


def test_what_was_rolled_back_is_not_rolled_back_again_but_to_another_backup():
    told = journal(*UPGRADED["steps"], phase="rollback", finished="2026-11-23T02:00:00.000")
    assert "was rolled back at 2026-11-23T02:00:00.000 UTC" in plan(told)["nothing"]
    assert plan(told, backup="/b/1")["nothing"]
    assert plan(told, backup="/b/0")["nothing"] == ""
    assert plan({**told, "finished": None})["nothing"] == ""


def test_a_database_that_the_site_backed_up_itself_must_be_back_already():
    own = {key: value for key, value in MANIFEST.items() if key != "tables"}
    found = plan(UPGRADED, manifest=own)
    assert (found["refused"], found["restore"]) == ([], False)
    (sentence,) = plan(UPGRADED, {**SERVER, "release": "3.4.0"}, manifest=own)["refused"]
    assert "these are of 3.4.0" in sentence


def test_the_data_lies_where_it_was_backed_up_until_this_rollback_has_restored_it():
    told = {**UPGRADED, "run": {"database": {**IDENTITY, "mounts": {"/data": "new"}}}}
    assert plan(told)["mounts"] == {"/data": "old"}
    told["steps"] = told["steps"] + [step("restore", phase="rollback")]
    assert plan(told)["mounts"] == {"/data": "new"}
