# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sites add to the reference distribution's files: services of their own, and other ways to start
what is there.
"""

from __future__ import annotations

import re

Files = dict[str, str]

# A service that keeps a schema of its own, which no release knows, and writes into it all the time.
REPORTS = """
  reports:
    image: site/reports:1.6.0
    env_file: settings.env
    depends_on: [db]
"""
# One that drops its schema when it starts without the profile, and gets that from the shell in which Compose runs.
HAPIFHIR = """
  hapifhir:
    image: site/hapifhir:4.0
    env_file: settings.env
    environment:
      spring_profiles_active: ${spring_profiles_active}
    depends_on: [db]
"""
# They exit with 0 by themselves: one writes to the database, the other is waited for by a service that stays.
ONE_SHOTS = """
  loader:
    image: site/loader:1.0
    env_file: settings.env
    depends_on: [db]

  seed:
    image: site/loader:1.0
    command: ["/bin/true"]

  portal:
    image: hauptmedia/proftpd
    depends_on:
      seed:
        condition: service_completed_successfully
"""
# A service whose build lies within that of another, and whose name comes before that one's.
NESTED = """
  own-configuration:
    build:
      context: ./config/site
    volumes:
      - 'site-config:/config'
"""
# An agent that watches the Docker daemon.
AGENT = """
  agent:
    image: hauptmedia/proftpd
    container_name: site-agent
    volumes:
      - '/var/run/docker.sock:/var/agent/docker.sock'
"""


def with_service(files: Files, text: str) -> None:
    """Write a service of the site's own behind the others."""
    files["docker-compose.yml"] = files["docker-compose.yml"].replace("\nvolumes:\n", text + "\nvolumes:\n")


def with_line(files: Files, service: str, line: str) -> None:
    """Give a service one more line, behind its image."""
    pattern = r"(?m)^  %s:\n    image: .*\n" % re.escape(service)
    files["docker-compose.yml"], count = re.subn(
        pattern, lambda match: match[0] + "    %s\n" % line, files["docker-compose.yml"]
    )
    assert count == 1, service


def with_variable(files: Files, service: str, line: str) -> None:
    """Give a service one more line of its environment."""
    pattern = r"(?m)^  %s:\n(?:    .*\n)*?    environment:\n" % re.escape(service)
    files["docker-compose.yml"], count = re.subn(
        pattern, lambda match: match[0] + "      %s\n" % line, files["docker-compose.yml"]
    )
    assert count == 1, service


def shell(files: Files) -> None:
    """The profile comes from the shell of the job that starts the server, to a component and to a service of the site's
    own.
    """
    with_service(files, HAPIFHIR)
    with_variable(files, "auth", "spring_profiles_active: ${spring_profiles_active}")


def own_ui(files: Files) -> None:
    """The user interface is the site's, under a name of its own."""
    text = re.sub(r"(?m)^  reference-ui:$", "  ui:", files["docker-compose.yml"])
    files["docker-compose.yml"] = text.replace("openlmis/reference-ui:${OL_REFERENCE_UI_VERSION}", "site/ui:1.0")


def one_shots(files: Files) -> None:
    """Services that exit with 0 by themselves."""
    with_service(files, ONE_SHOTS)


def reports(files: Files) -> None:
    """A service with a schema of its own."""
    with_service(files, REPORTS)


def nested(files: Files) -> None:
    """One build within another."""
    with_service(files, NESTED)
    files["docker-compose.yml"] += "  site-config:\n    external: false\n"
    files["config/site/Dockerfile"] = "FROM openlmis-operations/config-base\nCOPY site.txt /config/site.txt\n"
    files["config/site/site.txt"] = "of the site's own\n"


def profile(files: Files) -> None:
    """A component belongs to a profile of Compose, which the site names when it starts the server."""
    with_line(files, "cce", "profiles: [cce]")


def agent(files: Files) -> None:
    """Containers with names that exist once on a host, one with the daemon's socket in it."""
    with_service(files, AGENT)
    with_line(files, "auth", "container_name: site-auth")
