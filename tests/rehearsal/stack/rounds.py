# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does with the check's messages: set the variables that they offer, and check again."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from .ansible import Run, command
from .world import ADMIN, Server

OFFER = re.compile(r"\b(openlmis_[a-z]\w*): (?=[\[{'\"<\w/])")
# What a message leaves to be filled in, since only the site knows it.
PLACEHOLDER = re.compile(r"<[\w .-]+>")
ROW = re.compile(r"(?m)^(ok|warning|refused|ready) {2,}(.*(?:\n {2,}\S.*)*)")


@dataclasses.dataclass
class Rounds:
    """The check of the smallest inventory, the variables that its messages offered, and the check with these."""

    first: Run
    offered: dict[str, Any]
    second: Run | None

    @property
    def last(self) -> Run:
        """The check after at most one round of messages."""
        return self.second or self.first


def rows(text: str, status: str) -> list[str]:
    """The rows of a check's table that have this status, each as one line."""
    return [" ".join(match[2].split()) for match in ROW.finditer(text) if match[1] == status]


def offered(text: str, known: Mapping[str, str]) -> dict[str, Any]:
    """The variables that refusals offer to be pasted; `known` is what the site puts where a message leaves something to
    be filled in.

    Of two values for the same thing the first counts: the second is said to be another way. Raises ValueError for what
    is no YAML.
    """
    found: dict[str, Any] = {}
    for row in rows(text, "refused"):
        for match in OFFER.finditer(row):
            value = filled(match[1], value_at(row[match.end() :]), known)
            before = found.get(match[1])
            if isinstance(before, dict) and isinstance(value, dict):
                value = {**value, **before}
            elif isinstance(before, list) and isinstance(value, list):
                value = before + [one for one in value if one not in before]
            found[match[1]] = value if before is None or isinstance(value, (dict, list)) else before
    return found


def value_at(text: str) -> Any:
    """The YAML value that a text begins with: a collection in brackets, something in quotes, or one word."""
    if text[0] == "<":
        return text[: text.index(">") + 1]
    if text[0] not in "[{'\"":
        return yaml.safe_load(re.match(r"\S+", text)[0].rstrip(".,;:"))
    for end in (match.end() for match in re.finditer(r"[\]}'\"]", text)):
        try:
            return yaml.safe_load(text[:end])
        except yaml.YAMLError:
            continue
    raise ValueError("This was offered and is no YAML: %s" % text[:80])


def filled(name: str, value: Any, known: Mapping[str, str]) -> Any:
    """A value with what only the site knows where the message has a placeholder: by the key in a mapping, else by the
    variable's name.
    """
    if isinstance(value, dict):
        return {key: filled(key, one, known) for key, one in value.items()}
    return known.get(name, value) if isinstance(value, str) and PLACEHOLDER.search(value) else value


def check(server: Server, variables: Mapping[str, Any]) -> Run:
    """Run the check with the inventory of README: where the deployment is, its address, an administrator; and these
    variables.
    """
    values = {
        # How this machine is reached.
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "openlmis_project_src": str(server.project_src),
        "openlmis_base_url": server.base_url,
        "openlmis_admin_username": ADMIN[0],
        "openlmis_admin_password": ADMIN[1],
        **variables,
    }
    asked = copy.copy(server)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        asked.inventory = pathlib.Path(folder) / "inventory.yml"
        asked.inventory.write_text(json.dumps({"openlmis": {"hosts": {"rehearsal": values}}}))
        return command(asked, "ansible-playbook", "playbooks/upgrade-3.4.yml", "--tags", "check")


def rounds(
    server: Server,
    known: Mapping[str, str],
    given: Mapping[str, Any] | None = None,
    edit: Callable[[], None] = lambda: None,
) -> Rounds:
    """Check, set what the messages offer, correct the files as they say (`edit`), and check once more where the first
    check refused.

    `given` are variables that say what the operator has decided, such as where prepared files are.
    """
    first = check(server, given or {})
    found = offered(first.text, known)
    edit()
    return Rounds(first, found, check(server, {**(given or {}), **found}) if first.code else None)
