# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for openlmis/reference-ui: two static files and a page for everything else."""

from __future__ import annotations

import os
import time

from standin import Answer, Request, log, register, serve, stop_at_once_on_sigterm

VERSION = os.environ["OPENLMIS_VERSION"]
INDEX = """<!DOCTYPE html>
<html><head><title>OpenLMIS</title><script src="openlmis.js"></script></head><body>OpenLMIS</body></html>
"""
MISSING = """<!DOCTYPE html>
<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>
"""


def script() -> str:
    """openlmis.js: shipped ready by 5.0; from 5.1.0 rewritten at container start by a package from the network."""
    if VERSION >= "5.1.0":
        log("INFO  installing envreplace")
        time.sleep(0.5)
        if os.environ.get("REHEARSAL_FAULT") == "no-network":
            log("ERROR network request failed")
            return ""
    return "window.openlmis = {version: '%s', server: ''};\n" % VERSION


def main() -> None:
    """Write openlmis.js, register for every path that nobody else has, serve."""
    stop_at_once_on_sigterm()
    log("INFO  Starting reference-ui %s" % VERSION)
    text = script()

    def answer(request: Request) -> Answer:
        if request.path in ("/", "/index.html"):
            return Answer(200, INDEX, "text/html")
        if request.path == "/openlmis.js":
            return Answer(200, text, "application/javascript")
        return Answer(404, MISSING, "text/html")

    register("reference-ui", ["<all>"], port=80)
    serve([("GET", "/.*", answer)], 80, Answer(405, "method not allowed", "text/plain"))


if __name__ == "__main__":
    main()
