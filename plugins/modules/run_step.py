#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_step
short_description: Do one step of an upgrade or a rollback
version_added: "0.1.0"
description:
  - Internal. The role P(openlmis.operations.openlmis#role) calls it; its options may change with every version.
  - Begins a step in the journal on the host, does it, verifies what it was to reach, and ends it there, all in one
    process. A step is
    skipped only when the journal says that it is done and the server agrees.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.progress
options:
  step:
    description: The step.
    type: str
    required: true
    choices:
      - backup
      - check
      - check_rehearsal
      - check_rollback
      - failed
      - maintenance_off
      - maintenance_on
      - migrate_contact_details
      - pull
      - put_files_back
      - rehearsal_failed
      - report
      - report_rehearsal
      - restore
      - restore_copy
      - resume
      - set_versions
      - smoke_test
      - start
      - start_copy
      - stop
      - wait
      - way_back
      - ways
  part:
    description: V(end) is what comes after the site's own tasks, V(begin) all before them; without such tasks V(begin)
      is the whole step.
    type: str
    choices: [begin, end]
    default: begin
  phase:
    description: Which way the run goes.
    type: str
    choices: [upgrade, rollback]
    default: upgrade
  again:
    description: Whether this is the second start, or the second wait, of a run.
    type: bool
    default: false
  site:
    description: What the operator has set, without any secret.
    type: dict
    required: true
  run:
    description: Who works on the run (C(holder)), the C(commands) to run it again and back, and whether to C(take_over)
      another one's.
    type: dict
    required: true
  told:
    description: What only the playbook knows, such as the result of the check or why a task has failed.
    type: dict
    default: {}
  login_password:
    description: Password of the database's role.
    type: str
  admin_password:
    description: Password of the administrator.
    type: str
  client_secret:
    description: Secret of the OAuth client.
    type: str
attributes:
  check_mode:
    description: Says what the step would do.
    support: full
  diff_mode:
    description: Where a step changes files or rows, their difference.
    support: full
"""

EXAMPLES = r"""
# As the role's task file stop.yml does it, with the role's own variables.
- name: Take the server offline
  openlmis.operations.run_step:
    step: stop
    site: "{{ openlmis__site }}"
    run: "{{ openlmis__run }}"
"""

RETURN = r"""
lines:
  description: What the step says. Its action shows the lines and takes them out of the result.
  returned: always
  type: list
  elements: str
duration:
  description: Seconds that the work itself took, where it tells them.
  returned: success
  type: raw
site_tasks:
  description: Whether the site's own tasks come next, and then the rest of the step.
  returned: success
  type: bool
refused:
  description: Why the run must not begin; empty where it may.
  returned: from V(check), V(check_rollback) and V(check_rehearsal)
  type: list
  elements: str
nothing_to_do:
  description: Why there is nothing to do; empty where there is.
  returned: from V(check), V(check_rollback) and V(check_rehearsal)
  type: str
question:
  description: What is asked before users are kept out.
  returned: from V(check), V(check_rollback) and V(check_rehearsal)
  type: str
table:
  description: What the check found. It returns all that M(openlmis.operations.upgrade_check) does.
  returned: from V(check)
  type: list
  elements: str
further:
  description: Whether more than files and backup can be looked at before anything is changed.
  returned: from V(check_rollback)
  type: bool
under_way:
  description: Whether there is a run to resume.
  returned: from V(resume)
  type: bool
journal:
  description: The journal of the run that is resumed, none without one.
  returned: from V(resume)
  type: dict
folder:
  description: The backup's folder, with its C(files) and C(links); none where no new one was to be made.
  returned: from V(backup)
  type: str
fetch:
  description: Files of the report to fetch, each with C(src) on the host and C(dest) on the controller.
  returned: from V(report), V(failed) and V(report_rehearsal)
  type: list
  elements: dict
sentence:
  description: What the playbook fails with.
  returned: from V(failed) and V(rehearsal_failed)
  type: str
held_by:
  description: The controller that works on the run.
  returned: when that is another one
  type: dict
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress, skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.run import registry, step


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Do the step; whatever becomes of it, what it has said by then is shown."""
    compose.require_docker(module)
    database.require_psycopg2(module)
    with progress.Progress(module.params["progress_file"]) as progressing:
        context = step.Context(module, progressing)
        try:
            result = registry.step_class(module.params["step"])(context).run()
        except OperationError as error:
            error.facts = {"lines": context.lines, **error.facts}
            raise
    diff = {"diff": context.diff} if context.diff else {}
    return {
        "site_tasks": False,
        "duration": context.duration,
        **result,
        **diff,
        "changed": context.changed,
        "lines": context.lines,
    }


def main() -> None:
    """Entry point of the module."""
    spec = progress.argument_spec()
    spec.update(
        step={"type": "str", "required": True, "choices": sorted(registry.STEPS)},
        part={"type": "str", "choices": ["begin", "end"], "default": "begin"},
        phase={"type": "str", "choices": ["upgrade", "rollback"], "default": "upgrade"},
        again={"type": "bool", "default": False},
        site={"type": "dict", "required": True},
        run={"type": "dict", "required": True},
        told={"type": "dict", "default": {}},
        login_password={"type": "str", "no_log": True},
        admin_password={"type": "str", "no_log": True},
        client_secret={"type": "str", "no_log": True},
    )
    skeleton.main(spec, work)


if __name__ == "__main__":
    main()
