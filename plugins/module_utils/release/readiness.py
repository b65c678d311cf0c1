# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What containers, migration histories and answers say about a server on its way to a release; no I/O."""

from __future__ import annotations

from typing import Any, FrozenSet, Mapping, NamedTuple, Sequence, Union

from ansible_collections.openlmis.operations.plugins.module_utils.release.web import Component, Version

# How often a container may restart by its policy: once may be a database that was not there yet.
RESTARTS_TOLERATED = 1
# How many migrations a message names.
NAMED = 5

# The versions that a schema's history has, or in words why there is none to read.
History = Union[FrozenSet[str], str]


class ContainerState(NamedTuple):
    """What the Docker Engine says of one container; status as in its State.Status."""

    id: str
    name: str
    status: str
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0


class Crash(NamedTuple):
    """A service that will not run without help; container is the id of the one to blame, empty when it has none."""

    service: str
    found: str
    container: str = ""
    exit_code: int | None = None


def state_of(attributes: Mapping[str, Any]) -> ContainerState:
    """The state in what the Docker Engine answers to an inspection of a container."""
    state = attributes["State"]
    return ContainerState(
        id=attributes["Id"],
        name=attributes["Name"].lstrip("/"),
        status=state["Status"],
        exit_code=state.get("ExitCode") or 0,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        restarts=attributes.get("RestartCount") or 0,
    )


def find_crash(service: str, states: Sequence[ContainerState], first_restarts: Mapping[str, int]) -> Crash | None:
    """Why a service will not run without help; None while it runs or is on its way.

    first_restarts has, by container id, the restarts that were counted when the wait began.
    """
    for state in states:
        grown = state.restarts - first_restarts.get(state.id, 0)
        if grown > RESTARTS_TOLERATED or (state.status == "restarting" and state.restarts > RESTARTS_TOLERATED):
            # While it runs for a moment, the engine has forgotten with which code it ended before.
            ended = None if state.status == "running" else state.exit_code
            code = "" if ended is None else f", last exit code {ended}"
            found = f"container {state.name}, {state.restarts} restarts{code}"
            return Crash(service, f"restarts again and again ({found})", state.id, ended)
    if any(state.status in ("running", "restarting", "paused") for state in states):
        return None
    for state in states:
        found = f"container {state.name}, exit code {state.exit_code}"
        if state.status in ("exited", "dead"):
            why = ", killed for want of memory" if state.oom_killed else ""
            return Crash(service, f"has stopped ({found}{why})", state.id, state.exit_code)
        if state.status == "created" and state.error:
            return Crash(service, f"could not be started ({found}: {state.error})", state.id, state.exit_code)
    if any(state.status == "created" for state in states):
        return None
    return Crash(service, "has no container")


def has_done_its_work(states: Sequence[ContainerState]) -> bool:
    """Whether a service has ended by itself and well, as a job does."""
    return bool(states) and all(
        state.status == "exited" and state.exit_code == 0 and not state.oom_killed for state in states
    )


def not_running(service: str, states: Sequence[ContainerState]) -> str:
    """What a service that has not crashed still lacks, in words; empty when it runs."""
    if any(state.status == "running" for state in states):
        return ""
    return f"service {service} is {' and '.join(sorted({state.status for state in states}))}"


def missing_migrations(component: Component, history: History | None) -> list[str]:
    """The wanted migrations that the history does not have, in the component's order."""
    applied = history if isinstance(history, frozenset) else frozenset()
    return [version for version in component.migrations if version not in applied]


def lacks(component: Component, history: History | None, answer: Version | None) -> list[str]:
    """What a component still lacks, in words; nothing when it is ready. None stands for what was not learned yet."""
    found = []
    missing = missing_migrations(component, history)
    if missing and isinstance(history, frozenset):
        found.append(f"{_count(component, missing)} missing in {component.schema}.schema_version ({_first(missing)})")
    elif missing:
        found.append(f"{component.schema}.schema_version {history or 'was not read yet'}")
    if answer is None:
        found.append(f"{component.path} has not answered yet")
    elif answer.problem:
        found.append(f"{component.path} {answer.problem}")
    elif component.version and answer.version != component.version:
        found.append(f"{component.path} answers version {answer.version}, not {component.version}")
    return found


def how_far(learned: Mapping[Component, tuple[History | None, Version | None]]) -> str:
    """How many components are ready, and at which migration each of the others is; learned has history and answer of
    each.
    """
    found = {component: known for component, known in learned.items() if lacks(component, *known)}
    said = [f"{len(learned) - len(found)} of {len(learned)} components ready"]
    migrated: list[str] = []
    unread: dict[str, list[str]] = {}
    for component, (history, _answer) in found.items():
        missing = missing_migrations(component, history)
        if not missing:
            migrated.append(component.name)
        elif isinstance(history, frozenset):
            applied = [version for version in component.migrations if version not in missing]
            newest = applied[-1] if applied else "no migration yet"
            said.append(f"{component.name} at {newest} ({len(applied)} of {len(component.migrations)})")
        else:
            unread.setdefault(history or "was not read yet", []).append(component.name)
    said += [f"the history of {', '.join(names)} {why}" for why, names in unread.items()]
    if migrated:
        said.append(f"no answer yet from {', '.join(migrated)} (all migrations applied)")
    return "; ".join(said)


def contradiction(component: Component, history: History | None, answer: Version | None) -> str:
    """Why a component will never be ready, by a history that was read after it had answered; else empty.

    A component listens only once its migrations are over, so what is missing then does not come any more.
    """
    missing = missing_migrations(component, history)
    if not missing or not isinstance(history, frozenset) or answer is None or not answer.version:
        return ""
    if component.version and answer.version != component.version:
        return ""
    return (
        f"Component {component.name} answers with version {answer.version}, so its migrations are over, but"
        f" {_count(component, missing)} are missing in {component.schema}.schema_version ({_first(missing)}). Expected"
        " was every one of them. Either Flyway passed over them because newer ones were there already: allow"
        " out-of-order migration for this component and start it again; or it uses another database than the one given:"
        " compare them."
    )


def _count(component: Component, missing: Sequence[str]) -> str:
    return f"{len(missing)} of {len(component.migrations)} migrations"


def _first(versions: Sequence[str]) -> str:
    return ", ".join(versions[:NAMED]) + (", …" if len(versions) > NAMED else "")
