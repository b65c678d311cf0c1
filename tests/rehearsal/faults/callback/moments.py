# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the campaign where a playbook is, and holds it before the step that the campaign waits for."""

from __future__ import annotations

import json
import os
import pathlib
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: moments
type: aggregate
short_description: Hold a playbook before a step
description: For the fault campaign of the rehearsal only.
"""


class CallbackModule(CallbackBase):
    """Before the wanted step it makes the file `arrived` and waits for the file `go`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "moments"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = pathlib.Path(os.environ["FAULTS_FOLDER"])
        self.step, self.left = json.loads(os.environ["FAULTS_MOMENT"])

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        """Called before each task; what comes after the site's own tasks belongs to a step that has begun."""
        if (
            task.action != "openlmis.operations.run_step"
            or task.args["step"] != self.step
            or task.args.get("part") == "end"
        ):
            return
        self.left -= 1
        if self.left == 0:
            (self.folder / "arrived").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.02)
