# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wherever the database lies: outside Compose as on RDS, in a named volume, in a folder of the host."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from stack import deployment, external, images
from stack.ansible import command, database_mounts, upgrade
from stack.certificates import Authority
from stack.external import Database
from stack.layouts import LAYOUTS, Layout
from stack.releases import CHECKOUT, RELEASES, START_RELEASES
from stack.rounds import rounds
from stack.saved import tables
from stack.world import Server, expected_contact_details

RUN = "20261123T030000Z"
IMAGE = "openlmis/postgres:9.6-postgis"
RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.loads(sys.argv[2])):
    importlib.import_module("ansible_collections.openlmis.operations.plugins.modules." + sys.argv[1]).main()
"""
SITE = """
create schema app;
create table app.users (id uuid primary key default public.uuid_generate_v4(), name text, place public.geometry(point,
  4326));
insert into app.users (name, place) select 'User ' || n, public.st_setsrid(public.st_makepoint(n, n), 4326)
  from generate_series(1, 500) n;
create table public.notes (id serial primary key, note text);
insert into public.notes (note) values ('one'), ('two');
grant usage on schema app to reporter;
grant select on app.users to reporter;
"""
LATER = """
alter table app.users add column email text;
update app.users set name = 'Someone else';
delete from public.notes;
alter table public.notes add column later text;
create table public.later (id int);
create schema later; create table later.things (id int);
"""
STATE = """
select 'rows', md5(string_agg(t::text, '|' order by t::text)) from app.users t
union all select 'notes', string_agg(note, ',' order by id) from public.notes
union all select 'table ' || c.oid::regclass, pg_get_userbyid(relowner) || coalesce(relacl::text, '') from pg_class c
  where relkind = 'r' and relnamespace::regnamespace::text in ('app', 'public', 'later')
