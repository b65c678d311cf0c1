# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a copy of production from reaching real people and partners: set-based SQL, and the SQL that proves it.

Nothing that is found leaves the database: results are names of columns and numbers.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restoring
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.contents import quoted

# IANA keeps example.org for documentation and gives its names to nobody. The bare .invalid would not do: the
# notification service refuses it when a profile is saved, which the smoke test does.
DOMAIN = "invalid.example.org"
# Of hosts nobody checks more than that they do not resolve.
HOST_DOMAIN = "invalid"
PASSWORD = "rehearsal"
TRANSFERS = "fulfillment.transfer_properties"
# Links in mails that were sent by production must not be taken for this server's.
TOKENS = ("auth.password_reset_tokens", "notification.email_verification_tokens")
_NOBODY = DOMAIN.replace(".", "[.]")

# What ends a domain inside a longer text.
_END = r'[:space:],;<>"@'
_DOMAIN = rf"(@[^{_END}]*)"
_NOWHERE = rf"@[^{_END}]*[.]{_NOBODY}(?![^{_END}])"

# What is called an e-mail address or several, of OpenLMIS' own schemas and of the site's; a domain is of its base
# type's category.
_CALLED = """
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND a.attname ~* 'e[_-]?mails?([_-]?addr(ess(es)?)?)?$'
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.deptype = 'e')
"""
ADDRESSES = f"""
SELECT n.nspname, c.relname, a.attname,
  nullif(greatest(CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END - 4, 0), 0)
{_CALLED} AND t.typcategory = 'S' ORDER BY 1, 2, 3
"""
# Arrays, JSON and the like: they are not rewritten, and must hold no address.
NO_TEXT = (
    f"SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) {_CALLED} AND t.typcategory IN ('A',"
    " 'U') ORDER BY 1, 2, 3"
)


class Column(NamedTuple):
    """A column with e-mail addresses; C(limit) is how many characters it takes, None for any number."""

    schema: str
    table: str
    name: str
    limit: Optional[int]

    def key(self) -> str:
        """Its name as results have it."""
        return f"{self.schema}.{self.table}.{self.name}"

    def relation(self) -> str:
        """Its table in SQL."""
        return quoted(self.schema, self.table)


def blank(value: str) -> str:
    """Return the SQL condition under which a value is no address at all."""
    return f"{value} !~ '[^[:space:]]'"


def harmless(value: str) -> str:
    """Return the SQL condition under which mail to a value arrives nowhere, for a value that is not null."""
    return (
        f"({blank(value)} OR CASE WHEN strpos({value}, '@') > 0 THEN strpos(regexp_replace({value}, '{_NOWHERE}', '',"
        f" 'gi'), '@') = 0 ELSE {value} ~* '[.]{_NOBODY}$' END)"
    )


def rewritten(value: str) -> str:
    """Return the SQL expression of an address with every domain in it, or what has none, put under one that is
    nobody's.
    """
    return (
        f"CASE WHEN strpos({value}, '@') > 0 THEN regexp_replace({value}, '{_DOMAIN}', '\\1.{DOMAIN}', 'g') ELSE"
        f" {value} || '.{DOMAIN}' END"
    )


def distinguished(old: str, new: str, limit: int) -> str:
    """Return the SQL expression of a new address that a hash of the old one tells from all others, at most C(limit)
    characters long.

    The hash goes before the domain where there is one domain and room, else to the end, where it still is under
    nobody's domain.
    """
    mark = f"'.' || left(md5({old}), 12)"
    tail = f"substring({new} from '@[^@]*$')"
    head = f"left({new}, length({new}) - length({tail}))"
    fits = f"{new} ~ '^[^@]*@[^@]*$' AND length({tail}) <= {limit - 14}"
    return (
        f"CASE WHEN {fits} THEN left({head}, {limit - 13} - length({tail})) || {mark} || {tail}"
        f" ELSE left({new}, {limit - 14 - len(DOMAIN)}) || {mark} || '.{DOMAIN}' END"
    )


def counted(column: Column) -> str:
    """Return the query for what must be the same afterwards (rows, addresses, different ones), and for the addresses
    that reach somebody.
    """
    value = f"{quoted(column.name)}::text"
    return (
        f"SELECT count(*), count({value}), count({value}) FILTER (WHERE NOT {blank(value)}), count(DISTINCT {value}),"
        f" count({value}) FILTER (WHERE NOT {harmless(value)}) FROM ONLY {column.relation()}"
    )


