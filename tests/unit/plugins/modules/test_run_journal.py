# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError
from ansible_collections.openlmis.operations.plugins.modules import run_journal

AT = "2026-01-02T19:00:0{}.000"


def journal():
    """A run whose stop took 3 s and whose smoke test ended 5 s after the stop began."""
    text = run_journal.started(None, "stop", {"from": "3.3.1"}, AT.format(0))
    text = run_journal.done(text, "stop", {}, AT.format(3))
    text = run_journal.started(text, "smoke_test", {"from": "other"}, AT.format(4))
    return run_journal.done(text, "smoke_test", {"ok": 1}, AT.format(5))


def test_a_run_keeps_what_it_began_with():
    assert journal()["run"] == {"from": "3.3.1"}
    assert journal()["run_id"] == "20260102T190000Z"


def test_summary_of_seconds():
    assert run_journal.summarise(journal()) == {
        "offline": 5.0,
        "steps": [{"step": "stop", "seconds": 3.0}, {"step": "smoke_test", "seconds": 1.0}],
    }
    assert run_journal.summarise(None) == {"offline": None, "steps": []}


def test_a_finished_run_makes_place_for_a_new_one():
    finished = dict(journal(), finished=AT.format(6))
    assert not run_journal.under_way(finished)
    again = run_journal.started(finished, "pull", {"from": "x"}, AT.format(7))
    assert [step["step"] for step in again["steps"]] == ["pull"]
    assert again["run"] == {"from": "x"}


def test_a_step_that_was_cut_off_stays_unfinished():
    text = run_journal.started(journal(), "wait", {}, AT.format(6))
    text = run_journal.started(text, "wait", {}, AT.format(7))
    text = run_journal.done(text, "wait", {}, AT.format(8))
    assert [step["finished"] for step in text["steps"][-2:]] == [None, AT.format(8)]


@pytest.mark.parametrize("step", ["backup", "smoke_test"])
def test_only_the_running_step_can_end(step):
    with pytest.raises(OperationError, match="The journal's last step is smoke_test"):
        run_journal.done(journal(), step, {}, AT.format(9))


def test_written_whole_private_and_read_back(tmp_path):
    path = tmp_path / "state" / "journal.json"
    run_journal.write(str(path), journal())
    assert run_journal.read(str(path)) == journal()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["journal.json"]


@pytest.mark.parametrize("text", ["", '{"run_id": 1', "[]", json.dumps({"steps": {}})])
def test_what_is_no_journal_is_said(tmp_path, text):
    path = tmp_path / "journal.json"
    path.write_text(text)
    with pytest.raises(OperationError, match="Move the file away if no upgrade is under way"):
        run_journal.read(str(path))


def test_no_file_is_no_journal(tmp_path):
    assert run_journal.read(str(tmp_path / "none")) is None
