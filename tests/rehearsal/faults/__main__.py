# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints a table: each fault, and how it ended when the operator went on, and when the operator rolled back."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fnmatch
import hashlib
import json
import pathlib
import signal
import sys
import tempfile

import docker.errors
from stack import deployment
from stack.images import RehearsalError
from stack.releases import CHECKOUT, START_RELEASES

from .catalogue import all_faults, disarm_all
from .scene import LEFT_OUT, Ending, Fault, Scene

ROWS = CHECKOUT / ".cache" / "faults.json"
CODE = ("playbooks", "plugins", "roles", "tests/rehearsal")
WAYS = ("resumed", "rolled_back")


def code_digest() -> str:
    """What an earlier row must have been made with to still count."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((CHECKOUT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(CHECKOUT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def earlier(digest: str) -> dict[str, dict[str, Ending]]:
    """The endings that were kept from the same code."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(ROWS.read_text())
        if kept["code"] == digest:
            return {name: {way: Ending(**end) for way, end in row.items()} for name, row in kept["rows"].items()}
    return {}


def keep(digest: str, rows: dict[str, dict[str, Ending]]) -> None:
    """Keep the endings for a campaign that goes on."""
    ROWS.parent.mkdir(exist_ok=True)
    asdict = {name: {way: dataclasses.asdict(end) for way, end in row.items()} for name, row in rows.items()}
    ROWS.write_text(json.dumps({"code": digest, "rows": asdict}, indent=1))


def shorten(text: str, width: int) -> str:
    """One line of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def line(fault: Fault, row: dict[str, Ending]) -> str:
    """A row of the table."""
    cells = []
    for way in WAYS:
        ending = row.get(way)
        cells.append("-" if ending is None else "%s %3.0f s" % ("ok" if ending.ok else "LOST", ending.seconds))
    first = next(iter(row.values())).first
    return "%-48s %s %s" % (fault.name, " ".join("%-10s" % cell for cell in cells), shorten(first, 90))


def chosen(patterns: list[str], shard: str) -> list[Fault]:
    """The faults of a campaign, in their order."""
    number, _slash, count = shard.partition("/")
    found = [one for one in all_faults() if any(fnmatch.fnmatch(one.name, pattern) for pattern in patterns or ["*"])]
    return found[int(number) - 1 :: int(count)]


def chains(faults: list[Fault]) -> dict[str, list[Fault]]:
    """The kills that may follow each other in one upgrade: those of the same process at the same time of a step."""
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        if fault.name.startswith("kill "):
            found.setdefault(" ".join(fault.name.split()[:3]), []).append(fault)
    return found


def new_scene(stack: contextlib.ExitStack) -> Scene:
    """A small server, saved, and what an undisturbed upgrade makes of it."""
    disarm_all()
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
    running = deployment.running(START_RELEASES[-1], folder / "rehearsal", without=LEFT_OUT)
    scene = Scene(stack.enter_context(running))
    scene.upgrade_undisturbed()
    return scene


def main() -> int:
    """Run the campaign; 1 when a row is lost."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("faults", nargs="*", help="patterns of names, such as 'kill*backup' (all)")
    parser.add_argument("--list", action="store_true", help="only say which faults there are")
    parser.add_argument("--shard", default="1/1", help="which part of how many, for several machines (%(default)s)")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this way out")
    parser.add_argument(
        "--chain",
        action="store_true",
        help="the kills' way on in four upgrades that are killed again and again, each by the next",
    )
    parser.add_argument("--again", action="store_true", help="also what an earlier campaign of the same code has done")
    options = parser.parse_args()
    faults, ways = chosen(options.faults, options.shard), options.way or list(WAYS)
    if options.list:
        print("\n".join(fault.name for fault in faults))
        return 0
    digest = code_digest()
    rows = {} if options.again else earlier(digest)
    lost = []
    print("%-48s %-10s %-10s %s" % ("fault", "resumed", "rolled back", "the first run said"))
    with contextlib.ExitStack() as stack:
        scene = None
        if options.chain:
            scene = new_scene(stack)
            for name, links in chains(faults).items():
                for fault, ending in scene.chained(name, links).items():
                    rows.setdefault(fault, {})["resumed"] = ending
                keep(digest, rows)
        for fault in faults:
            row = rows.setdefault(fault.name, {})
            for way in ways:
                if way not in row or not row[way].ok:
                    scene = scene or new_scene(stack)
                    row[way] = getattr(scene, way)(fault)
                    keep(digest, rows)
            print(line(fault, row))
            for way in ways:
                if not row[way].ok:
                    lost.append("%s, %s: %s" % (fault.name, way.replace("_", " "), row[way].result))
                    print("    %s" % shorten(lost[-1], 400))
            sys.stdout.flush()
    print("%d faults, %d endings, %d lost" % (len(faults), len(faults) * len(ways), len(lost)))
    return 1 if lost else 0


if __name__ == "__main__":
    # A campaign that is told to end clears away what it has set up.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main())
    except (RehearsalError, docker.errors.DockerException) as error:
        print("faults: %s" % error, file=sys.stderr)
        sys.exit(2)
