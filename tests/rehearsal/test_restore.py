# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore, the volume of a database that is gone and the note of its activity, on a real PostgreSQL that is all there
is of a Compose project.

Its database is owned by a role without superuser; the extensions, PostGIS among them, belong to postgres.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from stack import images
from stack.releases import CHECKOUT, LABEL

sys.path.insert(0, str(CHECKOUT / ".cache" / "collections"))
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import volume
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import activity_note
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import activity, contents, database

IMAGE = "openlmis-operations/restore-test:latest"
PASSWORD = "p@ss#w0rd"
RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
arguments = json.loads(sys.argv[2])
with patch_module_args(arguments):
    importlib.import_module("ansible_collections.openlmis.operations.plugins.modules." + sys.argv[1]).main()
"""
COMPOSE = f"""
services:
  db:
    image: {IMAGE}
    environment: {{POSTGRES_USER: postgres, POSTGRES_PASSWORD: "{PASSWORD}"}}
    labels: {{{LABEL}: "false"}}
"""
AS_ADMINISTRATOR = f"""
create role lmis login createdb createrole password '{PASSWORD}';
create role reporter login password '{PASSWORD}';
alter database open_lmis owner to lmis;
revoke all on database open_lmis from public;
grant connect on database open_lmis to reporter;
alter role reporter in database open_lmis set default_transaction_read_only = on;
alter database open_lmis set search_path = "$user", public, app;
alter database open_lmis connection limit 90;
comment on database open_lmis is 'as it was';
grant select on public.spatial_ref_sys to reporter;
"""
AS_OWNER = """
create schema app;
create type public.mood as enum ('well', 'ill');
create table public.site (id serial primary key, mood public.mood, place public.geometry(point, 4326));
create view public.ill as select * from public.site where mood = 'ill';
create function public.twice(integer) returns integer language sql as 'select 2 * $1';
create aggregate public.longest(text) (sfunc = textcat, stype = text, initcond = '');
insert into public.site (mood, place) select 'well', public.st_setsrid(public.st_makepoint(n, n), 4326)
  from generate_series(1, 50) n;
create table app.users (id uuid primary key default public.uuid_generate_v4(), name text not null, extra jsonb);
insert into app.users (name, extra) select 'User ' || n, '{"a": 1}' from generate_series(1, 3000) n;
create materialized view app.names as select name from app.users;
create table app.orders (id bigserial primary key, who uuid references app.users, amount numeric);
insert into app.orders (who, amount) select id, 1.50 from app.users;
grant usage on schema app to reporter;
grant select on app.orders to reporter;
select lo_from_bytea(4711, 'large');
"""
MEANWHILE = """
drop table app.orders cascade;
alter table app.users add column jobtitle text;
update app.users set name = 'Someone else';
create schema later; create table later.things (id int); insert into later.things values (1);
create table public.later (id int);
drop function public.twice(integer);
select lo_unlink(4711), lo_from_bytea(4712, 'other');
"""
OBJECTS = """
select n.nspname || '.' || c.relname, c.relkind::text, pg_get_userbyid(c.relowner), c.relacl::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname not like 'pg\\_%'
  and n.nspname <> 'information_schema'
union all select p.oid::regprocedure::text, 'function', pg_get_userbyid(p.proowner), p.proacl::text
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'app')
and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e')
union all select e.extname, e.extversion, pg_get_userbyid(e.extowner), '' from pg_extension e
order by 1, 2
"""
TABLES = """
select oid::regclass::text from pg_class where relkind in ('r', 'm')
  and relnamespace::regnamespace::text in ('app', 'public', 'later')
"""
PROPERTIES = """
select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datconnlimit, shobj_description(oid,
  'pg_database'),
       (select array_agg(a.grantee::regrole::text || a.privilege_type order by 1) from aclexplode(datacl) a),
       (select array_agg(setrole::regrole::text || setconfig::text order by 1) from pg_db_role_setting
         where setdatabase = d.oid)
