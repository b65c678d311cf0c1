# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the copy takes, beside the least that the database needs for it and beside row-by-row INSERTs.

    benchmark.py [--users N ...] [--rounds N] [--explain]

Everything runs on one throw-away PostgreSQL server with PostgreSQL's own durability settings, over TCP, as OpenLMIS
does. In each round every way is timed once, each after VACUUM ANALYZE and a checkpoint; the table has the medians of
the rounds. Nothing is asserted about time. `--explain` prints the plans of the module's statements instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGETS = ROOT / "tests" / "integration" / "targets"
SCHEMA = TARGETS / "user_contact_details_migration" / "files" / "schema.sql"
MODULE = "ansible_collections.openlmis.operations.plugins.modules.user_contact_details_migration"
sys.path.insert(0, str(TARGETS / "setup_postgresql" / "files"))

import postgresql_server  # noqa: E402

DATABASE = "benchmark"
# What other tests switch off for speed is on, as on a server in use; and no checkpoint comes in the middle of a
# measurement.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}

USERS = """
INSERT INTO referencedata.users (id, username, firstname, lastname, email, phonenumber, verified, allownotify)
SELECT md5(i::text)::uuid, 'user' || i, 'First' || i, 'Last' || i,
  CASE WHEN i % 10 > 0 THEN left(md5('mail' || i), 6) || i || '@example.org' END,
  CASE WHEN i % 2 = 0 THEN '+265 1 ' || i WHEN i % 5 = 0 THEN ' ' END,
  i % 3 = 0,
  CASE WHEN i % 7 > 0 THEN i % 4 > 0 END
FROM generate_series(1, {users}) AS i
"""
BARE = """
INSERT INTO notification.user_contact_details (referencedatauserid, phonenumber, allownotify, email, emailverified)
SELECT id, phonenumber, allownotify, email, verified FROM referencedata.users
"""
EMPTY = "TRUNCATE notification.user_contact_details CASCADE"
# One user in a hundred, every other one with another e-mail address, too.
EDIT = """
UPDATE notification.user_contact_details SET phonenumber = 'edited',
  email = CASE WHEN emailverified THEN 'new-' || email ELSE email END
WHERE referencedatauserid IN (SELECT md5(i::text)::uuid FROM generate_series(1, {users}, 100) AS i)
"""

AIMS = [
    ("copy / bare", "copy", "bare", "at most 1.5 at 1,000,000"),
    ("again / copy", "again", "copy", "at most 0.7"),
    ("row by row / copy", "rows", "copy", "at least 10 from 100,000"),
]


@dataclass
class Measurements:
    """Seconds and MiB of every round, by what was measured."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float, memory: float | None = None) -> None:
        self.seconds.setdefault(name, []).append(seconds)
        if memory is not None:
            self.memory.setdefault(name, []).append(memory)
        print(f"    {name:8} {seconds:8.3f} s" + (f" {memory:6.1f} MiB" if memory else ""), file=sys.stderr)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])


class Benchmark:
    """A server, and the ways to copy on it."""

    def __init__(self, server: dict) -> None:
        self.server = server
        self.environment = {
            **os.environ,
            "PGHOST": "localhost",
            "PGPORT": str(server["port"]),
            "PGUSER": server["user"],
            "PGPASSWORD": server["password"],
            "PGDATABASE": DATABASE,
            "PGOPTIONS": "-c client_min_messages=warning",
            "PYTHONPATH": str(ROOT / ".cache" / "collections"),
        }

    def run(self, *command: str, standard_input: str | None = None) -> tuple[str, float, float]:
        """Run a client program; its output, its seconds, and its peak memory in MiB."""
        # The kernel counts the parent's memory as the child's before exec: this program has to stay smaller than its
        # clients.
        with tempfile.TemporaryFile("w+") as given:
            given.write(standard_input or "")
            given.seek(0)
            began = time.monotonic()
            process = subprocess.Popen(command, env=self.environment, stdin=given, stdout=subprocess.PIPE, text=True)
            output = process.stdout.read()
            dummy, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)[:200]} ended with {process.returncode}: {output}")
        return output, seconds, usage.ru_maxrss / 1024

    def psql(self, *statements: str, database: str = DATABASE) -> float:
        """Run statements, each in a transaction of its own; seconds."""
        commands = [word for statement in statements for word in ("--command", statement)]
        program = str(Path(self.server["programs"]) / "psql")
        return self.run(program, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, *commands)[1]

    def settle(self, *statements: str) -> None:
        """Bring the tables into a state, and the server to rest."""
        self.psql(*statements, "VACUUM ANALYZE", "CHECKPOINT")

    def create(self, users: int) -> None:
        self.psql(f"DROP DATABASE IF EXISTS {DATABASE}", f"CREATE DATABASE {DATABASE}", database="postgres")
        self.settle(SCHEMA.read_text(), USERS.format(users=users))

    def module(self, program: str = MODULE, **options: object) -> tuple[dict, float, float]:
        """Run the module as Ansible does, in a process of its own that is given JSON; its result, seconds, peak memory
        in MiB.
        """
        arguments = {
            "login_host": "localhost",
            "login_port": self.server["port"],
            "login_db": DATABASE,
            "login_user": self.server["user"],
            "login_password": self.server["password"],
            **options,
        }
        text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
        output, seconds, memory = self.run(sys.executable, "-m", program, standard_input=text)
        return json.loads(output), seconds, memory

    def round(self, users: int, measured: Measurements, with_rows: bool) -> None:
        self.settle(EMPTY)
        measured.add("bare", self.psql(BARE))

        if with_rows:
            self.settle(EMPTY)
            program = str(Path(self.server["programs"]) / "psql")
            dummy, seconds, memory = self.run(sys.executable, str(HERE / "row_by_row.py"), program)
            measured.add("rows", seconds, memory)

        self.settle(EMPTY)
        result, seconds, memory = self.module()
        expect(result, inserted=users, verified=True)
        measured.add("copy", result["duration"])
        measured.add("process", seconds, memory)

        self.settle()
        result = self.module()[0]
        expect(result, changed=False, unchanged=users)
        measured.add("again", result["duration"])

        self.settle(EDIT.format(users=users))
        result = self.module(on_existing="update")[0]
        expect(result, updated=len(range(1, users + 1, 100)), inserted=0)
        measured.add("update", result["duration"])

    def explain(self, users: int) -> None:
        """Print the plans of the module's statements: for the first copy, for the next one, and for corrections."""
        self.environment["PYTHONPATH"] += f":{HERE}"
        for title, state, options in (
            ("first copy", [EMPTY], {}),
            ("nothing to do", [], {}),
            ("1 % corrected", [EDIT.format(users=users)], {"on_existing": "update"}),
        ):
            self.settle(*state)
            print(f"\n== {users:,} users: {title} ==", flush=True)
            self.module("explain", **options)


