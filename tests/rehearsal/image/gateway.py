# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The openlmis/nginx image: a real nginx whose upstreams and locations follow consul's registrations.

As awkward as the original: a server for each registration, alive or not; a location for whatever was registered once,
so that nginx refuses its configuration when such a name has no registration and does not resolve; a reload for each
change. Two workers where the original has one: each remembers by itself which of several servers did not answer.
"""

from __future__ import annotations

import base64
import os
import pathlib
import re
import subprocess
import time
import urllib.parse
from typing import Any

from standin import Answer, call, log, stop_at_once_on_sigterm

CONSUL = "http://%s:%s" % (os.environ.get("CONSUL_HOST") or "consul", os.environ.get("CONSUL_PORT") or "8500")
CONFIG = pathlib.Path("/etc/nginx/nginx.conf")
PID = pathlib.Path("/run/nginx.pid")
LOGS = os.environ.get("NGINX_LOG_DIR") or "/var/log/nginx/log"

FRAME = """worker_processes 2;
pid /run/nginx.pid;
error_log {logs}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {logs}/access.log;
  client_max_body_size {body_size};
  proxy_connect_timeout 3s;
  proxy_read_timeout {timeout};
{upstreams}
  server {{
    listen 80 default_server;
    root /var/www/html;
    index index.nginx-debian.html;
{locations}
  }}
}}
"""

SSL_ONLY = """
      if ($http_x_forwarded_proto != "https") { return 307 https://$host$request_uri; }"""

LOCATION = """    location ~ {pattern} {{{ssl}
      proxy_pass http://{upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
"""


def registrations() -> tuple[dict[str, list[str]], dict[str, str]]:
    """What consul knows: upstream name to addresses, path to upstream name."""
    tag = os.environ.get("SERVICE_TAG") or "openlmis-service"
    upstreams = {}
    for name, tags in sorted(call("GET", CONSUL + "/v1/catalog/services", timeout=5).items()):
        if tag in tags:
            instances: list[dict[str, Any]] = call("GET", CONSUL + "/v1/catalog/service/" + name, timeout=5)
            upstreams[name] = sorted("%s:%s" % (one["ServiceAddress"], one["ServicePort"]) for one in instances)
    paths = {}
    for entry in call("GET", CONSUL + "/v1/kv/resources/?recurse", timeout=5):
        path = urllib.parse.unquote(entry["Key"][len("resources/") :])
        paths[path] = base64.b64decode(entry["Value"]).decode()
    return upstreams, paths


def render(upstreams: dict[str, list[str]], paths: dict[str, str]) -> str:
    """The nginx configuration: literal paths first, then those with {parameters}, at last <all>."""
    blocks = [
        "  upstream %s { least_conn; keepalive 128; %s }"
        % (name, " ".join("server %s;" % address for address in addresses))
        for name, addresses in upstreams.items()
        if addresses
    ]
    locations = []
    ssl = SSL_ONLY if os.environ.get("REQUIRE_SSL") == "true" else ""
    for path, name in sorted(paths.items(), key=lambda item: ("<" in item[0], "{" in item[0], item[0])):
        body = "/.*" if path == "<all>" else "/" + re.sub(r"\{\w+\}", r"[\\w-]+", path) + "/?$"
        locations.append(LOCATION.format(pattern="^" + body, ssl=ssl, upstream=name))
    return FRAME.format(
        logs=LOGS,
        body_size=os.environ.get("CLIENT_MAX_BODY_SIZE") or "1m",
        timeout=os.environ.get("NGINX_TIMEOUT") or "60s",
        upstreams="\n".join(blocks),
        locations="".join(locations),
    )


def write(text: str) -> None:
    """Replace the configuration as a whole: nginx may be reading it."""
    new = CONFIG.with_suffix(".new")
    new.write_text(text)
    new.replace(CONFIG)


def main() -> None:
    """Start nginx on its own page, then reload it whenever consul's content changes."""
    stop_at_once_on_sigterm()
    pathlib.Path(LOGS).mkdir(parents=True, exist_ok=True)
    current = render({}, {})
    write(current)
    PID.unlink(missing_ok=True)  # left by a nginx that was killed
    nginx = subprocess.Popen(["nginx", "-g", "daemon off;"])
    while nginx.poll() is None:
        try:
            wanted = render(*registrations())
        except (Answer, OSError):
            # Without consul the last configuration stays.
            wanted = current
        # A reload fails before nginx is up, and while a name without a registration does not resolve: again the next
        # time.
        if wanted != current and PID.exists():
            write(wanted)
            if not subprocess.run(["nginx", "-s", "reload"], check=False).returncode:
                current = wanted
                log("INFO  nginx reloaded")
        time.sleep(0.4)
    raise SystemExit(nginx.returncode)


if __name__ == "__main__":
    main()