from pg_database d where datname = 'open_lmis'
"""


class Project:
    """A Compose project with a database only."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / f"restore{uuid.uuid4().hex[:8]}"
        self.folder.mkdir()
        self.backup = folder / "backups" / "20261123T010000Z"
        self.override = folder / "volume.yml"
        self.engine = images.client()
        (self.folder / "docker-compose.yml").write_text(COMPOSE)
        (self.folder / "settings.env").write_text(
            f"DATABASE_URL=jdbc:postgresql://db:5432/open_lmis\nPOSTGRES_USER=lmis\nPOSTGRES_PASSWORD={PASSWORD}\n"
        )

    def compose(self, *arguments: str) -> None:
        subprocess.run(["docker", "compose", *arguments], cwd=self.folder, check=True, capture_output=True)

    def container(self) -> Any:
        name = f"{self.folder.name}-db-1"
        return self.engine.containers.get(name)

    def volume(self) -> str:
        (mount,) = self.container().attrs["Mounts"]
        return mount["Name"]

    def connect(self, user: str = "postgres", database: str = "open_lmis") -> Any:
        (network,) = self.container().attrs["NetworkSettings"]["Networks"].values()
        connection = psycopg2.connect(
            host=network["IPAddress"], user=user, password=PASSWORD, dbname=database, connect_timeout=3
        )
        connection.autocommit = True
        return connection

    def sql(self, text: str, user: str = "postgres", database: str = "open_lmis") -> list[tuple[Any, ...]]:
        with contextlib.closing(self.connect(user, database)) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []

    def until_there(self) -> None:
        for _attempt in range(300):
            with contextlib.suppress(Exception):
                self.sql("select 1")
                return
            time.sleep(0.1)
        raise AssertionError("the database did not start")

    def start(self, module: str, check: bool = False, **arguments: Any) -> subprocess.Popen[str]:
        """A module at work in a process of its own, as Ansible starts it."""
        given = {"project_src": str(self.folder), "settings_file": str(self.folder / "settings.env"), **arguments}
        return subprocess.Popen(
            [sys.executable, "-c", RUNNER, module, json.dumps({**given, "_ansible_check_mode": check})],
            env={"PYTHONPATH": str(CHECKOUT / ".cache" / "collections"), "PATH": "/usr/bin:/bin", **docker_host()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, module: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """What a module answered."""
        output, errors = self.start(module, check, **arguments).communicate(timeout=120)
        assert output, errors
        return json.loads(output)

    def connection_options(self, **arguments: Any) -> dict[str, Any]:
        """The options of a connection to it."""
        given = {"project_src": str(self.folder), "settings_file": str(self.folder / "settings.env"), **arguments}
        return {
            **{name: option.get("default") for name, option in database.connection_argument_spec().items()},
            **given,
        }

    def baseline(self) -> dict[str, Any]:
        """What the database has seen until now, as it is noted before users work in it."""
        with contextlib.closing(self.connect("lmis")) as connection, connection.cursor() as cursor:
            return activity.baseline(cursor)

    def worked(self, baseline: dict[str, Any]) -> dict[str, Any]:
        """What was done since."""
        with contextlib.closing(self.connect("lmis")) as connection, connection.cursor() as cursor:
            found = activity.since(cursor, baseline)
        return {**found, "lines": activity.described(found["tables"])}

    def find_volume(self, mounts: dict[str, str]) -> dict[str, Any]:
        """Where the database's data lies."""
        return volume.find({**self.connection_options(), "mounts": mounts}, str(self.override), True)

    def restore(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return self.run("database_restore", check, **self.options(**arguments))

    def options(self, **arguments: Any) -> dict[str, Any]:
        return {"backup": str(self.backup), "run": "20261123T020000Z", "users_let_in": False, **arguments}

    def content(self) -> dict[str, Any]:
        """What must come back: every row, object, right and property."""
        tables = [name for (name,) in self.sql(TABLES)]
        rows = {one: self.sql(f"select md5(string_agg(t::text, '|' order by t::text)) from {one} t") for one in tables}
        return {
            "rows": rows,
            "large objects": (
                self.sql("select oid, lo_get(oid) from pg_largeobject_metadata")
                and [
                    (oid, bytes(data)) for oid, data in self.sql("select oid, lo_get(oid) from pg_largeobject_metadata")
                ]
            ),
            "sequence": self.sql("select nextval('app.orders_id_seq') > 3000"),
            "objects": self.sql(OBJECTS),
            "properties": self.sql(PROPERTIES),
        }

    def databases(self) -> list[str]:
        return [
            name
            for (name,) in self.sql(
                "select datname from pg_database where datname like 'open%' order by 1", database="postgres"
            )
        ]

    def ours(self) -> list[str]:
        """The collection's own containers."""
        found = self.engine.containers.list(
            all=True, ignore_removed=True, filters={"label": "org.openlmis.operations=true"}
        )
        return [one.name for one in found if one.name.endswith(("-20261123T010000Z", "-20261123T020000Z"))]


def docker_host() -> dict[str, str]:
    """How this process reaches Docker."""
    return {key: os.environ[key] for key in ("DOCKER_HOST", "TMPDIR") if key in os.environ}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    images.ensure(lambda text: None)
    project = Project(tmp_path_factory.mktemp("restore"))
    project.engine.images.get("openlmis/postgres:9.6-postgis").tag(*IMAGE.split(":"))
    try:
        project.compose("up", "--detach", "db")
        project.until_there()
        project.sql(AS_ADMINISTRATOR)
        project.sql(AS_OWNER, user="lmis")
        project.before = project.content()
        dumped = project.run(
            "database_backup", dest=str(project.backup), run="20261123T010000Z", login_user="postgres", verify="restore"
        )
        assert not dumped.get("failed"), dumped
        told = {
            "run": "20261123T010000Z",
            "release": "3.3.1",
            "project": {"name": project.folder.name, "src": str(project.folder)},
        }
        process = subprocess.run(
            [
                sys.executable,
                "-c",
                RUNNER,
                "backup_manifest",
                json.dumps({"path": str(project.backup), "manifest": told}),
            ],
            env={"PYTHONPATH": str(CHECKOUT / ".cache" / "collections")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert json.loads(process.stdout).get("proven"), process
        yield project
    finally:
        subprocess.run(["docker", "compose", "down", "--volumes"], cwd=project.folder, check=False, capture_output=True)
        project.engine.images.remove(IMAGE)


@pytest.fixture(autouse=True)
def tidy(project: Project) -> Iterator[None]:
    """Each test ends with the database as it was, and nothing else; the next one's run is a new one."""
    yield
    assert project.ours() == []
    for name in project.databases():
        if name != "open_lmis":
            project.sql(f'drop database "{name}"', database="postgres")


def gone_forward(project: Project) -> None:
    """What an upgrade does to a database, and more."""
    project.sql(MEANWHILE, user="lmis")


@pytest.mark.parametrize(("user", "strategy"), [("lmis", "copy"), ("postgres", "fresh")])
def test_everything_is_as_it_was_and_what_was_there_is_kept(project: Project, user: str, strategy: str) -> None:
    gone_forward(project)
    meanwhile = project.sql("select count(*) from later.things")
    result = project.restore(login_user=user)
    assert not result.get("failed"), result
    assert (result["changed"], result["strategy"], result["kept_as"]) == (
        True,
        strategy,
        "open_lmis_failed_20261123T020000Z",
    )
    assert result["hashed"] > 4
    assert project.content() == project.before
    assert project.sql("select count(*) from later.things", database=result["kept_as"]) == meanwhile
    assert project.databases() == ["open_lmis", "open_lmis_failed_20261123T020000Z"]
    again = project.restore(login_user=user)
    assert (again["changed"], again["strategy"]) == (False, "done")
    assert project.content() == project.before


def test_the_reporting_role_may_do_what_it_might_and_no_more(project: Project) -> None:
    gone_forward(project)
    assert not project.restore().get("failed")
    assert project.sql("select count(*) from app.orders", user="reporter") == [(3000,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        project.sql("select * from app.users", user="reporter")
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        project.sql("create table app.mine (id int)", user="reporter")


def test_check_mode_refuses_nothing_and_changes_nothing(project: Project) -> None:
    before = project.content()
    result = project.restore(check=True)
    assert (result["changed"], result["strategy"]) == (True, "copy")
    assert "Database open_lmis is restored: " in result["lines"][0]
    assert project.content() == before
    assert project.databases() == ["open_lmis"]


@pytest.mark.parametrize("user", ["lmis", "postgres"])
def test_killed_in_the_middle_it_is_made_anew(project: Project, user: str) -> None:
    gone_forward(project)
    process = project.start("database_restore", **project.options(login_user=user))
    while not project.ours() or not any("restore-2" in name for name in project.ours()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "open_lmis_restore_20261123T020000Z" in project.databases()
    assert project.sql("select count(*) from later.things") == [(1,)]
    result = project.restore(login_user=user)
    assert not result.get("failed"), result
    assert project.content() == project.before
    assert project.databases() == ["open_lmis", "open_lmis_failed_20261123T020000Z"]


def test_how_far_it_is_stands_in_a_file(project: Project, tmp_path: pathlib.Path) -> None:
    path, database = tmp_path / "progress", project.container()
    seen = re.compile(r"\d+ of \d+ tables with rows, \d+ MiB in the database")
    # A twentieth of a processor: the restore takes long enough to be seen at work.
    database.update(cpu_period=100_000, cpu_quota=5_000)
    try:
        process = project.start("database_restore", **project.options(progress_file=str(path)))
        told: set[str] = set()
        while process.poll() is None and not any(map(seen.fullmatch, told)):
            told |= {path.read_text()} if path.exists() else set()
            time.sleep(0.1)
    finally:
        database.update(cpu_quota=-1)
    assert any(map(seen.fullmatch, told)), told
    assert not json.loads(process.communicate()[0]).get("failed")
    assert project.content() == project.before


def test_how_far_it_is_can_be_asked_while_a_table_is_locked(project: Project) -> None:
    with contextlib.closing(project.connect()) as holder, contextlib.closing(project.connect()) as connection:
        holder.autocommit = False
        with holder.cursor() as cursor:
            cursor.execute("lock table app.orders in access exclusive mode")
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = '5s'")
            told = contents.restored(cursor, {"app.orders": 1, "app.empty": 0})
    assert re.fullmatch(r"1 of 1 tables with rows, \d+ MiB in the database", told)


def test_sessions_that_come_back_at_once_do_not_keep_it_from_changing_names(project: Project) -> None:
    stop = threading.Event()

    def stubborn() -> None:
        while not stop.is_set():
            with contextlib.suppress(psycopg2.Error):
                project.sql("select pg_sleep(0.3)", user="reporter")

    threads = [threading.Thread(target=stubborn) for _number in range(4)]
    for thread in threads:
        thread.start()
    idle = project.connect("reporter")
    try:
        result = project.restore(login_user="postgres")
    finally:
        stop.set()
        idle.close()
        for thread in threads:
            thread.join()
    assert not result.get("failed"), result
    assert project.content() == project.before


def test_a_superuser_s_session_that_the_owner_may_not_end_is_named(project: Project) -> None:
    with contextlib.closing(project.connect()) as connection:
        pid = connection.get_backend_pid()
        began = time.monotonic()
        result = project.restore(wait_for_sessions=3)
    assert result["failed"]
    assert f"{pid} of postgres" in result["msg"]
    assert time.monotonic() - began < 30
    assert project.databases() == ["open_lmis"]


def test_a_database_of_that_name_that_is_something_else_is_not_dropped(project: Project) -> None:
    name = "open_lmis_restore_20261123T020000Z"
    project.sql(f'create database "{name}"', database="postgres")
    project.sql(f"comment on database \"{name}\" is 'mine'", database="postgres")
    result = project.restore(login_user="postgres")
    assert "comment says that it is something else" in result["msg"]
    assert name in project.databases()


@pytest.mark.parametrize(
    ("change", "back", "words"),
    [
        ("alter role lmis nocreatedb", "alter role lmis createdb", "may not create databases"),
        (
            "alter database open_lmis owner to postgres",
            "alter database open_lmis owner to lmis",
            "does not own the database open_lmis, postgres does",
        ),
        (
            "alter role lmis nocreaterole",
            "alter role lmis createrole",
            "may not set the defaults that reporter has in this database",
        ),
        ("alter table app.users owner to postgres", "alter table app.users owner to lmis", "is no member of postgres"),
    ],
)
def test_what_the_role_may_not_do_is_said_before_anything_is_done(
    project: Project, change: str, back: str, words: str
) -> None:
    project.sql(change)
    try:
        for check in (True, False):
            result = project.restore(check=check)
            assert words in result["msg"]
    finally:
        project.sql(back)
    assert project.databases() == ["open_lmis"]


def test_a_damaged_backup_is_refused(project: Project, tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project.backup, copy)
    data = max((copy / "database").iterdir(), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:-10])
    result = project.restore(check=True, backup=str(copy))
    assert f"{data.name} is truncated" in result["msg"]
    assert project.databases() == ["open_lmis"]


def test_a_restore_that_does_not_equal_the_manifest_never_gets_the_name(
    project: Project, tmp_path: pathlib.Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project.backup, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for part, value in (("tables", manifest["tables"]["app.users"] + 1), ("hashes", "3000:0")):
        (copy / "manifest.json").write_text(json.dumps({**manifest, part: {**manifest[part], "app.users": value}}))
        result = project.restore(backup=str(copy))
        assert "1 tables are not as they were when they were backed up: app.users." in result["msg"]
        assert project.databases() == ["open_lmis"]


def test_work_is_told_table_by_table(project: Project) -> None:
    baseline = project.baseline()
    assert project.worked(baseline)["lines"] == []
    project.sql(
        "insert into app.users (name) values ('New'); update app.users set name = 'Other' where name = 'New'",
        user="lmis",
    )
    project.sql("delete from app.orders where id in (1, 2)", user="lmis")
    found = project.worked(baseline)
    assert found["lines"] == ["app.orders: 2 deleted", "app.users: 1 row written"]
    refused = project.restore(check=True, users_let_in=True, baseline=baseline)
    assert "app.orders: 2 deleted; app.users: 1 row written" in refused["msg"]
    assert project.restore(check=True, users_let_in=True, baseline=baseline, discard_changes=True)["activity"]["tables"]
    assert "there is no baseline" in project.restore(check=True, users_let_in=True)["msg"]
    project.sql("select pg_stat_reset()")
    assert "statistics" in project.restore(check=True, users_let_in=True, baseline=baseline)["msg"]
    assert not project.restore(users_let_in=True, discard_changes=True).get("failed")
    assert project.content() == project.before


def test_rows_are_counted_as_the_backup_did_and_within_their_time(project: Project) -> None:
    manifest = json.loads((project.backup / "manifest.json").read_text())
    settings = database.resolve_connection(project.connection_options())
    counted = activity_note.count(settings, 30)
    assert (counted["rows"], counted["uncounted"]) == (manifest["tables"], [])
    with contextlib.closing(project.connect("lmis")) as connection, connection.cursor() as cursor:
        connection.autocommit = False
        cursor.execute("lock table app.users in access exclusive mode")
        begun = time.monotonic()
        counted = activity_note.count(settings, 2)
        assert time.monotonic() - begun < 10
    # What came before it in the order of size was counted; what came behind it had no time left.
    assert "app.users" in counted["uncounted"]
    assert counted["rows"] == {
        table: rows for table, rows in manifest["tables"].items() if table not in counted["uncounted"]
    }
    assert "public.site" in counted["rows"]


def test_a_note_is_kept_for_its_owner_and_replaced_only_when_asked(project: Project, tmp_path: pathlib.Path) -> None:
    kept, options = tmp_path / "activity.json", project.connection_options()
    assert activity_note.note(options, str(kept), 0, replace=True) == {"count_timeout": 0}
    first = kept.read_text()
    assert "counters" in json.loads(first)
    assert kept.stat().st_mode & 0o777 == 0o600
    project.sql("insert into app.users (name) values ('New')", user="lmis")
    activity_note.note(options, str(kept), 0, replace=False)
    assert kept.read_text() == first
    activity_note.note(options, str(kept), 0, replace=True)
    assert kept.read_text() != first
    with pytest.raises(OperationError, match="cannot be written"):
        activity_note.note(options, str(tmp_path / "missing" / "file"), 0, replace=True)
    project.sql("delete from app.users where name = 'New'", user="lmis")
    assert project.content() == project.before


def test_a_history_of_another_program_is_a_table_as_others(project: Project) -> None:
    project.sql(
        "create schema auth; create schema site; create table site.schema_version (version int); insert into"
        " site.schema_version values (7);create table auth.schema_version (installed_rank int primary key, version"
        " varchar(50), type varchar(20), success bool);insert into auth.schema_version values (0, '0', 'SCHEMA', true),"
        " (1, '20180613120215847', 'SQL', true), (2, '3', 'SQL', false)",
        user="lmis",
    )
    try:
        counted = activity_note.count(database.resolve_connection(project.connection_options()), 30)
        assert counted["histories"] == {"auth": ["20180613120215847"]}
        assert (counted["rows"]["auth.schema_version"], counted["rows"]["site.schema_version"]) == (3, 1)
    finally:
        project.sql("drop schema auth cascade; drop schema site cascade", user="lmis")


def test_counters_that_only_come_late_are_nobody_s_work(project: Project) -> None:
    with contextlib.closing(project.connect("lmis")) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_sleep(0)")
        cursor.execute("update app.users set name = name where name = 'User 1'")
        # Its session has not reported it yet.
        baseline = project.baseline()
    time.sleep(0.5)
    found = project.worked(baseline)
    assert project.baseline()["counters"] != baseline["counters"]
    assert (found["unknown"], found["lines"]) == ("", [])


def bring_up(project: Project, mounts: dict[str, str]) -> dict[str, Any]:
    """What the role does: find the volume, start the service once with the file that names it."""
    result = project.find_volume(mounts)
    files = [word for path in result["files"] for word in ("--file", path)]
    project.compose(*files, "up", "--detach", "--no-deps", "--no-recreate", result["service"])
    project.override.unlink(missing_ok=True)
    project.until_there()
    return result


def test_a_database_whose_container_was_removed_comes_back_on_its_volume(project: Project) -> None:
    name, (mount,) = project.volume(), project.container().attrs["Mounts"]
    mounts = {mount["Destination"]: name}
    assert project.find_volume(mounts)["mapped"] == {}
    project.compose("down")
    result = bring_up(project, mounts)
    assert (result["status"], result["mapped"], result["lost"]) == ("missing", mounts, [])
    assert project.volume() == name
    # What the next deployment does knows nothing of the file.
    container = project.container().id
    project.compose("up", "--detach", "--force-recreate")
    assert project.container().id != container
    project.until_there()
    assert project.volume() == name
    assert project.content() == project.before


def test_a_database_that_somebody_has_started_empty_makes_place_for_the_right_one(project: Project) -> None:
    name, (mount,) = project.volume(), project.container().attrs["Mounts"]
    project.compose("down")
    project.compose("up", "--detach")
    empty = project.volume()
    assert empty != name
    result = project.find_volume({mount["Destination"]: name})
    assert result["stray"] == project.container().name
    project.container().remove(force=True)
    bring_up(project, {mount["Destination"]: name})
    assert project.content() == project.before
    project.engine.volumes.get(empty).remove()


def test_with_the_volume_gone_too_roles_and_database_come_from_the_backup(project: Project) -> None:
    name, (mount,) = project.volume(), project.container().attrs["Mounts"]
    project.compose("down", "--volumes")
    with contextlib.suppress(Exception):
        project.engine.volumes.get(name).remove()
    result = bring_up(project, {mount["Destination"]: name})
    assert (result["mapped"], result["lost"]) == ({}, [name])
    restored = project.restore(login_user="postgres")
    assert not restored.get("failed"), restored
    assert project.content() == project.before
    assert project.sql("select count(*) from app.orders", user="reporter") == [(3000,)]
