# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are, and which versions the reference distribution pins per release."""

from __future__ import annotations

import pathlib
from typing import Any

import yaml

HERE = pathlib.Path(__file__).resolve().parent.parent
CHECKOUT = HERE.parent.parent
DEFAULT_ROOT = CHECKOUT / ".rehearsal"
FLYWAY_VERSIONS = CHECKOUT / "roles" / "openlmis" / "vars" / "flyway_versions.yml"

PROJECT = "openlmis-rehearsal"
# Other names that it gets: as docker-compose before 1.21 strips it, and as a Compose file may name it.
PROJECTS = (PROJECT, PROJECT.replace("-", ""), PROJECT.replace("-", "_"))
LABEL = "org.openlmis.rehearsal"
# The file by which clean-up knows an anonymous volume or a folder as the rehearsal's.
MARK = ".openlmis-rehearsal"
HTTP_PORT, CONSUL_PORT, FTP_PORT, FTP_DATA_PORT = 18080, 18500, 18021, 18020

# From the ref-distro's .env at its tags v3.3.0, v3.3.1 and v3.4.0, in its order.
RELEASES: dict[str, dict[str, str]] = {
    "3.3.0": {
        "reference-ui": "5.0.6",
        "requisition": "6.0.0",
        "referencedata": "10.0.0",
        "auth": "3.2.0",
        "notification": "3.0.5",
        "fulfillment": "7.0.0",
        "cce": "1.0.0",
        "stockmanagement": "3.0.0",
        "report": "1.1.0",
        "diagnostics": "1.0.0",
    },
    "3.4.0": {
        "reference-ui": "5.1.0",
        "requisition": "7.0.0",
        "referencedata": "11.0.0",
        "auth": "4.0.0",
        "notification": "4.0.0",
        "fulfillment": "7.0.1",
        "cce": "1.0.1",
        "stockmanagement": "3.1.0",
        "report": "1.1.1",
        "diagnostics": "1.0.1",
    },
}
RELEASES["3.3.1"] = {**RELEASES["3.3.0"], "reference-ui": "5.0.7", "requisition": "6.1.0"}
START_RELEASES = ("3.3.0", "3.3.1")

# What runs in the containers: every one but the user interface has a version page at /<name>.
COMPONENTS = [name for name in RELEASES["3.4.0"] if name != "reference-ui"]
# The literal tag in the 3.3 compose files.
CCE_SNAPSHOT = "1.0.0-SNAPSHOT"


def running_version(release: str, component: str) -> str:
    """The version that a component answers at a release; before 3.4 cce is a snapshot whatever .env says."""
    if component == "cce" and release in START_RELEASES:
        return CCE_SNAPSHOT
    return RELEASES[release][component]


def flyway_versions() -> dict[str, Any]:
    """The migrations that each component release ships, keyed by component."""
    return yaml.safe_load(FLYWAY_VERSIONS.read_text())["components"]
