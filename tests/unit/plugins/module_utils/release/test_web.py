# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import Site, components_of


class Handler(BaseHTTPRequestHandler):
    """A server in many of the states in which one is met during a start."""

    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        getattr(self, "at_" + self.path.strip("/").replace("-", "_"))()

    do_POST = do_GET

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def at_auth(self):
        self.reply(200, json.dumps({"service": "Auth", "version": "4.0.0"}).encode())

    def at_bad_gateway(self):
        self.reply(502, b"<html>Bad Gateway</html>")

    def at_late(self):
        self.reply(200 if len(self.server.seen) > 2 else 503)

    def at_page(self):
        self.reply(200, b"<html>Welcome to nginx</html>")

    def at_list(self):
        self.reply(200, b"[1]")

    def at_number(self):
        self.reply(200, b'{"version": 4}')

    def at_bytes(self):
        self.reply(200, b"\xff\xfe")

    def at_insists(self):
        self.reply(307, Location="https://localhost/insists")

    def at_moved(self):
        self.reply(302, Location="/auth")

    def at_truncated(self):
        self.reply(200, b"{", **{"Content-Length": "100"})
        self.close_connection = True

    def at_nonsense(self):
        self.wfile.write(b"no HTTP at all\r\n\r\n")
        self.close_connection = True

    def at_closed(self):
        self.close_connection = True

    def at_hang(self):
        time.sleep(12)

    def at_drip(self):
        self.send_response(200)
        self.end_headers()
        for _dribble in range(240):
            time.sleep(0.05)
            self.wfile.write(b" ")
            self.wfile.flush()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.handle_error = lambda *args: None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("method", "idempotent", "asked"), [("GET", False, 3), ("POST", True, 3), ("POST", False, 1)])
def test_what_nginx_could_not_pass_on_is_repeated_unless_it_may_have_an_effect(server, method, idempotent, asked):
    answer = Site(server.address, retry_seconds=30).request(method, "/late", idempotent=idempotent)
    assert (answer.status, len(server.seen)) == (200 if asked == 3 else 503, asked)


def test_what_stays_is_given_up_once_for_all_requests(server):
    site = Site(server.address, retry_seconds=1)
    begun = time.monotonic()
    assert [site.get("/bad-gateway").status for _time in range(3)] == [502] * 3
    assert 1 < time.monotonic() - begun < 3
    assert len(server.seen) > 3


def test_without_patience_nothing_is_repeated(server):
    assert Site(server.address).get("/bad-gateway").status == 502
    assert len(server.seen) == 1


def test_a_component_is_asked_over_several_connections_at_once(server):
    found = Site(server.address).versions_at_once("/auth")
    assert {one.version for one in found} == {"4.0.0"}
    assert len(server.seen) == len(found) >= 4


def test_a_component_names_its_version(server):
    assert Site(server.address + "/").version("/auth") == ("4.0.0", "", False)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/bad-gateway", "answers 502"),
        ("/moved", "answers 302"),
        ("/page", "answers 200, but not with a version in JSON"),
        ("/list", "answers 200, but not with a version in JSON"),
        ("/number", "answers 200, but not with a version in JSON"),
        ("/bytes", "answers 200, but not with a version in JSON"),
        ("/truncated", "answers 200, but not with a version in JSON"),
        ("/nonsense", "gives no answer (no HTTP at all)"),
        ("/closed", "gives no answer (Remote end closed connection without response)"),
    ],
)
def test_whatever_else_it_answers_is_a_problem_that_may_pass(server, path, problem):
    found = Site(server.address).version(path)
    assert (found.version, found.hopeless) == ("", False)
    assert found.problem.replace("\r", "").replace("\n", "") == problem


def test_nobody_listening_is_a_problem_that_may_pass(server):
    server.shutdown()
    server.server_close()
    assert Site(server.address).version("/auth") == ("", "gives no answer (Connection refused)", False)


def test_a_name_that_does_not_resolve_is_a_problem_that_may_pass():
    found = Site("http://openlmis.invalid").version("/auth")
    assert found.problem.startswith("gives no answer (")
    assert not found.hopeless


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_a_request_ends_in_time_whatever_the_server_does(server, path):
    begun = time.monotonic()
    found = Site(server.address, timeout=0.4).version(path)
    assert time.monotonic() - begun < 8
    assert found.problem.startswith("gives no answer (timed out")


def test_a_server_that_insists_on_https_is_hopeless_at_its_http_address(server):
    found = Site(server.address).version("/insists")
    assert found.hopeless
    assert "answers 307 and insists on https (REQUIRE_SSL=true" in found.problem


def test_plain_http_does_not_pretend_to_be_https(server):
    Site(server.address).get("/auth", "abc")
    assert "X-Forwarded-Proto" not in server.seen[0]
    assert server.seen[0]["Authorization"] == "Bearer abc"


def test_proxies_and_netrc_of_the_environment_are_not_used(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Site(server.address).get("/auth").status == 200
    assert "Authorization" not in server.seen[0]


def test_over_https_it_says_so_and_an_unknown_authority_is_hopeless(server, tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    address = server.address.replace("http:", "https:")
    found = Site(address).version("/auth")
    assert found.hopeless
    assert "certificate that this host does not trust" in found.problem
    assert Site(address, validate_certs=False).version("/auth").version == "4.0.0"
    assert server.seen[0]["X-Forwarded-Proto"] == "https"
    found = Site(address, validate_certs=False).version("/insists")
    assert found == ("", "answers 307", False)


@pytest.mark.parametrize(
    "address", ["openlmis.example.org", "ftp://host", "http://", "https://host/?a=b", "http://name:secret@host"]
)
def test_what_is_not_the_address_of_a_server_is_refused_without_being_repeated(address):
    with pytest.raises(OperationError) as caught:
        Site(address)
    assert "Expected http:// or https://" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_components_get_their_defaults():
    (found,) = components_of({"components": [{"name": "cce", "version": "1.0.1", "schema": None, "migrations": None}]})
    assert found == ("cce", "1.0.1", "/cce", "cce", "", ())


def test_components_that_make_no_sense_are_refused():
    with pytest.raises(OperationError, match="cce has migrations but no schema"):
        components_of({"components": [{"name": "cce", "version": "1", "migrations": ["1"]}]})
    with pytest.raises(OperationError, match="named twice"):
        components_of({"components": [{"name": "cce", "version": "1"}, {"name": "cce", "version": "2"}]})
