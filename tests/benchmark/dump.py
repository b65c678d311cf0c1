# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast the backup dumps, beside pg_dump by itself in its formats and with its compressions.

    dump.py [--size MIB] [--rounds N]

One database in a container, as the rehearsal server has it, of a size that a site has after some years: rows of
requisitions and stock cards, and the log of changes, which is the largest table. In each round every way is timed once;
the table has the medians of the rounds. pg_dump runs in a container beside the database, as the module runs it; the
module counts the rows of every table meanwhile, and proves its dump after that. Nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark import ROOT, table

sys.path.insert(0, str(ROOT / "tests" / "rehearsal"))

from stack import deployment
from stack.world import DATABASE, Server

MODULE = "ansible_collections.openlmis.operations.plugins.modules.database_backup"
MIB = 2**20
# Compressions of pg_dump from 16 on; those before have gzip only.
NEWER = {"lz4": 16, "zstd": 16}
FORMATS = {"-Fc": ["--format=custom"], "-Fd -j2": ["--format=directory", "--jobs=2"]}

TABLES = """
CREATE SCHEMA bench;
CREATE TABLE bench.requisition_line_items (id uuid PRIMARY KEY, requisitionid uuid, orderableid uuid,
  approvedquantity int,
  beginningbalance int, stockonhand int, totalconsumedquantity int, totallossesandadjustments int,
    totalreceivedquantity int,
  averageconsumption int, maxperiodsofstock numeric(6,2), priceperpack numeric(19,2), skipped boolean, remarks text);
CREATE TABLE bench.stock_card_line_items (id uuid PRIMARY KEY, stockcardid uuid, reasonid uuid, userid uuid,
  quantity int,
  occurreddate date, processeddate timestamptz, signature text);
CREATE TABLE bench.jv_snapshot (snapshot_pk bigint PRIMARY KEY, type text, version bigint, state text,
  changed_properties text,
  managed_type text);
"""
# About 1.5 MiB with the indexes.
FILL = """
INSERT INTO bench.requisition_line_items SELECT uuid_generate_v4(), md5((i / 80)::text)::uuid,
  md5((i % 900)::text)::uuid, i % 500,
  random() * 900, random() * 900, random() * 400, random() * 40, random() * 500, random() * 300,
    round((random() * 9)::numeric, 2),
  round((random() * 60)::numeric, 2), i % 19 = 0, CASE WHEN i % 12 = 0 THEN 'expired before it was issued,
    see the letter' END
FROM generate_series(1, {count} * 2600) i;
INSERT INTO bench.stock_card_line_items SELECT uuid_generate_v4(), md5((i / 30)::text)::uuid, md5((i % 25)::text)::uuid,
  md5((i % 400)::text)::uuid, random() * 900, date '2017-01-01' + i % 900,
    timestamptz '2017-01-01' + i * interval '7 minutes',
  CASE WHEN i % 3 = 0 THEN 'signed by user ' || i % 400 END
FROM generate_series(1, {count} * 2600) i;
INSERT INTO bench.jv_snapshot SELECT i, 'UPDATE', i % 9,
  format('{{"id": "%s", "status": "%s", "facility": "%s", "lines": [{{"quantity": %s,'
  ' "price": %s}}, {{"quantity": %s, "price": %s}}], "created": "%s"}}', uuid_generate_v4(), (array['INITIATED',
    'SUBMITTED', 'APPROVED'])[i % 3 + 1],
  md5((i % 700)::text)::uuid, (random() * 900)::int, round((random() * 60)::numeric, 2), (random() * 900)::int,
  round((random() * 60)::numeric, 2), timestamptz '2017-01-01' + i * interval '3 minutes'), '["status", "lines"]',
    'Requisition'
FROM generate_series(1, {count} * 1900) i;
"""


