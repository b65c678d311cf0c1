# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only the check asks the database. Nothing is changed, and no personal datum is in the result."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database

NAME = "openlmis.operations upgrade_check"

FOREIGN_TABLES = """
SELECT pg_get_userbyid(c.relowner), n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n
  ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relkind = 'r' AND NOT pg_has_role(current_user, c.relowner, 'USAGE') ORDER BY 1, 2
"""
UNREADABLE_TABLES = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
AND NOT (has_schema_privilege(current_user, n.oid, 'USAGE') AND has_table_privilege(current_user, c.oid, 'SELECT'))
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.deptype = 'e') ORDER BY 1
"""
LONG_TRANSACTIONS = """
SELECT coalesce(nullif(application_name, ''), 'a session'), usename::text, extract(epoch
  FROM now() - xact_start)::int FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - interval '5 minutes'
UNION ALL SELECT 'prepared transaction ' || gid, owner::text, extract(epoch FROM now() - prepared)::int
  FROM pg_prepared_xacts
WHERE database = current_database() ORDER BY 3 DESC
"""
DUPLICATE_PAIRS = """
SELECT orderableid::text, programid::text FROM referencedata.program_orderables WHERE active
  GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 5
"""
CLASHING_AUTH_USERS = """
SELECT count(*) FROM auth.auth_users a JOIN auth.auth_users b ON a.referencedatauserid = b.id AND a.id <> b.id
"""
TRANSFER_HOSTS = """
SELECT DISTINCT serverhost FROM fulfillment.transfer_properties
WHERE coalesce(serverhost, '') NOT IN ('', 'localhost', '127.0.0.1', 'ftp')
  AND serverhost NOT LIKE '%%.invalid' ORDER BY 1
"""
DIFFERING_DETAILS = """
SELECT count(*) FROM referencedata.users u JOIN notification.user_contact_details d ON d.referencedatauserid = u.id
WHERE coalesce(nullif(trim(u.email), ''), '') <> coalesce(d.email, '')
"""
# What a rollback needs besides: a second database, which takes the first one's name.
WAY_BACK = """
SELECT r.rolsuper OR r.rolcreatedb, r.rolsuper OR pg_has_role(current_user,
  d.datdba, 'MEMBER'), pg_get_userbyid(d.datdba)
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user
"""
HAS_COLUMN = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"


# The options that name a database by themselves.
NAMING = (
    "settings_file",
    "database_url",
    "login_host",
    "login_port",
    "login_db",
    "login_unix_socket",
    "connect_params",
)


def named_otherwise(params: Mapping[str, Any], seen: server.Look, facts: Mapping[str, Any]) -> Dict[str, Any]:
    """Tell whether the database that options name is the one that the components are given.

    C(options) are those that name it, C(same) is None where nobody can tell, C(rendered) says which one the components
    are given.
    """
    options = [one for one in NAMING if params.get(one)]
    if not options or facts["database"]["error"]:
        return {"options": options, "same": None if options else True, "rendered": ""}
    here = facts["database"]
    try:
        given = database.resolve_connection({**params, **dict.fromkeys(NAMING)}, seen.services)
        told = f"{given.database} at {given.where()}"
        if (given.host, given.port, given.database) == (here["host"], here["port"], here["name"]):
            return {"options": options, "same": True, "rendered": told}
        with database.session(given, NAME, "While the components' database was looked at", autocommit=True) as one:
            cursor = one.cursor()
            cursor.execute("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
            oid, system = cursor.fetchone()[0], database.system_identifier(cursor)
    except OperationError as error:
        return {"options": options, "same": None, "rendered": str(error)}
    same = oid == here["oid"] and (system == here["system_identifier"] if system else None)
    return {"options": options, "same": same, "rendered": told}


def database_facts(params: Mapping[str, Any], seen: server.Look, facts: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what only the check asks the database; nothing of one that does not answer."""
    if facts["database"]["error"]:
        return {}
    settings = database.resolve_connection(dict(params), seen.services)
    with database.session(settings, NAME, "While the server was checked", autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute(server.SESSION)
        return _query(cursor, [one["schema"] for one in facts["components"] if one["schema"]])


def _query(cursor: Any, schemas: Sequence[str]) -> Dict[str, Any]:
    def rows(sql: str, *values: Any) -> List[tuple]:
        cursor.execute(sql, values)
        return cursor.fetchall()

    def has(table: str, column: str) -> bool:
        return bool(rows(HAS_COLUMN, table, column))

    foreign: Dict[str, List[str]] = {}
    for owner, table in rows(FOREIGN_TABLES, list(schemas)):
        foreign.setdefault(owner, []).append(table)
    may_create, owns, owner = rows(WAY_BACK)[0]
    found: Dict[str, Any] = {
        "way_back": {"may_create_database": may_create, "owns_database": owns, "owner": owner},
        "foreign_tables": foreign,
        "unreadable_tables": [table for (table,) in rows(UNREADABLE_TABLES)],
        "long_transactions": [
            {"what": what, "user": user, "seconds": seconds} for what, user, seconds in rows(LONG_TRANSACTIONS)
        ],
    }
    # A table that may not be read is named above already.
    readable = {"auth", "fulfillment", "referencedata", "notification"} - {
        table.partition(".")[0] for table in found["unreadable_tables"]
    }
    if "referencedata" in readable and has("referencedata.program_orderables", "active"):
        found["duplicate_pairs"] = rows(DUPLICATE_PAIRS)
    if "auth" in readable and has("auth.auth_users", "referencedatauserid"):
        found["clashing_auth_users"] = rows(CLASHING_AUTH_USERS)[0][0]
    if "fulfillment" in readable and has("fulfillment.transfer_properties", "serverhost"):
        found["transfer_hosts"] = [host for (host,) in rows(TRANSFER_HOSTS)]
    if {"referencedata", "notification"} <= readable and has("notification.user_contact_details", "email"):
        found["differing_details"] = rows(DIFFERING_DETAILS)[0][0]
    return found
