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
    description: What the manifest is to say besides the files, for O(state=present).
    type: dict
    default: {}
  checksums:
    description:
      - SHA-256 of files that were proven before, by path inside the folder, for O(state=present).
      - Such a file is not read again here.
    type: dict
    default: {}
  run:
    description: The run that the backup must be of, for O(state=verified). Any when it is not given.
    type: str
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
  returned: success
  type: dict
bytes:
  description: Size of all files.
  returned: success
  type: int
"""

import hashlib
import json
import os
import stat
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

FORMAT = 1
NAME = "manifest.json"
CHUNK = 1 << 20
SAID_AT_MOST = 10


def checksum(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def walk(folder: str) -> Tuple[Dict[str, int], Dict[str, str]]:
    """Return the size of every file and the target of every symbolic link under a folder, by path inside it."""
    sizes, links = {}, {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            inside = os.path.relpath(path, folder)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                links[inside] = os.readlink(path)
            elif stat.S_ISREG(status.st_mode) and inside != NAME:
                sizes[inside] = status.st_size
    return sizes, links


def sync(path: str) -> None:
    """Have the disk hold what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: str) -> None:
    """Have the disk hold every file and folder under a folder, and the folder itself."""
    for parent, _folders, files in os.walk(folder, topdown=False):
        for name in files:
            path = os.path.join(parent, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                sync(path)
        sync(parent)


def write(folder: str, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, atomically and for good."""
    temporary = os.path.join(folder, "." + NAME)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=2, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, os.path.join(folder, NAME))
    sync(folder)


def finish(folder: str, told: Mapping[str, Any], checksums: Mapping[str, str]) -> Dict[str, Any]:
    """Sync the folder, write its manifest and return it."""
    sizes, links = walk(folder)
    sync_tree(folder)
    manifest = dict(
        told,
        format=FORMAT,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        sizes=sizes,
        checksums={path: checksums.get(path) or checksum(os.path.join(folder, path)) for path in sizes},
        links=links,
    )
    write(folder, manifest)
    return manifest


def read(folder: str) -> Tuple[Optional[Dict[str, Any]], List[str]]:
    """Return the manifest, or none and why."""
    try:
        with open(os.path.join(folder, NAME), encoding="utf-8") as stream:
            manifest = json.load(stream)
    except FileNotFoundError:
        what = "there is no manifest.json in it" if os.path.isdir(folder) else "there is no such folder"
        return None, [f"{folder} is no backup: {what}"]
    except (OSError, ValueError) as error:
        return None, [f"{folder}/{NAME} cannot be read ({error})"]
    if not isinstance(manifest, dict) or not isinstance(manifest.get("checksums"), dict):
        return None, [f"{folder}/{NAME} is no manifest of a backup"]
    if manifest.get("format") != FORMAT:
        return None, [
            f"{folder}/{NAME} has the format {manifest.get('format')}; this version of the collection reads {FORMAT}"
        ]
    return manifest, []


def damages(folder: str, manifest: Mapping[str, Any]) -> List[str]:
    """Return one sentence for each file that is not as the manifest says; contents are read only where the sizes are right."""
    sizes, links = walk(folder)
    found = []
    for path, digest in sorted(manifest["checksums"].items()):
        size = manifest.get("sizes", {}).get(path)
        if path not in sizes:
            found.append(f"{path} is missing")
        elif sizes[path] != size:
            how = "truncated" if sizes[path] < (size or 0) else "changed"
            found.append(f"{path} is {how}: it has {sizes[path]} bytes, the manifest says {size}")
        else:
            try:
                if checksum(os.path.join(folder, path)) != digest:
                    found.append(f"{path} is changed: its size is right and its SHA-256 is not that of the manifest")
            except OSError as error:
                found.append(f"{path} cannot be read ({error.strerror})")
    for path, target in sorted(manifest.get("links", {}).items()):
        if links.get(path) != target:
            found.append(f"{path} is no longer the symbolic link to {target}")
    return found


def verify(folder: str, run: Optional[str]) -> Dict[str, Any]:
    """Read a backup back; the module's result."""
    manifest, problems = read(folder)
    if manifest is not None:
        if run is not None and manifest.get("run") != run:
            problems.append(f"{folder} is the backup of the run {manifest.get('run')}, not of {run}")
        found = damages(folder, manifest)
        problems += found[:SAID_AT_MOST]
        if len(found) > SAID_AT_MOST:
            problems.append(f"{len(found) - SAID_AT_MOST} more files are damaged")
    return {"changed": False, "manifest": manifest, "problems": problems, "proven": not problems}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "verified"], "default": "present"},
            "manifest": {"type": "dict", "default": {}},
            "checksums": {"type": "dict", "default": {}},
            "run": {"type": "str"},
        },
        supports_check_mode=True,
    )
    folder = module.params["path"]
    try:
        result = {"changed": True, "manifest": None, "problems": [], "proven": True}
        if module.params["state"] == "verified":
            result = verify(folder, module.params["run"])
        elif os.path.exists(os.path.join(folder, NAME)):
            raise OperationError(
                f"{folder} is a finished backup already; one without a manifest is expected, since no backup is ever changed."
                " Back up to another folder."
            )
        elif not module.check_mode:
            result["manifest"] = finish(folder, module.params["manifest"], module.params["checksums"])
        result["bytes"] = sum(((result["manifest"] or {}).get("sizes") or {}).values())
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
