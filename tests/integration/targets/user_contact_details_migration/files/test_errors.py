# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module says when it cannot do its work: one sentence, nothing written, no lock left."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import postgresql_server
import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details as module
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database as database_utils
from expectation import Details, User, details_of, user_id

ANN, BOB = User(user_id(1), "ann", "ann@example.org", "1"), User(user_id(2), "bob", "bob@example.org", "2")
TARGET = "notification.user_contact_details"


@pytest.fixture
def filled(database):
    database.add_users(ANN, BOB)
    database.add_details(details_of(ANN))
    return database


# --- tables ---


@pytest.mark.parametrize(
    ("statement", "sentences"),
    [
        (
            "DROP SCHEMA notification CASCADE",
            ["There is no schema notification", "notification 4.0.0", "OpenLMIS 3.4.0"],
        ),
        ("DROP TABLE notification.user_contact_details CASCADE", ["no table " + TARGET, "notification 4.0.0"]),
        *(
            (
                "ALTER TABLE %s DROP COLUMN %s CASCADE" % (TARGET, column),
                ["The table %s in the database" % TARGET, "has no column " + column, "notification 4.0.0"],
            )
            for column in ("referencedatauserid", "phonenumber", "allownotify", "email", "emailverified")
        ),
        (
            "DROP SCHEMA referencedata CASCADE",
            ["There is no schema referencedata", "referencedata 10.0.0", "OpenLMIS 3.3"],
        ),
        ("DROP TABLE referencedata.users", ["There is no table referencedata.users", "referencedata 10.0.0"]),
        *(
            (
                "ALTER TABLE referencedata.users DROP COLUMN %s" % column,
                ["has no column " + column, "referencedata 10.0.0"],
            )
            for column in ("email", "verified", "allownotify", "username")
        ),
        (
            (
                "ALTER TABLE notification.user_contact_details RENAME TO x;"
                " CREATE VIEW notification.user_contact_details AS SELECT * FROM notification.x"
            ),
            [TARGET, "is a view", "notification 4.0.0"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("check", [False, True])
def test_missing_schema_table_or_column(filled, statement, sentences, check):
    filled.execute(statement)
    filled.refused("Nothing was written", *sentences, check=check)


# --- privileges ---

GRANTS = {
    "GRANT USAGE ON SCHEMA referencedata TO {role}": None,
    "GRANT USAGE ON SCHEMA notification TO {role}": None,
    "GRANT SELECT ON referencedata.users TO {role}": None,
    "GRANT SELECT ON notification.user_contact_details TO {role}": None,
    "GRANT INSERT ON notification.user_contact_details TO {role}": None,
    "GRANT UPDATE ON notification.user_contact_details TO {role}": None,
}


def test_the_documented_grants_suffice(filled, role):
    for grant in GRANTS:
        filled.execute(grant.format(role=role))
    assert filled.migrate(login_user=role)["inserted"] == 1
    filled.execute("UPDATE referencedata.users SET phonenumber = '3'")
    assert filled.migrate(login_user=role, on_existing="update")["updated"] == 2


@pytest.mark.parametrize("left_out", GRANTS)
def test_each_missing_grant_is_named(filled, role, left_out):
    for grant in GRANTS:
        if grant != left_out:
            filled.execute(grant.format(role=role))
    outcome = filled.refused("lacks privileges", left_out.format(role=role), login_user=role)
    assert outcome.message.count("GRANT") == 1


def test_all_missing_grants_are_named_at_once(filled, role):
    outcome = filled.refused("GRANT SELECT, INSERT, UPDATE ON " + TARGET, login_user=role)
    assert outcome.message.count("GRANT") == 4


def test_a_role_name_that_needs_quotes(filled):
    name = 'R "x" %s' % filled.name
    quoted = '"%s"' % name.replace('"', '""')
    filled.execute("CREATE ROLE %s LOGIN" % quoted.replace("%", "%%"))
    try:
        filled.refused("GRANT USAGE ON SCHEMA notification TO " + quoted, login_user=name)
    finally:
        filled.execute("DROP ROLE %s" % quoted)


def test_columns_granted_one_by_one_suffice_for_reading(filled, role):
    for grant in GRANTS:
        filled.execute(grant.format(role=role))
    filled.execute("REVOKE SELECT ON referencedata.users FROM " + role)
    filled.execute(
        "GRANT SELECT (id, username, email, verified, allownotify, phonenumber) ON referencedata.users TO " + role
    )
    assert filled.migrate(login_user=role)["inserted"] == 1
    filled.execute("REVOKE SELECT (phonenumber) ON referencedata.users FROM " + role)
    filled.refused("GRANT SELECT ON referencedata.users TO " + role, login_user=role)


@pytest.mark.parametrize("table", ["referencedata.users", TARGET])
def test_row_level_security_must_not_hide_users(filled, role, table):
    for grant in GRANTS:
        filled.execute(grant.format(role=role))
    filled.execute("ALTER TABLE %s ENABLE ROW LEVEL SECURITY" % table)
    filled.refused("Row-level security hides rows of " + table, "BYPASSRLS", login_user=role)


# --- locks ---


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE %s IN ROW EXCLUSIVE MODE",
        "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
    ],
)
def test_a_lock_held_by_another(filled, statement):
    holder = filled.connect(application_name="nightly report")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute(statement % TARGET)
        state = filled.execute("SELECT 1")
        assert state
        outcome = filled.migrate(lock_timeout=1)
        assert outcome.failed
        pid = holder.info.backend_pid
        assert (
            "within lock_timeout, 1 s: it is held by pid %d (application_name nightly report, user postgres" % pid
            in outcome.message
        )
        assert "since 20" in outcome.message
        assert "Nothing was written" in outcome.message
    holder.close()
    assert filled.migrate()["inserted"] == 1


def test_a_lock_held_on_the_source(filled):
    holder = filled.connect(application_name="migration of reference data")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE referencedata.users IN ACCESS EXCLUSIVE MODE")
        outcome = filled.migrate(lock_timeout=1)
        assert (
            "held by pid %d (application_name migration of reference data" % holder.info.backend_pid in outcome.message
        )
    holder.close()
    assert not filled.locks()


def test_a_row_locked_by_another(filled):
    filled.execute("UPDATE referencedata.users SET phonenumber = 'new'")
    holder = filled.connect(application_name="select for update")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("SELECT * FROM %s FOR UPDATE" % TARGET)
        outcome = filled.migrate(lock_timeout=1, on_existing="update")
        assert "held by pid %d (application_name select for update" % holder.info.backend_pid in outcome.message
    holder.close()


def test_a_prepared_transaction_holds_the_lock(filled):
    holder = filled.connect()
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE %s" % TARGET)
        cursor.execute("PREPARE TRANSACTION %s", [filled.name])
    holder.close()
    try:
        assert "a prepared transaction (see pg_prepared_xacts)" in filled.migrate(lock_timeout=1).message
    finally:
        filled.execute("ROLLBACK PREPARED %s", filled.name)


def test_no_lock_timeout_but_a_statement_timeout(filled):
    holder = filled.connect(application_name="blocker")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE %s" % TARGET)
        outcome = filled.migrate(lock_timeout=0, statement_timeout=1)
        assert "within statement_timeout, 1 s: it is held by pid" in outcome.message
    holder.close()


def test_what_is_committed_while_the_copy_waits_for_the_lock_is_seen(filled):
    """The snapshot is younger than the lock: a row written before it was granted is neither missed nor doubled."""
    service = filled.connect(application_name="notification")
    service.autocommit = False
    with service.cursor() as cursor:
        cursor.execute("INSERT INTO %s VALUES (%%s, 'edited', false, 'new@example.org', true)" % TARGET, [BOB.id])
        process = filled.start()
        filled.wait_until("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass", TARGET)
        service.commit()
    service.close()
    outcome = process.finish()
    assert outcome["kept_users"] == [BOB.id]
    assert filled.details() == {details_of(ANN), Details(BOB.id, "edited", False, "new@example.org", True)}


def test_two_copies_at_once(filled):
    """The second waits for the first and finds nothing to do; one that does not want to wait is told of the first."""
    filled.pause_at()
    with filled.gate_closed():
        first = filled.start()
        filled.wait_for_gate()
        impatient = filled.migrate(lock_timeout=1)
        assert "application_name openlmis.operations.user_contact_details_migration" in impatient.message
        assert "another copy of this module is running" in impatient.message
        second = filled.start()
        filled.wait_until("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass", TARGET)
    assert first.finish()["inserted"] == 1
    outcome = second.finish()
    assert (outcome["inserted"], outcome["unchanged"]) == (0, 2)
    assert filled.details() == {details_of(ANN), details_of(BOB)}


def test_writers_wait_and_readers_do_not_while_the_copy_runs(filled):
    filled.pause_at()
    with filled.gate_closed():
        process = filled.start()
        filled.wait_for_gate()
        filled.execute(
            "INSERT INTO referencedata.users (id, username, firstname, lastname) VALUES (%s, 'eve', '', '')", user_id(5)
        )
        assert filled.details() == {details_of(ANN)}
        # The weakest lock that keeps out writers and a second copy; whoever only refers to a row is not kept waiting.
        assert {mode for (mode,) in filled.locks()} - {"AccessShareLock", "RowExclusiveLock"} == {
            "ShareRowExclusiveLock"
        }
        for statement in ("DELETE FROM %s", "UPDATE %s SET email = NULL", "INSERT INTO %s VALUES ('%s')"):
            writer = filled.connect(options="-c lock_timeout=50")
            with writer.cursor() as cursor, pytest.raises(Exception, match="lock timeout"):
                cursor.execute(statement % ((TARGET, user_id(5)) if "INSERT" in statement else TARGET))
            writer.close()
    assert process.finish()["source"] == 2
    assert filled.migrate()["inserted"] == 1


# --- the end of a connection, at each stage ---


def stage(database, name):
    """Make the copy stop in the middle of a stage."""
    if name == "write":
        database.pause_at()
    else:
        database.execute("UPDATE referencedata.users SET phonenumber = 'new'")
        database.pause_at(when="BEFORE UPDATE")
    return database.gate_closed()


def run_to_gate(database, **options):
    process = database.start(on_existing="update", **options)
    return process, database.wait_for_gate()


LOST = "the server was stopped or ended this connection|the connection to the server was lost"


@pytest.mark.parametrize("name", ["write", "correct"])
def test_the_server_ends_the_connection(filled, name):
    with stage(filled, name):
        before = filled.state()
        process, pid = run_to_gate(filled)
        filled.execute("SELECT pg_terminate_backend(%s)", pid)
        outcome = process.finish()
    assert outcome.failed
    assert re.search("While the rows were written, (%s) .*Nothing was written" % LOST, outcome.message)
    assert filled.state() == before
    assert filled.migrate(on_existing="update")["changed"]
    assert not filled.migrate(on_existing="update")["changed"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", ["write", "correct"])
def test_the_client_is_killed(filled, name, check):
    with stage(filled, name):
        before = filled.state()
        process, pid = run_to_gate(filled, check=check)
        process.kill()
    filled.wait_until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)", pid)
    assert not filled.locks()
    assert filled.state() == before
    assert filled.migrate(on_existing="update")["changed"]
    assert not filled.migrate(on_existing="update")["changed"]


def test_the_server_ends_the_connection_during_commit(filled):
    """Nobody can tell the outcome then; here the commit had happened, and running again finds that out."""
    with filled.commits_waiting():
        process = filled.start()
        filled.execute("SELECT pg_terminate_backend(%s)", filled.wait_for_commit())
        outcome = process.finish()
    assert outcome.failed
    assert re.search("While the transaction was committed, (%s) .*Either everything or nothing" % LOST, outcome.message)
    assert filled.details() == {details_of(ANN), details_of(BOB)}
    assert not filled.migrate()["changed"]


def test_the_client_is_killed_during_commit(filled):
    with filled.commits_waiting():
        process = filled.start()
        pid = filled.wait_for_commit()
        process.kill()
    filled.wait_until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)", pid)
    assert not filled.locks()
    assert filled.details() == {details_of(ANN), details_of(BOB)}
    assert not filled.migrate()["changed"]


def test_the_client_falls_silent(filled, monkeypatch):
    """A machine that hangs or is cut off does not keep the lock."""
    monkeypatch.setattr(module, "SILENCE", 1)
    with stage(filled, "write"):
        before = filled.state()
        process, pid = run_to_gate(filled)
        process.signal(signal.SIGSTOP)
    filled.wait_until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)", pid)
    process.signal(signal.SIGCONT)
    outcome = process.finish()
    assert re.search("had waited for too long|the connection to the server was lost", outcome.message)
    assert "Nothing was written" in outcome.message
    assert filled.state() == before


