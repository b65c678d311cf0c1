# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal server is as strict as a real one: what the upgrade relies on, and what it must survive."""

from __future__ import annotations

import contextlib
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stack import deployment, images, people
from stack.releases import COMPONENTS, HERE, HTTP_PORT, LABEL, PROJECT, RELEASES, flyway_versions
from stack.world import Contact, Server, expected_contact_details

sys.path.insert(0, str(HERE / "image"))

import flyway
import gateway

FLAG = "-server -Dflyway.out-of-order=true"
TAG_MIGRATIONS = [
    "20180511142252566",
    "20180514153415782",
    "20180518070517164",
    "20180518164621420",
    "20180529114621420",
]


# -- without Docker ------------------------------------------------------------------------------------------------


def names(migrations: list[flyway.Migration]) -> list[str]:
    return [one.version for one in migrations]


def test_flyway_skips_what_is_lower_than_the_highest_applied() -> None:
    available = [flyway.Migration(version, "", "") for version in ("1", "2", "3", "10")]
    assert names(flyway.pending(available, set(), False)) == ["1", "2", "3", "10"]
    assert names(flyway.pending(available, {"1", "3"}, False)) == ["10"]
    assert names(flyway.pending(available, {"1", "3"}, True)) == ["2", "10"]
    assert names(flyway.pending(available, {"1", "11"}, False)) == []


def test_every_migration_with_sql_is_one_that_a_component_ships() -> None:
    for name, component in flyway_versions().items():
        shipped = {version for versions in component["versions"].values() for version in versions}
        text = (HERE / "image" / "migrations" / (name + ".sql")).read_text()
        ours = {line.split()[1] for line in text.splitlines() if line.startswith("--@ ")}
        assert ours
        assert ours <= shipped, name


def test_nginx_puts_literal_paths_before_parameters_and_the_user_interface_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstreams = {"auth": ["1.2.3.4:8080"], "ui": ["1.2.3.5:80"], "gone": []}
    paths = {"<all>": "ui", "api/users/{id}": "auth", "api/users/auth/logout": "auth", "gone": "gone"}
    text = gateway.render(upstreams, paths)
    order = [line.split()[2] for line in text.splitlines() if "location" in line]
    # A path that was registered once stays, with or without a server for it.
    assert order == ["^/api/users/auth/logout/?$", "^/gone/?$", r"^/api/users/[\w-]+/?$", "^/.*"]
    assert "upstream gone" not in text
    assert "return 307" not in text
    monkeypatch.setenv("REQUIRE_SSL", "true")
    assert gateway.render(upstreams, paths).count('if ($http_x_forwarded_proto != "https") { return 307') == 4


def test_the_people_bring_what_real_life_brings() -> None:
    everybody = people.people()
    assert everybody == people.people()
    assert everybody != people.people(seed=35)
    emails = [one.email for one in everybody]
    assert len(everybody) + 1 >= 300
    assert None in emails
    assert "" in emails
    assert len({one for one in emails if one and not one.strip()}) >= 3
    for needle in ("'", ",", '"', "\\", "%", "_", "+", "王"):
        assert any(needle in one for one in emails if one), needle
    lowered = [one.lower() for one in emails if one]
    assert len(lowered) > len(set(lowered))
    assert len([one for one in emails if one]) == len({one for one in emails if one})
    phones = [one.phone for one in everybody if one.phone]
    assert any("\n" in one for one in phones)
    assert any(one.startswith("+") for one in phones)
    assert {one.allow_notify for one in everybody} == {True, False, None}
    assert {one.verified for one in everybody} == {True, False}


def test_the_expectation_follows_the_mapping() -> None:
    def user(name: str, email: str | None, verified: bool, allow: bool | None, phone: str | None) -> dict[str, Any]:
        return {"id": name, "email": email, "verified": verified, "allownotify": allow, "phonenumber": phone}

    users = [
        user("a", " \n", True, None, ""),
        user("b", " x@y.org ", True, False, "+1\n2"),
        user("c", "C@y", False, True, None),
    ]
    assert expected_contact_details(users) == {
        "a": Contact(None, None, None, False),
        "b": Contact("+1\n2", False, " x@y.org ", True),
        "c": Contact(None, True, "C@y", False),
    }


# -- one component against a database of its own -------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at 3.3.1; the tests below run in this order, and the last ones take it apart."""
    with deployment.running("3.3.1", tmp_path_factory.mktemp("standin")) as running:
        yield running


