# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every value: what a user has in 3.3 and what becomes of it."""

from __future__ import annotations

import hypothesis
import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details as module
from expectation import Details, User, details_of, expected, is_java_whitespace, user_id
from hypothesis import strategies

BLANK_SETS = {
    "empty": "",
    "space": " ",
    "all ASCII": "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f ",
    "all others": "".join(one for one in map(chr, range(128, 0x10000)) if is_java_whitespace(one)),
}
NOT_BLANK = {
    "no-break space": "\u00a0",
    "figure space": "\u2007",
    "narrow no-break space": "\u202f",
    "zero width space": "\u200b",
    "next line": "\x85",
    "other control characters": "\x01\x08\x0e\x1b\x7f",
    "byte order mark": "\ufeff",
    "blanks around": " \t ann@example.org \u2003",
    "blank before no-break space": " \u00a0 ",
}
VALUES = {
    "apostrophe": "o'brien@example.org",
    "comma": "a,b@example.org",
    "quotes": '"a b"@example.org',
    "backslashes": "a\\b\\\\'\\",
    "dollar": "$$a$1$",
    "percent": "%s%(blanks)s%%",
    "newline": "a\nb\r\n",
    "trailing newline": "+265 1\n",
    "plus": "+265 (0)1 234-567",
    "Amharic": "አበበ@example.org",
    "Burmese": "မောင်@example.org",
    "right to left": "\u200fعلي@example.org",
    "beyond the basic plane": "\U0001f600\U0010ffff",
    "combining": "e\u0301 is not \u00e9",
    "255 characters": "x" * 255,
    "255 of four bytes": "\U0001f600" * 255,
    "SQL": "'); DROP TABLE referencedata.users; --",
    "word NULL": "NULL",
    "braces": "{a,b}",
    "tabs inside": "a\tb",
}


def check(database, users, before=(), **options):
    database.add_users(*users)
    database.add_details(*before)
    outcome = database.migrate(**options)
    update = options.get("on_existing") == "update"
    assert database.details() == expected(users, list(before), update, database.has_phone_number())
    return outcome


@pytest.mark.parametrize("column", ["email", "phonenumber"])
def test_blank_becomes_null(database, column):
    users = [
        User(user_id(number), name, verified=True, **{column: text})
        for number, (name, text) in enumerate(
            [*BLANK_SETS.items(), *(("U+%04X" % ord(one), one) for one in "".join(BLANK_SETS.values()) if one != " ")]
        )
    ]
    outcome = check(database, users)
    assert {row.email for row in database.details()} == {None}
    assert {row.phonenumber for row in database.details()} == {None}
    assert {row.emailverified for row in database.details()} == {False}
    assert outcome["without_email"] == outcome["source"] == len(users) > 25


@pytest.mark.parametrize("column", ["email", "phonenumber"])
def test_everything_else_is_copied_byte_for_byte(database, column):
    users = [
        User(user_id(number), name, verified=True, **{column: text})
        for number, (name, text) in enumerate([*VALUES.items(), *NOT_BLANK.items()])
    ]
    check(database, users)
    assert {getattr(row, column) for row in database.details()} == {*VALUES.values(), *NOT_BLANK.values()}


@pytest.mark.parametrize("allownotify", [None, True, False])
@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("email", [None, "\u2003", "a@example.org"])
def test_flags(database, email, verified, allownotify):
    check(database, [User(user_id(1), "ann", email, "1", verified, allownotify)])
    (row,) = database.details()
    assert row.allownotify is allownotify
    assert row.emailverified is (verified and email == "a@example.org")


def test_without_the_column_phonenumber(database):
    database.execute("ALTER TABLE referencedata.users DROP COLUMN phonenumber")
    outcome = check(database, [User(user_id(n), "u%d" % n, "u%d@example.org" % n, "unseen") for n in range(5)])
    assert outcome["inserted"] == 5
    assert {row.phonenumber for row in database.details()} == {None}


def test_addresses_that_differ_by_case_only(database):
    check(database, [User(user_id(1), "ann", "Ann@Example.org"), User(user_id(2), "anne", "ann@example.org")])


def test_no_user(database):
    outcome = check(database, [])
    assert not outcome["changed"]
    assert outcome["source"] == 0


@pytest.mark.parametrize(
    ("encoding", "texts"),
    [
        ("LATIN1", ["é@example.org", "\u00a0", "\x1c\x1f", "\x85"]),
        ("WIN1252", ["é€@example.org", "\u00a0", " \t"]),
        ("EUC_JP", ["あ@example.org", "\u3000", "\u3000 \t"]),
        ("KOI8R", ["ж@example.org", "\u00a0", "\x0b"]),
    ],
)
def test_other_server_encodings(database_in, encoding, texts):
    users = [
        User(user_id(number), "ü%d" % number if encoding == "LATIN1" else "u%d" % number, text, text, True)
        for number, text in enumerate(texts)
    ]
    database = database_in(encoding)
    database.connection.set_client_encoding("UTF8")
    check(database, users)


