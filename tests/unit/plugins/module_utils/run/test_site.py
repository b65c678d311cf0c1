# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
import yaml
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.run import site

ROLE = os.path.join(os.path.dirname(site.__file__), *[os.pardir] * 3, "roles", "openlmis")
NEEDED = {
    "project_src": "/opt/lmis",
    "release": {"name": "3.4.0"},
    "migrations": {},
    "state_dir": "/var/lib/lmis",
    "backup_dir": "/backup",
}


def read(**told):
    return site.read({**NEEDED, **told})


def test_every_value_has_its_type_whichever_ansible_core_hands_it_on():
    told = {
        "login_port": "5433",
        "backup_keep": 3,
        "validate_certs": "no",
        "staging": True,
        "gate_ports": ["8080", 8443],
        "mail_hosts": "a,b",
    }
    found = read(**told)
    assert {name: found[name] for name in told} == {
        "login_port": 5433,
        "backup_keep": 3,
        "validate_certs": False,
        "staging": True,
        "gate_ports": [8080, 8443],
        "mail_hosts": ["a", "b"],
    }
    assert read(images='{"auth": "site/auth:1"}')["images"] == {"auth": "site/auth:1"}


def test_paths_are_those_of_the_host(monkeypatch):
    monkeypatch.setenv("HOME", "/home/lmis")
    assert read(state_dir="~/state")["state_dir"] == "/home/lmis/state"


@pytest.mark.parametrize("value", [None, ""])
def test_a_name_without_a_value_is_none(value):
    found = read(base_url=value, login_port=value, target_files=value, validate_certs=value, images=value)
    assert [found[name] for name in ("base_url", "login_port", "target_files", "validate_certs", "images")] == [
        None
    ] * 5


def test_a_value_that_means_no_stays():
    found = read(backup_compress=0, count_timeout=0, staging=False, compose_files=[])
    assert [found[name] for name in ("backup_compress", "count_timeout", "staging", "compose_files")] == [
        0,
        0,
        False,
        [],
    ]


def test_every_name_is_there_and_every_option_of_a_connection_too():
    assert set(read()) == set(site.SPEC) | set(site.UNSET)
    assert [read()[name] for name in ("compose_files", "gate_allow", "gate_ports", *site.UNSET)] == [[]] * 3 + [
        None
    ] * len(site.UNSET)


def test_one_site_s_list_is_not_another_s():
    read()["compose_files"].append("docker-compose.yml")
    assert read()["compose_files"] == []


def test_what_is_told_is_not_changed():
    told = {**NEEDED, "login_port": "5433"}
    site.read(told)
    assert told == {**NEEDED, "login_port": "5433"}


def test_secrets_come_beside_and_are_nobody_s_to_check():
    assert site.read(NEEDED, login_password="hunter2", client_secret=None)["login_password"] == "hunter2"
    with pytest.raises(OperationError, match="login_password"):
        read(login_password="hunter2")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"backup_keeps": 3}, "backup_keeps"),
        ({"login_port": "http"}, "login_port"),
        ({"staging": "perhaps"}, "staging"),
        ({"gate_ports": ["http"]}, "gate_ports"),
        ({"project_src": None}, "missing required arguments: project_src"),
    ],
)
def test_what_does_not_fit_is_said_by_its_name(told, said):
    with pytest.raises(
        OperationError, match=rf"^The variables of the role do not fit: .*{said}.*Correct them, and run again\.$"
    ):
        read(**told)


def test_the_role_tells_every_name_and_no_other():
    with open(os.path.join(ROLE, "vars", "main.yml"), encoding="utf-8") as stream:
        assert set(yaml.safe_load(stream)["openlmis__site"]) == set(site.SPEC)
