# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copy of users' contact details, in one transaction."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any, NamedTuple

from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import (
    ConnectionSettings,
    connect,
    connection_argument_spec,
    database_error,
    resolve_connection,
)

try:
    import psycopg2
    import psycopg2.extensions
except ImportError:
    pass  # require_psycopg2 says so

APPLICATION_NAME = "openlmis.operations.user_contact_details_migration"
SOURCE = "referencedata.users"
TARGET = "notification.user_contact_details"
SOURCE_COLUMNS = ("id", "username", "email", "verified", "allownotify")
TARGET_COLUMNS = ("referencedatauserid", "phonenumber", "allownotify", "email", "emailverified")
SILENCE = 60  # seconds; a client that is silent for so long between two statements has gone, and its lock must go, too
SHOWN_IDS = 100
SHOWN_COLLISIONS = 20

# Character.isWhitespace on Java 8, whose Unicode 6.2 still counts U+180E as a space.
BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \u1680\u180e"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u2028\u2029\u205f\u3000"
)

LOCKING = "While the lock on %s was waited for" % TARGET
ROLLED_BACK = "Nothing was written"
UNKNOWN_OUTCOME = "Either everything or nothing was written; running it again finds out, and completes it"


class Shape(NamedTuple):
    """What the checks found out and the statements depend on."""

    has_phone_number: bool
    emails_unique: bool


class Column(NamedTuple):
    """A column of one of the two tables, as :data:`INSPECT` finds it; one with None where the schema has
    no such table.
    """

    relation_kind: str | None
    name: str | None
    schema_usage: bool
    select: bool | None
    insert: bool | None
    table_update: bool | None
    rows_hidden: bool | None
    unique: bool


class Counts(NamedTuple):
    """Users of the source, and how they compare with the target; ``rows`` are the target's."""

    source: int
    missing: int
    differing: int
    moving: int
    without_email: int
    rows: int


def not_blank(column: str, server_encoding: str) -> tuple[str, str]:
    """An SQL condition that holds when the text in ``column`` is neither NULL nor blank, and its parameter ``blanks``.

    The characters are listed one by one, since what a regular expression's classes or ``trim`` hold depends on the
    locale. A server in SQL_ASCII knows bytes only, so there a pattern of the characters' UTF-8 bytes, as Java reads
    them, has to do.
    """
    # Most texts begin with a visible ASCII character: a look at the first byte saves the rest, which takes far longer.
    visible = "%s::\"char\" BETWEEN '!' AND '~'" % column
    if server_encoding == "SQL_ASCII":
        return "(%s OR %s !~ %%(blanks)s)" % (visible, column), "^(?:%s)*$" % "|".join(BLANKS)
    codec = psycopg2.extensions.encodings.get(server_encoding, "ascii")
    blanks = "".join(one for one in BLANKS if _fits(one, codec))
    return "(%s OR pg_catalog.btrim(%s, %%(blanks)s) <> '')" % (visible, column), blanks


