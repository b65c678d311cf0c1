# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wait_for_release on real containers and a real PostgreSQL, and smoke_test on a server of stand-ins."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg2
import pytest
import yaml
from stack import deployment, images
from stack.deployment import write_files
from stack.releases import CHECKOUT, LABEL, RELEASES, flyway_versions
from stack.world import ADMIN, Server

MODULES = "ansible_collections.openlmis.operations.plugins.modules."
RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.loads(sys.argv[2])):
    importlib.import_module(sys.argv[1]).main()
"""
DOCKER = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
PASSWORD = "p@ss#w0rd"
AT_ONCE = 8
PERSONAL = "user ann@example.org, +258 84 123 4567, logs in with " + PASSWORD


class Run:
    """A module at work in a process of its own, as Ansible starts it; `result` waits for its answer."""

    def __init__(self, module: str, **arguments: Any) -> None:
        self.begun = time.monotonic()
        self.seconds = 0.0
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, MODULES + module, json.dumps(arguments)],
            env={"PYTHONPATH": str(CHECKOUT / ".cache" / "collections"), "PATH": "/usr/bin:/bin", **DOCKER},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> dict[str, Any]:
        """What the module answered."""
        output, errors = self.process.communicate(timeout=60)
        self.seconds = time.monotonic() - self.begun
        assert output, errors
        return json.loads(output)


# -- wait_for_release ----------------------------------------------------------------------------------------------


class Gateway(BaseHTTPRequestHandler):
    """Stands where nginx does; what it answers is up to the test: a status and a body, after a delay."""

    def do_GET(self) -> None:
        status, body, delay = self.server.answers.get(self.path, (502, b"<html>", 0))
        self.server.given.append((self.path, status))
        time.sleep(delay)
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 307:
                self.send_header("Location", "https://" + self.headers["Host"] + self.path)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Silent."""


