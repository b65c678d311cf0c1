# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network fails at each statement: afterwards either nothing or everything is there, no lock stays, a rerun
completes.
"""

from __future__ import annotations

import contextlib
import os
import re
import time

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details as module
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database as database_utils
from expectation import User, details_of, user_id
from network import Line, Namespace

ANN, BOB, CID = (
    User(user_id(n), name, name + "@example.org", "1", True) for n, name in enumerate(("ann", "bob", "cid"))
)
TARGET = module.TARGET
LOST = "the connection to the server was lost (SQLSTATE 08006)"

# Every statement of a run that inserts, corrects and swaps addresses: its pattern, which of its matches, and what is
# said of it.
STAGES = {
    "begin": ("^BEGIN ISOLATION", 1, "While the lock on %s was waited for" % TARGET),
    "settings": ("^SET LOCAL", 1, "While the lock on %s was waited for" % TARGET),
    "lock": ("^LOCK TABLE", 1, "While the lock on %s was waited for" % TARGET),
    "inspect server": ("pg_is_in_recovery", 1, "While the tables were checked"),
    "inspect tables": ("has_table_privilege", 1, "While the tables were checked"),
    "compare": (r"^SELECT count\(\*\), count", 1, "While the users were compared"),
    "list missing": ("WHERE t.referencedatauserid IS NULL ORDER BY", 1, "While the users were compared"),
    "list differing": ("WHERE t.referencedatauserid IS NOT NULL AND .* ORDER BY", 1, "While the users were compared"),
    "collisions": ("^WITH claim", 1, "While addresses that would collide were looked for"),
    "release": ("^UPDATE .* SET email = NULL", 1, "While the rows were written"),
    "update": ("^UPDATE .* SET phonenumber", 1, "While the rows were written"),
    "insert": ("^INSERT", 1, "While the rows were written"),
    "deferred": ("^SET CONSTRAINTS", 1, "While the copy was verified"),
    "verify": (r"^SELECT count\(\*\), count", 2, "While the copy was verified"),
    "commit": ("^COMMIT", 1, "While the transaction was committed"),
}

# Before a statement is after the one before it, to the server; so in make test some stages do for what takes longer.
LONG = "OPENLMIS_TEST_ALL" in os.environ
AFTER = list(STAGES) if LONG else ["lock", "compare", "update", "insert", "verify", "commit"]


@pytest.fixture
def filled(database):
    database.add_users(ANN, BOB, CID)
    database.add_details(details_of(ANN)._replace(email=BOB.email), details_of(BOB)._replace(email=ANN.email))
    return database


@pytest.fixture
def line(filled):
    """Lay a line to the server; it is closed at the end."""
    lines = []

    def lay(*arguments, **options):
        lines.append(Line("%s/.s.PGSQL.%d" % (filled.server["socket"], filled.server["port"]), *arguments, **options))
        return lines[-1]

    yield lay
    for one in lines:
        one.close()


def start(database, line, **options):
    given = {"on_existing": "update", "diff": True, "ssl_mode": "disable", **options}
    return database.start(login_unix_socket=None, login_host="127.0.0.1", login_port=line.port, **given)


@pytest.fixture
def short_silence(monkeypatch):
    """The server waits for a silent client for a fifth of a second only."""
    settings_sql = module.settings_sql
    shortened = "'200ms'"
    monkeypatch.setattr(
        module, "settings_sql", lambda *given: settings_sql(*given).replace("'%ds'" % module.SILENCE, shortened)
    )


def no_lock_within(database, seconds):
    database.wait_until(
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype ="
        " 'relation' AND a.application_name LIKE 'openlmis.operations%%')",
        seconds=seconds,
    )


def assert_all_or_nothing(database, before, written):
    """And that it can be run again, which completes it."""
    complete = {details_of(user) for user in (ANN, BOB, CID)}
    assert (database.details() == complete) == written
    assert (database.state() == before) != written
    assert database.migrate(on_existing="update")["changed"] != written
    assert database.details() == complete


def test_the_stages_are_all(filled, line):
    """Every statement of a run is one of the stages, and they come in their order."""
    whole = line(None)
    assert start(filled, whole).finish()["updated"] == 2
    assert len(whole.seen) == len(STAGES)
    for text, stage in zip(whole.seen, STAGES.values()):
        assert re.search(stage[0], text), text


@pytest.mark.parametrize(
    ("stage", "when"), [*((stage, "before") for stage in STAGES), *((stage, "after") for stage in AFTER)]
)
def test_cut(filled, line, stage, when):
    pattern, number, doing = STAGES[stage]
    before = filled.state()
    broken = line(pattern, when, number=number)
    outcome = start(filled, broken).finish()
    assert broken.failed.is_set()
    assert outcome.failed
    state = module.UNKNOWN_OUTCOME if stage == "commit" else module.ROLLED_BACK
    assert outcome.message.startswith(
        "%s, %s. %s. What to do: wait until it accepts connections" % (doing, LOST, state)
    )
    assert "example.org" not in outcome.text
    no_lock_within(filled, 2)
    assert_all_or_nothing(filled, before, written=(stage, when) == ("commit", "after"))


@pytest.mark.parametrize(
    ("stage", "when"), [*((stage, "after") for stage in AFTER), ("begin", "before"), ("commit", "before")]
)
@pytest.mark.usefixtures("short_silence")
def test_silence(filled, line, stage, when):
    """Neither side is told. The server frees the lock after SILENCE; the client says the same sentence when it is told
    at last.
    """
    pattern, number, doing = STAGES[stage]
    before = filled.state()
    silent = line(pattern, when, cut=False, number=number)
    process = start(filled, silent)
    assert silent.failed.wait(20)
    no_lock_within(filled, 2)
    assert_all_or_nothing(filled, before, written=(stage, when) == ("commit", "after"))
    silent.close()
    outcome = process.finish()
    assert outcome.failed
    assert outcome.message.startswith("%s, %s. " % (doing, LOST))


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.usefixtures("short_silence")
def test_check_mode_at_its_end(filled, line, cut):
    """All was found out when the network fails at ROLLBACK: nothing is written, and the answer stands."""
    before = filled.state()
    broken = line("^ROLLBACK", "before", cut=cut)
    process = start(filled, broken, check=True)
    assert broken.failed.wait(20)
    no_lock_within(filled, 2)
    broken.close()
    outcome = process.finish()
    assert (outcome["inserted"], outcome["updated"]) == (1, 2)
    assert filled.state() == before


@pytest.mark.parametrize("cut", [True, False])
def test_the_start_of_the_session(filled, line, cut, monkeypatch):
    monkeypatch.setattr(database_utils, "CONNECT_TIMEOUT", 2)
    before = filled.state()
    broken = line("", cut=cut)
    outcome = start(filled, broken).finish()
    assert outcome.failed
    found = (
        "did not take the connection (server closed the connection unexpectedly)"
        if cut
        else "cannot be reached (timeout expired)"
    )
    assert "PostgreSQL at 127.0.0.1:%d %s. Expected" % (broken.port, found) in outcome.message
    assert filled.state() == before


def test_while_the_lock_is_waited_for(filled, line):
    """The server goes on waiting for a client that has gone, but not beyond lock_timeout."""
    before = filled.state()
    holder = filled.connect(application_name="nightly report")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE %s" % TARGET)
        outcome = start(filled, line("LOCK TABLE", "during"), lock_timeout=1).finish()
        assert LOST in outcome.message
        no_lock_within(filled, 4)
    holder.close()
    assert_all_or_nothing(filled, before, written=False)


def test_in_the_middle_of_the_writing(filled, line):
    """The server notices when the statement ends, and rolls back."""
    before = filled.state()
    filled.pause_at()
    with filled.gate_closed():
        outcome = start(filled, line("^INSERT", "during")).finish()
        assert "While the rows were written, " + LOST in outcome.message
        filled.wait_for_gate()
        assert filled.locks()
    no_lock_within(filled, 2)
    assert_all_or_nothing(filled, before, written=False)


@contextlib.contextmanager
def own_network():
    network = Namespace()
    try:
        network.enter()
    except PermissionError:
        pytest.skip("needs the right to make a network of its own")
    try:
        yield network
    finally:
        network.leave()


@pytest.mark.usefixtures("short_silence")
@pytest.mark.parametrize(
    ("stage", "when"),
    [("insert", "after"), ("commit", "before"), *([("compare", "before"), ("commit", "after")] if LONG else [])],
)
def test_the_network_vanishes(filled, monkeypatch, line, stage, when):
    """What is sent arrives nowhere, and no one is told: both sides end by themselves, here after a thirtieth of the
    time.
    """
    sooner = {name: max(1, value // 30) for name, value in database_utils.VANISHED.items()}
    monkeypatch.setattr(database_utils, "VANISHED", sooner)
    pattern, number, doing = STAGES[stage]
    before = filled.state()
    with own_network() as network:
        silent = line(pattern, when, cut=False, number=number)
        process = start(filled, silent)
    assert silent.failed.wait(20)
    network.vanish()
    began = time.monotonic()
    outcome = process.finish()
    assert time.monotonic() - began < 10
    assert outcome.message.startswith("%s, %s. " % (doing, LOST))
    no_lock_within(filled, 2)
    assert_all_or_nothing(filled, before, written=(stage, when) == ("commit", "after"))
