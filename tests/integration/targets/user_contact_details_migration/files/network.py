# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network between the module and PostgreSQL that fails at a chosen statement, and one of its own that can vanish."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import socket
import struct
import threading

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
READY_FOR_QUERY = b"Z"


class Line:
    """Listens on ``port`` of 127.0.0.1 and passes on to PostgreSQL's Unix socket ``target`` until the statement comes.

    ``statement`` is a pattern, of whose matches the one numbered ``number`` counts; "" is the start of the session.
    ``when`` it fails is "before" the statement reaches the server, "during" its work, or "after" it, when the answer is
    not passed on. Then nothing is passed on any more; with ``cut`` both ends are told so, else both are left in silence
    until close().
    """

    def __init__(
        self, target: str, statement: str | None, when: str = "before", cut: bool = True, number: int = 1
    ) -> None:
        self.target, self.statement, self.when, self.cut, self.number = target, statement, when, cut, number
        self.seen: list[str] = []
        self.failed = threading.Event()
        self.awaiting_answer = False
        self.sockets: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.listener.close()
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _fail(self) -> None:
        if self.cut:
            self.close()
        self.failed.set()

    def _serve(self) -> None:
        client = self.listener.accept()[0]
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        self.sockets = [client, server]
        threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
        with contextlib.suppress(OSError, EOFError):
            startup = _exactly(client, 4)
            startup += _exactly(client, struct.unpack("!I", startup)[0] - 4)
            self._pass(startup, "", server)
            while not self.failed.is_set():
                kind, message = _message(client)
                self._pass(message, message[5:-1].decode() if kind == b"Q" else None, server)
        if not self.failed.is_set():
            self.close()

    def _pass(self, message: bytes, text: str | None, server: socket.socket) -> None:
        """On to the server, unless this is where the network fails."""
        if text:
            self.seen.append(text)
        here = text is not None and self.statement is not None and re.search(self.statement or "^$", text)
        self.number -= bool(here)
        if not here or self.number:
            server.sendall(message)
        elif self.when == "before":
            self._fail()
        else:
            self.awaiting_answer = self.when == "after"
            server.sendall(message)
            if self.when == "during":
                self._fail()
            else:
                self.failed.wait()

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            while not self.failed.is_set():
                kind, message = _message(server)
                if self.awaiting_answer:
                    if kind == READY_FOR_QUERY:
                        self._fail()
                elif not self.failed.is_set():
                    client.sendall(message)
        if not self.failed.is_set():
            self.close()


def _exactly(source: socket.socket, number: int) -> bytes:
    data = b""
    while len(data) < number:
        part = source.recv(number - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    """A message of PostgreSQL's protocol, version 3: its type, and the whole of it."""
    head = _exactly(source, 5)
    return head[:1], head + _exactly(source, struct.unpack("!I", head[1:])[0] - 4)


class Namespace:
    """A network of its own, which holds nothing but 127.0.0.1; sockets and processes made within stay in it. Linux, as
    root.
    """

    def enter(self) -> None:
        """PermissionError without the right to."""
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if self.libc.unshare(CLONE_NEWNET):
            os.close(self.outside)
            raise PermissionError(ctypes.get_errno(), "unshare")
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._set(up=True)

    def leave(self) -> None:
        self.libc.setns(self.outside, CLONE_NEWNET)
        os.close(self.outside)

    def vanish(self) -> None:
        """From now on what is sent arrives nowhere, and no one is told. Works from outside, too."""
        self._set(up=False)

    def _set(self, up: bool) -> None:
        fcntl.ioctl(self.control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", up))
