# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Spring Boot component makes of its environment and its command line. No I/O."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

# The order in which the JVM applies them; the last one wins. The components' own start script takes JAVA_OPTS.
JVM_OPTIONS = ("JAVA_TOOL_OPTIONS", "JAVA_OPTS", "_JAVA_OPTIONS")
JSON = "spring.application.json"
PROFILES = "spring.profiles.active"
_PROPERTY = re.compile(r"-D([^=\s]+)(?:=(.*))?$", re.DOTALL)


class Given(NamedTuple):
    """What a process is given: its environment, and its command line as words."""

    environment: Mapping[str, str]
    command: Tuple[str, ...] = ()

    def value(self, name: str) -> str | None:
        """Return a property (C(spring.profiles.active)) as Spring Boot resolves it, None where nothing sets it.

        An argument of the program outranks SPRING_APPLICATION_JSON, that a system property, and that the environment.
        """
        properties = self._properties()
        places = (self._arguments(), self._json(properties), properties)
        return next((place[name] for place in places if name in place), self._variable(name))

    def _arguments(self) -> Dict[str, str]:
        pairs = (word[2:].partition("=") for word in self.command if word.startswith("--"))
        return {name: value for name, _equals, value in pairs}

    def _properties(self) -> Dict[str, str]:
        before, options, after = (_words(self.environment.get(key, "")) for key in JVM_OPTIONS)
        found = (_PROPERTY.match(word) for word in [*before, *options, *self.command, *after])
        return {one.group(1): one.group(2) or "" for one in found if one}

    def _json(self, properties: Mapping[str, str]) -> Dict[str, str]:
        text = properties.get(JSON) or self._variable(JSON) or ""
        try:
            return _flat(json.loads(text))
        except ValueError:
            return {}

    def _variable(self, name: str) -> str | None:
        spellings = (name, name.replace(".", "_"), name.replace(".", "_").upper())
        return next((self.environment[one] for one in spellings if one in self.environment), None)


class DataSource(NamedTuple):
    """The database that a component would use; all are empty where it is given none. C(password) must not leave the
    module.
    """

    url: str
    user: str
    password: str


def profiles(given: Given) -> List[str]:
    """Return the active Spring profiles; an empty value is none."""
    return [one.strip() for one in (given.value(PROFILES) or "").split(",") if one.strip()]


def data_source(given: Given) -> DataSource:
    """Return the database: Spring's own properties outrank those that OpenLMIS' application.properties refer to."""

    def first(*names: str) -> str:
        return next((value for value in map(given.value, names) if value is not None), "")

    return DataSource(
        first("spring.datasource.url", "DATABASE_URL"),
        first("spring.datasource.username", "POSTGRES_USER"),
        first("spring.datasource.password", "POSTGRES_PASSWORD"),
    )


def _words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _flat(value: Any, prefix: str = "") -> Dict[str, str]:
    """Return nested JSON as dotted names with text values."""
    if not isinstance(value, dict):
        return {prefix: value if isinstance(value, str) else json.dumps(value)} if prefix else {}
    found: Dict[str, str] = {}
    for key, one in value.items():
        found.update(_flat(one, f"{prefix}.{key}" if prefix else key))
    return found


def words_of(*commands: Sequence[str] | str | None) -> Tuple[str, ...]:
    """Return entrypoint and command, as Compose renders them, as words; C(sh -c) lines are split, too."""
    listed = [one for command in commands for one in (_words(command) if isinstance(command, str) else command or ())]
    return tuple(word for one in listed for word in (_words(one) if " " in one else [one]))
