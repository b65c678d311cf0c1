# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference distribution as its own files render it, beside what the rehearsal's deployment renders, and every
intended difference.
"""

from __future__ import annotations

import fnmatch
import json
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from .images import RehearsalError
from .releases import CONSUL_PORT, FTP_DATA_PORT, FTP_PORT, HERE, HTTP_PORT, PROJECT

FACTS: dict[str, Any] = yaml.safe_load((HERE / "facts" / "ref_distro.yml").read_text())
# Stands for a setting that one of the two does not render at all.
NOTHING = "(nothing)"


class Intended(NamedTuple):
    """A difference that is meant: a pattern of services, the path of a setting, what the rehearsal has
    there, and why.
    """

    services: str
    path: str
    ours: str
    reason: str


INTENDED = (
    Intended("*", "environment.BASE_URL", "@BASE_URL@", "the site's own address, which the sample asks for"),
    Intended("*", "environment.VIRTUAL_HOST", "@ADDRESS@", "the same"),
    Intended(
        "*",
        "environment.spring_profiles_active",
        "production",
        "uncommented, as the sample's comment asks of a server that keeps its data",
    ),
    Intended(
        "nginx",
        "ports.80.published",
        str(HTTP_PORT),
        "OL_HTTP_PORT in .env: a port that nothing else on a test machine has",
    ),
    Intended("ftp", "ports.21.published", str(FTP_PORT), "OL_FTP_PORT_21 in .env, for the same reason"),
    Intended("ftp", "ports.20.published", str(FTP_DATA_PORT), "OL_FTP_PORT_20 in .env, for the same reason"),
    Intended("consul", "ports.8500.published", str(CONSUL_PORT), "the same; the original has no variable for it"),
    Intended(
        "referencedata",
        "environment.JAVA_OPTS",
        "-server -Xmx1024m -Dlogging.config=/config/log/logback.xml"
        " -Dflyway.locations=classpath:db/migration,filesystem:/config/db",
        "a Flyway callback of the site's own brings phone numbers into the column of 3.4: without it no phone number"
        " would be copied",
    ),
)
# What an upgraded 3.3 server renders otherwise than a newly installed 3.4.0.
INTENDED_AFTER = (
    *INTENDED,
    Intended(
        "*",
        "environment.SCALYR_API_KEY",
        NOTHING,
        "new in the sample of 3.4.0 and read by no component: an upgrade leaves the site's settings alone",
    ),
    Intended("*", "environment.SCALYR_REPORTING_HOST_NAME", NOTHING, "the same"),
    Intended(
        "redis",
        "depends_on.consul.condition",
        NOTHING,
        "redis asks consul for nothing, and a site may have no service of that name",
    ),
    Intended("redis", "depends_on.consul.required", NOTHING, "the same"),
)


def write(folder: pathlib.Path, release: str) -> None:
    """Write the reference distribution's files of a release, as its facts say them, into a new folder."""
    facts = FACTS[release]
    folder.mkdir(parents=True)
    compose = {
        "version": facts["compose_format"],
        "services": facts["services"],
        "volumes": {name: {"external": False} for name in facts["volumes"]},
    }
    (folder / "docker-compose.yml").write_text(yaml.safe_dump(compose))
    if facts["override_services"]:
        override = {"version": facts["compose_format"], "services": facts["override_services"]}
        (folder / "docker-compose.override.yml").write_text(yaml.safe_dump(override))
    for name, values in ((".env", facts["env"]), ("settings.env", facts["settings_sample"])):
        (folder / name).write_text("".join("%s=%s\n" % one for one in values.items()))


def rendered(folder: pathlib.Path) -> dict[str, Any]:
    """What Compose makes of the files in a folder: services, volumes and networks, without the folder's own name."""
    run = subprocess.run(
        ["docker", "compose", "--project-name", PROJECT, "config", "--format", "json"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RehearsalError("docker compose config failed in %s:\n%s" % (folder, run.stderr.strip()))
    return json.loads(run.stdout.replace(json.dumps(str(folder))[1:-1], "."))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every setting below a value, by its path; ports and mounts go by what they are in the container."""
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        value = {str(one["target"]): one for one in value}
    if not isinstance(value, dict):
        yield path, value if isinstance(value, str) else json.dumps(value)
        return
    for name, one in value.items():
        yield from flat(one, "%s.%s" % (path, name) if path else str(name))


def differences(folder: pathlib.Path, original: pathlib.Path) -> dict[tuple[str, str], tuple[str, str]]:
    """What two folders render differently: (service, path) to (original, ours); what belongs to no service has the
    service ''.
    """
    ours, theirs = (
        {("", path): value for path, value in project(one)} | settings(one)
        for one in (rendered(folder), rendered(original))
    )
    keys = sorted(ours.keys() | theirs.keys())
    both = {key: (theirs.get(key, NOTHING), ours.get(key, NOTHING)) for key in keys}
    return {key: pair for key, pair in both.items() if pair[0] != pair[1]}


def project(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a rendering says beside its services."""
    return flat({name: value for name, value in config.items() if name != "services"})


def settings(config: dict[str, Any]) -> dict[tuple[str, str], str]:
    """What a rendering says of each service; one that is given nothing at all is told by its image."""
    return {(name, path): value for name, service in config["services"].items() for path, value in flat(service)}


def unexplained(
    found: dict[tuple[str, str], tuple[str, str]], table: tuple[Intended, ...], base_url: str
) -> tuple[list[str], list[Intended]]:
    """The differences that no row of the table names, and the rows that name no difference."""
    used, left = set(), []
    for (service, path), (theirs, ours) in found.items():
        rows = [
            row
            for row in table
            if fnmatch.fnmatchcase(service, row.services) and row.path == path and expected(row, base_url) == ours
        ]
        used.update(rows)
        if not rows:
            left.append("%s: %s is %s, and %s in the original" % (service or "the project", path, ours, theirs))
    return left, [row for row in table if row not in used]


def expected(row: Intended, base_url: str) -> str:
    """What a row says the rehearsal has, with the server's address in it."""
    return row.ours.replace("@BASE_URL@", base_url).replace("@ADDRESS@", base_url.split("//")[1])
