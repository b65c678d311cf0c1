# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a module is, told in a file that its action reads while the module works."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Callable, Dict, Optional

INTERVAL = 2.0  # seconds between two looks at how far it is


def argument_spec() -> Dict[str, Any]:
    """Return the options of the documentation fragment C(progress)."""
    return {"progress_file": {"type": "path"}, "expected_seconds": {"type": "float"}}


def size(amount: float) -> str:
    """Return a number of bytes in words."""
    mebibytes = amount / 2**20
    return f"{mebibytes:.1f} MiB" if mebibytes < 10 else f"{mebibytes:,.0f} MiB"


def write(path: str, text: str) -> None:
    """Have the file hold this text, for its folder's owner: another one, maybe, than this process'. Raises OSError."""
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        if os.geteuid() == 0:
            folder = os.stat(os.path.dirname(path))
            os.fchown(stream.fileno(), folder.st_uid, folder.st_gid)
    os.replace(new, path)


class Progress:
    """Tells how far a module is for as long as the block lasts; without a file it tells nobody.

    A thread of its own does, so that a long statement or a long wait can be told of. What goes wrong with it must not
    cost the module its work, and so is passed over.
    """

    def __init__(self, path: Optional[str] = None) -> None:
        self.path = path
        self._said: str | Callable[[], str] = ""
        self._written = ""
        self._over = threading.Event()

    def say(self, what: str | Callable[[], str]) -> None:
        """Say what the module is at from now on: a text, or what gives one and may be asked at any moment from another
        thread.
        """
        self._said = what

    def __enter__(self) -> Progress:
        if self.path:
            threading.Thread(target=self._tell, daemon=True).start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._over.set()

    def _tell(self) -> None:
        while not self._over.wait(INTERVAL):
            with contextlib.suppress(Exception):
                text = self._said() if callable(self._said) else self._said
                if text != self._written:
                    write(str(self.path), text)
                    self._written = text
