# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Env files as Compose reads them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

# Go's notion of white space, which is not Python's: that counts U+001C to U+001F too.
_BLANKS = "\t\v\f\r \x85\xa0"
_SPACES = (
    _BLANKS + "\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_ESCAPE = re.compile(r"\\([abcfnrtv$\"\\]|0[0-9]{0,3})")
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "$": "$$",
}
_EXPORT = re.compile(r"export[\t\n\v\f\r ]+")
_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_BRACED = re.compile(r"([_A-Za-z][_A-Za-z0-9]*)(?:(:?[-+?])(.*))?$", re.DOTALL)


@dataclass(frozen=True)
class EnvFile:
    """An env file: its values as Compose v2 gives them to a service, and the keys that other readers
    take differently.
    """

    values: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)


def read_env_file(path: str, environment: Mapping[str, str] | None = None) -> EnvFile:
    """Read an env file as Compose v2 would; see :func:`parse_env_file`.

    ``environment`` is what ``$name`` may refer to besides the file's own earlier keys. By default it is the process
    environment over the ``.env`` beside the file, as it is for Compose when run in that folder.
    """
    text = _read_text(path)
    if environment is None:
        environment = os.environ
        beside = os.path.join(os.path.dirname(os.path.abspath(path)), ".env")
        if os.path.isfile(beside) and not os.path.samefile(beside, path):
            environment = {**parse_env_file(_read_text(beside), environment, beside).values, **environment}
    return parse_env_file(text, environment, path)


def parse_env_file(text: str, environment: Mapping[str, str] | None = None, name: str = "the settings file") -> EnvFile:
    """Parse an env file by Compose v2's rules: quotes, comments, escapes, interpolation, CRLF, ``export``, dotted keys.

    ``ambiguous`` says, for each key that ``docker run --env-file`` (and Compose v1) would read as something else, why.
    Raises OperationError, which quotes no value, where Compose refuses the file.
    """
    text = text[1:] if text.startswith("\ufeff") else text
    statements = list(_statements(text, environment or {}, name))
    plain = _plain_values(text)
    values: dict[str, str] = {}
    ambiguous: dict[str, str] = {}
    for key, value, raw in statements:
        values[key] = value
        ambiguous.pop(key, None)
        if plain.get(key) != value:
            ambiguous[key] = _difference(raw, key in plain)
    return EnvFile(values, ambiguous)


def settings_file(params: Mapping[str, Any]) -> str | None:
    """The env file that a module goes by: its option, else the first of the usual ones in the project that has a
    DATABASE_URL.
    """
    if params.get("settings_file") or not params.get("project_src"):
        return params.get("settings_file")
    usual = (os.path.join(params["project_src"], name) for name in ("settings.env", ".env"))
    return next((path for path in usual if os.path.exists(path) and "DATABASE_URL" in read_env_file(path).values), None)


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except OSError as error:
        raise OperationError(
            "The settings file %s cannot be read (%s). Expected the env file of the deployment, usually settings.env or"
            " .env beside docker-compose.yml on the managed host: correct settings_file." % (path, error.strerror)
        ) from error


