# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Flyway's histories, read from a database that may be away for a while."""

from __future__ import annotations

from typing import Any, Iterable

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import (
    connect,
    psycopg2,
    resolve_connection,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release.readiness import History

# A component that migrates may hold its history locked; that must not hold the reader.
SESSION = "SET lock_timeout = '3s'; SET statement_timeout = '15s'"
HISTORY = "SELECT version FROM {}.schema_version WHERE success"
BLOCKERS = """
SELECT blocker.pid, max(session.application_name), max(session.state),
       max(coalesce(session.xact_start, session.backend_start)), array_agg(DISTINCT blocked.pid)
FROM pg_stat_activity AS blocked
CROSS JOIN LATERAL unnest(pg_blocking_pids(blocked.pid)) AS blocker (pid)
LEFT JOIN pg_stat_activity AS session ON session.pid = blocker.pid
WHERE blocked.datname = current_database() AND blocked.wait_event_type = 'Lock'
GROUP BY blocker.pid
ORDER BY 4, 1
"""

# By SQLSTATE: what passes by itself, and a privilege that somebody may yet grant. Anything else ends the connection.
PASSING = {
    "42P01": "does not exist yet",
    "3F000": "does not exist yet",
    "55P03": "is locked",
    "57014": "is locked",
    "42501": "may not be read: GRANT USAGE on the schema and SELECT on the table to this login",
}


class Histories:
    """A reader whose connection is made again whenever it was lost; for one thread at a time.

    params: the connection options of the module.
    """

    def __init__(self, params: dict[str, Any], application_name: str) -> None:
        self.params = params
        self.application_name = application_name
        self.connection: Any = None

    def read(self, schemas: Iterable[str]) -> dict[str, History]:
        """By schema, the versions that were applied with success, or in words why they cannot be read now."""
        return {schema: self._history(schema) for schema in schemas}

    def blockers(self) -> list[dict[str, Any]]:
        """The sessions that others wait for, oldest first, without their queries; none when the database is mute."""
        try:
            rows = self._rows(BLOCKERS)
        except (OperationError, psycopg2.Error):
            return []
        return [
            {
                "pid": pid,
                "application_name": name or "",
                "state": state or "unknown",
                "since": since.isoformat(timespec="seconds") if since else "",
                "blocks": sorted(blocks),
            }
            for pid, name, state, since, blocks in rows
        ]

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def _history(self, schema: str) -> History:
        try:
            return frozenset(version for (version,) in self._rows(HISTORY, schema))
        except psycopg2.Error as error:
            if error.pgcode in PASSING:
                return PASSING[error.pgcode]
            self.close()
            return "cannot be read: the connection to the database was lost"
        except OperationError as error:
            return f"cannot be read: {error}"

    def _rows(self, query: str, *identifiers: str) -> list[tuple]:
        if self.connection is None:
            # Resolved each time: a container that was started again may have another address.
            self.connection = connect(resolve_connection(self.params), self.application_name, autocommit=True)
            with self.connection.cursor() as cursor:
                cursor.execute(SESSION)
        quoted = [psycopg2.extensions.quote_ident(name, self.connection) for name in identifiers]
        with self.connection.cursor() as cursor:
            cursor.execute(query.format(*quoted))
            return cursor.fetchall()