class Project:
    """A Compose project by its labels: a database, and containers that do what the test says."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.name = "wait-" + uuid.uuid4().hex[:8]
        self.engine = images.client()
        self.image = self.engine.images.get("openlmis/postgres:9.6-postgis").id
        self.components: list[dict[str, Any]] = []
        self.open_gateway()
        (folder / "settings.env").write_text(
            f"DATABASE_URL=jdbc:postgresql://db:5432/open_lmis\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD={PASSWORD}\n"
        )

    def start(self, service: str, *command: str, **options: Any) -> Any:
        """A container of a service."""
        labels = {
            "com.docker.compose.project": self.name,
            "com.docker.compose.project.working_dir": str(self.folder),
            "com.docker.compose.service": service,
            "com.docker.compose.oneoff": "False",
            LABEL: "false",
        }
        if command:
            options["entrypoint"] = ""
        options.setdefault("environment", {"POSTGRES_PASSWORD": PASSWORD})
        return self.engine.containers.run(
            self.image, list(command), detach=True, labels=labels, name=f"{self.name}-{service}-1", **options
        )

    def open_gateway(self, port: int = 0) -> None:
        """Have somebody listen where nginx would."""
        self.gateway = ThreadingHTTPServer(("127.0.0.1", port), Gateway)
        self.gateway.answers, self.gateway.given = {}, []
        threading.Thread(target=self.gateway.serve_forever, args=(0.02,), daemon=True).start()

    def close_gateway(self) -> int:
        """Have nobody listen there any more; returns the port."""
        self.gateway.shutdown()
        self.gateway.server_close()
        return self.gateway.server_port

    def database(self) -> Any:
        """The database's container."""
        return self.engine.containers.get(f"{self.name}-db-1")

    def until_database(self) -> None:
        """Wait until the database answers."""
        for _attempt in range(150):
            try:
                return self.sql("SELECT 1")
            except (psycopg2.OperationalError, KeyError):
                time.sleep(0.2)
        raise AssertionError("the database did not start")

    def connect(self, name: str = "test") -> Any:
        """A connection as the owner."""
        (network,) = self.database().attrs["NetworkSettings"]["Networks"].values()
        return psycopg2.connect(
            host=network["IPAddress"], dbname="open_lmis", user="postgres", password=PASSWORD, application_name=name
        )

    def sql(self, statements: str) -> None:
        """Run statements and commit."""
        connection = self.connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statements)
        finally:
            connection.close()

    def history(self, schema: str, *versions: str) -> None:
        """A schema whose history has these versions."""
        self.sql(
            f"CREATE SCHEMA IF NOT EXISTS {schema};CREATE TABLE IF NOT EXISTS {schema}.schema_version (installed_rank"
            f" serial, version text, success boolean);INSERT INTO {schema}.schema_version (version, success) SELECT"
            f" unnest('{{{','.join(versions)}}}'::text[]), true;"
        )

    def answer(self, path: str, version: str, delay: float = 0) -> None:
        """Have the gateway answer with a version."""
        self.gateway.answers[path] = (200, json.dumps({"version": version}).encode(), delay)

    def component(self, name: str, schema: str = "", *migrations: str) -> None:
        """Want a component, in version 2."""
        self.components.append({"name": name, "version": "2", "schema": schema, "migrations": list(migrations)})

    def wait(self, **arguments: Any) -> Run:
        """The module, at work."""
        return Run(
            "wait_for_release",
            **{
                "project_src": str(self.folder),
                "settings_file": str(self.folder / "settings.env"),
                "base_url": f"http://127.0.0.1:{self.gateway.server_port}",
                "components": self.components,
                "timeout": 30,
                "interval": 0.5,
                **arguments,
            },
        )

    def clear(self) -> None:
        """Back to a database without schemas and one component, auth, that runs and wants two migrations."""
        for container in self.containers():
            if container.name != f"{self.name}-db-1":
                container.remove(v=True, force=True)
        self.database().start()
        self.until_database()
        self.sql("DROP SCHEMA IF EXISTS auth CASCADE; DROP SCHEMA IF EXISTS cce CASCADE")
        self.gateway.answers.clear()
        self.gateway.given.clear()
        self.components = []
        self.component("auth", "auth", "1", "2")
        self.start("auth", "sleep", "600", init=True)

    def containers(self) -> list[Any]:
        """All its containers."""
        return self.engine.containers.list(all=True, filters={"label": "com.docker.compose.project=" + self.name})

    def end(self) -> None:
        """Remove every trace."""
        self.close_gateway()
        for container in self.containers():
            container.remove(v=True, force=True)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project for all tests: its database takes seconds to make."""
    images.ensure(lambda text: None)
    project = Project(tmp_path_factory.mktemp("wait"))
    try:
        project.start("db")
        yield project
    finally:
        project.end()


@pytest.fixture
def project(shared_project: Project) -> Project:
    """The project as if nothing had happened."""
    shared_project.clear()
    return shared_project


def test_a_release_that_is_there_is_seen_at_once(project: Project) -> None:
    project.history("auth", "0", "1", "2", "7")
    project.answer("/auth", "2")
    project.component("diagnostics")
    project.start("diagnostics", "sleep", "600", init=True)
    project.answer("/diagnostics", "2")
    run = project.wait(services=["db"])
    result = run.result()
    assert not result.get("failed"), result["msg"]
    assert result["changed"] is False
    assert result["components"]["auth"]["version"] == "2"
    assert result["components"]["auth"]["migrations"] == 2
    assert result["components"]["auth"]["lacks"] == []
    assert 0 <= result["components"]["diagnostics"]["seconds"] <= result["duration"] < run.seconds < 8


def test_what_is_not_there_yet_is_waited_for(project: Project) -> None:
    run = project.wait()
    time.sleep(1)
    project.gateway.answers["/auth"] = (404, b"<html>the page of the user interface</html>", 0)
    project.sql("CREATE SCHEMA auth")
    time.sleep(0.7)
    project.gateway.answers["/auth"] = (200, b"<html>Welcome to nginx</html>", 0)
    project.history("auth", "1")
    time.sleep(0.7)
    project.sql(
        "UPDATE auth.schema_version SET success = false; INSERT INTO auth.schema_version VALUES (9, NULL, true)"
    )
    project.answer("/auth", "1")
    time.sleep(0.7)
    assert run.process.poll() is None
    project.sql("UPDATE auth.schema_version SET success = true")
    project.history("auth", "2")
    time.sleep(0.7)
    assert run.process.poll() is None
    project.answer("/auth", "2")
    result = run.result()
    assert not result.get("failed"), result["msg"]


def test_how_far_it_is_stands_in_a_file_until_it_is_over(project: Project, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "progress"

    def until_it_says(text: str) -> None:
        until = time.monotonic() + 20
        while not path.exists() or path.read_text() != text:
            assert time.monotonic() < until, path.read_text() if path.exists() else "nothing"
            time.sleep(0.05)

    project.history("auth", "1")
    run = project.wait(interval=1, progress_file=str(path))
    until_it_says("0 of 1 components ready; auth at 1 (1 of 2)")
    project.history("auth", "2")
    until_it_says("0 of 1 components ready; no answer yet from auth (all migrations applied)")
    project.answer("/auth", "2")
    result = run.result()
    assert not result.get("failed"), result["msg"]


def test_the_wait_ends_with_the_first_look_after_the_last_answer(project: Project) -> None:
    project.history("auth", "1", "2")
    project.answer("/auth", "2")
    project.component("diagnostics")
    project.start("diagnostics", "sleep", "600", init=True)
    run = project.wait()
    while project.gateway.given.count(("/diagnostics", 502)) < 3:
        assert run.process.poll() is None
        time.sleep(0.1)
    project.answer("/diagnostics", "2")
    assert not run.result().get("failed")
    # One more look, and the requests at the same time that confirm it.
    assert project.gateway.given.count(("/diagnostics", 200)) == 1 + AT_ONCE
    assert (
        project.gateway.given.count(("/auth", 200)) == project.gateway.given.count(("/diagnostics", 502)) + 1 + AT_ONCE
    )


def test_a_gateway_that_comes_late_is_waited_for(project: Project) -> None:
    project.history("auth", "1", "2")
    port = project.close_gateway()
    run = project.wait()
    time.sleep(2)
    assert run.process.poll() is None
    project.open_gateway(port)
    project.answer("/auth", "2")
    assert not run.result().get("failed")


def test_a_crash_is_seen_at_once_while_others_are_slow_and_its_log_is_shown_masked(project: Project) -> None:
    project.answer("/auth", "2", delay=20)
    project.component("cce")
    environment = {"APP_SECRET": "hush"}
    project.start(
        "cce", "sh", "-c", f"echo starting hush; sleep 4; echo '{PERSONAL}' >&2; exit 3", environment=environment
    )
    begun = time.monotonic()
    run = project.wait(interval=1)
    result = run.result()
    assert 3 < time.monotonic() - begun < 8
    assert result["failed"]
    assert (result["service"], result["exit_code"]) == ("cce", 3)
    name = project.name + "-cce-1"
    assert f"The service cce has stopped (container {name}, exit code 3). Expected it to run." in result["msg"]
    assert result["msg"].endswith("starting ***\nuser ***, ***, logs in with ***")
    assert result["components"]["auth"]["lacks"]


def test_a_service_that_was_dead_before_is_seen_too_with_all_the_others(project: Project) -> None:
    for service in ("consul", "nginx"):
        project.start(service, "sh", "-c", "exit 1")
    result = project.wait(services=["consul", "nginx", "redis"]).result()
    assert result["service"] == "consul"
    assert "Expected it to run, and so nginx, redis, which do not either." in result["msg"]
    assert "(it is empty)" in result["msg"]


def test_a_crash_loop_is_a_crash(project: Project) -> None:
    project.start("cce", "sh", "-c", "sleep 0.3; exit 7", restart_policy={"Name": "always"})
    project.component("cce")
    run = project.wait()
    result = run.result()
    assert result["failed"]
    assert "The service cce restarts again and again" in result["msg"]
    # Known only when the loop is seen between two runs; never the zero of a container that runs.
    assert result["exit_code"] in (7, None)
    assert ("last exit code 7" in result["msg"]) == (result["exit_code"] == 7)
    assert run.seconds < 12


def crashing(times: int, after: float) -> str:
    """A shell script that ends in a failure as often as said, then stays."""
    return f"echo >> /tmp/n; [ $(wc -l < /tmp/n) -gt {times} ] && exec sleep 600; sleep {after}; exit 1"


def test_one_restart_is_forgiven(project: Project) -> None:
    project.history("auth", "1", "2")
    project.answer("/auth", "2", delay=4)
    project.component("cce")
    project.answer("/cce", "2")
    cce = project.start("cce", "sh", "-c", crashing(1, 2), restart_policy={"Name": "always"}, init=True)
    result = project.wait().result()
    assert not result.get("failed"), result["msg"]
    cce.reload()
    assert cce.attrs["RestartCount"] == 1


def test_restarts_from_before_the_wait_do_not_count(project: Project) -> None:
    project.history("auth", "1", "2")
    project.answer("/auth", "2")
    cce = project.start("cce", "sh", "-c", crashing(3, 0), restart_policy={"Name": "always"}, init=True)
    for _attempt in range(100):
        cce.reload()
        if cce.attrs["RestartCount"] == 3 and cce.status == "running":
            break
        time.sleep(0.1)
    assert cce.attrs["RestartCount"] == 3
    result = project.wait(services=["cce"]).result()
    assert not result.get("failed"), result["msg"]


def test_a_container_that_cannot_start_is_a_crash(project: Project) -> None:
    with contextlib.suppress(Exception):
        project.start("cce", "/no/such/program")
    project.component("cce")
    result = project.wait().result()
    assert "The service cce could not be started" in result["msg"]
    assert "/no/such/program" in result["msg"]


def test_a_restart_by_hand_is_no_crash(project: Project) -> None:
    project.history("auth", "1", "2")
    run = project.wait(interval=0.1)
    time.sleep(1.5)
    auth = project.engine.containers.get(project.name + "-auth-1")
    auth.stop(timeout=1)
    time.sleep(0.3)
    auth.start()
    time.sleep(1.5)
    assert run.process.poll() is None
    project.answer("/auth", "2")
    assert not run.result().get("failed")


def test_a_database_that_restarts_is_waited_for(project: Project) -> None:
    run = project.wait()
    time.sleep(1.5)
    project.database().restart()
    time.sleep(1)
    project.until_database()
    assert run.process.poll() is None
    project.history("auth", "1", "2")
    project.answer("/auth", "2")
    result = run.result()
    assert not result.get("failed"), result["msg"]


@pytest.mark.parametrize("before", [0, 2])
def test_a_database_whose_container_is_gone_is_named_as_the_cause(project: Project, before: float) -> None:
    project.start("cce", "sh", "-c", "sleep 2; exit 1")
    project.component("cce")
    run = project.wait() if before else None
    time.sleep(before)
    project.database().kill()
    result = (run or project.wait()).result()
    assert result["service"] == "db"
    assert "The database, service db has stopped" in result["msg"]
    assert "exit code 137" in result["msg"]


def test_a_folder_that_is_no_project_is_refused(project: Project, tmp_path: pathlib.Path) -> None:
    result = project.wait(project_src=str(tmp_path)).result()
    assert result["failed"]
    assert f"no container of a Compose project started from {tmp_path}" in result["msg"]


def test_on_a_time_out_it_says_what_is_lacking_and_who_blocks_and_stops_nothing(project: Project) -> None:
    project.history("auth", "1")
    project.sql("CREATE TABLE auth.big (id int); INSERT INTO auth.schema_version VALUES (9, '2', false)")
    project.component("cce", "cce", "5")
    project.start("cce", "sleep", "600", init=True)
    project.answer("/cce", "1")
    forgotten, migrating = project.connect("psql"), project.connect("the migration")
    try:
        forgotten.cursor().execute("SELECT 'secret query', count(*) FROM auth.big")

        def migrate() -> None:
            with contextlib.suppress(psycopg2.Error):
                migrating.cursor().execute("ALTER TABLE auth.big ADD COLUMN more int")

        threading.Thread(target=migrate, daemon=True).start()
        result = project.wait(timeout=3).result()
        assert result["failed"]
        assert "auth: 1 of 2 migrations missing in auth.schema_version (2), /auth answers 502" in result["msg"]
        assert "cce: cce.schema_version does not exist yet, /cce answers version 1, not 2" in result["msg"]
        (blocker,) = result["blockers"]
        assert (blocker["pid"], blocker["application_name"]) == (forgotten.info.backend_pid, "psql")
        assert blocker["state"] == "idle in transaction"
        assert blocker["blocks"] == [migrating.info.backend_pid]
        assert f"session {blocker['pid']} (psql, idle in transaction since 2" in result["msg"]
        assert "secret query" not in json.dumps(result)
        assert {one.status for one in project.containers()} == {"running"}
    finally:
        forgotten.close()
        migrating.cancel()


def test_a_history_that_is_locked_does_not_hold_the_wait(project: Project) -> None:
    project.history("auth", "1", "2")
    project.answer("/auth", "2")
    holder = project.connect("holder")
    holder.cursor().execute("LOCK TABLE auth.schema_version IN ACCESS EXCLUSIVE MODE")
    result = project.wait(timeout=5).result()
    assert "auth.schema_version is locked" in result["msg"]
    run = project.wait()
    time.sleep(1)
    holder.close()
    assert not run.result().get("failed")


def test_a_site_that_insists_on_https_is_not_waited_for(project: Project) -> None:
    project.gateway.answers["/auth"] = (307, b"", 0)
    run = project.wait()
    assert "insists on https" in run.result()["msg"]
    assert run.seconds < 8


def test_a_paused_service_is_waited_for(project: Project) -> None:
    project.history("auth", "1", "2")
    project.answer("/auth", "2")
    redis = project.start("redis", "sleep", "600", init=True)
    redis.pause()
    result = project.wait(services=["redis"], timeout=2).result()
    redis.unpause()
    assert result["failed"]
    assert "service redis is paused" in result["msg"]
    assert not project.wait(services=["redis"]).result().get("failed")


def test_migrations_that_were_skipped_end_the_wait_at_once(project: Project) -> None:
    project.history("auth", "2")
    project.answer("/auth", "2")
    run = project.wait()
    result = run.result()
    assert "1 of 2 migrations are missing in auth.schema_version (1)" in result["msg"]
    assert "out-of-order" in result["msg"]
    assert run.seconds < 8


def test_settings_that_name_no_database_are_refused(project: Project) -> None:
    (project.folder / "settings.env").write_text("POSTGRES_USER=x\n")
    result = project.wait().result()
    assert result["failed"]
    assert "DATABASE_URL" in result["msg"]


def test_check_mode_looks_at_nothing(project: Project) -> None:
    result = project.wait(_ansible_check_mode=True, settings_file="/none", project_src="/none").result()
    assert not result.get("failed"), result
    assert result["changed"] is False
    assert "auth answers 2 with 2 migrations applied" in result["msg"]


# -- smoke_test ----------------------------------------------------------------------------------------------------

SERVICES = ("auth", "referencedata", "notification")
CLERK = "00000000-0000-4000-8000-000000000001"


def smoke(server: Server, **arguments: Any) -> dict[str, Any]:
    """Run the module against the server."""
    return Run(
        "smoke_test",
        **{
            "project_src": str(server.project_src),
            "settings_file": str(server.project_src / "settings.env"),
            "base_url": server.base_url,
            "admin_username": ADMIN[0],
            "admin_password": ADMIN[1],
            "components": wanted(),
            **arguments,
        },
    ).result()


def wanted() -> list[dict[str, Any]]:
    """The components as the role names them."""
    ships = flyway_versions()
    return [
        {
            "name": name,
            "version": RELEASES["3.4.0"][name],
            "schema": name,
            "migrations": ships[name]["versions"][RELEASES["3.4.0"][name]],
        }
        for name in SERVICES
    ]


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The checks by their names."""
    return {one["name"]: one for one in result["results"]}


