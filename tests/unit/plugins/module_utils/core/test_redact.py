# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.redact import (
    LINE_LIMIT,
    log_tail,
    redact,
    secrets_in,
)


@pytest.mark.parametrize(
    "personal",
    [
        "ann@example.org",
        "o'brien+lmis@mail.example.org",
        "ann@localhost",
        "анна@пример.рф",
        "+258 84 123 4567",
        "+258841234567",
        "0841234567",
        "(084) 123-4567",
        "084.123.4567",
        "00258841234567",
        "2018123456",
        "+2018123456789",
    ],
)
@pytest.mark.parametrize("line", ["Key (email)=(%s) already exists.", "sent to %s", "'%s'", "%s", 'x="%s",'])
def test_addresses_and_telephone_numbers_are_masked(line, personal):
    assert redact(line % personal) == line % "***"


@pytest.mark.parametrize(
    "line",
    [
        "2018-07-06 20:00:19.454  INFO 7 --- [main] o.f.core.internal.command.DbMigrate : Migrating schema",
        "2018-07-06T20:00:19,454 started",
        'Migrating schema "requisition" to version 20180706200019454 - add tag',
        "migration V20180706200019454__add_tag.sql failed",
        "user 17c99d77-3a1f-4d4f-9a50-0f3a1c2f1e5b and 12345678-1234-1234-1234-123456789012",
        "at org.postgresql.core.v3.QueryExecutorImpl.execute(QueryExecutorImpl.java:2468)",
        "org.springframework.Context@6d06d69c: startup date",
        "connecting to 172.18.0.12:5432 failed after 15000 ms",
        "SQL State : 42703, error code 0",
    ],
)
def test_what_the_reader_needs_is_kept(line):
    assert redact(line) == line


def test_secrets_of_the_settings_are_masked_wherever_they_stand():
    settings = {
        "POSTGRES_PASSWORD": "p@ss w0rd",
        "AUTH_SERVER_CLIENT_SECRET": "p@ss",
        "auth.server.clientSecret": "dotted",
        "DATABASE_URL": "jdbc:postgresql://db:5432/open_lmis?user=x&password=in-the-url",
        "OTHER_URL": "amqp://user:mq-word@host/",
        "BASE_URL": "http://localhost",
        "AWS_SECRET_ACCESS_KEY": "aws",
        "MONKEY": "banana",
    }
    secrets = secrets_in(settings)
    assert set(secrets) == {"p@ss w0rd", "p@ss", "dotted", "in-the-url", "mq-word", "aws"}
    assert redact("p@ss w0rd|p@ss|dotted|in-the-url|mq-word|banana", secrets) == "***|***|***|***|***|banana"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("jdbc:postgresql://admin:word@db:5432/x", "jdbc:postgresql://***@db:5432/x"),
        ("POSTGRES_PASSWORD=word next", "POSTGRES_PASSWORD=*** next"),
        ("{'password': 'two words', 'a': 1}", "{'password': ***, 'a': 1}"),
        ("?access_token=6bd8-77&page=1", "?access_token=***&page=1"),
        ("Authorization: Bearer 6bd8-77aa", "Authorization: Bearer ***"),
        ("client_secret: changeme", "client_secret: ***"),
    ],
)
def test_what_is_shaped_like_a_secret_is_masked(line, masked):
    assert redact(line) == masked


def test_a_tail_has_the_last_lines_each_masked_and_cut():
    log = b"\n".join([b"first", b"ann@x.org \xff", b"x" * 2000 + b"secret"])
    assert log_tail(log, ["secret"], 2).splitlines() == ["*** \ufffd", "x" * LINE_LIMIT]
    assert log_tail(b"", [], 30) == ""


def test_a_secret_across_the_cut_leaves_no_half():
    assert "sec" not in log_tail(b"x" * (LINE_LIMIT - 3) + b"secret", ["secret"], 1)
