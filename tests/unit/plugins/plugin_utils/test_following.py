# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.openlmis.operations.plugins.plugin_utils import following


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (9.9, "0:09"), (60, "1:00"), (754, "12:34"), (4500, "75:00")]
)
def test_a_time_is_minutes_and_seconds(seconds, said):
    assert following.clock(seconds) == said


@pytest.mark.parametrize(
    ("said", "elapsed", "expected", "host", "line"),
    [
        ("12 of 312 tables, 48 MiB", 20, 60, "", "  dump: 12 of 312 tables, 48 MiB, 0:20 so far, about 0:40 left"),
        ("12 of 312 tables, 48 MiB", 20, 0, "", "  dump: 12 of 312 tables, 48 MiB, 0:20 so far"),
        ("", 20, 0, "", "  dump: 0:20 so far"),
        ("at it", 80, 60, "", "  dump: at it, 1:20 so far, a rehearsal took 1:00"),
        ("at it", 80, 0, "lmis1", "  lmis1 dump: at it, 1:20 so far"),
    ],
)
def test_the_line_says_what_is_known(said, elapsed, expected, host, line):
    assert following.line("dump", said, elapsed, expected, host) == line


class Host:
    """What answers a look: a file's text, nothing, or never."""

    become = "sudo"

    def __init__(self, answer):
        self.answer, self.commands = answer, []

    def exec_command(self, command, sudoable):
        self.commands.append((command, sudoable, self.become))
        return self.answer()


def lines(monkeypatch, host, path, seconds):
    monkeypatch.setattr(following, "EVERY", 0.2)
    monkeypatch.setattr(following, "PATIENCE", 0.05)
    told = []
    follower = following.Follower(host, path, lambda said, elapsed: told.append((said, round(elapsed, 1))))
    time.sleep(seconds)
    follower.ended.set()
    count = len(told)
    time.sleep(0.3)
    assert len(told) == count
    return told


def test_nothing_is_looked_at_or_told_of_a_task_that_ends_soon(monkeypatch):
    host = Host(lambda: (0, b"at it", b""))
    assert lines(monkeypatch, host, "/tmp/x y/progress", 0) == []
    assert host.commands == []


def test_the_file_is_looked_at_before_each_line_without_other_rights(monkeypatch):
    host = Host(lambda: (0, b"at it\n", b""))
    told = lines(monkeypatch, host, "/tmp/x y/progress", 1)
    assert [said for said, _elapsed in told] == ["at it"] * len(told)
    assert told[0][1] >= 0.2
    assert 1 < len(told) < 6
    assert set(host.commands) == {("cat '/tmp/x y/progress'", False, None)}
    assert len(told) <= len(host.commands) <= len(told) + 1
    assert host.become == "sudo"


def refuse():
    raise OSError("no connection")


@pytest.mark.parametrize(
    "answer", [lambda: (1, b"", b"no such file"), refuse, threading.Event().wait], ids=["none", "refused", "never"]
)
def test_a_line_comes_without_an_answer(monkeypatch, answer):
    told = lines(monkeypatch, Host(answer), "/tmp/progress", 1)
    assert len(told) > 1
    assert {said for said, _elapsed in told} == {""}


def test_without_a_file_only_the_time_is_told(monkeypatch):
    host = Host(refuse)
    assert {said for said, _elapsed in lines(monkeypatch, host, None, 0.5)} == {""}
    assert host.commands == []


def test_the_end_waits_for_a_line_under_way(monkeypatch):
    """A process that ends while its line is being written leaves the queue to Ansible's own locked for
    all that follow.
    """
    monkeypatch.setattr(following, "EVERY", 0.05)
    monkeypatch.setattr(following, "PATIENCE", 0.05)
    begun, written, told = threading.Event(), threading.Event(), []

    def tell(_said, _elapsed):
        begun.set()
        written.wait(20)
        told.append("whole")

    follower = following.Follower(Host(refuse), None, tell)
    assert begun.wait(20)
    threading.Timer(1, written.set).start()
    follower.end()
    assert told == ["whole"]
    time.sleep(0.2)
    assert told == ["whole"]
