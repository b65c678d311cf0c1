# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project.database_url import parse_database_url

URLS = [
    # url, host, port, database, user, password, params
    ("jdbc:postgresql://db:5432/open_lmis", "db", 5432, "open_lmis", None, None, {}),
    ("jdbc:postgresql://db/open_lmis", "db", None, "open_lmis", None, None, {}),
    ("  jdbc:postgresql://db/open_lmis\n", "db", None, "open_lmis", None, None, {}),
    ("jdbc:postgresql:open_lmis", "localhost", None, "open_lmis", None, None, {}),
    ("jdbc:postgresql:///open_lmis", "localhost", None, "open_lmis", None, None, {}),
    ("jdbc:postgresql://db:/open_lmis", "db", None, "open_lmis", None, None, {}),
    ("jdbc:postgresql://db:5432/", "db", 5432, None, None, None, {}),
    ("jdbc:postgresql://db", "db", None, None, None, None, {}),
    ("jdbc:postgresql://[::1]:5433/x", "::1", 5433, "x", None, None, {}),
    ("jdbc:postgresql://[fe80::1]/x", "fe80::1", None, "x", None, None, {}),
    ("jdbc:postgresql://db/a%20b+c%2B", "db", None, "a b c+", None, None, {}),
    ("jdbc:postgresql://db/x?sslmode=require&x=", "db", None, "x", None, None, {"sslmode": "require", "x": ""}),
    ("jdbc:postgresql://db/x?user=u%26&password=p%3D+1&ssl", "db", None, "x", "u&", "p= 1", {"ssl": ""}),
    ("jdbc:postgresql://db/x?password=a?b/c:d@e", "db", None, "x", None, "a?b/c:d@e", {}),
    ("jdbc:postgresql://db/x?", "db", None, "x", None, None, {}),
    ("postgresql://u:p%40%3A%2F@h:1/d", "h", 1, "d", "u", "p@:/", {}),
    ("postgres://u@h/d", "h", None, "d", "u", None, {}),
    ("postgresql://u:@h/d", "h", None, "d", "u", "", {}),
    ("postgresql:///d?host=/tmp&port=6432&user=u&password=p", "/tmp", 6432, "d", "u", "p", {}),
    ("postgresql://%2Fvar%2Frun/d", "/var/run", None, "d", None, None, {}),
    ("postgresql://h/d+e?options=-c%20a%3Db", "h", None, "d+e", None, None, {"options": "-c a=b"}),
    ("postgresql://h?dbname=d", "h", None, "d", None, None, {}),
]


@pytest.mark.parametrize(
    ("url", "host", "port", "database", "user", "password", "params"), URLS, ids=[row[0] for row in URLS]
)
def test_database_url(url, host, port, database, user, password, params):
    parts = parse_database_url(url)
    assert parts[:6] == (host, port, database, user, password, params)
    assert parts.jdbc == url.strip().startswith("jdbc:")


def test_several_hosts_are_told():
    assert parse_database_url("jdbc:postgresql://a:1,[::1]:2,c/x").hosts == ("a", "::1", "c")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", "does not begin with"),
        ("secret", "does not begin with"),
        ("jdbc:mysql://secret/x", "does not begin with"),
        ("jdbc:postgres://secret/x", "does not begin with"),
        ("postgresql:secret", "does not begin with"),
        ("jdbc:postgresql://secret:port/x", "port is not a number"),
        ("jdbc:postgresql://secret:0/x", "port is not a number"),
        ("jdbc:postgresql://secret:65536/x", "port is not a number"),
        ("postgresql://h/x?port=secret", "port is not a number"),
        ("postgresql://u:secret/x@h/d", "port is not a number"),
        ("jdbc:postgresql://::1/secret", "port is not a number"),
        ("jdbc:postgresql://[::1/secret", "cannot be told apart"),
        ("jdbc:postgresql://a secret/x", "cannot be told apart"),
        ("jdbc:postgresql://h/secret%", "a plain % is %25"),
        ("jdbc:postgresql://h/secret%zz", "a plain % is %25"),
        ("jdbc:postgresql://h/secret%00", "a plain % is %25"),
        ("jdbc:postgresql://h/secret%ff", "not that of UTF-8"),
    ],
)
def test_an_unusable_url_is_refused_without_being_quoted(url, found):
    with pytest.raises(OperationError, match=found) as caught:
        parse_database_url(url)
    assert "secret" not in str(caught.value)
    assert "Expected jdbc:postgresql://HOST:PORT/DATABASE" in str(caught.value)
