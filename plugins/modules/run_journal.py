#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_journal
short_description: Keep the journal of an upgrade on the host
version_added: "0.1.0"
description:
  - Records when each step of a run began and ended, and what only the run itself can know, in one JSON file.
  - The file is replaced atomically, file and directory synced, with mode 0600. It holds no password.
  - Nothing is written in check mode.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  path:
    description: The journal's file. Its directory is made when it is missing.
    type: path
    required: true
  state:
    description:
      - V(read) returns the journal.
      - V(started) notes that O(step) begins, in the run under way or else in a new one.
      - V(done) notes that O(step) has ended, with O(data).
      - V(finished) ends the run.
    type: str
    choices: [read, started, done, finished]
    default: read
  step:
    description: Name of the step.
    type: str
  data:
    description: What to keep with the step.
    type: dict
    default: {}
  run:
    description: What to keep with the run when O(state=started) begins a new one.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Nothing is written; the journal on disk is returned.
    support: full
  diff_mode:
    description: The journal is no configuration to compare.
    support: none
"""

EXAMPLES = r"""
- name: The backup begins
  openlmis.operations.run_journal:
    path: /var/lib/openlmis-operations/journal.json
    state: started
    step: backup

- name: The backup has ended
  openlmis.operations.run_journal:
    path: /var/lib/openlmis-operations/journal.json
    state: done
    step: backup
    data:
      size: 1048576
"""

RETURN = r"""
journal:
  description: The journal, none when there is no file.
  returned: success
  type: dict
under_way:
  description: Whether a run was begun and not finished.
  returned: success
  type: bool
summary:
  description: Seconds of every step that has ended, and seconds offline, from the beginning of C(stop) to the end of the last step in which users are kept out.
  returned: success
  type: dict
  sample: {"offline": 71.2, "steps": [{"step": "pull", "seconds": 2.1}]}
"""

import json
import os
import tempfile
from datetime import datetime, timezone
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

LAST_OFFLINE_STEPS = ("smoke_test", "maintenance_off")


def read(path: str) -> Optional[Dict[str, Any]]:
    """Return the journal at the path, None when there is none. Raises OperationError when it is not one."""
    try:
        with open(path, encoding="utf-8") as stream:
            journal = json.load(stream)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OperationError(f"{path} cannot be read as a journal ({error}); {_REMEDY}") from error
    if not isinstance(journal, dict) or not isinstance(journal.get("steps"), list) or "run_id" not in journal:
        raise OperationError(f"{path} is JSON but no journal; {_REMEDY}")
    return journal


_REMEDY = "the journal of an upgrade run is expected there. Move the file away if no upgrade is under way on this server, and run again."


def write(path: str, journal: Dict[str, Any]) -> None:
    """Replace the journal so that a crash leaves the old one or the new one, never a part."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory, prefix=".journal-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(journal, stream, indent=2, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def under_way(journal: Optional[Dict[str, Any]]) -> bool:
    """Tell whether the journal's run was begun and not finished."""
    return journal is not None and not journal["finished"]


def started(journal: Optional[Dict[str, Any]], step: str, run: Dict[str, Any], now: str) -> Dict[str, Any]:
    """Return the journal with the step begun; a finished run, or none, makes place for a new one."""
    if not under_way(journal):
        run_id = now.replace("-", "").replace(":", "").split(".")[0] + "Z"
        journal = {"run_id": run_id, "started": now, "finished": None, "run": run, "steps": []}
    steps = journal["steps"] + [{"step": step, "started": now, "finished": None, "data": {}}]
    return dict(journal, steps=steps)


def done(journal: Optional[Dict[str, Any]], step: str, data: Dict[str, Any], now: str) -> Dict[str, Any]:
    """Return the journal with the step ended. Raises OperationError when the step that runs is another one."""
    running = journal["steps"][-1] if journal and journal["steps"] else {"step": "none", "finished": None}
    if running["step"] != step or running["finished"]:
        raise OperationError(
            f"The journal's last step is {running['step']}; {step}, begun and not ended, is expected."
            " Another run may be writing to the same journal: see that only one is under way, and run again."
        )
    return dict(journal, steps=journal["steps"][:-1] + [dict(running, finished=now, data=data)])


def seconds(begin: str, end: str) -> float:
    """Return the seconds between two times of the journal, to a tenth."""
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds(), 1)


def summarise(journal: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the seconds of each ended step and the seconds offline, None when the window has not ended."""
    steps = [step for step in journal["steps"] if step["finished"]] if journal else []
    closed = next((step["started"] for step in steps if step["step"] == "stop"), None)
    opened = next((step["finished"] for step in reversed(steps) if step["step"] in LAST_OFFLINE_STEPS), None)
    return {
        "offline": seconds(closed, opened) if closed and opened else None,
        "steps": [{"step": step["step"], "seconds": seconds(step["started"], step["finished"])} for step in steps],
    }


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["read", "started", "done", "finished"], "default": "read"},
            "step": {"type": "str"},
            "data": {"type": "dict", "default": {}},
            "run": {"type": "dict", "default": {}},
        },
        required_if=[("state", "started", ("step",)), ("state", "done", ("step",))],
        supports_check_mode=True,
    )
    params, now = module.params, datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")
    try:
        journal = read(params["path"])
        changed = params["state"] != "read" and not module.check_mode
        if changed:
            if params["state"] == "started":
                journal = started(journal, params["step"], params["run"], now)
            elif params["state"] == "done":
                journal = done(journal, params["step"], params["data"], now)
            elif journal is not None:
                journal = dict(journal, finished=now)
            write(params["path"], journal)
        module.exit_json(changed=changed, journal=journal, under_way=under_way(journal), summary=summarise(journal))
    except OperationError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{params['path']} cannot be written ({error.strerror}); a journal that survives the run is expected."
            " Make room or set openlmis_state_dir to a directory that this user may write, and run again."
        )


if __name__ == "__main__":
    main()
