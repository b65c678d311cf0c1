# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy as a container image: the two commands of the published one, against a real PostgreSQL in a real Compose
project.
"""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from stack import deployment, hosts, images
from stack.releases import CHECKOUT, LABEL
from stack.world import Contact, expected_contact_details

TARGET = CHECKOUT / "tests/integration/targets/user_contact_details_migration/files"
sys.path.insert(0, str(TARGET))

import make_database  # noqa: E402

IMAGE = "openlmis/user-contact-details-migration"
BASE = "openlmis-operations/python:latest"
PROJECT = "openlmis-rehearsal-copy"
PASSWORD = "pa$word-of-this-test"
SETTINGS = f"""\
# As the services have it; most of it means nothing to the copy.
BASE_URL=http://192.0.2.1
spring_profiles_active=production
auth.server.clientId=user-client
DATABASE_URL=jdbc:postgresql://db:5432/open_lmis
POSTGRES_USER=postgres
POSTGRES_PASSWORD={PASSWORD}
"""
COMPOSE_FILE = f"""\
services:
  db:
    image: openlmis/postgres:9.6-postgis
    environment: {{POSTGRES_USER: postgres, POSTGRES_PASSWORD: {PASSWORD.replace("$", "$$")}}}
    labels: {{{LABEL}: "true"}}
"""
EMPTY = "truncate referencedata.users, notification.user_contact_details cascade;"


def docker(*arguments: str, code: int = 0) -> str:
    """What a docker command prints, which must end with a certain exit code."""
    done = subprocess.run(
        ["docker", *arguments], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def build_base() -> None:
    """An image with Python and pip as the Python image has them, and wheels instead of a package index."""
    deployment.ensure_images(lambda text: None)
    folder = hosts.wheels(CHECKOUT / "container" / "requirements.txt", "--no-deps")
    files = {f"wheels/{path.name}": path.read_bytes() for path in folder.iterdir()}
    pip = pathlib.Path(importlib.util.find_spec("pip").origin).parent
    files |= {f"pip/{path.relative_to(pip)}": path.read_bytes() for path in pip.rglob("*.*") if path.suffix != ".pyc"}
    instructions = [
        "COPY pip /usr/lib/python3/dist-packages/pip",
        "COPY wheels /wheels",
        r"RUN printf '[global]\nno-index = true\nfind-links = /wheels\n' >/etc/pip.conf",
    ]
    base = images.labels_of(images.client(), images.CONFIG_BASE)
    images.build(
        images.client(), BASE, images.dockerfile(images.CONFIG_BASE, base[images.BUILD_LABEL], instructions), files
    )


@pytest.fixture(scope="module")
def image() -> str:
    """Our image, built by the published command; one of that name which is not the rehearsal's is left alone."""
    build_base()
    labels = images.labels_of(images.client(), IMAGE)
    assert labels is None or labels.get(LABEL) == "true", (
        f"{IMAGE} is here already and is not the rehearsal's: remove it or use another machine"
    )
    docker("build", "--build-arg", f"BASE={BASE}", "--label", f"{LABEL}=true", "-t", IMAGE, ".")
    return IMAGE