def failures(result: dict[str, Any]) -> list[str]:
    """The names of the checks that failed."""
    return [one["name"] for one in result["results"] if not one["ok"]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The part of a 3.4.0 server that a profile page needs, waited for with our own module."""
    with deployment.only_one():
        images.ensure(lambda text: None)
        root = tmp_path_factory.mktemp("smoke")
        deployment.down(root, say=lambda text: None)
        server = Server(root)
        try:
            write_files(server, "3.4.0")
            server.compose("up", "--detach", "db")
            deployment.wait_until("the database", lambda: deployment.database_answers(server), 60, server)
            server.compose("up", "--detach", "--build", "consul", "nginx", "reference-ui", *SERVICES)
            ready = Run(
                "wait_for_release",
                project_src=str(server.project_src),
                settings_file=str(server.project_src / "settings.env"),
                base_url=server.base_url,
                components=wanted(),
                services=["db", "consul", "nginx", "reference-ui"],
                timeout=60,
            ).result()
            assert not ready.get("failed"), ready["msg"]
            server.ready = ready
            server.query(
                "INSERT INTO referencedata.users (id, active, firstname, lastname, username, verified)"
                " VALUES (%s, true, 'Cleo', 'Clerk', 'clerk', false)",
                (CLERK,),
            )
            server.query(
                "INSERT INTO auth.auth_users (id, enabled, password, username)"
                " SELECT %s, true, password, 'clerk' FROM auth.auth_users WHERE username = 'admin'",
                (CLERK,),
            )
            yield server
        finally:
            deployment.down(root, say=lambda text: None)


# Every kind that the mapping knows; exactly one may be written back, named by its username.
KINDS: list[tuple[str, str | None, bool, bool | None, str | None]] = [
    ("contained", "ann@example.org", True, True, "1"),
    ("containing", "joann@example.org.invalid", True, None, "2"),
    ("upper", "BOB@example.org", True, True, None),
    ("lower", "jobob@example.org", False, False, None),
    ("wildcard", "a_b@example.org", True, True, None),
    ("matched", "aXb@example.org", False, True, "+258 (84) 1, 2"),
    ("percent", "a%b@example.org", True, True, None),
    ("unverified", "longest.address.of.all@example.org", False, False, None),
    ("pending", "pending.address@example.org", True, True, "3"),
    ("asked-for", "wanted.by.pending@example.org", True, True, "3"),
    ("blank-phone", "blank.telephone.number@example.org", True, True, " "),
    ("blank", "   ", False, True, None),
    ("nothing", None, False, True, None),
    ("odd", 'o\'brien,"王"@example.org', False, False, "+1\n2"),
    ("fit", "fit@example.org", True, False, "+258841234567"),
]


def fill(server: Server, kinds: list[tuple[str, str | None, bool, bool | None, str | None]]) -> None:
    """Exactly these people, and the two who log in; every one with contact details."""
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM notification.email_verification_tokens")
        cursor.execute("DELETE FROM notification.user_contact_details")
        cursor.execute("DELETE FROM referencedata.users WHERE username NOT IN ('admin', 'clerk')")
        for username, email, verified, allow, phone in kinds:
            user = str(uuid.uuid5(uuid.NAMESPACE_DNS, username))
            cursor.execute(
                "INSERT INTO referencedata.users (id, active, firstname, lastname, username, extradata, timezone)"
                " VALUES (%s, true, 'F', 'L', %s, %s, 'UTC')",
                (user, username, None if email else '{"a": [1, null]}'),
            )
            cursor.execute(
                "INSERT INTO notification.user_contact_details"
                " (referencedatauserid, email, emailverified, allownotify, phonenumber) VALUES (%s, %s, %s, %s, %s)",
                (user, email, verified, allow, phone),
            )
            if username == "pending":
                cursor.execute(
                    "INSERT INTO notification.email_verification_tokens"
                    " (id, expirydate, usercontactdetailsid, emailaddress)"
                    " VALUES (%s, now(), %s, 'Wanted.by.pending@example.org')",
                    (user, user),
                )
        cursor.execute(
            "INSERT INTO notification.user_contact_details (referencedatauserid)"
            " SELECT id FROM referencedata.users ON CONFLICT DO NOTHING"
        )
    connection.close()


@pytest.fixture
def filled(site: Server) -> Server:
    """The site with every kind of user."""
    fill(site, KINDS)
    return site


def test_the_wait_for_a_real_start_ends_with_every_component(site: Server) -> None:
    components = site.ready["components"]
    assert {name: one["version"] for name, one in components.items()} == {
        name: RELEASES["3.4.0"][name] for name in SERVICES
    }
    assert all(one["migrations"] > 0 and one["lacks"] == [] and one["seconds"] > 0 for one in components.values())


def register_gone(site: Server, *names: str) -> None:
    """Register each name at an address that nobody has."""
    ask = (
        "import urllib.request as u; u.urlopen(u.Request('http://localhost:8500/v1/agent/service/register', {},"
        " method='PUT'))"
    )
    for name in names:
        entry = {"ID": f"{name}-gone", "Name": name, "Address": "192.0.2.9", "Port": 8080, "Tags": []}
        assert (
            site.container("consul").exec_run(["python3", "-c", ask.format(json.dumps(entry).encode())]).exit_code == 0
        )


def wait_with_registry(site: Server, timeout: int) -> Run:
    """The wait as the upgrade starts it."""
    release = yaml.safe_load((CHECKOUT / "roles" / "openlmis" / "vars" / "releases" / "3.4.0.yml").read_text())
    return Run(
        "wait_for_release",
        project_src=str(site.project_src),
        settings_file=str(site.project_src / "settings.env"),
        base_url=site.base_url,
        components=wanted(),
        timeout=timeout,
        release=release,
    )


def test_what_containers_that_are_gone_have_registered_is_taken_back(site: Server) -> None:
    register_gone(site, "auth", "none-of-the-project-s")
    tidied = wait_with_registry(site, 60).result()
    assert (tidied["changed"], tidied["registrations"]) == (True, ["auth-gone"])
    again = wait_with_registry(site, 60).result()
    assert (again["changed"], again["registrations"]) == (False, [])


def test_a_registration_that_becomes_stale_while_something_is_lacking_is_taken_back_too(site: Server) -> None:
    registered = (
        "import urllib.request as u; print(u.urlopen('http://localhost:8500/v1/catalog/service/referencedata').read())"
    )
    with contextlib.closing(site.connect()) as connection, connection.cursor() as cursor:
        # As if a component were still migrating.
        cursor.execute("lock table auth.schema_version in access exclusive mode")
        register_gone(site, "referencedata")
        run = wait_with_registry(site, 58)
        until = time.monotonic() + 30
        while b"-gone" in site.container("consul").exec_run(["python3", "-c", registered]).output:
            assert time.monotonic() < until, run.result()
            time.sleep(0.2)
        register_gone(site, "auth")
        # Longer than it takes until it looks again.
        time.sleep(4)
    result = run.result()
    assert result["registrations"] == ["referencedata-gone", "auth-gone"]
    assert not result.get("failed")


def recreate(site: Server, boot: int, *arguments: str) -> list[Any]:
    """Recreate notification by itself, with a boot of so many seconds; its containers."""
    settings = site.project_src / "settings.env"
    text = "".join(
        line for line in settings.read_text().splitlines(True) if not line.startswith("REHEARSAL_BOOT_SECONDS=")
    )
    settings.write_text(text + f"REHEARSAL_BOOT_SECONDS={boot}\n")
    site.compose("rm", "--stop", "--force", "notification")
    site.compose("up", "--detach", "--no-deps", *arguments, "notification")
    return [one for one in site.containers() if one.labels["com.docker.compose.service"] == "notification"]


def address_of(container: Any) -> str:
    """Its address on the project's network."""
    return next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]


