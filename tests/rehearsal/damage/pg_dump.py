# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real pg_dump, and then the damage that the database's setting rehearsal.damage names; the archive stays one that
pg_restore reads.
"""

from __future__ import annotations

import gzip
import os
import pathlib
import re
import subprocess
import sys
import time

BIN = "/usr/lib/postgresql/15/bin/"
arguments = sys.argv[1:]
options = dict(one[2:].split("=", 1) for one in arguments if one.startswith("--") and "=" in one)
folder = pathlib.Path(options["file"])


def ask(sql: str) -> str:
    """One value of the database."""
    done = subprocess.run(
        [BIN + "psql", "-XAtqc", sql, options["dbname"]], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def data_of(table: str) -> pathlib.Path:
    """The file with a table's data."""
    listed = subprocess.run([BIN + "pg_restore", "-l", folder], stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(folder.glob(re.search(rf"^(\d+); .* TABLE DATA {table} ", listed, re.MULTILINE)[1] + ".dat*"))


def rewrite(table: str, change) -> None:
    """Change the lines of a table's data; the file is a sound one again."""
    path = data_of(table)
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
        lines = stream.readlines()
    with (gzip.open if path.suffix == ".gz" else open)(path, "wb") as stream:
        stream.writelines(change(lines))


damage = ask("SELECT current_setting('rehearsal.damage', true)")
if damage in ("wrong database", "wrong snapshot"):
    arguments = [one for one in arguments if not one.startswith("--snapshot")]
if damage == "wrong database":
    arguments = [one.replace("dbname=open_lmis", "dbname=other") for one in arguments]
if damage == "wrong snapshot":
    ask("INSERT INTO site.facilities VALUES (1000000, 'opened while the dump was made')")
if damage == "slow dump":
    time.sleep(4)
done = subprocess.run([BIN + "pg_dump", *arguments], check=False)
if damage == "cut off":
    rewrite("site facilities", lambda lines: lines[: len(lines) // 2])
if damage == "truncated":
    os.truncate(data_of("site facilities"), data_of("site facilities").stat().st_size // 2)
if damage == "missing":
    data_of("site facilities").unlink()
if damage == "one row less":
    rewrite("site facilities", lambda lines: lines[1:])
if damage == "changed value":
    rewrite("site facilities", lambda lines: [lines[0].replace(b"Facility", b"Fakility"), *lines[1:]])
if damage == "older":
    # The year of the archive's making, counted from 1900, in its header: magic, version, sizes, compression, then sec
    # min hour day month.
    header = bytearray((folder / "toc.dat").read_bytes())
    header[42] -= 1
    (folder / "toc.dat").write_bytes(header)
if damage == "toc cut off":
    os.truncate(folder / "toc.dat", (folder / "toc.dat").stat().st_size // 2)
if damage == "large object missing":
    next(folder.glob("blob_*.dat*")).unlink()
if damage == "slow proof":
    (folder.parent / "slow-proof").touch()
sys.exit(done.returncode)
