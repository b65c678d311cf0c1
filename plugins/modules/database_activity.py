#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_activity
short_description: Tell what was written to a database since a baseline
version_added: "0.1.0"
description:
  - Without O(baseline) it returns one. Take it when nobody works yet, such as at the end of an upgrade before users are let in.
  - With it, it tells for each table how many rows were written and deleted since. Going back to a backup would lose them.
  - PostgreSQL's statistics say in which tables to look. Where they were reset or lost, RV(unknown) says so; take that for a yes.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
options:
  baseline:
    description: What an earlier call returned as RV(baseline).
    type: dict
  count_within:
    description:
      - Seconds in which to count the rows of every table, too, for the report of an upgrade. None are counted with V(0).
      - The smallest tables come first, so that what there is no time for are the largest ones. This never fails.
    type: int
    default: 0
  dest:
    description: File to keep RV(baseline) in, as JSON that only its owner may read. Nothing is written when it is not given.
    type: path
  replace:
    description: Whether a file that is at O(dest) already is replaced.
    type: bool
    default: true
requirements:
  - psycopg2 (Python package)
attributes:
  check_mode:
    description: Nothing is written.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
seealso:
  - module: openlmis.operations.database_restore
"""

EXAMPLES = r"""
- name: What the database has seen before users come in
  openlmis.operations.database_activity:
    settings_file: /opt/openlmis/settings.env
    project_src: /opt/openlmis
    dest: /var/lib/openlmis-operations/activity.json
  register: before

- name: Have users worked since?
  openlmis.operations.database_activity:
    settings_file: /opt/openlmis/settings.env
    project_src: /opt/openlmis
    baseline: "{{ before.baseline }}"
  register: since
"""

RETURN = r"""
baseline:
  description: What the database has seen until now.
  returned: success
  type: dict
unknown:
  description: Why it cannot be told what was written since O(baseline); empty when it can.
  returned: with O(baseline)
  type: str
tables:
  description: The tables that were written to since O(baseline).
  returned: with O(baseline)
  type: dict
  sample: {"requisition.requisitions": {"rows": 3, "deleted": 0}}
count:
  description: The rows of every table, what could not be counted within O(count_within), the schemas' histories, and how long it took.
  returned: with O(count_within)
  type: dict
  sample:
    rows: {"requisition.requisitions": 1204}
    uncounted: []
    histories: {"requisition": ["20180706200019454"]}
    count_seconds: 0.2
    count_timeout: 30
lines:
  description: The same in words.
  returned: with O(baseline)
  type: list
  elements: str
  sample: ["requisition.requisitions: 3 rows written"]
"""

import os
import time
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import activity, backups, counting, database
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError, leave

NAME = "openlmis.operations database_activity"


def count(settings: database.ConnectionSettings, seconds: int) -> Dict[str, Any]:
    """Count what can be counted in so many seconds, over a connection of its own, which keeps the settings that this needs."""
    begun = time.monotonic()
    found: Dict[str, Any] = {"rows": {}, "uncounted": [], "histories": {}}
    try:
        connection = database.connect(settings, NAME, autocommit=True)
    except OperationError:
        return {**found, "count_seconds": None, "count_timeout": seconds}
    try:
        with connection.cursor() as cursor:
            found["histories"] = counting.histories(cursor)
            counted = counting.count_within(cursor, seconds)
            found.update(rows=counted.rows, uncounted=counted.uncounted)
    except database.psycopg2.Error:
        # What is asked for next says what is wrong with the database; a count is no reason to keep users out.
        pass
    finally:
        connection.close()
    return {**found, "count_seconds": round(time.monotonic() - begun, 1), "count_timeout": seconds}


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec.update(
        baseline={"type": "dict"},
        count_within={"type": "int", "default": 0},
        dest={"type": "path"},
        replace={"type": "bool", "default": True},
    )
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    database.require_psycopg2(module)
    try:
        settings = database.resolve_connection(module.params)
        result = {}
        if module.params["count_within"]:
            result["count"] = count(settings, module.params["count_within"])
        connection = database.connect(settings, NAME)
    except OperationError as error:
        module.fail_json(msg=str(error))
    dest = module.params["dest"]
    try:
        with connection.cursor() as cursor:
            if module.params["baseline"]:
                result.update(activity.since(cursor, module.params["baseline"]))
                result["lines"] = activity.described(result["tables"])
            result["baseline"] = activity.baseline(cursor)
    except database.psycopg2.Error as error:
        module.fail_json(
            msg=str(database.database_error(error, settings, "While the database's activity was read", "Nothing was changed"))
        )
    finally:
        connection.close()
    written = bool(dest) and (module.params["replace"] or not os.path.exists(dest))
    try:
        if written and not module.check_mode:
            backups.write(dest, result["baseline"])
    except OSError as error:
        module.fail_json(msg=f"{dest} cannot be written ({error.strerror}); room and the right to write are expected. Mend that and run again.")
    leave(module, changed=written, **result)


if __name__ == "__main__":
    main()
