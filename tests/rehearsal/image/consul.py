# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for consul: the part of its registry and key-value store that OpenLMIS uses, in memory."""

from __future__ import annotations

import base64
import itertools
import threading
from typing import Any

from standin import Answer, Request, log, serve, stop_at_once_on_sigterm

LOCK = threading.Lock()
# consul lists itself, without an address and without a tag.
ITSELF: dict[str, Any] = {"ID": "consul", "Name": "consul", "Address": "", "Port": 8300, "Tags": [], "CreateIndex": 3}
SERVICES: dict[str, dict[str, Any]] = {"consul": ITSELF}
INDEX = itertools.count(4)
KEYS: dict[str, bytes] = {}


def register(request: Request) -> Answer:
    """PUT /v1/agent/service/register."""
    service = request.json()
    with LOCK:
        created = SERVICES.get(service["ID"], {}).get("CreateIndex") or next(INDEX)
        SERVICES[service["ID"]] = {**service, "CreateIndex": created}
    log("INFO  registered %s at %s" % (service["ID"], service["Address"]))
    return Answer(200)


def deregister(request: Request) -> Answer:
    """PUT /v1/agent/service/deregister/{id}; consul does not let itself be deregistered."""
    if request.match["id"] == ITSELF["ID"]:
        return Answer(500, "Deregistering the consul service is not allowed", "text/plain")
    with LOCK:
        SERVICES.pop(request.match["id"], None)
    return Answer(200)


def services(request: Request) -> dict[str, Any]:
    """GET /v1/catalog/services: name to the tags of all its registrations."""
    with LOCK:
        found: dict[str, set[str]] = {}
        for service in SERVICES.values():
            found.setdefault(service["Name"], set()).update(service["Tags"])
        return {name: sorted(tags) for name, tags in found.items()}


def instances(request: Request) -> list[dict[str, Any]]:
    """GET /v1/catalog/service/{name}: every registration, alive or not."""
    with LOCK:
        return [
            {
                "ServiceID": service["ID"],
                "ServiceName": service["Name"],
                "ServiceAddress": service["Address"],
                "ServicePort": service["Port"],
                "ServiceTags": service["Tags"],
                "CreateIndex": service["CreateIndex"],
            }
            for service in SERVICES.values()
            if service["Name"] == request.match["name"]
        ]


def put_key(request: Request) -> bool:
    """PUT /v1/kv/{key}."""
    with LOCK:
        KEYS[request.match["key"]] = request.body.strip(b'"')
    return True


def get_keys(request: Request) -> list[dict[str, str]]:
    """GET /v1/kv/{key}, with ?recurse everything below it."""
    with LOCK:
        names = [
            name
            for name in sorted(KEYS)
            if name == request.match["key"] or ("recurse" in request.query and name.startswith(request.match["key"]))
        ]
        return [{"Key": name, "Value": base64.b64encode(KEYS[name]).decode()} for name in names]


if __name__ == "__main__":
    stop_at_once_on_sigterm()
    log("INFO  consul is up")
    serve(
        [
            ("PUT", "/v1/agent/service/register", register),
            ("PUT", "/v1/agent/service/deregister/(?P<id>.+)", deregister),
            ("GET", "/v1/catalog/services", services),
            ("GET", "/v1/catalog/service/(?P<name>[^/]+)", instances),
            ("PUT", "/v1/kv/(?P<key>.+)", put_key),
            ("GET", "/v1/kv/(?P<key>.+)", get_keys),
        ],
        8500,
        Answer(404, "not found", "text/plain"),
    )
