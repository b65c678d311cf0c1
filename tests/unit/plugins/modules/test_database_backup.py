# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError
from ansible_collections.openlmis.operations.plugins.modules import database_backup

LISTING = """\
;
; Archive created at 2026-01-02 19:00:00 UTC
;     Format: DIRECTORY
;
215; 1259 16385 TABLE referencedata users postgres
3456; 0 16385 TABLE DATA referencedata users postgres
3457; 0 16390 TABLE DATA public odd name postgres
3300; 2606 16400 CONSTRAINT referencedata users users_pkey postgres
"""


def test_the_listing_tells_where_a_table_s_data_is():
    assert database_backup.parse_listing(LISTING) == {"referencedata.users": "3456", "public.odd name": "3457"}


@pytest.mark.parametrize(
    ("data", "rows"),
    [(b"\\.\n\n\n", 0), (b"a\n\\.\n\n\n", 1), (b"a\tb\\nc\n\\N\n\\.\n", 2)],
)
def test_rows_of_copy_text(data, rows):
    assert database_backup.count_rows([data]) == rows
    assert database_backup.count_rows([data[i : i + 1] for i in range(len(data))]) == rows


@pytest.mark.parametrize("data", [b"", b"a\n", b"a\nb", b"a\n\\.", b"a\\.\n\n"])
def test_data_that_was_cut_off_is_told(data):
    with pytest.raises(OperationError, match="cut off"):
        database_backup.count_rows([data])


def test_a_truncated_file_is_told(tmp_path):
    whole = tmp_path / "1.dat.gz"
    whole.write_bytes(gzip.compress(b"x\n" * 100000 + b"\\.\n\n\n"))
    assert database_backup.read_data(str(whole)) == 100000
    whole.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(EOFError):
        database_backup.read_data(str(whole))


def test_every_table_has_to_be_in_the_archive_with_its_rows():
    counted = {"a.x": 3, "a.y": 1, "a.z": 0}
    assert database_backup.compare(counted, counted) == []
    assert database_backup.compare(counted, {"a.x": 2, "a.y": 1}) == [
        "a.x: 3 rows in the database, 2 in the archive",
        "a.z: 0 rows in the database, no data in the archive",
    ]


def test_password_file_escapes_what_libpq_reads_as_a_separator():
    assert database_backup.passfile_line("po:st", "a:b\\c") == "*:*:*:po\\:st:a\\:b\\\\c\n"
