# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the first run to the last: what is copied, kept, corrected, refused, and what stays as it was."""

from __future__ import annotations

import pytest
from expectation import Details, User, details_of, expected, user_id

ANN, BOB, CID, DAN = (
    User(user_id(number), name, name + "@example.org", "+265 " + name, True)
    for number, name in enumerate("ann bob cid dan".split())
)
COUNTS = ("source", "inserted", "updated", "unchanged", "kept", "without_email")


def counts(outcome):
    return tuple(outcome[name] for name in COUNTS)


def test_check_then_real_then_again(database):
    database.add_users(ANN, BOB, User(user_id(9), "nobody"))
    before = database.state()
    planned = database.migrate(check=True, diff=True)
    assert database.state() == before
    assert not database.locks()
    done = database.migrate(diff=True)
    for outcome in (planned, done):
        assert outcome["changed"]
        assert outcome["verified"]
        assert counts(outcome) == (3, 3, 0, 0, 0, 1)
        assert outcome["diff"]["before"]["users_missing_ids"] == sorted(user_id(number) for number in (0, 1, 9))
        assert outcome["diff"]["before"]["rows"] == 0
        assert outcome["diff"]["after"] == {
            "rows": 3,
            "users_missing": 0,
            "users_missing_ids": [],
            "users_differing": 0,
            "users_differing_ids": [],
        }
    assert planned.message.startswith("Would have copied")
    assert done.message.startswith("Copied the contact details of 3 users")
    after = database.state()
    again = database.migrate(diff=True)
    assert not again["changed"]
    assert counts(again) == (3, 0, 0, 3, 0, 1)
    assert again["diff"]["before"] == again["diff"]["after"]
    assert database.state() == after
    assert again["server_version"].split(".")[0].isdigit()
    assert 0 < again["duration"] < 60


def test_a_user_who_came_in_since(database):
    database.add_users(ANN)
    database.migrate()
    database.add_users(BOB)
    assert counts(database.migrate()) == (2, 1, 0, 1, 0, 0)
    assert database.details() == {details_of(ANN), details_of(BOB)}


EDITED = Details(ANN.id, None, False, "ann.new@example.org", False)


def test_an_edit_of_3_4_is_kept(database):
    database.add_users(ANN, BOB)
    database.add_details(EDITED)
    outcome = database.migrate()
    assert counts(outcome) == (2, 1, 0, 0, 1, 0)
    assert outcome["kept_users"] == [ANN.id]
    assert database.details() == {EDITED, details_of(BOB)}


def test_an_edit_of_3_4_is_undone_when_told_to(database):
    database.add_users(ANN, BOB)
    database.add_details(EDITED, details_of(BOB))
    planned = database.migrate(on_existing="update", check=True, diff=True)
    assert database.details() == {EDITED, details_of(BOB)}
    outcome = database.migrate(on_existing="update", diff=True)
    assert counts(outcome) == counts(planned) == (2, 0, 1, 1, 0, 0)
    assert outcome["diff"]["before"]["users_differing_ids"] == [ANN.id]
    assert outcome["diff"]["after"]["users_differing"] == 0
    assert outcome["kept_users"] == []
    assert database.details() == {details_of(ANN), details_of(BOB)}
    assert not database.migrate(on_existing="update")["changed"]


@pytest.mark.parametrize(
    "change",
    [
        {"phonenumber": "1"},
        {"phonenumber": None},
        {"phonenumber": ""},
        {"allownotify": False},
        {"allownotify": None},
        {"email": "other@example.org"},
        {"email": "ANN@example.org"},
        {"email": None},
        {"emailverified": False},
        {"emailverified": None},
    ],
    ids=str,
)
def test_every_column_counts(database, change):
    edited = details_of(ANN)._replace(**change)
    database.add_users(ANN)
    database.add_details(edited)
    assert counts(database.migrate()) == (1, 0, 0, 0, 1, 0)
    assert database.details() == {edited}
    assert counts(database.migrate(on_existing="update")) == (1, 0, 1, 0, 0, 0)
    assert database.details() == {details_of(ANN)}


def test_null_preferences_are_equal_and_put_back(database):
    asked_never = ANN._replace(allownotify=None)
    database.add_users(asked_never)
    database.add_details(details_of(asked_never))
    assert counts(database.migrate(on_existing="update")) == (1, 0, 0, 1, 0, 0)
    database.execute("UPDATE notification.user_contact_details SET allownotify = true")
    assert counts(database.migrate()) == (1, 0, 0, 0, 1, 0)
    assert counts(database.migrate(on_existing="update")) == (1, 0, 1, 0, 0, 0)
    assert {row.allownotify for row in database.details()} == {None}


