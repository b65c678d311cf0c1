# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts that need no server; what the copy does on one is in the integration target."""

from __future__ import annotations

import unicodedata
from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.core.progress import Progress
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details as module
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import ConnectionSettings

COLUMN = module.Column("r", "id", True, True, True, True, False, False)


def test_blank_is_what_java_8_says():
    """Java 8 is at Unicode 6.2, where U+180E still was a space; no-break spaces and U+0085 are none to it."""
    spaces = {one for one in map(chr, range(0x110000)) if unicodedata.category(one) in ("Zs", "Zl", "Zp")}
    spaces = spaces - set("\u00a0\u2007\u202f") | {"\u180e"}
    assert set(module.BLANKS) == spaces | set(map(chr, [*range(0x09, 0x0E), *range(0x1C, 0x20)]))
    assert len(module.BLANKS) == len(set(module.BLANKS)) == 26


@pytest.mark.parametrize(
    ("encoding", "number"),
    [("UTF8", 26), ("LATIN1", 10), ("WIN1252", 10), ("KOI8R", 10), ("EUC_JP", 11), ("MULE_INTERNAL", 10)],
)
def test_only_characters_that_the_server_knows_are_sent(encoding, number):
    condition, blanks = module.not_blank("email", encoding)
    assert len(blanks) == number
    assert condition == "(email::\"char\" BETWEEN '!' AND '~' OR pg_catalog.btrim(email, %(blanks)s) <> '')"


def test_a_server_without_encoding_is_given_bytes():
    condition, pattern = module.not_blank("email", "SQL_ASCII")
    assert "!~" in condition
    assert len(pattern.split("|")) == 26


@pytest.mark.parametrize(
    ("username", "label"),
    [
        (b"ann", "1 (ann)"),
        (b"user12345", "1 (user12345)"),
        ("مريم".encode(), "1 (مريم)"),
        (b"n\xe9", "1 (n\ufffd)"),
        (b"ann@example.org", "1"),
        (b"0999 123-456", "1"),
        (b"+265(1)234567x", "1"),
        (memoryview(b"ann"), "1 (ann)"),
        (None, "1 (not in referencedata.users)"),
    ],
)
def test_how_a_user_is_named(username, label):
    assert module.user_label("1", username) == label


def test_settings_suit_the_version():
    new, old = module.settings_sql(160000, 3, 0), module.settings_sql(90624, 3, 0)
    for statement in (new, old):
        settings = statement.split("; ")
        assert all(one.startswith("SET LOCAL ") for one in settings)
        assert "SET LOCAL lock_timeout = '3s'" in settings
        assert "SET LOCAL statement_timeout = '0s'" in settings
    assert "SET LOCAL jit = off" in new
    assert "jit" not in old


def columns(names, **changes):
    return [COLUMN._replace(name=name, **changes) for name in names]


@pytest.mark.parametrize(
    ("source", "target", "grants"),
    [
        ({}, {}, []),
        ({"schema_usage": False}, {}, ["USAGE ON SCHEMA referencedata"]),
        ({"select": False}, {}, ["SELECT ON referencedata.users"]),
        ({"insert": False, "table_update": False}, {}, []),
        ({}, {"select": False, "table_update": False}, ["SELECT, UPDATE ON notification.user_contact_details"]),
        (
            {},
            {"insert": False, "schema_usage": False},
            ["USAGE ON SCHEMA notification", "INSERT ON notification.user_contact_details"],
        ),
    ],
)
def test_missing_grants(source, target, grants):
    found = (columns(module.SOURCE_COLUMNS, **source), columns(module.TARGET_COLUMNS, **target))
    if not grants:
        module._require_privileges(*found, "lmis")
        return
    with pytest.raises(OperationError) as caught:
        module._require_privileges(*found, "lmis")
    assert "; ".join("GRANT %s TO lmis" % grant for grant in grants) + ";" in str(caught.value)


def test_columns_that_are_not_used_need_no_grant():
    source = columns(module.SOURCE_COLUMNS) + columns(["extradata"], select=False)
    target = columns(module.TARGET_COLUMNS) + columns(["later"], select=False, insert=False)
    module._require_privileges(source, target, "lmis")


@pytest.mark.parametrize(
    ("after", "verifies"),
    [
        ((10, 0, 2, 0, 1, 12), True),
        ((10, 1, 2, 0, 1, 12), False),
        ((10, 0, 3, 0, 1, 12), False),
        ((10, 0, 1, 0, 1, 12), False),
        ((9, 0, 2, 0, 1, 12), False),
        ((10, 0, 2, 0, 1, 11), False),
        ((10, 0, 2, 0, 2, 12), False),
        ((10, 0, 2, 5, 1, 12), True),
    ],
)
def test_verification(after, verifies):
    """Ten users of which three were missing and two differ and are kept; nine rows before, two of them of unknown
    users.
    """
    before = module.Counts(source=10, missing=3, differing=2, moving=0, without_email=1, rows=9)
    migration = SimpleNamespace()
    if verifies:
        module.Migration._verify(migration, before, module.Counts(*after), 0)
    else:
        with pytest.raises(OperationError, match="Verification failed.*nothing was written"):
            module.Migration._verify(migration, before, module.Counts(*after), 0)


def test_times_are_bounded():
    params = {"lock_timeout": 2_000_001, "statement_timeout": 0}
    with pytest.raises(OperationError, match="lock_timeout is 2000001"):
        module.migrate(params, False, False, None, Progress())


def test_a_holder_in_words():
    assert module._holder((None, None, None, None, True)) == "a prepared transaction (see pg_prepared_xacts)"
    assert module._holder((7, "", None, None, True)) == "pid 7 (application_name not set, user unknown, since unknown)"


def test_the_place_in_words():
    assert ConnectionSettings(host="::1").where() == "[::1]:5432"
    assert ConnectionSettings(host="/run").where() == "the Unix socket /run"
