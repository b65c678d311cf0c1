# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database holds: its tables, their rows, and a hash of their content that two databases can be compared by.

Counted is what C(pg_dump) writes as data: ordinary tables, unlogged ones and partitions included, each without those
that inherit from it; of an extension's tables only the rows that the extension marks as the site's own; large objects.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

LARGE_OBJECTS = "pg_catalog.pg_largeobject"

# A row's text must not depend on who reads it; pg_dump fixes the same settings. row_security: rather an error than
# hidden rows.
SETTINGS = {
    "search_path": "pg_catalog",
    "row_security": "off",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "quote_all_identifiers": "off",
    "statement_timeout": "0",
    # The transaction that holds a snapshot has nothing to do while others read from it.
    "idle_in_transaction_session_timeout": "0",
}
TABLES = """
SELECT n.nspname, c.relname, c.oid::bigint, coalesce(x.condition, '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT unnest(extconfig) AS table_oid, unnest(extcondition) AS condition FROM pg_extension) x
  ON x.table_oid = c.oid
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
AND (x.table_oid IS NOT NULL OR NOT EXISTS (
  SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
ORDER BY 1, 2
"""
# By the statistics, which ask for no lock: while pg_restore adds a primary key, the table's size would be waited for.
RESTORED = "SELECT count(*), pg_database_size(current_database()) FROM pg_stat_user_tables WHERE n_tup_ins > 0"
SEQUENCES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.deptype = 'e')
ORDER BY 1, 2
"""


class Table(NamedTuple):
    """A table whose rows are dumped; ``condition`` is the WHERE clause that an extension puts on its own table."""

    schema: str
    name: str
    oid: int
    condition: str

    def key(self) -> str:
        """Its name as results and manifests have it."""
        return f"{self.schema}.{self.name}"

    def counting(self) -> str:
        """Return the statement that counts its rows as they are dumped."""
        return f"SELECT count(*) FROM ONLY {quoted(self.schema, self.name)} {self.condition}"


def quoted(*names: str) -> str:
    """Return an identifier in quotes, qualified by those before it."""
    return ".".join('"{}"'.format(name.replace('"', '""')) for name in names)


def fix_settings(cursor: Any) -> None:
    """Give the session the settings under which contents are compared; they stay, and objects must be named with their
    schema.
    """
    cursor.execute("SELECT " + ", ".join(["set_config(%s, %s, false)"] * len(SETTINGS)), sum(SETTINGS.items(), ()))


def tables(cursor: Any) -> List[Table]:
    """Return every table whose rows are dumped, by schema and name."""
    cursor.execute(TABLES)
    return [Table(*row) for row in cursor.fetchall()]


def untold(_table: str) -> None:
    """Be told of a table that is done, and do nothing."""


def count_rows(cursor: Any, done: Callable[[str], Any] = untold) -> Dict[str, int]:
    """Return the rows of every table, and the number of large objects where there are any, as the transaction sees
    them.

    C(done) is told of each table that has been counted.
    """
    fix_settings(cursor)
    rows = {}
    for table in tables(cursor):
        cursor.execute(table.counting())
        rows[table.key()] = cursor.fetchone()[0]
        done(table.key())
    cursor.execute("SELECT count(*) FROM pg_largeobject_metadata")
    (large_objects,) = cursor.fetchone()
    return {**rows, LARGE_OBJECTS: large_objects} if large_objects else rows


def content_hashes(cursor: Any, done: Callable[[str], Any] = untold) -> Dict[str, str]:
    """Return a hash of the content of every table, of every sequence's value and of all large objects, as the
    transaction sees them.

    Rows may come in any order, and none is held in memory: the hash is their number and the sum of their MD5 hashes.
    C(done) is told of each that has been read.
    """
    fix_settings(cursor)
    texts = {
        table.key(): (
            f"SELECT md5(openlmis_row::text) FROM ONLY {quoted(table.schema, table.name)} openlmis_row"
            f" {table.condition}"
        )
        for table in tables(cursor)
    }
    cursor.execute(SEQUENCES)
    for schema, name in cursor.fetchall():
        texts[f"{schema}.{name}"] = f"SELECT md5(row(last_value, is_called)::text) FROM {quoted(schema, name)}"
    cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_largeobject_metadata)")
    if cursor.fetchone()[0]:
        texts[LARGE_OBJECTS] = "SELECT md5(oid::text || md5(lo_get(oid))) FROM pg_largeobject_metadata"
    hashes = {}
    for key, text in texts.items():
        hashes[key] = _sum(cursor, text)
        done(key)
    return hashes


def _sum(cursor: Any, select: str) -> str:
    # OFFSET 0 keeps the planner from computing each hash twice.
    cursor.execute(
        "SELECT count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0), coalesce(sum(('x' || right(h,"
        f" 16))::bit(64)::bigint), 0) FROM (SELECT md5 AS h FROM ({select} OFFSET 0) rows) hashes"
    )
    rows, high, low = cursor.fetchone()
    return "%d:%016x%016x" % (rows, int(high) % 2**64, int(low) % 2**64)


def restored(cursor: Any, rows: Dict[str, int]) -> str:
    """Say how far the restore of tables with so many rows into this database is: a table counts once its rows are
    committed.
    """
    cursor.execute(RESTORED)
    filled, size = cursor.fetchone()
    wanted = sum(1 for count in rows.values() if count)
    # An extension's own rows are none of the dump's.
    return f"{min(filled, wanted)} of {wanted} tables with rows, {size // 2**20} MiB in the database"


def differences(expected: Dict[str, Any], found: Dict[str, Any]) -> List[str]:
    """Return the keys whose values are not the same, those that only one side has included."""
    return sorted(key for key in set(expected) | set(found) if expected.get(key) != found.get(key))
