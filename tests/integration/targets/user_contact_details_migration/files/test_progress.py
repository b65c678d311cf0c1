# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator sees of a copy that takes long, and that a module that dies meanwhile is noticed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import COLLECTIONS
from expectation import User, user_id

NAME = "openlmis.operations.user_contact_details_migration"
LOCK = "LOCK TABLE notification.user_contact_details IN ACCESS EXCLUSIVE MODE"


class Ansible:
    """An ad hoc run with the callback minimal, in JSON; standard output and standard error go to a file each."""

    def __init__(self, folder: Path, *words: str, **options) -> None:
        self.folder = folder
        self.mark = "TEST_PROGRESS=%d" % time.monotonic_ns()
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("ansible"), "localhost", "-i", "localhost,", "-c", "local", "-m", NAME]
            + ["-a", json.dumps(options), *words],
            env={
                **os.environ,
                **dict([self.mark.split("=")]),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_REMOTE_TMP": str(folder / "remote"),
            },
            stdin=subprocess.DEVNULL,
            stdout=(folder / "stdout").open("w"),
            stderr=(folder / "stderr").open("w"),
        )

    def end(self) -> tuple[int, dict, list[str]]:
        """Its exit code, the result, and the lines of progress, which are not on standard output."""
        code = self.process.wait(60)
        output = (self.folder / "stdout").read_text()
        assert "so far" not in output
        return code, json.loads(output.partition(" => ")[2]), self.lines()

    def lines(self) -> list[str]:
        """The lines of progress until now."""
        return [line for line in (self.folder / "stderr").read_text().splitlines() if " so far" in line]

    def left(self) -> list[Path]:
        """What is left of the task on the host."""
        return list((self.folder / "remote").iterdir())

    def modules(self) -> list[int]:
        """The module's processes on the host."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                text = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if b"AnsiballZ_" in text and self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


@pytest.fixture
def filled(database):
    """A database with one user."""
    database.add_users(User(user_id(0), "ann"))
    return database


@contextlib.contextmanager
def locked(database):
    """Nobody else may touch the target for as long as the block lasts."""
    connection = database.connect()
    connection.autocommit = False
    connection.cursor().execute(LOCK)
    try:
        yield
    finally:
        connection.close()


def until(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "still not"
        time.sleep(0.02)


def test_a_copy_that_waits_shows_what_it_is_at(filled, tmp_path):
    with locked(filled):
        run = Ansible(tmp_path, **filled.options, expected_seconds=60.5)
        until(lambda: any("waiting" in line for line in run.lines()), 60)
    code, result, lines = run.end()
    assert code == 0
    assert result["changed"]
    assert result["inserted"] == 1
    at = "waiting until nobody writes to notification.user_contact_details"
    assert re.fullmatch(r"  copy: %s, 0:\d\d so far, about 0:\d\d left" % at, lines[-1]), lines
    assert run.left() == []


@pytest.mark.parametrize("words", [(), ("--check", "--diff")], ids=["copy", "check"])
def test_a_copy_that_is_over_soon_shows_nothing(filled, tmp_path, words):
    begun = time.monotonic()
    run = Ansible(tmp_path, *words, **filled.options)
    code, result, lines = run.end()
    assert (code, result["inserted"]) == (0, 1)
    # On a machine that is too busy it is not over soon.
    assert not lines or time.monotonic() - begun > 8
    assert len(filled.details()) == (0 if words else 1)
    assert run.left() == []


def test_a_module_that_is_killed_ends_the_task(filled, tmp_path):
    with locked(filled):
        run = Ansible(tmp_path, **filled.options)
        until(filled.locks, 30)
        for process in run.modules():
            os.kill(process, signal.SIGKILL)
        killed = time.monotonic()
        code, result, _lines = run.end()
    assert time.monotonic() - killed < 10
    assert code == 2
    assert result["rc"] == -signal.SIGKILL
    assert run.left() == []
