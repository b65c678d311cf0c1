# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database has seen until now, noted before users work in it."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import activity, counting, database

NAME = "openlmis.operations maintenance_off"


def count(settings: database.ConnectionSettings, seconds: int) -> Dict[str, Any]:
    """Count what can be counted in so many seconds, over a connection of its own, which keeps the settings that this
    needs.
    """
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


def note(params: Mapping[str, Any], dest: str, seconds: int, replace: bool) -> Dict[str, Any]:
    """Write down what the database has seen until now (C(dest), replaced only with C(replace)); return the rows,
    counted in so many seconds.

    Raises OperationError when the database does not answer or the file cannot be written.
    """
    settings = database.resolve_connection(dict(params))
    counted = count(settings, seconds) if seconds else {"count_timeout": 0}
    with database.session(settings, NAME, "While the database's activity was read") as connection:
        baseline = activity.baseline(connection.cursor())
    if replace or not os.path.exists(dest):
        try:
            disk.write(dest, baseline)
        except OSError as error:
            raise OperationError(
                f"{dest} cannot be written ({error.strerror}); room and the right to write are expected. Fix that and"
                " run again."
            ) from error
    return counted
