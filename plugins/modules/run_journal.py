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
      - V(claimed) makes O(holder) the one who works on the run under way. A journal that is damaged, or of another server's run, is moved
        aside. Where there is none of the run that has been at work here, it is written again by what that has left on O(server) - its
        backup in O(backup_dir), the images that it kept, the firewall that it closed, the containers that it removed, the migrations in
        the database. A server whose components run and whose users are let in, with backups of finished runs, is no such run.
      - V(started) notes that O(step) begins, in the run under way or else in a new one, unless it may be skipped.
      - V(done) notes that O(step) has ended, with O(data).
      - V(failed) notes why the step did not end, and lets go of the run, when it is O(holder)'s; else nothing is noted.
      - V(finished) ends the run with O(outcome).
      - V(done) and V(finished) are refused to everybody but the O(holder) who began the step or has taken the run over.
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
      - With O(state=claimed), C(to) is the release.
    type: dict
    default: {}
  holder:
    description: Who works on the run, C(host), C(user), C(pid) and C(started), as the lookup P(openlmis.operations.controller#lookup) tells.
    type: dict
    default: {}
  take_over:
    description: Whether to take over a run on which another controller works.
    type: bool
    default: false
  held:
    description: Whether the run was O(holder)'s when it was last read; with O(state=started) it must be still, and is not taken over.
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
    description:
      - What M(openlmis.operations.server_info) found, for O(state=claimed).
      - With O(state=failed) what it found after the failure; none when it could not look.
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
  description: Whether a run was begun and not finished, and has done more than to fetch images.
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
lost:
  description: Why the journal that was there is none of a run on this server, and where it is now; empty when nothing is wrong with it.
  returned: when O(state=claimed)
  type: str
recovered:
  description: Whether the journal was written again.
  returned: when O(state=claimed)
  type: bool
mounts:
  description: Where the data of a database lies that does not answer, and without which nobody can tell how far a run came.
  returned: when O(state=claimed)
  type: dict
noted:
  description: Whether it is the run that failed, and not something beside it, such as a check.
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
import re
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import backups, compose, firewall
from ansible_collections.openlmis.operations.plugins.module_utils import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

# As keep_images names what a run keeps.
KEPT = re.compile(r"openlmis-operations/(?P<service>[^:]+):before-(?P<run>\d{8}T\d{6}Z)$")


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


def kept_images() -> dict:
    """Return the images that each run has kept, by service, with all their names; none where Docker does not answer."""
    found: dict = {}
    try:
        images = compose.docker_client().api.images()
    except OperationError:
        return found
    for image in images:
        for match in filter(None, map(KEPT.match, image["RepoTags"] or [])):
            found.setdefault(match["run"], {})[match["service"]] = {"id": image["Id"], "names": image["RepoTags"]}
    return found


def is_closed(module: AnsibleModule) -> bool:
    """Tell whether the firewall keeps users out; a host without one does not."""
    try:
        commands = (f"{name}-{verb}" for name in ("iptables", "ip6tables") for verb in ("save", "restore"))
        return not firewall.Firewall({name: module.get_bin_path(name) for name in commands}).gone()
    except OperationError:
        return False


def has_changed(folder: str, manifest: dict, project_src: str) -> bool:
    """Tell whether a deployed file is not as the backup has it."""
    for path, digest in manifest.get("checksums", {}).items():
        part, _slash, inside = path.partition("/")
        if part == "files":
            try:
                if backups.checksum(os.path.join(project_src, inside)) != digest:
                    return True
            except OSError:
                return True
    return False


def traces(module: AnsibleModule) -> journals.Traces:
    """Return what runs have left on this server."""
    src, found = module.params["server"]["project"]["src"], manifests(module.params["backup_dir"])
    changed = [folder for folder, manifest in found if backups.source_of(manifest) == src and has_changed(folder, manifest, src)]
    return journals.Traces(found, kept_images(), is_closed(module), changed)


def claim(module: AnsibleModule, now: str) -> tuple:
    """Return the journal that this controller resumes (None without a run) and what there is to tell of how it was found."""
    params, path = module.params, module.params["path"]
    journal, lost = journals.load(path)
    left, server = traces(module), params["server"]
    lost = lost or (journals.stray(journal, left, server) if journal is not None else "")
    if lost:
        aside = f"{path}.{'damaged' if journal is None else 'stray'}-{journals.run_id(now)}"
        if not module.check_mode:
            os.replace(path, aside)
        journal, lost = None, f"The journal {'would be' if module.check_mode else 'was'} put aside as {aside}: {lost}"
    mounts = journals.unanswered(journal, left, server)
    before = journal
    journal = journals.recovered(journal, left, server, params["run"].get("to"), now)
    # A run of which no journal was left is the only one that is unfinished now and was not before.
    told = {"lost": lost, "mounts": mounts, "recovered": journals.unfinished(journal) and not journals.unfinished(before)}
    if journal is not None and journals.under_way(journal):
        journal = journals.claimed(journal, params["holder"], params["take_over"])
        if params["phase"] == "upgrade":
            journal = journals.given_up(journal, server["database"]["identity"])
    return journal, told


def change(module: AnsibleModule, now: str) -> tuple:
    """Return the journal before and after what the options say, and what the module tells besides; nothing is written yet."""
    params, state = module.params, module.params["state"]
    journal, damaged = journals.load(params["path"])
    before, writes, result = journal, state != "read" and not module.check_mode, {"damaged": damaged}
    if state == "claimed":
        journal, told = claim(module, now)
        return before, journal, {**told, "damaged": ""}
    if state == "failed":
        result["noted"] = writes and journals.is_run_by(journal, params["holder"])
        known = journal if result["noted"] or journals.under_way(journal) else None
        finding = journals.plain(params["finding"])
        result["lines"] = journals.failure_lines(known, params["phase"], params["server"], finding, params["commands"])
        if result["noted"]:
            journal = journals.failed(journal, finding, now, params["data"])
    elif writes and damaged:
        raise OperationError(damaged)
    elif state in journals.PLAIN:
        journal, told = journals.noted(journal, params, now, writes)
        result.update(told)
    elif writes and journal is not None:
        journal = journals.finished(journal, params, now)
    return before, journal, result


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=journals.argument_spec(), required_if=journals.REQUIRED_IF, supports_check_mode=True)
    params, state = module.params, module.params["state"]
    now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")
    try:
        before, journal, result = change(module, now)
        if journal is not None and journal != before and not module.check_mode:
            journals.save(params["path"], journal)
        if state in ("read", "started") and not module.check_mode:
            # A step has begun in the journal by now, so that its failure is noted there, too.
            journals.require_expected(journal, params, result.get("skip", False))
        module.exit_json(**journals.told(journal, before, params["phase"]), **result)
    except OperationError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{params['path']} cannot be written ({error.strerror}), and a run needs a journal that survives it. Free some space, or set"
            " openlmis_state_dir to a directory that this user may write, and run again."
        )


if __name__ == "__main__":
    main()
