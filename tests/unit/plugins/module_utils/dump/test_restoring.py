# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restoring

RUN = "20261123T010203Z"
LISTING = """;
; Archive created at 2026-11-23 01:02:03 UTC
;     dbname: open_lmis
;
2; 3079 16398 EXTENSION - uuid-ossp 
4001; 0 0 COMMENT - EXTENSION "uuid-ossp" 
7; 2615 2200 SCHEMA - public postgres
4002; 0 0 COMMENT - SCHEMA public postgres
4003; 0 0 ACL - SCHEMA public postgres
4004; 0 0 ACL - public postgres
8; 2615 17000 SCHEMA - publications owner
200; 1259 17001 TABLE publications spatial_ref_sys owner
201; 0 17001 TABLE DATA publications spatial_ref_sys owner
202; 0 16700 TABLE DATA public spatial_ref_sys postgres
203; 0 0 ACL public TABLE spatial_ref_sys postgres
204; 1259 17010 TABLE public spatial_ref_sys_of_ours owner
205; 0 17010 TABLE DATA public spatial_ref_sys_of_ours owner
206; 2606 17020 FK CONSTRAINT publications two words fk owner
"""  # noqa: W291


def test_a_name_is_the_run_s_and_never_longer_than_postgresql_takes():
    assert restoring.name_for("open_lmis", "failed", RUN) == "open_lmis_failed_20261123T010203Z"
    long = restoring.name_for("ä" * 40, "restore", RUN)
    assert len(long.encode()) <= 63
    assert long.endswith("_restore_" + RUN)


def test_the_one_set_aside_names_the_one_that_took_its_place_in_that_run_only():
    comment = restoring.failed_comment(RUN, 4711, "/backup", "Ministry's server")
    assert restoring.replacement_of(RUN, comment) == 4711
    assert restoring.replacement_of("20261124T010203Z", comment) is None
    assert restoring.replacement_of(RUN, None) is None
    assert restoring.replacement_of(RUN, restoring.scratch_comment(RUN)) is None
    assert "Ministry's server" in comment


def test_only_what_is_an_extension_s_or_is_there_is_left_out_of_a_copy():
    found = restoring.without_extensions(restoring.entries(LISTING), ["public"], [("public", "spatial_ref_sys")])
    assert [entry.line.split(";")[0] for entry in found] == ["8", "200", "201", "204", "205", "206"]


def test_a_comment_of_the_database_stays_in_the_archive():
    of_9_6 = ["2200; 1262 16385 DATABASE - open_lmis postgres", "2201; 1262 16385 COMMENT - open_lmis postgres"]
    others = ["6; 2615 1262 SCHEMA - auth postgres", "7; 0 0 COMMENT - SCHEMA auth postgres"]
    assert [entry.line for entry in restoring.without_database(restoring.entries("\n".join(of_9_6 + others)))] == others


@pytest.mark.parametrize(
    ("setting", "clause", "value"),
    [
        ("timezone=Africa/Maputo", 'SET "timezone" TO %s', "Africa/Maputo"),
        ('search_path="$user", public', 'SET "search_path" TO "$user", public', None),
        ("search_path=", 'SET "search_path" TO ""', None),
        ("application_name=it's, a=b", 'SET "application_name" TO %s', "it's, a=b"),
        ("site.code=7", 'SET "site"."code" TO %s', "7"),
    ],
)
def test_a_list_is_written_as_it_is_stored_and_anything_else_is_quoted(setting, clause, value):
    assert restoring.setting_clause(setting) == (clause, value)


def test_missing_roles_are_told_by_what_the_server_wrote_down():
    text = (
        'CREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE "odd "" one";\nCREATE ROLE reporter;\n'
    )
    assert restoring.missing_roles(text, ["postgres"]) == ['odd " one', "reporter"]
    assert restoring.missing_roles(text, ["postgres", "reporter", 'odd " one']) == []


@pytest.mark.parametrize(("free", "missing"), [(None, 0), (1100, 0), (1099, 1), (0, 1100)])
def test_room_is_wanted_for_a_second_database_and_a_tenth(free, missing):
    assert restoring.room_missing(1000, free) == missing


def test_free_room_is_read_from_df():
    text = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 100 40 60 40% /var/lib/postgresql/data\n"
    )
    assert restoring.free_bytes(text) == 60 * 1024
    assert restoring.free_bytes("df: no such file") is None


def test_properties_that_differ_are_named_whatever_the_order_of_their_parts():
    wanted = {"owner": "lmis", "rights": [("", "CONNECT"), ("a", "TEMP")]}
    assert restoring.lacking_properties(wanted, {"owner": "lmis", "rights": [("a", "TEMP"), ("", "CONNECT")]}) == []
    assert restoring.lacking_properties(wanted, {"owner": "x", "rights": []}) == [
        "owner is 'x', not 'lmis'",
        "rights is [], not [('', 'CONNECT'), ('a', 'TEMP')]",
    ]


def test_only_what_a_rehearsal_has_left_is_taken_for_that():
    copy, before = restoring.copy_comment(RUN), restoring.before_comment(RUN, "Ministry's server")
    assert restoring.is_copy(copy)
    assert not any(map(restoring.is_copy, (before, restoring.scratch_comment(RUN), None, "Ministry's server")))
    left = [restoring.scratch_comment(RUN), restoring.failed_comment(RUN, 4711, "/backup", copy)]
    assert all(map(restoring.left_by_rehearsal, left))
    kept = [
        before,
        copy,
        restoring.failed_comment(RUN, 4711, "/backup", "Ministry's server"),
        None,
        restoring.failed_comment(RUN, 1, "/b", before),
    ]
    assert not any(map(restoring.left_by_rehearsal, kept))
