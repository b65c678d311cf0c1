# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins for the FTP server and for rsyslog: something that listens, stops quickly and keeps files."""

from __future__ import annotations

import os
import socketserver
import sys

from standin import log, stop_at_once_on_sigterm


class Ftp(socketserver.StreamRequestHandler):
    """Greets, and says goodbye at the first command."""

    def handle(self) -> None:
        self.wfile.write(b"220 rehearsal FTP server ready\r\n")
        self.rfile.readline()
        self.wfile.write(b"221 goodbye\r\n")


class Syslog(socketserver.DatagramRequestHandler):
    """Appends each datagram to a file."""

    def handle(self) -> None:
        with open("/var/log/messages", "ab") as messages:
            messages.write(self.rfile.read().rstrip(b"\n") + b"\n")


if __name__ == "__main__":
    stop_at_once_on_sigterm()
    log("INFO  %s is up" % sys.argv[1])
    if sys.argv[1] == "ftp":
        # Order files lie in the container's own layer: removing the container loses them.
        os.makedirs("/home/vsftpd/orders", exist_ok=True)
        socketserver.ThreadingTCPServer(("", 21), Ftp).serve_forever()
    else:
        socketserver.ThreadingUDPServer(("", 514), Syslog).serve_forever()
