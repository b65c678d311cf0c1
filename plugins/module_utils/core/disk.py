# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are written whole or not at all, and for good: a crash leaves the old content or the new."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from typing import Any, Dict, Iterator, Mapping

CHUNK = 1 << 20


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield a path in a folder for nobody else, on the same file system; what is there at the end of the block takes
    the place of C(path).
    """
    folder = os.path.dirname(path)
    place = tempfile.mkdtemp(prefix=".openlmis-", dir=folder)
    try:
        part = os.path.join(place, os.path.basename(path))
        yield part
        if not os.path.islink(part):
            sync(part)
        os.replace(part, path)
        sync(folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_text(path: str, text: str) -> None:
    """Write a file, mode 0600. Raises OSError."""
    with replacing(path) as part, open(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def write(path: str, content: Mapping[str, Any]) -> None:
    """Write a JSON file, mode 0600. Raises OSError."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True))


def load(path: str) -> Dict[str, Any]:
    """Return the content of a JSON file that holds an object, nothing of one that is missing or cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def checksum(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def existing(path: str) -> str:
    """Return the path, or the nearest folder above it that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def sync(path: str) -> None:
    """Have the disk hold what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: str) -> None:
    """Have the disk hold every file and folder under a folder, and the folder itself."""
    for parent, _folders, files in os.walk(folder, topdown=False):
        for name in files:
            path = os.path.join(parent, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                sync(path)
        sync(parent)