@pytest.fixture
def scratch(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database beside the server's own."""
    name = "scratch_%d" % (abs(hash(request.node.name)) % 10**8)
    connection = server.connect(dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create database %s" % name)
        yield name
        cursor.execute("drop database %s with (force)" % name)
    connection.close()


class OneOff:
    """One component container outside the project, unregistered."""

    def __init__(self, server: Server, component: str, version: str, **environment: str):
        settings = {
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": "p@ssw0rd",
            "spring_profiles_active": "production",
            "BASE_URL": server.base_url,
            "REHEARSAL_FAULT": "never-register",
            "REHEARSAL_BOOT_SECONDS": "0",
            **environment,
        }
        self.container = server.engine.containers.run(
            "openlmis/%s:%s" % (component, version),
            environment=settings,
            network=PROJECT + "_default",
            detach=True,
        )

    def log(self) -> str:
        """Everything that it printed."""
        return self.container.logs().decode()

    def outcome(self, seconds: float = 30) -> str:
        """'started', or 'exit N', whichever comes first."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.container.reload()
            if self.container.status == "exited":
                return "exit %d" % self.container.attrs["State"]["ExitCode"]
            if "INFO  Started" in self.log():
                return "started"
            time.sleep(0.1)
        return "neither:\n" + self.log()


@contextlib.contextmanager
def one_off(server: Server, database: str, component: str, version: str, **environment: str) -> Iterator[OneOff]:
    """A component on a database, removed afterwards."""
    url = environment.pop("DATABASE_URL", "jdbc:postgresql://db:5432/%s" % database)
    run = OneOff(server, component, version, DATABASE_URL=url, **environment)
    try:
        yield run
    finally:
        run.container.remove(force=True, v=True)


def history(server: Server, database: str, schema: str) -> list[str]:
    """The versions in a scratch database's history, in the order of their installation."""
    connection = server.connect(dbname=database)
    try:
        with connection.cursor() as cursor:
            cursor.execute('select version from "%s".schema_version order by installed_rank' % schema)
            return [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()


@pytest.mark.long
def test_a_component_migrates_before_it_listens(server: Server, scratch: str) -> None:
    with one_off(server, scratch, "auth", "4.0.0") as auth:
        assert auth.outcome() == "started"
    assert history(server, scratch, "auth") == ["0", *flyway_versions()["auth"]["versions"]["4.0.0"]]


@pytest.mark.parametrize("profiles", ["demo-data,refresh-db", "", "no-production"])
def test_without_production_a_component_drops_its_schema(server: Server, scratch: str, profiles: str) -> None:
    with one_off(server, scratch, "report", "1.1.0") as report:
        assert report.outcome() == "started"
    connection = server.connect(dbname=scratch)
    with connection, connection.cursor() as cursor:
        cursor.execute("insert into report.jasper_templates (id, name) values (gen_random_uuid(), 'kept?')")

    def count() -> int:
        with connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from report.jasper_templates")
            return cursor.fetchone()[0]

    with one_off(server, scratch, "report", "1.1.1", spring_profiles_active="demo-data, production") as report:
        assert report.outcome() == "started"
    assert count() == 1
    with one_off(server, scratch, "report", "1.1.1", spring_profiles_active=profiles) as report:
        assert report.outcome() == "started"
    assert count() == 0
    connection.close()


def test_requisition_fails_after_3_3_1_without_the_flag_and_recovers_with_it(server: Server, scratch: str) -> None:
    with one_off(server, scratch, "requisition", "6.1.0") as requisition:
        assert requisition.outcome() == "started"
    with one_off(server, scratch, "requisition", "7.0.0") as requisition:
        assert requisition.outcome() == "exit 1"
        assert 'column "tag" of relation "columns_maps" does not exist' in requisition.log()
    applied = history(server, scratch, "requisition")
    assert applied[-1] == "20180605120832156"
    assert not set(TAG_MIGRATIONS) & set(applied)
    with one_off(server, scratch, "requisition", "7.0.0", JAVA_OPTS=FLAG) as requisition:
        assert requisition.outcome() == "started"
    applied = history(server, scratch, "requisition")
    assert set(applied) == {"0", *flyway_versions()["requisition"]["versions"]["7.0.0"]}
    with one_off(server, scratch, "requisition", "7.0.0") as requisition:
        assert requisition.outcome() == "started"
    assert history(server, scratch, "requisition") == applied


def test_requisition_needs_no_flag_after_3_3_0(server: Server, scratch: str) -> None:
    with one_off(server, scratch, "requisition", "6.0.0") as requisition:
        assert requisition.outcome() == "started"
    with one_off(server, scratch, "requisition", "7.0.0") as requisition:
        assert requisition.outcome() == "started"
    assert history(server, scratch, "requisition") == ["0", *flyway_versions()["requisition"]["versions"]["7.0.0"]]


def test_auth_4_takes_the_users_id_from_referencedata(server: Server, scratch: str) -> None:
    with one_off(server, scratch, "auth", "3.2.0") as auth:
        assert auth.outcome() == "started"
    with one_off(server, scratch, "auth", "4.0.0") as auth:
        assert auth.outcome() == "started"
    connection = server.connect(dbname=scratch)
    with connection, connection.cursor() as cursor:
        cursor.execute("select id::text from auth.auth_users where username = 'admin'")
        assert cursor.fetchall() == [(people.ADMIN_ID,)]
    connection.close()


def test_duplicate_program_orderables_break_referencedata(server: Server, scratch: str) -> None:
    with one_off(server, scratch, "referencedata", "10.0.0") as referencedata:
        assert referencedata.outcome() == "started"
    connection = server.connect(dbname=scratch)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into referencedata.programs (id, periodsskippable) values (gen_random_uuid(), true);"
            "insert into referencedata.orderables (id, packroundingthreshold, packsize, roundtozero)"
            " values (gen_random_uuid(), 1, 1, false);"
            "insert into referencedata.orderable_display_categories (id, displayorder) values (gen_random_uuid(), 1);"
            "insert into referencedata.program_orderables (id, active, displayorder, fullsupply, maxmonthsstock,"
            " orderabledisplaycategoryid, orderableid, programid)"
            " select gen_random_uuid(), true, 1, true, 1, c.id, o.id, p.id from referencedata.programs p,"
            " referencedata.orderables o, referencedata.orderable_display_categories c, generate_series(1, 2)"
        )
    connection.close()
    with one_off(server, scratch, "referencedata", "11.0.0") as referencedata:
        assert referencedata.outcome() == "exit 1"
    assert history(server, scratch, "referencedata")[-1] == "20180319182020512"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("jdbc:postgresql://nowhere:5432/open_lmis", marks=pytest.mark.long),
        "jdbc:postgresql://db:5432/no_such_database",
        # What the components glue to the end of the URL becomes part of its last parameter.
        "jdbc:postgresql://db:5432/open_lmis?sslmode=disable",
        "postgresql://db:5432/open_lmis",
    ],
)
def test_a_component_dies_without_its_database(server: Server, url: str) -> None:
    with one_off(server, "", "report", "1.1.0", DATABASE_URL=url) as report:
        assert report.outcome() == "exit 1"


