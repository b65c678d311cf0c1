# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every trap is armed on a server that runs: the check names evidence and remedy, and changes nothing. At the end one
that was begun by hand.
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
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from stack import images
from stack.ansible import Run, command, database_mounts, upgrade
from stack.deployment import psql, running, wait_until
from stack.releases import CHECKOUT, RELEASES, flyway_versions
from stack.world import ADMIN, Server, expected_contact_details

TARGET = RELEASES["3.4.0"]
# What the traps need not: the fewer components, the faster.
LEFT_OUT = ("stockmanagement", "cce", "report", "diagnostics")
# A password whose $ the container has, as Compose v1 gave it on, and a place for uploads that is nowhere but in an
# anonymous volume.
OVERRIDE = "services:\n  notification:\n    environment: {FTP_PASSWORD: 'a$$b'}\n    volumes: [/uploads]\n"
RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    importlib.import_module("ansible_collections.openlmis.operations.plugins.modules.upgrade_check").main()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server at 3.3.1; every test but the last ones leaves it as it was."""
    with running("3.3.1", tmp_path_factory.mktemp("preflight"), without=LEFT_OUT, override=OVERRIDE) as one:
        yield one


def check(server: Server, **options: Any) -> dict[str, Any]:
    """The findings of the module by itself, as the playbook calls it, by check."""
    given = {
        "project_src": str(server.project_src),
        "backup_dir": str(server.backup_dir),
        "release": yaml.safe_load((CHECKOUT / "roles/openlmis/vars/releases/3.4.0.yml").read_text()),
        "migrations": flyway_versions(),
        "base_url": server.base_url,
        "admin_username": ADMIN[0],
        "admin_password": ADMIN[1],
        **options,
    }
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / ".cache" / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout)
    assert "findings" in answer, answer
    return {one["check"]: one for one in answer["findings"]}


def expect(findings: dict[str, Any], name: str, status: str, *words: str) -> None:
    """A finding of this status, with these words in what was found, expected or to be done."""
    found = findings[name]
    text = " ".join([found["found"], found["expected"], found["remedy"], *found["details"]])
    assert found["status"] == status, found
    assert [one for one in words if one not in text] == [], found
    assert found["remedy"] or "Expected" in found["found"], found


def quiet(findings: dict[str, Any], *but: str) -> None:
    """Nothing else than these checks has anything to say, but what every 3.3.1 has."""
    assert {name for name, one in findings.items() if one["status"] != "ok"} - {"migration order", "memory"} == set(but)


def preflight(server: Server, *arguments: str) -> Run:
    """The playbook's own pre-flight."""
    return command(server, "ansible-playbook", "playbooks/upgrade-3.4.yml", "--tags", "check", *arguments)


