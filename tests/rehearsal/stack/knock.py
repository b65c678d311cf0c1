# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Knocks at doors until its standard input ends: a program of its own, so that it can run in another network namespace.

knock.py FILE PATIENCE PAUSE PATH NAME,KIND,ADDRESS,PORT ...

One thread per door. A door of kind `new` gets a connection for each request; one of kind `kept` sends its requests over
one connection that it keeps open, however long nothing comes back. Each attempt is one line of JSON: the door's name,
when the request was sent and when it ended (seconds of the clock), the status or null, the body or what went wrong.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from typing import TextIO

# After so long without an answer a client gives even an open connection up.
GIVE_UP = 20


class Door(threading.Thread):
    """Knocks at one door again and again."""

    def __init__(self, out: TextIO, patience: float, pause: float, path: str, spec: str) -> None:
        super().__init__(daemon=True)
        self.out, self.patience, self.pause = out, patience, pause
        self.request = ("GET %s HTTP/1.1\r\nHost: lmis\r\n\r\n" % path).encode()
        self.label, self.kind, self.address, port = spec.split(",")
        self.port = int(port)
        self.connection: socket.socket | None = None
        self.asked = False
        self.sent = 0.0

    def run(self) -> None:
        """Knock and write down what came of it."""
        while True:
            status, said = self.knock()
            line = json.dumps(
                {"door": self.label, "sent": self.sent, "ended": time.time(), "status": status, "said": said}
            )
            self.out.write(line + "\n")
            self.out.flush()
            time.sleep(self.pause)

    def knock(self) -> tuple[int | None, str]:
        """One attempt; over an open connection without an answer it goes on waiting for that one."""
        try:
            if self.connection is None:
                self.sent = time.time()
                self.connection = socket.create_connection((self.address, self.port), timeout=self.patience)
                self.asked = False
            if not self.asked:
                self.sent = time.time()
                self.connection.sendall(self.request)
                self.asked = True
            response = http.client.HTTPResponse(self.connection)
            response.begin()
            body = response.read().decode(errors="replace")
            self.asked = False
            if self.kind == "new" or response.will_close:
                self.hang_up()
            return response.status, body
        except TimeoutError:
            if self.kind == "new" or time.time() - self.sent > GIVE_UP:
                self.hang_up()
            return None, "silence"
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            return None, type(error).__name__

    def hang_up(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def main() -> None:
    """Knock until standard input ends."""
    name, patience, pause, path, *specs = sys.argv[1:]
    with open(name, "a", encoding="utf-8") as out:
        for spec in specs:
            Door(out, float(patience), float(pause), path, spec).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
