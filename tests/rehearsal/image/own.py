# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of a site's own that use OpenLMIS' database, and of which no release knows anything.

`own.py writer SCHEMA` keeps a schema of its own and writes a row into it several times a second, for as long as it
runs. `own.py spring SCHEMA` does the same, but drops its schema when it starts without the profile production, as
OpenLMIS' components do. `own.py once SCHEMA` writes one row and exits with 0.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

import psycopg2
from standin import die, log, stop_at_once_on_sigterm

# Seconds: between two rows, and for how long a database is waited for.
PAUSE, PATIENCE = 0.2, 60
TABLE = """
create schema if not exists {0};
create table if not exists {0}.written (id bigserial primary key, at timestamptz not null default clock_timestamp());
"""


def connect() -> Any:
    """A connection to the database of the URL; the end of this process when there is none for long."""
    match = re.match(r"jdbc:postgresql://([^:/?]+)(?::(\d+))?/([^?]+)", os.environ.get("DATABASE_URL", ""))
    if not match:
        die("the DATABASE_URL is not a JDBC URL of PostgreSQL")
    host, port, database = match.groups()
    login = {"user": os.environ.get("POSTGRES_USER", ""), "password": os.environ.get("POSTGRES_PASSWORD", "")}
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection = psycopg2.connect(host=host, port=port or "5432", dbname=database, connect_timeout=5, **login)
            connection.autocommit = True
            return connection
        except psycopg2.Error as error:
            log("WARN  no database connection: %s" % str(error).strip())
            if time.monotonic() > until:
                die("the database cannot be reached, giving up")
            time.sleep(0.5)


def write(schema: str, once: bool) -> None:
    """Write a row, or rows for ever; a connection that is lost is made again."""
    while True:
        try:
            with connect().cursor() as cursor:
                cursor.execute(TABLE.format(schema))
                while True:
                    cursor.execute("insert into %s.written default values" % schema)
                    if once:
                        return
                    time.sleep(PAUSE)
        except psycopg2.Error as error:
            log("WARN  %s" % str(error).strip())
            time.sleep(PAUSE)


def main(kind: str, schema: str) -> None:
    """Be one of the services above."""
    stop_at_once_on_sigterm()
    log("INFO  Starting %s" % schema)
    if kind == "spring" and "production" not in os.environ.get("spring_profiles_active", "").split(","):
        log("INFO  profile production is not active: dropping schema %s" % schema)
        connect().cursor().execute("drop schema if exists %s cascade" % schema)
    write(schema, kind == "once")
    log("INFO  done")


if __name__ == "__main__":
    main(*sys.argv[1:])
