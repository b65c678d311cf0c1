# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flyway 4 as the OpenLMIS components of 3.3 and 3.4 use it: clean, and migrate with its out-of-order rule."""

from __future__ import annotations

import pathlib
import re
import time
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

HISTORY = """
create table "{schema}".schema_version (
    installed_rank integer not null,
    version character varying(50),
    description character varying(200) not null,
    type character varying(20) not null,
    script character varying(1000) not null,
    checksum integer,
    installed_by character varying(100) not null,
    installed_on timestamp without time zone not null default now(),
    execution_time integer not null,
    success boolean not null,
    constraint schema_version_pk primary key (installed_rank)
);
create index schema_version_s_idx on "{schema}".schema_version (success);
"""


class Migration(NamedTuple):
    """One versioned migration; `sql` is empty where the stand-in only keeps its place in the history."""

    version: str
    description: str
    sql: str


def read_migrations(versions: list[str], folder: pathlib.Path, component: str) -> list[Migration]:
    """The migrations of one component release, in the given order, with the SQL that the stand-in has for them."""
    source = folder / (component + ".sql")
    known: dict[str, tuple[str, str]] = {}
    if source.exists():
        parts = re.split(r"^--@ (\d+) (\S+)\n", source.read_text(), flags=re.MULTILINE)
        for version, description, sql in zip(parts[1::3], parts[2::3], parts[3::3]):
            known[version] = (description, sql)
    result = []
    for version in versions:
        description, sql = known.get(version, ("migration", ""))
        result.append(Migration(version, description.replace("_", " "), sql))
    return result


def clean(connection: Any, schema: str) -> None:
    """Drop the whole schema."""
    with connection, connection.cursor() as cursor:
        cursor.execute('drop schema if exists "%s" cascade' % schema)


def exists(cursor: Any, schema: str) -> bool:
    """Whether the schema has a history table."""
    cursor.execute("select to_regclass(%s) is not null", ('"%s".schema_version' % schema,))
    return bool(cursor.fetchone()[0])


def record(cursor: Any, schema: str, row: tuple[Any, ...]) -> None:
    """Append a row (version, description, type, script, checksum, milliseconds) to the history."""
    cursor.execute(
        f"""insert into "{schema}".schema_version
           (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success)
           select coalesce(max(installed_rank), 0) + 1, %s, %s, %s, %s, %s, current_user, %s, true
           from "{schema}".schema_version""",
        row,
    )


def pending(available: list[Migration], applied: set[str], out_of_order: bool) -> list[Migration]:
    """What Flyway 4 would apply: everything not applied, but nothing below the highest applied version unless told."""
    highest = max((int(version) for version in applied), default=0)
    return [
        migration
        for migration in sorted(available, key=lambda one: int(one.version))
        if migration.version not in applied and (out_of_order or int(migration.version) > highest)
    ]


def migrate(
    connection: Any, schema: str, available: list[Migration], out_of_order: bool, locations: Sequence[pathlib.Path] = ()
) -> int:
    """Bring the schema to the newest migration; each is one transaction, so a failed one leaves no row.

    Afterwards afterMigrate.sql runs from every location that has one, whether anything was applied or not.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("select to_regnamespace(%s) is null", ('"%s"' % schema,))
        made = cursor.fetchone()[0]
        if made:
            cursor.execute('create schema "%s"' % schema)
        if not exists(cursor, schema):
            cursor.execute(HISTORY.format(schema=schema))
            if made:
                record(cursor, schema, ("0", "<< Flyway Schema Creation >>", "SCHEMA", '"%s"' % schema, None, 0))
        cursor.execute('select version from "%s".schema_version where version is not null' % schema)
        applied = {row[0] for row in cursor.fetchall()}
    todo = pending(available, applied, out_of_order)
    for migration in todo:
        with connection, connection.cursor() as cursor:
            began = time.monotonic()
            cursor.execute('set local search_path to "%s", public' % schema)
            if migration.sql.strip():
                cursor.execute(migration.sql)
            script = "%s__%s.sql" % (migration.version, migration.description.replace(" ", "_"))
            checksum = zlib.crc32((script + migration.sql).encode()) - 2**31
            milliseconds = int((time.monotonic() - began) * 1000)
            record(cursor, schema, (migration.version, migration.description, "SQL", script, checksum, milliseconds))
    for script in (location / "afterMigrate.sql" for location in locations):
        if script.exists():
            with connection, connection.cursor() as cursor:
                cursor.execute('set local search_path to "%s", public' % schema)
                cursor.execute(script.read_text())
    return len(todo)
