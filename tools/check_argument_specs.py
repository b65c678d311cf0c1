# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what no linter does: that each role's task files, argument specs, defaults and variables agree.

- A task file that no other one of the role includes has an entry point, and every entry point a file.
- Every variable that the role reads is in a spec, with the same default as in defaults/main.yml, or the role sets it
  itself.
- A private variable (`<role>__…`) is read in no other task file than the one whose result it is.
- No name is a result and one of the `vars` of a task: the result would win.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def load(path: Path) -> dict:
    """The mapping in a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check_entry_points(texts: dict[str, str], specs: dict) -> Iterator[str]:
    included = set(re.findall(r"\b(?:include|import)_tasks: *(?:\{file: *)?(\w+)\.yml", "".join(texts.values())))
    for name in sorted((set(texts) - included) ^ set(specs)):
        yield f"{name} is a task file without an entry point in meta/argument_specs.yml, or the other way round"


def check_options(specs: dict, defaults: dict) -> Iterator[str]:
    options = [
        (verb, name, option) for verb, spec in specs.items() for name, option in (spec.get("options") or {}).items()
    ]
    for verb, name, option in options:
        value = None if option.get("required") else defaults.get(name)
        if option.get("default") != value:
            yield f"{verb}: the default of {name} is {option.get('default')!r}, in defaults/main.yml {value!r}"
    for name in sorted({name for name in defaults if "__" not in name} - {name for _verb, name, _option in options}):
        yield f"{name} of defaults/main.yml is in no argument spec"


def tasks_in(tasks: list[dict]) -> Iterator[dict]:
    """Every task and block, those inside of blocks included."""
    for task in tasks or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_in(task.get(part))


def check_variables(role: Path, texts: dict[str, str], known: set[str]) -> Iterator[str]:
    results: dict[str, set[str]] = {}
    handed: set[str] = set()
    for name, text in texts.items():
        tasks = list(tasks_in(yaml.safe_load(text)))
        results[name] = {task["register"] for task in tasks if "register" in task}.union(
            *(task.get("ansible.builtin.set_fact") or {} for task in tasks)
        )
        handed.update(*(task.get("vars") or {} for task in tasks))
    playbooks = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("playbooks/*.yml"))
    handed.update(re.findall(rf"\b({role.name}__\w+): ", playbooks))
    everywhere = set().union(*results.values())
    for name in sorted(everywhere & handed):
        yield f"{name} is a result, which wins over the vars of a task with this name"
    public = {name for name in everywhere if "__" not in name}
    others = {
        path.name: path.read_text(encoding="utf-8")
        for folder in ("templates", "vars")
        for path in (role / folder).glob("*.*")
    }
    for file, text in [*texts.items(), *others.items()]:
        read = set(re.findall(rf"(?<![\w.]){role.name}_[a-z0-9_]+\b(?!\()", text))
        for name in sorted(read - known - handed - public - results.get(file, set())):
            yield f"{file} reads {name}, which is in no argument spec, and neither a result of this file nor handed in"


def main() -> int:
    problems = []
    for role in sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir()):
        specs, defaults = load(role / "meta/argument_specs.yml")["argument_specs"], load(role / "defaults/main.yml")
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((role / "tasks").glob("*.yml"))}
        known = {*defaults, *load(role / "vars/main.yml")}.union(
            *(spec.get("options") or {} for spec in specs.values())
        )
        found = [
            *check_entry_points(texts, specs),
            *check_options(specs, defaults),
            *check_variables(role, texts, known),
        ]
        problems += [f"roles/{role.name}: {problem}" for problem in found]
    print("\n".join(problems) or "task files, argument specs, defaults and variables agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
