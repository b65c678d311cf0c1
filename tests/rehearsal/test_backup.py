# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup on a real PostgreSQL: what it holds, that every damage is found, that no secret shows, that a killed one
leaves nothing.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from stack import deployment, images
from stack.ansible import command
from stack.releases import CHECKOUT, HERE, RELEASES, flyway_versions
from stack.world import DATABASE, Server

sys.path.insert(0, str(CHECKOUT / ".cache" / "collections"))
from ansible_collections.openlmis.operations.plugins.module_utils.host import server as module_server

MODULES = "ansible_collections.openlmis.operations.plugins.modules."
RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.loads(sys.argv[2])):
    importlib.import_module(sys.argv[1]).main()
"""
IMAGE = "openlmis/postgres:damaging"
PASSWORD = str(DATABASE["password"]).encode()
FACILITIES = 3000

SITE = """
CREATE ROLE reader LOGIN PASSWORD 'r3ader';
CREATE ROLE keeper LOGIN PASSWORD 'keep3r' CREATEDB;
CREATE SCHEMA site;
CREATE TABLE site.facilities (id int PRIMARY KEY, name text NOT NULL, place public.geometry);
INSERT INTO site.facilities SELECT i, 'Facility ' || i, public.st_point(i, 1) FROM generate_series(1, {facilities}) i;
CREATE TABLE site."odd name: ü" (note text, openlmis_row text);
INSERT INTO site."odd name: ü" VALUES (E'two\\nlines\\t\\\\.', NULL), ('', '\\N');
CREATE TABLE site.parent (i int); CREATE TABLE site.child () INHERITS (site.parent);
INSERT INTO site.parent VALUES (1); INSERT INTO site.child VALUES (2), (3);
CREATE TABLE site.parts (i int) PARTITION BY RANGE (i);
  CREATE TABLE site.part1 PARTITION OF site.parts FOR VALUES FROM (0) TO (9);
INSERT INTO site.parts VALUES (1), (2);
CREATE UNLOGGED TABLE site.unlogged (i serial); INSERT INTO site.unlogged DEFAULT VALUES;
CREATE TABLE site.empty (); CREATE TABLE site.nothing (); INSERT INTO site.nothing DEFAULT VALUES;
INSERT INTO public.spatial_ref_sys (srid, auth_name) VALUES (990001, 'the site''s own');
SELECT lo_from_bytea(0, 'a large object');
GRANT USAGE ON SCHEMA site TO reader; GRANT SELECT ON site.facilities TO reader;
GRANT CONNECT ON DATABASE open_lmis TO reader;
ALTER DATABASE open_lmis SET work_mem = '5MB';
ALTER ROLE reader IN DATABASE open_lmis SET statement_timeout = '60s';
"""
ROWS = {
    "site.facilities": FACILITIES,
    "site.odd name: ü": 2,
    "site.parent": 1,
    "site.child": 2,
    "site.part1": 2,
    "site.unlogged": 1,
    "site.empty": 0,
    "site.nothing": 1,
    "public.spatial_ref_sys": 1,
    "pg_catalog.pg_largeobject": 1,
}


def histories() -> str:
    """The schemas of a 3.3.1 server, as far as they tell the release."""
    statements = []
    for name, component in flyway_versions().items():
        ships = component["versions"][RELEASES["3.3.1"][name]] if component.get("schema") else []
        if component.get("schema"):
            rows = ", ".join(f"({rank}, '{version}', 'SQL', true)" for rank, version in enumerate(ships, 1))
            table = f"{component['schema']}.schema_version"
            statements.append(
                f"CREATE SCHEMA {component['schema']}; CREATE TABLE {table} (installed_rank int PRIMARY KEY, version"
                " varchar(50), type varchar(20), success boolean);"
            )
            statements.append(f"INSERT INTO {table} VALUES {rows};" if rows else "")
    return "\n".join(statements)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A deployment of which only the database runs, from an image whose pg_dump does the damage that it is told to."""
    root = tmp_path_factory.mktemp("backup")
    with deployment.only_one():
        deployment.check_no_other_openlmis()
        images.ensure(lambda text: None)
        deployment.down(root, say=lambda text: None)
        lines = (
            "FROM openlmis/postgres:9.6-postgis\nCOPY . /opt/damage/\nENV"
            " PATH=/opt/damage:/usr/lib/postgresql/15/bin:/usr/bin:/bin\n"
        )
        programs = {path.name: path.read_bytes() for path in (HERE / "damage").iterdir()}
        images.build(images.client(), IMAGE, lines + "RUN chmod 755 /opt/damage/*\n", programs)
        one = Server(root)
        deployment.write_files(one, "3.3.1")
        env = one.project_src / ".env"
        env.write_text(env.read_text().replace("9.6-postgis", "damaging"))
        try:
            one.compose("up", "--detach", "--no-deps", "db")
            deployment.wait_until("the database", lambda: deployment.database_answers(one), 60, one)
            # By default loopback is trusted, and a password that does not arrive would go unnoticed.
            one.container("db").exec_run(
                ["sh", "-c", "sed -i '/^host/s/trust$/md5/' $PGDATA/pg_hba.conf && pkill -HUP -o postgres"]
            )
            one.query("SELECT pg_reload_conf()")
            one.query(SITE.format(facilities=FACILITIES) + histories())
            yield one
        finally:
            deployment.down(root, say=lambda text: None)


