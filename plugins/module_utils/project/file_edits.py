# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of deployed files, made whole or not at all."""

from __future__ import annotations

import difflib
import errno
import os
import shutil
import tempfile
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.core.redact import redact
from ansible_collections.openlmis.operations.plugins.module_utils.project import edits


def changed_lines(before: str, after: str) -> Tuple[str, str]:
    """Return the lines that are only in the one and only in the other text, secrets masked."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    found = ("".join(line[2:] + "\n" for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
    return tuple(redact(text.encode("utf-8", "replace").decode()) for text in found)


def write(module: Any, path: str, text: str, source: Optional[str]) -> None:
    """Put the text into the file at once; what a link points to is replaced, not the link."""
    dest = os.path.realpath(path)
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    handle, part = tempfile.mkstemp(dir=os.path.dirname(dest), prefix=".openlmis-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if source and not os.path.exists(dest):
            shutil.copystat(source, part)
            status = os.stat(source)
            module.set_owner_if_different(part, status.st_uid, False)
            module.set_group_if_different(part, status.st_gid, False)
            os.rename(part, dest)
        else:
            module.atomic_move(part, dest)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def make(module: Any, planned: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Make edits that lead to a release, each file whole or not at all; return C(edits), C(changed) paths and a
    C(diff).

    Nothing is written in check mode. Raises OperationError when a file cannot be changed.
    """
    try:
        texts = edits.read_texts([edit["path"] for edit in planned])
        for edit in planned:
            if edit["path"] not in texts and not edit.get("source"):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), edit["path"])
        after, made = edits.apply(texts, planned)
        sources = {edit["path"]: edit.get("source") for edit in planned}
        changed = [path for path in after if after[path] != texts.get(path)]
        for path in changed if not module.check_mode else ():
            write(module, path, after[path], sources[path])
    except OSError as error:
        raise OperationError(
            f"{error.filename or 'A file of the deployment'} cannot be changed ({error.strerror}); every edit is"
            " expected to be made. A file has all of its edits or none. Fix that and run again."
        ) from error
    return {"edits": made, "changed": changed, "diff": [difference(path, texts, after, sources) for path in changed]}


def difference(
    path: str, texts: Mapping[str, str], after: Mapping[str, str], sources: Mapping[str, Any]
) -> Dict[str, str]:
    """Return the diff of one file; of one that is replaced whole every line may be new, and each may hold a secret."""
    whole = ("", "The content as prepared is not shown.\n")
    before_lines, after_lines = whole if sources[path] else changed_lines(texts[path], after[path])
    return {"before": before_lines, "after": after_lines, "before_header": path, "after_header": path}
