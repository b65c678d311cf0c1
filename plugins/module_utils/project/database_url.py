# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database URLs: JDBC's and libpq's."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError


class DatabaseUrl(NamedTuple):
    """A database URL in its parts; None where the URL is silent.

    ``params`` are decoded but not translated. ``hosts`` has more than one element where the URL names several.
    """

    host: str | None
    port: int | None
    database: str | None
    user: str | None
    password: str | None
    params: dict[str, str]
    jdbc: bool
    hosts: tuple[str, ...]


def parse_database_url(url: str) -> DatabaseUrl:
    """Parse a JDBC URL (``jdbc:postgresql:...``) or a libpq URL (``postgresql://...``, ``postgres://...``).

    JDBC's rules where they differ: a missing host is localhost, ``+`` is a space in the database's name and the
    parameters, ``user`` and ``password`` are parameters. Raises OperationError that quotes nothing of the URL, which
    may hold a password.
    """
    match = re.match(r"(?:(jdbc):postgresql:|postgres(?:ql)?:(?=//))(.*)$", url.strip(), re.DOTALL)
    if match is None:
        raise _bad_url("it does not begin with jdbc:postgresql: or postgresql://")
    jdbc = bool(match.group(1))
    rest, question, query = match.group(2).partition("?")
    authority, slash, database = "", "", rest
    if rest.startswith("//"):
        authority, slash, database = rest[2:].partition("/")
    userinfo, at, address = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    hosts = [_host_and_port(one) for one in address.split(",")]
    params = {}
    for part in query.split("&") if query else []:
        key, equals, value = part.partition("=")
        params[_decode(key, jdbc)] = _decode(value, jdbc)
    host, port = hosts[0]
    return DatabaseUrl(
        host=host or params.get("host") or ("localhost" if jdbc else None),
        port=port or _port(params.get("port")),
        database=_decode(database, jdbc) or params.get("dbname") or None,
        user=params.get("user") or _decode(user, False) or None,
        password=params["password"] if "password" in params else _decode(password, False) if colon else None,
        params={
            key: value for key, value in params.items() if key not in ("user", "password", "host", "port", "dbname")
        },
        jdbc=jdbc,
        hosts=tuple(name or "" for name, number in hosts),
    )


def _bad_url(found: str) -> OperationError:
    return OperationError(
        "The database URL cannot be used: %s. Expected jdbc:postgresql://HOST:PORT/DATABASE?PARAMETER=VALUE, or "
        "postgresql://USER@HOST:PORT/DATABASE, with an IPv6 address in square brackets: correct the URL." % found
    )


def _host_and_port(text: str) -> tuple[str | None, int | None]:
    match = re.match(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(.*))?$", text, re.DOTALL)
    if match is None or re.search(r"\s", text):
        raise _bad_url("its host and port cannot be told apart")
    return match.group(1) or _decode(match.group(2) or "", False) or None, _port(match.group(3))


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not re.match(r"[0-9]{1,5}$", text) or not 0 < int(text) < 65536:
        raise _bad_url("its port is not a number from 1 to 65535")
    return int(text)


def _decode(text: str, plus_is_space: bool) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
        raise _bad_url(
            "it holds a % that is not followed by the two hexadecimal digits of a character (a plain % is %25)"
        )
    try:
        return (unquote_plus if plus_is_space else unquote)(text, errors="strict")
    except UnicodeDecodeError as error:
        raise _bad_url("its percent-encoding is not that of UTF-8 text") from error