class Database:
    """PostgreSQL as the service db of a Compose project of its own, with the tables of OpenLMIS 3.4."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        (folder / "docker-compose.yml").write_text(COMPOSE_FILE)
        (folder / "settings.env").write_text(SETTINGS)

    def compose(self, *arguments: str) -> str:
        return docker("compose", "--project-name", PROJECT, "--project-directory", str(self.folder), *arguments)

    def start(self) -> None:
        self.compose("up", "--detach")
        until = time.monotonic() + 60
        while not self.answers():
            assert time.monotonic() < until, self.compose("logs")
            time.sleep(0.2)
        self.query((TARGET / "schema.sql").read_text())

    def address(self) -> str:
        return docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", f"{PROJECT}-db-1"
        ).strip()

    def answers(self) -> bool:
        with contextlib.suppress(psycopg2.OperationalError):
            return self.query("select 1") == [(1,)]
        return False

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(
            psycopg2.connect(host=self.address(), dbname="open_lmis", user="postgres", password=PASSWORD)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def fill(self) -> None:
        """Three users, none with contact details."""
        self.query(EMPTY + make_database.USERS)

    def users(self) -> list[dict[str, Any]]:
        names = ("id", "email", "phonenumber", "verified", "allownotify")
        return [dict(zip(names, row)) for row in self.query(f"select {', '.join(names)} from referencedata.users")]

    def contact_details(self) -> dict[str, Contact]:
        rows = self.query(
            "select referencedatauserid, phonenumber, allownotify, email, emailverified from"
            " notification.user_contact_details"
        )
        return {row[0]: Contact(*row[1:]) for row in rows}

    def run(self, image: str, *options: str, settings: str = SETTINGS, code: int = 0) -> str:
        """The published command."""
        (self.folder / "settings.env").write_text(settings)
        network = ("--network", f"{PROJECT}_default")
        return docker(
            "run", "--rm", *network, "--env-file", str(self.folder / "settings.env"), *options, image, code=code
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with deployment.only_one():
        deployment.ensure_images(lambda text: None)
        database = Database(tmp_path_factory.mktemp("copy"))
        try:
            database.start()
            yield database
        finally:
            database.compose("down", "--volumes")


@pytest.fixture
def database(server: Database) -> Database:
    server.fill()
    return server


def count(output: str, name: str) -> int:
    return int(re.search(rf"^ +{name} +(\d+) ", output, re.MULTILINE)[1])


def test_the_published_command_copies_and_says_how_many(image: str, database: Database) -> None:
    output = database.run(image)
    assert [
        count(output, name) for name in ("source", "inserted", "updated", "unchanged", "kept", "without_email")
    ] == [3, 3, 0, 0, 0, 1]
    begun = re.findall(r"^\d\d:\d\d:\d\d (\w+ing) .*\.\.\.$", output, re.MULTILINE)
    assert begun == ["Connecting", "Waiting", "Comparing", "Looking", "Copying", "Verifying", "Committing"]
    assert "Verified in " in output
    assert database.contact_details() == expected_contact_details(database.users())
    assert PASSWORD not in output
    assert "example.org" not in output


def test_a_second_run_keeps_what_was_edited_and_is_told_otherwise_by_the_environment(
    image: str, database: Database
) -> None:
    database.run(image)
    copied = database.contact_details()
    database.query(
        "update notification.user_contact_details set phonenumber = 'edited' where email = 'bob@example.org'"
    )
    edited = database.contact_details()
    output = database.run(image)
    assert [count(output, name) for name in ("inserted", "unchanged", "kept")] == [0, 2, 1]
    assert re.search(r"^ +kept 63b8f5e2-0000-4000-8000-000000000002$", output, re.MULTILINE)
    assert database.contact_details() == edited
    output = database.run(image, "--env", "ON_EXISTING=update", "--env", "CHECK_MODE=true")
    assert "check_mode=true, on_existing=update" in output
    assert count(output, "updated") == 1
    assert "rolled back" in output
    assert database.contact_details() == edited
    assert count(database.run(image, "--env", "ON_EXISTING=update"), "updated") == 1
    assert database.contact_details() == copied


@pytest.mark.parametrize(
    ("settings", "options", "sentence"),
    [
        (
            SETTINGS.replace(PASSWORD, "wr0ng-password"),
            (),
            "refused the password of the user postgres. Expected the one in POSTGRES_PASSWORD",
        ),
        (SETTINGS.replace("//db:", "//nowhere:"), (), "does not resolve.*\n.*--network PROJECT_default"),
        (SETTINGS.replace("DATABASE_URL", "OTHER"), (), "No database is named"),
        (SETTINGS, ("--env", "ON_EXISTING=sometimes"), "must be one of: keep, update, got: sometimes"),
        (SETTINGS, ("--env", 'CONNECT_PARAMS={"password": "wr0ng-password"}'), "connect_params holds password"),
    ],
    ids=["password", "host", "url", "choice", "parameters"],
)
def test_a_failure_ends_with_1_and_says_why_without_a_secret(
    image: str, database: Database, settings: str, options: tuple[str, ...], sentence: str
) -> None:
    output = database.run(image, *options, settings=settings, code=1)
    assert re.search(f"^FAILED: .*{sentence}", output, re.MULTILINE), output
    assert "Traceback" not in output
    assert PASSWORD not in output
    assert "wr0ng-password" not in output
    assert database.contact_details() == {}


def test_settings_that_compose_reads_differently_are_named(image: str, database: Database) -> None:
    output = database.run(image, settings=SETTINGS.replace(PASSWORD, f"'{PASSWORD}'"), code=1)
    assert "POSTGRES_PASSWORD is in quotes, and docker run --env-file leaves them there" in output
    assert PASSWORD not in output
    # Handed in as a file it is read by the rules of Compose v2.
    mounted = database.folder / "mounted.env"
    mounted.write_text(SETTINGS.replace(PASSWORD, f"'{PASSWORD}'"))
    mounted.chmod(0o644)
    options = (
        "--network",
        f"{PROJECT}_default",
        "--volume",
        f"{mounted}:/settings.env:ro",
        "--env",
        "SETTINGS_FILE=/settings.env",
    )
    assert count(docker("run", "--rm", *options, image), "inserted") == 3


def test_it_runs_as_an_ordinary_user_with_nothing_but_a_network(image: str, database: Database) -> None:
    assert docker("run", "--rm", "--entrypoint", "id", image, "-u").strip() == "65534"
    database.run(image, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    assert len(database.contact_details()) == 3


def test_a_stopped_copy_ends_at_once_and_has_written_nothing(image: str, database: Database) -> None:
    name = f"{PROJECT}-stopped"
    connection = psycopg2.connect(host=database.address(), dbname="open_lmis", user="postgres", password=PASSWORD)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("lock table notification.user_contact_details in exclusive mode")
        env_file = ("--env-file", str(database.folder / "settings.env"))
        (database.folder / "settings.env").write_text(SETTINGS)
        docker("run", "--detach", "--name", name, "--network", f"{PROJECT}_default", *env_file, image)
        try:
            waiting = (
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and application_name like"
                " 'openlmis%'"
            )
            until = time.monotonic() + 20
            while database.query(waiting) != [(1,)]:
                assert time.monotonic() < until, docker("logs", name)
                time.sleep(0.1)
            docker("stop", "--time", "30", name)
            assert docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "143"
            assert "STOPPED: either everything or nothing was written" in docker("logs", name)
        finally:
            docker("rm", "--force", name)
    until = time.monotonic() + 10
    while database.query(waiting) != [(0,)]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert database.contact_details() == {}


def test_the_build_takes_nothing_but_what_the_image_holds(image: str) -> None:
    held = docker(
        "run",
        "--rm",
        "--entrypoint",
        "sh",
        image,
        "-c",
        "cd /opt/openlmis && find . -type f -not -path './ansible/*' -not -path './psycopg2*'",
    )
    assert "./copy_contact_details.py" in held.split()
    assert not [name for name in held.split() if re.search(r"\.env|\.git|tests|requirements-dev|/modules/", name)], held