@pytest.mark.parametrize("on_existing", ["keep", "update"])
def test_rows_of_unknown_users_and_what_hangs_on_rows_stay(database, on_existing):
    stranger = Details(user_id(77), "1", None, "stranger@example.org", None)
    database.add_users(ANN, BOB)
    database.add_details(EDITED, stranger)
    for table in ("digest_subscriptions", "postpone_message"):
        database.execute("INSERT INTO notification.%s VALUES (%%s, %%s)" % table, user_id(50), ANN.id)
    database.execute(
        "INSERT INTO notification.email_verification_tokens VALUES (%s, now(), 'pending@example.org', %s)",
        user_id(51),
        ANN.id,
    )
    before = database.state()
    database.migrate(on_existing=on_existing)
    after = database.state()
    changed = {table for table in after if after[table] != before[table]}
    assert changed == {"notification.user_contact_details"}
    assert database.details() == expected([ANN, BOB], [EDITED, stranger], on_existing == "update")


def holding(user, email):
    return details_of(user)._replace(email=email)


@pytest.mark.parametrize(
    "before",
    [
        [holding(ANN, BOB.email), holding(BOB, ANN.email)],
        [holding(ANN, BOB.email), holding(BOB, CID.email), holding(CID, ANN.email)],
        [holding(ANN, BOB.email), holding(BOB, CID.email)],
        [holding(ANN, DAN.email)],
        [holding(ANN, BOB.email), holding(BOB, None)],
    ],
    ids=["swap", "ring", "chain", "of one to be inserted", "of one without"],
)
def test_addresses_pass_among_users(database, before):
    users = [ANN, BOB, CID, DAN]
    database.add_users(*users)
    database.add_details(*before)
    outcome = database.migrate(on_existing="update")
    assert outcome["updated"] == len(before)
    assert outcome["inserted"] == len(users) - len(before)
    assert database.details() == {details_of(user) for user in users}


def test_an_address_given_up_for_none(database):
    """The row that loses its address is equal already when it has lost it, and counts all the same."""
    gone = User(user_id(5), "eve", " ", "+265 eve", True)
    database.add_users(ANN, gone)
    database.add_details(details_of(gone)._replace(email=ANN.email), holding(ANN, "old@example.org"))
    outcome = database.migrate(on_existing="update")
    assert counts(outcome) == (2, 0, 2, 0, 0, 1)
    assert database.details() == {details_of(ANN), details_of(gone)}


def test_addresses_pass_from_some_who_shall_have_none_to_some_who_had_none(database):
    """In both orders of rows and of ids, since the server goes through them as it likes."""
    givers = [User(user_id(number), "giver%d" % number) for number in range(20)]
    takers = [User(user_id(number), "taker%d" % number, "x%d@example.org" % (number - 20)) for number in range(20, 40)]
    database.add_users(*givers, *takers)
    pairs = list(zip(givers, takers))
    for giver, taker in pairs[::2]:
        database.add_details(holding(giver, taker.email), holding(taker, None))
    for giver, taker in pairs[1::2]:
        database.add_details(holding(taker, None), holding(giver, taker.email))
    assert database.migrate(on_existing="update")["updated"] == 40
    assert database.details() == {details_of(user) for user in givers + takers}


SHARE = "of users would share an e-mail address in notification.user_contact_details"


@pytest.mark.parametrize("on_existing", ["keep", "update"])
def test_collision_with_an_unknown_user(database, on_existing):
    database.add_users(ANN, BOB)
    database.add_details(Details(user_id(77), None, True, ANN.email, True))
    outcome = database.refused(
        "1 pair " + SHARE,
        "%s (ann) and %s (not in referencedata.users)" % (ANN.id, user_id(77)),
        on_existing=on_existing,
    )
    assert "example.org" not in outcome.text


def test_collision_with_an_edit(database):
    database.add_users(ANN, BOB)
    database.add_details(holding(ANN, BOB.email))
    database.refused("%s (bob) and %s (ann)" % (BOB.id, ANN.id))
    database.refused("%s (bob) and %s (ann)" % (BOB.id, ANN.id), check=True)


def test_collision_of_a_correction_with_an_unknown_user(database):
    database.add_users(ANN)
    database.add_details(holding(ANN, "new@example.org"), Details(user_id(77), None, True, ANN.email, True))
    assert database.migrate()["kept"] == 1
    database.refused("%s (ann) and %s (not in" % (ANN.id, user_id(77)), on_existing="update")


@pytest.mark.parametrize("on_existing", ["keep", "update"])
def test_collision_within_the_source(database, on_existing):
    """Reference data forbids it by a constraint, which somebody may have dropped."""
    database.execute("ALTER TABLE referencedata.users DROP CONSTRAINT users_email_key")
    database.add_users(ANN, BOB._replace(email=ANN.email), CID)
    first, second = sorted([ANN.id, BOB.id])
    database.refused("1 pair " + SHARE, first, second, on_existing=on_existing)
    database.add_details(details_of(ANN))
    database.refused("%s (bob) and %s (ann)" % (BOB.id, ANN.id), on_existing=on_existing)


