# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two rehearsals on one server, and one that fails in every part of its clean-up; needs no server."""

from __future__ import annotations

import json
import os
import pathlib
import socket

import pytest
from stack.ansible import without_server

PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    openlmis__phase: rehearsal
  tasks:
    - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: restore_copy}
"""


def rehearse(folder: pathlib.Path) -> str:
    """What is said where no engine answers."""
    run = without_server(
        folder,
        PLAY,
        openlmis_project_src=str(folder),
        openlmis_state_dir=str(folder),
        openlmis_release="3.4.0",
        openlmis_rehearse_dump=str(folder / "open_lmis.dump"),
        openlmis_compose_environment={"DOCKER_HOST": f"unix://{folder}/nowhere.sock"},
    )
    assert run.code == 2, run.text
    return run.text


def held(folder: pathlib.Path, **holder: object) -> None:
    """Have somebody rehearse."""
    begun = {
        "step": "restore_copy",
        "phase": "upgrade",
        "started": "2026-01-02T18:00:00.000",
        "finished": None,
        "data": {},
    }
    journal = {
        "run_id": "20260102T180000Z",
        "phase": "upgrade",
        "started": begun["started"],
        "finished": None,
        "outcome": None,
        "run": {},
    }
    holder = {"host": socket.gethostname(), "user": "ann", "pid": os.getpid(), "started": None, **holder}
    (folder / "rehearsing.json").write_text(json.dumps({**journal, "steps": [begun], "holder": holder}))


@pytest.mark.parametrize("holder", [{}, {"host": "another.example.org", "pid": 1}])
def test_a_second_rehearsal_is_refused_and_touches_nothing(tmp_path: pathlib.Path, holder: dict[str, object]) -> None:
    held(tmp_path, **holder)
    before = (tmp_path / "rehearsing.json").read_text()
    said = rehearse(tmp_path)
    assert "Run 20260102T180000Z was started by ann@" in said
    assert "could not be started again" not in said
    assert (tmp_path / "rehearsing.json").read_text() == before


def test_one_that_was_killed_is_no_hindrance_and_every_failure_is_told(tmp_path: pathlib.Path) -> None:
    held(tmp_path, started=1)
    said = rehearse(tmp_path)
    end = said[said.index("TASK [openlmis.operations.openlmis : End]") :]
    answer = f"The Docker Engine at unix://{tmp_path}/nowhere.sock does not answer"
    assert "What was restored of production could not be dropped: Compose file docker-compose.yml was not found" in end
    assert f"The staging server could not be started again: {answer}" in end
    # Whoever comes next is not kept from it.
    journal = json.loads((tmp_path / "rehearsing.json").read_text())
    assert (journal["holder"], bool(journal["finished"])) == ({}, True)


def test_a_lock_that_cannot_be_read_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "rehearsing.json" / "x").mkdir(parents=True)
    said = rehearse(tmp_path)
    assert f"{tmp_path}/rehearsing.json cannot be read as a journal" in said
    assert "could not be started again" not in said
