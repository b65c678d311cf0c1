# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smoke test: the server used as a user would."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Mapping, NamedTuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import (
    connect,
    psycopg2,
    resolve_connection,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release.profiles import (
    CHOOSE_PROFILES,
    CHOOSE_PROFILES_BEFORE,
    CHOOSE_WRITE_BACK,
    ROW_CHECKSUM,
    contact_differences,
    script_source,
    user_differences,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import (
    Answer,
    Component,
    Site,
    components_of,
)

READ_AT_ONCE = 4
NO_USER = "00000000-0000-0000-0000-000000000000"
RIGHT = (
    "the administrator lacks the right USERS_MANAGE. Expected a user who may view and edit every other: give this user"
    " a role of the type General Administration that has it (Administration, Users, Roles), or name another user"
)


class Result(NamedTuple):
    """What one check came to."""

    name: str
    ok: bool
    skipped: bool
    detail: str


class Failed(Exception):
    """A check has found something wrong; the text says what."""


class Skipped(Exception):
    """A check found nothing to be tried on; the text says why."""


class SmokeTest:
    """The checks, in the order in which they are run."""

    def __init__(self, params: Mapping[str, Any], components: list[Component], hide: Callable[[str], None]) -> None:
        self.params = params
        self.components = components
        self.hide = hide  # is told the token, which must not be shown
        self.site = Site(params["base_url"], params["validate_certs"], params["timeout"], params["retry_seconds"])
        self.token = ""
        self.connection: Any = None

    def run(self) -> list[Result]:
        """All checks, each run whatever became of the others."""
        checks = {
            "ui": self.ui,
            "versions": self.versions,
            "wrong login": self.wrong_login,
            "login": self.login,
            "no token": self.no_token,
            "profiles": self.profiles,
            "write back": self.write_back,
        }
        if not self.params["contact_details"]:
            del checks["write back"]
        return [self.one(name, check) for name, check in checks.items()]

    def one(self, name: str, check: Callable[[], str]) -> Result:
        try:
            return Result(name, True, False, check())
        except Skipped as reason:
            return Result(name, True, True, str(reason))
        except (Failed, OperationError) as error:
            return Result(name, False, False, str(error))
        except psycopg2.Error as error:
            self.connection = None
            return Result(name, False, False, f"the database refused ({database_refusal(error)})")

    def ui(self) -> str:
        page = self.wanted(self.site.get("/"), "/")
        path = script_source(page.body.decode("utf-8", "replace"))
        script = self.wanted(self.site.get(path), path).body.strip()
        if not script:
            raise Failed(f"{path} is empty, so users see a blank page; see the log of the user interface's container")
        if script.startswith(b"<"):
            raise Failed(f"{path} is a page, not a script")
        return f"the start page and {path} are there"

    def versions(self) -> str:
        wrong, named = [], []
        for component in self.components:
            found = self.site.version(component.path)
            named.append(f"{component.name} {found.version}")
            if found.version != (component.version or found.version) or not found.version:
                says = found.problem or f"answers {found.version}"
                wrong.append(f"{component.path} {says}, expected {component.version or 'a version'}")
        if wrong:
            raise Failed("; ".join(wrong))
        return ", ".join(named)

    def wrong_login(self) -> str:
        answer = self.authenticate(secrets.token_urlsafe())
        if answer.status != 400:
            raise Failed(f"a wrong login {answer.says()}, expected 400")
        return "a wrong login gets no token"

    def login(self) -> str:
        answer = self.authenticate(self.params["admin_password"])
        found = answer.json()
        if answer.status == 400:
            # Without the words that a poor password or secret consists of: Ansible would mask them, and so give it
            # away.
            raise Failed("the administrator is refused: correct the login given")
        if answer.status == 401:
            raise Failed(f"the client {self.params['client_id']} is refused: correct the OAuth client given")
        if answer.status != 200 or not isinstance(found, dict) or not found.get("access_token"):
            raise Failed(f"/api/oauth/token {answer.says()}, expected 200 with a token")
        self.token = found["access_token"]
        self.hide(self.token)
        return "the administrator got a token"

    def no_token(self) -> str:
        details = [f"/api/userContactDetails/{NO_USER}"] if self.params["contact_details"] else []
        for path in [f"/api/users/{NO_USER}", *details]:
            answer = self.site.get(path)
            if answer.status != 401:
                raise Failed(f"without a token {path} {answer.says()}, expected 401")
        return f"users {'and contact details ' if details else ''}are refused without a token"

    def profiles(self) -> str:
        details = self.params["contact_details"]
        rows = self.rows(CHOOSE_PROFILES if details else CHOOSE_PROFILES_BEFORE, {"number": self.params["profiles"]})
        if not rows:
            raise Skipped("not tried: there is no user" if self.params["profiles"] else "not tried: none was asked for")
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            wrong = list(filter(None, pool.map(self.profile, rows)))
        if wrong:
            raise Failed(f"{len(wrong)} of {len(rows)} profiles are not as in the database: {'; '.join(wrong)}")
        return f"{len(rows)} profiles equal the database"

    def profile(self, row: Mapping[str, Any]) -> str:
        """What the API says differently of one user, in words; empty when nothing."""
        found = user_differences(row, self.read(f"/api/users/{row['id']}"), self.params["contact_details"])
        if self.params["contact_details"]:
            found += contact_differences(row, self.read(f"/api/userContactDetails/{row['id']}"))
        return f"user {row['id']} ({row['username']}): {', '.join(found)}" if found else ""

    def write_back(self) -> str:
        rows = self.rows(CHOOSE_WRITE_BACK)
        if not rows:
            raise Skipped(
                "not tried, there was nothing to write back: no user has a verified e-mail address that the service's"
                " search for duplicates finds with that user alone. Edit a user by hand"
            )
        user, username = rows[0]["id"], rows[0]["username"]
        path, who = f"/api/userContactDetails/{user}", f"user {user} ({username})"
        before = self.wanted(self.site.get(path, self.bearer()), path)
        checksum = self.checksum(user)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.wanted(self.site.request("PUT", path, headers, before.body, idempotent=True), f"saving {who} unchanged")
        after = self.wanted(self.site.get(path, self.token), path)
        if after.json() != before.json():
            raise Failed(f"{who} was saved unchanged, but reads differently now: compare with the backup")
        if self.checksum(user) != checksum:
            raise Failed(f"{who} was saved unchanged, but its row has changed: compare with the backup")
        return f"{who} was saved unchanged and is unchanged"

    def authenticate(self, password: str) -> Answer:
        names = ("client_id", "client_secret")
        return self.site.ask_token(self.params["admin_username"], password, *(self.params[name] for name in names))

    def bearer(self) -> str:
        if not self.token:
            raise Failed("not tried, since the login failed")
        return self.token

    def wanted(self, answer: Answer, what: str) -> Answer:
        """The answer, when it is 200."""
        if answer.status == 403:
            raise Failed(f"{what} answers 403: {RIGHT}")
        if answer.status != 200:
            raise Failed(f"{what} {answer.says()}, expected 200")
        return answer

    def read(self, path: str) -> Any:
        """The JSON at a path, None when there is none (404)."""
        answer = self.site.get(path, self.bearer())
        return None if answer.status == 404 else self.wanted(answer, path).json()

    def checksum(self, user: str) -> str:
        return "".join(row["checksum"] for row in self.rows(ROW_CHECKSUM, {"id": user}))

    def rows(self, query: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if self.connection is None:
            self.connection = connect(
                resolve_connection(dict(self.params)), "openlmis.operations smoke_test", autocommit=True
            )
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]


def database_refusal(error: Exception) -> str:
    """What the database said, without values; its messages about reading name tables and privileges only."""
    diag = getattr(error, "diag", None)
    return (diag and diag.message_primary) or "the connection was lost"


def summary(results: list[Result]) -> str:
    """The sum of the checks, and each that failed."""
    failed = [result for result in results if not result.ok]
    skipped = [result.name for result in results if result.skipped]
    text = f"{len(results) - len(failed) - len(skipped)} of {len(results)} checks passed"
    text += f", not tried: {', '.join(skipped)}." if skipped else "."
    return text + "".join(f" {result.name}: {result.detail}." for result in failed)


def test(params: Mapping[str, Any], check_mode: bool, hide: Callable[[str], None]) -> dict[str, Any]:
    """Run every check; return the result of M(openlmis.operations.smoke_test). C(hide) is told the token.

    Raises OperationError, with what each check came to as facts, when one has failed.
    """
    smoke = SmokeTest(params, components_of(dict(params)), hide)
    if check_mode:
        return {"changed": False, "msg": f"Would check {smoke.site.base_url}; nothing was checked.", "results": []}
    results = smoke.run()
    told = [result._asdict() for result in results]
    if not all(result.ok for result in results):
        raise OperationError(summary(results), results=told)
    return {"changed": False, "msg": summary(results), "results": told}
