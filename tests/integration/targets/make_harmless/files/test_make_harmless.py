# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module on a real PostgreSQL: what it rewrites, what it leaves, and that its proof fails when the
rewriting does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psycopg2
import pytest

HERE = Path(__file__).resolve().parent
# ansible-test runs a copy that lies inside the collection; a plain checkout has a link to itself in .cache.
INSTALLED = [
    parent.parents[2]
    for parent in HERE.parents
    if parent.parts[-3:] == ("ansible_collections", "openlmis", "operations")
]
COLLECTIONS = INSTALLED[-1] if INSTALLED else HERE.parents[4] / ".cache" / "collections"
sys.path.insert(0, str(HERE.parents[1] / "setup_postgresql" / "files"))

import postgresql_server  # noqa: E402

SCHEMA = """
DROP SCHEMA IF EXISTS referencedata, notification, fulfillment, auth, site CASCADE;
CREATE SCHEMA referencedata; CREATE SCHEMA notification; CREATE SCHEMA fulfillment; CREATE SCHEMA auth;
  CREATE SCHEMA site;
CREATE TABLE referencedata.users (id uuid PRIMARY KEY, username text NOT NULL, email varchar(255) UNIQUE,
  verified boolean, extradata jsonb);
CREATE TABLE notification.user_contact_details (referencedatauserid uuid PRIMARY KEY, email varchar(255),
  phonenumber varchar(255));
CREATE UNIQUE INDEX ON notification.user_contact_details (email) WHERE email IS NOT NULL;
CREATE TABLE notification.email_verification_tokens (id uuid PRIMARY KEY, emailaddress varchar(255) NOT NULL UNIQUE,
  expirydate timestamptz NOT NULL);
CREATE TABLE auth.password_reset_tokens (id uuid PRIMARY KEY, expirydate timestamptz NOT NULL);
CREATE TABLE fulfillment.transfer_properties (id uuid PRIMARY KEY, type varchar(31) NOT NULL, protocol text,
  serverhost text, serverport int,
  username text, password text, remotedirectory text, path text);
CREATE TABLE site.clinics (name text, "Contact_E-Mail" text, emailverified boolean, subject text);
"""
ENDING = ".invalid.example.org"
COPY = "openlmis.operations: harmless copy of production, made for rehearsal by hand; may be dropped"


