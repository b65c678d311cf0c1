# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0.0 MiB"), (300 * 2**10, "0.3 MiB"), (48 * 2**20, "48 MiB"), (12 * 2**30, "12,288 MiB")],
)
def test_a_size_is_said_in_mebibytes(amount, said):
    assert progress.size(amount) == said


def test_the_file_is_replaced_and_nobody_else_may_read_it(tmp_path):
    path = tmp_path / "progress"
    (tmp_path / "progress.new").write_text("left by somebody")
    progress.write(str(path), "first")
    first = path.stat()
    progress.write(str(path), "second")
    assert path.read_text() == "second"
    assert path.stat().st_ino != first.st_ino
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["progress"]


def until(condition):
    for _attempt in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_it_is_told_what_the_module_is_at_while_it_works_and_not_after(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    path = tmp_path / "progress"
    done = []
    with progress.Progress(str(path)) as progressing:
        progressing.say("beginning")
        assert until(lambda: path.exists() and path.read_text() == "beginning")
        progressing.say(lambda: "%d of 2" % len(done))
        done.append(1)
        assert until(lambda: path.read_text() == "1 of 2")
    time.sleep(0.1)
    done.append(2)
    time.sleep(0.1)
    assert path.read_text() == "1 of 2"


def test_what_cannot_be_told_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    path = tmp_path / "progress"
    with progress.Progress(str(path)) as progressing:
        progressing.say(lambda: str(1 // 0))
        time.sleep(0.1)
        assert not path.exists()
        progressing.say("after it")
        assert until(path.exists)
    with progress.Progress(str(tmp_path / "nowhere" / "progress")) as progressing:
        progressing.say("text")
        time.sleep(0.1)


def test_without_a_file_nobody_is_told():
    with progress.Progress(None) as progressing:
        progressing.say(lambda: pytest.fail("was asked"))