def _fits(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def mapped(shape: Shape, server_encoding: str) -> str:
    """The source as the target should have it: a subquery with the target's column names."""
    phone = "CASE WHEN %s THEN phonenumber END" % not_blank("phonenumber", server_encoding)[0]
    email = not_blank("email", server_encoding)[0]
    return (
        "(SELECT id AS referencedatauserid, %s AS phonenumber, allownotify,"
        " CASE WHEN %s THEN email END AS email, coalesce(%s AND verified, false) AS emailverified FROM %s)"
        % (phone if shape.has_phone_number else "NULL::varchar", email, email, SOURCE)
    )


DIFFERS = "(%s) IS DISTINCT FROM (%s)" % (
    ", ".join("t." + column for column in TARGET_COLUMNS[1:]),
    ", ".join("s." + column for column in TARGET_COLUMNS[1:]),
)


def compare_sql(source: str) -> str:
    """Counts, in the order of :class:`Counts`; one pass over both tables."""
    return (
        "SELECT count(*), count(*) - count(t.referencedatauserid),"
        " count(*) FILTER (WHERE t.referencedatauserid IS NOT NULL AND %s),"
        " count(*) FILTER (WHERE t.email IS NOT NULL AND t.email IS DISTINCT FROM s.email),"
        " count(*) - count(s.email), (SELECT count(*) FROM %s)"
        " FROM %s AS s LEFT JOIN %s AS t USING (referencedatauserid)" % (DIFFERS, TARGET, source, TARGET)
    )


def ids_sql(source: str, which: str) -> str:
    """Ids of users who are ``missing`` in the target, or are there and are ``differing``."""
    condition = (
        "t.referencedatauserid IS NULL" if which == "missing" else "t.referencedatauserid IS NOT NULL AND " + DIFFERS
    )
    return (
        "SELECT s.referencedatauserid::text FROM %s AS s LEFT JOIN %s AS t USING (referencedatauserid)"
        " WHERE %s ORDER BY s.referencedatauserid LIMIT %d" % (source, TARGET, condition, SHOWN_IDS)
    )


def collisions_sql(source: str, update: bool, emails_unique: bool, server_encoding: str) -> str:
    """Pairs of users who would end with the same e-mail address: total, id and username of the one and of the other.

    Who claims an address is a user to be inserted or, with ``update``, to be corrected. The other one holds it in the
    target and, with ``update``, is not going to give it up; or claims it too, which only a source without its unique
    index allows.
    """
    claims = (
        "SELECT s.referencedatauserid AS id, s.email FROM %s AS s LEFT JOIN %s AS t USING (referencedatauserid)"
        " WHERE s.email IS NOT NULL AND (t.referencedatauserid IS NULL%s)"
        % (source, TARGET, " OR t.email IS DISTINCT FROM s.email" if update else "")
    )
    pairs = "SELECT c.id, o.referencedatauserid AS other FROM claim AS c JOIN %s AS o ON o.email = c.email" % TARGET
    if update:
        pairs += (
            " LEFT JOIN %s AS s ON s.referencedatauserid = o.referencedatauserid"
            " WHERE s.referencedatauserid IS NULL OR s.email = c.email" % source
        )
    if not emails_unique:
        pairs += " UNION SELECT c.id, d.id FROM claim AS c JOIN claim AS d ON d.email = c.email AND d.id > c.id"
    # OFFSET 0 keeps the planner from joining all users with their names before it looks who claims anything.
    # convert_to, since a text that is not valid in the client's encoding could not be fetched otherwise
    name = "pg_catalog.convert_to(%%s.username, '%s')" % ("SQL_ASCII" if server_encoding == "SQL_ASCII" else "UTF8")
    return (
        "WITH claim AS (%s OFFSET 0), pair AS (%s OFFSET 0) SELECT count(*) OVER (), p.id::text, %s, p.other::text, %s"
        " FROM pair AS p LEFT JOIN %s AS u ON u.id = p.id LEFT JOIN %s AS v ON v.id = p.other ORDER BY p.id, p.other"
        " LIMIT %d" % (claims, pairs, name % "u", name % "v", SOURCE, SOURCE, SHOWN_COLLISIONS)
    )


def release_sql(source: str) -> str:
    """Take away addresses that will change, for one may pass to another row before its own row is set: the index is
    immediate.
    """
    return (
        "UPDATE %s AS t SET email = NULL FROM %s AS s WHERE s.referencedatauserid = t.referencedatauserid"
        " AND t.email IS NOT NULL AND t.email IS DISTINCT FROM s.email" % (TARGET, source)
    )


def update_sql(source: str) -> str:
    """Set every row that differs to what the source says."""
    return "UPDATE %s AS t SET %s FROM %s AS s WHERE s.referencedatauserid = t.referencedatauserid AND %s" % (
        TARGET,
        ", ".join("%s = s.%s" % (column, column) for column in TARGET_COLUMNS[1:]),
        source,
        DIFFERS,
    )


def insert_sql(source: str) -> str:
    """Add a row for every user who has none."""
    columns = ", ".join(TARGET_COLUMNS)
    return (
        "INSERT INTO %s (%s) SELECT %s FROM %s AS s"
        " WHERE NOT EXISTS (SELECT 1 FROM %s AS t WHERE t.referencedatauserid = s.referencedatauserid)"
        % (TARGET, columns, columns, source, TARGET)
    )


LOCK = "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE" % TARGET


def settings_sql(server_version: int, lock_timeout: int, statement_timeout: int) -> str:
    """The transaction's settings; they take no snapshot, which must not be older than the lock.

    They are sent before the lock and not with it, for before PostgreSQL 11 a time-out holds from the next message on.
    """
    settings = {
        "lock_timeout": "'%ds'" % lock_timeout,
        "statement_timeout": "'%ds'" % statement_timeout,
        "search_path": "pg_catalog",
        "standard_conforming_strings": "on",
        # The planner, taking the target for empty, would let a nested loop scan it anew for every row while it grows.
        "enable_nestloop": "off",
        "work_mem": "'128MB'",  # lets a million users' rows be compared without spilling
        "idle_in_transaction_session_timeout": "'%ds'" % SILENCE,
    }
    if server_version >= 110000:
        settings["jit"] = "off"  # costs more than it saves in statements that run once
    return "; ".join("SET LOCAL %s = %s" % item for item in settings.items())


INSPECT = """
SELECT n.nspname || '.' || w.relation, c.relkind::text, a.attname::text,
  pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
  pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
  pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT'),
  pg_catalog.has_table_privilege(c.oid, 'UPDATE'),
  pg_catalog.row_security_active(c.oid),
  EXISTS (SELECT 1 FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
    AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = 1 AND i.indkey[0] = a.attnum)
FROM (VALUES ('referencedata', 'users'), ('notification', 'user_contact_details')) AS w (schema, relation)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.relation
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
"""

HOLDERS = """
SELECT l.pid, a.application_name, a.usename::text, a.xact_start, l.granted
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND (n.nspname = 'notification' AND c.relname = 'user_contact_details' AND l.mode <> 'AccessShareLock'
    OR n.nspname = 'referencedata' AND c.relname = 'users' AND l.mode = 'AccessExclusiveLock')
ORDER BY l.granted DESC, l.mode = 'RowShareLock', a.xact_start, l.pid
LIMIT 5
"""


def inspect(cursor: Any, settings: ConnectionSettings) -> Shape:
    """Whether both tables are there, as they should be, and may be used; OperationError with the remedy if not."""
    cursor.execute(
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on',"
        " pg_catalog.quote_ident(current_user)"
    )
    standby, read_only, role = cursor.fetchone()
    if read_only:
        raise OperationError(
            "PostgreSQL at %s is read-only (%s). Expected a server that can be written to: %s. Nothing was written."
            % (
                settings.where(),
                "a standby" if standby else "default_transaction_read_only is on",
                "connect to the primary" if standby else "switch that setting off for this role or database",
            )
        )
    cursor.execute(INSPECT)
    tables: dict[str, list[Column]] = {}
    for row in cursor.fetchall():
        tables.setdefault(row[0], []).append(Column(*row[1:]))
    source, target = (tables.get(name, []) for name in (SOURCE, TARGET))
    _require_table(SOURCE, source, settings)
    _require_table(TARGET, target, settings)
    _require_privileges(source, target, role)
    columns = {column.name: column for column in source}
    return Shape("phonenumber" in columns, columns["email"].unique)


def _require_table(name: str, found: list[Column], settings: ConnectionSettings) -> None:
    schema, table = name.split(".")
    if name == TARGET:
        needed: tuple[str, ...] = TARGET_COLUMNS
        remedy = (
            "Expected it from the migrations of notification 4.0.0, which comes with OpenLMIS 3.4.0: start notification"
            " 4.0.0, wait until it answers, and run this again. Nothing was written."
        )
    else:
        needed = SOURCE_COLUMNS
        remedy = (
            "Expected it from the migrations of referencedata 10.0.0, which comes with OpenLMIS 3.3: check that this is"
            " OpenLMIS' database and that referencedata has started on it. Nothing was written."
        )
    place = "the database %s at %s" % (settings.database, settings.where())
    if not found:
        raise OperationError("There is no schema %s in %s. %s" % (schema, place, remedy))
    if found[0].relation_kind is None:
        raise OperationError("There is no table %s in %s. %s" % (name, place, remedy))
    if found[0].relation_kind not in "rp":
        raise OperationError(
            "%s in %s is a view or foreign table. %s" % (name, place, remedy.replace("it", "a table", 1))
        )
    missing = [column for column in needed if column not in {one.name for one in found}]
    if missing:
        raise OperationError(
            "The table %s in %s has no column %s. %s" % (name, place, " and no column ".join(missing), remedy)
        )


def _require_privileges(source: list[Column], target: list[Column], role: str) -> None:
    """OperationError with the GRANT statements that are missing, or when a policy hides rows."""
    grants = [
        "GRANT USAGE ON SCHEMA %s TO %s" % (name.split(".", maxsplit=1)[0], role)
        for name, columns in ((SOURCE, source), (TARGET, target))
        if not columns[0].schema_usage
    ]
    if not all(column.select for column in source if column.name in SOURCE_COLUMNS + ("phonenumber",)):
        grants.append("GRANT SELECT ON %s TO %s" % (SOURCE, role))
    used = [column for column in target if column.name in TARGET_COLUMNS]
    lacking = [
        privilege
        for privilege, granted in (
            ("SELECT", all(column.select for column in used)),
            ("INSERT", all(column.insert for column in used)),
            ("UPDATE", used[0].table_update),  # of the table, not its columns: the lock needs it
        )
        if not granted
    ]
    if lacking:
        grants.append("GRANT %s ON %s TO %s" % (", ".join(lacking), TARGET, role))
    if grants:
        raise OperationError(
            "The database role %s lacks privileges. Expected those that this module's documentation lists: as owner of"
            " the tables run %s; and run this again. Nothing was written." % (role, "; ".join(grants))
        )
    hidden = [name for name, columns in ((SOURCE, source), (TARGET, target)) if columns[0].rows_hidden]
    if hidden:
        raise OperationError(
            "Row-level security hides rows of %s from the role %s. Expected a role that sees all of them: connect as"
            " the tables' owner, or run ALTER ROLE %s BYPASSRLS. Nothing was written."
            % (" and ".join(hidden), role, role)
        )


def user_label(identity: str, username: bytes | None) -> str:
    """A user as a person may be told of: id and username, without a username that is an e-mail address
    or phone number.
    """
    if username is None:
        return "%s (not in %s)" % (identity, SOURCE)
    name = bytes(username).decode("utf-8", "replace")
    if "@" in name or re.search(r"(?:\d[\s().+/-]*){6}", name):
        return identity
    return "%s (%s)" % (identity, name)


class Migration:
    """One run over one connection."""

    def __init__(
        self, connection: Any, settings: ConnectionSettings, params: dict[str, Any], progressing: progress.Progress
    ) -> None:
        self.connection = connection
        self.progress = progressing
        self.settings = settings
        self.update = params["on_existing"] == "update"
        self.lock_timeout = params["lock_timeout"]
        self.statement_timeout = params["statement_timeout"]
        self.encoding = connection.get_parameter_status("server_encoding") or "UTF8"
        self.server_version = (connection.get_parameter_status("server_version") or "unknown").split(" ")[0]
        self.parameters = {"blanks": not_blank("", self.encoding)[1]}
        self.doing = ""
        self.state = ROLLED_BACK
        self.source = ""

    def run(self, check_mode: bool, diff: bool) -> dict[str, Any]:
        """Copy, verify and commit, or roll back in check mode; the module's return values. Raises OperationError."""
        try:
            with self.connection.cursor() as cursor:
                result = self._copy(cursor, diff)
            if not check_mode:
                self.progress.say("committing")
                self._step("While the transaction was committed", UNKNOWN_OUTCOME)
                self.connection.commit()
        except psycopg2.Error as error:
            raise self._explain(error) from None
        finally:
            self._rollback()  # at once, not when the server notices that this client has gone
        return result

    def _step(self, doing: str, state: str = ROLLED_BACK) -> None:
        self.doing, self.state, self.began = doing, state, time.monotonic()

    def _copy(self, cursor: Any, diff: bool) -> dict[str, Any]:
        self.progress.say("waiting until nobody writes to %s" % TARGET)
        self._step(LOCKING)
        cursor.execute(settings_sql(self.connection.server_version, self.lock_timeout, self.statement_timeout))
        cursor.execute(LOCK)
        self._step("While the tables were checked")
        shape = inspect(cursor, self.settings)
        self.source = mapped(shape, self.encoding)
        self.progress.say("comparing users")
        self._step("While the users were compared")
        before = self._compare(cursor)
        missing = self._ids(cursor, "missing") if diff and before.missing else []
        differing = self._ids(cursor, "differing") if before.differing and (diff or not self.update) else []
        correct = before.differing if self.update else 0
        after = before
        if before.missing or correct:
            self.progress.say(f"looking for addresses that would collide, of {before.source:,} users")
            self._step("While addresses that would collide were looked for")
            self._refuse_collisions(cursor, shape)
            self.progress.say(f"copying {before.missing:,} users, correcting {correct:,}")
            self._step("While the rows were written")
            self._write(cursor, before, correct)
            self.progress.say(f"verifying {before.source:,} users")
            self._step("While the copy was verified")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what a deferred trigger does must be verified, too
            after = self._compare(cursor)
        self._verify(before, after, correct)
        return self._result(before, after, missing, differing, diff)

    def _execute(self, cursor: Any, statement: str) -> Any:
        cursor.execute(statement, self.parameters)
        return cursor

    def _compare(self, cursor: Any) -> Counts:
        return Counts(*self._execute(cursor, compare_sql(self.source)).fetchone())

    def _ids(self, cursor: Any, which: str) -> list[str]:
        return [row[0] for row in self._execute(cursor, ids_sql(self.source, which)).fetchall()]

    def _refuse_collisions(self, cursor: Any, shape: Shape) -> None:
        rows = self._execute(
            cursor, collisions_sql(self.source, self.update, shape.emails_unique, self.encoding)
        ).fetchall()
        if not rows:
            return
        pairs = ["%s and %s" % (user_label(row[1], row[2]), user_label(row[3], row[4])) for row in rows]
        more = "; and %d more" % (rows[0][0] - len(rows)) if rows[0][0] > len(rows) else ""
        raise OperationError(
            "%d pair%s of users would share an e-mail address in %s, where each may be there once: %s%s. Expected no"
            " pair: change or remove the address of one user of each, in OpenLMIS or in the table that holds it, and"
            " run this again. Nothing was written."
            % (rows[0][0], "s" if rows[0][0] > 1 else "", TARGET, "; ".join(pairs), more)
        )

    def _write(self, cursor: Any, before: Counts, correct: int) -> None:
        if correct and before.moving:
            self._execute(cursor, release_sql(self.source))
        if correct:
            self._execute(cursor, update_sql(self.source))
        if before.missing:
            self._execute(cursor, insert_sql(self.source))

    def _verify(self, before: Counts, after: Counts, correct: int) -> None:
        """OperationError unless every user is in the target, as the source has them or kept on purpose."""
        expected = before._replace(
            missing=0, differing=before.differing - correct, moving=after.moving, rows=before.rows + before.missing
        )
        if after != expected:
            raise OperationError(
                "Verification failed: of %d users %d have no row in %s and %d differ there, where %d were expected to;"
                " the table has %d rows, where %d were expected. All of it was rolled back: nothing was written. Look"
                " for triggers or rules on the table, and run this again without them."
                % (after.source, after.missing, TARGET, after.differing, expected.differing, after.rows, expected.rows)
            )

    def _result(
        self, before: Counts, after: Counts, missing: list[str], differing: list[str], diff: bool
    ) -> dict[str, Any]:
        updated = before.differing - after.differing
        result = {
            "changed": bool(before.missing or updated),
            "source": before.source,
            "inserted": before.missing,
            "updated": updated,
            "unchanged": before.source - before.missing - before.differing,
            "kept": after.differing,
            "kept_users": differing if after.differing else [],
            "without_email": before.without_email,
            "verified": True,
            "server_version": self.server_version,
        }
        if diff:
            result["diff"] = {
                "before_header": TARGET,
                "after_header": TARGET,
                "before": _picture(before, missing, differing),
                "after": _picture(after, [], result["kept_users"]),
            }
        return result

    def _rollback(self) -> None:
        with contextlib.suppress(psycopg2.Error):  # the connection is gone, and the transaction with it
            self.connection.rollback()

    def _explain(self, error: Any) -> OperationError:
        """What a failed statement means to an operator, found out on the same connection where that helps."""
        code, elapsed = error.pgcode, time.monotonic() - self.began
        self._rollback()
        try:
            if code == "55P03":
                return self._lock_timed_out("lock_timeout, %d s" % self.lock_timeout)
            if code == "57014" and self.statement_timeout and elapsed >= self.statement_timeout * 0.9:
                limit = "statement_timeout, %d s" % self.statement_timeout
                if self.doing == LOCKING:
                    return self._lock_timed_out(limit)
                return OperationError(
                    "%s, a statement took longer than %s. %s. Expected it to end in time: look at what slows the server"
                    " down, or raise statement_timeout, and run this again." % (self.doing, limit, self.state)
                )
            if code and code[:2] in ("3F", "42", "25", "55"):
                with self.connection.cursor() as cursor:
                    inspect(cursor, self.settings)
        except OperationError as found:
            return found
        except psycopg2.Error:
            pass  # the first error is the one to tell
        finally:
            self._rollback()
        return database_error(error, self.settings, self.doing, self.state)

    def _lock_timed_out(self, limit: str) -> OperationError:
        """Who holds the lock that was waited for, looked up after the wait."""
        with self.connection.cursor() as cursor:
            cursor.execute(HOLDERS)
            holders = cursor.fetchall()
        holders = [row for row in holders if row[4]] or holders
        remedy = "stop the service or query that holds it"
        if any(row[1] == APPLICATION_NAME for row in holders):
            remedy = "another copy of this module is running, so wait for its end"
        return OperationError(
            "%s, it was not to be had within %s: it is held by %s. Expected no other writer: %s, or raise the limit,"
            " and run this again. %s."
            % (
                self.doing,
                limit,
                "; ".join(map(_holder, holders)) or "a session that is gone by now",
                remedy,
                ROLLED_BACK,
            )
        )


def _holder(row: tuple[Any, ...]) -> str:
    pid, application, user, since, dummy = row
    if pid is None:
        return "a prepared transaction (see pg_prepared_xacts)"
    return "pid %d (application_name %s, user %s, since %s)" % (
        pid,
        application or "not set",
        user or "unknown",
        since.isoformat(sep=" ", timespec="seconds") if since else "unknown",
    )


def _picture(counts: Counts, missing: list[str], differing: list[str]) -> dict[str, Any]:
    return {
        "rows": counts.rows,
        "users_missing": counts.missing,
        "users_missing_ids": missing,
        "users_differing": counts.differing,
        "users_differing_ids": differing,
    }


def migrate(
    params: dict[str, Any], check_mode: bool, diff: bool, warn: Any, progressing: progress.Progress
) -> dict[str, Any]:
    """Resolve, connect, copy. Raises OperationError."""
    for option in ("lock_timeout", "statement_timeout"):
        if not 0 <= params[option] <= 2_000_000:
            raise OperationError("%s is %d. Expected seconds from 0 to 2000000: correct it." % (option, params[option]))
    settings = resolve_connection(params)
    for warning in settings.warnings:
        warn(warning)
    began = time.monotonic()
    connection = connect(settings, APPLICATION_NAME)
    try:
        connection.set_session(isolation_level="REPEATABLE READ")
        result = Migration(connection, settings, params, progressing).run(check_mode, diff)
    finally:
        connection.close()
    result["duration"] = round(time.monotonic() - began, 3)
    result["msg"] = (
        "%s the contact details of %d users and corrected those of %d; %d were equal already, %d differ and were kept."
        % (
            "Would have copied" if check_mode else "Copied",
            result["inserted"],
            result["updated"],
            result["unchanged"],
            result["kept"],
        )
    )
    return result


def argument_spec() -> dict[str, Any]:
    """The module's options; the container image takes them from its environment."""
    return {
        **connection_argument_spec(),
        **progress.argument_spec(),
        "on_existing": {"type": "str", "choices": ["keep", "update"], "default": "keep"},
        "lock_timeout": {"type": "int", "default": 30},
        "statement_timeout": {"type": "int", "default": 900},
    }