def registered(site: Server, name: str) -> list[tuple[str, str]]:
    """Address and id of each registration, in the order in which they were made."""
    ask = (
        "import urllib.request as u;"
        f" print(u.urlopen('http://localhost:8500/v1/catalog/service/{name}').read().decode())"
    )
    found = json.loads(site.container("consul").exec_run(["python3", "-c", ask]).output)
    return [(one["ServiceAddress"], one["ServiceID"]) for one in sorted(found, key=lambda one: one["CreateIndex"])]


def ask_for(site: Server, seconds: float) -> list[int]:
    """What notification's version page answers for so many seconds, asked by so many at once that both workers of nginx
    are.
    """
    until = time.monotonic() + seconds

    def ask(_number: int) -> list[int]:
        found = []
        while time.monotonic() < until:
            found.append(site.http("GET", "/notification").status)
            time.sleep(0.3)
        return found

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return [status for found in pool.map(ask, range(32)) for status in found]


def test_the_registration_of_the_container_before_is_taken_back_at_the_same_address_too(site: Server) -> None:
    ((address, old),) = registered(site, "notification")
    (container,) = recreate(site, 8)
    assert address_of(container) == address
    deployment.wait_until("its registration", lambda: len(registered(site, "notification")) == 2, 20)
    run = wait_with_registry(site, 50)
    ask_for(site, 6)
    result = run.result()
    assert result["registrations"] == [old]
    assert [one for one, _identity in registered(site, "notification")] == [address]
    # Nothing was waited for but the component.
    assert run.seconds < 14
    assert set(ask_for(site, 3)) == {200}


