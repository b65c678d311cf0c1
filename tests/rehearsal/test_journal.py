# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's module as a playbook runs it: what the host's shell does by itself, and what is left to Python there."""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess
import sys
from typing import Any

import pytest
from stack.ansible import ANSIBLE, Run
from stack.releases import CHECKOUT

NO_PYTHON = "/there/is/no/python"
IDENTITY = {"oid": 7, "mounts": {"/data": None}}
ANOTHER = {"identity": {"oid": 8, "mounts": {"/data": None}}, "error": None}


def note(path: pathlib.Path | str, state: str, *arguments: str, python: str = NO_PYTHON, **options: Any) -> Run:
    """Run the module once."""
    given = json.dumps({"path": str(path), "state": state, "step": "stop", **options})
    command = [str(ANSIBLE / "ansible"), "all", "--inventory", "host,", "--connection", "local", "-e", f"ansible_python_interpreter={python}"]
    command += ["--module-name", "openlmis.operations.run_journal", "--args", given, *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Run(done.returncode, done.stdout)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """A journal in a directory that is not there yet, whose name a shell would split."""
    return tmp_path / "the state's" / "journal.json"


def test_steps_are_noted_without_python_on_the_host(path: pathlib.Path) -> None:
    for state, options in (("started", {"run": {"database": IDENTITY}}), ("done", {"data": {"text": "é'\n\"$HOME"}, "database": {"identity": IDENTITY}})):
        run = note(path, state, **options)
        assert run.code == 0, run.text
        assert "host | CHANGED" in run.text
    (step,) = json.loads(path.read_text())["steps"]
    assert step["data"] == {"text": "é'\n\"$HOME"}
    assert step["started"] < step["finished"]
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert [one.name for one in path.parent.iterdir()] == ["journal.json"]
    read = note(path, "read", database={"identity": IDENTITY})
    assert read.code == 0, read.text
    assert "host | SUCCESS" in read.text


def test_check_mode_writes_nothing(path: pathlib.Path) -> None:
    run = note(path, "started", "--check", database=ANOTHER, expected=False)
    assert run.code == 0, run.text
    assert not path.parent.exists()


def test_what_is_not_as_expected_is_said_and_a_begun_step_stays_begun(path: pathlib.Path) -> None:
    run = note(path, "started", run={"database": IDENTITY}, expected=False, otherwise="auth still runs.")
    assert run.code != 0
    assert "auth still runs." in run.text
    for state in ("read", "done"):
        run = note(path, state, database=ANOTHER)
        assert run.code != 0
        assert "The database is another one" in run.text
    assert [step["finished"] for step in json.loads(path.read_text())["steps"]] == [None]


def test_a_controller_whose_run_was_taken_over_writes_nothing_any_more(path: pathlib.Path) -> None:
    mine, theirs = ({"host": host, "user": "operator", "pid": 7, "started": None} for host in ("laptop", "office"))
    assert note(path, "started", holder=mine, run={"database": IDENTITY}).code == 0
    assert note(path, "started", holder=theirs, take_over=True).code == 0
    before = path.read_text()
    for state, python, options in (
        ("done", NO_PYTHON, {"data": {"mine": 1}}),
        ("started", NO_PYTHON, {"held": True, "take_over": True}),
        ("finished", sys.executable, {}),
        ("failed", sys.executable, {"finding": "mine"}),
    ):
        run = note(path, state, python=python, holder=mine, **options)
        assert path.read_text() == before
        assert state == "failed" or (run.code != 0 and "was taken over by operator@office (process 7)" in run.text.replace("\n", " ")), run.text
    assert note(path, "done", holder=theirs).code == 0


def test_a_journal_that_cannot_be_written_is_explained_by_the_module() -> None:
    # Not even root makes a directory there.
    run = note("/proc/openlmis/journal.json", "started", python=sys.executable)
    assert run.code != 0
    assert "/proc/openlmis/journal.json cannot be written (No such file or directory)" in run.text.replace("\n", " ")


def test_a_damaged_journal_is_explained_by_the_module_and_stays(path: pathlib.Path) -> None:
    path.parent.mkdir()
    path.write_text('{"run_id": ')
    run = note(path, "started", python=sys.executable)
    assert run.code != 0
    assert "cannot be read as a journal" in run.text
    assert path.read_text() == '{"run_id": '


def test_a_relative_path_is_left_to_the_module(tmp_path: pathlib.Path) -> None:
    run = note("~/journal.json", "started", python=sys.executable)
    assert run.code == 0, run.text
    found = pathlib.Path.home() / "journal.json"
    assert found.exists()
    found.unlink()
