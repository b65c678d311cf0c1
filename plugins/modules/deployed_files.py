#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployed_files
short_description: Put the deployment's files of a backup back where they were
version_added: "0.1.0"
description:
  - Puts back content, mode and owner of every file under C(files) of the backup, and its symbolic links; likewise those under
    C(outside), which links of the deployment lead to.
  - Each file is replaced at once, so that Compose never reads half of one. A file that is as it was is not touched.
  - What was there is kept in O(aside). Files that the backup does not have are left alone, but for those of which its manifest says that
    they were not there before the upgrade (C(added)) - they are taken away, since Compose may load them on its own.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  backup:
    description: The backup's folder.
    type: path
    required: true
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  aside:
    description: Directory for the files that are replaced or taken away.
    type: path
    required: true
attributes:
  check_mode:
    description: Tells which files would be put back.
    support: full
  diff_mode:
    description: The files hold secrets.
    support: none
seealso:
  - module: openlmis.operations.backup_manifest
"""

EXAMPLES = r"""
- name: Put the deployed files back
  openlmis.operations.deployed_files:
    backup: /var/backups/openlmis/20260102T190000Z
    project_src: /opt/openlmis
    aside: /var/lib/openlmis-operations/replaced-20260102T185500Z
"""

RETURN = r"""
files:
  description: The files that were put back or taken away, relative to O(project_src); those outside it by their whole path.
  returned: success
  type: list
  elements: str
  sample: [".env", "docker-compose.yml"]
"""

import filecmp
import os
import shutil
import stat
import tempfile
from typing import Any, List, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import backups


def paths(folder: str) -> List[str]:
    """Return every file and symbolic link under a folder, relative to it."""
    found = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found += [os.path.relpath(os.path.join(parent, name), folder) for name in files + links]
    return sorted(found)


def same(one: str, other: str) -> bool:
    """Tell whether both are the same link, or files with the same content, mode and owner."""
    try:
        first, second = os.lstat(one), os.lstat(other)
    except FileNotFoundError:
        return False
    if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode) or (first.st_uid, first.st_gid) != (second.st_uid, second.st_gid):
        return False
    if stat.S_ISLNK(first.st_mode):
        return os.readlink(one) == os.readlink(other)
    return first.st_mode == second.st_mode and filecmp.cmp(one, other, shallow=False)


def copy(source: str, dest: str) -> None:
    """Copy a file or link with mode and owner, so that the destination has the old content or the new, never a part."""
    folder = os.path.dirname(dest)
    os.makedirs(folder, exist_ok=True)
    place = tempfile.mkdtemp(prefix=".openlmis-", dir=folder)
    try:
        part = os.path.join(place, "part")
        shutil.copy2(source, part, follow_symlinks=False)
        status = os.lstat(source)
        if os.geteuid() == 0:
            os.chown(part, status.st_uid, status.st_gid, follow_symlinks=False)
        if not os.path.islink(part):
            handle = os.open(part, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        os.replace(part, dest)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def added(params: Mapping[str, Any]) -> List[str]:
    """Return the files that the upgrade added, by the backup's manifest, and that are there."""
    noted = backups.load(os.path.join(params["backup"], backups.MANIFEST)).get("added") or []
    return [path for path in noted if os.path.lexists(os.path.join(params["project_src"], path))]


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "backup": {"type": "path", "required": True},
            "project_src": {"type": "path", "required": True},
            "aside": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    differing = []
    try:
        for part, dest in (("files", params["project_src"]), ("outside", "/")):
            source, aside = os.path.join(params["backup"], part), os.path.join(params["aside"], part)
            for path in paths(source):
                current, kept = os.path.join(dest, path), os.path.join(aside, path)
                if same(os.path.join(source, path), current):
                    continue
                differing.append(path if part == "files" else current)
                if module.check_mode:
                    continue
                # The first one that is replaced is the one to keep: a second try finds what the first has put there.
                if os.path.lexists(current) and not os.path.lexists(kept):
                    os.makedirs(aside, mode=0o700, exist_ok=True)
                    copy(current, kept)
                copy(os.path.join(source, path), current)
        for path in added(params):
            differing.append(path)
            if not module.check_mode:
                current, kept = os.path.join(params["project_src"], path), os.path.join(params["aside"], "files", path)
                if not os.path.lexists(kept):
                    copy(current, kept)
                os.unlink(current)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename} cannot be put back ({error.strerror}). The files before it are as they were backed up; the backup is whole."
            " Correct that and run again."
        )
    module.exit_json(changed=bool(differing), files=differing)


if __name__ == "__main__":
    main()