@pytest.mark.long
def test_what_nginx_remembers_of_several_servers_is_outlasted(site: Server) -> None:
    try:
        containers = recreate(site, 9, "--scale", "notification=2")
        deployment.wait_until(
            "their registrations",
            lambda: {one for one, _identity in registered(site, "notification")} >= set(map(address_of, containers)),
            20,
        )
        run = wait_with_registry(site, 50)
        # The wait, one request after the other, meets one worker of nginx; the other finds both servers missing later,
        # and says so longer.
        time.sleep(3)
        assert 502 in ask_for(site, 2)
        result = run.result()
        assert not result.get("failed"), result["msg"]
        assert {one for one, _identity in registered(site, "notification")} == set(map(address_of, containers))
        assert set(ask_for(site, 12)) == {200}
    finally:
        recreate(site, 0)
        assert not wait_with_registry(site, 50).result().get("failed")


def test_what_is_not_passed_on_for_some_seconds_does_not_fail_the_smoke_test(filled: Server) -> None:
    notification = filled.container("notification")
    notification.kill()
    threading.Timer(4, notification.start).start()
    result = smoke(filled)
    assert not result.get("failed"), result["msg"]


def test_every_check_passes_and_nothing_is_changed_and_no_mail_is_sent(filled: Server) -> None:
    before = filled.table_hashes()
    result = smoke(filled)
    assert not result.get("failed"), result["msg"]
    assert result["changed"] is False
    assert result["msg"] == "7 of 7 checks passed."
    assert [one["name"] for one in result["results"]] == [
        "ui",
        "versions",
        "wrong login",
        "login",
        "no token",
        "profiles",
        "write back",
    ]
    assert by_name(result)["profiles"]["detail"] == f"{len(KINDS) + 2} profiles equal the database"
    assert "(fit)" in by_name(result)["write back"]["detail"]
    assert filled.table_hashes() == before
    assert filled.container("notification").exec_run(["test", "-e", "/var/log/sent-mail"]).exit_code == 1


