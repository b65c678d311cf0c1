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
  - A run belongs to one controller at a time, which the journal names; another one is refused.
  - Nothing is written, and nothing is compared, in check mode.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  path:
    description: The journal's file. Its directory is made when it is missing.
    type: path
    required: true
  state:
    description:
      - V(read) returns the journal. A damaged one is none, and C(damaged) says what is wrong with it.
      - V(claimed) makes O(holder) the one who goes on with the run under way. A damaged journal is moved aside. Where the
        journal does not know the backup that was made of O(run), it takes it from O(backup_dir).
      - V(started) notes that O(step) begins, in the run under way or else in a new one, unless it may be skipped.
      - V(done) notes that O(step) has ended, with O(data).
      - V(failed) notes why the step did not end, and lets go of the run, when O(holder) has it; else nothing is noted.
      - V(finished) ends the run with O(outcome).
    type: str
    choices: [read, claimed, started, done, failed, finished]
    default: read
  step:
    description: Name of the step.
    type: str
  phase:
    description: Which way the run goes. V(rollback) turns the last run round, whether it had finished or not, and ends it.
    type: str
    choices: [upgrade, rollback]
    default: upgrade
  plan:
    description: The steps of this phase in their order. Each needs the one before it to be done in this run and phase.
    type: list
    elements: str
    default: []
  reached:
    description:
      - Whether what O(step) brings about is the case.
      - A step is skipped only when it is, and the journal says that the step is done.
    type: bool
    default: false
  database:
    description:
      - What M(openlmis.operations.server_info) says of the database, with O(state=read), O(state=started) or O(state=done).
      - Another one than the run began with is an error.
    type: dict
    default: {}
  expected:
    description:
      - Whether what must hold does, before a step with O(state=started), after it with O(state=done).
      - When it does not, O(otherwise) is the error. A step is begun nevertheless, so that its failure can be noted, but it is not ended.
        One that is skipped needs nothing.
    type: bool
    default: true
  otherwise:
    description: What was found, what was expected and what to do, where O(expected) does not hold.
    type: str
    default: ""
  data:
    description: What to keep with the step, with O(state=done) or O(state=failed).
    type: dict
    default: {}
  run:
    description:
      - What to keep with the run when O(state=started) begins a new one; with O(state=done), what to change in it.
      - With O(state=claimed), C(database) is the database's identity and C(to) the release.
    type: dict
    default: {}
  holder:
    description: Who works on the run, C(host), C(user), C(pid) and C(started), as the lookup P(openlmis.operations.controller#lookup) tells.
    type: dict
    default: {}
  take_over:
    description: Whether to go on with a run that somebody else holds.
    type: bool
    default: false
  commands:
    description: The commands to go on and to roll back, kept with the run.
    type: dict
    default: {}
  backup_dir:
    description: Where backups lie, for O(state=claimed).
    type: path
  finding:
    description: Why the step failed, for O(state=failed).
    type: str
  server:
    description: What M(openlmis.operations.server_info) found after the failure, for O(state=failed); none when it could not look.
    type: dict
    default: {}
  outcome:
    description: How the run ended.
    type: str
    choices: [upgraded, rolled back]
    default: upgraded
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
      bytes: 1048576
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
damaged:
  description: What is wrong with the file, empty when nothing is.
  returned: success
  type: str
skip:
  description: Whether the step need not be done again.
  returned: when O(state=started)
  type: bool
done:
  description: The steps that are done in this run and phase.
  returned: success
  type: list
  elements: str
keep_out:
  description: Whether the run under way has closed the gate and not opened it again.
  returned: success
  type: bool
noted:
  description: Whether it is the run that failed, and not something that has not got it in hand, such as a check.
  returned: when O(state=failed)
  type: bool
lines:
  description: What an operator must know after a failure.
  returned: when O(state=failed)
  type: list
  elements: str
summary:
  description: Seconds of every step that has ended, and seconds offline, from the first to the last step in which users are kept out.
  returned: success
  type: dict
  sample: {"offline": 71.2, "steps": [{"step": "pull", "seconds": 2.1}]}
"""

import json
import os
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError


def manifests(directory: str) -> list:
    """Return the manifests of all backups in the directory as (folder, manifest), oldest first; unreadable ones are none."""
    found = []
    for name in sorted(os.listdir(directory)) if directory and os.path.isdir(directory) else []:
        folder = os.path.join(directory, name)
        try:
            with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as stream:
                found.append((folder, json.load(stream)))
        except (OSError, ValueError):
            continue
    return found


def claim(params: dict, now: str) -> journals.Journal | None:
    """Return the journal that this controller goes on with, mended where the world knows better; None without a run."""
    path = params["path"]
    journal, damaged = journals.load(path)
    if damaged:
        os.replace(path, f"{path}.damaged-{journals.run_id(now)}")
    journal = journals.recovered(journal, manifests(params["backup_dir"]), params["run"], now)
    if journal is not None and journals.under_way(journal):
        journal = journals.claimed(journal, params["holder"], params["take_over"])
        if params["phase"] == "upgrade":
            journal = journals.given_up(journal, params["run"].get("database"))
    return journal


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=journals.argument_spec(), required_if=journals.REQUIRED_IF, supports_check_mode=True)
    params, state = module.params, module.params["state"]
    finding = journals.plain(params["finding"] or "")
    now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")
    result = {}
    try:
        journal, damaged = journals.load(params["path"])
        before, writes = journal, state != "read" and not module.check_mode
        if state == "failed":
            result["noted"] = writes and journals.in_hand(journal, params["holder"])
            result["lines"] = journals.failure_lines(journal, params["phase"], params["server"], finding, params["commands"])
        if writes and state == "claimed":
            journal = claim(params, now)
        elif writes and damaged:
            raise OperationError(damaged)
        elif state in journals.PLAIN:
            journal, result = journals.noted(journal, params, now, writes)
        elif result.get("noted"):
            journal = journals.failed(journal, finding, now, params["data"])
        elif writes and state == "finished" and journal is not None:
            journal = dict(journal, finished=now, outcome=params["outcome"], holder={})
        if journal is not None and journal != before:
            journals.save(params["path"], journal)
        if state in ("read", "started") and not module.check_mode:
            # A step has begun in the journal by now, so that its failure is noted there, too.
            journals.require_expected(journal, params, result.get("skip", False))
        module.exit_json(**journals.told(journal, before, params["phase"], damaged), **result)
    except OperationError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{params['path']} cannot be written ({error.strerror}); a journal that survives the run is expected."
            " Make room or set openlmis_state_dir to a directory that this user may write, and run again."
        )


if __name__ == "__main__":
    main()
