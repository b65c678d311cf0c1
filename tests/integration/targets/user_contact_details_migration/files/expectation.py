# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the copy has to bring about, worked out in Python from the rules and not from the module's SQL."""

from __future__ import annotations

import unicodedata
import uuid
from typing import NamedTuple


class User(NamedTuple):
    """The part of a row of referencedata.users that matters here."""

    id: str
    username: str
    email: str | None = None
    phonenumber: str | None = None
    verified: bool = False
    allownotify: bool | None = True


class Details(NamedTuple):
    """A row of notification.user_contact_details."""

    referencedatauserid: str
    phonenumber: str | None
    allownotify: bool | None
    email: str | None
    emailverified: bool | None


def is_java_whitespace(character: str) -> bool:
    """Character.isWhitespace of Java 8: separators that may break a line, U+180E of old, and some
    control characters.
    """
    if character in "\u00a0\u2007\u202f":
        return False
    if unicodedata.category(character) in ("Zs", "Zl", "Zp"):
        return True
    return character == "\u180e" or 0x09 <= ord(character) <= 0x0D or 0x1C <= ord(character) <= 0x1F


def none_if_blank(text: str | None) -> str | None:
    return None if text is None or all(map(is_java_whitespace, text)) else text


def details_of(user: User, has_phone_number: bool = True) -> Details:
    """The row that ``user`` should get."""
    email = none_if_blank(user.email)
    return Details(
        user.id,
        none_if_blank(user.phonenumber) if has_phone_number else None,
        user.allownotify,
        email,
        False if email is None else user.verified,
    )


def expected(
    users: list[User], before: list[Details], update: bool = False, has_phone_number: bool = True
) -> set[Details]:
    """All rows of the target afterwards."""
    rows = {row.referencedatauserid: row for row in before}
    for user in users:
        if update or user.id not in rows:
            rows[user.id] = details_of(user, has_phone_number)
    return set(rows.values())


def user_id(number: int) -> str:
    """A different, well-mixed id for each number, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "user %d" % number))
