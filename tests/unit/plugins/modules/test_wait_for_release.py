# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.web import Component
from ansible_collections.openlmis.operations.plugins.modules.wait_for_release import Question, Wait, intention


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
    assert intention(components, ["nginx"]) == (
        "Would wait until auth answers 4.0.0 with 2 migrations applied,"
        " diagnostics answers 1.0.1 with 0 migrations applied, nginx runs."
    )


def test_an_engine_that_ends_between_two_questions_does_not_cost_the_finding(monkeypatch):
    def ended(_self):
        raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(Wait, "project", ended)
    assert Wait.__new__(Wait).started() == {}
