# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import socket
import threading

from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import reach


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers 502, as nginx does while components start."""

    def do_GET(self):
        self.send_response(502)
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


def test_any_answer_is_one():
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert reach.problem(f"http://localhost:{port}", ["127.0.0.1"]) == ""
        assert reach.problem(f"http://127.0.0.1:{port}/x", []) == ""
        # The first address that answers is enough.
        assert reach.problem(f"http://localhost:{port}", ["127.0.0.2", "127.0.0.1"]) == ""
        server.shutdown()


def test_nobody_who_listens_is_a_problem():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert (
            reach.problem(f"http://localhost:{port}", ["127.0.0.1"])
            == f"no answer from 127.0.0.1 port {port}: Connection refused"
        )


def test_silence_is_a_problem():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        found = reach.problem(f"http://localhost:{port}", ["127.0.0.1"], timeout=0.2)
        assert found == f"no answer from 127.0.0.1 port {port} in 0 seconds"


def test_a_name_without_an_address_is_a_problem():
    assert reach.problem("http://openlmis.invalid", []).startswith("the name openlmis.invalid has no address")


def test_a_hosts_file_is_read_as_the_resolver_does():
    text = "127.0.0.1 localhost\n# 192.0.2.1 lmis.example.org\n192.0.2.7\tother LMIS.example.org # ours\n"
    assert reach.hosts_entry("lmis.example.org", text) == ["192.0.2.7"]
    assert reach.hosts_entry("example.org", text) == []


def test_an_alias_counts_in_a_common_network_only():
    own = {"NetworkSettings": {"Networks": {"default": {"IPAddress": "172.18.0.5"}}}}
    nginx = {
        "Name": "/lmis-nginx-1",
        "NetworkSettings": {
            "Networks": {
                "default": {"IPAddress": "172.18.0.9", "Aliases": ["nginx", "lmis.example.org"]},
                "front": {"IPAddress": "172.19.0.9", "Aliases": ["lmis.example.org"]},
            }
        },
    }
    assert reach.alias_addresses("lmis.example.org", own, [own, nginx]) == ["172.18.0.9"]
    assert reach.alias_addresses("lmis-nginx-1", own, [own, nginx]) == ["172.18.0.9"]
    assert reach.alias_addresses("elsewhere", own, [own, nginx]) == []
