# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.release.wait import Question, Wait, intention
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import Component, Version


def test_a_question_is_asked_aside_and_keeps_its_answer():
    hold = threading.Event()
    question = Question(lambda: hold.wait(5) and 42)
    assert question.is_alive()
    assert question.daemon
    hold.set()
    question.join(5)
    assert question.answer == 42
    assert question.begun <= question.finished <= time.monotonic()


def test_a_question_keeps_its_error_for_whoever_collects_it():
    question = Question(lambda: 1 / 0)
    question.join(5)
    with pytest.raises(ZeroDivisionError):
        raise question.error


def test_the_intention_names_versions_migrations_and_services():
    components = [
        Component("auth", "4.0.0", "/auth", "auth", "auth", ("1", "2")),
        Component("diagnostics", "1.0.1", "/diagnostics", "diagnostics"),
    ]
    assert (
        intention(components, ["nginx"]) == "Would wait until auth answers 4.0.0 with 2 migrations applied,"
        " diagnostics answers 1.0.1 with 0 migrations applied, nginx runs."
    )


def test_an_engine_that_ends_between_two_questions_does_not_cost_the_finding(monkeypatch):
    def ended(_self):
        raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(Wait, "project", ended)
    assert Wait.__new__(Wait).started() == {}


@pytest.mark.parametrize(
    ("several_at", "lasting", "ready_at", "remembered"),
    [
        (None, False, -1, False),
        (-30, False, -1, False),
        (-1, False, -1, True),
        (-3, False, -1, False),
        (0, True, -1, True),
        (0, True, -11, False),
    ],
    ids=[
        "never",
        "long ago",
        "nginx may not have followed",
        "nginx has followed",
        "they stay",
        "they stay, but ready for long",
    ],
)
@pytest.mark.parametrize("name", ["auth", "mw-auth"])
def test_nginx_remembers_of_several_servers_only_and_not_for_long(name, several_at, lasting, ready_at, remembered):
    wait = Wait.__new__(Wait)
    now = time.monotonic()
    wait.begun, wait.ready_at = now - 60, {"auth": 60 + ready_at}
    wait.several = {} if several_at is None else {name: now + several_at}
    wait.lasting = {name} if lasting else set()
    assert wait.remembered(Component("auth", "4.0.0", "/auth", "mw-auth")) is remembered


def test_one_bad_answer_of_many_is_no_evidence():
    wait = Wait.__new__(Wait)
    wait.params, wait.components = {"release": None, "compose_files": []}, [Component("auth", "4.0.0", "/auth", "auth")]
    wait.lasting = set()
    wait.untidied, wait.several, wait.begun, wait.ready_at = "", {}, time.monotonic(), {"auth": 0.0}
    answers = [Version("4.0.0")] * 7 + [Version("", "answers 502")]
    wait.site = SimpleNamespace(versions_at_once=lambda path: answers)
    assert not wait.confirmed()
    assert wait.unconfirmed == "/auth answers 502 to 1 of 8 requests at the same time"
    assert wait.ready_at == {}
    answers.pop()
    wait.ready_at = {"auth": 0.0}
    assert wait.confirmed()
    assert wait.unconfirmed == ""
