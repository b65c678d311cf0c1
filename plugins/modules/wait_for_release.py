#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_release
short_description: Wait until an OpenLMIS server runs a release, on evidence
version_added: "0.1.0"
description:
  - Waits until every component has applied all migrations of its release, as the Flyway history of its schema says, and
    names its new version at O(base_url), and until every service has a running container. There is no fixed pause.
  - Ends at once, as a failure, when a container has stopped or restarts again and again. The message has the exit code
    and the end of the container's log, in which passwords, e-mail addresses and telephone numbers are masked.
  - Ends at once, too, when a component names its new version although migrations are missing. It starts to answer only
    after its migrations, so they were skipped, or it uses another database than this module.
  - A server, schema, history table or database that is not there yet, or not at the moment, is waited for.
  - Given O(release), what containers that are gone have registered in consul is taken back at each look, so that nginx
    does not
    send a component's requests to an address that another one has by now, and has one server for each container. A
    registry that
    does not answer yet is waited for.
  - At the end each component is asked over several new connections at the same time, so that every worker of nginx is,
    and all of
    them have to answer. Where nginx has several servers for a component, it may remember for 10 seconds that one of
    them did not
    answer. There the answers have to hold for as long.
  - On a time-out nothing is stopped. The message says what each component lacks and which sessions block a migration.
options:
  project_src:
    required: true
  services:
    description:
      - Services of the Compose project that must be running in addition to those of O(components).
      - Leave out those that end by themselves, such as C(service-configuration).
    type: list
    elements: str
    default: []
  may_exit:
    description: Those of O(services) that are not waited for once they have ended with exit code 0, such as a job of
      the site's own.
    type: list
    elements: str
    default: []
  timeout:
    description: How long to wait, in seconds. A migration of a large database may take this long.
    type: int
    default: 1800
  interval:
    description:
      - Seconds between two looks at containers, histories and versions.
      - The wait ends with the first look that comes after the last component's first answer, unless nginx has several
        servers for it.
    type: float
    default: 1
extends_documentation_fragment:
  - openlmis.operations.site
  - openlmis.operations.database
  - openlmis.operations.progress
attributes:
  check_mode:
    description: Says what would be waited for, and returns at once.
    support: full
  diff_mode:
    description: Has no diff, since nothing is changed.
    support: none
requirements:
  - Python packages C(docker) and C(psycopg2) on the host, which has to reach Docker, the database and O(base_url)
seealso:
  - module: openlmis.operations.smoke_test
author:
  - OpenLMIS operations contributors (@OpenLMIS)
"""

EXAMPLES = r"""
- name: Wait until reference data and requisition run their new versions
  openlmis.operations.wait_for_release:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    base_url: https://openlmis.example.org
    services: [db, consul, nginx, reference-ui]
    components:
      - name: referencedata
        version: 11.0.0
        schema: referencedata
        migrations: ["20180504135225615", "20180612084129583"]
      - name: diagnostics
        version: 1.0.1
    timeout: 3600
"""

RETURN = r"""
components:
  description: What each component has reached, by its name. Also returned with a failure.
  returned: not in check mode
  type: dict
  contains:
    version:
      description: The version that it names; empty when it does not answer.
      type: str
    migrations:
      description: How many of the wanted migrations are in its history.
      type: int
    seconds:
      description: Seconds from the beginning of the wait until the component was seen to be complete, else none.
      type: float
    started:
      description: When its container was started, in UTC as the container engine says; none without a container.
      type: str
    answered:
      description: When the component was seen to be complete, in UTC; none when it was not.
      type: str
    lacks:
      description: What it lacks, in words; empty when it is complete.
      type: list
      elements: str
  sample:
    referencedata:
      version: 11.0.0
      migrations: 73
      seconds: 41.3
      started: "2026-01-02T19:03:01.250"
      answered: "2026-01-02T19:03:43.100"
      lacks: []
registrations:
  description: The registrations that were taken back; none where no registry runs.
  returned: success, not in check mode
  type: list
  elements: str
duration:
  description: How long the wait took, in seconds. Also returned with a failure.
  returned: not in check mode
  type: float
  sample: 64.2
blockers:
  description: Database sessions that others wait for, without their queries.
  returned: on a time-out
  type: list
  elements: dict
  sample:
    - pid: 4211
      application_name: psql
      state: idle in transaction
      since: "2018-10-01T20:15:07+00:00"
      blocks: [4307]
service:
  description: The service to look at.
  returned: on a failure that has one service to blame
  type: str
  sample: requisition
exit_code:
  description: The exit code of its container; none when a looping one happened to run when it was looked at.
  returned: when a container has stopped or loops
  type: int
  sample: 1
msg:
  description: What was waited for or what went wrong.
  returned: always
  type: str
"""

from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.release import wait, web


def main() -> None:
    """Entry point of the module."""
    spec = {**database.connection_argument_spec(), **web.site_argument_spec()}
    spec["project_src"]["required"] = True
    spec.update(
        services={"type": "list", "elements": "str", "default": []},
        may_exit={"type": "list", "elements": "str", "default": []},
        timeout={"type": "int", "default": 1800},
        interval={"type": "float", "default": 1},
    )
    skeleton.shown(spec, wait.wait, compose.require_docker, database.require_psycopg2)


if __name__ == "__main__":
    main()
