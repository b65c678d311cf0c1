# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import server

SRC = "/opt/openlmis"


def manifest(created, run, src=SRC):
    """A manifest as far as retention reads it."""
    return {"created": created, "run": run, "project": {"src": src}}


def test_the_oldest_go_but_none_of_the_run_nor_of_another_deployment():
    found = {
        "new": manifest("2026-04", "now"),
        "first of the run": manifest("2026-01", "now"),
        "older": manifest("2026-02", "before"),
        "old": manifest("2026-03", "before"),
        "another's": manifest("2025-01", "before", "/opt/other"),
        "no backup": {},
    }
    assert backups.surplus(found, SRC, "now", 4) == []
    assert backups.surplus(found, SRC, "now", 3) == ["older"]
    assert backups.surplus(found, SRC, "now", 1) == ["older", "old"]


def test_components_are_kept_as_they_were():
    component = {
        "name": "auth",
        "service": "a",
        "schema": "auth",
        "path": "/auth",
        "version": "4.0.0",
        "migrations": ["2"],
    }
    page = {"name": "diagnostics", "service": "d", "schema": None, "path": "/d", "version": "1.0.1", "migrations": []}
    kept = backups.components_before([component, page], {"auth": "3.2.0"}, {"auth": ["1"]})
    assert kept == [
        {"name": "auth", "service": "a", "schema": "auth", "path": "/auth", "version": "3.2.0", "migrations": ["1"]},
        {"name": "diagnostics", "service": "d", "schema": None, "path": "/d", "migrations": []},
    ]


def test_what_is_told_is_put_together_with_the_draft():
    draft = {"database": {"owner": "o"}, "tables": {"a": 1}}
    assert backups.merged(draft, {"database": {"identity": 1}, "run": "r"}) == {
        "database": {"owner": "o", "identity": 1},
        "tables": {"a": 1},
        "run": "r",
    }


def finished(folder, **told):
    """A finished backup with one file and one link."""
    backups.begin(str(folder), {"project": {"src": SRC}})
    (folder / "files").mkdir()
    (folder / "files" / "a").write_text("text")
    (folder / "files" / "link").symlink_to("a")
    return backups.finish(str(folder), told)


