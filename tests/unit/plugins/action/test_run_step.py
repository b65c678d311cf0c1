# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.action import run_step
from ansible_collections.openlmis.operations.plugins.module_utils.run.registry import STEPS


@pytest.mark.parametrize(
    ("step", "again", "seconds"),
    [
        ("wait", False, {"expected_seconds": 61.5}),
        ("wait", True, {"expected_seconds": 7}),
        ("start", False, {"expected_seconds": 3}),
        ("start", True, {"expected_seconds": 3}),
        ("backup", False, {}),
        ("stop", False, {}),
    ],
)
def test_a_step_takes_as_long_as_it_took_in_a_rehearsal(step, again, seconds):
    assert run_step.expected_seconds(step, again, {"seconds": {"wait": [61.5, 7], "start": [3], "stop": []}}) == seconds


@pytest.mark.parametrize("rehearsed", [{}, {"seconds": None}, {"seconds": {}, "problem": "there is none"}])
def test_without_a_rehearsal_nothing_is_expected(rehearsed):
    assert run_step.expected_seconds("wait", False, rehearsed) == {}


def test_what_a_step_does_has_a_word_where_its_name_has_none():
    assert set(run_step.DOES) <= set(STEPS)
