# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages in docs/ say is so: links lead somewhere, quoted messages are in the source."""

from __future__ import annotations

import ast
import functools
import pathlib
import re

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "roles/openlmis/README.md",
    CHECKOUT / "tests/rehearsal/README.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]
NAMES = [str(page.relative_to(CHECKOUT)) for page in PAGES]


def squeezed(text: str) -> str:
    return " ".join(text.split())


@functools.cache
def sentences() -> str:
    """All that the sources can say: the texts of Python, joined as Python joins them, and the YAML files
    and templates.
    """
    texts = []
    for path in [*(CHECKOUT / "plugins").rglob("*.py"), *(CHECKOUT / "container").glob("*.py")]:
        texts += [
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    for path in (CHECKOUT / "roles/openlmis").rglob("*"):
        if path.suffix in (".yml", ".j2"):
            texts.append(path.read_text())
    return "\n".join(squeezed(text) for text in texts)


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", page.read_text())
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text):
        path, anchor = [*(link[0] or link[1]).split("#"), ""][:2]
        target = (page.parent / path).resolve() if path else page
        if re.match(r"[a-z]+:", path):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append("#".join(filter(None, (path, anchor))))
    assert dead == []


def quoted_messages() -> list[str]:
    """The first column of the tables in docs/troubleshooting.md."""
    text = (CHECKOUT / "docs/troubleshooting.md").read_text()
    return re.findall(r"^\| `([^`]+(?:``[^`]+)*)` \|", text, re.MULTILINE)


def test_troubleshooting_quotes_enough() -> None:
    assert len(quoted_messages()) > 40


@pytest.mark.parametrize("message", quoted_messages())
def test_a_message_of_troubleshooting_is_one_that_the_sources_have(message: str) -> None:
    """`…` stands for what differs each time; what is between must be in the sources word for word."""
    parts = [part.strip(" ") for part in message.replace("\\|", "|").split("…")]
    assert max(map(len, parts)) >= 12, "too short to be told from others"
    assert [part for part in parts if part not in sentences()] == []


def test_pages_name_no_file_that_is_not_there() -> None:
    """`tests/…`, `docs/…`, `roles/…` and their like in code quotes are files or patterns of files."""
    gone = []
    for page in PAGES:
        for name in re.findall(
            r"`((?:tests|docs|roles|plugins|playbooks|tools|container)/[\w./*-]+)`", page.read_text()
        ):
            if not list(CHECKOUT.glob(name.rstrip("/"))):
                gone.append(f"{page.relative_to(CHECKOUT)}: {name}")
    assert gone == []