def test_an_index_that_is_not_unique_on_all_rows_proves_nothing(database):
    database.execute("ALTER TABLE referencedata.users DROP CONSTRAINT users_email_key")
    database.execute("CREATE UNIQUE INDEX ON referencedata.users (email) WHERE active")
    database.execute("CREATE UNIQUE INDEX ON referencedata.users (email, username)")
    database.execute("CREATE INDEX ON referencedata.users (email)")
    database.add_users(ANN)
    database.execute(
        "INSERT INTO referencedata.users (id, username, email, firstname, lastname, active)"
        " VALUES (%s, 'x', %s, '', '', false)",
        user_id(8),
        ANN.email,
    )
    database.refused("1 pair " + SHARE)


def test_many_collisions_are_counted_and_the_first_named(database):
    users = [User(user_id(number), "user%d" % number, "u%d@example.org" % number) for number in range(30)]
    database.add_users(*users)
    database.add_details(
        *(Details(user_id(100 + number), None, True, user.email, True) for number, user in enumerate(users))
    )
    outcome = database.refused("30 pairs " + SHARE, "; and 10 more")
    assert outcome.message.count("(not in referencedata.users)") == 20


def test_usernames_that_are_addresses_or_numbers_are_not_told(database):
    users = [
        User(user_id(1), "ann@example.com", "a1"),
        User(user_id(2), "+265 (1) 234-567", "a2"),
        User(user_id(3), "user12345", "a3"),
    ]
    database.add_users(*users)
    database.add_details(
        *(Details(user_id(100 + number), None, True, user.email, True) for number, user in enumerate(users))
    )
    outcome = database.refused(
        "3 pairs " + SHARE, "%s and " % user_id(1), "%s and " % user_id(2), "%s (user12345) and " % user_id(3)
    )
    assert "example.com" not in outcome.text
    assert "234-567" not in outcome.text


def test_ids_are_capped(database):
    users = [User(user_id(number), "user%d" % number) for number in range(130)]
    database.add_users(*users)
    outcome = database.migrate(check=True, diff=True)
    ids = sorted(user.id for user in users)[:100]
    assert outcome["inserted"] == 130
    assert outcome["diff"]["before"]["users_missing_ids"] == ids
    database.add_details(*(Details(user.id, "edited", True, None, False) for user in users))
    outcome = database.migrate()
    assert outcome["kept"] == 130
    assert outcome["kept_users"] == ids
    outcome = database.migrate(check=True, diff=True, on_existing="update")
    assert outcome["diff"]["before"]["users_differing_ids"] == ids


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "new.phonenumber := 'x'; RETURN new",
            "of 2 users 0 have no row in notification.user_contact_details and 2 differ",
        ),
        ("RETURN NULL", "of 2 users 2 have no row"),
        ("new.emailverified := NULL; RETURN new", "2 differ there, where 0 were expected to"),
        (
            "DELETE FROM notification.user_contact_details WHERE phonenumber = 'stranger'; RETURN new",
            "has 2 rows, where 3 were",
        ),
    ],
    ids=["changes a value", "drops rows", "NULL for false", "deletes another row"],
)
def test_a_copy_that_does_not_verify_is_rolled_back(database, body, sentence):
    database.add_users(ANN, BOB)
    database.add_details(Details(user_id(77), "stranger", True, None, False))
    database.execute("CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN %s; END$$" % body)
    database.execute(
        "CREATE TRIGGER meddle BEFORE INSERT ON notification.user_contact_details FOR EACH ROW EXECUTE PROCEDURE"
        " meddle()"
    )
    database.refused("Verification failed", sentence, "rolled back")


def test_what_a_deferred_trigger_does_is_verified(database):
    database.add_users(ANN)
    database.execute(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE notification.user_contact_details SET phonenumber = NULL; RETURN NULL; END'"
    )
    database.execute(
        "CREATE CONSTRAINT TRIGGER meddle AFTER INSERT ON notification.user_contact_details"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE PROCEDURE meddle()"
    )
    database.refused("Verification failed", "1 differ there")


def test_a_correction_that_does_not_verify_is_rolled_back(database):
    database.add_users(ANN)
    database.add_details(EDITED)
    database.execute("CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END'")
    database.execute(
        "CREATE TRIGGER meddle BEFORE UPDATE ON notification.user_contact_details FOR EACH ROW EXECUTE PROCEDURE"
        " meddle()"
    )
    database.refused("Verification failed", "1 differ there, where 0 were expected to", on_existing="update")


def test_a_growing_target_is_not_scanned_again_and_again(database):
    """An INSERT planned as a nested loop over a target taken for empty takes minutes for these; a join by hash a
    second.
    """
    database.execute("ANALYZE")
    database.execute(
        "INSERT INTO referencedata.users (id, username, email, firstname, lastname)"
        " SELECT md5(n::text)::uuid, 'u' || n, n || '@example.org', '', '' FROM generate_series(1, 30000) AS n"
    )
    assert database.migrate(statement_timeout=10)["inserted"] == 30000