@pytest.fixture(autouse=True)
def undamaged(server: Server) -> Iterator[None]:
    """Every test begins with a sound pg_dump and without backups, and ends with no container, no secret and no scratch
    database.
    """
    damage(server, "none")
    server.query(f"DELETE FROM site.facilities WHERE id > {FACILITIES}")
    subprocess.run(["rm", "-rf", server.backup_dir, server.state_dir], check=True)
    others = dangling(server)
    yield
    assert leftovers(server) == []
    assert dangling(server) - others == set()


def damage(server: Server, kind: str) -> None:
    """Tell the image's pg_dump what to do to the dump."""
    server.query(f"ALTER DATABASE open_lmis SET rehearsal.damage = '{kind}'")


def ours(server: Server) -> list[Any]:
    """The collection's own containers."""
    return server.engine.containers.list(
        all=True, ignore_removed=True, filters={"label": "org.openlmis.operations=true"}
    )


def leftovers(server: Server) -> list[str]:
    """What must not be there when no backup is under way."""
    found = [one.name for one in ours(server)]
    found += [str(path) for path in server.backup_dir.rglob("*") if "pgpass" in path.name or "partial" in path.name]
    return found + [
        row[0] for row in server.query("SELECT datname FROM pg_database WHERE datname LIKE 'openlmis_scratch%'")
    ]


def dangling(server: Server) -> set[str]:
    """The anonymous volumes that no container uses."""
    return {volume.name for volume in server.engine.volumes.list(filters={"dangling": True}) if len(volume.name) == 64}


class Module:
    """A module at work in a process of its own, as Ansible starts it."""

    def __init__(self, name: str, **arguments: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, MODULES + name, json.dumps(arguments)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / ".cache" / "collections")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> dict[str, Any]:
        """What the module answered."""
        self.output, errors = self.process.communicate(timeout=120)
        assert self.output, errors
        return json.loads(self.output)


def backup(server: Server, name: str = "one", **arguments: Any) -> dict[str, Any]:
    """Dump, prove, and finish the backup when the dump is proven."""
    arguments.setdefault("settings_file", str(server.project_src / "settings.env"))
    made = Module("database_backup", **begun(server, name, **arguments)).result()
    if not made.get("failed"):
        project = {"name": "openlmis-rehearsal", "src": str(server.project_src)}
        manifest = {"run": arguments.get("run", "manual"), "project": project}
        made["manifest_result"] = Module("backup_manifest", path=made["dest"], manifest=manifest).result()
    return made


def begun(server: Server, name: str = "one", **arguments: Any) -> dict[str, Any]:
    """The arguments of database_backup."""
    arguments.setdefault("settings_file", str(server.project_src / "settings.env"))
    return {"project_src": str(server.project_src), "dest": str(server.backup_dir / name), **arguments}


def verified(path: pathlib.Path, **arguments: Any) -> dict[str, Any]:
    """What backup_manifest says of a backup."""
    return Module("backup_manifest", path=str(path), state="verified", **arguments).result()


