# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump of pg_dump's directory format, read without pg_restore: whose it is, when it was made, how many rows each
table has in it.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import contents

CHUNK = 1 << 20
# Between the clock of the container that dumps and this host's, which are one, and the archive's whole seconds.
CLOCK_SLACK = 2.0


class Listing(NamedTuple):
    """What C(pg_restore --list) says: the archive's origin, and the dump's id of each table's data by
    the table's OID.
    """

    database: str
    server_version: str
    created: Optional[float]
    data: Dict[int, str]


def parse_listing(text: str) -> Listing:
    """Read the output of C(pg_restore --list), made with the time zone UTC.

    An entry reads C(<id>; <catalog oid> <oid> TABLE DATA <schema> <table> <owner>): the OID tells the table whatever
    its name is.
    """
    head = dict(re.findall(r"^; +(dbname|Dumped from database version): (.*)$", text, re.MULTILINE))
    created = re.search(r"^; Archive created at (\d+-\d+-\d+ \d+:\d+:\d+) UTC$", text, re.MULTILINE)
    moment = datetime.strptime(created[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) if created else None
    return Listing(
        head.get("dbname", ""),
        head.get("Dumped from database version", ""),
        moment.timestamp() if moment else None,
        {int(oid): entry for entry, oid in re.findall(r"^(\d+); \d+ (\d+) TABLE DATA ", text, re.MULTILINE)},
    )


def origin_problems(listing: Listing, database: str, server_version: str, begin: float, end: float) -> List[str]:
    """Return why an archive is not the one that was made of this database while its snapshot was held, from begin to
    end.
    """
    if listing.database != database:
        return [f"it is of the database {listing.database}, not of {database}"]
    if listing.server_version != server_version:
        return [f"it is of a server of version {listing.server_version}, not {server_version}"]
    if listing.created is None or not begin - CLOCK_SLACK <= listing.created <= end + CLOCK_SLACK:
        made = "at no known time" if listing.created is None else f"at {_clock(listing.created)}"
        return [
            f"it was made {made}, not while this snapshot was held, from {_clock(begin)} to {_clock(end)}: it is of"
            " another snapshot"
        ]
    return []


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def count_lines(chunks: Iterable[bytes]) -> int:
    """Return the rows of one table's data in COPY text format: lines before the end marker.

    Raises EOFError when the data does not end with the marker: it was cut off.
    """
    lines, tail = 0, b"\n"
    for chunk in chunks:
        lines += chunk.count(b"\n")
        tail = (tail + chunk)[-16:]
    match = re.search(rb"\n\\\.(\n+)$", tail)
    if not match:
        raise EOFError("no end marker")
    return lines - len(match[1])


def data_files(folder: str) -> Dict[str, str]:
    """Return the path of every data file in a dump by the dump's id of the data."""
    paths = glob.glob(os.path.join(glob.escape(folder), "*.dat*"))
    return {os.path.basename(path).split(".")[0]: path for path in paths}


def written(folder: str) -> Tuple[int, int]:
    """Return for how many tables a dump under way has a file, and the bytes of all files."""
    sizes = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            sizes[entry.name] = entry.stat().st_size
    return sum(1 for name in sizes if re.match(r"\d+\.dat", name)), sum(sizes.values())


def archived_rows(path: str) -> int:
    """Return the rows in one data file, compressed or not; reads all of it. Raises OperationError for a damaged one."""
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rb") as stream:
            return count_lines(iter(lambda: stream.read(CHUNK), b""))
    except EOFError as error:
        raise OperationError("is cut off") from error
    except (OSError, zlib.error) as error:
        raise OperationError(f"cannot be read ({type(error).__name__})") from error


def large_objects(folder: str) -> int:
    """Return how many large objects the dump's lists of them name."""
    total = 0
    for path in glob.glob(os.path.join(glob.escape(folder), "blobs*.toc")):
        with open(path, "rb") as stream:
            total += sum(1 for _line in stream)
    return total


def row_problems(
    folder: str,
    listing: Listing,
    tables: Sequence[contents.Table],
    counted: Dict[str, int],
    jobs: int,
    done: Callable[[str], Any] = contents.untold,
) -> List[str]:
    """Return one sentence for each table whose rows in the dump are not those that were counted in its snapshot.

    C(done) is told of each table that has been compared.
    """
    files = data_files(folder)

    def problem(table: contents.Table) -> str:
        path = files.get(listing.data.get(table.oid, ""))
        if table.oid not in listing.data:
            return f"{table.key()} has no data in it, and {counted[table.key()]} rows in the snapshot"
        if path is None:
            return f"the file {listing.data[table.oid]}.dat with the data of {table.key()} is missing"
        try:
            return compare(table.key(), counted[table.key()], archived_rows(path))
        except OperationError as error:
            return f"the file {os.path.basename(path)} with the data of {table.key()} {error}"

    def compared(table: contents.Table) -> str:
        sentence = problem(table)
        done(table.key())
        return sentence

    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(compared, tables))
    found.append(compare("pg_largeobject", counted.get(contents.LARGE_OBJECTS, 0), large_objects(folder)))
    known = {table.oid for table in tables}
    found += [
        f"it holds data of a table with OID {oid}, which the snapshot does not have"
        for oid in listing.data
        if oid not in known
    ]
    return [sentence for sentence in found if sentence]


def compare(what: str, counted: int, archived: int) -> str:
    """Return a sentence when the rows are not the same: lost rows, or rows that only another snapshot can have had."""
    if archived < counted:
        return f"{what} has {archived} rows in it, and {counted} in the snapshot: {counted - archived} are lost"
    if archived > counted:
        return (
            f"{what} has {archived} rows in it, and only {counted} in the snapshot: it was read from another snapshot"
        )
    return ""
