# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database per test on a real server, and the module run on it as Ansible runs it: a process of its own that is given
JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import psycopg2
import psycopg2.extras
import pytest
from expectation import Details, User

HERE = Path(__file__).resolve().parent
SCHEMA = (HERE / "schema.sql").read_text()
# ansible-test runs a copy that lies inside the collection; a plain checkout has a link to itself in .cache.
INSTALLED = [
    parent.parents[2]
    for parent in HERE.parents
    if parent.parts[-3:] == ("ansible_collections", "openlmis", "operations")
]
COLLECTIONS = INSTALLED[-1] if INSTALLED else HERE.parents[4] / ".cache" / "collections"
sys.path.insert(0, str(COLLECTIONS))
sys.path.insert(0, str(HERE.parents[1] / "setup_postgresql" / "files"))

import postgresql_server  # noqa: E402
from ansible_collections.openlmis.operations.plugins.modules import (  # noqa: E402
    user_contact_details_migration as module,
)


class Process:
    """The module in a child process, which is forked because a fresh interpreter takes longer than the copy."""

    def __init__(self, arguments: dict, environment: dict) -> None:
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.pid = os.fork()
        if self.pid == 0:
            self._run(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), environment)

    def _run(self, arguments: str, environment: dict) -> None:
        status = 1
        try:
            os.environ.update(environment)
            read, write = os.pipe()
            os.write(write, arguments.encode())
            os.close(write)
            os.dup2(read, 0)
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            sys.argv[1:] = []
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
            module.main()
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def finish(self) -> Outcome:
        """Wait for its end, for a minute at most."""
        end = time.monotonic() + 60
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            assert time.monotonic() < end, "still running"
            time.sleep(0.005)
        self.output.seek(0)
        return Outcome(self.output.read())


class Outcome:
    """How a run of the module ended, and everything that it wrote."""

    def __init__(self, text: str) -> None:
        self.text = text
        assert text.lstrip().startswith("{"), text
        self.result = json.loads(text)

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def message(self) -> str:
        return self.result["msg"]

    def __getitem__(self, key: str):
        assert not self.failed, self.message
        return self.result[key]