def columns_of(cursor: Any) -> List[Column]:
    """Return every column with e-mail addresses."""
    cursor.execute(ADDRESSES)
    return [Column(*row) for row in cursor.fetchall()]


def left_over(cursor: Any) -> List[str]:
    """Return one sentence for each place from which mail or orders still go to somebody; changes nothing."""
    found = []
    for column in columns_of(cursor):
        cursor.execute(counted(column))
        reach = cursor.fetchone()[-1]
        found += [f"{reach} addresses in {column.key()} can be mailed to"] if reach else []
    cursor.execute(NO_TEXT)
    for schema, table, name, kind in cursor.fetchall():
        cursor.execute(f"SELECT count(*) FROM ONLY {quoted(schema, table)} WHERE strpos({quoted(name)}::text, '@') > 0")
        rows = cursor.fetchone()[0]
        found += (
            [
                f"{rows} rows of {schema}.{table} have addresses in {name}, which is {kind} and not text, so that they"
                " are not rewritten (leave the table's rows out of the dump, with"
                f" --exclude-table-data={schema}.{table} for pg_dump)"
            ]
            if rows
            else []
        )
    if _has(cursor, TRANSFERS, "serverhost", "password"):
        cursor.execute(
            f"SELECT count(*) FILTER (WHERE serverhost ~ '[^[:space:]]' AND serverhost !~* '[.]{HOST_DOMAIN}$'),"
            f" count(*) FILTER (WHERE password <> %s) FROM {TRANSFERS}",
            (PASSWORD,),
        )
        hosts, passwords = cursor.fetchone()
        found += [f"{hosts} hosts in {TRANSFERS} can be sent orders"] if hosts else []
        found += [f"{passwords} passwords of partners are in {TRANSFERS}"] if passwords else []
    return found


def make(cursor: Any) -> Dict[str, Any]:
    """Rewrite everything and prove it, in the transaction of the cursor; return the numbers. Raises OperationError for
    a proof that fails.
    """
    cursor.execute("SET LOCAL search_path TO pg_catalog; SET LOCAL standard_conforming_strings TO on")
    columns = columns_of(cursor)
    for relation in sorted({column.relation() for column in columns}):
        cursor.execute(f"LOCK TABLE {relation} IN SHARE ROW EXCLUSIVE MODE")
    before = _counts(cursor, columns)
    _plan(cursor, columns)
    changed = {column.key(): _apply(cursor, column) for column in columns}
    transfers = _transfers(cursor)
    tokens = sum(_expire(cursor, table) for table in TOKENS if _has(cursor, table, "expirydate"))
    after = _counts(cursor, columns)
    problems = left_over(cursor) + differences(before, after)
    if problems:
        raise OperationError(
            f"The copy is not harmless: {'; '.join(problems)}. Nothing that reaches anybody is expected, and every"
            " other row as it was. Everything was rolled back. Look for triggers and rules on these tables, and run"
            " again."
        )
    return {
        "addresses": sum(changed.values()),
        "columns": {key: rows for key, rows in changed.items() if rows},
        "transfers": transfers,
        "tokens": tokens,
    }


def differences(before: Dict[str, Tuple[int, ...]], after: Dict[str, Tuple[int, ...]]) -> List[str]:
    """Return one sentence for each column whose numbers of rows, addresses or different addresses have changed."""
    words = ("rows", "values", "addresses", "different addresses")
    return [
        f"{key} had {was} {word} and has {now}"
        for key in sorted(before)
        for word, was, now in zip(words, before[key], after[key])
        if was != now
    ]


def _counts(cursor: Any, columns: Sequence[Column]) -> Dict[str, Tuple[int, ...]]:
    found = {}
    for column in columns:
        cursor.execute(counted(column))
        found[column.key()] = cursor.fetchone()[:-1]
    return found


