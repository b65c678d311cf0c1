#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_check
short_description: Tell whether an OpenLMIS server may be upgraded, and why not
version_added: "0.1.0"
description:
  - Looks at a server as M(openlmis.operations.server_info) does, and for every known trap says whether it is armed,
    with the
    evidence and the remedy.
  - Changes nothing. It does not fail on a refusal; C(refused) in the result says that the upgrade must not begin.
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
  backup_dir:
    description: Directory on this host that will hold the backup; it or the nearest directory above it must have room.
    type: path
    required: true
  backup:
    description: How the backup is made, V(dump) or the path of the site's own task file; of the latter neither room nor
      C(pg_dump) is looked at.
    type: str
    default: dump
  backup_image:
    description: Image with PostgreSQL's programs for a database outside Compose; see
      O(openlmis.operations.database_backup#module:image).
    type: str
  discard_container_files:
    description: Services that may lose what was written into their container itself, which is otherwise a reason to
      refuse.
    type: list
    elements: str
    default: []
  staging:
    description: Whether this is a staging server with a copy of production, from which neither mail nor orders may get
      out.
    type: bool
    default: false
  mail_hosts:
    description: Mail hosts of a staging server that catch mail and send none on.
    type: list
    elements: str
    default: []
  without_way_back:
    description: Whether an upgrade that was begun by hand and has failed may go forward from where it is.
    type: bool
    default: false
  resumed:
    description: Whether a run that was cut off goes on; then only what must hold throughout is checked.
    type: bool
    default: false
  base_url:
    description: The server's public address, as in the deployment's BASE_URL. Without it the check refuses, since the
      smoke test could not run.
    type: str
  admin_username:
    description: An OpenLMIS administrator, for the smoke test after the upgrade.
    type: str
  admin_password:
    description: The administrator's password.
    type: str
  client_id:
    description: OAuth client of the OpenLMIS UI.
    type: str
    default: user-client
  client_secret:
    description: Secret of O(client_id).
    type: str
    default: changeme
  validate_certs:
    description: Whether to verify the certificate of O(base_url).
    type: bool
    default: true
attributes:
  check_mode:
    description: Runs the same way in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
seealso:
  - module: openlmis.operations.server_info
"""

EXAMPLES = r"""
- name: May this server be upgraded?
  openlmis.operations.upgrade_check:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    backup_dir: /var/backups/openlmis
    release: "{{ lookup('ansible.builtin.file', 'vars/releases/3.4.0.yml') | from_yaml }}"
    migrations: "{{ (lookup('ansible.builtin.file', 'vars/flyway_versions.yml') | from_yaml).components }}"
  register: check

- name: Refuse
  ansible.builtin.assert:
    that: not check.refused
    fail_msg: "{{ check.refused }}"
"""

RETURN = r"""
findings:
  description: The outcome of every check.
  returned: success
  type: list
  elements: dict
  sample:
    - check: production profile
      status: ok
      found: every component renders with it
      expected: ""
      remedy: ""
      details: []
table:
  description: The same as aligned lines for a person, what is refused last, and the verdict in the last line.
  returned: success
  type: list
  elements: str
refused:
  description: What each check that refuses has to say, in one paragraph; empty when the upgrade may begin.
  returned: success
  type: list
  elements: str
warned:
  description: What each check that warns has found, expected, and says is to be done, for the report of the run.
  returned: success
  type: list
  elements: dict
answers:
  description: The version that each running component answers; nothing of one that does not, and of none when
    O(resumed).
  returned: success
  type: dict
  sample: {"auth": 3.2.0}
server:
  description: What M(openlmis.operations.server_info) returns.
  returned: success
  type: dict
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.check import preflight
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Look at everything that could keep the upgrade from its end."""
    compose.require_docker(module)
    database.require_psycopg2(module)
    return {"changed": False, **preflight.check(module.params)}


def main() -> None:
    """Entry point of the module."""
    spec = server.argument_spec()
    spec.update(
        backup_dir={"type": "path", "required": True},
        backup={"type": "str", "default": "dump"},
        backup_image={"type": "str"},
        discard_container_files={"type": "list", "elements": "str", "default": []},
        staging={"type": "bool", "default": False},
        mail_hosts={"type": "list", "elements": "str", "default": []},
        without_way_back={"type": "bool", "default": False},
        resumed={"type": "bool", "default": False},
        base_url={"type": "str"},
        admin_username={"type": "str"},
        admin_password={"type": "str", "no_log": True},
        client_id={"type": "str", "default": "user-client"},
        client_secret={"type": "str", "default": "changeme", "no_log": True},
        validate_certs={"type": "bool", "default": True},
    )
    skeleton.main(spec, work, required_together=[("base_url", "admin_username", "admin_password")])


if __name__ == "__main__":
    main()
