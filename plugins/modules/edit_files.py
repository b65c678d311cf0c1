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
  - The diff shows the changed lines alone, since their neighbours may hold passwords, and masks secrets in them.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  edits:
    description: The edits in their order.
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
        required: true
      replace:
        description: What to put in its place.
        type: str
        required: true
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
import os
import re
import tempfile
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.redact import redact


def edited(texts: Mapping[str, str], edits: Sequence[Mapping[str, str]]) -> Tuple[Dict[str, str], List[str]]:
    """Return the texts of the files after the edits, and the summaries of those that changed something."""
    after, made = dict(texts), []
    for edit in edits:
        text = re.sub(edit["regexp"], edit["replace"], after[edit["path"]], flags=re.MULTILINE)
        if text != after[edit["path"]]:
            after[edit["path"]] = text
            made.append(edit["summary"])
    return after, made


def changed_lines(before: str, after: str) -> Tuple[str, str]:
    """Return the lines that are only in the one and only in the other text, secrets masked."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return tuple(redact("".join(line[2:] + "\n" for line in lines if line.startswith(sign))) for sign in ("- ", "+ "))


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
                    "regexp": {"type": "str", "required": True},
                    "replace": {"type": "str", "required": True},
                    "summary": {"type": "str", "required": True},
                },
            }
        },
        supports_check_mode=True,
    )
    edits: List[Dict[str, Any]] = module.params["edits"]
    texts = {}
    try:
        for path in {edit["path"] for edit in edits}:
            with open(path, encoding="utf-8", newline="") as stream:
                texts[path] = stream.read()
        after, made = edited(texts, edits)
        changed = [path for path in texts if after[path] != texts[path]]
        if not module.check_mode:
            for path in changed:
                handle, part = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".openlmis-")
                try:
                    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                        stream.write(after[path])
                        stream.flush()
                        os.fsync(stream.fileno())
                    module.atomic_move(part, os.path.realpath(path))
                finally:
                    if os.path.exists(part):
                        os.unlink(part)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'A file of the deployment'} cannot be changed ({error.strerror}); every edit is expected to be made."
            " A file has all of its edits or none. Mend that and run again."
        )
    diff = []
    for path in changed:
        before_lines, after_lines = changed_lines(texts[path], after[path])
        diff.append({"before": before_lines, "after": after_lines, "before_header": path, "after_header": path})
    module.exit_json(changed=bool(changed), edits=made, diff=diff)


if __name__ == "__main__":
    main()