def test_a_cancelled_statement(filled):
    filled.pause_at()
    with filled.gate_closed():
        process, pid = run_to_gate(filled)
        filled.execute("SELECT pg_cancel_backend(%s)", pid)
        outcome = process.finish()
    assert (
        "While the rows were written, the statement was cancelled (SQLSTATE 57014). Nothing was written"
        in outcome.message
    )
    assert filled.details() == {details_of(ANN)}


def test_a_statement_that_takes_too_long(filled):
    filled.pause_at()
    with filled.gate_closed():
        outcome = filled.migrate(statement_timeout=1)
    assert "a statement took longer than statement_timeout, 1 s. Nothing was written" in outcome.message
    assert filled.details() == {details_of(ANN)}
    assert not filled.locks()


# --- servers ---


@pytest.mark.parametrize("check", [False, True])
def test_read_only_by_setting(filled, check):
    filled.execute("ALTER DATABASE %s SET default_transaction_read_only = on" % filled.name)
    filled.refused("is read-only (default_transaction_read_only is on)", "switch that setting off", check=check)


@pytest.fixture
def standby(server):
    """A standby on the same machine, gone with the test: of a tablespace it would write into the very files of its
    primary.
    """
    programs = Path(server["programs"])
    if not (programs / "pg_basebackup").exists():
        pytest.skip("this server comes without pg_basebackup")
    folder = Path(server["folder"]).with_name(Path(server["folder"]).name + "-standby")
    folder.mkdir()
    postgresql_server.own(folder)
    source = ("--host", server["socket"], "--port", server["port"], "--username", server["user"])
    postgresql_server.run(
        *(programs / "pg_basebackup", *source, "--pgdata", folder / "data", "--write-recovery-conf"),
        *("--wal-method", "stream", "--checkpoint", "fast", "--no-sync"),
        folder=folder,
    )
    yield postgresql_server.launch(folder, programs, folder / "data", postgresql_server.free_port())
    postgresql_server.stop(folder)
    subprocess.run(["rm", "-rf", folder], check=True)


