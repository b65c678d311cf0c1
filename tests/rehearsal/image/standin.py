# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every program of the rehearsal image needs: log lines, quick stopping, HTTP, consul."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import re
import signal
import socket
import sys
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple


def log(text: str) -> None:
    """Print one log line at once, in the look of the originals."""
    print("%s %s" % (time.strftime("%Y-%m-%d %H:%M:%S"), text), flush=True)


def stop_at_once_on_sigterm() -> None:
    """A process with id 1 ignores SIGTERM unless told otherwise; `docker stop` would wait ten seconds."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, frame: os._exit(128 + received))


class Answer(Exception):
    """An HTTP answer, returned or raised by a handler."""

    def __init__(self, status: int, body: Any = None, content_type: str = "application/json"):
        super().__init__(status)
        self.status = status
        self.body = body
        self.content_type = content_type

    def payload(self) -> bytes:
        """The body as bytes; anything but bytes and text is JSON."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str) and self.content_type != "application/json":
            return self.body.encode()
        return json.dumps(self.body).encode()


class Request(NamedTuple):
    """A request as the handlers see it; `query` holds the last value of each parameter, form fields included."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes
    match: re.Match[str]

    def json(self) -> Any:
        """The body read as JSON; anything else is a 400, as from Spring."""
        try:
            return json.loads(self.body or b"null")
        except ValueError:
            raise Answer(400, {"messageKey": "error.malformedJson", "message": "malformed JSON"}) from None


Handler = Callable[[Request], Any]
Route = tuple[str, str, Handler]


def serve(routes: list[Route], port: int, not_found: Answer) -> None:
    """Answer requests for ever; `routes` are (method, path as a full regular expression, handler)."""
    compiled = [(method, re.compile(path + "/?"), handler) for method, path, handler in routes]

    class Server(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fields = url.query
            if (self.headers.get("Content-Type") or "").startswith("application/x-www-form-urlencoded"):
                fields += "&" + body.decode()
            query = dict(urllib.parse.parse_qsl(fields, keep_blank_values=True))
            result = not_found
            for method, path, handler in compiled:
                match = path.fullmatch(urllib.parse.unquote(url.path))
                if match and self.command in (method, "HEAD" if method == "GET" else method):
                    try:
                        value = handler(Request(self.command, url.path, query, self.headers, body, match))
                        result = value if isinstance(value, Answer) else Answer(200, value)
                    except Answer as raised:
                        result = raised
                    except Exception:
                        log("ERROR " + traceback.format_exc())
                        result = Answer(500, {"messageKey": "error.internal", "message": "internal server error"})
                    break
            payload = result.payload()
            self.send_response(result.status)
            self.send_header("Content-Type", result.content_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(payload)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Listener(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    Listener(("", port), Server).serve_forever()


def call(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 15) -> Any:
    """Make an HTTP request and return the decoded JSON (or None); raises `Answer` with the status on an error."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        raise Answer(error.code, error.read(), error.headers.get("Content-Type", "")) from None
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def own_address() -> str:
    """This container's address on the Compose network."""
    return socket.gethostbyname(socket.gethostname())


def own_id(name: str) -> str:
    """The id under which this container registers: a random number in a file, so that it is the same
    after a restart.
    """
    place = pathlib.Path("/.consul_service_id~")
    if not place.exists():
        place.write_text("%s-%s" % (uuid.uuid4(), name))
    return place.read_text()


def register(name: str, paths: list[str], port: int = 8080, patience: float = 10) -> bool:
    """Register this container and its paths in consul, as the originals do before Java starts.

    The originals never take the registration back. Without consul they go on unregistered after a while.
    """
    consul = "http://%s:%s" % (os.environ.get("CONSUL_HOST") or "consul", os.environ.get("CONSUL_PORT") or "8500")
    service = {
        "ID": own_id(name),
        "Name": name,
        "Address": own_address(),
        "Port": port,
        "Tags": [os.environ.get("SERVICE_TAG") or "openlmis-service"],
    }
    until = time.monotonic() + patience
    while True:
        try:
            call("PUT", consul + "/v1/agent/service/register", service)
            for path in paths:
                call("PUT", consul + "/v1/kv/resources/" + urllib.parse.quote(path.lstrip("/")), name)
            return True
        except (Answer, OSError) as error:
            if time.monotonic() > until:
                log("WARN  not registered in consul: %s" % error)
                return False
            time.sleep(0.3)


def die(text: str) -> None:
    """Log why and leave with exit code 1."""
    log("ERROR " + text)
    sys.exit(1)
