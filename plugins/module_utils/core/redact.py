# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes secrets and personal data out of log lines before a person, or another log, sees them."""

from __future__ import annotations

import re
from typing import Iterable

MASK = "***"
LINE_LIMIT = 500

_SECRET_NAME = re.compile(r"pass|pwd|secret|token|credential|private|(?:^|[._-])key", re.IGNORECASE)
_URL_USER_INFO = re.compile(r"://[^/\s@]+@")
_NAMED_SECRET = re.compile(
    r"(?P<name>(?:password|passwd|pwd|secret|token|apikey|api_key)[\"']?\s*(?:=>|[=:])\s*)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&}\])]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
# Java prints an object without a name as Class@1b2c3d: that is no address.
_EMAIL = re.compile(r"[^\s@<>\"'(),;:=\[\]][^\s@<>\"(),;:=\[\]]*@(?![0-9a-f]{1,8}\b(?![.\w-]))[\w-]+(?:\.[\w-]+)*")
# What looks like a telephone number but is what the reader needs: UUIDs, times, dates, IPv4 and Flyway versions.
_NUMBER = re.compile(
    r"(?P<keep>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?\b"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|(?<![\d+])20\d{12,15}(?!\d))"
    r"|(?<![\w+])(?:\+?\(\d{1,5}\)[\s./-]{0,2}\d(?:[\s./-]{0,2}\d){3,13}|\+?\d(?:[\s./()-]{0,2}\d){6,16})(?!\w)",
    re.IGNORECASE,
)


def secrets_in(values: dict[str, str]) -> list[str]:
    """The values of settings whose name says that they are secret, and the passwords inside URLs."""
    found = [value for name, value in values.items() if _SECRET_NAME.search(name)]
    for value in values.values():
        found += re.findall(r"://[^/\s:@]*:([^/\s@]+)@", value)
        found += re.findall(r"[?&]password=([^&\s]+)", value, re.IGNORECASE)
    return found


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secrets and whatever is shaped like a secret, an e-mail address or a telephone number masked.

    Masks too much rather than too little; keeps times, UUIDs and migration versions, which a reader needs.
    """
    # The longest first: one secret may contain another.
    for secret in sorted({s for s in secrets if len(s) > 2}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL_USER_INFO.sub("://" + MASK + "@", text)
    text = _NAMED_SECRET.sub(lambda m: m.group("name") + MASK, text)
    text = _BEARER.sub(lambda m: m.group(1) + " " + MASK, text)
    text = _EMAIL.sub(lambda m: m.group() if m.group().startswith("//" + MASK) else MASK, text)
    return _NUMBER.sub(lambda m: m.group("keep") or MASK, text)


def log_tail(log: bytes, secrets: Iterable[str] = (), lines: int = 30) -> str:
    """The last lines of a container's log, redacted, over-long lines cut."""
    secrets = list(secrets)
    kept = log.decode("utf-8", "replace").replace("\x00", "").splitlines()[-lines:]
    # Redacted before it is cut: half a secret would not be recognised.
    return "\n".join(redact(line, secrets).rstrip()[:LINE_LIMIT] for line in kept)
