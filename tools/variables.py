# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/variables.md from the role's argument specs; with --check it says whether that page is
current instead.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SPECS = ROOT / "roles/openlmis/meta/argument_specs.yml"
PAGE = ROOT / "docs/variables.md"
# These take every variable of their playbook, to look at it before anything is changed.
CHECKS = ("check", "check_rollback")
HEAD = """\
<!--
Copyright (c) 2026 openlmis.operations contributors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
Written by `make docs` from roles/openlmis/meta/argument_specs.yml.
-->

# Variables

Every variable of the role `openlmis.operations.openlmis`, in the inventory or with `--extra-vars`. A variable without
a default is found by itself or not needed, unless it says *required*. The last column names the entry points that use
it, where not nearly all do. `check` and `check_rollback` look at every variable of their playbook before anything is
changed.

| variable | type | default | meaning | used by |
|---|---|---|---|---|
"""


def variables(specs: dict) -> dict[str, dict]:
    """Each variable with its option, in the order in which the specs name them, and `entries`, the entry points that
    take it.
    """
    found: dict[str, dict] = {}
    for entry, spec in specs.items():
        for name, option in (spec.get("options") or {}).items():
            found.setdefault(name, {**option, "entries": []})["entries"].append(entry)
    return found


def kind(option: dict) -> str:
    name = option.get("type", "str")
    if option.get("elements"):
        name += f" of {option['elements']}"
    return name + "".join(f"<br>`{choice}`" for choice in option.get("choices", []))


def default(option: dict) -> str:
    if option.get("required"):
        return "*required*"
    if "default" not in option:
        return ""
    value = option["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def meaning(option: dict) -> str:
    words = option["description"]
    return " ".join((words if isinstance(words, str) else " ".join(words)).split()).replace("|", "\\|")


def page(specs: dict) -> str:
    taking = sum(1 for spec in specs.values() if spec.get("options"))
    rows = []
    for name, option in variables(specs).items():
        entries = option["entries"]
        using = [entry for entry in entries if entry not in CHECKS] or entries
        some = "" if len(entries) >= taking - 3 else ", ".join(f"`{entry}`" for entry in using)
        rows.append(f"| `{name}` | {kind(option)} | {default(option)} | {meaning(option)} | {some} |\n")
    return HEAD + "".join(rows)


def main(arguments: list[str]) -> int:
    text = page(yaml.safe_load(SPECS.read_text(encoding="utf-8"))["argument_specs"])
    if arguments == ["--check"]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            print(
                "docs/variables.md is not what roles/openlmis/meta/argument_specs.yml says: run `make docs`, and commit"
                " the page."
            )
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
