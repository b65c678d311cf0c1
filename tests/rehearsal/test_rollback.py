# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back on a whole server: refused while it would lose work, killed twice, the database's container removed;
then all is as before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import html
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from faults.playbook import Playbook
from stack.ansible import Run, command, database_mounts, upgrade
from stack.deployment import running
from stack.people import personal
from stack.releases import COMPONENTS, RELEASES, running_version
from stack.world import DATABASE, Server

# A whole way back is at the end of test_faults.py, too.
pytestmark = pytest.mark.long

# Five components less to wait for; what is asserted does not depend on them.
LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "report", "diagnostics")
PRESENT = [name for name in COMPONENTS if name not in LEFT_OUT]
DISCARD = ("-e", "openlmis_rollback_discard_changes=true")
REPORTER = {"user": "reporter", "password": "r'eport"}
# What a site's own database administrator has set up over the years.
SITE = """
create role lmis_owner;
create role reporter login password 'r''eport' connection limit 7;
create role readers;
grant readers to reporter;
alter role reporter set statement_timeout = '30s';
alter role reporter in database open_lmis set default_transaction_read_only = on;
alter role postgres in database open_lmis set application_name = 'it''s "quoted", with a comma';
alter database open_lmis set search_path = "$user", public, referencedata;
alter database open_lmis set timezone = 'Africa/Maputo';
alter database open_lmis owner to lmis_owner;
alter database open_lmis connection limit 150;
revoke all on database open_lmis from public;
grant connect on database open_lmis to readers;
grant connect, temporary on database open_lmis to lmis_owner with grant option;
comment on database open_lmis is 'Ministry''s server';
grant usage on schema referencedata to readers;
grant select on referencedata.facilities to readers;
alter default privileges in schema referencedata grant select on tables to readers;
"""
OF_THE_DATABASE = """
select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datallowconn,
       shobj_description(oid, 'pg_database'),
       (select array_agg(a.grantee::regrole::text || ' ' || a.privilege_type || ' ' || a.is_grantable order by 1)
         from aclexplode(datacl) a)
from pg_database where datname = 'open_lmis'
"""
SETTINGS = """
select d.datname, r.rolname, (select array_agg(one order by one) from unnest(s.setconfig) one) from pg_db_role_setting s
left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole
where d.datname is null or d.datname = 'open_lmis' order by 1, 2
"""
ROLES = "select rolname, rolsuper, rolcreatedb, rolcanlogin, rolconnlimit, rolpassword from pg_authid order by 1"
MEMBERS = "select roleid::regrole::text, member::regrole::text, admin_option from pg_auth_members order by 1, 2"
TABLE_RIGHTS = """
select c.oid::regclass::text, pg_get_userbyid(c.relowner), c.relacl::text from pg_class c
join pg_namespace n on n.oid = c.relnamespace where n.nspname not like 'pg\\_%'
  and n.nspname <> 'information_schema' order by 1
"""
STRUCTURE = """
select table_schema || '.' || table_name || '.' || column_name, data_type, column_default, is_nullable
  from information_schema.columns
where table_schema not in ('pg_catalog', 'information_schema') order by 1
"""


