# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment's files say: env files as Compose reads them, and database URLs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Callable, Mapping, NamedTuple
from urllib.parse import unquote, unquote_plus

from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

DEFAULT_PORT = 5432

# Go's notion of space, which Compose's parser uses: not Python's, which also counts U+001C to U+001F.
_BLANKS = "\t\v\f\r \x85\xa0"
_SPACES = _BLANKS + "\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_ESCAPE = re.compile(r"\\([abcfnrtv$\"\\]|0[0-9]{0,3})")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_OPERATOR = re.compile(r":?[-+?]")

Lookup = Callable[[str], "str | None"]


@dataclass(frozen=True)
class EnvFile:
    """An env file: its values as Compose v2 gives them to a service, and the keys that other readers take differently."""

    values: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)


class DatabaseUrl(NamedTuple):
    """A database URL in its parts; what the URL does not say is None. ``params`` are as written, decoded."""

    host: str | None
    port: int | None
    database: str | None
    user: str | None
    password: str | None
    params: dict[str, str]
    jdbc: bool
    hosts: tuple[str, ...] = ()


def read_env_file(path: str, environment: Mapping[str, str] | None = None) -> EnvFile:
    """Read an env file as Compose v2 would; see :func:`parse_env_file`.

    ``environment`` is what ``$name`` may refer to besides the file's own earlier keys; by default the process
    environment over the ``.env`` beside the file, which is what Compose uses when it is run in that folder.
    """
    text = _read_text(path)
    if environment is None:
        environment = dict(os.environ)
        beside = os.path.join(os.path.dirname(os.path.abspath(path)), ".env")
        if os.path.isfile(beside) and not os.path.samefile(beside, path):
            environment = {**parse_env_file(_read_text(beside), os.environ, beside).values, **environment}
    return parse_env_file(text, environment, path)


def parse_env_file(text: str, environment: Mapping[str, str] | None = None, name: str = "the settings file") -> EnvFile:
    """Parse an env file by Compose v2's rules: quotes, comments, escapes, interpolation, CRLF, ``export``, dotted keys.

    ``ambiguous`` tells, for each key which ``docker run --env-file`` (and Compose v1) would give another value, why.
    Raises OperationError, without any value, where Compose refuses the file.
    """
    text = text[1:] if text.startswith("\ufeff") else text
    values = _ComposeParser(text.replace("\r\n", "\n"), dict(environment or {}), name).parse()
    plain = _parse_plain(text)
    ambiguous = {key: _difference(value, plain.get(key)) for key, value in values.items() if plain.get(key) != value}
    return EnvFile(values, ambiguous)


def parse_database_url(url: str) -> DatabaseUrl:
    """Parse a JDBC (``jdbc:postgresql:...``) or libpq (``postgresql://...``) URL.

    Raises OperationError without the URL's text, which may hold a password.
    """
    raise NotImplementedError