def test_a_harmless_last_parameter_saves_sslmode(server: Server, scratch: str) -> None:
    url = "jdbc:postgresql://db/%s?sslmode=disable&x=" % scratch
    with one_off(server, scratch, "report", "1.1.0", DATABASE_URL=url) as report:
        assert report.outcome() == "started"


# -- the server at 3.3.1 -------------------------------------------------------------------------------------------


def test_the_server_is_a_3_3_1(server: Server) -> None:
    assert server.versions()["cce"] == "1.0.0-SNAPSHOT"
    assert server.versions()["requisition"] == "6.1.0"
    assert len(server.users()) >= 300
    assert sum(1 for user in server.users() if user["phonenumber"]) > 100
    assert not server.query(
        "select from information_schema.columns where table_schema = 'referencedata' and column_name = 'phonenumber'"
    )
    assert not server.has_table("notification.user_contact_details")
    for table in ("requisition.requisitions", "fulfillment.orders", "referencedata.program_orderables"):
        assert server.query("select count(*) from " + table)[0][0] > 100


def test_the_door_of_3_3(server: Server) -> None:
    admin, keeper = server.token(), server.token(people.ORDINARY_USER)
    own = server.login(people.ORDINARY_USER).json["referenceDataUserId"]
    assert server.http("GET", "/").status == 200
    assert server.http("GET", "/openlmis.js").text
    assert server.http("GET", "/api/users/" + people.ADMIN_ID).status == 401
    assert server.http("GET", "/api/users/" + people.ADMIN_ID, token="no-token").status == 401
    assert server.login("admin", "wrong").status == 400
    assert server.login("nobody", "password").status == 400
    assert server.http("POST", "/api/oauth/token", basic=("user-client", "wrong"), form={}).status == 401
    assert server.http("GET", "/api/users/" + people.ADMIN_ID, token=keeper).status == 403
    assert server.http("GET", "/api/users/" + own, token=keeper).status == 200
    profile = server.http("GET", "/api/users/" + own, token=admin)
    assert profile.json["email"] == "store.keeper@example.org"
    # The place of 3.4 is unknown: it falls through to the user interface.
    assert server.http("GET", "/api/userContactDetails/" + own, token=admin).status == 404


