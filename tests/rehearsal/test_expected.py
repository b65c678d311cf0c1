# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a step is expected to take, by a rehearsal's report; needs no server."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import pytest
from stack.ansible import ANSIBLE
from stack.releases import CHECKOUT

STEPS = [("pull", 5), ("wait", 61.5), ("migrate_contact_details", 2), ("wait", 7.5)]
REPORT = {"kind": "rehearsal", "steps": [{"step": step, "seconds": seconds} for step, seconds in STEPS]}
# What a later report may hold and nobody can calculate with.
REPORT["steps"] += [{"step": "backup"}, {"step": "backup", "seconds": None}, {"name": "outlook"}]
# phase, step, how often it has ended in this run, what is expected
CASES = [
    ("upgrade", "pull", 0, "5"),
    ("upgrade", "wait", 0, "61.5"),
    ("upgrade", "wait", 1, "7.5"),
    ("upgrade", "wait", 2, "7.5"),
    ("upgrade", "backup", 0, ""),
    ("rollback", "wait", 0, ""),
]
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    openlmis__phase: "{{ item.0 }}"
    openlmis__step: "{{ item.1 }}"
    openlmis__run: {journal: {steps: "{{ [{'step': item.1, 'finished': 'now'}] * item.2 + [{'step': item.1, 'finished': none}] }}"}}
  tasks:
    - ansible.builtin.debug:
        msg: "expected <{{ openlmis__expected }}>"
      loop: "{{ cases }}"
"""


def expected(folder: pathlib.Path, **variables: str) -> list[str]:
    """What is expected in each case."""
    (folder / "play.yml").write_text(PLAY)
    (folder / "variables.json").write_text(json.dumps({"cases": CASES, **variables}))
    command = [str(ANSIBLE / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(folder / "play.yml")]
    for file in (CHECKOUT / "roles/openlmis/vars/main.yml", folder / "variables.json"):
        command += ["-e", "@%s" % file]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall("expected <(.*)>", done.stdout)


def test_a_step_is_expected_to_take_what_it_took_then(tmp_path: pathlib.Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    assert expected(tmp_path, openlmis_rehearsal_report=str(tmp_path / "report.json")) == [case[3] for case in CASES]


@pytest.mark.parametrize("report", [None, "nowhere.json", "broken.json"])
def test_without_a_report_nothing_is_expected(tmp_path: pathlib.Path, report: str | None) -> None:
    (tmp_path / "broken.json").write_text('{"steps": [')
    variables = {"openlmis_rehearsal_report": str(tmp_path / report)} if report else {}
    assert expected(tmp_path, **variables) == [""] * len(CASES)


CHECK = """
- hosts: localhost
  gather_facts: false
  vars: {openlmis_project_src: "{{ folder }}", openlmis_state_dir: "{{ folder }}", openlmis_release: 3.4.0}
  tasks:
    - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: check}
"""
JOURNAL = {
    "run_id": "20260102T190000Z", "phase": "upgrade", "started": "2026-01-02T19:00:00.000", "finished": None, "outcome": None,
    "run": {}, "holder": {},
    "steps": [{"step": "maintenance_on", "phase": "upgrade", "started": "2026-01-02T19:00:01.000", "finished": None, "data": {}}],
}  # fmt: skip


def check(folder: pathlib.Path) -> str:
    """What the check says with a broken report, where there is no server behind it."""
    (folder / "play.yml").write_text(CHECK)
    (folder / "report.json").write_text('{"steps": [')
    variables = {"folder": str(folder), "openlmis_rehearsal_report": str(folder / "report.json")}
    command = [str(ANSIBLE / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", json.dumps(variables), str(folder / "play.yml")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return " ".join((done.stdout + done.stderr).split())


def test_a_broken_report_is_refused_before_the_window(tmp_path: pathlib.Path) -> None:
    said = check(tmp_path)
    assert f"openlmis_rehearsal_report is {tmp_path / 'report.json'}, which is not JSON; the absolute path" in said
    assert "Check the server" not in said


def test_a_run_under_way_goes_on_without_it_and_says_so(tmp_path: pathlib.Path) -> None:
    (tmp_path / "journal.json").write_text(json.dumps(JOURNAL))
    said = check(tmp_path)
    assert "which is not JSON: no step says how much of its time is left" in said
    assert "Check the server" in said