def elsewhere(server: Server, sql: str) -> list[tuple[Any, ...]]:
    """Run a query in the database postgres, where nobody's session is in the way of a restore."""
    with contextlib.closing(server.connect(dbname="postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
        connection.commit()
        return rows


def files(server: Server) -> dict[str, tuple[Any, ...]]:
    """Content, mode and owner of every deployed file."""
    found = {}
    for path in sorted(one for one in server.project_src.rglob("*") if one.is_file()):
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.relative_to(server.project_src).as_posix()] = (digest, status.st_mode, status.st_uid, status.st_gid)
    return found


def world(server: Server) -> dict[str, Any]:
    """Everything that must be as it was before the upgrade."""
    return {
        "tables": server.table_hashes(),
        "structure": server.query(STRUCTURE),
        "rights": server.query(TABLE_RIGHTS),
        "database": elsewhere(server, OF_THE_DATABASE),
        "settings": elsewhere(server, SETTINGS),
        "roles": elsewhere(server, ROLES),
        "members": elsewhere(server, MEMBERS),
        "files": files(server),
        "images": {
            tag: one.id
            for one in server.engine.images.list()
            for tag in one.tags
            if not tag.startswith("openlmis-operations/")
        },
        "running": {one.labels["com.docker.compose.service"]: one.attrs["Image"] for one in server.containers()},
        "restart": {one.name: one.attrs["HostConfig"]["RestartPolicy"] for one in server.containers()},
    }


def rollback(server: Server, *arguments: str) -> Run:
    """Run the playbook to its end; nobody is there to confirm."""
    return command(server, "ansible-playbook", "playbooks/rollback-3.4.yml", "-e", "openlmis_confirm=false", *arguments)


def killed(server: Server, log: pathlib.Path, when: Callable[[], bool]) -> Run:
    """Run the playbook until something is the case; then the power fails."""
    run = Playbook(server, "rollback-3.4.yml", log, DISCARD, None)
    run.until(when, "came so far")
    run.kill_everything()
    return run.end()


def databases(server: Server, pattern: str) -> list[str]:
    """The databases whose names fit."""
    return [
        name
        for (name,) in elsewhere(server, "select datname from pg_database order by 1")
        if re.fullmatch(pattern, name)
    ]


def journal(server: Server) -> dict[str, Any]:
    """The run's journal."""
    return json.loads((server.state_dir / "journal.json").read_text())


@dataclasses.dataclass
class Story:
    """One server: upgraded, used, brought back over two crashes, and upgraded again."""

    server: Server
    before: dict[str, Any]
    mounts: dict[str, str]
    unused: Run
    refused: Run
    around_refusal: tuple[dict[str, Any], dict[str, Any]]
    killed: list[Run]
    half_way: list[list[str]]
    cut_off: dict[str, Any]
    rollback: Run
    after: dict[str, Any]
    versions: dict[str, str | None]
    volumes: dict[str, str]
    again: Run
    around_again: tuple[dict[str, Any], dict[str, Any]]
    used: dict[str, str]
    kept: dict[str, str]
    report: str
    document: dict[str, Any]
    page: str
    forward: Run


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything that happens, in its order; what is seen of it is asserted afterwards."""
    folder = tmp_path_factory.mktemp("rollback")
    with running("3.3.1", folder / "server", users=60, without=LEFT_OUT) as server:
        for statement in filter(str.strip, SITE.split(";\n")):
            server.query(statement)
        os.chmod(server.project_src / "settings.env", 0o640)
        os.chown(server.project_src / "settings.env", 1234, 4321)
        before, mounts = world(server), database_mounts(server)
        moving = server.engine.images.get("openlmis/nginx:4")
        try:
            first = upgrade(server)
            assert first.code == 0, first.text[-4000:]
            # The tag moves under its name, as the next pull may have it.
            server.engine.images.get("redis:3.2.12").tag("openlmis/nginx", "4")
            unused = rollback(server, "--check")
            server.query(
                "update notification.user_contact_details set phonenumber = '+258 84 1' where email = 'ann@example.org'"
                " or true"
            )
            server.query(
                "delete from referencedata.role_assignments where id in (select id from referencedata.role_assignments"
                " limit 2)"
            )
            used = server.table_hashes()
            around = [server.fingerprint()]
            refused = rollback(server)
            around.append(server.fingerprint())
            runs, half_way = [], []
            runs.append(killed(server, folder / "first.log", lambda: bool(databases(server, r"open_lmis_restore_.*"))))
            half_way.append(databases(server, "open_lmis.*"))
            # Somebody tidies up: no container is left, and the database's volume has no name.
            server.compose("down")
            runs.append(
                killed(
                    server,
                    folder / "second.log",
                    lambda: database_is_there(server) and bool(databases(server, r"open_lmis_failed_.*")),
                )
            )
            half_way.append(databases(server, "open_lmis.*"))
            cut_off = journal(server)
            server.compose("rm", "--stop", "--force", "db")
            last = rollback(server, *DISCARD)
            after, versions, volumes = world(server), server.versions(), database_mounts(server)
            (failed,) = databases(server, r"open_lmis_failed_.*")
            kept = dict(hashes_in(server, failed))
            report = (server.state_dir / "report.txt").read_text()
            document, page = server.report()
            around_again = [server.fingerprint()]
            again = rollback(server)
            around_again.append(server.fingerprint())
            yield Story(
                server=server,
                before=before,
                mounts=mounts,
                unused=unused,
                refused=refused,
                around_refusal=(around[0], around[1]),
                killed=runs,
                half_way=half_way,
                cut_off=cut_off,
                rollback=last,
                after=after,
                versions=versions,
                volumes=volumes,
                again=again,
                around_again=(around_again[0], around_again[1]),
                used=used,
                kept=kept,
                report=report,
                document=document,
                page=page,
                forward=upgrade(server),
            )
        finally:
            moving.tag("openlmis/nginx", "4")


def database_is_there(server: Server) -> bool:
    """Whether the database has been brought up again."""
    try:
        return elsewhere(server, "select 1") == [(1,)]
    except Exception:
        return False


def hashes_in(server: Server, database: str) -> dict[str, str]:
    """The content hash of every table of another database."""

    class Other(Server):
        def connect(self, **settings: Any) -> Any:
            return super().connect(**{**settings, "dbname": database})

    return Other(server.root).table_hashes()


def test_what_the_upgrade_itself_wrote_is_nobody_s_work(story: Story) -> None:
    assert story.unused.code == 0, story.unused.text
    assert "Nothing was entered since the upgrade" in story.unused.text


def test_it_is_refused_when_users_have_worked_and_says_how_much(story: Story) -> None:
    assert story.refused.code != 0
    assert "notification.user_contact_details: 60 rows written" in story.refused.text
    assert "referencedata.role_assignments: 2 deleted" in story.refused.text
    assert "openlmis_rollback_discard_changes=true" in story.refused.text
    before, after = ({key: value for key, value in one.items() if key != "files"} for one in story.around_refusal)
    assert after == before


def test_killed_in_the_middle_of_the_restore_it_has_changed_no_name(story: Story) -> None:
    assert story.killed[0].code < 0
    assert "open_lmis" in story.half_way[0]
    assert [name for name in story.half_way[0] if "_failed_" in name] == []
    assert len([name for name in story.half_way[0] if "_restore_" in name]) == 1


def test_killed_after_the_names_were_changed_the_journal_does_not_know_it(story: Story) -> None:
    assert story.killed[1].code < 0
    assert [name.split("_2")[0] for name in story.half_way[1]] == ["open_lmis", "open_lmis_failed"]
    last = story.cut_off["steps"][-1]
    assert (last["step"], last["finished"], story.cut_off["phase"]) == ("restore", None, "rollback")


def test_the_last_run_finishes(story: Story) -> None:
    assert story.rollback.code == 0, story.rollback.text
    assert "is the restored one already" in story.rollback.text
    assert "OpenLMIS on rehearsal is back at 3.3.1" in story.report
    assert "FAILED" not in story.report


def test_the_report_tells_both_ways_and_what_became_of_users_work(story: Story) -> None:
    report = story.document
    assert (report["outcome"], report["releases"]["now"]) == ("rolled back", "3.3.1")
    assert len(report["offline"]["windows"]) == 2
    assert [one["step"] for one in report["steps"] if one["phase"] == "rollback" and not one["finished"]] == [
        "restore",
        "restore",
    ]
    assert {one["component"]: one["after"] for one in report["versions"] if one["component"] in PRESENT} == {
        name: running_version("3.3.1", name) for name in PRESENT
    }
    # The run that restored it was killed, and took with it what it knew of users' work.
    assert report["restored"]["lost"] is None
    assert report["restored"]["kept_as"] in story.page
    assert "Not known" in story.page


@pytest.mark.parametrize(
    "part",
    [
        "tables",
        "structure",
        "rights",
        "database",
        "settings",
        "roles",
        "members",
        "files",
        "images",
        "running",
        "restart",
    ],
)
def test_everything_is_as_before(story: Story, part: str) -> None:
    assert story.after[part] == story.before[part]


def test_the_comparison_sees_something(story: Story) -> None:
    assert len(story.before["tables"]) > 20
    assert len(story.before["settings"]) == 4
    assert story.before["files"]["settings.env"][1:] == (0o100640, 1234, 4321)
    assert story.used != story.before["tables"]


def test_what_was_there_is_kept_whole(story: Story) -> None:
    assert story.kept == story.used


def test_the_database_lies_on_its_own_volume(story: Story) -> None:
    assert story.volumes == story.mounts


def test_a_later_plain_up_keeps_the_volume(story: Story) -> None:
    assert story.forward.code == 0, story.forward.text
    assert database_mounts(story.server) == story.mounts


def test_all_components_answered_with_the_old_versions(story: Story) -> None:
    assert {name: story.versions[name] for name in PRESENT} == {
        name: running_version("3.3.1", name) for name in PRESENT
    }


def test_the_second_run_says_that_nothing_is_to_be_done(story: Story) -> None:
    assert story.again.code == 0, story.again.text
    assert "Nothing to do on rehearsal: run" in story.again.text
    assert story.again.recap("changed") == 0
    assert story.around_again[1] == story.around_again[0]


def test_the_reporting_role_logs_in_and_has_only_its_rights(story: Story) -> None:
    # The upgrade has run again since: what it found is what the rollback had left.
    with contextlib.closing(story.server.connect(**REPORTER)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from referencedata.facilities")
            assert cursor.fetchone()[0] > 0
            cursor.execute("show default_transaction_read_only")
            assert cursor.fetchone() == ("on",)
            for statement in (
                "select email from referencedata.users",
                "select 1 from auth.auth_users",
                "create temporary table t ()",
            ):
                with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)):
                    cursor.execute(statement)


def test_the_upgrade_runs_afresh_and_succeeds(story: Story) -> None:
    assert story.forward.code == 0, story.forward.text
    versions = story.server.versions()
    assert {name: versions[name] for name in PRESENT} == {name: RELEASES["3.4.0"][name] for name in PRESENT}
    assert journal(story.server)["run_id"] != story.cut_off["run_id"]
    assert len(list(story.server.backup_dir.glob("*/manifest.json"))) == 2


def test_no_personal_datum_and_no_secret_is_printed(story: Story) -> None:
    printed = "".join(run.text for run in (story.unused, story.refused, *story.killed, story.rollback, story.again))
    addresses = [one.email for one in story.server.contact_details().values() if one.email and "@" in one.email]
    assert len(addresses) > 20
    assert [one for one in addresses if one in printed] == []
    assert DATABASE["password"] not in printed
    assert DATABASE["password"] not in json.dumps(story.cut_off)
    written = json.dumps(story.document, ensure_ascii=False) + html.unescape(story.page)
    assert [one for one in personal(story.server.users()) if one in written] == []