def expect(result: dict, **values: object) -> None:
    """End unless the module did what is being measured."""
    if any(result.get(name) != value for name, value in values.items()):
        sys.exit(f"Expected {values}, got {result}")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns after the first are aligned to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "| "
        + " | ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        + " |"
        for row in [header, *rows]
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def report(results: dict[int, Measurements]) -> None:
    sizes = sorted(results)
    header = ["", *(f"{users:,}" for users in sizes)]

    def line(title: str, cell) -> list[str]:
        return [title, *(cell(results[users]) for users in sizes)]

    print("\nSeconds, for so many users:\n")
    print(
        table(
            header,
            [
                line("bare INSERT … SELECT, psql", lambda one: f"{one.median('bare'):.3f}"),
                line("copy: the module's duration", lambda one: f"{one.median('copy'):.3f}"),
                line("copy: the whole process", lambda one: f"{one.median('process'):.3f}"),
                line("again, nothing to do", lambda one: f"{one.median('again'):.3f}"),
                line("1 % corrected, on_existing=update", lambda one: f"{one.median('update'):.3f}"),
                line("row by row, psql", lambda one: f"{one.median('rows'):.3f}"),
            ],
        )
    )
    print("\nRatios, and the client's peak memory in MiB:\n")
    print(
        table(
            [*header, "aim"],
            [
                *(
                    [*line(title, lambda one, a=above, b=below: f"{one.median(a) / one.median(b):.2f}"), aim]
                    for title, above, below, aim in AIMS
                ),
                [*line("memory, copy", lambda one: f"{max(one.memory['process']):.0f}"), "within 10"],
                [*line("memory, row by row", lambda one: f"{max(one.memory['rows']):.0f}"), ""],
            ],
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000], metavar="N")
    parser.add_argument(
        "--rounds", type=int, help="default: 5, and 3 from 100,000 users on; row by row once for 1,000,000"
    )
    parser.add_argument(
        "--explain", action="store_true", help="print EXPLAIN (ANALYZE, BUFFERS) of the module's statements"
    )
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="openlmis-benchmark-", dir="/tmp") as name:
        folder = Path(name)
        benchmark = Benchmark(postgresql_server.start(folder))
        try:
            benchmark.psql(
                *(f"ALTER SYSTEM SET {key} = '{value}'" for key, value in SETTINGS.items()),
                "SELECT pg_reload_conf()",
                database="postgres",
            )
            results: dict[int, Measurements] = {}
            load = os.getloadavg()[0]
            for users in options.users:
                benchmark.create(users)
                if options.explain:
                    benchmark.explain(users)
                    continue
                results[users] = Measurements()
                for number in range(options.rounds or (5 if users < 100_000 else 3)):
                    print(f"{users:,} users, round {number + 1}", file=sys.stderr)
                    benchmark.round(users, results[users], with_rows=users < 1_000_000 or number == 0)
            if results:
                version = benchmark.run(str(Path(benchmark.server["programs"]) / "postgres"), "--version")[0].split()[
                    -1
                ]
                print(
                    f"PostgreSQL {version}, Python {platform.python_version()}, {os.cpu_count()} processors;"
                    f" load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
                )
                report(results)
        finally:
            postgresql_server.stop(folder)


if __name__ == "__main__":
    main()