def manifest_of(folder: pathlib.Path) -> dict[str, Any]:
    """The manifest as it lies there."""
    return json.loads((folder / "manifest.json").read_text())


def data_file(folder: pathlib.Path) -> pathlib.Path:
    """The largest data file of a finished backup."""
    return max((folder / "database").glob("*.dat*"), key=lambda path: path.stat().st_size)


# -- what it holds -------------------------------------------------------------------------------------------------


# There is room here, so that nothing is compressed unless it is asked for.
@pytest.mark.parametrize(
    ("verify", "options", "suffix"), [("rows", {}, ".dat"), ("restore", {}, ".dat"), ("rows", {"compress": 1}, ".gz")]
)
def test_a_sound_backup_is_proven_and_complete(
    server: Server, verify: str, options: dict[str, int], suffix: str
) -> None:
    made = backup(server, verify=verify, **options)
    assert "msg" not in made, made
    folder = pathlib.Path(made["dest"])
    assert data_file(folder).suffix == suffix
    manifest = manifest_of(folder)
    assert {table: rows for table, rows in manifest["tables"].items() if not table.endswith("schema_version")} == ROWS
    assert made["tables"] == len(manifest["tables"])
    assert made["rows"] == sum(manifest["tables"].values())
    assert verified(folder)["proven"]
    owner = manifest["database"]
    assert (owner["owner"], owner["encoding"], owner["collate"], owner["ctype"], owner["connection_limit"]) == (
        "postgres",
        "UTF8",
        "C.UTF-8",
        "C.UTF-8",
        -1,
    )
    assert "reader=c/postgres" in owner["acl"]
    assert {"role": None, "setting": "work_mem=5MB"} in owner["settings"]
    assert {"role": "reader", "setting": "statement_timeout=60s"} in owner["settings"]
    assert {"plpgsql", "postgis", "uuid-ossp"} == {one["name"] for one in owner["extensions"]}
    assert manifest["histories"]["auth"] == flyway_versions()["auth"]["versions"]["3.2.0"]
    assert manifest["globals"] == "with passwords"
    assert "CREATE ROLE reader" in (folder / "globals.sql").read_text()
    assert ("hashes" in manifest) == (verify == "restore")
    if verify == "restore":
        assert {*ROWS, "site.unlogged_i_seq"} <= set(manifest["hashes"])
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.parent.name == "database", path
    assert folder.stat().st_mode & 0o077 == 0


def test_the_commands_of_the_documentation_restore_it(server: Server) -> None:
    folder = pathlib.Path(backup(server)["dest"])
    text = (CHECKOUT / "docs" / "backup.md").read_text()
    script = re.search(r"<!-- tried by a test -->\n\n```sh\n(.*?)```", text, re.DOTALL)[1]
    script = script.replace("/var/backups/openlmis/20260102T190000Z", str(folder))
    script = script.replace("openlmis-db-1", server.container("db").name)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert server.query("SELECT count(*) FROM site.facilities") == [(FACILITIES,)]
    assert server.query("SELECT datname FROM pg_database WHERE datname = 'open_lmis_failed'")
    assert not server.query("SELECT current_setting('rehearsal.damage', true)")[0][0]
    administer(server, "DROP DATABASE open_lmis")
    administer(server, "ALTER DATABASE open_lmis_failed RENAME TO open_lmis")


SEEN = {
    "slow dump": [r"0 of \d+ tables, 0\.0 MiB"],
    "slow proof": [
        f"written; reading it back and comparing rows, {counted} tables"
        for counted in (r"0 of \d+", r"([1-9]\d*) of \1")
    ],
}


@pytest.mark.parametrize("slow", SEEN)
def test_how_far_it_is_stands_in_a_file(server: Server, slow: str, tmp_path: pathlib.Path) -> None:
    damage(server, slow)
    path, seen = tmp_path / "progress", set()
    module = Module("database_backup", **begun(server, progress_file=str(path)))
    while module.process.poll() is None:
        seen.add(path.read_text() if path.exists() else "")
        time.sleep(0.1)
    assert "msg" not in module.result()
    for wanted in SEEN[slow]:
        assert any(re.fullmatch(wanted, text) for text in seen), seen
    assert path.stat().st_mode & 0o777 == 0o600


