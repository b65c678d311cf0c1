# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from unittest import mock

import psycopg2
import pytest
import requests
from ansible.module_utils import basic
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from docker import errors as docker_errors


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "/etc/x"),
            "/etc/x cannot be used (No such file or directory).",
        ),
        (OSError(28, "No space left on device"), "A file cannot be used (No space left on device)."),
        (
            psycopg2.OperationalError("server closed the connection unexpectedly"),
            "PostgreSQL refused (the connection was lost).",
        ),
        (docker_errors.DockerException("no socket\nand more"), "The Docker Engine refused (no socket)."),
        (docker_errors.DockerException(), "The Docker Engine refused (DockerException)."),
        (
            docker_errors.APIError("500 Server Error", explanation="driver failed"),
            "The Docker Engine refused (driver failed).",
        ),
        (
            requests.exceptions.ConnectionError("Connection aborted."),
            "The Docker Engine refused (Connection aborted.).",
        ),
        (requests.exceptions.ReadTimeout(), "The Docker Engine refused (ReadTimeout)."),
    ],
)
def test_an_error_of_a_file_of_docker_or_of_postgresql_says_what_to_do(error, said):
    assert skeleton.sentence(error).startswith(said)
    assert skeleton.sentence(error).endswith("run this again.")


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), OSError("without a number"), OperationError("has its own sentence")]
)
def test_a_fault_of_our_own_has_no_sentence(error):
    assert skeleton.sentence(error) is None


@pytest.mark.parametrize("name", ["psycopg2", "docker.errors", "requests"])
def test_a_library_that_was_not_imported_has_raised_nothing(monkeypatch, name):
    monkeypatch.delitem(skeleton.sys.modules, name)
    assert skeleton.sentence(ValueError("x")) is None
    assert skeleton.sentence(OSError(28, "No space left on device")).startswith("A file cannot be used")


def answer(capsys, work, **options):
    """Return what a module answers that does this work."""
    # As ansible.module_utils.testing does, which the oldest ansible-core has not.
    given = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
    spec = {"name": {"type": "str"}, "password": {"type": "str", "no_log": True}}
    with (
        mock.patch.multiple(basic, create=True, _ANSIBLE_ARGS=given, _ANSIBLE_PROFILE="legacy"),
        pytest.raises(SystemExit),
    ):
        skeleton.main(spec, work)
    return json.loads(capsys.readouterr().out)


def raising(error):
    def work(_module):
        raise error

    return work


def test_a_module_answers_what_its_work_returns_with_a_password_that_is_also_a_word(capsys):
    found = answer(
        capsys,
        lambda module: {"changed": module.check_mode, "release": "openlmis"},
        password="openlmis",
        _ansible_check_mode=True,
    )
    assert (found["changed"], found["release"]) == (True, "openlmis")
    assert "openlmis" not in str(found["invocation"])


def test_a_module_fails_with_a_sentence_and_the_facts_beside_it(capsys):
    found = answer(capsys, raising(OperationError("No room. Make some.", lines=["one"])))
    assert (found["failed"], found["msg"], found["lines"]) == (True, "No room. Make some.", ["one"])
    assert answer(capsys, raising(PermissionError(13, "Permission denied", "/x")))["msg"].startswith(
        "/x cannot be used"
    )


def test_a_fault_of_our_own_is_not_hidden():
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {}}).encode()
    with (
        mock.patch.multiple(basic, create=True, _ANSIBLE_ARGS=given, _ANSIBLE_PROFILE="legacy"),
        pytest.raises(ZeroDivisionError),
    ):
        skeleton.main({}, raising(ZeroDivisionError()))