def test_the_address_that_a_validator_may_refuse_is_the_last_choice(site: Server) -> None:
    odd = ("odd", "o'neill.with.a.long.address@example.org", True, True, None)
    fill(site, [("fit", "fit@example.org", True, True, None), odd])
    assert "(fit)" in by_name(smoke(site, profiles=1))["write back"]["detail"]
    fill(site, [odd])
    assert "(odd)" in by_name(smoke(site, profiles=1))["write back"]["detail"]


def test_with_nothing_to_write_back_it_says_that_it_proved_nothing(site: Server) -> None:
    fill(site, [one for one in KINDS if one[0] != "fit"])
    before = site.table_hashes()
    result = smoke(site)
    assert not result.get("failed"), result["msg"]
    assert by_name(result)["write back"]["skipped"]
    assert "nothing to write back" in by_name(result)["write back"]["detail"]
    assert result["msg"] == "6 of 7 checks passed, not tried: write back."
    assert site.table_hashes() == before


def test_profiles_are_a_mix_and_the_same_ones_the_next_time(filled: Server) -> None:
    filled.query(
        "INSERT INTO referencedata.users (id, active, firstname, lastname, username)"
        " SELECT md5(i::text)::uuid, true, 'F', 'L', 'many' || i FROM generate_series(1, 500) AS i"
    )
    filled.query(
        "INSERT INTO notification.user_contact_details (referencedatauserid, email, emailverified)"
        " SELECT md5(i::text)::uuid, 'many' || i || '@example.org', true FROM generate_series(1, 500) AS i"
    )
    filled.query("DELETE FROM notification.user_contact_details WHERE phonenumber LIKE '%\n%'")
    first, second = smoke(filled, profiles=8), smoke(filled, profiles=8)
    assert failures(first) == ["profiles"]
    assert "(odd): has no contact details" in by_name(first)["profiles"]["detail"]
    assert by_name(first)["profiles"]["detail"].startswith("1 of 8 ")
    assert first["results"] == second["results"]


