# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal's report that is none: refused before the window, no hindrance in it; needs no server."""

from __future__ import annotations

import json
import pathlib

from stack.ansible import without_server

CHECK = """
- hosts: localhost
  gather_facts: false
  vars: {openlmis_project_src: "{{ folder }}", openlmis_state_dir: "{{ folder }}", openlmis_release: 3.4.0}
  tasks:
    - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: check}
"""
JOURNAL = {
    "run_id": "20260102T190000Z",
    "phase": "upgrade",
    "started": "2026-01-02T19:00:00.000",
    "finished": None,
    "outcome": None,
    "run": {},
    "holder": {},
    "steps": [
        {
            "step": "maintenance_on",
            "phase": "upgrade",
            "started": "2026-01-02T19:00:01.000",
            "finished": None,
            "data": {},
        }
    ],
}


def check(folder: pathlib.Path) -> str:
    """What the check says with a broken report, where there is no server behind it."""
    (folder / "report.json").write_text('{"steps": [')
    run = without_server(folder, CHECK, folder=str(folder), openlmis_rehearsal_report=str(folder / "report.json"))
    assert run.code != 0
    return run.text


def test_a_broken_report_is_refused_before_the_window(tmp_path: pathlib.Path) -> None:
    said = check(tmp_path)
    assert f"openlmis_rehearsal_report is {tmp_path / 'report.json'}, which is not JSON; the absolute path" in said


def test_a_run_under_way_goes_on_without_it_and_says_so(tmp_path: pathlib.Path) -> None:
    (tmp_path / "journal.json").write_text(json.dumps(JOURNAL))
    said = check(tmp_path)
    assert "which is not JSON: no step says how much of its time is left" in said
    assert "docker-compose.yml" in said
