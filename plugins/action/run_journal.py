# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the journal, or note a step in it, without starting Python on the host: a run does so twenty times while users are kept out.

What is written is worked out here by the functions that the module uses, and the host's shell replaces the file as safely as the module
does. Where that shell cannot do it, or finds no sound journal, the module is run, which knows what to say.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import uuid
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.openlmis.operations.plugins.module_utils import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

# Noise that a login shell may print comes before it.
MARK = "openlmis.operations: the journal"
# The host's clock: the journal's times are compared with those of backups and containers.
READ = "echo {mark} && date -u +%Y-%m-%dT%H:%M:%S.%3N && {{ test ! -e {path} || cat {path}; }}"
WRITE = (
    "umask 077 && mkdir -p {folder} && {{ {{ cp {source} {part} && sync {part} && mv -f {part} {path} && sync {folder}; }}"
    " || {{ rm -f {part}; exit 1; }}; }}"
)
ANSWER = re.compile(re.escape(MARK) + r"\r?\n(?P<now>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\r?\n(?P<text>.*)", re.DOTALL)


class ActionModule(NormalAction):
    """The action before the module of the same name."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read, begin or end a step; everything else is the module's."""
        path = str(self._task.args.get("path"))
        if self._task.args.get("state", "read") not in journals.PLAIN or not path.startswith("/") or self._task.async_val:
            return super().run(tmp, task_vars)
        ActionBase.run(self, tmp, task_vars)
        _validation, params = self.validate_argument_spec(journals.argument_spec(), required_if=journals.REQUIRED_IF)
        answer = ANSWER.search(self._said(READ.format(mark=shlex.quote(MARK), path=shlex.quote(path))) or "")
        before, damaged = journals.parsed(answer["text"], path) if answer and answer["text"] else (None, "")
        if not answer or damaged:
            return super().run(tmp, task_vars)
        state, check_mode = params["state"], self._task.check_mode
        try:
            journal, result = journals.noted(before, params, answer["now"], not check_mode)
            if journal is not None and journal != before and not self._save(path, journals.written(journal)):
                return super().run(tmp, task_vars)
            if state in ("read", "started") and not check_mode:
                journals.require_expected(journal, params, result.get("skip", False))
        except OperationError as error:
            return {"failed": True, "msg": str(error)}
        return {**journals.told(journal, before, params["phase"]), "damaged": "", **result}

    def _said(self, command: str) -> str | None:
        """Return what a command of the host's shell printed, None when it failed."""
        result = self._low_level_execute_command(command)
        return None if result["rc"] else result["stdout"]

    def _save(self, path: str, text: str) -> bool:
        """Replace the file so that a crash leaves the old one or the new one; tell whether that was done."""
        if self._is_become_unprivileged():
            return False
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        source = self._transfer_data(self._connection._shell.join_path(self._connection._shell.tmpdir, "journal"), text)
        folder = posixpath.dirname(path)
        names = {"folder": folder, "source": source, "part": f"{folder}/.journal-{uuid.uuid4().hex}", "path": path}
        return self._said(WRITE.format(**{name: shlex.quote(value) for name, value in names.items()})) is not None
