#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_manifest
short_description: Finish a backup with its manifest, or read a backup back and tell whether it is whole
version_added: "0.1.0"
description:
  - A folder is a backup when it holds C(manifest.json). The manifest is written last and atomically, with mode 0600, after every
    file of the backup has been synced to the disk.
  - The manifest names every file with its size and SHA-256, every symbolic link with its target.
  - V(verified) of O(state) reads everything back. It does not fail on a damaged backup; RV(proven) and RV(problems) tell.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  path:
    description: The backup's folder. For O(state=verified) it may be missing.
    type: path
    required: true
  state:
    description:
      - V(present) writes the manifest; one that is there already is never replaced.
      - V(verified) reads the backup back and compares it with its manifest.
    type: str
    choices: [present, verified]
    default: present
  manifest:
    description:
      - What the manifest is to say besides the files and besides what M(openlmis.operations.database_backup) has left for it, for
        O(state=present).
      - C(project.src) tells the deployment. Of C(components) the version is what C(answers) has, and the migrations are those of the
        dump.
    type: dict
    default: {}
  copies:
    description:
      - What to copy into the backup before it is finished, with owners, modes and links, for O(state=present).
      - A part that has nothing to copy is an empty folder.
    type: list
    elements: dict
    default: []
    suboptions:
      part:
        description: Folder of the backup that it goes to.
        type: str
        required: true
      source:
        description: Folder that O(copies[].paths) are relative to.
        type: path
        required: true
      paths:
        description: Files and folders.
        type: list
        elements: str
        required: true
  prepared:
    description:
      - Folder with the deployment's files as the release needs them, for O(state=present).
      - The manifest's C(added) has those of which there is none in C(project.src) yet; a rollback takes them away again, and no other.
    type: path
  run:
    description: The run that the backup must be of, for O(state=verified). Any when it is not given.
    type: str
  keep:
    description:
      - How many backups of the same deployment to keep beside each other, this one included, for O(state=present).
      - The oldest go first, when this one is finished; never one of the same run, and no folder without a manifest. All are kept
        when it is not given.
    type: int
attributes:
  check_mode:
    description: Nothing is written. O(state=verified) runs the same way.
    support: full
  diff_mode:
    description: A manifest is never replaced, so there is nothing to compare.
    support: none
seealso:
  - module: openlmis.operations.database_backup
"""

EXAMPLES = r"""
- name: Finish the backup
  openlmis.operations.backup_manifest:
    path: /var/backups/openlmis/20260102T190000Z
    manifest:
      run: 20260102T185500Z
      release: 3.3.1
      project: {name: openlmis, src: /opt/openlmis}
    copies:
      - {part: files, source: /opt/openlmis, paths: [docker-compose.yml, .env, settings.env]}
    keep: 3

- name: Is the backup still whole?
  openlmis.operations.backup_manifest:
    path: /var/backups/openlmis/20260102T190000Z
    state: verified
  register: backup
"""

RETURN = r"""
proven:
  description: Whether the backup is there and every file of it is as the manifest says.
  returned: success
  type: bool
problems:
  description: One sentence for each thing that is not as it should be.
  returned: success
  type: list
  elements: str
  sample: ["database/3456.dat.gz is truncated: it has 10 bytes, the manifest says 20"]
manifest:
  description: What the manifest says, none where there is no readable one.
  returned: when O(state=verified)
  type: dict
files:
  description: Every file of the backup but the manifest, relative to O(path).
  returned: success
  type: list
  elements: str
links:
  description: Every symbolic link of the backup and its target.
  returned: success
  type: dict
removed:
  description: Folders of the backups that were too many.
  returned: when O(state=present)
  type: list
  elements: str
bytes:
  description: Size of all files.
  returned: success
  type: int
"""

import os
from typing import Any, Dict, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import backups
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

SAID_AT_MOST = 10


def files_of(manifest: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the part of the result that tells the backup's files."""
    return {
        "files": sorted(manifest.get("checksums", {})),
        "links": manifest.get("links", {}),
        "bytes": sum(manifest.get("sizes", {}).values()),
    }


def verify(folder: str, run: Optional[str]) -> Dict[str, Any]:
    """Read a backup back; the module's result."""
    manifest, problems = backups.read(folder)
    if manifest is not None:
        if run is not None and manifest.get("run") != run:
            problems.append(f"{folder} is the backup of the run {manifest.get('run')}, not of {run}")
        found = backups.damages(folder, manifest)
        problems += found[:SAID_AT_MOST]
        if len(found) > SAID_AT_MOST:
            problems.append(f"{len(found) - SAID_AT_MOST} more files are damaged")
    result = {"changed": False, "manifest": manifest, "problems": problems, "proven": not problems}
    return {**result, **files_of(manifest or {})}


def finish(module: AnsibleModule, folder: str) -> Dict[str, Any]:
    """Make the folder a backup and remove those that are too many; the module's result."""
    result: Dict[str, Any] = {"changed": True, "problems": [], "proven": True, "removed": [], **files_of({})}
    if os.path.exists(os.path.join(folder, backups.MANIFEST)):
        raise OperationError(
            f"{folder} is a finished backup already; one without a manifest is expected, since no backup is ever changed."
            " Back up to another folder."
        )
    if module.check_mode:
        return result
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for one in module.params["copies"]:
        backups.copy(folder, one["part"], one["source"], one["paths"])
    told = module.params["manifest"]
    source = backups.source_of(told)
    if source:
        earlier = backups.of_run(os.path.dirname(folder), source, told.get("run"))
        told = {**told, "added": backups.added_by(module.params["prepared"], source, earlier)}
    manifest = backups.finish(folder, told)
    result.update(files_of(manifest))
    source = backups.source_of(manifest)
    if module.params["keep"] is not None and source:
        try:
            result["removed"] = backups.prune(
                os.path.dirname(folder), source, manifest.get("run"), module.params["keep"]
            )
        except OSError as error:
            module.warn(f"An old backup could not be removed ({error}); the new one is finished. Remove it by hand.")
    return result


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "verified"], "default": "present"},
            "manifest": {"type": "dict", "default": {}},
            "copies": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "part": {"type": "str", "required": True},
                    "source": {"type": "path", "required": True},
                    "paths": {"type": "list", "elements": "str", "required": True},
                },
            },
            "prepared": {"type": "path"},
            "run": {"type": "str"},
            "keep": {"type": "int"},
        },
        supports_check_mode=True,
    )
    params = module.params
    folder = params["path"].rstrip("/")
    try:
        if params["state"] == "verified":
            result = verify(folder, params["run"])
        else:
            result = finish(module, folder)
        module.exit_json(**result)
    except OperationError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"The backup in {folder} cannot be finished ({error.strerror}); room and the right to write there are expected."
            " What there is is no backup yet. Mend that and run again."
        )


if __name__ == "__main__":
    main()
