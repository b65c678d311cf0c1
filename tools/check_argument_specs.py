# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what no linter does: that each role's task files, argument specs, defaults and variable names agree.

- Every task file that a playbook can call has an entry point, and every entry point a file. What other task files of
  the role include, and no playbook calls, is internal.
- Every variable of defaults/main.yml stands in a spec; a literal value is the spec's default too.
- A variable has one type and one default, whichever entry point names it, and starts with the role's name.
- A variable of the role that its files use stands in a spec, is a registered result or set by a task, or is internal: `<role>__…`.
- No name is both a result or a fact and among the `vars` of a task: a result of an earlier play would hide those.
- What is imported under a condition registers no result that other files have, too: a skipped task would forget it. Such a file is included.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def load(path: Path) -> dict:
    """The mapping in a YAML file, or an empty one where there is no such file."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def check_entry_points(role: Path, specs: dict) -> Iterator[str]:
    tasks = {path.stem: path.read_text(encoding="utf-8") for path in (role / "tasks").glob("*.yml")}
    playbooks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "playbooks").glob("*.yml"))
    included = set(re.findall(r"\b(?:include|import)_tasks: *(?:\{file: *)?[\"']?(\w+)\.yml", "".join(tasks.values())))
    called = set(re.findall(r"\btasks_from: *[\"']?(\w+)", playbooks))
    files = set(tasks) - (included - called)
    for verb in sorted(files - set(specs)):
        yield f"tasks/{verb}.yml has no entry point in meta/argument_specs.yml"
    for verb in sorted(set(specs) - files):
        yield f"the entry point {verb} in meta/argument_specs.yml has no tasks/{verb}.yml"
    for verb, spec in specs.items():
        if not spec.get("short_description"):
            yield f"the entry point {verb} has no short_description"


def check_options(role: Path, specs: dict, defaults: dict) -> Iterator[str]:
    seen: dict[str, tuple] = {}
    for verb, spec in specs.items():
        for name, option in (spec.get("options") or {}).items():
            if not name.startswith(f"{role.name}_"):
                yield f"{verb}: {name} does not start with {role.name}_"
            if not option.get("description"):
                yield f"{verb}: {name} has no description"
            meaning = (option.get("type", "str"), option.get("default"), option.get("choices"))
            if seen.setdefault(name, meaning) != meaning:
                yield f"{verb}: {name} has type, default and choices {meaning}, elsewhere {seen[name]}"
            yield from check_default(verb, name, option, defaults)
    # What a playbook of the collection sets and no operator does has a double underscore, and no spec.
    for name in sorted(name for name in set(defaults) - set(seen) if not name.startswith(f"{role.name}__")):
        yield f"{name} of defaults/main.yml stands in no argument spec"


def check_default(verb: str, name: str, option: dict, defaults: dict) -> Iterator[str]:
    if option.get("required") and name in defaults:
        yield f"{verb}: {name} is required, yet defaults/main.yml has a value for it"
    if name not in defaults:
        # Left undefined on purpose: ansible-core 2.16 takes `omit` in defaults for a value and holds it against the type.
        if "default" in option:
            yield f"{verb}: {name} has the default {option['default']!r}, yet defaults/main.yml has no value for it"
        return
    value = defaults[name]
    # A value that is computed at run time may be left to the description.
    computed = isinstance(value, str) and "{{" in value
    if option.get("default") != value and not (computed and "default" not in option):
        yield f"{verb}: the default of {name} is {option.get('default')!r}, in defaults/main.yml {value!r}"


def check_names(role: Path, specs: dict, defaults: dict) -> Iterator[str]:
    known = set(defaults).union(*(spec.get("options") or {} for spec in specs.values()))
    pattern = re.compile(rf"(?<![\w.]){role.name}_(?!_)[a-z0-9_]+\b(?!\()")
    folders = ("defaults", "handlers", "tasks", "templates", "vars")
    files = sorted(path for folder in folders for path in (role / folder).rglob("*") if path.is_file())
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    known.update(re.findall(r"\bregister: *(\w+)", "".join(texts.values())))
    known.update(re.findall(rf"^ +({role.name}_\w+): ", "".join(text for path, text in texts.items() if path.parent.name == "tasks"), re.M))
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            for name in sorted(set(pattern.findall(line)) - known):
                yield f"{path.relative_to(ROOT)}:{number}: {name} stands in no argument spec"


def tasks_in(tasks: list[dict]) -> Iterator[dict]:
    """Every task and block, those inside of blocks included."""
    for task in tasks or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_in(task.get(part))


def check_results(role: Path) -> Iterator[str]:
    results: dict[str, str] = {}
    named: dict[str, str] = {}
    for path in sorted((role / "tasks").glob("*.yml")):
        for task in tasks_in(yaml.safe_load(path.read_text(encoding="utf-8"))):
            facts = task.get("ansible.builtin.set_fact") or {}
            results.update(dict.fromkeys([*facts, *filter(None, [task.get("register")])], path.name))
            named.update(dict.fromkeys(task.get("vars") or {}, path.name))
    for name in sorted(set(results) & set(named)):
        yield f"{name} is a result in tasks/{results[name]}, which wins over the vars of tasks/{named[name]}"


def imported_under_a_condition(tasks: list[dict], conditional: bool = False) -> Iterator[str]:
    for task in tasks or []:
        under = conditional or "when" in task
        if under and "ansible.builtin.import_tasks" in task:
            yield task["ansible.builtin.import_tasks"]
        for part in ("block", "rescue", "always"):
            yield from imported_under_a_condition(task.get(part), under)


def check_imports(role: Path) -> Iterator[str]:
    files = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((role / "tasks").glob("*.yml"))}
    results = {name: {task["register"] for task in tasks_in(tasks) if "register" in task} for name, tasks in files.items()}
    for name, tasks in files.items():
        for imported in imported_under_a_condition(tasks):
            others = set().union(*(found for file, found in results.items() if file != imported))
            for result in sorted(results[imported] & others):
                yield f"tasks/{name} imports {imported} under a condition, and {result} would be forgotten where that does not hold; include it"


def main() -> int:
    roles = [path for path in sorted((ROOT / "roles").glob("*")) if path.is_dir()]
    problems = [] if roles else ["there is no role below roles/"]
    for role in roles:
        specs = load(role / "meta/argument_specs.yml").get("argument_specs") or {}
        defaults = load(role / "defaults/main.yml")
        found = [] if specs else ["meta/argument_specs.yml describes no entry point"]
        found += check_entry_points(role, specs)
        found += check_options(role, specs, defaults)
        found += check_names(role, specs, defaults)
        found += check_results(role)
        found += check_imports(role)
        problems += [f"roles/{role.name}: {problem}" for problem in found]
    print("\n".join(problems) or "task files, argument specs, defaults and variable names agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
