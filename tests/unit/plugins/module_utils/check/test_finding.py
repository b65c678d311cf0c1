# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import (
    OK,
    REFUSED,
    WARNING,
    WIDTH,
    Finding,
    listed,
    table,
    verdict,
)

LONG = Finding("login", REFUSED, "admin cannot log in " * 9, "a login", "Correct it.", ("schema  newest", "auth    1"))
FINDINGS = [
    LONG,
    Finding("room", OK, "room"),
    Finding("memory", WARNING, "little memory", "", "Add some."),
    Finding("docker", OK, "Docker 20"),
]


def test_what_is_refused_comes_last_and_columns_are_aligned():
    lines = table(FINDINGS)
    assert lines[:4] == [
        "ok       room    room.",
        "ok       docker  Docker 20.",
        "warning  memory  little memory.",
        "                 Add some.",
    ]
    assert lines[4].startswith("refused  login   admin cannot log in ")
    assert lines[-4:] == [
        "                 Expected: a login.",
        "                 Correct it.",
        "                 schema  newest",
        "                 auth    1",
    ]
    assert max(map(len, lines)) <= WIDTH
    assert {line[:17].strip() for line in lines[5:]} == {""}


def test_the_verdict():
    assert verdict(FINDINGS, "x") == "refused  1 of 4 checks refuse: login."
    assert verdict(FINDINGS[1:], "to 3.4.0") == "ready    to 3.4.0: 3 checks, 1 warning. Nothing was changed."
    assert verdict(FINDINGS[1:2], "x") == "ready    x: 1 checks, no warning. Nothing was changed."


def test_a_sentence_has_what_was_found_expected_and_to_do():
    assert (
        Finding("x", REFUSED, "It is so", "Otherwise.", "Do it.").sentence() == "It is so. Expected: Otherwise. Do it."
    )


def test_long_lists_are_cut():
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
