# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outcome of one check, and all of them as a table for a person."""

from __future__ import annotations

import re
import textwrap
from typing import Any, List, Mapping, NamedTuple, Sequence, Tuple

OK, WARNING, REFUSED = "ok", "warning", "refused"
STATUSES = (OK, WARNING, REFUSED)
WIDTH = 112
# How many services, keys or files a sentence names.
NAMED = 5

Facts = Mapping[str, Any]


class Finding(NamedTuple):
    """The outcome of one check: what was found, and when it is not ok what was expected and what to do.

    C(details) are lines to be shown as they are, below the rest.
    """

    check: str
    status: str
    found: str
    expected: str = ""
    remedy: str = ""
    details: Tuple[str, ...] = ()

    def paragraphs(self) -> List[str]:
        """Return what was found, what was expected and what to do, each a sentence of its own."""
        parts = [self.found, f"Expected: {self.expected}" if self.expected else "", self.remedy]
        return [part if part.endswith(".") else part + "." for part in parts if part]

    def sentence(self) -> str:
        """Return the finding as one paragraph for an operator."""
        return " ".join(self.paragraphs())


def table(findings: Sequence[Finding]) -> List[str]:
    """Return the findings as aligned lines: what is ok first, what is refused last."""
    name_width = max(len(finding.check) for finding in findings)
    room = WIDTH - name_width - 11
    lines = []
    for finding in sorted(findings, key=lambda one: STATUSES.index(one.status)):
        wrapped = [
            line
            for part in finding.paragraphs()
            for line in textwrap.wrap(part, room, break_on_hyphens=False, break_long_words=False)
        ]
        columns = [(finding.status, finding.check)] + [("", "")] * (len(wrapped) + len(finding.details))
        lines += [
            f"{status:<8} {name:<{name_width}}  {line}".rstrip()
            for (status, name), line in zip(columns, [*wrapped, *finding.details])
        ]
    return lines


def verdict(findings: Sequence[Finding], purpose: str) -> str:
    """Return in one line whether the run may begin; C(purpose) is what it would do."""
    refused = [finding.check for finding in findings if finding.status == REFUSED]
    warnings = sum(finding.status == WARNING for finding in findings)
    if refused:
        return f"refused  {len(refused)} of {len(findings)} checks refuse: {listed(refused)}."
    noted = {0: "no warning", 1: "1 warning"}.get(warnings, f"{warnings} warnings")
    return f"ready    {purpose}: {len(findings)} checks, {noted}. Nothing was changed."


def pasted(values: Mapping[str, Any]) -> str:
    """Return a mapping in one line of YAML that can be pasted as a variable's value."""
    return "{%s}" % ", ".join(f"{key}: {_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    text = str(value)
    return text if re.match(r"[A-Za-z][\w./-]*(:[\w.-]+)?$", text) else "'%s'" % text.replace("'", "''")


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def mib(size: int) -> str:
    """Return a size in bytes as MiB."""
    return f"{size // 2**20} MiB"
