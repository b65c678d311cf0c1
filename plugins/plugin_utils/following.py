# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions of modules that take long: they show every few seconds how far the module is.

The module runs as every module does; its result, its death and what stays of it are Ansible's own matter. Beside it a
thread reads what the module says of itself, over a connection of its own. Whatever happens to that thread, the task
goes on.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import shlex
import threading
import time
from functools import partial
from typing import Any, Callable

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

EVERY = 8.0  # seconds between two lines; with a slow look at the file no more than ten
PATIENCE = 1.5  # seconds to wait for a look


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def line(name: str, said: str, elapsed: float, expected: float | None, host: str = "") -> str:
    """Return the line that says what is known of a task under way; times in seconds."""
    parts = [*filter(None, [said]), f"{clock(elapsed)} so far"]
    left = (expected or 0) - int(elapsed)
    if left > 0:
        parts.append(f"about {clock(left)} left")
    elif expected:
        parts.append(f"a rehearsal took {clock(expected)}")
    return f"  {f'{host} ' if host else ''}{name}: {', '.join(parts)}"


class Follower:
    """Shows lines of one task until it is told that the task has ended."""

    def __init__(self, connection: Any, path: str | None, tell: Callable[[str, float], None]) -> None:
        # The same connection but for what a command under way writes to it; the file needs no other user's rights.
        self.connection = copy.copy(connection)
        self.connection.become = None
        self.path, self.tell = path, tell
        self.said = ""
        self.ended = threading.Event()
        self.telling = threading.Lock()
        self.begun = time.monotonic()
        self._beside(self._follow)

    def end(self) -> None:
        """Show nothing more. A line under way is waited for, however long: a process that ended within it would leave
        the queue to Ansible's own locked, and all tasks that follow would wait for it for ever."""
        self.ended.set()
        with self.telling:
            pass

    def _beside(self, work: Callable[[], None]) -> threading.Thread:
        # Ansible's core keeps in the context what task this is.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
        thread.start()
        return thread

    def _follow(self) -> None:
        look = None
        shown = self.begun
        while True:
            shown += EVERY
            if self.ended.wait(max(0.0, shown - time.monotonic())):
                return
            # One that does not come back must not keep the line from being shown.
            if self.path and not (look and look.is_alive()):
                look = self._beside(self._look)
                look.join(PATIENCE)
            with self.telling:
                if self.ended.is_set():
                    return
                self.tell(self.said, time.monotonic() - self.begun)

    def _look(self) -> None:
        with contextlib.suppress(Exception):
            code, output, _errors = self.connection.exec_command("cat " + shlex.quote(self.path or ""), sudoable=False)
            self.said = self.said if code else output.decode("utf-8", "replace").strip()


class FollowingAction(NormalAction):
    """Runs a module that has the options of the documentation fragment C(progress), and shows how far it is."""

    # What the module does, in a word.
    DOES = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; nothing but its own result is returned."""
        if self._task.async_val:
            return super().run(tmp, task_vars)
        given, path = self._task.args, self._progress_file()
        if path:
            self._task.args = {**given, "progress_file": path}
        follower = Follower(self._connection, path, partial(self._tell, task_vars or {}))
        try:
            return super().run(tmp, task_vars)
        finally:
            follower.end()
            self._task.args = given

    def _progress_file(self) -> str | None:
        """Return a file in the task's own folder on the host; None where a user without rights there runs the module:
        only the time is told.
        """
        if self._task.args.get("progress_file") or self._is_become_unprivileged():
            return self._task.args.get("progress_file")
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        return self._connection._shell.join_path(self._connection._shell.tmpdir, "progress")

    def _tell(self, task_vars: dict[str, Any], said: str, elapsed: float) -> None:
        # Some callbacks write to standard output what a program reads.
        several = len(task_vars.get("ansible_play_batch", [])) > 1
        host = task_vars.get("inventory_hostname", "") if several else ""
        expected = self._task.args.get("expected_seconds")
        Display().display(line(self.DOES, said, elapsed, float(expected or 0), host), stderr=True)