class Database:
    """The tables that hold addresses and hosts, and the module run on them."""

    def __init__(self, server: dict, name: str) -> None:
        self.name = name
        self.arguments = {
            "login_unix_socket": server["socket"],
            "login_port": server["port"],
            "login_user": server["user"],
            "login_db": name,
        }
        self.connection = psycopg2.connect(host=server["socket"], port=server["port"], user=server["user"], dbname=name)
        self.connection.autocommit = True

    def execute(self, sql: str, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else None

    def add_users(self, *emails: str | None) -> None:
        for number, email in enumerate(emails):
            self.execute(
                "INSERT INTO referencedata.users VALUES (%s, %s, %s, true, '{}')",
                str(uuid.uuid4()),
                f"u{number:03d}",
                email,
            )

    def emails(self) -> list:
        return [email for (email,) in self.execute("SELECT email FROM referencedata.users ORDER BY username")]

    def state(self):
        tables = self.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 ORDER BY 1"
        )
        return {table: self.execute(f"SELECT t::text FROM {table} t ORDER BY 1") for (table,) in tables}

    def run(self, check: bool = False, **options) -> tuple[dict, str]:
        """The module's result, and everything that it printed."""
        arguments = {**self.arguments, "login_password": "", "copy": True, "_ansible_check_mode": check, **options}
        done = subprocess.run(
            [sys.executable, "-m", "ansible_collections.openlmis.operations.plugins.modules.make_harmless"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        )
        assert done.stdout.lstrip().startswith("{"), done.stdout + done.stderr
        return json.loads(done.stdout), done.stdout + done.stderr


@pytest.fixture(scope="session")
def server():
    """The server that the target set up, or one of our own."""
    if "OPENLMIS_TEST_SERVER" in os.environ:
        yield json.loads(os.environ["OPENLMIS_TEST_SERVER"])
        return
    with tempfile.TemporaryDirectory(prefix="openlmis-postgresql-", dir="/tmp") as folder:
        yield postgresql_server.start(Path(folder))
        postgresql_server.stop(Path(folder))


@pytest.fixture(scope="session")
def one_database(server):
    administration = Database(server, "postgres")
    name = f"harmless_{os.getpid()}"
    administration.execute(f"CREATE DATABASE {name}")
    administration.execute(f"COMMENT ON DATABASE {name} IS '{COPY}'")
    database = Database(server, name)
    yield database
    database.connection.close()
    administration.execute(f"DROP DATABASE {name}")


@pytest.fixture
def database(one_database):
    one_database.execute(SCHEMA)
    return one_database


def reaches_nobody(email: str) -> bool:
    """What this test takes for harmless, without the module's SQL: behind every @ the text up to a delimiter ends under
    nobody's domain.
    """
    if not email.strip():
        return True
    domains = re.findall(r'@([^\s,;<>"@]*)', email)
    return all(domain.lower().endswith(ENDING) for domain in domains) if domains else email.lower().endswith(ENDING)


SHAPES = {
    "ann@example.org": "ann@example.org" + ENDING,
    "Ann.B@Example.ORG": "Ann.B@Example.ORG" + ENDING,
    "s.o'brien@lmis.gov.mw": "s.o'brien@lmis.gov.mw" + ENDING,
    '"doe,john"@example.org': '"doe,john"@example.org' + ENDING,
    '"a@b.org"@example.org': '"a@b.org%s"@example.org%s' % (ENDING, ENDING),
    " padded@example.org ": " padded@example.org%s " % ENDING,
    "50%@example.org": "50%@example.org" + ENDING,
    "back\\slash@example.org": "back\\slash@example.org" + ENDING,
    "Ann <ann@x.org>": "Ann <ann@x.org%s>" % ENDING,
    "a@x.org, b@y.org": "a@x.org%s, b@y.org%s" % (ENDING, ENDING),
    "x@y.org,ok@z" + ENDING: "x@y.org%s,ok@z%s%s" % (ENDING, ENDING, ENDING),
    "አበበ@例え.org": "አበበ@例え.org" + ENDING,
    "line\nbreak@example.org": "line\nbreak@example.org" + ENDING,
    "ann@[10.0.0.1]": "ann@[10.0.0.1]" + ENDING,
    "ann@": "ann@" + ENDING,
    "none": "none" + ENDING,
    "": "",
    " \t\n": " \t\n",
    "done@x.org" + ENDING: "done@x.org" + ENDING,
    "DONE@X.ORG" + ENDING.upper(): "DONE@X.ORG" + ENDING.upper(),
}


def test_every_address_keeps_its_shape_also_when_it_is_done_again(database) -> None:
    database.add_users(*SHAPES, None)
    result, _text = database.run()
    assert result["columns"] == {"referencedata.users.email": sum(old != new for old, new in SHAPES.items())}
    assert dict(zip(SHAPES, database.emails())) == SHAPES
    assert database.emails()[-1] is None
    assert all(map(reaches_nobody, SHAPES.values()))
    state = database.state()
    again, _text = database.run()
    assert not again["changed"]
    assert again["addresses"] == again["transfers"] == again["tokens"] == 0
    assert database.state() == state


def test_an_address_that_another_one_would_become_stays_different(database) -> None:
    database.add_users("ann@x.org", "ann@x.org" + ENDING, "none", "none" + ENDING)
    database.run()
    first, second, third, fourth = database.emails()
    assert (second, fourth) == ("ann@x.org" + ENDING, "none" + ENDING)
    assert re.fullmatch(r"ann\.[0-9a-f]{12}@x\.org" + re.escape(ENDING), first)
    assert re.fullmatch(r"none\.invalid\.example\.org\.[0-9a-f]{12}" + re.escape(ENDING), third)


LONG = [
    "l" * 242 + "@example.org",
    "l" * 241 + "m@example.org",
    "l@" + "d" * 240 + ".org",
    "l@" + "d" * 239 + "e.org",
    "x" * 255,
    "x" * 254 + "y",
    "a@b.org," + "c" * 235 + "@example.org",
    "a" * 229 + "@x.org,b@example.org",
    "Ann <" + "l" * 230 + "@example.org>",
]


def test_an_address_as_long_as_the_column_stays_long_and_different(database) -> None:
    database.add_users(*LONG)
    result, _text = database.run()
    assert "failed" not in result, result
    after = database.emails()
    assert len(set(after)) == len(LONG)
    assert all(map(reaches_nobody, after)), after
    assert all(230 <= len(email) <= 255 for email in after)
    assert [("@" in new) for new, old in zip(after, LONG) if old.count("@") < 2] == [
        ("@" in old) for old in LONG if old.count("@") < 2
    ]
    assert not database.run()[0]["changed"]


def test_equal_addresses_stay_equal_in_every_table(database) -> None:
    database.add_users("ann@x.org", "ann@x.org" + ENDING, "l" * 242 + "@example.org")
    database.execute(
        "INSERT INTO notification.user_contact_details SELECT id, email, '+258 84 1' FROM referencedata.users"
    )
    database.execute(
        "INSERT INTO notification.email_verification_tokens SELECT id, email, '2999-01-01' FROM referencedata.users; "
        "INSERT INTO auth.password_reset_tokens SELECT id, '2999-01-01' FROM referencedata.users"
    )
    database.execute("INSERT INTO site.clinics VALUES ('North', 'ann@x.org', true, 'mail ann@x.org')")
    result, _text = database.run()
    assert result["columns"] == {
        "notification.email_verification_tokens.emailaddress": 2,
        "notification.user_contact_details.email": 2,
        "referencedata.users.email": 2,
        "site.clinics.Contact_E-Mail": 1,
    }
    assert result["tokens"] == 6
    assert database.execute(
        "SELECT count(*) FROM referencedata.users u JOIN notification.user_contact_details d ON d.email = u.email"
        " JOIN notification.email_verification_tokens t ON t.emailaddress = u.email WHERE t.expirydate <= now()"
    ) == [(3,)]
    ((mail, subject),) = database.execute('SELECT "Contact_E-Mail", subject FROM site.clinics')
    assert mail == database.emails()[0]
    assert subject == "mail ann@x.org"
    assert database.execute("SELECT DISTINCT phonenumber FROM notification.user_contact_details") == [("+258 84 1",)]


def test_orders_go_nowhere(database) -> None:
    hosts = {
        "ftp.partner.org": "ftp.partner.org.invalid",
        "10.1.2.3": "10.1.2.3.invalid",
        "ftp": "ftp.invalid",
        " ftp.x.org ": "ftp.x.org.invalid",
        "ftp.x.org/in": "ftp.x.org-in.invalid",
        "u@ftp.x.org:21": "u-ftp.x.org-21.invalid",
        "": "",
        "done.invalid": "done.invalid",
    }
    for host in hosts:
        database.execute(
            "INSERT INTO fulfillment.transfer_properties"
            " VALUES (%s, 'ftp', 'FTPS', %s, 21, 'lmis', 's3cret', '/in', null)",
            str(uuid.uuid4()),
            host,
        )
    database.execute(
        "INSERT INTO fulfillment.transfer_properties (id, type, path) VALUES (%s, 'local', '/orders')",
        str(uuid.uuid4()),
    )
    result, text = database.run()
    assert result["transfers"] == len(hosts)
    rows = database.execute(
        "SELECT serverhost, password, protocol, serverport, username, remotedirectory"
        " FROM fulfillment.transfer_properties"
        " WHERE type = 'ftp' ORDER BY serverhost"
    )
    assert rows == [(host, "rehearsal", "FTPS", 21, "lmis", "/in") for host in sorted(hosts.values())]
    assert database.execute(
        "SELECT serverhost, password, path FROM fulfillment.transfer_properties WHERE type = 'local'"
    ) == [(None, None, "/orders")]
    assert "s3cret" not in text
    assert "partner" not in text
    assert not database.run()[0]["changed"]


def test_check_mode_tells_the_same_and_changes_nothing(database) -> None:
    database.add_users(*SHAPES)
    before = database.state()
    planned, _text = database.run(check=True)
    assert planned["changed"]
    assert database.state() == before
    done, _text = database.run()
    assert [planned[key] for key in ("addresses", "columns")] == [done[key] for key in ("addresses", "columns")]


# A site's trigger or rule may undo what was written: the proof has to see it.
BROKEN = {
    "keeps the old address": "new.email := old.email",
    "takes the ending away": "new.email := replace(new.email, '.example.org', '')",
    "loses the address": "new.email := null",
    "makes one blank": "new.email := ''",
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_proof_fails_when_the_rewriting_does(database, how) -> None:
    database.add_users("ann@x.org", None)
    database.execute(
        f"CREATE FUNCTION site.spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {BROKEN[how]}; RETURN new; END$$;"
        " CREATE TRIGGER spoil BEFORE UPDATE ON referencedata.users FOR EACH ROW EXECUTE PROCEDURE site.spoil()"
    )
    before = database.state()
    result, text = database.run()
    assert result["failed"]
    assert "not harmless" in result["msg"]
    assert "referencedata.users.email" in result["msg"]
    assert "ann@x" not in text
    assert database.state() == before


def test_the_proof_sees_addresses_that_have_become_equal(database) -> None:
    database.add_users("ann@x.org", "bob@x.org")
    database.execute(
        "ALTER TABLE referencedata.users DROP CONSTRAINT users_email_key;"
        " CREATE FUNCTION site.spoil() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN new.email := 'same@x.invalid.example.org'; RETURN new; END$$;"
        " CREATE TRIGGER spoil BEFORE UPDATE ON referencedata.users FOR EACH ROW EXECUTE PROCEDURE site.spoil()"
    )
    before = database.state()
    result, _text = database.run()
    assert "had 2 different addresses and has 1" in result["msg"]
    assert database.state() == before


def test_without_the_word_that_it_is_a_copy_it_does_nothing(database) -> None:
    database.add_users("ann@x.org")
    result, _text = database.run(copy=False)
    assert "true is expected" in result["msg"]
    assert database.emails() == ["ann@x.org"]


def test_a_database_that_nothing_marks_as_a_copy_is_left_alone(database) -> None:
    database.add_users("ann@x.org")
    database.execute(f"COMMENT ON DATABASE {database.name} IS 'production'")
    try:
        result, _text = database.run()
    finally:
        database.execute(f"COMMENT ON DATABASE {database.name} IS '{COPY}'")
    assert "does not say that it is a copy" in result["msg"]
    assert f"IS '{COPY}'" in result["msg"]
    assert database.emails() == ["ann@x.org"]


def test_a_database_without_these_tables_is_harmless(database) -> None:
    database.execute("DROP SCHEMA referencedata, notification, fulfillment, auth, site CASCADE")
    result, _text = database.run()
    assert not result["changed"]
    assert result["verified"]


def test_no_address_is_in_an_error(database) -> None:
    database.add_users("ann@x.org")
    database.execute("ALTER TABLE referencedata.users ADD CONSTRAINT short CHECK (length(email) < 20)")
    result, text = database.run()
    assert "constraint short" in result["msg"]
    assert "ann@" not in text
    with contextlib.closing(database.connection.cursor()):
        assert database.emails() == ["ann@x.org"]


def test_a_column_of_a_domain_over_text_is_one_of_text(database):
    database.execute(
        "CREATE DOMAIN site.address AS varchar(40); CREATE TABLE site.partners (email site.address);"
        " INSERT INTO site.partners VALUES ('ann@x.org'), ('a.rather.long.name@of.some.where.org'), (NULL)"
    )
    result, _printed = database.run()
    assert result["columns"] == {"site.partners.email": 2}, result
    found = [email for (email,) in database.execute("SELECT email FROM site.partners WHERE email IS NOT NULL")]
    assert len(found) == 2
    assert all(reaches_nobody(email) and len(email) <= 40 for email in found)


def test_more_than_one_address_in_a_text_are_all_rewritten(database) -> None:
    database.execute("CREATE TABLE site.districts (name text, emails text)")
    database.execute("INSERT INTO site.districts VALUES ('north', 'ann@example.org, joe@lmis.example')")
    result, _printed = database.run()
    assert result["columns"] == {"site.districts.emails": 1}
    assert database.execute("SELECT emails FROM site.districts") == [
        (f"ann@example.org{ENDING}, joe@lmis.example{ENDING}",)
    ]


@pytest.mark.parametrize(("kind", "value"), [("text[]", "{ann@example.org}"), ("jsonb", '["ann@example.org"]')])
def test_addresses_that_are_not_in_a_text_are_refused(database, kind, value) -> None:
    database.execute(f"CREATE TABLE site.districts (name text, contact_emails {kind})")
    database.execute("INSERT INTO site.districts VALUES ('north', %s), ('south', NULL)", value)
    before = database.state()
    result, printed = database.run()
    assert result["failed"]
    assert f"1 rows of site.districts have addresses in contact_emails, which is {kind} and not text" in result["msg"]
    assert "--exclude-table-data=site.districts" in result["msg"]
    assert "ann@" not in printed
    assert database.state() == before
    database.execute("UPDATE site.districts SET contact_emails = NULL")
    assert database.run()[0]["verified"]
