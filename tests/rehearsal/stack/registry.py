# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on this machine with images of random bytes, as slow and as closed as a test wants it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CHUNK = 1 << 16


class Registry(ThreadingHTTPServer):
    """What Docker asks a registry for when it pulls. Engines trust one on a loopback address without TLS."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[str, bytes]] = {}
        self.login = ""
        self.bytes_per_second = 0

    @property
    def host(self) -> str:
        """Its address as it begins an image's name."""
        return "127.0.0.1:%d" % self.server_port

    def add(self, name: str, tag: str, size: int) -> str:
        """Have an image with one layer of so many bytes; returns its name."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("random")
            entry.size = size
            archive.addfile(entry, io.BytesIO(os.urandom(size)))
        layers = {"type": "layers", "diff_ids": [digest(packed.getvalue())]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": layers}).encode()
        layer = gzip.compress(packed.getvalue(), 1)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(name, "application/vnd.docker.container.image.v1+json", config),
            "layers": [self._blob(name, "application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        }
        text = json.dumps(manifest).encode()
        for reference in (tag, digest(text)):
            self.answers["/v2/%s/manifests/%s" % (name, reference)] = (MANIFEST, text)
        return "%s/%s:%s" % (self.host, name, tag)

    def _blob(self, name: str, kind: str, content: bytes) -> dict[str, object]:
        self.answers["/v2/%s/blobs/%s" % (name, digest(content))] = ("application/octet-stream", content)
        return {"mediaType": kind, "size": len(content), "digest": digest(content)}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        server = self.server
        wanted = "Basic " + base64.b64encode(server.login.encode()).decode()
        if server.login and self.headers.get("Authorization") != wanted:
            return self.say(401, "application/json", b"{}", with_body, {"WWW-Authenticate": 'Basic realm="test"'})
        if self.path == "/v2/":
            return self.say(200, "application/json", b"{}", with_body)
        if self.path not in server.answers:
            error = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()
            return self.say(404, "application/json", error, with_body)
        kind, content = server.answers[self.path]
        return self.say(200, kind, content, with_body, {"Docker-Content-Digest": digest(content)})

    def say(
        self, status: int, kind: str, content: bytes, with_body: bool, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        for begin in range(0, len(content) if with_body else 0, CHUNK):
            self.wfile.write(content[begin : begin + CHUNK])
            if self.server.bytes_per_second and len(content) > CHUNK:
                time.sleep(CHUNK / self.server.bytes_per_second)

    def log_message(self, *arguments: object) -> None:
        """Silent."""


def digest(content: bytes) -> str:
    """The name that a content has in a registry."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def serving() -> Iterator[Registry]:
    """A registry for the length of the block."""
    registry = Registry()
    threading.Thread(target=registry.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield registry
    finally:
        registry.shutdown()
        registry.server_close()
