# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.report import report_files

STEP = {
    "step": "pull",
    "phase": "upgrade",
    "started": "2026-01-02T19:00:00.000",
    "finished": "2026-01-02T19:00:01.000",
    "data": {},
}
JOURNAL = {
    "run_id": "20260102T190000Z",
    "started": STEP["started"],
    "finished": None,
    "outcome": None,
    "phase": "upgrade",
    "holder": {},
    "steps": [STEP],
    "run": {"from": "3.3.1", "to": "3.4.0"},
}
PARAMS = {
    "name": "lmis",
    "project": None,
    "base_url": None,
    "phase": "upgrade",
    "server": {},
    "finding": "no room",
    "commands": {},
}


def test_a_run_has_a_page_a_document_and_what_was_shown(tmp_path):
    dest = tmp_path / "state"
    made = report_files.make(JOURNAL, PARAMS, str(dest), ["FAILED    as said"])
    assert (made["run"], made["html"], made["json"]) == (
        JOURNAL["run_id"],
        *(f"{dest}/report-{JOURNAL['run_id']}.{kind}" for kind in ("html", "json")),
    )
    assert (dest / "report.txt").read_text().splitlines() == made["lines"]
    assert json.loads((dest / f"report-{made['run']}.json").read_text())["failure"]["finding"] == "no room"
    assert "FAILED    as said" in made["lines"]
    assert {entry.stat().st_mode & 0o777 for entry in dest.iterdir()} == {0o600}


def test_the_backup_is_told_by_its_manifest(tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "manifest.json").write_text(
        json.dumps({"sizes": {"globals.sql": 5}, "checksums": {"globals.sql": "ab"}, "tables": {}})
    )
    backup = {**STEP, "step": "backup", "data": {"dest": str(folder)}}
    report = report_files.report_of({**JOURNAL, "steps": [STEP, backup]}, PARAMS)
    assert report["backup"]["folder"] == str(folder)
    assert report["backup"]["manifest_sha256"] == report_files.disk.checksum(str(folder / "manifest.json"))
    (folder / "manifest.json").unlink()
    assert report_files.report_of({**JOURNAL, "steps": [STEP, backup]}, PARAMS)["backup"]["folder"] == str(folder)


def test_without_a_run_there_is_no_file_and_what_failed_is_said(tmp_path):
    made = report_files.make(None, PARAMS, str(tmp_path / "state"), ["Stopped"])
    assert made == {"lines": ["Stopped"], "run": None, "html": None, "json": None}
    assert not (tmp_path / "state").exists()


def test_a_report_that_cannot_be_written_is_still_told(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(OperationError, match=r"The report cannot be written to .*state \(File exists\)") as failed:
        report_files.make(JOURNAL, PARAMS, str(tmp_path / "state"), ["FAILED    as said"])
    assert "FAILED    as said" in failed.value.facts["lines"]
