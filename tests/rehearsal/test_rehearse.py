# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of production on a staging server: every kind of dump arrives whole and harmless, and what would reach
somebody is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from stack import images
from stack.ansible import Run, command
from stack.deployment import psql, running
from stack.releases import RELEASES
from stack.world import DATABASE, Server, expected_contact_details

# Fewer components to wait for; fulfillment has the partners.
LEFT_OUT = ("stockmanagement", "cce", "report", "diagnostics")
PRODUCTION_URL = "https://lmis.example.org"
ENDING = ".invalid.example.org"
STAGING = ("-e", "openlmis_staging=true", "-e", "openlmis_confirm=false")
# What production has and the people of the rehearsal server have not: an address that another would become, a partner,
# a database beside.
PRODUCTION = """
update referencedata.users set email = 'ann@example.org.invalid.example.org' where username = 'unverified';
update fulfillment.transfer_properties set serverhost = 'ftp.partner.example.org', password = 'partner s3cret';
create role lmis_owner;
create role reporter login;
alter table referencedata.facilities owner to lmis_owner;
grant usage on schema referencedata to reporter;
grant select on referencedata.users to reporter;
create database other_app;
\\connect other_app
create table who (name text);
insert into who values ('production');
create schema referencedata;
create table referencedata.users (id int);
"""
# Afterwards the same server is staging, with little of its own.
AS_STAGING = """
truncate requisition.requisitions cascade;
create table public.staging_only (id int);
drop owned by reporter;
drop role reporter;
reassign owned by lmis_owner to postgres;
drop role lmis_owner;
\\connect other_app
update who set name = 'staging';
"""
REWRITTEN = ("referencedata.users", "fulfillment.transfer_properties", "auth.auth_users", "auth.password_reset_tokens")


