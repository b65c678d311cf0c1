#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rehearsal_check
short_description: Tell whether a copy of production may be put onto a server
version_added: "0.1.0"
description:
  - Looks at a dump and at a server and refuses where a rehearsal could do harm - a server that is not marked as
    staging, whose BASE_URL or
    database is production's, whose mail goes to real people, on which an upgrade is under way, or that runs another
    release than production.
  - It refuses as well what M(openlmis.operations.upgrade_check) would refuse of the deployment's files.
  - Changes nothing. No password and no personal datum is in the result.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.server
  - openlmis.operations.database
options:
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  dump:
    description: The dump on the managed host, as for M(openlmis.operations.database_copy).
    type: path
    required: true
  backup_dir:
    description: Where the server's own backups are, among which production's dump must not be.
    type: path
    default: /var/backups/openlmis
  staging:
    description: Whether the server is marked as staging.
    type: bool
    default: false
  base_url:
    description: The server's own address.
    type: str
  production_base_url:
    description: Production's address, where the dump is no backup of this collection, which tells it.
    type: str
  mail_hosts:
    description: Mail hosts that catch mail and send none on.
    type: list
    elements: str
    default: []
  run:
    description: Id of the run that is under way on this server, if any.
    type: str
    default: ""
attributes:
  check_mode:
    description: Runs the same way in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
seealso:
  - module: openlmis.operations.database_copy
  - module: openlmis.operations.make_harmless
"""

EXAMPLES = r"""
- name: May the copy be put here?
  openlmis.operations.rehearsal_check:
    project_src: /opt/openlmis
    dump: /srv/production/20260102T190000Z
    staging: true
    base_url: https://staging.lmis.example.org
    release: "{{ lookup('ansible.builtin.file', 'vars/releases/3.4.0.yml') | from_yaml }}"
    migrations: "{{ (lookup('ansible.builtin.file', 'vars/flyway_versions.yml') | from_yaml).components }}"
  register: rehearsal
"""

RETURN = r"""
findings:
  description: The outcome of every check.
  returned: success
  type: list
  elements: dict
table:
  description: The same as aligned lines for a person, and the verdict in the last line.
  returned: success
  type: list
  elements: str
refused:
  description: What each check that refuses has to say; empty when the rehearsal may begin.
  returned: success
  type: list
  elements: str
dump:
  description: Kind, size and, of a backup, origin of the dump.
  returned: success
  type: dict
production_base_url:
  description: Production's address, as the operator or the backup tells it.
  returned: success
  type: str
components:
  description: What the components are expected to be on the copy before the upgrade, for
    M(openlmis.operations.wait_for_release).
  returned: success
  type: list
  elements: dict
server:
  description: What M(openlmis.operations.server_info) returns.
  returned: success
  type: dict
"""

import os
from typing import Any, Dict, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.backup import dumps
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks, evidence, rehearsing
from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import REFUSED, table, verdict
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError, leave
from ansible_collections.openlmis.operations.plugins.module_utils.docker.compose import require_docker
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import require_psycopg2
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, outlook

# They look at the database that is replaced.
OF_THE_DATABASE = ("database", "database volume", "migration order")


def check(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Look at dump and server and return the module's result."""
    dump = dumps.look(params["dump"]).told()
    versions = server.docker_versions()
    # A rehearsal that was cut off has left no component's container.
    seen = server.look(params, may_be_gone=True)
    facts = server.facts_of(seen, params)
    starts = params["release"]["upgrades_from"]
    known = {
        **facts,
        **{key: params[key] for key in ("staging", "base_url", "production_base_url", "mail_hosts", "run", "images")},
        "dump": dump,
        "backup_dir": os.path.realpath(params["backup_dir"]),
        "starts": starts,
        "docker": versions,
        "named": params["release"].get("services") or {},
        "user_interface": params["release"]["user_interface"],
        "compose_profiles": deployment.chosen_profiles(seen.src),
        "without_way_back": False,
        "discard_files": [],
        "rendered": evidence.rendered(seen, list(facts["unrendered"])),
        "outlook": outlook.look(params, seen.project, seen.files, seen.services, seen.rendered),
        "live": {},
    }
    # What the upgrade would refuse of the files is better known before a long restore than after it.
    findings = rehearsing.findings(known) + [
        one for one in checks.findings(known, resumed=True) if one.check not in OF_THE_DATABASE
    ]
    here = facts["release"]
    return {
        "findings": [finding._asdict() for finding in findings],
        "table": [*table(findings), verdict(findings, "a copy of production may be put onto this server")],
        "refused": [f"{finding.check}: {finding.sentence()}" for finding in findings if finding.status == REFUSED],
        "dump": dump,
        "production_base_url": rehearsing.production_url(known),
        "components": (
            deployment.components_at(facts["components"], starts[here], params["migrations"]) if here in starts else []
        ),
        "server": facts,
    }


def main() -> None:
    """Entry point of the module."""
    spec = server.argument_spec()
    spec.update(
        dump={"type": "path", "required": True},
        backup_dir={"type": "path", "default": "/var/backups/openlmis"},
        staging={"type": "bool", "default": False},
        base_url={"type": "str"},
        production_base_url={"type": "str"},
        mail_hosts={"type": "list", "elements": "str", "default": []},
        run={"type": "str", "default": ""},
    )
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    require_docker(module)
    require_psycopg2(module)
    try:
        leave(module, changed=False, **check(module.params))
    except OperationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