# -- damages -------------------------------------------------------------------------------------------------------

DAMAGES = {
    "truncated": r"with the data of site\.facilities is cut off",
    "cut off": r"with the data of site\.facilities is cut off",
    "missing": r"the file \d+\.dat with the data of site\.facilities is missing",
    "one row less": rf"site\.facilities has {FACILITIES - 1} rows in it, and {FACILITIES} in the snapshot: 1 are lost",
    "wrong database": r"it is of the database other, not of open_lmis",
    "wrong snapshot": (
        rf"site\.facilities has {FACILITIES + 1} rows in it, and only {FACILITIES} in the snapshot: .* another snapshot"
    ),
    "older": r"it was made at \d{4}-.* UTC, not while this snapshot was held",
    "toc cut off": r"pg_restore --list ended with 1",
    "large object missing": r"pg_restore ended with 1 and said: .*could not open input file .*/blob_",
}


@pytest.mark.parametrize(
    ("kind", "options"),
    [*((kind, {}) for kind in DAMAGES), ("truncated", {"compress": 1}), ("one row less", {"compress": 1})],
)
def test_a_damaged_dump_is_refused(server: Server, kind: str, options: dict[str, int]) -> None:
    if kind == "wrong database":
        administer(server, "CREATE DATABASE other TEMPLATE open_lmis")
    damage(server, kind)
    made = backup(server, **options)
    assert re.search(DAMAGES[kind], made.get("msg", "")), made
    assert list(server.backup_dir.iterdir()) == []
    if kind == "wrong database":
        administer(server, "DROP DATABASE other")


def administer(server: Server, statement: str) -> None:
    """Run what must not be in a transaction, from a database that is not concerned."""
    connection = server.connect(dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        # A session of autovacuum's would keep the database from being a template.
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'open_lmis'")
        cursor.execute(statement)
    connection.close()


def test_a_changed_value_passes_the_count_and_not_the_restore(server: Server) -> None:
    damage(server, "changed value")
    assert "msg" not in backup(server)
    made = backup(server, "two", verify="restore")
    assert "its content is not what the database held: site.facilities." in made["msg"]
    assert "Fakility" not in made["msg"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is truncated: it has"),
        (lambda path: path.unlink(), "is missing"),
        # No program minds it, unless it keeps checksums.
        (
            lambda path: path.write_bytes(path.read_bytes()[:9] + b"\7" + path.read_bytes()[10:]),
            "its SHA-256 is not that",
        ),
    ],
    ids=["truncated", "missing", "bad checksum"],
)
def test_a_backup_that_was_damaged_later_is_not_whole(
    server: Server, change: Callable[[pathlib.Path], Any], said: str
) -> None:
    folder = pathlib.Path(backup(server)["dest"])
    assert verified(folder)["proven"]
    change(data_file(folder))
    found = verified(folder)
    assert not found["proven"]
    assert len(found["problems"]) == 1
    assert said in found["problems"][0]


def test_a_folder_without_a_readable_manifest_is_no_backup(server: Server) -> None:
    folder = pathlib.Path(backup(server)["dest"])
    assert "is the backup of the run manual, not of another" in verified(folder, run="another")["problems"][0]
    (folder / "manifest.json").write_text("{")
    assert "cannot be read" in verified(folder)["problems"][0]
    (folder / "manifest.json").unlink()
    assert "there is no manifest.json in it" in verified(folder)["problems"][0]
    assert "no such folder" in verified(folder / "nowhere")["problems"][0]


# -- secrets -------------------------------------------------------------------------------------------------------


