# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.modules import edit_files

EDIT = {"path": "/o/.env", "regexp": r"^(OL_AUTH_VERSION=)\S*", "replace": r"\g<1>4.0.0", "summary": "auth"}


def test_line_ends_and_neighbours_stay():
    before = {"/o/.env": "A=1\r\nOL_AUTH_VERSION=3.2.0\r\n# OL_AUTH_VERSION=1\r\nB=2"}
    after, made = edit_files.edited(before, [EDIT])
    assert after == {"/o/.env": "A=1\r\nOL_AUTH_VERSION=4.0.0\r\n# OL_AUTH_VERSION=1\r\nB=2"}
    assert made == ["auth"]


def test_an_edit_that_was_made_changes_nothing():
    before = {"/o/.env": "OL_AUTH_VERSION=4.0.0\n"}
    assert edit_files.edited(before, [EDIT]) == (before, [])


def test_edits_of_one_file_follow_each_other():
    second = {**EDIT, "regexp": "4.0.0", "replace": "4.0.1", "summary": "again"}
    after, made = edit_files.edited({"/o/.env": "OL_AUTH_VERSION=3.2.0\n"}, [EDIT, second])
    assert after["/o/.env"] == "OL_AUTH_VERSION=4.0.1\n"
    assert made == ["auth", "again"]


def test_the_diff_holds_no_neighbour():
    assert edit_files.changed_lines("PASSWORD=x\nV=1\n", "PASSWORD=x\nV=2\n") == ("V=1\n", "V=2\n")


def test_the_diff_holds_no_secret_of_a_changed_line():
    before, after = edit_files.changed_lines("JAVA_OPTS: -Ddb.password=hunter2 -Dold\n", "JAVA_OPTS: -Ddb.password=hunter2\n")
    assert "hunter2" not in before + after
    assert "-Dold" in before