def test_a_stopped_component_is_missed_and_a_stale_instance(server: Server) -> None:
    assert server.http("GET", "/api/health").status == 200
    server.container("report").stop()
    # 502 once the kernel knows that nobody has the address any more, 504 before.
    assert server.http("GET", "/report").status in (502, 504)
    assert server.http("GET", "/api/health").status == 503
    server.container("report").start()
    deployment.wait_until("report", lambda: server.http("GET", "/report").status == 200, 20)
    assert server.http("GET", "/api/health").status == 200


def test_a_restart_of_auth_ends_all_tokens(server: Server) -> None:
    token = server.token()
    assert server.http("GET", "/api/users/" + people.ADMIN_ID, token=token).status == 200
    server.container("auth").restart()
    deployment.wait_until("auth", lambda: server.http("GET", "/auth").status == 200, 20)
    assert server.http("GET", "/api/users/" + people.ADMIN_ID, token=token).status == 401


def test_until_a_component_is_ready_nginx_answers_502(server: Server) -> None:
    images.arm("report", "1.1.0", "slow")
    try:
        server.compose("up", "--detach", "--force-recreate", "--no-deps", "report")
        time.sleep(2)
        assert server.http("GET", "/report").status == 502
    finally:
        images.arm("report", "1.1.0", "")


def test_containers_stop_quickly(server: Server) -> None:
    began = time.monotonic()
    server.compose("stop")
    assert time.monotonic() - began < 8
    server.compose("start", "db")
    deployment.wait_until("the database", lambda: deployment.database_answers(server), 30)


# -- the server at 3.4.0, brought there by hand --------------------------------------------------------------------


def volumes(server: Server) -> set[str]:
    """The anonymous volumes of the database's container."""
    return {mount["Name"] for mount in server.container("db").attrs["Mounts"]}


def start_by_hand(server: Server) -> None:
    """Versions of 3.4.0 in .env, redis and the flag in an override, the copy as a plain INSERT."""
    own = "COMPOSE_PROJECT_NAME" + (server.project_src / ".env").read_text().partition("COMPOSE_PROJECT_NAME")[2]
    versions = deployment.env_file("3.4.0").partition("COMPOSE_PROJECT_NAME")[0]
    (server.project_src / ".env").write_text(versions + own)
    compose = server.project_src / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("cce:1.0.0-SNAPSHOT", "cce:${OL_CCE_VERSION}"))
    (server.project_src / "docker-compose.override.yml").write_text(
        "services:\n  requisition:\n    environment:\n      JAVA_OPTS: '%s'\n" % FLAG
    )
    before = volumes(server)
    server.compose("rm", "--force", "consul", "nginx", "reference-ui", *COMPONENTS)
    server.compose("up", "--detach")
    wanted = {name: RELEASES["3.4.0"][name] for name in COMPONENTS}
    deployment.wait_until("3.4.0", lambda: server.versions() == wanted, 60, server)
    assert volumes(server) == before
    rows = [(user, *want) for user, want in expected_contact_details(server.users()).items()]
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into notification.user_contact_details"
            " (referencedatauserid, phonenumber, allownotify, email, emailverified) values (%s, %s, %s, %s, %s)",
            rows,
        )
    connection.close()


@pytest.fixture(scope="module")
def newer(server: Server) -> Server:
    """The same server at 3.4.0, with contact details."""
    before = server.users()
    start_by_hand(server)
    # The site's own script has moved the phone numbers to the new column, and changed nothing else.
    by_id = {user["id"]: user for user in server.users()}
    assert by_id == {user["id"]: user for user in before}
    return server