class Watch(threading.Thread):
    """Collects what anybody on the host could see while a dump is under way."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.over = server, threading.Event()
        self.command_lines: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.inspected: dict[str, str] = {}

    def run(self) -> None:
        while not self.over.wait(0.02):
            for path in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    line = (path / "cmdline").read_bytes()
                    self.command_lines.add(line)
                    if b"pg_dump" in line or b"pg_restore" in line:
                        self.environments.add((path / "environ").read_bytes())
                except OSError:
                    continue
            for one in ours(self.server):
                self.inspected[one.name] = json.dumps(one.attrs)


def test_nobody_sees_the_password(server: Server) -> None:
    watch = Watch(server)
    watch.start()
    damage(server, "slow dump")
    module = Module("database_backup", **begun(server, run="seen", verify="restore"))
    made = module.result()
    watch.over.set()
    watch.join()
    assert "msg" not in made, made
    assert any(b"pg_dump\0--format=directory" in line for line in watch.command_lines)
    assert any(b"PGPASSFILE=/openlmis-pgpass" in text for text in watch.environments)
    assert "openlmis-backup-dump-seen" in watch.inspected
    for text in [*watch.command_lines, *watch.environments, *(one.encode() for one in watch.inspected.values())]:
        assert PASSWORD not in text
    kept = [path.read_bytes() for path in server.backup_dir.rglob("*.json")]
    for text in [module.output.encode(), *kept]:
        assert PASSWORD not in text


# -- killed, full, refused -----------------------------------------------------------------------------------------


def wait_for_container(server: Server, name: str) -> None:
    """Wait until the module has a container of this name at work."""
    until = time.monotonic() + 30
    while not any(one.name == name and one.status == "running" for one in ours(server)):
        assert time.monotonic() < until, f"no container {name}"
        time.sleep(0.02)


@pytest.mark.parametrize(("slow", "what", "verify"), [("slow dump", "dump", "restore"), ("slow proof", "list", "rows")])
def test_a_killed_backup_leaves_nothing_to_the_next_one(server: Server, slow: str, what: str, verify: str) -> None:
    damage(server, slow)
    module = Module("database_backup", **begun(server, "killed", run="killed", verify=verify))
    wait_for_container(server, f"openlmis-backup-{what}-killed")
    module.process.send_signal(signal.SIGKILL)
    module.process.communicate()
    assert leftovers(server) != []
    assert not verified(server.backup_dir / "killed")["proven"]
    damage(server, "none")
    # The journal may have been lost meanwhile: the next run need not be of the same name.
    made = backup(server, "next", run="another")
    assert "msg" not in made, made
    assert [path.name for path in server.backup_dir.iterdir()] == ["next"]


def test_a_secret_that_a_killed_module_left_goes_with_its_folder(server: Server) -> None:
    draft = {"project": {"name": "x", "src": str(server.project_src)}, "run": "killed"}
    (server.backup_dir / "killed").mkdir(parents=True)
    (server.backup_dir / "killed" / "draft.json").write_text(json.dumps(draft))
    (server.backup_dir / "killed" / ".pgpass-dump").write_text("secret")
    # The folder of this one is gone already, as after a failure of Docker's.
    lost = server.engine.containers.run(
        IMAGE,
        ["sleep", "600"],
        entrypoint="",
        detach=True,
        name="openlmis-backup-dump-lost",
        labels={"org.openlmis.operations": "true"},
        volumes={str(server.backup_dir / "lost"): {"bind": "/x", "mode": "rw"}},
    )
    (server.backup_dir / "lost").rmdir()
    assert lost in ours(server)
    # Neither a folder of somebody else's nor another deployment's unfinished backup is touched.
    (server.backup_dir / "notes").mkdir()
    (server.backup_dir / "other").mkdir()
    (server.backup_dir / "other" / "draft.json").write_text('{"project": {"src": "/opt/other"}}')
    assert "msg" not in backup(server)
    assert sorted(path.name for path in server.backup_dir.iterdir()) == ["notes", "one", "other"]


def fill_up(path: pathlib.Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(1 << 16))


def test_a_full_disk_is_said_and_leaves_nothing(server: Server) -> None:
    server.backup_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", server.backup_dir], check=True)
    try:
        made = backup(server)
        assert re.search(
            r"has \d+ MiB free, and the dump up to \d+ MiB may be written to it; room for all of it is expected",
            made["msg"],
        )
        subprocess.run(["mount", "-o", "remount,size=200m", server.backup_dir], check=True)
        # Room is there when it is measured, and gone when the dump is written.
        damage(server, "slow dump")
        module = Module("database_backup", **begun(server, run="full"))
        wait_for_container(server, "openlmis-backup-dump-full")
        ballast = server.backup_dir / "ballast"
        with pytest.raises(OSError, match="No space"):
            fill_up(ballast)
        made = module.result()
        assert "the disk is full" in made["msg"]
        assert "Make room, or set openlmis_backup_dir to another disk, and run again." in made["msg"]
        assert [path.name for path in server.backup_dir.iterdir()] == ["ballast"]
        ballast.unlink()
        damage(server, "none")
        assert "msg" not in backup(server)
    finally:
        subprocess.run(["umount", server.backup_dir], check=True)


def test_check_mode_dumps_nothing(server: Server) -> None:
    made = Module("database_backup", **begun(server, _ansible_check_mode=True)).result()
    assert made["changed"]
    assert not server.backup_dir.exists()


def test_a_backup_is_never_overwritten(server: Server) -> None:
    folder = pathlib.Path(backup(server)["dest"])
    before = manifest_of(folder)
    assert "no backup is ever overwritten" in backup(server)["msg"]
    again = Module("backup_manifest", path=str(folder), manifest={"run": "again"}).result()
    assert "no backup is ever changed" in again["msg"]
    assert manifest_of(folder) == before


def test_without_superuser_rows_are_proven_and_a_restore_is_refused(server: Server) -> None:
    for (schema,) in server.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema'"):
        server.query(
            f"GRANT USAGE ON SCHEMA {schema} TO keeper; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO keeper"
        )
        server.query(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO keeper")
    server.query(
        "GRANT SELECT ON LARGE OBJECT %d TO keeper" % server.query("SELECT oid FROM pg_largeobject_metadata")[0][0]
    )
    login = {"login_user": "keeper", "login_password": "keep3r"}
    made = backup(server, **login)
    assert "msg" not in made, made
    assert made["globals"] == "without passwords"
    text = (pathlib.Path(made["dest"]) / "globals.sql").read_text()
    assert "CREATE ROLE reader" in text
    assert "PASSWORD" not in text
    refused = backup(server, "two", verify="restore", **login)["msg"]
    assert "the role keeper may not create a database of the owner postgres" in refused
    assert "set openlmis_backup_verify to rows" in refused


def test_a_database_outside_compose_needs_a_fitting_pg_dump(server: Server) -> None:
    outside = {"login_host": server.database_address(), "login_db": "open_lmis"}
    made = backup(server, **outside)
    if "msg" in made:
        assert re.search(
            r"is PostgreSQL 15 outside Compose, and this host's pg_dump is .*; pg_dump 15 or newer is expected",
            made["msg"],
        )
        assert "set openlmis_backup to a task file" in made["msg"]
    else:
        assert verified(pathlib.Path(made["dest"]))["proven"]


def test_the_oldest_backups_go_when_a_new_one_is_proven(server: Server) -> None:
    origin = {"project": {"name": "openlmis-rehearsal", "src": str(server.project_src)}}

    def finished(name: str, run: str, **told: Any) -> dict[str, Any]:
        (server.backup_dir / name).mkdir(parents=True)
        (server.backup_dir / name / "something").write_text(name)
        told = {**origin, "run": run, **told}
        return Module("backup_manifest", path=str(server.backup_dir / name), manifest=told, keep=2).result()

    def there() -> list[str]:
        return sorted(path.name for path in server.backup_dir.iterdir())

    finished("other", "0", project={"name": "another", "src": "/opt/another"})
    (server.backup_dir / "no-backup").mkdir()
    for name in ("a", "b", "c"):
        assert finished(name, name)["removed"] == ([] if name != "c" else [str(server.backup_dir / "a")])
    assert there() == ["b", "c", "no-backup", "other"]
    # More of one run than are kept: none that the run may go back to is removed.
    for name in ("d", "e", "f"):
        finished(name, "same")
    assert there() == ["d", "e", "f", "no-backup", "other"]


# -- the verb ------------------------------------------------------------------------------------------------------

PLAYBOOK = """
- name: The backup by itself
  hosts: rehearsal
  gather_facts: false
  vars:
    openlmis_release: 3.4.0
    openlmis_settings_file: "{{ openlmis_project_src }}/settings.env"
  tasks:
    - name: Back up
      ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: backup}
