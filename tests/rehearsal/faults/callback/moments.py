# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the campaign where a playbook is, and holds it before the task that the campaign waits for."""

from __future__ import annotations

import json
import os
import pathlib
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: moments
type: aggregate
short_description: Hold a playbook before a task
description: For the fault campaign of the rehearsal only.
"""


class CallbackModule(CallbackBase):
    """Before the wanted task it makes the file `arrived` and waits for the file `go`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "moments"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = pathlib.Path(os.environ["FAULTS_FOLDER"])
        self.wanted = json.loads(os.environ["FAULTS_MOMENT"])
        self.step = None
        self.passes = {}

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        """Called before each task; the step stands in a variable of the block that the task is in."""
        step = task.get_vars().get("openlmis__step")
        entered = step != self.step
        self.step = step
        if step is None:
            return
        if entered:
            self.passes[step] = self.passes.get(step, 0) + 1
        wanted = self.wanted
        here = entered if wanted["task"] is None else task.get_name().endswith(wanted["task"])
        if here and step == wanted["step"] and self.passes[step] == wanted["pass"]:
            self.wanted = {**wanted, "step": None}
            (self.folder / "arrived").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.02)
