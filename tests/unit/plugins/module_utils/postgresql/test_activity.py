# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import activity

BEFORE = {"oid": 5, "stats_reset": None, "transaction": 700, "counters": {"a.b": [3, 2, 1], "a.c": [1, 0, 0]}}


def now(**changes):
    return {**BEFORE, "counters": dict(BEFORE["counters"]), **changes}


@pytest.mark.parametrize(
    ("before", "later", "words"),
    [
        (None, now(), "no baseline"),
        (BEFORE, now(oid=6), "not the one that the baseline was taken of"),
        (BEFORE, now(stats_reset="2026-11-23"), "have been reset"),
        (BEFORE, now(counters={"a.b": [3, 1, 1], "a.c": [1, 0, 0]}), "statistics of a.b count less"),
        (BEFORE, now(counters={"a.b": [3, 2, 1]}), "statistics of a.c count less"),
        (BEFORE, now(counters={"a.b": [9, 2, 1], "a.c": [1, 0, 0], "new.one": [1, 0, 0]}), ""),
    ],
)
def test_what_cannot_be_known_is_said(before, later, words):
    reason = activity.unknown(before, later)
    assert words in reason
    assert bool(reason) == bool(words)


def test_growth_is_told_by_table_deletions_apart():
    later = now(counters={"a.b": [4, 2, 3], "a.c": [1, 0, 0], "new.one": [0, 5, 0]})
    assert activity.grown(BEFORE, later) == {"a.b": (3, 2), "new.one": (5, 0)}
    assert activity.grown(BEFORE, now()) == {}


def test_the_busiest_tables_are_named_first_and_not_all():
    tables = {f"a.t{number:02}": {"rows": number, "deleted": 0} for number in range(1, 26)}
    tables["a.t01"] = {"rows": 1, "deleted": 2}
    lines = activity.described(tables)
    assert lines[0] == "a.t25: 25 rows written"
    assert lines[-1] == "and 5 more tables"
    assert activity.described({"a.t": {"rows": 1, "deleted": 2}}) == ["a.t: 1 row written, 2 deleted"]
    assert activity.described({"a.t": {"rows": 0, "deleted": 2}}) == ["a.t: 2 deleted"]
