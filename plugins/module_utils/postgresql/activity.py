# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether anybody has written to a database since a baseline, table by table.

PostgreSQL's statistics say where to look; the transaction ids of the rows there say what was written. The statistics
alone would not do: a session reports what it did only at its next transaction, so that they may count what came before
the baseline.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.contents import quoted

COUNTERS = """
SELECT schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables
WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1, 2
"""
# The oldest transaction that may still write: rows of it and of every later one are younger than the baseline.
PLACE = """
SELECT d.oid::bigint, s.stats_reset::text, txid_snapshot_xmin(txid_current_snapshot())
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database()
"""
YOUNGER = "SELECT count(*) FROM ONLY {} WHERE age(xmin) <= age(%s::text::xid)"
NAMED = 20


class Growth(NamedTuple):
    """What the statistics say of one table since the baseline: writes of any kind, and rows deleted."""

    written: int
    deleted: int


def baseline(cursor: Any) -> Dict[str, Any]:
    """Return what later activity can be told by; the connection must be in a transaction of its own."""
    cursor.execute(PLACE)
    oid, reset, transaction = cursor.fetchone()
    cursor.execute(COUNTERS)
    counters = {f"{schema}.{table}": list(numbers) for schema, table, *numbers in cursor.fetchall()}
    return {"oid": oid, "stats_reset": reset, "transaction": transaction, "counters": counters}


def unknown(before: Optional[Mapping[str, Any]], now: Mapping[str, Any]) -> str:
    """Return why it cannot be told what was written since the baseline; empty when it can."""
    if not before:
        return "there is no baseline from before users were let in"
    if before["oid"] != now["oid"]:
        return "the database is not the one that the baseline was taken of"
    if before["stats_reset"] != now["stats_reset"]:
        return "its statistics have been reset since"
    for table, numbers in before["counters"].items():
        if any(later < earlier for earlier, later in zip(numbers, now["counters"].get(table, (0, 0, 0)))):
            return f"its statistics of {table} count less than before: the table or the statistics were lost"
    return ""


def grown(before: Mapping[str, Any], now: Mapping[str, Any]) -> Dict[str, Growth]:
    """Return the tables whose counters are higher than in the baseline."""
    found = {}
    for table, numbers in now["counters"].items():
        more = [later - earlier for earlier, later in zip(before["counters"].get(table, (0, 0, 0)), numbers)]
        if any(more):
            found[table] = Growth(sum(more), more[2])
    return found


def since(cursor: Any, before: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """Return C(unknown), why it cannot be told, and C(tables), what was written in each: rows and how many were
    deleted.
    """
    now = baseline(cursor)
    reason = unknown(before, now)
    tables: Dict[str, Dict[str, int]] = {}
    for table, growth in grown(before, now).items() if before and not reason else ():
        cursor.execute(YOUNGER.format(quoted(*table.split(".", 1))), (before["transaction"] % 2**32,))
        (rows,) = cursor.fetchone()
        if rows or growth.deleted:
            tables[table] = {"rows": rows, "deleted": growth.deleted}
    return {"unknown": reason, "tables": tables}


def described(tables: Mapping[str, Mapping[str, int]]) -> List[str]:
    """Return one phrase for each table that was written to, the busiest first."""
    ordered = sorted(tables.items(), key=lambda item: (-item[1]["rows"] - item[1]["deleted"], item[0]))
    said = [
        f"{name}: "
        + ", ".join(
            [f"{one['rows']} row{'s' if one['rows'] != 1 else ''} written"] * bool(one["rows"])
            + [f"{one['deleted']} deleted"] * bool(one["deleted"])
        )
        for name, one in ordered[:NAMED]
    ]
    return said + ([f"and {len(ordered) - NAMED} more tables"] if len(ordered) > NAMED else [])