def test_read_only_as_a_standby(database, request):
    database.add_users(ANN)
    standby = request.getfixturevalue("standby")
    outcome = database.migrate(login_unix_socket=standby["socket"], login_port=standby["port"])
    assert outcome.failed
    assert "is read-only (a standby)" in outcome.message
    assert "connect to the primary" in outcome.message


def test_disk_full(filled, tmp_path):
    """The table lies on a file system of one megabyte."""
    place = Path(filled.server["folder"]) / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip("needs the right to mount a small file system")
    try:
        postgresql_server.own(place)
        filled.execute("CREATE TABLESPACE small LOCATION '%s'" % place)
        filled.execute("ALTER TABLE %s SET TABLESPACE small" % TARGET)
        filled.execute(
            "INSERT INTO referencedata.users (id, username, phonenumber, firstname, lastname)"
            " SELECT md5(n::text)::uuid, 'u' || n, repeat('1', 200), '', '' FROM generate_series(1, 20000) AS n"
        )
        filled.refused("While the rows were written, the server's disk is full (SQLSTATE 53100)", "Nothing was written")
        filled.execute("ALTER TABLE %s SET TABLESPACE pg_default" % TARGET)
        filled.execute("DROP TABLESPACE small")
        assert filled.migrate()["inserted"] == 20001
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def test_a_constraint_that_this_site_added(filled):
    filled.execute("ALTER TABLE %s ADD CONSTRAINT site_rule CHECK (phonenumber <> '2')" % TARGET)
    outcome = filled.refused(
        "a constraint of the table refused the rows (SQLSTATE 23514", "constraint site_rule", "Nothing was"
    )
    assert "bob" not in outcome.text


def test_a_trigger_that_says_what_it_should_not(filled):
    filled.execute(
        "CREATE FUNCTION chat() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no % here', new.email USING DETAIL = new.email, HINT = new.email; END$$"
    )
    filled.execute("CREATE TRIGGER chat BEFORE INSERT ON %s FOR EACH ROW EXECUTE PROCEDURE chat()" % TARGET)
    outcome = filled.refused("the server refused a statement (SQLSTATE P0001)")
    assert "bob@example.org" not in outcome.text


# --- options ---


@pytest.mark.parametrize("option", ["lock_timeout", "statement_timeout"])
def test_a_negative_time(filled, option):
    filled.refused("%s is -1. Expected seconds from 0" % option, **{option: -1})


def test_without_psycopg2(filled, monkeypatch):
    monkeypatch.setattr(database_utils, "psycopg2", None)
    outcome = filled.migrate()
    assert outcome.failed
    assert "Failed to import the required Python library (psycopg2)" in outcome.message


def test_many_copies_at_once(filled):
    """One inserts, the others find it done."""
    processes = [filled.start() for dummy in range(6)]
    assert sorted(process.finish()["inserted"] for process in processes) == [0, 0, 0, 0, 0, 1]
