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
  - A folder is a backup when it holds C(manifest.json). The manifest is written last and atomically, with mode 0600,
    after every
    file of the backup has been synced to the disk.
  - The manifest names every file with its size and SHA-256, every symbolic link with its target.
  - V(verified) of O(state) reads everything back. It does not fail on a damaged backup; RV(proven) and RV(problems)
    tell.
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
      - What the manifest is to say besides the files and besides what M(openlmis.operations.database_backup) has left
        for it, for
        O(state=present).
      - C(project.src) tells the deployment. Of C(components) the version is what C(answers) has, and the migrations are
        those of the
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
      - The manifest's C(added) has those of which there is none in C(project.src) yet; a rollback takes them away
        again, and no other.
    type: path
  run:
    description: The run that the backup must be of, for O(state=verified). Any when it is not given.
    type: str
  keep:
    description:
      - How many backups of the same deployment to keep beside each other, this one included, for O(state=present).
      - The oldest go first, when this one is finished; never one of the same run, and no folder without a manifest. All
        are kept
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
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Read a backup back, or finish one."""
    params, folder = module.params, module.params["path"].rstrip("/")
    if params["state"] == "verified":
        return backups.verify(folder, params["run"])
    result: Dict[str, Any] = {"changed": True, "problems": [], "proven": True, "removed": [], **backups.files_of({})}
    if module.check_mode and not os.path.exists(os.path.join(folder, backups.MANIFEST)):
        return result
    manifest = backups.complete(folder, params["copies"], params["manifest"], params["prepared"])
    result["removed"], problem = backups.prune_around(folder, manifest, params["keep"])
    if problem:
        module.warn(problem)
    return {**result, **backups.files_of(manifest)}


def main() -> None:
    """Entry point of the module."""
    skeleton.main(
        {
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
        work,
    )


if __name__ == "__main__":
    main()