"""
BEFORE = ["pull", "maintenance_on", "stop"]


def steps_before(server: Server, *names: str) -> None:
    """Note in the journal that these steps have ended."""
    path = server.state_dir / "journal.json"
    if path.exists():
        journal = json.loads(path.read_text())
    else:
        told = {name: option.get("default") for name, option in module_server.argument_spec().items()}
        release = yaml.safe_load((CHECKOUT / "roles/openlmis/vars/releases/3.4.0.yml").read_text())
        options = {"project_src": str(server.project_src), "release": release, "migrations": flyway_versions()}
        identity = module_server.gather({**told, **options})[1]["database"]["identity"]
        run = {"from": "3.3.1", "to": "3.4.0", "database": identity, "users": None}
        journal = {
            "run_id": "20260102T190000Z",
            "phase": "upgrade",
            "started": "2026-01-02T19:00:00.000",
            "finished": None,
            "outcome": None,
        }
        journal.update(run=run, steps=[], holder={})
    at = datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    data = {"answers": {"auth": "3.2.0"}, "images": {"db": {"id": "x", "name": "y"}}}
    journal["steps"] += [
        {"step": name, "phase": "upgrade", "started": at, "finished": at, "data": data} for name in names
    ]
    server.state_dir.mkdir(exist_ok=True)
    path.write_text(json.dumps({**journal, "holder": {}}))


def verb(server: Server, *steps: str, code: int = 0, **variables: Any) -> str:
    """Run the step backup, after these steps, or with --check among them in check mode; what was printed."""
    check = [one for one in steps if one == "--check"]
    steps_before(server, *(one for one in steps if one != "--check"))
    playbook = server.root / "backup-alone.yml"
    playbook.write_text(PLAYBOOK)
    told = json.dumps({"openlmis_backup_jobs": 3, "openlmis_backup_verify": "rows", **variables})
    run = command(server, "ansible-playbook", str(playbook), "-vv", "-e", told, *check)
    assert run.code == code, run.text
    assert PASSWORD.decode() not in run.text
    return run.text


def folders(server: Server) -> list[str]:
    """The backups that are there."""
    return sorted(path.name for path in server.backup_dir.iterdir())


def journal_says(server: Server) -> dict[str, Any]:
    """What the journal kept of the last backup."""
    text = (server.state_dir / "journal.json").read_text()
    assert PASSWORD.decode() not in text
    done = [one for one in json.loads(text)["steps"] if one["step"] == "backup" and one["finished"]]
    return done[-1]["data"] if done else {}


def assert_whole(kept: pathlib.Path, elsewhere: pathlib.Path) -> None:
    """The backup tells how the server was, and has the deployed files as they were, links and owners too."""
    manifest = manifest_of(kept)
    assert manifest["release"] == "3.3.1"
    assert manifest["images"] == {"db": {"id": "x", "name": "y"}}
    (auth,) = (one for one in manifest["components"] if one["name"] == "auth")
    assert auth["version"] == "3.2.0"
    assert auth["migrations"] == flyway_versions()["auth"]["versions"]["3.2.0"]
    assert all("version" not in one for one in manifest["components"] if one["name"] != "auth")
    assert manifest["database"]["identity"]["name"] == "open_lmis"
    copied = (kept / "files" / "settings.env").lstat()
    assert (copied.st_uid, copied.st_gid, copied.st_mode & 0o7777) == (1234, 1235, 0o640)
    assert os.readlink(kept / "files" / "also.env") == "settings.env"
    assert os.readlink(kept / "files" / "linked.env") == str(elsewhere)
    assert (kept / "outside" / elsewhere.relative_to("/")).read_text() == "OUTSIDE=1\n"
    assert (kept / "files" / "config" / "Dockerfile").exists()


def test_a_backup_is_fetched_once_and_verified(server: Server, tmp_path: pathlib.Path) -> None:
    fetch = {"openlmis_backup_fetch": str(tmp_path / "fetched")}
    # Nothing is made in check mode, so nothing is fetched.
    verb(server, *BEFORE, "--check", **fetch)
    assert not (tmp_path / "fetched").exists()
    verb(server, **fetch)
    (name,) = folders(server)
    assert verified(tmp_path / "fetched" / "rehearsal" / name)["proven"]
    assert "changed: [rehearsal]" not in verb(server, **fetch)


@pytest.mark.long
def test_the_verb_keeps_its_backup_until_it_is_no_longer_a_way_back(server: Server, tmp_path: pathlib.Path) -> None:
    # Somebody else's file, a link inside and a link out of the deployment: kept as they are.
    elsewhere = tmp_path / "elsewhere.env"
    elsewhere.write_text("OUTSIDE=1\n")
    (server.project_src / "linked.env").symlink_to(elsewhere)
    (server.project_src / "also.env").symlink_to("settings.env")
    os.chown(server.project_src / "settings.env", 1234, 1235)
    (server.project_src / "settings.env").chmod(0o640)

    fetch = {"openlmis_backup_fetch": str(tmp_path / "fetched")}
    verb(server, *BEFORE, **fetch)
    (first,) = folders(server)
    kept = server.backup_dir / first
    assert journal_says(server)["dest"] == str(kept)
    assert_whole(kept, elsewhere)
    fetched = tmp_path / "fetched" / "rehearsal" / first
    assert verified(fetched)["proven"]
    os.chown(server.project_src / "settings.env", 0, 0)

    # Run again: it is whole and nobody has worked since. Stopped again since: somebody may have.
    data_file(fetched).unlink()
    assert "changed: [rehearsal]" not in verb(server, **fetch).partition("Fetch the backup")[0]
    assert folders(server) == [first]
    assert verified(fetched)["proven"]
    verb(server, "stop")
    assert len(folders(server)) == 2
    assert folders(server)[0] == first
    second = folders(server)[1]
    assert journal_says(server)["dest"] == str(server.backup_dir / second)

    # Damaged, with no migration of the release in the database: a new one.
    data_file(server.backup_dir / second).write_bytes(b"")
    verb(server)
    assert len(folders(server)) == 3
    third = server.backup_dir / folders(server)[2]

    # Migrations have begun: never a new one, and no going on without a whole one.
    ships = flyway_versions()["auth"]["versions"]
    (migration,) = sorted(set(ships["4.0.0"]) - set(ships["3.2.0"]))[:1]
    server.query("INSERT INTO auth.schema_version VALUES (1000, %s, 'SQL', true)", (migration,))
    try:
        verb(server, "stop")
        assert len(folders(server)) == 3
        moved = third.rename(tmp_path / "moved")
        text = verb(server, code=2)
        assert "Migrations of 3.4.0 are in the database, and the backup from before them is not whole" in text
        assert f"{third} is no backup: there is no such folder" in text
        assert "openlmis_without_way_back=true" in text
        verb(server, openlmis_without_way_back=True)
        assert journal_says(server)["without_way_back"]
        moved.rename(third)
        verb(server)
        assert len(folders(server)) == 3
    finally:
        server.query("DELETE FROM auth.schema_version WHERE installed_rank = 1000")


def test_the_site_s_own_backup(server: Server, tmp_path: pathlib.Path) -> None:
    tasks = tmp_path / "snapshot.yml"
    tasks.write_text(
        "- name: Note which snapshot it is\n"
        "  ansible.builtin.copy:\n"
        "    content: openlmis-{{ openlmis_backup_folder | basename | lower }}\n"
        '    dest: "{{ openlmis_backup_folder }}/snapshot.txt"\n'
        '    mode: "0600"\n'
    )
    verb(server, *BEFORE, openlmis_backup=str(tasks))
    (name,) = folders(server)
    manifest = manifest_of(server.backup_dir / name)
    assert "database" not in manifest
    assert "files/.env" in manifest["checksums"]
    assert (server.backup_dir / name / "snapshot.txt").read_text() == f"openlmis-{name.lower()}"
    assert "snapshot.txt" in manifest["checksums"]
    assert not (server.backup_dir / name / "database").exists()


def test_the_verb_in_check_mode_writes_nothing(server: Server) -> None:
    verb(server, *BEFORE)
    before = folders(server)
    steps_before(server, "stop")
    run = command(server, "ansible-playbook", str(server.root / "backup-alone.yml"), "--check")
    assert run.code == 0, run.text
    assert folders(server) == before
