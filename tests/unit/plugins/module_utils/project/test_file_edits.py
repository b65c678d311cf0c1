# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from unittest import mock

import pytest
from ansible.module_utils import basic
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project import edits, file_edits

EDIT = {"path": "/o/.env", "regexp": r"^(OL_AUTH_VERSION=)\S*", "replace": r"\g<1>4.0.0", "summary": "auth"}


def test_line_ends_and_neighbours_stay():
    before = {"/o/.env": "A=1\r\nOL_AUTH_VERSION=3.2.0\r\n# OL_AUTH_VERSION=1\r\nB=2"}
    after, made = edits.apply(before, [EDIT])
    assert after == {"/o/.env": "A=1\r\nOL_AUTH_VERSION=4.0.0\r\n# OL_AUTH_VERSION=1\r\nB=2"}
    assert made == ["auth"]


def test_an_edit_that_was_made_changes_nothing():
    before = {"/o/.env": "OL_AUTH_VERSION=4.0.0\n"}
    assert edits.apply(before, [EDIT]) == (before, [])


def test_edits_of_one_file_follow_each_other():
    second = {**EDIT, "regexp": "4.0.0", "replace": "4.0.1", "summary": "again"}
    after, made = edits.apply({"/o/.env": "OL_AUTH_VERSION=3.2.0\n"}, [EDIT, second])
    assert after["/o/.env"] == "OL_AUTH_VERSION=4.0.1\n"
    assert made == ["auth", "again"]


def test_the_diff_holds_no_neighbour():
    assert file_edits.changed_lines("PASSWORD=x\nV=1\n", "PASSWORD=x\nV=2\n") == ("V=1\n", "V=2\n")


def test_the_diff_holds_no_secret_of_a_changed_line():
    before, after = file_edits.changed_lines(
        "JAVA_OPTS: -Ddb.password=hunter2 -Dold\n", "JAVA_OPTS: -Ddb.password=hunter2\n"
    )
    assert "hunter2" not in before + after
    assert "-Dold" in before


def make(planned, check_mode=False):
    # As ansible.module_utils.testing does, which the oldest ansible-core has not.
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check_mode}}).encode()
    with mock.patch.multiple(basic, create=True, _ANSIBLE_ARGS=given, _ANSIBLE_PROFILE="legacy"):
        return file_edits.make(basic.AnsibleModule({}, supports_check_mode=True), planned)


def test_a_prepared_file_is_put_in_place_and_its_content_shown_nowhere(tmp_path):
    (tmp_path / "there.env").write_bytes(b"# M\xe9xico\nAPI_CODE=old\n")
    os.chmod(tmp_path / "there.env", 0o640)
    (tmp_path / "prepared").write_text("API_CODE=new\n")
    os.chmod(tmp_path / "prepared", 0o600)
    planned = [
        {"path": str(tmp_path / name), "source": str(tmp_path / "prepared"), "summary": name}
        for name in ("there.env", "config/new.env")
    ]
    assert make(planned, check_mode=True)["edits"] == ["there.env", "config/new.env"]
    assert not (tmp_path / "config").exists()
    made = make(planned)
    assert made["changed"] == [edit["path"] for edit in planned]
    assert "API_CODE" not in str(made["diff"])
    assert [(tmp_path / one).read_text() for one in ("there.env", "config/new.env")] == ["API_CODE=new\n"] * 2
    assert [os.stat(tmp_path / one).st_mode & 0o777 for one in ("there.env", "config/new.env")] == [0o640, 0o600]
    assert make(planned) == {"edits": [], "changed": [], "diff": []}


def test_planned_edits_are_made_as_they_are_told(tmp_path):
    (tmp_path / ".env").write_text("V=1\n")
    (tmp_path / "prepared").write_text("V=2\n")
    replacement = edits.Edit(str(tmp_path / ".env"), "V=.", "V=3", "by a pattern")
    whole = edits.Edit(str(tmp_path / "whole.env"), None, None, "whole", str(tmp_path / "prepared"))
    assert make([replacement.told(), whole.told()])["edits"] == ["by a pattern", "whole"]
    assert [(tmp_path / one).read_text() for one in (".env", "whole.env")] == ["V=3\n", "V=2\n"]


def test_what_a_link_points_to_is_changed_and_not_the_link(tmp_path):
    (tmp_path / "shared.env").write_text("V=1\n")
    os.symlink("shared.env", tmp_path / ".env")
    make([edits.Edit(str(tmp_path / ".env"), "V=.", "V=3", "v").told()])
    assert (tmp_path / "shared.env").read_text() == "V=3\n"
    assert os.readlink(tmp_path / ".env") == "shared.env"


def test_a_file_that_is_gone_is_said_and_no_other_is_changed(tmp_path):
    (tmp_path / "other").write_text("OL_AUTH_VERSION=3.2.0\n")
    with pytest.raises(OperationError, match=r"/\.env cannot be changed \(No such file or directory\)"):
        make([{**EDIT, "path": str(tmp_path / "other")}, {**EDIT, "path": str(tmp_path / ".env")}])
    assert (tmp_path / "other").read_text() == "OL_AUTH_VERSION=3.2.0\n"


def test_a_changed_line_may_hold_bytes_that_are_no_utf_8(tmp_path):
    (tmp_path / ".env").write_bytes(b"V=1 # Mo\xe7ambique\n")
    edit = {"path": str(tmp_path / ".env"), "regexp": "=1", "replace": "=2", "summary": "v"}
    assert make([edit])["diff"][0]["after"] == "V=2 # Mo?ambique\n"
    assert (tmp_path / ".env").read_bytes() == b"V=2 # Mo\xe7ambique\n"