def test_users_without_contact_details_are_named_without_personal_data(filled: Server) -> None:
    filled.query("DELETE FROM notification.email_verification_tokens")
    filled.query("DELETE FROM notification.user_contact_details")
    result = smoke(filled)
    assert result["failed"]
    assert failures(result) == ["profiles"]
    detail = by_name(result)["profiles"]["detail"]
    assert detail.startswith(f"{len(KINDS) + 2} of {len(KINDS) + 2} profiles are not as in the database: ")
    assert f"user {CLERK} (clerk): has no contact details" in detail
    assert by_name(result)["write back"]["skipped"]
    text = json.dumps(result["results"], ensure_ascii=False)
    assert not [one for kind in KINDS for one in (kind[1], kind[4]) if one and len(one.strip()) > 1 and one in text]


def test_a_write_back_that_changes_the_row_is_found(filled: Server) -> None:
    filled.query(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.phonenumber := coalesce(NEW.phonenumber, '''') || ''0''; RETURN NEW; END';"
        "CREATE TRIGGER meddle BEFORE UPDATE ON notification.user_contact_details"
        " FOR EACH ROW EXECUTE PROCEDURE meddle()"
    )
    try:
        result = smoke(filled)
    finally:
        filled.query("DROP FUNCTION meddle() CASCADE")
    assert failures(result) == ["write back"]
    assert "(fit) was saved unchanged, but reads differently now" in by_name(result)["write back"]["detail"]


def test_an_administrator_without_the_right_is_told_which_and_where(filled: Server) -> None:
    result = smoke(filled, admin_username="clerk")
    assert failures(result) == ["profiles", "write back"]
    for name in failures(result):
        assert "lacks the right USERS_MANAGE" in by_name(result)[name]["detail"]
        assert "Administration, Users, Roles" in by_name(result)[name]["detail"]


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        ({"admin_password": "not it"}, "the administrator is refused: correct the login given"),
        ({"admin_username": "nobody"}, "the administrator is refused: correct the login given"),
        ({"client_secret": "not it"}, "client user-client is refused: correct the OAuth client given"),
    ],
)
def test_a_wrong_login_of_ours_fails_what_needs_it_only(filled: Server, arguments: dict[str, str], detail: str) -> None:
    result = smoke(filled, **arguments)
    assert set(failures(result)) - {"wrong login"} == {"login", "profiles", "write back"}
    assert detail in by_name(result)["login"]["detail"]


def test_a_component_that_is_down_is_named_and_the_rest_is_still_checked(filled: Server) -> None:
    filled.container("notification").kill()
    begun = time.monotonic()
    try:
        result = smoke(filled, retry_seconds=5)
    finally:
        filled.container("notification").start()
        deployment.wait_until("notification", lambda: filled.versions()["notification"] is not None, 60)
    assert time.monotonic() - begun > 5
    assert failures(result) == ["versions", "no token", "profiles", "write back"]
    assert "/notification answers 50" in by_name(result)["versions"]["detail"]
    assert len(result["results"]) == 7


def test_a_database_that_is_not_there_fails_what_needs_it_only(filled: Server) -> None:
    result = smoke(filled, login_port=9)
    assert failures(result) == ["profiles", "write back"]
    result = smoke(filled, login_db="template1")
    assert failures(result) == ["profiles", "write back"]
    assert 'relation "referencedata.users" does not exist' in by_name(result)["profiles"]["detail"]


def test_check_mode_does_not_even_log_in(filled: Server) -> None:
    result = smoke(filled, _ansible_check_mode=True, admin_password="wrong", base_url="http://localhost:9")
    assert not result.get("failed")
    assert result["changed"] is False
    assert "nothing was checked" in result["msg"]


def test_no_word_gives_a_secret_away_by_being_masked(filled: Server) -> None:
    for arguments in ({}, {"admin_username": "nobody"}, {"client_secret": "secret"}):
        assert "***" not in json.dumps(smoke(filled, **arguments)["results"])
