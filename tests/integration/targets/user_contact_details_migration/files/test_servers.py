# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copy on every PostgreSQL: a sample, or all with OPENLMIS_TEST_ALL, or those that OPENLMIS_TEST_MAJORS names, like
10,11.

tools/setup-postgresql fetches the servers. One that is missing is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

import hypothesis
import postgresql_server
import pytest
import test_values
import yaml
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details
from ansible_collections.openlmis.operations.plugins.modules import user_contact_details_migration as module
from conftest import Database
from expectation import Details, User, details_of, expected, user_id

LONG = "OPENLMIS_TEST_ALL" in os.environ
MAJORS = [str(major) for major in range(10, 19)] if LONG else ["10", "15", "18"]
if os.environ.get("OPENLMIS_TEST_MAJORS"):
    MAJORS = os.environ["OPENLMIS_TEST_MAJORS"].split(",")

TARGET = "notification.user_contact_details"
ANN, BOB, CID = (
    User(user_id(n), name, name + "@example.org", "+265 " + name, True) for n, name in enumerate(("ann", "bob", "cid"))
)
AWKWARD = [
    User(user_id(10), "o'brien", 'o\'brien, "x"\\@example.org', "1,2\n$3%s", True, None),
    User(user_id(11), "capitals", "ANN@example.org", "\u0661\u0662", False, False),
    User(user_id(12), "blank", " \t\u2003\u180e", "\u3000", True, True),
    User(user_id(13), "nothing"),
    User(user_id(14), "no-break", "\u00a0", "\u00a0x\u00a0", True, True),
    User(user_id(15), "long", "é" * 255, "é" * 255, True, True),
]


# --- as in conftest.py, for a server of each major ---