class Dumps:
    """A server that is all database, and the ways to dump it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.container = server.container("db")

    def fill(self, size: int) -> None:
        """Make the database at least so many MiB large."""
        self.server.query(TABLES)
        self.server.query(FILL.format(count=size * 7 // 10))
        if self.size() < size * MIB:
            sys.exit(f"The database has {self.size() // MIB} MiB; {size} are expected.")
        self.server.query("ANALYZE")

    def size(self) -> int:
        return self.server.query("SELECT pg_database_size(current_database())")[0][0]

    def version(self) -> str:
        return self.container.exec_run(["pg_dump", "--version"]).output.decode().split()[2]

    def ways(self) -> dict[str, list[str]]:
        """The options of pg_dump to be tried, by what the table calls them."""
        major = int(re.match(r"\d+", self.version())[0])
        compressions = ["0", "1", "6", *(name for name, since in NEWER.items() if major >= since)]
        return {
            f"pg_dump {name} -Z{one}": [*form, f"--compress={one}"]
            for name, form in FORMATS.items()
            for one in compressions
        }

    def plain(self, options: list[str]) -> tuple[float, int]:
        """Seconds and bytes of a dump that pg_dump makes by itself."""
        dest = self.folder / "plain"
        command = [
            "docker",
            "run",
            "--rm",
            f"--network=container:{self.container.id}",
            f"--volume={self.folder}:/dump",
            f"--env=PGPASSWORD={DATABASE['password']}",
            f"--user={os.geteuid()}:{os.getegid()}",
            "--entrypoint=pg_dump",
            self.container.image.id,
            *options,
            "--host=127.0.0.1",
            f"--username={DATABASE['user']}",
            "--file=/dump/plain",
            "open_lmis",
        ]
        began = time.monotonic()
        subprocess.run(command, check=True)
        seconds = time.monotonic() - began
        return seconds, removed(dest)

    def ours(self) -> tuple[float, int, float]:
        """Seconds and bytes of a dump as the playbook makes it, and the seconds of its proof."""
        dest = self.folder / "backup"
        arguments = {"project_src": str(self.server.project_src), "dest": str(dest)}
        done = subprocess.run(
            [sys.executable, "-m", MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            env={**os.environ, "PYTHONPATH": str(ROOT / ".cache" / "collections")},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        result = json.loads(done.stdout)
        if done.returncode:
            sys.exit(result["msg"])
        removed(dest)
        return result["duration"]["dump"], result["bytes"], result["duration"]["proof"]


def removed(path: Path) -> int:
    """Remove a dump; the bytes that it had."""
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    size = sum(one.stat().st_size for one in files)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return size


def report(size: int, results: dict[str, list[tuple]]) -> None:
    rows = []
    for name, rounds in results.items():
        seconds = statistics.median(one[0] for one in rounds)
        proof = f"{statistics.median(one[2] for one in rounds):.1f}" if len(rounds[0]) > 2 else ""
        rows.append([name, f"{seconds:.1f}", f"{size / 1e6 / seconds:.0f}", f"{rounds[0][1] / MIB:.0f}", proof])
    print(table(["", "seconds", "MB/s of the database", "dump, MiB", "proof, seconds"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=320, metavar="MIB")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="openlmis-benchmark-", dir="/tmp") as name, deployment.only_one():
        root = Path(name) / "rehearsal"
        deployment.check_no_other_openlmis()
        deployment.ensure_images(lambda text: None)
        deployment.down(root, say=lambda text: None)
        server = Server(root)
        deployment.write_files(server, "3.3.1")
        try:
            server.compose("up", "--detach", "--no-deps", "db")
            deployment.wait_until("the database", lambda: deployment.database_answers(server), 60, server)
            dumps = Dumps(server, Path(name))
            dumps.fill(options.size)
            load, results = os.getloadavg()[0], {}
            for number in range(options.rounds):
                print(f"{dumps.size() // MIB} MiB, round {number + 1}", file=sys.stderr)
                for way, words in dumps.ways().items():
                    results.setdefault(way, []).append(dumps.plain(words))
                    print(f"    {way:20} {results[way][-1][0]:8.1f} s", file=sys.stderr)
                results.setdefault("this runbook", []).append(dumps.ours())
                print(f"    {'this runbook':20} {results['this runbook'][-1][0]:8.1f} s", file=sys.stderr)
            print(
                f"pg_dump {dumps.version()}, {dumps.size() // MIB} MiB, {os.cpu_count()} processors;"
                f" load {load:.1f} before and {os.getloadavg()[0]:.1f} after\n"
            )
            report(dumps.size(), results)
        finally:
            deployment.down(root, say=lambda text: None)


if __name__ == "__main__":
    main()
