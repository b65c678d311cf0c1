# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest
from ansible.plugins.loader import lookup_loader
from ansible_collections.openlmis.operations.plugins.lookup import controller


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("@vars.yml", ["@vars.yml"]),
        ("openlmis_confirm=false openlmis_backup_dir='/a b'", ["openlmis_confirm=false openlmis_backup_dir='/a b'"]),
        (
            "openlmis_admin_password=hunter2 openlmis_confirm=false",
            ["openlmis_admin_password=... openlmis_confirm=false"],
        ),
        ("site_note=hunter2 ansible_become_pass=hunter2", ["site_note=... ansible_become_pass=..."]),
        ("{openlmis_admin_password: hunter2}", ["openlmis_admin_password=..."]),
        ("{openlmis_confirm: false, site: {deep: [hunter2]}}", ['{"openlmis_confirm": false}', "site=..."]),
        (
            '{"openlmis_client_secret": "hunter2", "openlmis_serial": 1}',
            ['{"openlmis_serial": 1}', "openlmis_client_secret=..."],
        ),
        ('{"openlmis_images": {"ui": "site/ui:2"}}', ['{"openlmis_images": {"ui": "site/ui:2"}}']),
        ("{openlmis_compose_environment: {TOKEN: hunter2}}", ["openlmis_compose_environment=..."]),
        ("openlmis_base_url=https://ann:hunter2@lmis.example.org", ["openlmis_base_url=..."]),
        ("openlmis_base_url=https://lmis.example.org", ["openlmis_base_url=https://lmis.example.org"]),
        ("{site: !vault hunter2, openlmis_confirm: no}", ['{"openlmis_confirm": false}', "site=..."]),
        ("{site: hunter2", ["..."]),
        ('["hunter2"]', ["..."]),
        ("hunter2", ["_raw_params=..."]),
    ],
)
def test_only_values_that_are_known_to_be_harmless_are_shown(given, shown):
    assert controller.repeated(given) == shown


def test_every_secret_of_the_argument_specs_is_known():
    assert {"openlmis_confirm", "openlmis_hosts", "openlmis_target_files", "openlmis_take_over"} < controller.harmless()
    assert [
        name for name in controller.harmless() if "password" in name or "secret" in name or "environment" in name
    ] == []


def test_the_command_keeps_what_every_run_needs_and_drops_what_was_meant_once():
    arguments = {
        "subset": "lmis",
        "become": True,
        "connection": "ssh",
        "tags": ["check"],
        "check": True,
        "vault_ids": ["prod@ask"],
        "extra_vars": ("openlmis_confirm=false", "db_password=x"),
    }
    assert (
        controller.command_line(arguments, "up grade.yml", "/opt/my site", ["inventory.yml"])
        == "cd '/opt/my site' && ansible-playbook --inventory inventory.yml --limit lmis --vault-id prod@ask --become"
        " --extra-vars openlmis_confirm=false --extra-vars db_password=... 'up grade.yml'"
    )


@pytest.mark.parametrize(("servers", "limit"), [(["lmis"], "region"), (["lmis", "other"], "lmis"), (None, "region")])
def test_only_the_server_that_asks_is_rolled_back(servers, limit):
    variables = {"inventory_hostname": "lmis", "ansible_play_hosts_all": servers}
    assert controller.only_this_server({"subset": "region", "become": True}, variables) == {
        "subset": limit,
        "become": True,
    }


@pytest.mark.parametrize(
    ("forth", "back"),
    [
        ("playbooks/upgrade-3.4.yml", "playbooks/rollback-3.4.yml"),
        ("upgrade_3_4.yml", "rollback_3_4.yml"),
        ("openlmis.operations.upgrade_3_4", "openlmis.operations.rollback_3_4"),
        ("/opt/x.y/upgrade-3.4.yml", "/opt/x.y/rollback-3.4.yml"),
        ("openlmis.operations.rehearse_3_4", "openlmis.operations.rollback_3_4"),
        ("site.yml", None),
    ],
)
def test_the_playbook_that_goes_back(forth, back):
    assert controller.sibling(forth, "rollback", "upgrade", "rehearse") == back


def test_a_process_is_known_by_its_number_and_its_beginning():
    begin = controller.started(os.getpid())
    assert begin
    assert controller.alive(os.getpid(), begin)
    assert not controller.alive(os.getpid(), begin - 1)
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert not controller.alive(gone.pid, None)


def test_a_run_is_free_when_its_process_on_this_controller_is_gone_and_never_because_of_one_elsewhere():
    me = {
        "host": socket.gethostname(),
        "user": "operator",
        "pid": os.getpid(),
        "started": controller.started(os.getpid()),
    }
    assert not controller.is_gone(me)
    assert controller.is_gone({**me, "started": me["started"] - 1})
    assert not controller.is_gone({**me, "started": me["started"] - 1, "host": "office"})
    assert not controller.is_gone({})


def test_what_the_lookup_tells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        controller, "CLIARGS", {"args": ("upgrade-3.4.yml",), "inventory": ("inventory.yml",), "check": True}
    )
    (told,) = lookup_loader.get("openlmis.operations.controller").run(
        [], {"inventory_hostname": "lmis", "ansible_play_hosts_all": ["lmis", "other"]}
    )
    assert set(told) == {"holder", "commands", "rehearsed"}
    assert not controller.is_gone(told["holder"])
    assert told["commands"] == {
        "resume": f"cd {tmp_path} && ansible-playbook --inventory inventory.yml upgrade-3.4.yml",
        "rollback": f"cd {tmp_path} && ansible-playbook --inventory inventory.yml --limit lmis rollback-3.4.yml",
        "upgrade": None,
    }
    assert told["rehearsed"] == {"seconds": {}, "problem": ""}


def test_a_step_of_a_rehearsal_has_every_time_that_it_took(tmp_path):
    steps = [
        {"step": "wait", "seconds": 61.5},
        {"step": "backup", "seconds": None},
        {"name": "outlook"},
        "?",
        {"step": "wait", "seconds": 7},
    ]
    steps += [{"step": "stop", "seconds": value} for value in (True, "3", -1, float("nan"))]
    (tmp_path / "report.json").write_text(json.dumps({"steps": steps}))
    assert controller.rehearsed(str(tmp_path / "report.json")) == {"seconds": {"wait": [61.5, 7]}, "problem": ""}


def test_without_a_report_nothing_is_known_and_nothing_wrong():
    assert controller.rehearsed("") == controller.rehearsed(None) == {"seconds": {}, "problem": ""}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"steps": [', "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100000, "is not JSON"),
        (b"[1]", "has no step"),
        (b"null", "has no step"),
        (b'{"steps": 5}', "has no step"),
        (b'{"steps": [{"step": ["wait"], "seconds": 1}]}', "has no step"),
        (None, "No such file"),
    ],
)
def test_what_is_no_report_of_a_rehearsal_is_said_with_its_name(tmp_path, content, problem):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    found = controller.rehearsed(str(path))
    assert found["seconds"] == {}
    assert found["problem"].startswith(f"{path}, ")
    assert problem in found["problem"]


def test_a_report_is_not_looked_for_where_the_playbook_happens_to_run(tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text('{"steps": [{"step": "wait", "seconds": 1}]}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "relative" in controller.rehearsed("report.json")["problem"]
    assert controller.rehearsed("~/report.json")["problem"] == ""
