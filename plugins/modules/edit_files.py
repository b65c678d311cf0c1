#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: edit_files
short_description: Make all edits of a deployment's files at once
version_added: "0.1.0"
description:
  - Makes the edits that M(openlmis.operations.server_info) plans. Each file is replaced once, atomically, with owner and mode kept, so
    that it has all of its edits or none.
  - Line ends and everything else in the files stay as they are.
  - The diff shows the changed lines alone, since their neighbours may hold passwords, and masks secrets in them. Of a file that is
    replaced whole it shows no line.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  edits:
    description: The edits in their order. Each has either O(edits[].regexp) with O(edits[].replace), or O(edits[].source).
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      regexp:
        description: What to replace, as in M(ansible.builtin.replace).
        type: str
      replace:
        description: What to put in its place.
        type: str
      source:
        description: A file on the host whose content the file gets instead. Mode and owner stay; a new file has those of this one.
        type: path
      summary:
        description: What the edit means to a person.
        type: str
        required: true
attributes:
  check_mode:
    description: Tells what would be changed.
    support: full
  diff_mode:
    description: Shows the changed lines.
    support: full
seealso:
  - module: ansible.builtin.replace
"""

EXAMPLES = r"""
- name: Set the version of auth
  openlmis.operations.edit_files:
    edits:
      - path: /opt/openlmis/.env
        regexp: ^(OL_AUTH_VERSION=)\S*
        replace: \g<1>4.0.0
        summary: ".env: OL_AUTH_VERSION 3.2.0 -> 4.0.0"
"""

RETURN = r"""
edits:
  description: The summaries of the edits that changed something.
  returned: success
  type: list
  elements: str
"""

import difflib
import errno
import os
import shutil
import tempfile
from typing import Any, Dict, List, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import edits
from ansible_collections.openlmis.operations.plugins.module_utils.redact import redact


def changed_lines(before: str, after: str) -> Tuple[str, str]:
    """Return the lines that are only in the one and only in the other text, secrets masked."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    found = ("".join(line[2:] + "\n" for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
    return tuple(redact(text.encode("utf-8", "replace").decode()) for text in found)


def write(module: AnsibleModule, path: str, text: str, source: Optional[str]) -> None:
    """Put the text into the file at once; what a link points to is replaced, not the link."""
    dest = os.path.realpath(path)
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    handle, part = tempfile.mkstemp(dir=os.path.dirname(dest), prefix=".openlmis-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if source and not os.path.exists(dest):
            shutil.copystat(source, part)
            status = os.stat(source)
            module.set_owner_if_different(part, status.st_uid, False)
            module.set_group_if_different(part, status.st_gid, False)
            os.rename(part, dest)
        else:
            module.atomic_move(part, dest)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "edits": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "regexp": {"type": "str"},
                    "replace": {"type": "str"},
                    "source": {"type": "path"},
                    "summary": {"type": "str", "required": True},
                },
                "mutually_exclusive": [("regexp", "source")],
                "required_one_of": [("regexp", "source")],
                "required_together": [("regexp", "replace")],
            }
        },
        supports_check_mode=True,
    )
    planned: List[Dict[str, Any]] = module.params["edits"]
    try:
        texts = edits.read_texts([edit["path"] for edit in planned])
        for edit in planned:
            if edit["path"] not in texts and not edit["source"]:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), edit["path"])
        after, made = edits.apply(texts, planned)
        sources = {edit["path"]: edit["source"] for edit in planned}
        changed = [path for path in after if after[path] != texts.get(path)]
        if not module.check_mode:
            for path in changed:
                write(module, path, after[path], sources[path])
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'A file of the deployment'} cannot be changed ({error.strerror}); every edit is expected to be made."
            " A file has all of its edits or none. Mend that and run again."
        )
    diff = []
    for path in changed:
        # Of a file that is replaced whole every line may be new, and each may hold a secret.
        whole = ("", "The content as prepared is not shown.\n")
        before_lines, after_lines = whole if sources[path] else changed_lines(texts[path], after[path])
        diff.append({"before": before_lines, "after": after_lines, "before_header": path, "after_header": path})
    module.exit_json(changed=bool(changed), edits=made, diff=diff)


if __name__ == "__main__":
    main()