def test_a_finished_backup_is_private_and_read_back(tmp_path):
    folder = tmp_path / "backups" / "one"
    finished(folder, run="r")
    assert sorted(path.name for path in folder.iterdir()) == ["files", "manifest.json"]
    assert stat.S_IMODE((folder / "manifest.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    read, problems = backups.read(str(folder))
    assert problems == []
    assert read["links"] == {"files/link": "a"}
    assert backups.damages(str(folder), read) == []


def test_a_folder_in_a_folder_is_copied_once(tmp_path):
    (tmp_path / "server" / "config" / "x").mkdir(parents=True)
    (tmp_path / "server" / "config" / "x" / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "server" / "config2").mkdir()
    backups.copy(
        str(tmp_path / "backup"),
        "files",
        str(tmp_path / "server"),
        ["config/x", "config", "config/x/Dockerfile", "config2", "config"],
    )
    assert (tmp_path / "backup" / "files" / "config" / "x" / "Dockerfile").read_text() == "FROM scratch"
    assert (tmp_path / "backup" / "files" / "config2").is_dir()


def test_files_are_copied_as_they_are_and_a_missing_one_is_named(tmp_path):
    source, folder = tmp_path / "server", tmp_path / "backup"
    (source / "config").mkdir(parents=True)
    (source / "config" / "a b").write_text("text")
    (source / "config" / "a b").chmod(0o640)
    (source / "-link").symlink_to("config")
    backups.copy(str(folder), "files", str(source), ["config", "-link"])
    backups.copy(str(folder), "outside", "/", [])
    assert sorted(path.name for path in folder.iterdir()) == ["files", "outside"]
    assert stat.S_IMODE((folder / "files").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "files" / "config" / "a b").stat().st_mode) == 0o640
    assert (folder / "files" / "-link").is_symlink()
    with pytest.raises(OperationError, match="cp said: .*missing"):
        backups.copy(str(folder), "files", str(source), ["config", "missing"])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "a").write_text("t"), "files/a is truncated: it has 1 bytes, the manifest says 4"),
        (lambda f: (f / "a").write_text("longer"), "files/a is changed: it has 6 bytes, the manifest says 4"),
        (lambda f: (f / "a").write_text("tixt"), "files/a is changed: its size is right and its SHA-256 is not that"),
        (lambda f: (f / "a").unlink(), "files/a is missing"),
        (lambda f: (f / "link").unlink(), "files/link is no longer the symbolic link to a"),
    ],
)
def test_each_damage_has_its_sentence(tmp_path, damage, said):
    content = finished(tmp_path / "one")
    damage(tmp_path / "one" / "files")
    (found,) = backups.damages(str(tmp_path / "one"), content)
    assert said in found


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"checksums": {}, "format": 99}'])
def test_what_is_no_manifest_is_told(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    content, (problem,) = backups.read(str(tmp_path))
    assert content is None
    assert str(tmp_path) in problem


def test_only_what_this_deployment_left_unfinished_is_swept(tmp_path):
    finished(tmp_path / "finished")
    (tmp_path / "finished" / "draft.json").write_text(json.dumps({"project": {"src": SRC}}))
    backups.begin(str(tmp_path / "unfinished"), {"project": {"src": SRC}})
    backups.begin(str(tmp_path / "others"), {"project": {"src": "/opt/other"}})
    (tmp_path / "notes").mkdir()
    spared = []
    assert backups.sweep(str(tmp_path), SRC, spared.extend) == [str(tmp_path / "unfinished")]
    assert spared == [str(tmp_path / name) for name in ("finished", "notes", "others")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["finished", "notes", "others"]
    assert backups.sweep(str(tmp_path / "nowhere"), SRC, spared.extend) == []


def test_links_of_the_deployment_are_kept_with_what_they_point_to(tmp_path):
    src, elsewhere = tmp_path / "server", tmp_path / "elsewhere.env"
    src.mkdir()
    elsewhere.write_text("")
    (src / "settings.env").write_text("")
    (src / "also.env").symlink_to("settings.env")
    (src / ".env").symlink_to(elsewhere)
    (tmp_path / "current").symlink_to("server")
    told = [str(src / name) for name in (".env", "also.env", "missing.env")] + [str(elsewhere)]
    for root in (src, tmp_path / "current"):
        inside, outside = server.deployed_paths(told, str(root))
        assert sorted(inside) == [str(root / name) for name in (".env", "also.env", "settings.env")]
        assert outside == [str(elsewhere)]


def test_prepared_files_that_were_there_before_the_upgrade_are_none_that_it_added(tmp_path):
    for name in ("prepared/.env", "prepared/site/new.env", "prepared/again.yml", "src/.env", "src/again.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("same")
    prepared, src = str(tmp_path / "prepared"), str(tmp_path / "src")
    assert backups.added_by(prepared, src, []) == ["site/new.env"]
    # An attempt before has put one there already.
    assert backups.added_by(prepared, src, [{"added": ["again.yml"]}, {}]) == ["again.yml", "site/new.env"]
    assert backups.added_by(None, src, []) == []


def test_the_newest_backup_of_a_deployment_and_the_files_in_it(tmp_path):
    for name, src, created in (
        ("a", "/opt/lmis", "2026-01-01"),
        ("b", "/opt/lmis", "2026-01-02"),
        ("c", "/opt/other", "2026-01-03"),
    ):
        (tmp_path / name / "files" / "config").mkdir(parents=True)
        (tmp_path / name / "files" / "config" / "x.env").write_text(name)
        (tmp_path / name / "manifest.json").write_text(
            json.dumps({"project": {"src": src}, "created": created, "run": name})
        )
    newest = backups.newest(str(tmp_path), "/opt/lmis")
    assert newest == str(tmp_path / "b")
    assert backups.deployed(newest, "/opt/lmis") == {"/opt/lmis/config/x.env": b"b"}
    assert backups.newest(str(tmp_path), "/opt/lmis", "a") == str(tmp_path / "a")
    assert backups.newest(str(tmp_path / "none"), "/opt/lmis") is None


def test_a_backup_is_read_back_and_belongs_to_its_run(tmp_path):
    content = finished(tmp_path / "one")
    folder = str(tmp_path / "one")
    found = backups.verify(folder, content.get("run"))
    assert (found["proven"], found["problems"], found["manifest"]) == (True, [], content)
    assert (found["files"], found["links"]) == (sorted(content["checksums"]), content["links"])
    assert found["bytes"] == sum(content["sizes"].values())
    assert backups.verify(folder, "another")["problems"] == [
        f"{folder} is the backup of the run {content.get('run')}, not of another"
    ]
    none = backups.verify(str(tmp_path / "none"), None)
    assert (none["proven"], none["manifest"], none["files"], none["bytes"]) == (False, None, [], 0)


def test_of_many_damages_the_first_are_told(tmp_path):
    (tmp_path / "files").mkdir()
    for number in range(backups.SAID_AT_MOST + 2):
        (tmp_path / "files" / f"{number:02}").write_text("text")
    backups.finish(str(tmp_path), {})
    for one in (tmp_path / "files").iterdir():
        one.unlink()
    problems = backups.verify(str(tmp_path), None)["problems"]
    assert (len(problems), problems[-1]) == (backups.SAID_AT_MOST + 1, "2 more files are damaged")


def test_a_folder_becomes_a_backup_once_with_what_the_upgrade_will_add(tmp_path):
    for name in ("prepared/new.env", "prepared/.env", "src/.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    src, folder = str(tmp_path / "src"), str(tmp_path / "backups" / "1")
    copies = [{"part": "files", "source": src, "paths": [".env"]}, {"part": "outside", "source": "/", "paths": []}]
    told = {"run": "r", "project": {"src": src}}
    manifest = backups.complete(folder, copies, told, str(tmp_path / "prepared"))
    assert (manifest["added"], sorted(manifest["checksums"])) == (["new.env"], ["files/.env"])
    assert backups.verify(folder, "r")["proven"]
    with pytest.raises(OperationError, match=r"is a finished backup already.*Back up to another folder"):
        backups.complete(folder, copies, told, None)
    # What this run has put there since was not there before it.
    (tmp_path / "src" / "new.env").write_text("text")
    assert backups.complete(str(tmp_path / "backups" / "2"), [], told, str(tmp_path / "prepared"))["added"] == [
        "new.env"
    ]
    assert "added" not in backups.complete(
        str(tmp_path / "backups" / "3"), [], {"run": "r"}, str(tmp_path / "prepared")
    )


def test_a_backup_that_cannot_be_finished_is_none(tmp_path):
    (tmp_path / "1").write_text("")
    with pytest.raises(OperationError, match=r"cannot be finished \(.*What there is is no backup yet"):
        backups.complete(str(tmp_path / "1" / "2"), [], {}, None)


def test_old_backups_go_only_where_a_number_to_keep_was_told_and_what_stays_is_said(tmp_path, monkeypatch):
    for name, created in (("1", "2026-01"), ("2", "2026-02"), ("3", "2026-03")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest(created, name)))
    folder, content = str(tmp_path / "3"), manifest("2026-03", "3")
    assert backups.prune_around(folder, content, None) == ([], "")
    assert backups.prune_around(folder, {}, 1) == ([], "")
    assert backups.prune_around(folder, content, 2) == ([str(tmp_path / "1")], "")

    def refused(*_told):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(backups, "prune", refused)
    removed, problem = backups.prune_around(folder, content, 1)
    assert removed == []
    assert "Permission denied" in problem
    assert "Remove it by hand" in problem
