# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wait_for_release on real containers and a real PostgreSQL, and smoke_test on a server of stand-ins."""

from __future__ import annotations

import contextlib
import json
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
from stack import images
from stack.releases import CHECKOUT, LABEL

MODULES = "ansible_collections.openlmis.operations.plugins.modules."
RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.loads(sys.argv[2])):
    importlib.import_module(sys.argv[1]).main()
"""
PASSWORD = "p@ss#w0rd"
PERSONAL = "user ann@example.org, +258 84 123 4567, logs in with " + PASSWORD


class Run:
    """A module at work in a process of its own, as Ansible starts it; `result` waits for its answer."""

    def __init__(self, module: str, **arguments: Any) -> None:
        self.begun = time.monotonic()
        self.seconds = 0.0
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, MODULES + module, json.dumps(arguments)],
            env={"PYTHONPATH": str(CHECKOUT / ".cache" / "collections"), "PATH": "/usr/bin:/bin"},
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
        time.sleep(delay)
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
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
        self.gateway.answers = {}
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
            f"CREATE SCHEMA IF NOT EXISTS {schema};"
            f"CREATE TABLE IF NOT EXISTS {schema}.schema_version (installed_rank serial, version text, success boolean);"
            f"INSERT INTO {schema}.schema_version (version, success)"
            f" SELECT unnest('{{{','.join(versions)}}}'::text[]), true;"
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
    assert result["components"]["auth"]["seconds"] > 3


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
    assert "starting ***\nuser ***, ***, logs in with ***" in result["msg"]
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
    assert result["exit_code"] == 7
    assert run.seconds < 12


def test_one_restart_is_forgiven(project: Project) -> None:
    project.history("auth", "1", "2")
    project.answer("/auth", "2", delay=4)
    once = "[ -e /tmp/been ] && exec sleep 600; touch /tmp/been; sleep 2; exit 1"
    project.component("cce")
    project.answer("/cce", "2")
    project.start("cce", "sh", "-c", once, restart_policy={"Name": "always"}, init=True)
    result = project.wait().result()
    assert not result.get("failed"), result["msg"]
    cce = project.engine.containers.get(project.name + "-cce-1")
    assert cce.attrs["RestartCount"] == 1


def test_a_container_that_cannot_start_is_a_crash(project: Project) -> None:
    with contextlib.suppress(Exception):
        project.start("cce", "/no/such/program")
    project.component("cce")
    result = project.wait().result()
    assert "The service cce could not be started" in result["msg"]
    assert "/no/such/program" in result["msg"]


def test_a_restart_by_hand_is_no_crash(project: Project) -> None:
    project.history("auth", "1", "2")
    run = project.wait()
    time.sleep(1.5)
    project.engine.containers.get(project.name + "-auth-1").restart(timeout=1)
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


def test_a_database_whose_container_is_gone_is_named_as_the_cause(project: Project) -> None:
    project.start("cce", "sh", "-c", "sleep 2; exit 1")
    project.component("cce")
    run = project.wait()
    time.sleep(1)
    project.database().kill()
    result = run.result()
    assert result["service"] == "db"
    assert "The database, service db has stopped" in result["msg"]
    assert "exit code 137" in result["msg"]


def test_a_folder_that_is_no_project_is_refused(project: Project, tmp_path: pathlib.Path) -> None:
    result = project.wait(project_src=str(tmp_path)).result()
    assert result["failed"]
    assert f"no container of a Compose project started from {tmp_path}" in result["msg"]


def test_on_a_time_out_it_says_what_is_lacking_and_who_blocks_and_stops_nothing(project: Project) -> None:
    project.history("auth", "1")
    project.sql("CREATE TABLE auth.big (id int)")
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
    holder = project.connect()
    holder.cursor().execute("LOCK TABLE auth.schema_version IN ACCESS EXCLUSIVE MODE")
    run = project.wait()
    time.sleep(4.5)
    assert run.process.poll() is None
    holder.rollback()
    holder.close()
    assert not run.result().get("failed")


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