def _plan(cursor: Any, columns: Sequence[Column]) -> None:
    """Give every address its new one, the same wherever it stands: what was equal stays equal, and nothing else becomes
    so.
    """
    cursor.execute("CREATE TEMPORARY TABLE openlmis_addresses (old text, new text) ON COMMIT DROP")
    if not columns:
        return
    values = " UNION ".join(
        f"SELECT {quoted(column.name)}::text AS value FROM ONLY {column.relation()}" for column in columns
    )
    cursor.execute(
        f"INSERT INTO pg_temp.openlmis_addresses SELECT value, CASE WHEN {harmless('value')} THEN value ELSE"
        f" {rewritten('value')} END FROM ({values}) AS found WHERE value IS NOT NULL"
    )
    cursor.execute("ANALYZE pg_temp.openlmis_addresses")
    # One limit for all, so that an address gets the same new one in every column.
    limit = min((column.limit for column in columns if column.limit), default=1 << 20)
    cursor.execute(
        f"UPDATE pg_temp.openlmis_addresses AS a SET new = {distinguished('a.old', 'a.new', limit)} WHERE a.new <>"
        f" a.old AND (length(a.new) > {limit} OR a.new IN (SELECT new FROM pg_temp.openlmis_addresses GROUP BY new"
        " HAVING count(*) > 1))"
    )


def _apply(cursor: Any, column: Column) -> int:
    name = quoted(column.name)
    cursor.execute(
        f"UPDATE ONLY {column.relation()} AS t SET {name} = a.new FROM pg_temp.openlmis_addresses AS a WHERE"
        f" t.{name}::text = a.old AND a.new <> a.old"
    )
    return int(cursor.rowcount)


def _transfers(cursor: Any) -> int:
    """Send orders nowhere; a host may be more than a name (C(ftp.example.org/in)), and what is left of it must be one
    name.
    """
    if not _has(cursor, TRANSFERS, "serverhost", "password"):
        return 0
    cursor.execute(f"LOCK TABLE {TRANSFERS} IN SHARE ROW EXCLUSIVE MODE")
    host = f"left(regexp_replace(btrim(serverhost), '[^A-Za-z0-9.-]+', '-', 'g'), 200) || '.{HOST_DOMAIN}'"
    cursor.execute(
        f"UPDATE {TRANSFERS} SET password = CASE WHEN password IS NOT NULL THEN %s END, serverhost = CASE WHEN"
        f" serverhost ~ '[^[:space:]]' AND serverhost !~* '[.]{HOST_DOMAIN}$' THEN {host} ELSE serverhost END WHERE"
        f" password <> %s OR serverhost ~ '[^[:space:]]' AND serverhost !~* '[.]{HOST_DOMAIN}$'",
        (PASSWORD, PASSWORD),
    )
    return int(cursor.rowcount)


def _expire(cursor: Any, table: str) -> int:
    cursor.execute(f"UPDATE {table} SET expirydate = now() WHERE expirydate > now()")
    return int(cursor.rowcount)


def _has(cursor: Any, table: str, *columns: str) -> bool:
    cursor.execute(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = ANY (%s) AND NOT"
        " attisdropped",
        (table, list(columns)),
    )
    return bool(cursor.fetchone()[0] == len(columns))


MARK = "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"


def require_copy(cursor: Any) -> None:
    """Raise OperationError for a database that nothing marks as a copy: it may be production's own."""
    cursor.execute(MARK)
    name, comment = cursor.fetchone()
    if not (restoring.is_copy(comment) or restoring.left_by_rehearsal(comment)):
        raise OperationError(
            f"The comment of database {name} does not say that it is a copy; that of one which a rehearsal has restored"
            " does, and is expected, since production's addresses must not be rewritten. Nothing was changed. If this"
            f' is a copy that you restored by hand, say so with COMMENT ON DATABASE "{name}" IS'
            f" '{restoring.copy_comment('by hand')}' and run again."
        )


def said(result: Mapping[str, Any]) -> List[str]:
    """Return the numbers in words."""
    places = ", ".join(f"{key} {rows}" for key, rows in sorted(result["columns"].items())) or "none"
    return [
        f"{result['addresses']} e-mail addresses reach nobody any more: {places}",
        f"{result['transfers']} rows of {TRANSFERS} have no real host and no real password any more",
        f"{result['tokens']} tokens of production have expired",
        (
            "Proven before the commit: nothing is left that could be reached, and no address was lost or became equal"
            " to another"
        ),
    ]


def rewrite(settings: database.ConnectionSettings, timeout: int, check_mode: bool) -> Dict[str, Any]:
    """Rewrite, verify, and commit unless in check mode; return the numbers.

    C(timeout) is in seconds, of each statement; 0 is no limit. Raises OperationError.
    """
    doing, state = "While the copy was made harmless", "Everything was rolled back"
    with database.session(settings, "openlmis.operations make_harmless", doing, state) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', %s, true)",
            (f"{timeout}s",),
        )
        require_copy(cursor)
        result = make(cursor)
        connection.rollback() if check_mode else connection.commit()
        return result
