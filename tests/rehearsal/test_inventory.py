# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory, and what a batch of servers does after a failure; needs no server."""

from __future__ import annotations

import pathlib

import pytest
from stack.ansible import without_server
from stack.releases import CHECKOUT

CHECK = """
- hosts: localhost
  gather_facts: false
  vars: {openlmis_project_src: /nowhere, openlmis_release: 3.4.0}
  tasks:
    - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: check}
"""


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "openlmis_backup",
            "none",
            "openlmis_backup is none. Set it to dump or the absolute path on the controller of a task file.",
        ),
        (
            "openlmis_gate",
            "dump",
            "openlmis_gate is dump. Set it to firewall, none or the absolute path on the controller of a task file.",
        ),
        (
            "openlmis_report_dir",
            "firewall",
            "openlmis_report_dir is firewall. Set it to the absolute path on the controller of a directory.",
        ),
        ("openlmis_gate", "/not/there.yml", "openlmis_gate is /not/there.yml, which is not there. Set it to firewall"),
    ],
)
def test_each_variable_has_values_of_its_own(tmp_path: pathlib.Path, variable: str, value: str, said: str) -> None:
    run = without_server(tmp_path, CHECK, **{variable: value})
    assert run.code != 0
    assert said in run.text


def test_no_server_is_begun_after_one_has_failed(tmp_path: pathlib.Path) -> None:
    run = without_server(
        tmp_path,
        (CHECKOUT / "playbooks" / "upgrade-3.4.yml").read_text(),
        "first,second,third",
        openlmis_hosts="all",
        openlmis_project_src=str(tmp_path / "nowhere"),
        openlmis_state_dir=str(tmp_path / "{{ inventory_hostname }}"),
        openlmis_confirm=False,
        ansible_become=False,
    )
    assert run.code != 0
    assert "Not begun second, third; the command to go on comes to them, too" in run.text
    recap = run.text.partition("PLAY RECAP")[2]
    assert [name for name in ("first", "second", "third") if f"{name} :" in recap] == ["first"]
    assert not (tmp_path / "second").exists()
