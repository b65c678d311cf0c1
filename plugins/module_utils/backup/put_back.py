# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deployed files of a backup, put back."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
from typing import List

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError


def paths(folder: str) -> List[str]:
    """Return every file and symbolic link under a folder, relative to it."""
    found = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found += [os.path.relpath(os.path.join(parent, name), folder) for name in files + links]
    return sorted(found)


def same(one: str, other: str) -> bool:
    """Tell whether both are the same link, or files with the same content, mode and owner."""
    try:
        first, second = os.lstat(one), os.lstat(other)
    except FileNotFoundError:
        return False
    if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode) or (first.st_uid, first.st_gid) != (
        second.st_uid,
        second.st_gid,
    ):
        return False
    if stat.S_ISLNK(first.st_mode):
        return os.readlink(one) == os.readlink(other)
    return first.st_mode == second.st_mode and filecmp.cmp(one, other, shallow=False)


def copy(source: str, dest: str) -> None:
    """Copy a file or link with mode and owner, so that the destination has the old content or the new, never a part."""
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    with disk.replacing(dest) as part:
        shutil.copy2(source, part, follow_symlinks=False)
        status = os.lstat(source)
        if os.geteuid() == 0:
            os.chown(part, status.st_uid, status.st_gid, follow_symlinks=False)


def added(backup: str, project_src: str) -> List[str]:
    """Return the files that the upgrade added, by the backup's manifest, and that are there."""
    noted = disk.load(os.path.join(backup, backups.MANIFEST)).get("added") or []
    return [path for path in noted if os.path.lexists(os.path.join(project_src, path))]


def put_back(backup: str, project_src: str, aside: str) -> List[str]:
    """Put the deployed files of a backup back; what they replace is kept in C(aside). Return their paths.

    The first one that is replaced is the one to keep: a second try finds what the first has put there. Raises
    OperationError.
    """
    differing = []
    try:
        for part, dest in (("files", project_src), ("outside", "/")):
            source = os.path.join(backup, part)
            for path in paths(source):
                current = os.path.join(dest, path)
                if not same(os.path.join(source, path), current):
                    differing.append(path if part == "files" else current)
                    os.makedirs(os.path.join(aside, part), mode=0o700, exist_ok=True)
                    keep(current, os.path.join(aside, part, path))
                    copy(os.path.join(source, path), current)
        for path in added(backup, project_src):
            differing.append(path)
            os.makedirs(os.path.join(aside, "files"), mode=0o700, exist_ok=True)
            keep(os.path.join(project_src, path), os.path.join(aside, "files", path))
            os.unlink(os.path.join(project_src, path))
    except OSError as error:
        raise OperationError(
            f"{error.filename} cannot be put back ({error.strerror}). The files before it are as they were backed up;"
            " the backup is whole. Correct that and run again."
        ) from error
    return differing


def keep(current: str, kept: str) -> None:
    """Keep a copy of a file or link that is about to be replaced, unless there is one."""
    if os.path.lexists(current) and not os.path.lexists(kept):
        copy(current, kept)
