# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.backup import archive
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import contents

LISTING = """\
;
; Archive created at 2026-01-02 19:00:00 UTC
;     dbname: open_lmis
;     TOC Entries: 812
;     Format: DIRECTORY
;     Dumped from database version: 9.6.24
;     Dumped by pg_dump version: 9.6.24
;
215; 1259 16385 TABLE referencedata users postgres
3456; 0 16385 TABLE DATA referencedata users postgres
3457; 0 16390 TABLE DATA public odd name; 3 4 TABLE DATA an owner
3300; 2606 16400 CONSTRAINT referencedata users users_pkey postgres
"""
MADE = 1767380400.0


def test_the_listing_tells_whose_dump_it_is_and_where_a_table_s_data_is():
    listing = archive.parse_listing(LISTING)
    assert listing == archive.Listing("open_lmis", "9.6.24", MADE, {16385: "3456", 16390: "3457"})
    assert archive.parse_listing("") == archive.Listing("", "", None, {})


def test_a_dump_of_its_own_snapshot_has_no_problem():
    listing = archive.parse_listing(LISTING)
    assert archive.origin_problems(listing, "open_lmis", "9.6.24", MADE, MADE + 60) == []


@pytest.mark.parametrize(
    ("database", "version", "begin", "said"),
    [
        ("other", "9.6.24", MADE, "it is of the database open_lmis, not of other"),
        ("open_lmis", "15.1", MADE, "it is of a server of version 9.6.24, not 15.1"),
        ("open_lmis", "9.6.24", MADE + 60, "it was made at 2026-01-02 19:00:00 UTC, not while this snapshot was held"),
        ("open_lmis", "9.6.24", MADE - 600, "it is of another snapshot"),
    ],
)
def test_a_dump_of_something_else_is_told(database, version, begin, said):
    (problem,) = archive.origin_problems(archive.parse_listing(LISTING), database, version, begin, begin + 60)
    assert said in problem


def test_an_archive_without_a_time_is_told():
    (problem,) = archive.origin_problems(archive.Listing("a", "1", None, {}), "a", "1", 0, 1)
    assert "made at no known time" in problem


@pytest.mark.parametrize(
    ("data", "rows"),
    [(b"\\.\n\n\n", 0), (b"a\n\\.\n\n\n", 1), (b"a\tb\\nc\n\\N\n\\.\n", 2), (b"\n\n\\.\n\n\n", 2)],
)
def test_rows_of_copy_text(data, rows):
    assert archive.count_lines([data]) == rows
    assert archive.count_lines([data[i : i + 1] for i in range(len(data))]) == rows


@pytest.mark.parametrize("data", [b"", b"a\n", b"a\nb", b"a\n\\.", b"a\\.\n\n"])
def test_data_that_was_cut_off_is_told(data):
    with pytest.raises(EOFError):
        archive.count_lines([data])


def test_a_damaged_file_is_told(tmp_path):
    whole = tmp_path / "1.dat.gz"
    whole.write_bytes(gzip.compress(b"x\n" * 100000 + b"\\.\n\n\n"))
    assert archive.archived_rows(str(whole)) == 100000
    content = whole.read_bytes()
    whole.write_bytes(content[:-9])
    with pytest.raises(OperationError, match="is cut off"):
        archive.archived_rows(str(whole))
    whole.write_bytes(content[:12] + b"\xff" * 30 + content[42:])
    with pytest.raises(OperationError, match="cannot be read"):
        archive.archived_rows(str(whole))
    plain = tmp_path / "2.dat"
    plain.write_bytes(b"x\n\\.\n\n\n")
    assert archive.archived_rows(str(plain)) == 1


def dump(folder, **rows):
    """A dump with these rows of tables; the OID is the number in the name."""
    for name, count in rows.items():
        (folder / f"{name[1:]}.dat.gz").write_bytes(gzip.compress(b"x\n" * count + b"\\.\n\n\n"))
    return archive.Listing("a", "1", 0.0, {int(name[1:]): name[1:] for name in rows})


def test_every_table_has_to_be_in_the_dump_with_its_rows(tmp_path):
    tables = [contents.Table("s", f"t{oid}", oid, "") for oid in (1, 2, 3)]
    counted = {"s.t1": 1, "s.t2": 2, "s.t3": 3}
    listing = dump(tmp_path, t1=1, t2=2, t3=3)
    assert archive.row_problems(str(tmp_path), listing, tables, counted, 2) == []
    assert archive.row_problems(str(tmp_path), listing, tables[:2], counted, 1) == [
        "it holds data of a table with OID 3, which the snapshot does not have"
    ]
    counted = {"s.t1": 0, "s.t2": 9, "s.t3": 3}
    (tmp_path / "3.dat.gz").unlink()
    assert archive.row_problems(str(tmp_path), listing, tables, counted, 2) == [
        "s.t1 has 1 rows in it, and only 0 in the snapshot: it was read from another snapshot",
        "s.t2 has 2 rows in it, and 9 in the snapshot: 7 are lost",
        "the file 3.dat with the data of s.t3 is missing",
    ]
    without = archive.Listing("a", "1", 0.0, {1: "1"})
    assert "s.t2 has no data in it, and 9 rows in the snapshot" in archive.row_problems(
        str(tmp_path), without, tables, counted, 1
    )


def test_large_objects_are_counted_by_their_list(tmp_path):
    (tmp_path / "blobs.toc").write_text("16500 blob_16500.dat\n16501 blob_16501.dat\n")
    listing = archive.Listing("a", "1", 0.0, {})
    assert archive.row_problems(str(tmp_path), listing, [], {contents.LARGE_OBJECTS: 2}, 1) == []
    assert archive.row_problems(str(tmp_path), listing, [], {contents.LARGE_OBJECTS: 3}, 1) == [
        "pg_largeobject has 2 rows in it, and 3 in the snapshot: 1 are lost"
    ]


def test_what_is_written_of_a_dump_under_way_are_its_files(tmp_path):
    assert archive.written(str(tmp_path / "nowhere")) == (0, 0)
    for name, size in {"toc.dat": 7, "3456.dat.gz": 10, "3457.dat": 20, "blob_12.dat.gz": 5, "blobs.toc": 3}.items():
        (tmp_path / name).write_bytes(b"x" * size)
    assert archive.written(str(tmp_path)) == (2, 45)