def _statements(text: str, environment: Mapping[str, str], name: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield (key, value, raw value) for each assignment, in order."""
    known: dict[str, str] = {}
    at = 0
    while True:
        while at < len(text) and text[at] in _SPACES:
            at += 1
        if at >= len(text):
            return
        if text[at] == "#":
            at = _line_end(text, at)
            continue
        line = text.count("\n", 0, at) + 1
        exported = _EXPORT.match(text, at)
        at = exported.end() if exported else at
        key, separator, at = _key(text, at, name, line)
        if separator == "":
            return  # a last line without = and newline is nothing to Compose
        if separator == "\n":
            if key in environment:
                known[key] = environment[key]
                yield key, environment[key], None
            continue
        while at < len(text) and text[at] in _BLANKS:
            at += 1
        raw, value, at = _value(text, at, {**known, **environment}, "%s, line %d, key %s" % (name, line, key))
        if key:
            known[key] = value
            yield key, value, raw


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _key(text: str, at: int, name: str, line: int) -> tuple[str, str, int]:
    """The key that starts at ``at``, the character that ends it, and the place after that."""
    end = at
    while end < len(text) and text[end] not in "=:\n":
        if not (text[end] in "_.-[]" or text[end].isalpha() or text[end].isnumeric() or text[end] in _BLANKS):
            raise OperationError(
                "In %s, line %d, the name before the = holds the character %s. Expected letters, digits and _ . - only,"
                " as Compose v2 does: correct the line, or put the value of the line before into quotes."
                % (name, line, ascii(text[end]))
            )
        end += 1
    key = text[at:end].rstrip(_SPACES)
    if " " in key:
        raise OperationError(
            "In %s, line %d, there is a space in the name before the =. Expected a line such as KEY=value, as Compose"
            " v2 does: correct the line." % (name, line)
        )
    return key, text[end : end + 1], end + 1


def _value(text: str, at: int, lookup: Mapping[str, str], place: str) -> tuple[str, str, int]:
    """The value that starts at ``at``: as written, as Compose gives it on, and the place after it."""
    quote = text[at : at + 1]
    if quote not in ("'", '"') or not quote:
        end = _line_end(text, at)
        raw = text[at:end]
        return raw, _interpolate(raw.split(" #", 1)[0].rstrip(_SPACES), lookup, place), end
    body = re.compile(r"((?:[^\\%s]|\\.)*)%s" % (quote, quote), re.DOTALL).match(text, at + 1)
    if body is None:
        raise OperationError(
            "In %s, a value opens with %s and does not close. Expected a closing %s: correct the line."
            % (place, quote, quote)
        )
    raw = text[at : body.end()]
    value = body.group(1).replace("\\" + quote, quote)
    if quote == '"':
        value = _interpolate(_ESCAPE.sub(_unescape, value), lookup, place)
    return raw, value, body.end()


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code in _ESCAPES:
        return _ESCAPES[code]
    digits = code[1:]
    return chr(int(digits, 8)) if re.match(r"[0-3][0-7]{2}$", digits) else "\\" + digits


def _interpolate(value: str, lookup: Mapping[str, str], place: str) -> str:
    """Replace ``$name`` and ``${name...}``, as Compose does in every value but single-quoted ones."""
    out = ""
    while "$" in value:
        before, value = value.split("$", 1)
        out += before
        named = _NAME.match(value)
        if value.startswith("$"):
            out, value = out + "$", value[1:]
        elif named:
            out, value = out + lookup.get(named.group(0), ""), value[named.end() :]
        elif value.startswith("{"):
            end = _closing_brace(value)
            out += _braced(value[1:end] if end < len(value) else "", lookup, place)
            value = value[end + 1 :]
        else:
            out += "$"
    return out + value


def _closing_brace(value: str) -> int:
    """Where the brace that opens ``value`` closes, or its length; only ``${`` opens a further one."""
    depth = 0
    for match in re.finditer(r"\$?\{|\}", value):
        if match.group(0) == "}":
            depth -= 1
            if depth == 0:
                return match.start()
        elif match.start() == 0 or match.group(0) == "${":
            depth += 1
    return len(value)


def _braced(body: str, lookup: Mapping[str, str], place: str) -> str:
    match = _BRACED.match(body)
    if match is None:
        raise OperationError(
            "In %s, a ${ is not closed or names no variable. Expected ${NAME}, or $$ for a plain dollar sign, as"
            " Compose v2 does: correct the value or put it into single quotes." % place
        )
    name, operator, argument = match.group(1), match.group(2) or "", match.group(3) or ""
    present = bool(lookup.get(name)) if operator.startswith(":") else name in lookup
    if operator.endswith("+"):
        return _interpolate(argument, lookup, place) if present else ""
    if not operator or present:
        return lookup.get(name, "")
    if operator.endswith("?"):
        raise OperationError(
            "In %s, the variable %s is required but not set. Expected it in the environment or in the .env beside the"
            " file: set it there." % (place, name)
        )
    return _interpolate(argument, lookup, place)


def _plain_values(text: str) -> dict[str, str]:
    """The file as ``docker run --env-file`` reads it: every line up to the first = is a name, all that follows its
    value.
    """
    values: dict[str, str] = {}
    for line in re.split("\r?\n", text):
        name, equals, value = line.lstrip(_SPACES).partition("=")
        if equals and not name.startswith("#"):
            values[name] = value
    return values


def _difference(raw: str | None, in_plain: bool) -> str:
    """Why Compose v2 and ``docker run --env-file`` disagree about a key, judged by what is written."""
    if raw is None:
        return "it has no = and takes its value from the environment"
    if not in_plain:
        return "its line begins with export, or has no plain KEY= form, which only Compose v2 accepts"
    if raw[:1] in ("'", '"'):
        return "its value is in quotes, which only Compose v2 removes"
    if "$" in raw:
        return "its value holds a $, which only Compose v2 expands"
    if " #" in raw:
        return "its value is followed by a #, which only Compose v2 takes as a comment"
    return "its value has white space around it, which only Compose v2 removes"
