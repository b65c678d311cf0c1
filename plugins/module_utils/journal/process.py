# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which process of this host works at a step: it goes on when the controller that started it is gone."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

BOOT = "/proc/sys/kernel/random/boot_id"


def mine() -> Dict[str, Any]:
    """Return what tells this process from every other one: its number, and when it was started in which boot of the
    host.
    """
    return identity(os.getpid()) or {}


def identity(pid: int) -> Optional[Dict[str, Any]]:
    """Return what tells a process from every other one, None when it is not there."""
    try:
        with open(BOOT, encoding="ascii") as boot, open(
            f"/proc/{pid}/stat", encoding="utf-8", errors="replace"
        ) as stat:
            fields = stat.read().rpartition(")")[2].split()
            # One that has ended and that nobody has asked for its exit code.
            return None if fields[0] == "Z" else {"pid": pid, "boot": boot.read().strip(), "started": int(fields[19])}
    except (OSError, ValueError, IndexError):
        return None


def is_alive(noted: Optional[Mapping[str, Any]]) -> bool:
    """Tell whether the process that was noted still works."""
    return bool(noted) and identity(noted["pid"]) == noted