@pytest.fixture
def find(newer: Server) -> Callable[[str], str]:
    """A user's id by username."""
    return lambda username: newer.query("select id::text from referencedata.users where username = %s", (username,))[0][
        0
    ]


def put(server: Server, token: str, user: str, **changes: Any) -> int:
    """PUT what GET returned, with changes; a value of `...` leaves the key out. The status."""
    body = server.http("GET", "/api/userContactDetails/" + user, token=token).json
    body = {key: value for key, value in {**body, **changes}.items() if value is not ...}
    return server.http("PUT", "/api/userContactDetails/" + user, token=token, body=body).status


def test_profiles_of_3_4(newer: Server, find: Callable[[str], str]) -> None:
    admin, keeper = newer.token(), newer.token(people.ORDINARY_USER)
    own = find(people.ORDINARY_USER)
    profile = newer.http("GET", "/api/users/" + own, token=admin).json
    assert set(profile) == set(
        "id username firstName lastName jobTitle timezone homeFacilityId active loginRestricted extraData"
        " roleAssignments".split()
    )
    assert newer.http("GET", "/api/userContactDetails/" + own, token=admin).json == {
        "referenceDataUserId": own,
        "phoneNumber": None,
        "allowNotify": True,
        "emailDetails": {"email": "store.keeper@example.org", "emailVerified": True},
    }
    assert newer.http("GET", "/api/userContactDetails/" + own).status == 401
    assert newer.http("GET", "/api/userContactDetails/" + own, token=keeper).status == 200
    assert newer.http("GET", "/api/userContactDetails/" + people.ADMIN_ID, token=keeper).status == 403
    assert newer.http("GET", "/api/userContactDetails", token=keeper).status == 403
    assert newer.http("GET", "/api/userContactDetails?size=5", token=admin).json["numberOfElements"] == 5
    assert newer.http("GET", "/api/users?username=ANN", token=admin).json["totalElements"] >= 2
    nobody = "00000000-0000-4000-8000-000000000000"
    assert newer.http("GET", "/api/users/" + nobody, token=admin).status == 404
    assert newer.http("GET", "/api/userContactDetails/" + nobody, token=admin).status == 404


def test_putting_back_what_was_read_changes_nothing(newer: Server, find: Callable[[str], str]) -> None:
    admin, before = newer.token(), newer.contact_details()
    for username in (people.ORDINARY_USER, "obrien", "comma", "plus", "joann"):
        assert put(newer, admin, find(username)) == 200
    assert newer.contact_details() == before


def test_side_effects_of_a_put(newer: Server, find: Callable[[str], str]) -> None:
    admin = newer.token()
    user = find(people.ORDINARY_USER)

    def stored(name: str = user) -> Contact:
        return newer.contact_details()[name]

    def details(email: str, verified: bool) -> dict[str, Any]:
        return {"email": email, "emailVerified": verified}

    # The duplicate check is a LIKE, and ignores case.
    assert put(newer, admin, find("ann")) == 400
    assert put(newer, admin, find("case1")) == 400
    assert put(newer, admin, find("under_score")) == 400
    # What the validator does not take is refused even unchanged.
    assert put(newer, admin, find("semicolon")) == 400
    # The verified flag may not be changed.
    assert put(newer, admin, user, emailDetails=details("store.keeper@example.org", False)) == 400
    # A new address is kept back until it is verified.
    assert put(newer, admin, user, phoneNumber="+1\n2", emailDetails=details("new@example.org", True)) == 200
    assert stored() == Contact("+1\n2", True, "store.keeper@example.org", True)
    tokens = newer.query("select id::text, emailaddress from notification.email_verification_tokens")
    assert [row[1] for row in tokens] == ["new@example.org"]
    assert put(newer, admin, find("obrien"), emailDetails=details("new@example.org", True)) == 400
    verify = "/api/userContactDetails/%s/verifications/%s" % (user, tokens[0][0])
    assert newer.http("GET", verify).status == 200
    assert stored() == Contact("+1\n2", True, "new@example.org", True)
    # Nobody is notified at an address that is not verified.
    assert stored(find("unverified")).allow_notify is True
    assert put(newer, admin, find("unverified")) == 200
    assert stored(find("unverified")).allow_notify is False
    # Missing details erase the address.
    assert put(newer, admin, user, emailDetails=...) == 200
    assert stored() == Contact("+1\n2", False, None, False)
    # A missing row is created, unverified whatever was sent.
    newer.query("delete from notification.user_contact_details where referencedatauserid = %s", (find("plus"),))
    body = {"referenceDataUserId": find("plus"), "emailDetails": details("plus+tag@example.org", True)}
    assert newer.http("PUT", "/api/userContactDetails/" + find("plus"), token=admin, body=body).status == 200
    assert stored(find("plus")) == Contact(None, False, "plus+tag@example.org", False)


