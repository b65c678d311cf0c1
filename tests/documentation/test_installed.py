# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ansible-doc` and ansible-builder say of the collection as a user has it, installed from the tarball."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent.parent
COLLECTION = "openlmis.operations"
ROLE = f"{COLLECTION}.openlmis"
SPECS = yaml.safe_load((CHECKOUT / "roles/openlmis/meta/argument_specs.yml").read_text())["argument_specs"]
# An action plugin's documentation is the module's of its name.
TYPES = ("module", "lookup")
WITHOUT = {"action", "doc_fragments", "module_utils", "plugin_utils"}
FOLDERS = {"module": "modules"}


def plugins() -> list[tuple[str, str]]:
    files = [(kind, path) for kind in TYPES for path in (CHECKOUT / "plugins" / FOLDERS.get(kind, kind)).glob("*.py")]
    return sorted((kind, path.stem) for kind, path in files if path.stem != "__init__")


def command(name: str, *arguments: str) -> str:
    """What one of Ansible's commands prints; a word on its standard error would be a warning, and fails."""
    done = subprocess.run(
        [pathlib.Path(sys.executable).with_name(name), *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@functools.cache
def documentation(kind: str) -> dict[str, Any]:
    """All documents of a type, read in one go."""
    names = [f"{COLLECTION}.{name}" for found, name in plugins() if found == kind]
    return json.loads(command("ansible-doc", "--json", "--type", kind, *names))


def undescribed(options: dict[str, Any], path: str = "") -> Iterator[str]:
    """Options, suboptions and return values without a description or a type."""
    for name, option in options.items():
        if not option.get("description") or not option.get("type"):
            yield path + name
        for nested in ("suboptions", "options", "contains"):
            yield from undescribed(option.get(nested) or {}, f"{path}{name}.")


def test_every_plugin_folder_is_looked_at() -> None:
    folders = {path.name for path in (CHECKOUT / "plugins").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {FOLDERS.get(kind, kind) for kind in TYPES} | WITHOUT
    actions = {path.stem for path in (CHECKOUT / "plugins/action").glob("*.py")} - {"__init__"}
    assert actions <= {name for kind, name in plugins() if kind == "module"}


@pytest.mark.parametrize(("kind", "name"), plugins())
def test_a_plugin_is_described_with_every_option_and_return_value(kind: str, name: str) -> None:
    page = documentation(kind)[f"{COLLECTION}.{name}"]
    assert page["doc"]["description"]
    assert page["doc"]["short_description"]
    assert list(undescribed(page["doc"].get("options") or {})) == []
    assert list(undescribed(page["return"] or {})) == []
    # A module that changes nothing and finds nothing out returns nothing.
    assert page["return"] or name == "show"
    assert f"{COLLECTION}.{name}" in page["examples"]


def test_no_entry_point_is_missing() -> None:
    [page] = json.loads(command("ansible-doc", "--json", "--type", "role", ROLE)).values()
    assert set(page["entry_points"]) == set(SPECS)


@pytest.mark.parametrize("entry", SPECS)
def test_an_entry_point_is_described_with_every_variable(entry: str) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", command("ansible-doc", "--type", "role", "--entry-point", entry, ROLE))
    assert SPECS[entry]["short_description"] in " ".join(text.split())
    options = SPECS[entry].get("options") or {}
    assert [name for name in options if not re.search(rf"^[-= ]*{name}\b", text, re.MULTILINE)] == []
    assert [name for name, option in options.items() if not option.get("description")] == []


def test_an_execution_environment_gets_what_the_modules_import() -> None:
    """ansible-builder reads meta/execution-environment.yml of the installed collection."""
    said = yaml.safe_load(command("ansible-builder", "introspect", os.environ["ANSIBLE_COLLECTIONS_PATH"]))
    ours = [line.split("  # from collection ") for line in said["python"]]
    requirements = {requirement for requirement, collection in ours if collection == COLLECTION}
    assert requirements == {"psycopg2-binary>=2.8,<3", "docker>=5.0,<8"}
    # The wheel of psycopg2 brings libpq along, and the modules start no program but docker and PostgreSQL's, on the
    # managed host.
    assert said["system"] == []
