# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which kind of dump a path is, and whether it was written to its end: a backup of this collection, or what pg_dump and
pg_dumpall write.
"""

from __future__ import annotations

import gzip
import os
import zlib
from typing import Any, Dict, NamedTuple, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

BACKUP, DIRECTORY, CUSTOM, TAR, PLAIN, PLAIN_GZIP = "backup", "directory", "custom", "tar", "plain", "plain, gzip"
PLAINS = (PLAIN, PLAIN_GZIP)
EXPECTED = (
    "A folder that the upgrade has backed up to, or what pg_dump (plain, -Fc, -Fd, -Ft) or pg_dumpall has written,"
    " plain SQL also with gzip, is expected"
)
HEAD, TAIL, CHUNK = 1 << 13, 1 << 13, 1 << 20
# What a database takes on the disk for a byte of its dump: indexes come back, and most dumps are compressed.
GROWTH = {BACKUP: 6, DIRECTORY: 6, CUSTOM: 6, TAR: 2, PLAIN: 2, PLAIN_GZIP: 2}


class Dump(NamedTuple):
    """A dump: where it is, its kind, its bytes (of a compressed text those that come out), and the manifest of a
    backup.
    """

    path: str
    kind: str
    size: int
    manifest: Dict[str, Any]

    def archive(self) -> str:
        """Return what pg_restore reads; of a text that comes later."""
        return os.path.join(self.path, "database") if self.kind == BACKUP else self.path

    def grown(self) -> int:
        """Return about how many bytes the restored database takes."""
        return self.size * GROWTH[self.kind]

    def told(self) -> Dict[str, Any]:
        """Return what results and checks have of it."""
        keys = ("run", "release", "base_url", "created", "database", "tables")
        return {
            "path": self.path,
            "kind": self.kind,
            "size": self.size,
            "manifest": {key: self.manifest[key] for key in keys if key in self.manifest},
        }


def kind_of(head: bytes) -> str:
    """Return the kind of a file by its first bytes, empty for one that is no dump."""
    if head.startswith(b"PGDMP"):
        return CUSTOM
    if head[257:262] == b"ustar" and head.startswith(b"toc.dat\0"):
        return TAR
    # The marker is in the first lines, behind a line that newer programs write before it.
    return PLAIN if b"-- PostgreSQL database " in head and b" dump" in head else ""


def complete(tail: bytes) -> bool:
    """Tell whether a text ends as pg_dump and pg_dumpall end: what was cut off, psql would restore without a word."""
    return b"-- PostgreSQL database dump complete" in tail or b"-- PostgreSQL database cluster dump complete" in tail


def look(path: str) -> Dump:
    """Return what the dump is. Raises OperationError for what is none, or is not whole as far as its
    size and end tell.
    """
    path = os.path.realpath(path)
    try:
        return _folder(path) if os.path.isdir(path) else _file(path)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "it is cut off or damaged"
        raise OperationError(
            f"The dump {path} cannot be read: {why}. {EXPECTED}. Nothing was changed; copy it anew."
        ) from None


def _folder(path: str) -> Dump:
    if os.path.exists(os.path.join(path, backups.MANIFEST)) or os.path.exists(os.path.join(path, backups.DRAFT)):
        manifest, problems = backups.read(path)
        if manifest is None or "tables" not in manifest:
            problems = problems or ["its database was backed up by the site itself"]
            raise OperationError(
                f"The dump {path} cannot be restored: {'; '.join(problems)}. {EXPECTED}. Name another one."
            )
        return Dump(
            path,
            BACKUP,
            sum(size for name, size in manifest["sizes"].items() if name.startswith("database/")),
            manifest,
        )
    if os.path.exists(os.path.join(path, "toc.dat")):
        return Dump(path, DIRECTORY, sum(backups.walk(path)[0].values()), {})
    raise OperationError(
        f"The folder {path} is no dump: it has neither manifest.json nor toc.dat. {EXPECTED}. Name another one."
    )


def _file(path: str) -> Dump:
    with open(path, "rb") as stream:
        head = stream.read(HEAD)
    zipped = head.startswith(b"\x1f\x8b")
    if zipped:
        with gzip.open(path, "rb") as stream:
            head = stream.read(HEAD)
    kind = kind_of(head)
    if not kind or (zipped and kind != PLAIN):
        found = f"is a dump of the kind {kind} inside gzip; unpack it" if kind else "does not begin as a dump does"
        raise OperationError(f"The file {path} {found}. {EXPECTED}. Nothing was changed.")
    if kind != PLAIN:
        return Dump(path, kind, os.path.getsize(path), {})
    size, tail = _end(path, zipped)
    if not complete(tail):
        raise OperationError(
            f"The dump {path} is cut off: its end does not say that it is complete, as pg_dump and pg_dumpall write at"
            " the end. A whole dump is expected. Nothing was changed; copy or make it anew."
        )
    return Dump(path, PLAIN_GZIP if zipped else PLAIN, size, {})


def _end(path: str, zipped: bool) -> Tuple[int, bytes]:
    """Return how long a text is and its end; a compressed one is read to its end for that, which proves it, too."""
    if not zipped:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            stream.seek(max(0, size - TAIL))
            return size, stream.read()
    size, tail = 0, b""
    with gzip.open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            size, tail = size + len(chunk), (tail + chunk)[-TAIL:]
    return size, tail