def test_putting_a_user_without_role_assignments_wipes_them(newer: Server, find: Callable[[str], str]) -> None:
    admin, path = newer.token(), "/api/users/" + find("obrien")
    profile = newer.http("GET", path, token=admin).json
    assert len(profile["roleAssignments"]) == 2
    assert newer.http("PUT", "/api/users", token=admin, body=profile).status == 200
    again = newer.http("GET", path, token=admin).json
    assert again["roleAssignments"] == profile["roleAssignments"]
    del profile["roleAssignments"]
    assert newer.http("PUT", "/api/users", token=admin, body=profile).status == 200
    assert newer.http("GET", path, token=admin).json["roleAssignments"] == []


@pytest.mark.long
def test_requisition_7_misses_redis(newer: Server) -> None:
    assert newer.http("GET", "/api/requisitions/search", token=newer.token()).status == 500
    override = newer.project_src / "docker-compose.override.yml"
    override.write_text(override.read_text() + "  redis:\n    image: redis:3.2.12\n")
    newer.compose("up", "--detach", "redis")
    ready = "/api/requisitions/search?size=1"
    deployment.wait_until("redis", lambda: newer.http("GET", ready, token=newer.token()).status == 200, 20)


def test_nginx_shows_its_own_page_without_registrations(newer: Server) -> None:
    newer.compose("rm", "--stop", "--force", "consul", "nginx")
    newer.compose("up", "--detach", "--no-deps", "nginx")
    deployment.wait_until("nginx", lambda: "Welcome to nginx" in newer.http("GET", "/").text, 10)


@pytest.mark.long
def test_recreating_the_database_keeps_its_volume_and_down_loses_it(newer: Server) -> None:
    users, before = len(newer.users()), volumes(newer)
    newer.compose("up", "--detach", "--force-recreate", "--no-deps", "db")
    deployment.wait_until("the database", lambda: deployment.database_answers(newer), 30)
    assert (len(newer.users()), volumes(newer)) == (users, before)
    newer.compose("down")
    newer.compose("up", "--detach", "db")
    deployment.wait_until("the database", lambda: deployment.database_answers(newer), 30)
    assert not newer.has_table("referencedata.users")
    assert not volumes(newer) & before
    dangling = {one.name for one in newer.engine.volumes.list(filters={"dangling": True})}
    assert before <= dangling


# -- coming and going ----------------------------------------------------------------------------------------------


def test_the_rehearsal_refuses_to_run_beside_another_openlmis(newer: Server, tmp_path: pathlib.Path) -> None:
    other = newer.engine.containers.create("openlmis/report:1.1.0", name="other-report-1", labels={LABEL: "false"})
    try:
        with pytest.raises(images.RehearsalError, match="beside another OpenLMIS"):
            deployment.up("3.3.1", tmp_path, say=lambda text: None)
    finally:
        other.remove()


def test_down_removes_every_trace(newer: Server) -> None:
    # A tag for the way back, as an upgrade leaves one.
    newer.engine.images.get("openlmis/auth:3.2.0").tag("openlmis-operations/auth", "before-test")
    deployment.down(newer.root, say=lambda text: None)
    assert not newer.containers()
    assert not newer.root.exists()
    assert not [one for one in newer.engine.networks.list() if one.name.startswith(PROJECT)]
    left = [one.name for one in newer.engine.volumes.list(filters={"dangling": True}) if len(one.name) == 64]
    assert not deployment.our_anonymous_volumes(newer.engine, left)
    assert not [one for one in newer.engine.volumes.list() if one.name.startswith(PROJECT)]
    assert newer.http("GET", "/").status == 0, "something still listens on port %d" % HTTP_PORT
    newer.engine.images.remove("openlmis-operations/auth:before-test")
