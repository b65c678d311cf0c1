# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.backup import dumps
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

TEXT = b"--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n--\n-- PostgreSQL database dump complete\n--\n\n"
CLUSTER = b"--\n-- PostgreSQL database cluster dump\n--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"
NEWER = (
    b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n--\n-- PostgreSQL database dump"
    b" complete\n--\n\n\\unrestrict abc\n\n"
)


def file(tmp_path, content):
    path = tmp_path / "dump"
    path.write_bytes(content)
    return str(path)


def archive():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("toc.dat"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PGDMP\x01\x0d", dumps.CUSTOM),
        (archive(), dumps.TAR),
        (TEXT, dumps.PLAIN),
        (CLUSTER, dumps.PLAIN),
        (NEWER, dumps.PLAIN),
        (gzip.compress(TEXT, mtime=0), dumps.PLAIN_GZIP),
    ],
)
def test_a_file_s_kind_is_told_by_its_beginning(tmp_path, content, kind):
    dump = dumps.look(file(tmp_path, content))
    assert dump.kind == kind
    assert dump.size == (len(TEXT) if kind == dumps.PLAIN_GZIP else len(content))
    assert dump.archive() == dump.path


def test_folders(tmp_path):
    with pytest.raises(OperationError, match=r"neither manifest.json nor toc.dat"):
        dumps.look(str(tmp_path))
    (tmp_path / "toc.dat").write_bytes(b"PGDMP")
    assert dumps.look(str(tmp_path)).kind == dumps.DIRECTORY
    manifest = {"format": 1, "checksums": {}, "sizes": {"database/1.dat": 7, "files/.env": 5}, "tables": {}, "run": "r"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    dump = dumps.look(str(tmp_path))
    assert (dump.kind, dump.size, dump.archive()) == (dumps.BACKUP, 7, str(tmp_path / "database"))
    assert dump.told()["manifest"] == {"run": "r", "tables": {}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not begin as a dump does"),
        (b"select 1;", "does not begin as a dump does"),
        (TEXT[:60], "is cut off"),
        (gzip.compress(TEXT[:60], mtime=0), "is cut off"),
        (gzip.compress(TEXT, mtime=0)[:-10], "is cut off or damaged"),
        (gzip.compress(b"PGDMP", mtime=0), "unpack it"),
    ],
)
def test_what_is_no_whole_dump_is_refused(tmp_path, content, words):
    with pytest.raises(OperationError, match=words):
        dumps.look(file(tmp_path, content))


def test_what_is_not_there_and_a_backup_without_its_database(tmp_path):
    with pytest.raises(OperationError, match="cannot be read: No such file"):
        dumps.look(str(tmp_path / "nothing"))
    (tmp_path / "draft.json").write_text("{}")
    with pytest.raises(OperationError, match="there is no manifest.json"):
        dumps.look(str(tmp_path))
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "checksums": {}, "sizes": {}}))
    with pytest.raises(OperationError, match="by the site itself"):
        dumps.look(str(tmp_path))
