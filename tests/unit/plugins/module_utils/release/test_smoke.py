# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.release.smoke import (
    Failed,
    Result,
    SmokeTest,
    summary,
)
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import Component

CLIENT = "Basic " + base64.b64encode(b"user-client:changeme").decode()
PARAMS = {
    "validate_certs": True,
    "timeout": 5,
    "retry_seconds": 0,
    "admin_username": "administrator",
    "admin_password": "pä ss&word",
    "client_id": "user-client",
    "client_secret": "changeme",
    "profiles": 5,
    "contact_details": True,
    # No database: port 9 is where nobody listens.
    "database_url": "postgresql://u:hidden@127.0.0.1:9/x",
}
COMPONENTS = [
    Component("auth", "4.0.0", "/auth", "auth"),
    Component("notification", "4.0.0", "/notification", "notification"),
]


class Handler(BaseHTTPRequestHandler):
    """The public face of a server; its answers are what the test says."""

    def do_GET(self):
        self.server.seen.append(self.path)
        self.reply(*self.server.answers.get(self.path, (404, b"page not found")))

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.seen.append(self.path)
        if self.path != "/api/oauth/token" or self.headers["Authorization"] != CLIENT:
            self.reply(401, b"{}")
        elif form["username"] != ["administrator"] or form["password"] != ["pä ss&word"]:
            self.reply(self.server.refusal, b"{}")
        else:
            self.reply(*self.server.answers["token"])

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    nobody = "00000000-0000-0000-0000-000000000000"
    server.seen, server.refusal = [], 400
    server.answers = {
        "/": (200, b'<script src="openlmis.js"></script>'),
        "/openlmis.js": (200, b"(function () {})()"),
        "/auth": (200, b'{"version": "4.0.0"}'),
        "/notification": (200, b'{"version": "4.0.0"}'),
        "token": (200, json.dumps({"access_token": "the-token"}).encode()),
        f"/api/users/{nobody}": (401, b"{}"),
        f"/api/userContactDetails/{nobody}": (401, b"{}"),
    }
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def hidden():
    return []


@pytest.fixture
def smoke_test(server, hidden):
    return SmokeTest({**PARAMS, "base_url": f"http://127.0.0.1:{server.server_port}"}, COMPONENTS, hidden.append)


def by_name(results):
    return {result.name: result for result in results}


def test_the_checks_that_need_no_database_pass_and_the_token_is_hidden(smoke_test, hidden):
    results = by_name(smoke_test.run())
    assert [name for name, result in results.items() if result.ok] == [
        "ui",
        "versions",
        "wrong login",
        "login",
        "no token",
    ]
    assert hidden == ["the-token"]


def test_a_release_before_has_no_contact_details_to_ask_for_and_none_to_write(smoke_test, server):
    smoke_test.params["contact_details"] = False
    smoke_test.components = [Component("auth", "", "/auth", "auth")]
    server.answers["/auth"] = (200, b'{"version": "3.2.0"}')
    results = by_name(smoke_test.run())
    assert "write back" not in results
    assert results["versions"].detail == "auth 3.2.0"
    assert results["no token"].detail == "users are refused without a token"
    assert not any("userContactDetails" in path for path in server.seen)


def test_no_secret_is_in_an_address(smoke_test, server):
    smoke_test.run()
    assert "/api/oauth/token" in server.seen
    assert not any("?" in path for path in server.seen)


def test_every_check_is_run_and_says_what_is_wrong_without_the_database(smoke_test):
    results = by_name(smoke_test.run())
    for name in ("profiles", "write back"):
        assert not results[name].ok
        assert "127.0.0.1" in results[name].detail
        assert "hidden" not in results[name].detail


@pytest.mark.parametrize(
    ("path", "answer", "name", "detail"),
    [
        ("/", (502, b""), "ui", "/ answers 502, expected 200"),
        ("/openlmis.js", (200, b" \n"), "ui", "/openlmis.js is empty"),
        ("/openlmis.js", (404, b"x"), "ui", "/openlmis.js answers 404"),
        ("/openlmis.js", (200, b"<!doctype html>"), "ui", "/openlmis.js is a page, not a script"),
        ("/auth", (200, b'{"version": "3.2.0"}'), "versions", "/auth answers 3.2.0, expected 4.0.0"),
        ("/notification", (502, b""), "versions", "/notification answers 502, expected 4.0.0"),
        ("token", (200, b"{}"), "login", "expected 200 with a token"),
        ("token", (503, b""), "login", "answers 503"),
        ("token", (200, b"[]"), "login", "expected 200 with a token"),
        (
            "/api/users/00000000-0000-0000-0000-000000000000",
            (404, b""),
            "no token",
            "/api/users/00000000-0000-0000-0000-000000000000 answers 404, expected 401",
        ),
        (
            "/api/userContactDetails/00000000-0000-0000-0000-000000000000",
            (200, b""),
            "no token",
            "answers 200, expected 401",
        ),
    ],
)
def test_what_is_wrong_fails_its_check_only(smoke_test, server, path, answer, name, detail):
    server.answers[path] = answer
    results = by_name(smoke_test.run())
    assert not results[name].ok
    assert detail in results[name].detail
    others = {"ui", "versions", "wrong login", "login", "no token"} - {name}
    assert all(results[other].ok for other in others)


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_wrong_login_that_is_not_refused_as_one_is_found(smoke_test, server, status):
    server.refusal = status
    with pytest.raises(Failed, match=f"a wrong login answers {status}, expected 400"):
        smoke_test.wrong_login()


def test_a_wrong_password_or_client_of_ours_is_named_as_such(smoke_test):
    smoke_test.params = {**smoke_test.params, "admin_password": "not it"}
    with pytest.raises(Failed, match="administrator is refused: correct the login"):
        smoke_test.login()
    smoke_test.params["client_secret"] = "not it"
    with pytest.raises(Failed, match="user-client is refused: correct the OAuth client"):
        smoke_test.login()


def test_a_missing_right_is_named_with_the_place_to_give_it(smoke_test, server):
    server.answers["/api/userContactDetails/1"] = (403, b"{}")
    smoke_test.token = "x"
    with pytest.raises(
        Failed, match=r"lacks the right USERS_MANAGE.*General Administration.*Administration, Users, Roles"
    ):
        smoke_test.read("/api/userContactDetails/1")


def test_what_is_not_there_is_none(smoke_test):
    smoke_test.token = "x"
    assert smoke_test.read("/api/users/1") is None


def test_nothing_is_read_without_a_login(smoke_test, server):
    with pytest.raises(Failed, match="not tried, since the login failed"):
        smoke_test.read("/api/users/1")
    assert server.seen == []


def test_an_address_that_is_none_is_refused():
    with pytest.raises(OperationError, match="base_url"):
        SmokeTest({**PARAMS, "base_url": "localhost"}, [], print)


def test_the_summary_names_what_failed_and_what_was_not_tried():
    results = [Result("a", True, False, "fine"), Result("b", True, True, "none"), Result("c", False, False, "is wrong")]
    assert summary(results) == "1 of 3 checks passed, not tried: b. c: is wrong."
    assert summary(results[:1]) == "1 of 1 checks passed."
