# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a report."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.report import report as reports
from ansible_collections.openlmis.operations.plugins.module_utils.report import report_html, report_text


def report_of(journal: journals.Journal, params: Mapping[str, Any]) -> reports.Report:
    """Return the report; the backup's manifest is read where the journal says that the backup is."""
    folder = (reports.backup(journal, {}, None) or {}).get("folder")
    manifest = os.path.join(folder, backups.MANIFEST) if folder else None
    told = {
        "now": datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds"),
        "checksum": disk.checksum(manifest) if manifest and os.path.isfile(manifest) else None,
        **{key: params[key] for key in ("name", "project", "base_url", "phase", "commands")},
        "finding": journals.plain(params["finding"] or ""),
    }
    return reports.build(journal, disk.load(manifest) if manifest else {}, params["server"], told)


def write(dest: str, report: reports.Report, lines: list) -> Dict[str, str]:
    """Write the report's files and return those that are fetched."""
    os.makedirs(dest, mode=0o700, exist_ok=True)
    base = os.path.join(dest, f"report-{report['run']}")
    disk.write(f"{base}.json", report)
    disk.write_text(f"{base}.html", report_html.page(report))
    disk.write_text(os.path.join(dest, "report.txt"), "\n".join([*lines, ""]))
    return {"html": f"{base}.html", "json": f"{base}.json"}


def make(
    journal: Optional[journals.Journal], params: Mapping[str, Any], dest: str, failure: List[str]
) -> Dict[str, Any]:
    """Write the report of the journal's run; return its C(lines), and C(run), C(html) and C(json), None without a run.

    C(failure) is what is said after a failure. Raises OperationError, with the lines as facts, when nothing can be
    written.
    """
    if journal is None:
        return {"lines": failure, "run": None, "html": None, "json": None}
    report = report_of(journal, params)
    lines = report_text.lines(report, failure)
    try:
        return {"lines": lines, "run": report["run"], **write(dest, report, lines)}
    except OSError as error:
        raise OperationError(
            f"The report cannot be written to {dest} ({error.strerror}); room and the right to write there are"
            " expected. Nothing else depends on it. Make room, or set openlmis_state_dir to another directory.",
            lines=lines,
        ) from error
