# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.dump import dump

FACTS = {"owner": 'o"wner', "encoding": "UTF8", "collate": "pt_MZ.UTF-8", "ctype": "C"}


def test_the_scratch_database_is_made_like_the_one_that_is_dumped():
    assert (
        dump.create_statement("scratch", FACTS)
        == 'CREATE DATABASE "scratch" TEMPLATE template0 OWNER "o""wner" ENCODING \'UTF8\''
        " LC_COLLATE 'pt_MZ.UTF-8' LC_CTYPE 'C'"
    )


def test_a_dump_is_compressed_only_where_room_is_short_or_when_asked_for():
    assert [dump.compression(None, 100, free) for free in (299, 300)] == [1, 0]
    assert [dump.compression(level, 100, free) for level in (0, 6) for free in (100, 1000)] == [0, 0, 6, 6]


def test_room_is_counted_by_file_system():
    needs = {"the dump": 3 << 20, "the scratch database": 4 << 20}
    apart = {"the dump": "/backup", "the scratch database": "/data"}
    assert dump.room_problem(needs, {"/backup": 3 << 20, "/data": 4 << 20}, apart) is None
    assert (
        dump.room_problem(needs, {"/backup": 9 << 20, "/data": 2 << 20}, apart)
        == "/data has 2 MiB free, and the scratch database up to 4 MiB may be written to it"
    )
    together = {"the dump": "/disk", "the scratch database": "/disk"}
    assert (
        dump.room_problem(needs, {"/disk": 6 << 20}, together)
        == "/disk has 6 MiB free, and the dump up to 3 MiB and the scratch database up to 4 MiB may be written to it"
    )


def dropped(*, fails: bool) -> None:
    if fails:
        raise dump.psycopg2.Error("cannot be dropped")


@pytest.mark.parametrize("fails", [False, True])
def test_cleaning_up_never_hides_why_a_restore_failed(fails):
    with pytest.raises(ValueError, match="not restored"), dump.cleaned(lambda: dropped(fails=fails)):
        raise ValueError("not restored")


def test_what_cannot_be_cleaned_up_is_told_when_nothing_else_is():
    with pytest.raises(dump.psycopg2.Error, match="cannot be dropped"), dump.cleaned(lambda: dropped(fails=True)):
        pass