union all select 'extension ' || extname, pg_get_userbyid(extowner) from pg_extension
union all select 'database', pg_get_userbyid(datdba) from pg_database where datname = current_database()
"""


def run_module(module: str, prefix: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
    """What a module answers that runs on this host; the password is in no answer."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", RUNNER, module, json.dumps(arguments)],
        env={**external.with_clients(), "PYTHONPATH": str(CHECKOUT / ".cache" / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    assert external.PASSWORD not in done.stdout + done.stderr
    return json.loads(done.stdout)


class Site:
    """A deployment's settings file, and a database that is outside Compose."""

    def __init__(self, folder: pathlib.Path, database: Database) -> None:
        self.folder, self.database = folder, database
        self.backups = folder / "backups"
        quoted = external.PASSWORD.replace("'", "\\'")
        (folder / "settings.env").write_text(
            f"DATABASE_URL={database.url()}\nPOSTGRES_USER={database.user}\nPOSTGRES_PASSWORD='{quoted}'\n"
        )

    def run(self, module: str, check: bool = False, prefix: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
        """What a module answers that looks at the database."""
        known = {
            "project_src": str(self.folder),
            "settings_file": str(self.folder / "settings.env"),
            "ca_cert": str(self.database.ca),
        }
        return run_module(
            module, [*self.database.named(), *prefix], **{**known, **arguments, "_ansible_check_mode": check}
        )

    def backup(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Dump, prove and finish."""
        made = self.run("database_backup", dest=str(self.backups / name), run=name, **arguments)
        if not made.get("failed"):
            told = {"run": name, "release": "3.3.1", "project": {"name": "openlmis", "src": str(self.folder)}}
            assert run_module("backup_manifest", path=made["dest"], manifest=told)["proven"]
        return made

    def restore(self, name: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {"backup": str(self.backups / name), "run": RUN, "users_let_in": False, **arguments}
        return self.run("database_restore", check, **given)

    def state(self) -> list[tuple[Any, ...]]:
        return sorted(self.database.administer(STATE))

    def databases(self) -> list[str]:
        rows = self.database.administer(
            "select datname from pg_database where datname not like 'template%' order by 1", database="postgres"
        )
        return [name for (name,) in rows]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    images.ensure(lambda text: None)
    folder = tmp_path_factory.mktemp("outside")
    with external.database(folder) as database:
        database.start()
        database.administer("create role reporter login")
        one = Site(folder, database)
        database.administer(f"set role {database.user}; " + SITE)
        yield one


@pytest.fixture(autouse=True)
def no_container_stays() -> Iterator[None]:
    yield
    found = images.client().containers.list(
        all=True, ignore_removed=True, filters={"label": "org.openlmis.operations=true"}
    )
    assert [one.name for one in found] == []


@pytest.mark.parametrize("image", [None, IMAGE], ids=["programs of this host", "programs of an image"])
def test_a_database_outside_compose_is_backed_up_and_comes_back(site: Site, image: str | None) -> None:
    name = "by-image" if image else "by-host"
    programs = {"image": image} if image else {}
    before = site.state()
    made = site.backup(name, **programs)
    assert not made.get("failed"), made
    manifest = json.loads((site.backups / name / "manifest.json").read_text())
    assert (manifest["tables"]["app.users"], manifest["database"]["owner"], manifest["globals"]) == (
        500,
        "lmis",
        "without passwords",
    )
    site.database.administer(f"set role {site.database.user}; " + LATER)
    assert site.state() != before
    tried = site.restore(name, check=True, **programs)
    assert (tried["changed"], tried["strategy"]) == (True, "copy"), tried
    done = site.restore(name, **programs)
    assert not done.get("failed"), done
    assert site.state() == before
    assert site.databases() == ["open_lmis", done["kept_as"], "postgres"]
    assert site.database.administer(
        "select count(*) from app.users where name = 'Someone else'", database=done["kept_as"]
    ) == [(500,)]
    site.database.administer(f'drop database "{done["kept_as"]}"', database="postgres")


def copy_again(site: Site, dump: pathlib.Path, given: dict[str, Any], done: dict[str, Any]) -> None:
    """Three copies more after the first, which is `done`."""
    # The next copy takes the place of this one, which is dropped, and the kept one stays.
    again = {**given, "run": RUN.replace("T", "T1")[:-1]}
    copied = site.run("database_copy", dump=str(dump), **again)
    assert site.run("database_copy", state="absent", **again)["dropped"] == [copied["scratch"]]
    copied = site.run("database_copy", dump=str(dump), **again)
    site.run("make_harmless", login_db=copied["scratch"], copy=True)
    last = site.run("database_copy", state="in_place", **again)
    assert (last["kept_as"], len(last["dropped"])) == (None, 1), last
    assert site.databases() == ["open_lmis", done["kept_as"], "postgres"]
    # One that cannot be dropped then, such as a template, does not undo what is done, and goes with the next copy.
    site.database.administer("alter database open_lmis is_template true", database="postgres")
    third, fourth = ({**given, "run": RUN.replace("T", f"T{number}")[:-1]} for number in (2, 3))
    copied = site.run("database_copy", dump=str(dump), **third)
    site.run("make_harmless", login_db=copied["scratch"], copy=True)
    done_again, left = site.run("database_copy", state="in_place", **third), f"open_lmis_before_{third['run']}"
    assert (done_again.get("kept_as", ""), done_again.get("dropped")) == (None, []), done_again
    site.database.administer(f'alter database "{left}" is_template false', database="postgres")
    assert site.run("database_copy", dump=str(dump), **fourth)["dropped"] == [left]
    site.run("database_copy", state="absent", **fourth)
    assert site.databases() == ["open_lmis", done["kept_as"], "postgres"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "image"), [("-Fc", None), ("-Fp", IMAGE)], ids=["programs of this host", "programs of an image"]
)
def test_a_copy_of_another_server_takes_the_place_of_a_database_outside_compose(
    site: Site, kind: str, image: str | None
) -> None:
    owner = site.database.user
    site.database.administer(
        f"set role {owner}; create schema referencedata; create table referencedata.users (id int primary key, email"
        " varchar(255) unique); insert into referencedata.users values (1, 'ann@example.org'), (2, null)"
    )
    dump = site.folder / f"production{kind}"
    with dump.open("wb") as stream:
        subprocess.run(
            ["docker", "exec", external.CONTAINER, "pg_dump", "-U", "postgres", kind, "open_lmis"],
            stdout=stream,
            check=True,
        )
    site.database.administer("drop schema referencedata cascade")
    before = site.state()
    given = {"run": RUN, "work_dir": str(site.folder / "work"), **({"image": image} if image else {})}
    if image:
        refused = site.run("database_copy", dump=str(dump), **{**given, "image": None})
        assert "Name an image with PostgreSQL's server and client programs in openlmis_backup_image" in refused["msg"]
    tried = site.run("database_copy", True, dump=str(dump), **given)
    assert (tried.get("changed"), site.databases()) == (True, ["open_lmis", "postgres"]), tried
    master = {"login_user": "postgres", "login_password": external.MASTER}
    assert (
        f"and {owner}, which the settings name for OpenLMIS"
        in site.run("database_copy", True, dump=str(dump), **master, **given)["msg"]
    )
    with contextlib.closing(psycopg2.connect(**{**site.database.login(), "dbname": "open_lmis"})):
        refused = site.run("database_copy", dump=str(dump), wait_for_sessions=1, **given)
    assert "Others have sessions on the database open_lmis" in refused["msg"]
    assert site.databases() == ["open_lmis", "postgres"]
    copied = site.run("database_copy", dump=str(dump), **given)
    assert not copied.get("failed"), copied
    assert not (site.folder / "work").exists()
    refused = site.run("database_copy", state="in_place", **given)
    assert "1 addresses in referencedata.users.email can be mailed to" in refused["msg"]
    assert site.state() == before
    made = site.run("make_harmless", login_db=copied["scratch"], copy=True)
    assert made["columns"] == {"referencedata.users.email": 1}, made
    done = site.run("database_copy", state="in_place", **given)
    assert not done.get("failed"), done
    found = site.database.administer(
        "select email, (select count(*) from app.users) from referencedata.users order by id"
    )
    assert found == [("ann@example.org.invalid.example.org", 500), (None, 500)]
    assert site.databases() == ["open_lmis", done["kept_as"], "postgres"]
    copy_again(site, dump, given, done)
    site.database.administer("drop database open_lmis", database="postgres")
    site.database.administer(f'alter database "{done["kept_as"]}" rename to open_lmis', database="postgres")
    assert site.state() == before


def test_a_role_that_may_not_create_databases_is_told_so_before_anything_is_done(site: Site) -> None:
    site.database.administer(f"alter role {site.database.user} nocreatedb")
    try:
        assert not site.backup("without").get("failed")
        for check in (True, False):
            assert 'it may not create databases (ALTER ROLE "lmis" CREATEDB)' in site.restore("without", check)["msg"]
    finally:
        site.database.administer(f"alter role {site.database.user} createdb")
    assert site.databases() == ["open_lmis", "postgres"]


def test_a_restore_as_proof_needs_what_such_a_role_may_not(site: Site) -> None:
    refused = site.backup("proof", verify="restore")
    assert "the role lmis may not create the extension postgis" in refused["msg"]
    assert "set openlmis_backup_verify to rows" in refused["msg"]
    assert not (site.backups / "proof").exists()
    assert site.databases() == ["open_lmis", "postgres"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            "openlmis/postgres:not-here",
            "which is not on this host; an image on this host with pg_dump and pg_restore 15 or newer is expected",
        ),
        ("openlmis-operations/no-programs:latest", "whose pg_dump does not fit"),
    ],
)
def test_an_image_without_fitting_programs_is_refused_before_the_dump(site: Site, image: str, said: str) -> None:
    if "no-programs" in image:
        images.build(images.client(), image, f"FROM {IMAGE}\nENV PATH=/nowhere\n")
    try:
        for check in (True, False):
            refused = site.run("database_backup", check, dest=str(site.backups / "refused"), image=image)
            assert said in refused["msg"]
        assert not (site.backups / "refused").exists()
    finally:
        if "no-programs" in image:
            images.client().images.remove(image)


def test_a_host_without_a_fitting_pg_dump_is_told_what_else_there_is(site: Site, tmp_path: pathlib.Path) -> None:
    hidden = (
        "for one in /usr/lib/postgresql /usr/pgsql-*; do [ ! -d $one ] || mount -t tmpfs none $one; done; PATH=/nowhere"
        ' exec "$@"'
    )
    refused = site.run(
        "database_backup", prefix=["unshare", "--mount", "sh", "-c", hidden, "sh"], dest=str(tmp_path / "one")
    )
    assert "is PostgreSQL 15 outside Compose, and this host's pg_dump is none" in refused["msg"]
    assert "openlmis_backup_image" in refused["msg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"ca_cert": None},
            f"There is no file {external.IN_CONTAINERS} on this host, which sslrootcert in the database URL names",
        ),
        ({"ca_cert": "other"}, "could not be reached over TLS as asked"),
        ({"login_host": "address"}, "could not be reached over TLS as asked"),
        ({"ssl_mode": "disable"}, "does not let the user lmis in from this host"),
        ({"login_password": "wrong"}, "refused the password of the user lmis"),
    ],
)
def test_what_keeps_from_the_database_is_said_plainly(
    site: Site, tmp_path: pathlib.Path, arguments: dict[str, Any], said: str
) -> None:
    (tmp_path / "other").write_bytes(Authority("Somebody else").certificate)
    places = {"other": str(tmp_path / "other"), "address": site.database.address}
    refused = site.run(
        "database_backup",
        check=True,
        dest=str(tmp_path / "one"),
        **{key: places.get(value, value) for key, value in arguments.items()},
    )
    assert said in refused["msg"]


def test_the_password_may_stand_in_the_url_or_in_an_option(site: Site, tmp_path: pathlib.Path) -> None:
    url = f"{site.database.url()}&user=lmis&password={quote(external.PASSWORD, safe='')}"
    for given in ({"database_url": url}, {"login_password": external.PASSWORD}):
        assert "server_version" in site.run("database_backup", check=True, dest=str(tmp_path / "one"), **given)


# -- whole upgrades --------------------------------------------------------------------------------------------------

LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "report", "diagnostics")
VOLUMES = {"named volume": external.named_volume, "folder of the host": external.folder_of_the_host}


def there(server: Server) -> str:
    """Upgrade; the contact details are held against the expectation. What was printed."""
    done = upgrade(server)
    assert done.code == 0, done.text
    assert server.contact_details() == expected_contact_details(server.users())
    assert server.versions() == {name: RELEASES["3.4.0"][name] for name in server.components()}
    return done.text


def there_and_back(server: Server) -> None:
    """Upgrade, and roll back to what was before."""
    before = tables(server)
    printed = there(server)
    again = upgrade(server)
    assert (again.code, again.recap("changed")) == (0, 0), again.text
    back = command(server, "ansible-playbook", "playbooks/rollback-3.4.yml", "-e", "openlmis_confirm=false")
    assert back.code == 0, back.text
    assert tables(server) == before
    assert external.PASSWORD not in printed + back.text


@pytest.mark.long
@pytest.mark.parametrize("place", VOLUMES)
def test_there_and_back_with_a_volume_that_is_not_anonymous(tmp_path: pathlib.Path, place: str) -> None:
    with deployment.running("3.3.0", tmp_path / "server", users=60, without=LEFT_OUT, prepare=VOLUMES[place]) as server:
        mounts = database_mounts(server)
        there_and_back(server)
        assert database_mounts(server) == mounts


@pytest.mark.long
@pytest.mark.parametrize(("release", "image"), [("3.3.0", None), ("3.3.1", IMAGE)], ids=["3.3.0, host", "3.3.1, image"])
def test_there_and_back_with_a_database_outside_compose(
    tmp_path: pathlib.Path, release: str, image: str | None
) -> None:
    with external.database(tmp_path / "outside") as database:
        options = {"users": 60, "without": ("db", "ftp", *LEFT_OUT), "prepare": database.prepare}
        with deployment.running(release, tmp_path / "server", **options) as server:
            if image:
                external.inventory(server, openlmis_backup_image=image)
            there_and_back(server)
            run = json.loads((server.state_dir / "journal.json").read_text())["run"]["database"]
            assert (run["host"], run["port"], "mounts" in run) == (external.NAME, external.PORT, False)
            assert database.administer(
                "select pg_get_userbyid(extowner) from pg_extension where extname = 'postgis'"
            ) == [("postgres",)]


def everywhere() -> Iterator[Any]:
    """Every layout with every place and both releases; the one that no other test of `make test` has is not long."""
    for layout in [one for one in LAYOUTS if one.name != "ref-distro"]:
        for place in [*VOLUMES, "outside"]:
            for release in START_RELEASES:
                quick = (layout.name, place, release) == ("job", "outside", "3.3.0")
                yield pytest.param(
                    layout,
                    place,
                    release,
                    id=f"{layout.name}, {place}, {release}",
                    marks=[] if quick else [pytest.mark.long],
                )


@pytest.mark.parametrize(("layout", "place", "release"), list(everywhere()))
def test_every_layout_with_every_database(tmp_path: pathlib.Path, layout: Layout, place: str, release: str) -> None:
    with external.database(tmp_path / "outside") as database:

        def prepare(server: Server) -> None:
            (database.prepare if place == "outside" else VOLUMES[place])(server)
            layout.prepare(server)

        without = ("db", *LEFT_OUT) if place == "outside" else LEFT_OUT
        with deployment.running(release, tmp_path / "server", users=60, without=without, prepare=prepare) as server:
            if place == "outside":
                # In Compose: test_layouts.py. Only the site knows where on this host its certificate is.
                prepared = {"openlmis_target_files": str(server.root / "prepared")} if layout.prepared else {}
                told = rounds(server, {**layout.images, "openlmis_ca_cert": str(database.ca)}, prepared).last
                assert told.code == 0, told.text
            external.inventory(server, openlmis_backup_verify="rows")
            assert external.PASSWORD not in there(server)