def git(server: Server, *arguments: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", "-C", str(server.project_src), *identity, *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def changed_files(server: Server, override: str, **settings: str) -> Iterator[None]:
    """Another override file, and other lines in the settings file, for the length of a with block."""
    paths = [server.project_src / name for name in ("docker-compose.override.yml", "settings.env")]
    before = [path.read_text() for path in paths]
    lines = before[1]
    for key, value in settings.items():
        lines, count = re.subn(rf"(?m)^{key}=.*$", lambda _match, line=f"{key}={value}": line, lines)
        assert count == 1, key
    for path, text in zip(paths, (override, lines), strict=True):
        path.write_text(text)
    try:
        yield
    finally:
        for path, text in zip(paths, before, strict=True):
            path.write_text(text)


@contextlib.contextmanager
def changed_data(server: Server, there: str, back: str) -> Iterator[None]:
    """Other rows for the length of a with block."""
    psql(server, there)
    try:
        yield
    finally:
        psql(server, back)


# -- the pre-flight as an operator reads it ------------------------------------------------------------------------


def test_a_sane_server_passes_and_nothing_is_written(server: Server) -> None:
    before = server.fingerprint()
    run = preflight(server)
    assert run.code == 0, run.text
    assert server.fingerprint() == before
    assert not server.state_dir.exists()
    assert not server.backup_dir.exists()
    lines = run.text.splitlines()
    table = [line for line in lines if re.match(r"(ok|warning|refused|ready) {2,}", line)]
    assert {line.split()[0] for line in table} <= {"ok", "warning", "ready"}
    assert re.match(
        r"ready +the server may be upgraded from 3.3.1 to 3.4.0: \d+ checks, [12] warnings?\. Nothing was changed\.",
        table[-1],
    )
    assert max(map(len, table)) <= 120
    quiet(check(server))


def test_a_server_with_a_trap_is_refused_and_nothing_is_written(server: Server) -> None:
    with changed_files(
        server, "services:\n  fulfillment:\n    environment:\n      spring_profiles_active: ${spring_profiles_active}\n"
    ):
        before = server.fingerprint()
        run = upgrade(server)
    assert run.code != 0
    assert re.search(r"(?m)^refused +production profile +fulfillment renders with no profile", run.text)
    assert "(docker-compose.override.yml line 4, which comes before settings.env line 1" in " ".join(run.text.split())
    assert re.search(r"(?m)^refused +\d of \d+ checks refuse: .*production profile", run.text)
    assert "DROPS its whole schema" in run.text
    assert "Stopped before anything was changed." in run.text
    after = server.fingerprint()
    for part in ("containers", "images", "volumes", "tables"):
        assert after[part] == before[part], part
    assert not server.state_dir.exists()


@pytest.mark.long
def test_without_a_login_nothing_begins(server: Server) -> None:
    inventory = server.inventory.read_text()
    server.inventory.write_text(
        "".join(line for line in inventory.splitlines(True) if "openlmis_admin_" not in line and "base_url" not in line)
    )
    run = upgrade(server)
    server.inventory.write_text(inventory)
    assert run.code != 0
    assert "openlmis_admin_username" in run.text
    assert "are not set" in run.text
    assert not server.state_dir.exists()


def test_without_a_terminal_and_without_a_word_nothing_begins(server: Server) -> None:
    before = server.fingerprint()
    run = command(server, "ansible-playbook", "playbooks/upgrade-3.4.yml")
    assert run.code != 0
    assert "yes is expected" in run.text
    assert server.fingerprint() == before


# -- the traps -----------------------------------------------------------------------------------------------------


def test_files_that_would_do_harm(server: Server) -> None:
    override = """services:
  fulfillment:
    environment:
      spring_profiles_active: ${spring_profiles_active}
  notification:
    volumes: [/uploads]
    environment:
      DATABASE_URL: jdbc:postgresql://db:5432/open_lmis?sslmode=disable
  requisition:
    image: moh/requisition:6.1.0
    environment: {JAVA_OPTS: -Xmx900g}
  reference-ui:
    image: moh/ui:1.2
"""
    git(server, "init")
    git(server, "add", ".")
    git(server, "commit", "-m", "as deployed")
    git(server, "remote", "add", "origin", "https://deploy:token@git.example.org/moh/lmis.git")
    try:
        with changed_files(server, override, FTP_PASSWORD="a$b", BASE_URL="http://127.0.0.1:1", REQUIRE_SSL="true"):
            findings = check(server)
    finally:
        shutil.rmtree(server.project_src / ".git")
    assert "a$b" not in str(findings)
    assert "token" not in findings["next deployment"]["found"]
    expect(
        findings,
        "production profile",
        "refused",
        "docker-compose.override.yml line 4, which comes before settings.env line 12",
    )
    expect(findings, "database URL", "refused", "; notification")
    expect(findings, "end of database URL", "refused", "sslmode=disable of notification")
    expect(findings, "settings", "refused", "FTP_PASSWORD (settings.env line ", "every $ as $$")
    expect(findings, "https", "refused", "REQUIRE_SSL=true")
    expect(
        findings,
        "images",
        "refused",
        "requisition runs moh/requisition:6.1.0",
        "openlmis_images: {reference-ui: '<image>:<tag>', requisition: '<image>:<tag>'}",
    )
    expect(findings, "national UI", "refused", "reference-ui runs moh/ui:1.2", "keep")
    expect(findings, "base URL", "refused", "does not reach BASE_URL, http://127.0.0.1:1")
    expect(findings, "memory", "warning", "components that may take")
    expect(
        findings,
        "next deployment",
        "warning",
        "a git checkout of https://git.example.org/moh/lmis.git, branch main, with changes that are not committed in"
        " docker-compose.override.yml, settings.env",
        ".env",
        "docker-compose.yml",
    )


@contextlib.contextmanager
def edited(server: Server, name: str, old: str, new: str) -> Iterator[None]:
    """A deployed file with another text for the length of a with block."""
    path = server.project_src / name
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    try:
        yield
    finally:
        path.write_text(before)


@contextlib.contextmanager
def left_over(server: Server) -> Iterator[None]:
    """Another database on the same server, as one from before a move."""
    psql(server, "create database left_over;")
    try:
        yield
    finally:
        psql(server, "drop database left_over;")


def test_a_file_that_is_left_over_does_not_name_the_database(server: Server) -> None:
    settings = server.project_src / "settings.env"
    (server.project_src / "production.env").write_text(settings.read_text())
    try:
        with (
            left_over(server),
            edited(server, "docker-compose.yml", "env_file: settings.env", "env_file: production.env"),
            edited(server, "settings.env", "db:5432/open_lmis", "db:5432/left_over"),
        ):
            findings = check(server)
            quiet(findings)
            assert re.match("open_lmis at db: sessions of auth, .* are in it$", findings["database in use"]["found"])
            findings = check(server, settings_file=str(settings))
            expect(
                findings,
                "database in use",
                "refused",
                "openlmis_settings_file names the database left_over at db",
                "given another one: open_lmis at db",
                "Leave openlmis_settings_file away",
            )
    finally:
        (server.project_src / "production.env").unlink()


def test_files_that_name_another_database_than_the_containers_use_are_refused(server: Server) -> None:
    with left_over(server), edited(server, "settings.env", "db:5432/open_lmis", "db:5432/left_over"):
        expect(
            check(server),
            "database in use",
            "refused",
            "were started with another DATABASE_URL than Compose renders",
            "are in the database open_lmis, which is left_over at db",
        )


def test_a_database_named_by_another_address_is_the_same(server: Server) -> None:
    address = next(iter(server.container("db").attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    findings = check(server, login_host=address)
    quiet(findings)
    assert findings["database in use"]["status"] == "ok"


def test_the_whole_rendering_is_compared(server: Server) -> None:
    with edited(
        server, "docker-compose.yml", "openlmis/postgres:${OL_POSTGRES_VERSION}", "openlmis/postgres:${OL_AUTH_VERSION}"
    ):
        expect(
            check(server),
            "change of versions",
            "refused",
            "db would run openlmis/postgres:4.0.0 and not openlmis/postgres:3.2.0",
            "as its image is written openlmis/postgres:${OL_AUTH_VERSION}",
            "image: openlmis/postgres:3.2.0 for db",
        )
    with edited(
        server,
        "docker-compose.yml",
        "    volumes:\n      - 'syslog:/var/log'",
        "    environment: {RELEASE: '${OL_AUTH_VERSION}'}",
    ):
        expect(check(server), "change of versions", "refused", "log: environment RELEASE")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("spring_profiles_active: '', JAVA_TOOL_OPTIONS: '-Dspring.profiles.active=production'", ""),
        (
            """SPRING_APPLICATION_JSON: '{"spring.profiles.active": "demo-data"}'""",
            "notification renders with demo-data",
        ),
        (
            "SPRING_DATASOURCE_URL: 'jdbc:postgresql://db:5432/other'",
            "groups: auth, fulfillment, referencedata, requisition; notification",
        ),
    ],
)
def test_what_spring_takes_is_looked_at(server: Server, variables: str, said: str) -> None:
    with changed_files(server, OVERRIDE.replace("environment: {", "environment: {%s, " % variables)):
        findings = check(server)
    found = [
        one["found"]
        for name, one in findings.items()
        if name in ("production profile", "database URL") and one["status"] == "refused"
    ]
    assert (not found) if not said else said in " ".join(found), findings


def test_a_published_image_may_be_written_with_its_registry(server: Server) -> None:
    with edited(
        server, "docker-compose.yml", "openlmis/auth:${OL_AUTH_VERSION}", "docker.io/openlmis/auth:${OL_AUTH_VERSION}"
    ):
        quiet(check(server))


def test_a_name_that_another_container_has_is_refused(server: Server) -> None:
    name = f"{server.project}-redis-1"
    other = server.engine.containers.create("redis:3.2.12", name=name)
    try:
        expect(
            check(server),
            "container names",
            "refused",
            f"a container that is there: {name}, of no Compose project",
            f"docker rm {name}",
        )
    finally:
        other.remove(v=True)


def test_a_password_that_is_a_word_spoils_nothing_that_is_told(server: Server) -> None:
    psql(server, "create role openlmis superuser login password 'openlmis';")
    try:
        findings = check(server, login_user="openlmis", login_password="openlmis")
    finally:
        psql(server, "drop role openlmis;")
    quiet(findings)
    assert "****" not in json.dumps(findings)
    assert "openlmis" in json.dumps(findings)


def test_a_national_ui_may_be_kept(server: Server) -> None:
    with changed_files(server, OVERRIDE + "  reference-ui:\n    image: moh/ui:1.2\n"):
        findings = check(server, images={"reference-ui": "keep"})
        expect(findings, "national UI", "warning", "reference-ui keeps its image")
        # It is given the database by env_file, and keeps no schema all the same.
        assert findings["images"]["status"] == "ok"
        assert check(server, images={"reference-ui": "moh/ui:2.0"})["national UI"]["status"] == "ok"


def test_data_that_a_migration_would_stumble_over(server: Server) -> None:
    there = """
        insert into referencedata.program_orderables (id, active, displayorder, fullsupply, maxmonthsstock,
          orderabledisplaycategoryid, orderableid, programid)
        select '00000000-0000-4000-8000-000000000001', active, displayorder, fullsupply, maxmonthsstock,
          orderabledisplaycategoryid, orderableid, programid
        from referencedata.program_orderables where active limit 1;
        create table public.kept as select a.id from auth.auth_users a where username <> 'admin' order by id limit 1;
        update auth.auth_users set id = (select referencedatauserid from auth.auth_users
          where id not in (select id from public.kept)
          and username <> 'admin' order by id limit 1) where id in (select id from public.kept);
        update fulfillment.schema_version set success = false where installed_rank = (select max(installed_rank)
          from fulfillment.schema_version);
        update fulfillment.transfer_properties set serverhost = 'ftp.example.org';
    """
    back = """
        delete from referencedata.program_orderables where id = '00000000-0000-4000-8000-000000000001';
        update auth.auth_users set id = (select id from public.kept) where id in (select referencedatauserid
          from auth.auth_users b where b.id <> auth_users.id)
          and username <> 'admin';
        drop table public.kept;
        update fulfillment.schema_version set success = true;
        update fulfillment.transfer_properties set serverhost = 'ftp';
    """
    before = server.table_hashes()
    with changed_data(server, there, back), changed_files(server, OVERRIDE, MAIL_HOST="mail.example.org"):
        findings = check(server, staging=True)
    assert server.table_hashes() == before
    expect(findings, "program orderables", "refused", "1 pairs of orderable and program", "orderable, program: ")
    expect(findings, "auth users", "refused", "1 users of auth.auth_users")
    expect(findings, "failed migrations", "refused", "fulfillment.schema_version has 2")
    expect(
        findings, "real people", "refused", "MAIL_HOST is mail.example.org for auth", "sends orders to ftp.example.org"
    )
    expect(findings, "settings", "warning", "MAIL_HOST (settings.env line ")


def test_a_role_that_may_not_do_what_migrations_do(server: Server) -> None:
    schemas = "auth, referencedata, requisition, fulfillment"
    there = f"""
        create role site login password 'p@ssw0rd';
        create schema moh;
        create table moh.notes (id int);
        grant usage on schema {schemas}, public to site;
        grant select on all tables in schema {schemas} to site;
    """
    back = "drop owned by site; drop schema moh cascade; drop role site;"
    with changed_data(server, there, back):
        findings = check(server, login_user="site")
        expect(
            findings,
            "database",
            "refused",
            "user site may not create a schema",
            'GRANT CREATE ON DATABASE "open_lmis" TO "site"',
        )
        expect(
            findings,
            "privileges",
            "refused",
            "postgres owns auth.",
            "site may not read moh.notes",
            'GRANT "postgres" TO "site"',
        )
        psql(server, "alter role site set default_transaction_read_only = on")
        expect(check(server, login_user="site"), "database", "refused", "it is read-only")


def test_an_administrator_who_is_none(server: Server) -> None:
    expect(
        check(server, admin_password="wrong"), "login", "refused", "admin cannot log in", "/api/oauth/token answers 400"
    )
    username = server.query(
        "select username from auth.auth_users where username <> 'admin' and enabled order by id limit 1"
    )[0][0]
    expect(check(server, admin_username=username), "login", "refused", username, "lacks the right USERS_MANAGE")


def test_a_tag_that_has_moved(server: Server) -> None:
    kept = {name: server.container(name) for name in ("db", "ftp")}
    other = server.engine.images.get("openlmis/auth:3.2.0")
    try:
        for container in kept.values():
            other.tag(*container.attrs["Config"]["Image"].split(":"))
        findings = check(server)
        may_go = check(server, discard_container_files=["ftp"])
    finally:
        for container in kept.values():
            server.engine.images.get(container.attrs["Image"]).tag(*container.attrs["Config"]["Image"].split(":"))
    expect(findings, "moved tags", "refused", "db runs sha256:", "docker tag sha256:", "openlmis/postgres:9.6-postgis")
    expect(findings, "containers made anew", "warning", "db (made by Compose 2", "ftp (made by Compose 2")
    expect(
        findings,
        "data in containers",
        "refused",
        "ftp holds /home/vsftpd/orders/ORDER-1.csv",
        "openlmis_discard_container_files: [ftp]",
    )
    assert may_go["data in containers"]["status"] == "ok"
    quiet(check(server))


def test_a_disk_that_is_too_small(server: Server) -> None:
    small = server.root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        findings = check(server, backup_dir=str(small / "backup"))
    finally:
        subprocess.run(["umount", small], check=True)
        small.rmdir()
    expect(findings, "room", "refused", f"MiB free at {small} for the backup (", "openlmis_backup_dir")


def test_a_database_outside_compose_needs_a_pg_dump_of_this_host(server: Server) -> None:
    programs = [path.parts[-3] for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_dump")]
    findings = check(server, login_host=server.database_address())
    assert findings["database volume"]["found"] == "the database is outside this Compose project"
    if any(int(major.partition(".")[0]) >= 15 for major in programs):
        assert re.match(r"/usr/lib/postgresql/\d+/bin/pg_dump of this host", findings["pg_dump"]["found"])
    else:
        expect(findings, "pg_dump", "refused", "pg_dump 15 or newer is expected")


def test_containers_that_are_not_well(server: Server) -> None:
    nginx, notification, fulfillment = (server.container(name) for name in ("nginx", "notification", "fulfillment"))
    registry = "http://localhost:18500/v1/agent/service"
    consul = server.container("consul")
    ask = "import urllib.request as u; u.urlopen(u.Request('{}', {}, method='PUT'))"
    registration = json.dumps(
        {"ID": "auth-gone", "Name": "auth", "Address": "192.0.2.9", "Port": 8080, "Tags": []}
    ).encode()
    local = registry.replace("18500", "8500")
    assert consul.exec_run(["python3", "-c", ask.format(local + "/register", registration)]).exit_code == 0
    assert notification.exec_run(["touch", "-d", "+1 hour", "/uploads/photo.jpg"]).exit_code == 0
    assert notification.exec_run(["sh", "-c", "mkdir -p /data && echo x > /data/report.csv"]).exit_code == 0
    fulfillment.update(restart_policy={"Name": "always", "MaximumRetryCount": 0})
    nginx.update(restart_policy={"Name": "no", "MaximumRetryCount": 0})
    try:
        for restart in range(1, 4):
            os.kill(fulfillment.attrs["State"]["Pid"], signal.SIGKILL)
            wait_until("fulfillment to be started again", lambda times=restart: restarted(fulfillment) == times, 20)
        findings = check(server)
    finally:
        fulfillment.update(restart_policy={"Name": "no", "MaximumRetryCount": 0})
        assert consul.exec_run(["python3", "-c", ask.format(local + "/deregister/auth-gone", b"")]).exit_code == 0
        assert notification.exec_run(["rm", "-r", "/uploads/photo.jpg", "/data/report.csv"]).exit_code == 0
    expect(findings, "containers", "refused", "fulfillment restarts again and again: 3 times")
    expect(findings, "restart policy", "warning", "fulfillment restart by themselves")
    expect(findings, "registrations", "warning", "consul has auth-gone")
    expect(
        findings,
        "data in containers",
        "warning",
        "notification holds /data/report.csv",
        "notification holds files in the anonymous volume",
    )
    fulfillment.restart()
    fulfillment.stop()
    try:
        findings = check(server)
    finally:
        fulfillment.start()
    expect(findings, "containers", "refused", "fulfillment is exited")
    expect(findings, "answers", "refused", "fulfillment: answers 50")


def restarted(container: Any) -> int:
    """How often a container was started again by its policy, once it runs."""
    container.reload()
    return container.attrs["RestartCount"] if container.status == "running" else -1


# -- begun by hand -------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_an_upgrade_that_failed_half_way_is_refused_with_a_table(server: Server) -> None:
    """The published procedure by hand, as far as it goes: requisition skips migrations and dies; the UI finds no
    network.
    """
    images.arm("reference-ui", TARGET["reference-ui"], "no-network")
    env = server.project_src / ".env"
    text = env.read_text()
    for name, version in TARGET.items():
        text = re.sub(rf"(?m)^(OL_{name.upper().replace('-', '_')}_VERSION)=.*$", rf"\1={version}", text)
    env.write_text(text)
    server.compose("stop", "nginx", "consul", "reference-ui", *server.components())
    server.compose("rm", "--force", "nginx", "consul", "reference-ui", *server.components())
    override = server.project_src / "docker-compose.override.yml"
    override.write_text("services:\n  redis:\n    image: redis:3.2.12\n")
    server.compose("up", "--detach")
    wanted = {name: TARGET[name] for name in server.components() if name != "requisition"}
    wait_until("the others to answer", lambda: {name: server.versions()[name] for name in wanted} == wanted, 60)

    run = preflight(server)
    assert run.code != 0
    assert re.search(
        r"(?m)^refused +start release +an upgrade from 3.3.1 to 3.4.0 was begun and is not finished", run.text
    )
    assert re.search(r"(?m)^ +schema +applied +newest +is that of$", run.text)
    assert re.search(r"(?m)^ +auth +\d+ +20180613120215847 +3.4.0$", run.text)
    assert re.search(r"(?m)^ +requisition +\d+ +\d+ +between releases: \d+ of 3.4.0's missing$", run.text)
    assert re.search(r"(?m)^warning +migration order +requisition would silently skip 5 \(20180511142252566,", run.text)
    assert re.search(r"(?m)^warning +containers +requisition is exited", run.text)
    assert re.search(r"(?m)^warning +answers +requisition: answers 50\d; /openlmis.js is empty", run.text)
    assert not server.state_dir.exists()
    findings = check(server, without_way_back=True)
    assert [name for name, one in findings.items() if one["status"] == "refused"] == []


@pytest.mark.long
def test_an_upgrade_begun_by_hand_is_brought_to_its_end(server: Server) -> None:
    """Somebody has found the flag; 3.4 runs, and nobody has copied the contact details, while users have
    begun to work.
    """
    images.arm("reference-ui", TARGET["reference-ui"], "")
    override = server.project_src / "docker-compose.override.yml"
    plain = override.read_text()
    override.write_text(plain + "  requisition:\n    environment: {JAVA_OPTS: -Xmx512m -Dflyway.out-of-order=true}\n")
    server.compose("up", "--detach", "requisition")
    wait_until("requisition to answer", lambda: server.versions()["requisition"] == TARGET["requisition"], 60)
    override.write_text(plain)
    expected, mounts = expected_contact_details(server.users()), database_mounts(server)
    # What a user has entered in 3.4 since is newer than what referencedata has.
    user = next(one for one, contact in expected.items() if contact.email and contact.email_verified)
    server.query(
        "insert into notification.user_contact_details (referencedatauserid, email, emailverified, allownotify) values"
        " (%s, 'new@example.org', true, false)",
        (user,),
    )
    run = upgrade(server)
    assert run.code == 0, run.text
    assert re.search(r"(?m)^warning +start release +every schema is at 3.4.0 already, and not all is done: ", run.text)
    assert re.search(
        rf"{len(expected) - 1} of {len(expected)} users have no contact details", " ".join(run.text.split())
    )
    found = server.contact_details()
    assert found.pop(user).email == "new@example.org"
    expected.pop(user)
    assert found == expected
    assert database_mounts(server) == mounts
    (folder,) = server.backup_dir.iterdir()
    assert json.loads((folder / "manifest.json").read_text())["release"] == "3.4.0"
    report = (server.state_dir / "report.txt").read_text()
    assert "OpenLMIS 3.4.0 -> 3.4.0" in report
    assert f"{len(expected)} of {len(expected) + 1} users copied" in report
    assert "1 kept as they were" in report
    again = upgrade(server)
    assert "Nothing to do: rehearsal is at 3.4.0, contact details copied." in again.text
    assert again.recap("changed") == 0