@pytest.fixture(scope="session", params=MAJORS)
def server(request):
    major = request.param
    folders = [parent / ".cache" / "postgresql" / major for parent in Path(__file__).resolve().parents]
    install = next((folder for folder in folders if (folder / "bin" / "postgres").is_file()), None)
    if install is None:
        pytest.fail("There is no PostgreSQL %s in .cache/postgresql: run tools/setup-postgresql %s" % (major, major))
    folder = Path(tempfile.mkdtemp(prefix="openlmis-postgresql-%s-" % major, dir="/tmp"))
    try:
        yield {**postgresql_server.start(folder, install=install), "major": int(major)}
        postgresql_server.stop(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def administration(server):
    administration = Database(server, "postgres")
    yield administration
    administration.connection.close()


@pytest.fixture(scope="session")
def one_database(server, administration):
    administration.execute("CREATE DATABASE servers")
    database = Database(server, "servers")
    yield database
    database.connection.close()


def over_tcp(database, user, password):
    return {"login_unix_socket": None, "login_host": "127.0.0.1", "login_user": user, "login_password": password}


# --- the usual order ---


def test_check_then_real_then_again(database):
    users = [ANN, *AWKWARD]
    database.add_users(*users)
    before = database.state()
    planned = database.migrate(check=True, diff=True)
    assert database.state() == before
    done = database.migrate(diff=True)
    for outcome in (planned, done):
        assert outcome["changed"]
        assert outcome["verified"]
        assert (outcome["inserted"], outcome["without_email"]) == (len(users), 2)
        assert outcome["diff"]["after"]["rows"] == len(users)
    assert int(done["server_version"].split(".")[0]) == database.server["major"]
    assert database.details() == expected(users, [])
    after = database.state()
    again = database.migrate()
    assert not again["changed"]
    assert again["unchanged"] == len(users)
    assert database.state() == after


def test_swapped_addresses(database):
    """Kept, then set back, with a stranger's row and what hangs on a row left as they are."""
    stranger = Details(user_id(77), None, None, "stranger@example.org", None)
    swapped = [details_of(ANN)._replace(email=BOB.email), details_of(BOB)._replace(email=ANN.email), stranger]
    database.add_users(ANN, BOB, CID)
    database.add_details(*swapped)
    database.execute("INSERT INTO notification.digest_subscriptions VALUES (%s, %s)", user_id(50), ANN.id)
    outcome = database.migrate()
    assert (outcome["inserted"], outcome["kept_users"]) == (1, sorted([ANN.id, BOB.id]))
    assert database.details() == {*swapped, details_of(CID)}
    assert database.migrate(on_existing="update")["updated"] == 2
    assert database.details() == {details_of(ANN), details_of(BOB), details_of(CID), stranger}
    assert not database.migrate(on_existing="update")["changed"]
    assert database.execute("SELECT count(*) FROM notification.digest_subscriptions") == [(1,)]


def test_without_the_phone_number_column(database):
    database.execute("ALTER TABLE referencedata.users DROP COLUMN phonenumber")
    database.add_users(ANN, *AWKWARD)
    assert database.migrate()["inserted"] == 1 + len(AWKWARD)
    assert database.details() == expected([ANN, *AWKWARD], [], has_phone_number=False)


def test_collision(database):
    database.add_users(ANN, BOB)
    database.add_details(Details(user_id(77), None, True, ANN.email, True))
    for on_existing in ("keep", "update"):
        database.refused("%s (ann) and %s (not in" % (ANN.id, user_id(77)), on_existing=on_existing)


def test_twenty_thousand_users_and_no_statistics(database):
    """The planner takes the target for empty; a nested loop would take minutes."""
    database.execute(
        "INSERT INTO referencedata.users (id, username, email, phonenumber, firstname, lastname)"
        " SELECT md5(n::text)::uuid, 'u' || n, n || '@example.org', n, '', '' FROM generate_series(1, 20000) AS n"
    )
    assert database.migrate(statement_timeout=10)["inserted"] == 20000
    database.execute("UPDATE %s SET email = 'x' || email" % TARGET)
    assert database.migrate(statement_timeout=10, on_existing="update")["updated"] == 20000
    assert database.migrate(statement_timeout=10)["unchanged"] == 20000


@hypothesis.settings(
    max_examples=100 if LONG else 10, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(test_values.worlds())
def test_any_world(database, world):
    test_values.test_any_world.hypothesis.inner_test(database, world)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_other_encodings(database_in, encoding):
    database = database_in(encoding)
    database.execute("SET client_encoding = %s", encoding)
    database.execute(
        "INSERT INTO referencedata.users (id, username, email, phonenumber, firstname, lastname) VALUES"
        " (%s, 'a', E'\\xe9@example.org', E'\\x1f \\t', '', ''), (%s, 'b', E' \\x0b', E'\\xa0', '', '')",
        ANN.id,
        BOB.id,
    )
    assert database.migrate()["without_email"] == 1
    rows = database.execute(
        "SELECT convert_to(email, %s), convert_to(phonenumber, %s) FROM %s ORDER BY email" % ("%s", "%s", TARGET),
        encoding,
        encoding,
    )
    assert [tuple(value and bytes(value) for value in row) for row in rows] == [
        (b"\xe9@example.org", None),
        (None, b"\xa0"),
    ]
    assert not database.migrate()["changed"]


# --- who may come in ---


@pytest.mark.parametrize("method", ["scram-sha-256", "md5"])
def test_password(database, method):
    """pg_hba.conf asks md5_user for MD5, and everyone else for SCRAM."""
    name = "md5_user" if method == "md5" else "scram_user"
    database.add_users(ANN)
    database.execute(
        "SET password_encryption = '%s'; CREATE ROLE %s SUPERUSER LOGIN PASSWORD 'p@ss''w'" % (method, name)
    )
    try:
        stored = database.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)[0][0]
        assert stored.startswith("md5" if method == "md5" else "SCRAM-SHA-256$")
        assert database.migrate(**over_tcp(database, name, "p@ss'w"))["inserted"] == 1
        database.refused("refused the password of the user " + name, **over_tcp(database, name, "wrong"))
    finally:
        database.execute("DROP ROLE %s; RESET password_encryption" % name)


def test_unix_socket(database):
    database.add_users(ANN)
    options = dict.fromkeys(database.options)
    url = "postgresql://postgres@%s:%d/%s" % (
        database.server["socket"].replace("/", "%2F"),
        database.server["port"],
        database.name,
    )
    assert database.migrate(**{**options, "database_url": url})["inserted"] == 1
    assert database.migrate(login_unix_socket=database.server["socket"])["unchanged"] == 1


@pytest.fixture
def managed(database):
    """As a managed database service sets it up: the tables' owner is no superuser, and whoever copies is neither."""
    for role in ("managed_owner", "managed_copier"):
        database.execute("CREATE ROLE %s LOGIN PASSWORD 'rolepass' NOSUPERUSER NOCREATEDB NOCREATEROLE" % role)
    database.execute("REVOKE ALL ON DATABASE servers FROM public; REVOKE ALL ON SCHEMA public FROM public")
    database.execute("GRANT CONNECT ON DATABASE servers TO managed_copier")
    for table in ("referencedata.users", TARGET):
        database.execute("ALTER SCHEMA %s OWNER TO managed_owner" % table.split(".", maxsplit=1)[0])
        database.execute("ALTER TABLE %s OWNER TO managed_owner" % table)
    yield over_tcp(database, "managed_copier", "rolepass")
    database.execute(
        "GRANT CONNECT, TEMPORARY ON DATABASE servers TO public; DROP SCHEMA referencedata, notification CASCADE"
    )
    database.execute("DROP OWNED BY managed_copier, managed_owner; DROP ROLE managed_owner, managed_copier")


def documented_grants():
    """The statements in the module's notes, one privilege on one object each."""
    text = " ".join(yaml.safe_load(module.DOCUMENTATION)["notes"])
    statements = re.findall(r"C\(GRANT ([A-Z, ]+) ON (SCHEMA )?([^)]+)\)", text)
    grants = [
        "GRANT %s ON %s%s TO managed_copier" % (privilege, kind, name)
        for privileges, kind, names in statements
        for privilege in privileges.split(", ")
        for name in names.split(", ")
    ]
    assert len(grants) == 6, grants
    return grants


def test_exactly_the_documented_grants(database, managed):
    database.add_users(ANN, BOB)
    database.add_details(details_of(ANN)._replace(phonenumber="old"))
    grants = documented_grants()
    for grant in grants:
        database.execute(grant)
    for grant in grants:
        database.execute(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
        database.refused("lacks privileges", grant, **managed)
        database.execute(grant)
    assert database.migrate(check=True, **managed)["inserted"] == 1
    assert database.migrate(**managed)["inserted"] == 1
    assert database.migrate(on_existing="update", **managed)["updated"] == 1
    assert database.details() == {details_of(ANN), details_of(BOB)}


# --- what goes wrong ---


def test_read_only(database):
    database.add_users(ANN)
    database.execute("ALTER DATABASE servers SET default_transaction_read_only = on")
    database.refused("is read-only (default_transaction_read_only is on)", "switch that setting off")


@pytest.mark.parametrize("table", [TARGET, "referencedata.users"])
def test_a_lock_held_by_another(database, table):
    database.add_users(ANN)
    holder = database.connect(application_name="nightly report")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE" % table)
        outcome = database.migrate(lock_timeout=1)
    pid = holder.info.backend_pid
    holder.close()
    assert outcome.failed
    assert (
        "within lock_timeout, 1 s: it is held by pid %d (application_name nightly report, user postgres, since 20" % pid
        in outcome.message
    )
    assert not database.locks()
    assert database.migrate()["inserted"] == 1


def test_a_copy_that_does_not_verify_is_rolled_back(database):
    database.add_users(ANN, BOB)
    database.execute(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.phonenumber := 'x'; RETURN new; END$$"
    )
    database.execute("CREATE TRIGGER meddle BEFORE INSERT ON %s FOR EACH ROW EXECUTE PROCEDURE meddle()" % TARGET)
    database.refused("Verification failed: of 2 users 0 have no row", "rolled back")


@pytest.mark.parametrize("how", ["the client is killed", "the client hangs", "the server ends it"])
def test_the_end_of_a_connection(database, how, monkeypatch):
    """In the middle of the writing: nothing is there then, no lock stays, and it can be run again."""
    monkeypatch.setattr(contact_details, "SILENCE", 1)
    database.add_users(ANN, BOB)
    database.pause_at()
    before = database.state()
    with database.gate_closed():
        process = database.start()
        pid = database.wait_for_gate()
        if how == "the client is killed":
            process.kill()
        elif how == "the client hangs":
            process.signal(signal.SIGSTOP)
        else:
            database.execute("SELECT pg_terminate_backend(%s)", pid)
    database.wait_until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)", pid)
    if how != "the client is killed":
        process.signal(signal.SIGCONT)
        assert re.search(
            "(ended this connection|connection to the server was lost).* Nothing was written", process.finish().message
        )
    assert not database.locks()
    assert database.state() == before
    assert database.migrate()["inserted"] == 2


def test_an_error_of_the_server(database):
    database.add_users(ANN)
    database.execute("ALTER TABLE %s ADD CONSTRAINT site_rule CHECK (phonenumber <> '%s')" % (TARGET, ANN.phonenumber))
    outcome = database.refused("a constraint of the table refused the rows (SQLSTATE 23514", "constraint site_rule")
    assert ANN.phonenumber not in outcome.text


def test_no_table_yet(database):
    database.execute("DROP SCHEMA notification CASCADE")
    database.refused("There is no schema notification", "notification 4.0.0")
