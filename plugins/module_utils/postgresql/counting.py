# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database holds at the end of an upgrade, as far as it can be counted while users wait."""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple

from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import contents
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import psycopg2

PAGES = "SELECT oid::bigint, relpages FROM pg_class WHERE relkind = 'r'"
LARGE_OBJECTS = "SELECT count(*) FROM pg_largeobject_metadata"
# Other programs than Flyway keep a table of this name, too.
HISTORIES = """
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'schema_version' AND c.relkind = 'r' AND (
  SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
  AND (a.attname,
    a.atttypid::regtype::text) IN (('version', 'character varying'), ('type', 'character varying'), ('success',
      'boolean'),
    ('installed_rank', 'integer'))) = 4 ORDER BY 1
"""


class Count(NamedTuple):
    """The rows of each table, and the tables that could not be counted in time."""

    rows: Dict[str, int]
    uncounted: List[str]


def histories(cursor: Any) -> Dict[str, List[str]]:
    """Return the migrations in the Flyway history of every schema that has one."""
    cursor.execute(HISTORIES)
    found = {}
    for (schema,) in cursor.fetchall():
        cursor.execute(
            f"SELECT version FROM {contents.quoted(schema, 'schema_version')} WHERE success AND type <> 'SCHEMA' ORDER"
            " BY installed_rank"
        )
        found[schema] = [row[0] for row in cursor.fetchall()]
    return found


def count_within(cursor: Any, seconds: float) -> Count:
    """Return what C(contents.count_rows) does, as far as so many seconds allow: the smallest tables first, the largest
    are left out.

    The connection must be in autocommit: a table that cannot be counted ends no other's count.
    """
    until = time.monotonic() + seconds
    contents.fix_settings(cursor)
    # Who holds one table must not cost the time for all others.
    cursor.execute("SELECT set_config('lock_timeout', '3s', false)")
    cursor.execute(PAGES)
    pages = dict(cursor.fetchall())
    smallest_first = sorted(contents.tables(cursor), key=lambda table: (pages.get(table.oid, 0), table.key()))
    statements = {contents.LARGE_OBJECTS: LARGE_OBJECTS, **{table.key(): table.counting() for table in smallest_first}}
    rows: Dict[str, int] = {}
    uncounted: List[str] = []
    for key, statement in statements.items():
        left = int((until - time.monotonic()) * 1000)
        if left <= 0:
            uncounted.append(key)
            continue
        try:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (str(left),))
            cursor.execute(statement)
            rows[key] = cursor.fetchone()[0]
        except psycopg2.Error:
            uncounted.append(key)
    if not rows.get(contents.LARGE_OBJECTS):
        rows.pop(contents.LARGE_OBJECTS, None)
    return Count(rows, sorted(uncounted))
