# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down when each task began and ended, for the benchmark of the runbook."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: timings
type: aggregate
short_description: Write down when each task began and ended
description: For the benchmark of the runbook only.
"""


class CallbackModule(CallbackBase):
    """One line of JSON for each event of the file that TIMINGS_FILE names; a task lasts until the next one begins."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "timings"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.stream = open(os.environ["TIMINGS_FILE"], "a", buffering=1)  # noqa: SIM115

    def write(self, event: str, **facts: object) -> None:
        # The processor's time of Ansible and of every module that has ended: it tells more than a clock where others
        # are at work.
        cpu = sum(os.times()[:4])
        self.stream.write(json.dumps({"event": event, "at": time.time(), "cpu": cpu, **facts}) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        """Called before each task."""
        step = task.args.get("step") if task.action == "openlmis.operations.run_step" else None
        self.write("task", name=task.get_name().rpartition(" : ")[2], step=step)

    def v2_runner_on_ok(self, result) -> None:
        """Called when a task has ended; some modules tell how long their work took."""
        told = getattr(result, "result", None) or result._result
        self.write("done", duration=told.get("duration"))

    def v2_runner_on_skipped(self, result) -> None:
        """Called when a task had nothing to do."""
        self.write("skipped")

    def v2_playbook_on_stats(self, stats) -> None:
        """Called at the end."""
        self.write("end")