def test_server_encoding_sql_ascii(database_in):
    """Bytes, which Java takes for UTF-8; one username is not."""
    database = database_in("SQL_ASCII")
    blanks = [text.encode() for text in BLANK_SETS.values()] + ["\u2003 \u3000".encode()]
    others = [text.encode() for text in NOT_BLANK.values()] + ["é@example.org".encode(), b"\xe9\xff", b"\xe2\x80"]
    statement = (
        "INSERT INTO referencedata.users (id, username, email, phonenumber, firstname, lastname, verified)"
        " SELECT md5(n::text)::uuid, 'u' || n, t, t, 'F', 'L', true FROM"
        " (SELECT row_number() OVER () AS n, convert_from(v, 'SQL_ASCII') AS t FROM unnest(%s::bytea[]) AS v) AS s"
    )
    database.execute(statement, blanks + others)
    outcome = database.migrate()
    assert outcome["without_email"] == len(blanks)
    rows = database.execute(
        "SELECT convert_to(email, 'SQL_ASCII') FROM notification.user_contact_details WHERE email IS NOT NULL"
    )
    assert sorted(bytes(row[0]) for row in rows) == sorted(others)
    rows = database.execute(
        "SELECT count(*) FROM notification.user_contact_details WHERE phonenumber IS NULL AND NOT emailverified"
    )
    assert rows == [(len(blanks),)]
    database.execute(
        "INSERT INTO referencedata.users (id, username, email, firstname, lastname) VALUES"
        " (%s, E'n\\xe9', 'a', 'F', 'L')",
        user_id(1),
    )
    database.add_details(Details(user_id(2), None, True, "a", False))
    database.refused("%s (n\ufffd)" % user_id(1))


def text(size=255):
    anything = strategies.characters(exclude_characters="\0", exclude_categories=("Cs",))
    awkward = strategies.sampled_from("".join(BLANK_SETS.values()) + "\u00a0\u2007\u202f'\"\\$%,{}\n@")
    return strategies.none() | strategies.text(anything | awkward, max_size=size) | strategies.text(awkward, max_size=4)


@strategies.composite
def worlds(draw):
    """Users, and what the target holds already: nothing, equal, edited, stale or unknown rows."""
    emails = draw(
        strategies.lists(text(), min_size=1, max_size=8, unique_by=lambda one: object() if one is None else one)
    )
    users = [
        User(
            user_id(n),
            "u%d" % n,
            one,
            draw(text()),
            draw(strategies.booleans()),
            draw(strategies.sampled_from([None, True, False])),
        )
        for n, one in enumerate(emails)
    ]
    before = {}
    for number in draw(strategies.sets(strategies.integers(0, len(users) + 2))):
        equal = details_of(users[number]) if number < len(users) else None
        edited = Details(
            user_id(number),
            draw(text()),
            draw(strategies.sampled_from([None, True, False])),
            draw(text()),
            draw(strategies.sampled_from([None, True, False])),
        )
        before[number] = equal if equal and draw(strategies.booleans()) else edited
    held = [row.email for row in before.values() if row.email is not None]
    hypothesis.assume(len(held) == len(set(held)))
    return users, list(before.values()), draw(strategies.sampled_from(["keep", "update"])), draw(strategies.booleans())


@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(worlds())
def test_any_world(database, world):
    """Any text, any state of the target: the right rows, or a refusal where an address would be there twice."""
    users, before, on_existing, check_mode = world
    database.execute("DELETE FROM referencedata.users; DELETE FROM notification.user_contact_details")
    database.add_users(*users)
    if before:
        database.add_details(*before)
    after = expected(users, before, on_existing == "update")
    emails = [row.email for row in after if row.email is not None]
    params = {"on_existing": on_existing, "lock_timeout": 5, "statement_timeout": 20, **database.options}

    def migrate(check_mode):
        return module.migrate(params, check_mode=check_mode, diff=True, warn=None, progressing=progress.Progress())

    if len(emails) > len(set(emails)):
        with pytest.raises(OperationError, match="would share an e-mail address"):
            migrate(check_mode)
        assert database.details() == set(before)
        return
    result = migrate(check_mode)
    if check_mode:
        assert database.details() == set(before)
        assert {**migrate(False), "duration": 0, "msg": ""} == {**result, "duration": 0, "msg": ""}
    assert database.details() == after
    ours = {details_of(user) for user in users}
    ids = {user.id for user in users}
    assert result["source"] == len(users)
    assert result["inserted"] == len(ids - {row.referencedatauserid for row in before})
    assert result["unchanged"] == len(ours & set(before))
    differing = sorted(row.referencedatauserid for row in set(before) - ours if row.referencedatauserid in ids)
    assert result["updated"] == (len(differing) if on_existing == "update" else 0)
    assert result["kept"] == (0 if on_existing == "update" else len(differing))
    assert result["kept_users"] == ([] if on_existing == "update" else differing)
    assert result["without_email"] == len([row for row in ours if row.email is None])
    assert result["changed"] == (after != set(before))
    assert migrate(True)["changed"] is False