@dataclasses.dataclass
class Stage:
    """A staging server, dumps of production of every kind, and what production held."""

    server: Server
    dumps: pathlib.Path
    tables: dict[str, str]
    users: dict[str, str | None]

    def run(self, playbook: str, dump: str, *arguments: str) -> Run:
        """Run a playbook with a dump of production."""
        return command(
            self.server,
            "ansible-playbook",
            playbook,
            *STAGING,
            "-e",
            f"openlmis_rehearse_dump={self.dumps / dump}",
            *arguments,
        )

    def emails(self) -> dict[str, str | None]:
        """The users' addresses as they are now."""
        return emails(self.server)

    def elsewhere(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """Run a query in another database of the server."""
        with contextlib.closing(self.server.connect(dbname=database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def databases(self) -> dict[str, str]:
        """The databases beside PostgreSQL's own, and their comments."""
        sql = (
            "select datname, coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname !~"
            " '^(postgres|template.)$'"
        )
        return dict(self.elsewhere("postgres", sql))


def emails(server: Server) -> dict[str, str | None]:
    """Each user's address."""
    return {user["id"]: user["email"] for user in server.users()}


def in_database(server: Server, *arguments: str) -> bytes:
    """Run one of PostgreSQL's programs in the database's container; what it prints."""
    done = subprocess.run(["docker", "exec", server.container("db").name, *arguments], capture_output=True, check=True)
    return done.stdout


def back_up(server: Server, folder: pathlib.Path) -> None:
    """Make a backup as the upgrade does, of a server with another address and another database."""
    look = {"system_identifier": "1", "oid": 1, "name": "open_lmis", "mounts": {}}
    manifest = {
        "run": "20261101T010203Z",
        "release": "3.3.1",
        "base_url": PRODUCTION_URL,
        "database": {"identity": look},
    }
    for module, arguments in (
        ("database_backup", {"project_src": str(server.project_src), "dest": str(folder), "verify": "restore"}),
        ("backup_manifest", {"path": str(folder), "manifest": manifest}),
    ):
        done = command(
            server, "ansible", "rehearsal", "-m", f"openlmis.operations.{module}", "-a", json.dumps(arguments)
        )
        assert done.code == 0, done.text


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One server, which is production until it is dumped, and staging after that."""
    dumps = tmp_path_factory.mktemp("dumps")
    with running("3.3.1", tmp_path_factory.mktemp("staging"), without=LEFT_OUT) as server:
        psql(server, PRODUCTION)
        back_up(server, dumps / "backup")
        for name, options in {
            "custom.dump": ["-Fc"],
            "dump.tar": ["-Ft"],
            "plain.sql": [],
            "create.sql": ["--create"],
        }.items():
            (dumps / name).write_bytes(in_database(server, "pg_dump", "--username=postgres", *options, "open_lmis"))
        (dumps / "plain.sql.gz").write_bytes(gzip.compress((dumps / "plain.sql").read_bytes()))
        (dumps / "all.sql").write_bytes(
            in_database(server, "pg_dumpall", "--username=postgres", "--clean", "--if-exists")
        )
        in_database(server, "pg_dump", "--username=postgres", "-Fd", "-j2", "--file=/tmp/dump", "open_lmis")
        subprocess.run(
            ["docker", "cp", f"{server.container('db').name}:/tmp/dump", str(dumps / "folder")],
            check=True,
            capture_output=True,
        )
        tables, users = server.table_hashes(), emails(server)
        psql(server, AS_STAGING)
        yield Stage(server, dumps, tables, users)


# -- what is refused -----------------------------------------------------------------------------------------------


def settings(stage: Stage, old: str, new: str) -> None:
    """Change the deployment's settings."""
    path = stage.server.project_src / "settings.env"
    path.write_text(path.read_text().replace(old, new))


def same_database(stage: Stage) -> str:
    """A backup whose manifest says that it is of the very database that is there."""
    folder = stage.dumps / "own"
    shutil.copytree(stage.dumps / "backup", folder, dirs_exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    ((oid, identifier),) = stage.server.query(
        "select oid::bigint, (select system_identifier::text from pg_control_system()) from pg_database where datname ="
        " 'open_lmis'"
    )
    manifest["database"]["identity"].update(oid=oid, system_identifier=identifier)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return "own"


# In make test one refusal, a backup and a whole server's text; the rest in make test-all.
ALWAYS = ("no staging server", "backup")


def rarely(names: Iterable[str]) -> list[Any]:
    """The names as parameters, those that are not always tried marked as long."""
    return [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long) for name in names]


REFUSED: dict[str, tuple[Callable[[Stage], tuple[str, ...]], str]] = {
    "no staging server": (lambda stage: ("backup", "-e", "openlmis_staging=false"), "openlmis_staging is not set"),
    "no staging server, without the check": (
        lambda stage: ("backup", "-e", "openlmis_staging=false", "--tags", "restore_copy"),
        "Refused; the server is as it was.",
    ),
    "production's address": (
        lambda stage: ("custom.dump", "-e", f"openlmis_rehearse_production_base_url={stage.server.base_url}"),
        "so is production's",
    ),
    "an unknown address": (lambda stage: ("custom.dump",), "Set openlmis_rehearse_production_base_url"),
    "production's database": (lambda stage: (same_database(stage),), "is the one that was dumped"),
    "no dump": (lambda stage: ("nothing",), "cannot be read: No such file or directory"),
}


@pytest.mark.parametrize("why", rarely(REFUSED))
def test_it_is_refused_before_anything_is_stopped(stage: Stage, why: str) -> None:
    prepare, words = REFUSED[why]
    arguments = prepare(stage)
    before = stage.server.fingerprint()
    run = stage.run("playbooks/rehearse-3.4.yml", *arguments)
    assert run.code == 2, run.text
    assert words in re.sub(r"\s+", " ", run.text)
    # Who rehearsed is noted, and that it is over.
    (stage.server.state_dir / "rehearsing.json").unlink(missing_ok=True)
    assert stage.server.fingerprint() == before


@pytest.mark.long
def test_a_mail_host_outside_is_refused_unless_it_is_named_as_a_catcher(stage: Stage) -> None:
    settings(stage, "MAIL_HOST=localhost", "MAIL_HOST=smtp.example.org")
    try:
        before = stage.server.fingerprint()
        run = stage.run("playbooks/rehearse-3.4.yml", "backup")
        assert run.code == 2
        assert "goes to smtp.example.org" in re.sub(r"\s+", " ", run.text)
        named = stage.run(
            "playbooks/rehearse-3.4.yml",
            "backup",
            "--check",
            "-e",
            '{"openlmis_rehearse_mail_hosts": ["smtp.example.org"]}',
        )
        assert "mail goes to smtp.example.org, which catches it" in re.sub(r"\s+", " ", named.text)
        assert stage.server.fingerprint() == before
    finally:
        settings(stage, "MAIL_HOST=smtp.example.org", "MAIL_HOST=localhost")


# -- every kind of dump ---------------------------------------------------------------------------------------------


def expected_email(old: str | None, all_of_them: set[str | None]) -> str | None:
    """What becomes of an address, as a pattern; worked out without the collection's code."""
    if old is None or not old.strip():
        return old if old is None else re.escape(old)
    if old.endswith(ENDING):
        return re.escape(old)
    padding = old[len(old.rstrip()) :]
    local, _at, domain = old.rstrip().rpartition("@")
    new = old.rstrip() + ENDING
    if len(new + padding) > 255:
        return re.escape(local[:200]) + r".*\.[0-9a-f]{12}@" + re.escape(domain + ENDING)
    if new in all_of_them:
        return re.escape(local) + r"\.[0-9a-f]{12}@" + re.escape(domain + ENDING)
    return re.escape(new + padding)


def assert_harmless_copy(stage: Stage, run: Run) -> None:
    """The database holds what production held, but for what would reach somebody."""
    assert run.code == 0, run.text
    now = stage.emails()
    assert now.keys() == stage.users.keys()
    assert len(set(now.values())) == len(set(stage.users.values()))
    everybody = set(stage.users.values())
    for user, old in stage.users.items():
        pattern = expected_email(old, everybody)
        assert now[user] is None if pattern is None else re.fullmatch(pattern, now[user] or "", re.DOTALL), (
            old,
            now[user],
        )
    tables = stage.server.table_hashes()
    assert {table for table in stage.tables if tables[table] != stage.tables[table]} <= set(REWRITTEN)
    assert tables.keys() == stage.tables.keys()
    assert stage.server.query("select distinct serverhost, password from fulfillment.transfer_properties") == [
        ("ftp.partner.example.org.invalid", "rehearsal")
    ]
    printed = run.text
    assert "partner s3cret" not in printed
    assert DATABASE["password"] not in printed
    assert [old for old in stage.users.values() if old and len(old) > 8 and old.strip() in printed] == []


def assert_nothing_else_was_touched(stage: Stage) -> None:
    """The dump's other databases and roles have not come near the server, and nothing is left at work."""
    assert stage.elsewhere("other_app", "select name from who") == [("staging",)]
    assert stage.elsewhere("postgres", "select rolname from pg_roles where rolname in ('lmis_owner', 'reporter')") == []
    assert not [name for name in stage.databases() if "_copy_" in name]
    assert stage.server.engine.containers.list(all=True, filters={"label": "org.openlmis.operations"}) == []
    assert not (stage.server.state_dir / "rehearsal").exists()


FOREIGN = ("-e", f"openlmis_rehearse_production_base_url={PRODUCTION_URL}")
# Two databases of production's server have OpenLMIS' tables.
NAMED = ("-e", "openlmis_rehearse_database=open_lmis")


@pytest.mark.parametrize(
    "dump", rarely(["backup", "custom.dump", "dump.tar", "folder", "plain.sql.gz", "create.sql", "all.sql"])
)
def test_a_copy_arrives_whole_and_harmless(stage: Stage, dump: str) -> None:
    earlier = stage.databases()
    run = stage.run(
        "tests/rehearsal/restore_copy.yml",
        dump,
        *(() if dump == "backup" else FOREIGN),
        *(NAMED if dump == "all.sql" else ()),
    )
    assert_harmless_copy(stage, run)
    assert_nothing_else_was_touched(stage)
    databases = stage.databases()
    assert databases["open_lmis"].startswith("openlmis.operations: harmless copy of production")
    # Staging's own database is kept by the first rehearsal, and no copy by any.
    (kept,) = (name for name in databases if name.startswith("open_lmis_before_"))
    assert databases[kept].startswith("openlmis.operations: as it was before rehearsal")
    assert stage.elsewhere(
        kept, "select to_regclass('public.staging_only') is not null, (select count(*) from requisition.requisitions)"
    ) == [(True, 0)]
    assert set(databases) == {*earlier, kept}


@pytest.mark.long
def test_a_dump_that_is_not_whole_leaves_staging_as_it_was(stage: Stage) -> None:
    text = (stage.dumps / "plain.sql").read_text()
    broken = stage.dumps / "broken.sql"
    # A row that is there twice, so that the primary key cannot be made: psql goes on after the error, and its exit code
    # is 0.
    broken.write_text(re.sub(r"(?m)^(COPY requisition\.requisition_line_items .*\n)(.*\n)", r"\1\2\2", text, count=1))
    assert broken.read_text() != text
    databases, tables = stage.databases(), stage.server.table_hashes()
    for dump, words in {
        "broken.sql": "could not be restored in a throw-away server",
        "all.sql": "these databases have OpenLMIS' tables: open_lmis, other_app.",
    }.items():
        run = stage.run("tests/rehearsal/restore_copy.yml", dump, *FOREIGN)
        assert run.code == 2
        assert words in re.sub(r"\s+", " ", run.text)
        assert "was started again on the database that it had" in re.sub(r"\s+", " ", run.text)
        assert (stage.databases(), stage.server.table_hashes()) == (databases, tables)
    assert_nothing_else_was_touched(stage)


# -- the whole -----------------------------------------------------------------------------------------------------


def junit(folder: pathlib.Path) -> tuple[int, int]:
    """Test cases and failures in the files that Ansible's own callback has written."""
    suites = [suite for path in folder.glob("*.xml") for suite in ElementTree.parse(path).getroot().iter("testsuite")]
    return sum(int(one.get("tests", 0)) for one in suites), sum(
        int(one.get("failures", 0)) + int(one.get("errors", 0)) for one in suites
    )


@pytest.fixture
def ci(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """As in a CI job: Ansible's JUnit callback writes into a folder."""
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "ansible.builtin.junit")
    monkeypatch.setenv("JUNIT_OUTPUT_DIR", str(tmp_path / "junit"))
    return tmp_path


def as_it_was(stage: Stage) -> None:
    """Bring 3.3 up again, which a restore without a start has left stopped."""
    stage.server.compose("up", "-d", "--no-color")


@pytest.mark.long
def test_a_whole_rehearsal_with_the_way_back_and_a_second_upgrade(stage: Stage, ci: pathlib.Path) -> None:
    as_it_was(stage)
    run = stage.run(
        "playbooks/rehearse-3.4.yml",
        "backup",
        "-e",
        "openlmis_rehearse_rollback=true",
        "-e",
        f"openlmis_report_dir={ci}",
    )
    assert run.code == 0, run.text
    assert stage.server.versions() == {name: RELEASES["3.4.0"][name] for name in stage.server.components()}
    details = stage.server.contact_details()
    assert details == expected_contact_details(stage.server.users())
    assert [one.email for one in details.values() if one.email and "@" in one.email and ENDING not in one.email] == []
    tests, failures = junit(ci / "junit")
    assert tests > 50
    assert failures == 0
    written = "".join(path.read_text() for path in (ci / "junit").glob("*.xml"))
    assert [word for word in (DATABASE["password"], "partner s3cret", "@example.org") if word in written] == []
    report = json.loads((ci / "rehearsal-rehearsal.json").read_text())
    assert report == json.loads((stage.server.state_dir / "rehearsal.json").read_text())
    steps = [one["step"] for one in report["steps"]]
    assert (steps[0], steps[-1]) == ("pull", "maintenance_off")
    assert {"stop", "backup", "set_versions", "start", "wait", "migrate_contact_details", "smoke_test"} <= set(steps)
    offline = sum(one["seconds"] for one in report["steps"][steps.index("maintenance_on") :])
    assert offline <= report["offline"] < offline + 60
    assert [one["step"] for one in report["rollback"]["steps"]][-1] == "maintenance_off"
    assert report["rollback"]["offline"] > 0
    assert (report["from"], report["to"], report["users"]) == ("3.3.1", "3.4.0", len(stage.users))
    assert f"Expected downtime of production: {report['offline']} s" in run.text
    # The next one begins only when this one is taken back, and leaves no copy of it behind.
    again = stage.run("playbooks/rehearse-3.4.yml", "backup")
    assert again.code == 2
    assert "rollback-3.4.yml -e openlmis_rollback_discard_changes=true" in re.sub(r"\s+", " ", again.text)
    back = command(
        stage.server,
        "ansible-playbook",
        "playbooks/rollback-3.4.yml",
        *STAGING,
        "-e",
        "openlmis_rollback_discard_changes=true",
    )
    assert back.code == 0, back.text
    assert [name for name in stage.databases() if "_failed_" in name]
    assert_harmless_copy(stage, stage.run("tests/rehearsal/restore_copy.yml", "backup"))
    assert not [name for name in stage.databases() if "_failed_" in name]


@pytest.mark.long
def test_a_rehearsal_whose_upgrade_fails_fails_as_a_job(stage: Stage, ci: pathlib.Path) -> None:
    as_it_was(stage)
    images.arm("notification", RELEASES["3.4.0"]["notification"], "crash")
    try:
        run = stage.run("playbooks/rehearse-3.4.yml", "custom.dump", *FOREIGN)
    finally:
        images.arm("notification", RELEASES["3.4.0"]["notification"], "")
    assert run.code == 2
    tests, failures = junit(ci / "junit")
    assert tests > 50
    assert failures >= 1
    # Where the operator is told to go on, it is with the upgrade, not with another copy.
    assert re.search(r"Go on +cd .*playbooks/upgrade-3.4.yml", run.text)
    assert re.search(r"Roll back cd .*playbooks/rollback-3.4.yml", run.text)
    assert "Expected downtime" not in run.text
    under_way = stage.run("playbooks/rehearse-3.4.yml", "custom.dump", *FOREIGN)
    assert under_way.code == 2
    assert "is under way on this server" in re.sub(r"\s+", " ", under_way.text)