class Database:
    """A database with the two tables, and what a test does with it."""

    def __init__(self, server: dict, name: str) -> None:
        self.server = server
        self.name = name
        self.connection = self.connect()
        self.options = {
            "login_unix_socket": server["socket"],
            "login_port": server["port"],
            "login_user": server["user"],
            "login_password": "",
            "login_db": name,
        }

    def connect(self, **options):
        """A further connection, which commits every statement."""
        given = {"host": self.server["socket"], "port": self.server["port"], "user": self.server["user"]}
        connection = psycopg2.connect(**{**given, "dbname": self.name, "connect_timeout": 10, **options})
        connection.autocommit = True
        return connection

    def execute(self, statement: str, *values):
        """Run a statement; its rows, if it has any."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else None

    def add_users(self, *users: User) -> None:
        with self.connection.cursor() as cursor:
            phone = self.has_phone_number()
            columns = "id, username, email, verified, allownotify" + (", phonenumber" if phone else "")
            rows = [
                (user.id, user.username, user.email, user.verified, user.allownotify)
                + ((user.phonenumber,) if phone else ())
                + ("First", "Last")
                for user in users
            ]
            statement = "INSERT INTO referencedata.users (%s, firstname, lastname) VALUES %%s" % columns
            psycopg2.extras.execute_values(cursor, statement, rows)

    def add_details(self, *details: Details) -> None:
        with self.connection.cursor() as cursor:
            psycopg2.extras.execute_values(cursor, "INSERT INTO notification.user_contact_details VALUES %s", details)

    def has_phone_number(self) -> bool:
        return bool(
            self.execute(
                "SELECT 1 FROM information_schema.columns"
                " WHERE table_schema = 'referencedata' AND column_name = 'phonenumber'"
            )
        )

    def details(self) -> set[Details]:
        """All rows of the target."""
        rows = self.execute(
            "SELECT referencedatauserid::text, phonenumber, allownotify, email, emailverified FROM"
            " notification.user_contact_details"
        )
        assert len(rows) == len(set(rows))
        return {Details(*row) for row in rows}

    def state(self):
        """Whatever the module could have changed, in a form that can be compared; works with the tables
        missing, too.
        """
        tables = self.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 ORDER BY 1"
        )
        return {
            table: self.execute("SELECT md5(string_agg(t::text, ';' ORDER BY t::text)), count(*) FROM %s AS t" % table)
            for (table,) in tables
        }

    def wait_until(self, statement: str, *values, seconds: float = 20):
        """The first row of ``statement`` as soon as there is one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rows = self.execute(statement, *values)
            if rows:
                return rows[0]
            time.sleep(0.01)
        raise AssertionError("still no row of %s" % statement)

    def start(self, *, check: bool = False, diff: bool = False, environment: dict | None = None, **options) -> Process:
        """Start the module; the process. An option of None leaves out what would be given otherwise."""
        arguments = {key: value for key, value in {**self.options, **options}.items() if value is not None}
        arguments.update({"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_verbosity": 3})
        return Process(arguments, environment or {})

    def migrate(self, **options) -> Outcome:
        """Run the module to its end."""
        return self.start(**options).finish()

    def refused(self, *sentences: str, **options) -> Outcome:
        """Run the module, which has to fail with all ``sentences`` in its message and change nothing."""
        before = self.state()
        outcome = self.migrate(**options)
        assert outcome.failed, outcome.result
        for sentence in sentences:
            assert sentence in outcome.message
        assert self.state() == before
        assert "Traceback" not in outcome.text
        assert not self.locks()
        return outcome

    def locks(self):
        """Locks on the tables that sessions of the module hold or wait for."""
        return self.execute(
            "SELECT l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'relation'"
            " AND a.datname = current_database() AND a.application_name LIKE 'openlmis.operations%%'"
        )

    def pause_at(self, table: str = "notification.user_contact_details", when: str = "BEFORE INSERT") -> None:
        """Make a write stop at a gate, which a session opens and closes with pg_advisory_lock(1)."""
        self.execute(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_lock_shared(1); PERFORM pg_advisory_unlock_shared(1); RETURN new; END'"
        )
        self.execute("CREATE TRIGGER gate %s ON %s FOR EACH ROW EXECUTE PROCEDURE gate()" % (when, table))

    @contextlib.contextmanager
    def gate_closed(self):
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(1)")
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock_all()")
                connection.close()

    @contextlib.contextmanager
    def commits_waiting(self):
        """Make the module's COMMIT wait for a standby that is not there; it has then happened on this
        server already.
        """
        self.execute("ALTER DATABASE %s SET synchronous_commit = on" % self.name)
        self.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            self.execute("SELECT pg_reload_conf()")
            self.wait_until("SELECT 1 WHERE current_setting('synchronous_standby_names') = 'nobody'")
            yield
        finally:
            self.execute("ALTER SYSTEM RESET synchronous_standby_names")
            self.execute("SELECT pg_reload_conf()")

    def wait_for_commit(self) -> int:
        """The pid of the session that waits there."""
        return self.wait_until("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")[0]

    def wait_for_gate(self) -> int:
        """The pid of the session that stands at the gate."""
        return self.wait_until("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0]


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
def administration(server):
    """A connection that makes and drops databases."""
    administration = Database(server, "postgres")
    yield administration
    administration.connection.close()


@pytest.fixture(scope="session")
def one_database(server, administration):
    name = "t%d" % os.getpid()
    administration.execute("CREATE DATABASE " + name)
    database = Database(server, name)
    yield database
    database.connection.close()
    administration.execute("DROP DATABASE " + name)


@pytest.fixture
def database(one_database, administration):
    """The tables of 3.4.0, empty. It is always the same database, since to make one takes longer than most tests."""
    administration.execute("ALTER DATABASE %s RESET ALL" % one_database.name)
    # A test that failed may have left sessions with locks.
    one_database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <>"
        " pg_backend_pid()"
    )
    one_database.execute("DROP SCHEMA IF EXISTS public, referencedata, notification CASCADE; CREATE SCHEMA public")
    one_database.execute(SCHEMA)
    return one_database


@pytest.fixture
def database_in(server, administration):
    """Make a database in another encoding."""
    made = []

    def create(encoding: str) -> Database:
        name = "t%d_%s" % (os.getpid(), encoding.lower())
        administration.execute(
            "CREATE DATABASE %s TEMPLATE template0 ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C'" % (name, encoding)
        )
        database = Database(server, name)
        made.append(database)
        database.execute(SCHEMA)
        return database

    yield create
    for database in made:
        database.connection.close()
        administration.execute("DROP DATABASE " + database.name)


@pytest.fixture
def role(database):
    """A role that is no superuser and owns nothing, with a password; its grants are the test's business."""
    name = "r_" + database.name
    database.execute("CREATE ROLE %s LOGIN PASSWORD 'rolepass'" % name)
    yield name
    database.execute("DROP OWNED BY %s" % name)
    database.execute("DROP ROLE %s" % name)
