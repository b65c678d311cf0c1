# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing leaks: values planted where the module meets them are in no output of Ansible at its most talkative."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import COLLECTIONS
from expectation import Details, User, details_of, user_id

EMAIL, EDITED, PHONE, EDITED_PHONE = (
    "planted.mail@example.org",
    "planted.edit@example.org",
    "+26 555 0001",
    "+26 555 0002",
)
WRONG = "planted-secret"
NAME = "openlmis.operations.user_contact_details_migration"


def ansible(*words: str, **options) -> str:
    """All that an ad hoc run prints."""
    given = json.dumps({key: value for key, value in options.items() if value is not None})
    process = subprocess.run(
        [
            Path(sys.executable).with_name("ansible"),
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-m",
            NAME,
            "-a",
            given,
            *words,
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return process.stdout


@pytest.fixture
def planted(database):
    database.add_users(
        User(user_id(1), "ann", EMAIL, PHONE, True),
        User(user_id(2), "bob", "planted.bob@example.org", PHONE + "1"),
        User(user_id(3), EMAIL.replace("mail", "username")),
    )
    database.add_details(Details(user_id(1), EDITED_PHONE, False, EDITED, False))
    return database


def clean(database, output: str) -> str:
    for secret in ("planted", "555 000", database.server["password"], quote(database.server["password"], safe="")):
        assert secret not in output
    assert "invocation" in output
    return output


@pytest.mark.parametrize("words", [["--check", "--diff"], ["--diff"], []])
@pytest.mark.parametrize("on_existing", ["keep", "update"])
def test_success(planted, words, on_existing):
    output = clean(planted, ansible("-vvvv", *words, **planted.options, on_existing=on_existing))
    assert "SUCCESS" in output or "CHANGED" in output
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in output or planted.options["login_password"] == ""


@pytest.mark.parametrize("form", ["database_url", "settings_file", "login_password", "connect_params"])
@pytest.mark.parametrize("password", ["right", "wrong"])
def test_passwords(planted, tmp_path, form, password):
    secret = planted.server["password"] if password == "right" else WRONG
    place = "127.0.0.1:%d/%s" % (planted.server["port"], planted.name)
    options = {"login_user": "postgres"}
    if form == "database_url":
        options = {"database_url": "postgresql://postgres:%s@%s" % (quote(secret, safe=""), place)}
    elif form == "settings_file":
        (tmp_path / "settings.env").write_text(
            "DATABASE_URL=jdbc:postgresql://%s\nPOSTGRES_PASSWORD='%s'\n" % (place, secret.replace("'", "\\'"))
        )
        options["settings_file"] = str(tmp_path / "settings.env")
    else:
        options["database_url"] = "jdbc:postgresql://" + place
        options[form] = secret if form == "login_password" else {"password": secret}
    output = ansible("-vvvv", "--diff", **options)
    # What the operator typed is echoed by Ansible itself before the module can hide it; what comes back is not.
    result = output[output.index("localhost |") :]
    clean(planted, result)
    if form == "connect_params":
        assert "connect_params holds password" in result
    else:
        assert ("refused the password of the user postgres" in result) == (password == "wrong")
        assert ("inserted" in result) == (password == "right")


def test_collision(planted):
    planted.add_details(Details(user_id(9), None, True, "planted.bob@example.org", True))
    output = clean(planted, ansible("-vvvv", "--diff", **planted.options))
    assert "%s (bob) and %s (not in referencedata.users)" % (user_id(2), user_id(9)) in output


def test_what_the_server_says(planted):
    """PostgreSQL quotes a whole row in the detail of a violated constraint."""
    planted.execute("ALTER TABLE notification.user_contact_details ADD CHECK (email NOT LIKE 'planted.b%%')")
    output = clean(planted, ansible("-vvvv", "--diff", **planted.options))
    assert "SQLSTATE 23514" in output


def test_verification(planted):
    planted.execute(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.email := 'planted.other'; RETURN new;"
        " END$$"
    )
    planted.execute(
        "CREATE TRIGGER meddle BEFORE INSERT ON notification.user_contact_details FOR EACH ROW"
        " WHEN (new.email IS NOT NULL) EXECUTE PROCEDURE meddle()"
    )
    assert "Verification failed" in clean(planted, ansible("-vvvv", "--diff", **planted.options))


def test_equal_rows(planted):
    planted.execute("DELETE FROM notification.user_contact_details")
    planted.add_details(details_of(User(user_id(1), "ann", EMAIL, PHONE, True)))
    clean(planted, ansible("-vvvv", "--diff", **planted.options))
