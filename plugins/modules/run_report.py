#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_report
short_description: Write the report of a run as HTML and as JSON
version_added: "0.1.0"
description:
  - Makes one report of a run's journal, the manifest of its backup, and a look at the server, whether the run has upgraded the
    server, has taken it back, or has failed.
  - Writes it to O(dest) as one HTML file that needs nothing else, as JSON with the same content, and as the table that a terminal
    shows, mode 0600. docs/report.md describes the JSON document.
  - No e-mail address, telephone number or password is in it. Users are named by id only.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  path:
    description: The journal's file. Without a journal there is no report.
    type: path
    required: true
  dest:
    description: Directory for the files.
    type: path
    required: true
  name:
    description: The server's name in the inventory.
    type: str
    required: true
  project:
    description: Name of the Compose project.
    type: str
  base_url:
    description: Address at which users reach the server.
    type: str
  phase:
    description: Which way the playbook goes that reports.
    type: str
    choices: [upgrade, rollback]
    default: upgrade
  server:
    description: What M(openlmis.operations.server_info) found at the end; none when it could not look.
    type: dict
    default: {}
  finding:
    description: Why the run failed.
    type: str
  failure_lines:
    description: What is said of the failure, RV(openlmis.operations.run_journal#module:lines); they come below the table of steps.
    type: list
    elements: str
    default: []
  commands:
    description: The commands to go on and to roll back.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Nothing is written; RV(lines) are returned.
    support: full
  diff_mode:
    description: A report is no configuration to compare.
    support: none
seealso:
  - module: openlmis.operations.run_journal
"""

EXAMPLES = r"""
- name: Report
  openlmis.operations.run_report:
    path: /var/lib/openlmis-operations/journal.json
    dest: /var/lib/openlmis-operations
    name: "{{ inventory_hostname }}"
    server: "{{ look.server }}"
  register: report

- name: Show it
  openlmis.operations.show:
    lines: "{{ report.lines }}"
"""

RETURN = r"""
lines:
  description: The report as a table for a terminal. Also returned when the files cannot be written.
  returned: always
  type: list
  elements: str
run:
  description: The run's id, none without a journal.
  returned: success
  type: str
html:
  description: The HTML file; none without a journal.
  returned: success
  type: str
  sample: /var/lib/openlmis-operations/report-20260102T190000Z.html
json:
  description: The JSON file; none without a journal.
  returned: success
  type: str
  sample: /var/lib/openlmis-operations/report-20260102T190000Z.json
"""

import os
from datetime import datetime, timezone
from typing import Any, Dict, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import backups, report_html, report_text
from ansible_collections.openlmis.operations.plugins.module_utils import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils import report as reports
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError


def report_of(journal: journals.Journal, params: Mapping[str, Any]) -> reports.Report:
    """Return the report; the backup's manifest is read where the journal says that the backup is."""
    folder = (reports.backup(journal, {}, None) or {}).get("folder")
    manifest = os.path.join(folder, backups.MANIFEST) if folder else None
    told = {
        "now": datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds"),
        "checksum": backups.checksum(manifest) if manifest and os.path.isfile(manifest) else None,
        **{key: params[key] for key in ("name", "project", "base_url", "phase", "commands")},
        "finding": journals.plain(params["finding"] or ""),
    }
    return reports.build(journal, backups.load(manifest) if manifest else {}, params["server"], told)


def write(dest: str, report: reports.Report, lines: list) -> Dict[str, str]:
    """Write the report's files and return those that are fetched."""
    os.makedirs(dest, mode=0o700, exist_ok=True)
    base = os.path.join(dest, f"report-{report['run']}")
    backups.write(f"{base}.json", report)
    backups.write_text(f"{base}.html", report_html.page(report))
    backups.write_text(os.path.join(dest, "report.txt"), "\n".join([*lines, ""]))
    return {"html": f"{base}.html", "json": f"{base}.json"}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "project": {"type": "str"},
            "base_url": {"type": "str"},
            "phase": {"type": "str", "choices": ["upgrade", "rollback"], "default": "upgrade"},
            "server": {"type": "dict", "default": {}},
            "finding": {"type": "str"},
            "failure_lines": {"type": "list", "elements": "str", "default": []},
            "commands": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params, lines = module.params, list(module.params["failure_lines"])
    try:
        journal, damaged = journals.load(params["path"])
        if damaged:
            raise OperationError(damaged)
        if journal is None:
            module.exit_json(changed=False, lines=lines, run=None, html=None, json=None)
        report = report_of(journal, params)
        lines = report_text.lines(report, params["failure_lines"])
        written = {"html": None, "json": None} if module.check_mode else write(params["dest"], report, lines)
        module.exit_json(changed=True, lines=lines, run=report["run"], **written)
    except OperationError as error:
        module.fail_json(msg=str(error), lines=lines)
    except OSError as error:
        module.fail_json(
            msg=f"The report cannot be written to {params['dest']} ({error.strerror}); room and the right to write there are expected."
            " Nothing else depends on it. Make room, or set openlmis_state_dir to another directory.",
            lines=lines,
        )


if __name__ == "__main__":
    main()
