# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print lines for a person as they are; debug would quote and wrap them, in a different way for every callback."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

COLORS = {"refused": "red", "FAILED": "red", "warning": "yellow"}


def color(line: str) -> str | None:
    """Return the colour of a line by the verdict that it begins with, None for the terminal's own."""
    return COLORS.get((line.split() or [""])[0])


class ActionModule(ActionBase):
    """The action behind the module of the same name."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the lines and change nothing."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            {"lines": {"type": "list", "elements": "str", "required": True}}
        )
        for line in arguments["lines"]:
            Display().display(line, color=color(line))
        return {"changed": False}
