# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs that report, without a server: a report that cannot be written is said, and changes nothing about how the
run ends.
"""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess

import pytest
from stack.ansible import ANSIBLE, Run
from stack.releases import CHECKOUT

USER = "de300000-0000-4000-8000-000000000011"
BEGIN = """
- hosts: all
  gather_facts: false
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    openlmis_project_src: %(folder)s/nothing
    openlmis_state_dir: %(folder)s/state
    openlmis__phase: upgrade
  tasks:
    - block:
        - ansible.builtin.copy:
            dest: %(folder)s/state/journal.json
            content: "{{ journal | combine({'holder': lookup('openlmis.operations.controller').holder}) | to_json }}"
            mode: "0600"
"""
FINISH = """
        - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: report}
"""
FAIL = """
        - ansible.builtin.fail: {msg: "The copy refused user %(user)s (ann the nurse), ann@example.org."}
      rescue:
        - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: failed}
          vars: {openlmis__failed: "{{ ansible_failed_result }}"}
"""


JOURNAL = {
    "run_id": "20260102T190000Z",
    "phase": "upgrade",
    "started": "2026-01-02T19:00:00.000",
    "finished": None,
    "outcome": None,
    "run": {"from": "3.3.1", "to": "3.4.0", "database": None, "users": None},
    "holder": {},
    "steps": [{"step": "pull", "phase": "upgrade", "started": "2026-01-02T19:00:01.000", "finished": None, "data": {}}],
}


def play(folder: pathlib.Path, end: str, *arguments: str, begin: str = BEGIN) -> Run:
    """Run a play that begins a run and ends it."""
    playbook = folder / "play.yml"
    playbook.write_text((begin + end) % {"folder": folder, "user": USER})
    (folder / "state").mkdir(exist_ok=True)
    arguments += ("-e", json.dumps({"journal": JOURNAL}))
    command = [str(ANSIBLE / "ansible-playbook"), "--inventory", "first,", str(playbook), *arguments]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


def obstacle(folder: pathlib.Path) -> None:
    """A directory where the table is to be written, so that not even root can."""
    (folder / "state" / "report.txt" / "something").mkdir(parents=True)


def test_a_finished_run_is_reported_on_the_host_and_on_the_controller(tmp_path: pathlib.Path) -> None:
    run = play(tmp_path, FINISH, "-e", f"openlmis_report_dir={tmp_path}/reports")
    assert run.code == 0, run.text
    (host,) = (tmp_path / "state").glob("report-*.json")
    assert stat.S_IMODE(host.stat().st_mode) == 0o600
    assert json.loads(host.read_text())["outcome"] == "upgraded"
    name = host.stem.partition("-")[2]
    assert {one.name for one in (tmp_path / "reports").iterdir()} == {f"first-{name}.html", f"first-{name}.json"}
    assert f"Report    {host.with_suffix('.html')}" in run.text
    assert f"{tmp_path}/reports/first-{name}.html on the controller" in run.text


@pytest.mark.parametrize("where", ["host", "controller"])
def test_a_report_that_cannot_be_written_is_a_warning(tmp_path: pathlib.Path, where: str) -> None:
    arguments = []
    if where == "host":
        obstacle(tmp_path)
    else:
        (tmp_path / "file").write_text("")
        arguments = ["-e", f"openlmis_report_dir={tmp_path}/file/reports"]
    run = play(tmp_path, FINISH, *arguments)
    assert run.code == 0, run.text
    assert "OpenLMIS 3.3.1 -> 3.4.0 on first, run" in run.text
    assert "\nwarning   No report" in run.text
    assert json.loads((tmp_path / "state" / "journal.json").read_text())["outcome"] == "upgraded"


def test_a_failure_is_said_though_its_report_cannot_be_written(tmp_path: pathlib.Path) -> None:
    obstacle(tmp_path)
    run = play(tmp_path, FAIL)
    assert run.code != 0
    journal = json.loads((tmp_path / "state" / "journal.json").read_text())
    lines = run.text.splitlines()
    first = lines.index(f"FAILED    The upgrade {journal['run_id']} stopped in step pull.")
    assert lines[first + 1] == f"Found     The copy refused user {USER} (ann the nurse), ann@example.org."
    assert [line[:9].strip() for line in lines[first + 2 : first + 6]] == ["Database", "Services", "Users", "Backup"]
    assert any(line.startswith("pull ") and line.endswith("FAILED") for line in lines)
    assert "\nwarning   No report" in run.text
    assert journal["steps"][0]["finding"].startswith("The copy refused")


def test_what_fails_before_a_run_leaves_the_last_report_alone(tmp_path: pathlib.Path) -> None:
    assert play(tmp_path, FINISH).code == 0
    before = {path: path.read_text() for path in (tmp_path / "state").glob("report*")}
    run = play(tmp_path, FAIL, begin=BEGIN.partition("        - ansible")[0])
    assert run.code != 0
    assert "Stopped before anything was changed." in run.text
    assert {path: path.read_text() for path in (tmp_path / "state").glob("report*")} == before
