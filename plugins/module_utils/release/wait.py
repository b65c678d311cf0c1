# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait for a release: evidence, not a clock."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.core.redact import log_tail, secrets_in
from ansible_collections.openlmis.operations.plugins.module_utils.docker.compose import (
    docker_client,
    find_project,
)
from ansible_collections.openlmis.operations.plugins.module_utils.docker.env_file import read_env_file, settings_file
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import (
    named_host,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release import registrations
from ansible_collections.openlmis.operations.plugins.module_utils.release.histories import Histories
from ansible_collections.openlmis.operations.plugins.module_utils.release.readiness import (
    Crash,
    History,
    contradiction,
    find_crash,
    has_done_its_work,
    how_far,
    lacks,
    missing_migrations,
    not_running,
    state_of,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import (
    Component,
    Site,
    Version,
    components_of,
)

NAME = "openlmis.operations wait_for_release"
REQUEST_TIMEOUT = 10.0  # seconds
SECOND_LOOK = 1.0  # seconds; longer than `docker restart` leaves a container stopped
# Seconds for which nginx, by default, takes a server of several for failed; and in which it follows the registry.
FAIL_TIMEOUT = 10.0
FOLLOWING = 2.0
LOG_LINES = 30
HISTORIES = "histories"


class NotReady(OperationError):
    """The wait ended without the release."""


class Question(threading.Thread):
    """Something asked aside, so that a slow answer cannot hide a crash. It does not keep the module from ending."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.ask = ask
        self.begun = time.monotonic()
        self.finished = 0.0
        self.answer: Any = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Ask, and keep what comes of it."""
        try:
            self.answer = self.ask()
        except Exception as error:
            self.error = error  # raised where the answer is collected
        self.finished = time.monotonic()


class Wait:
    """One wait, from its beginning to the evidence."""

    def __init__(self, params: dict[str, Any], components: list[Component]) -> None:
        self.params = params
        self.begun = time.monotonic()
        self.begun_at = datetime.now(timezone.utc).replace(tzinfo=None)
        self.components = components
        self.schemas = sorted({component.schema for component in components if component.migrations})
        self.site = Site(params["base_url"], params["validate_certs"], REQUEST_TIMEOUT)
        self.histories = Histories(params, NAME)
        self.client = docker_client()
        # In the order in which a message names them: what fails with the database fails because of it.
        self.services = [*params["services"], *(component.service for component in components)]
        self.database_service = ""
        self.first_restarts: dict[str, int] = {}
        self.waiting_for: list[str] = []
        self.untidied = ""
        self.project_services: list[Any] = []
        self.taken_back: list[str] = []
        # When several registrations of a service were seen last, by its name (monotonic time).
        self.several: dict[str, float] = {}
        # Those that stay: a scaled service, or what the registry does not let go.
        self.lasting: set[str] = set()
        self.unconfirmed = ""
        self.questions: dict[str, Question] = {}
        self.answered: dict[str, Question] = {}
        self.ready_at: dict[str, float] = {}

    def until_ready(self) -> None:
        """Returns once all is ready; raises OperationError when it is not in time, or can be seen never to be."""
        deadline = self.begun + self.params["timeout"]
        self.find_database()
        while True:
            next_look = time.monotonic() + self.params["interval"]
            self.look()
            self.tidy()
            self.ask(next_look)
            if self.ready() and not self.untidied:
                self.look()
                if not self.waiting_for and self.confirmed():
                    return
            if time.monotonic() >= deadline:
                raise self.timed_out()
            time.sleep(max(0.0, min(next_look, deadline) - time.monotonic()))

    def find_database(self) -> None:
        """Have the service that holds the database watched too, when it is one of this project."""
        # Without the project the address is not looked up, which a stopped container has none of.
        host = named_host(self.params)
        container = self.project().host(host) if host else None
        if container is not None:
            self.database_service = container.labels["com.docker.compose.service"]
            self.services.insert(0, self.database_service)

    def tidy(self) -> None:
        """Take back stale registrations; a registry that has just been started may not answer yet.

        At each look: a container that Docker started again may have got another address.
        """
        release, files = self.params["release"], self.params["compose_files"]
        if release is None:
            return
        try:
            if not self.project_services:
                self.project_services = registrations.services_at(
                    self.project(), self.params["project_src"], files, release
                )
            found = registrations.take_back(self.project, self.project_services, release)
        except OperationError as error:
            self.untidied = str(error)
            return
        self.untidied = ""
        self.several.update(dict.fromkeys(found.several, time.monotonic()))
        self.lasting = set() if found.taken_back else found.several
        self.taken_back += [identity for identity in found.taken_back if identity not in self.taken_back]
        if found.taken_back:
            # nginx follows the registry a moment later: a question before that would hang at an address that is gone.
            time.sleep(self.params["interval"])

    def confirmed(self) -> bool:
        """Whether nginx passes everything on, through every worker, and remembers nothing that could change that."""
        self.tidy()
        if self.untidied:
            return False
        self.unconfirmed = ""
        for component in self.components:
            answers = self.site.versions_at_once(component.path)
            bad = [one for one in answers if one.problem or one.version != (component.version or one.version)]
            if bad:
                says = bad[0].problem or f"answers version {bad[0].version}"
                self.unconfirmed = f"{component.path} {says} to {len(bad)} of {len(answers)} requests at the same time"
                self.ready_at.pop(component.name)
                return False
        remembered = [one.name for one in self.components if self.remembered(one)]
        if remembered:
            self.unconfirmed = (
                f"nginx has several servers for {', '.join(remembered)}: asked again for {FAIL_TIMEOUT:.0f} seconds"
            )
        return not remembered

    def remembered(self, component: Component) -> bool:
        """Whether nginx may still remember that the component did not answer.

        Of a single server it remembers nothing; where there were several, its new workers know of one as soon as it has
        followed.
        """
        names, now = {component.name, component.service}, time.monotonic()
        if names & self.lasting:
            return now < self.begun + self.ready_at[component.name] + FAIL_TIMEOUT
        return now < max(self.several.get(name, 0.0) for name in names) + FOLLOWING

    def project(self) -> Any:
        return find_project(self.client, self.params["project_src"], self.params["project_name"])

    def look(self) -> None:
        """Look at the containers; NotReady when one will not run without help."""
        if self.crashes():
            # Somebody may restart a service at this moment, or Compose make its container anew.
            time.sleep(SECOND_LOOK)
            crashes = self.crashes()
            if crashes:
                raise self.crashed(crashes)

    def crashes(self) -> list[Crash]:
        present = self.project().services()
        crashes = []
        self.waiting_for = []
        for service in dict.fromkeys(self.services):
            states = [state_of(container.attrs) for container in present.get(service, [])]
            for state in states:
                self.first_restarts.setdefault(state.id, state.restarts)
            crash = find_crash(service, states, self.first_restarts)
            if service in self.params["may_exit"] and has_done_its_work(states):
                continue
            if crash:
                crashes.append(crash)
            elif not_running(service, states):
                self.waiting_for.append(not_running(service, states))
        return crashes

    def crashed(self, crashes: list[Crash]) -> NotReady:
        crash = crashes[0]
        what = "database, service" if crash.service == self.database_service else "service"
        others = ", ".join(other.service for other in crashes[1:])
        text = (
            f"The {what} {crash.service} {crash.found}. Expected it to run"
            f"{f', and so {others}, which do not either' if others else ''}."
        )
        if not crash.container:
            return NotReady(f"{text} Start it and wait again.", service=crash.service)
        log = self.log_of(crash.container)
        return NotReady(
            f"{text} Remove the cause, start it and wait again. The end of its log:\n{log or '(it is empty)'}",
            service=crash.service,
            exit_code=crash.exit_code,
        )

    def log_of(self, container_id: str) -> str:
        """The end of a container's log, without what its environment and the settings keep secret."""
        for container in self.project().containers:
            if container.id == container_id:
                entries = container.attrs["Config"].get("Env") or []
                environment = dict(entry.partition("=")[::2] for entry in entries)
                try:
                    log = container.logs(tail=LOG_LINES)
                except Exception as error:  # a log driver that cannot be read must not cost us the finding
                    return f"(it cannot be read: {type(error).__name__})"
                return log_tail(log, secrets_in({**environment, **self.settings()}), LOG_LINES)
        return ""

    def settings(self) -> dict[str, str]:
        path = settings_file(self.params)
        values = read_env_file(path).values if path else {}
        given = {name: self.params[name] or "" for name in ("login_password", "database_url")}
        return {**values, **given}

    def ask(self, until: float) -> None:
        """Ask for all versions, then for the histories; what has no answer by then (monotonic time) stays asked."""
        for component in self.components:
            self.begin(component.name, lambda path=component.path: self.site.version(path))
        self.collect(until)
        self.begin(HISTORIES, lambda: self.histories.read(self.schemas))
        self.collect(max(until, time.monotonic() + 0.5))

    def begin(self, name: str, ask: Callable[[], Any]) -> None:
        if name not in self.questions:
            self.questions[name] = Question(ask)

    def collect(self, until: float) -> None:
        for name, question in list(self.questions.items()):
            question.join(max(0.0, until - time.monotonic()))
            if not question.is_alive():
                self.answered[name] = self.questions.pop(name)
                if question.error:
                    raise question.error

    def learned(self, component: Component) -> tuple[History | None, Version | None]:
        """The component's history and its answer, None where there is none yet."""
        histories, version = self.answered.get(HISTORIES), self.answered.get(component.name)
        return histories and histories.answer.get(component.schema), version and version.answer

    def ready(self) -> bool:
        """Whether all is there by what was learned; NotReady when a part of it can be seen never to come."""
        for component in self.components:
            history, answer = self.learned(component)
            if answer and answer.hopeless:
                raise NotReady(f"{self.site.url(component.path)} {answer.problem}.", service=component.service)
            reason = contradiction(component, history, answer)
            if reason and self.answered[HISTORIES].begun >= self.answered[component.name].finished:
                raise NotReady(reason, service=component.service)
            if lacks(component, history, answer):
                self.ready_at.pop(component.name, None)
            else:
                self.ready_at.setdefault(component.name, time.monotonic() - self.begun)
        return len(self.ready_at) == len(self.components)

    def how_far(self) -> str:
        """How far all are, in one line."""
        said = how_far({component: self.learned(component) for component in self.components})
        return f"{said}; {self.unconfirmed}" if self.unconfirmed else said

    def timed_out(self) -> NotReady:
        reached = self.reached()["components"]
        lacking = [f"{name}: {', '.join(one['lacks'])}" for name, one in reached.items() if one["lacks"]]
        # A connection of its own: the other may be in use by a question.
        histories = Histories(self.params, NAME)
        blockers = histories.blockers()
        histories.close()
        blocking = "".join(
            f" Database session {one['pid']} ({one['application_name'] or 'without name'}, {one['state']} since"
            f" {one['since'] or 'an unknown time'}) holds what {', '.join(map(str, one['blocks']))} waits for."
            for one in blockers
        )
        lacking += [*self.waiting_for, *filter(None, [self.untidied, self.unconfirmed])]
        return NotReady(
            f"Not ready after {self.params['timeout']} seconds. Expected the release, lacking is:"
            f" {'; '.join(lacking)}.{blocking} Nothing was stopped: wait again, and longer, while a migration is at"
            " work; otherwise look into the components' logs.",
            blockers=blockers,
        )

    def reached(self) -> dict[str, Any]:
        """What each component has come to, and how long it took."""
        components, started = {}, self.started()
        for component in self.components:
            history, answer = self.learned(component)
            seconds = self.ready_at.get(component.name)
            components[component.name] = {
                "version": answer.version if answer else "",
                "migrations": len(component.migrations) - len(missing_migrations(component, history)),
                "seconds": None if seconds is None else round(seconds, 1),
                "started": started.get(component.service),
                "answered": None if seconds is None else moment(self.begun_at + timedelta(seconds=seconds)),
                "lacks": lacks(component, history, answer),
            }
        return {"components": components, "duration": round(time.monotonic() - self.begun, 1)}

    def started(self) -> dict[str, str]:
        """When the newest container of each service was started; of none when they cannot be looked at."""
        try:
            present = self.project().services()
        except Exception:  # an engine that has just ended must not cost us the finding
            return {}
        found = {
            service: [container.attrs["State"].get("StartedAt") or "" for container in present[service]]
            for service in present
        }
        # Docker tells nanoseconds, and of a container that was never started the year 1.
        return {service: max(times)[:23] for service, times in found.items() if max(times, default="0") > "1"}


def moment(at: datetime) -> str:
    """A time as the journal writes it."""
    return at.isoformat(timespec="milliseconds")


def intention(components: list[Component], services: list[str]) -> str:
    """What would be waited for, in one sentence."""
    wanted = [
        f"{one.name} answers {one.version or 'with its version'} with {len(one.migrations)} migrations applied"
        for one in components
    ]
    return f"Would wait until {', '.join(wanted + [f'{service} runs' for service in services])}."


def wait(params: dict[str, Any], check_mode: bool, progressing: progress.Progress) -> dict[str, Any]:
    """Wait until the release is there; return the result of M(openlmis.operations.wait_for_release).

    Raises OperationError, with what each component has come to as facts, when it is not there in time or can be seen
    never to be.
    """
    components = components_of(params)
    if check_mode:
        return {"changed": False, "msg": intention(components, params["services"])}
    waiting = Wait(params, components)
    try:
        progressing.say(waiting.how_far)
        waiting.until_ready()
    except OperationError as error:
        error.facts = {**waiting.reached(), **error.facts}
        raise
    reached = waiting.reached()
    ready = f"Ready after {reached['duration']:.0f} seconds."
    return {"changed": bool(waiting.taken_back), "registrations": waiting.taken_back, "msg": ready, **reached}
