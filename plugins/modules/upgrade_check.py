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
  - Looks at a server as M(openlmis.operations.server_info) does, and for every known trap says whether it is armed, with the
    evidence and the remedy.
  - Changes nothing. It does not fail on a refusal; C(refused) in the result says that the upgrade must not begin.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
  - openlmis.operations.server
options:
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  backup_dir:
    description: Directory on this host that will hold the backup; it or the nearest directory above it must have room.
    type: path
    required: true
  resumed:
    description: Whether a run that was cut off goes on; then only what must hold throughout is checked.
    type: bool
    default: false
  base_url:
    description: The server's public address, as in the deployment's BASE_URL. Without it the check refuses, since the smoke test could not run.
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
table:
  description: The same, one line for each check, for a person.
  returned: success
  type: list
  elements: str
refused:
  description: One sentence for each check that refuses; empty when the upgrade may begin.
  returned: success
  type: list
  elements: str
answers:
  description: The version that each running component answers; nothing of one that does not, and of none when O(resumed).
  returned: success
  type: dict
  sample: {"auth": 3.2.0}
server:
  description: What M(openlmis.operations.server_info) returns.
  returned: success
  type: dict
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import checks, server
from ansible_collections.openlmis.operations.plugins.module_utils.compose import require_docker
from ansible_collections.openlmis.operations.plugins.module_utils.database import require_psycopg2
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.web import Site


def free_space(path: str) -> int:
    """Return the free bytes where the path is or would be made."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def try_login(params: Mapping[str, Any]) -> str:
    """Return why the administrator cannot log in; an empty text when he can."""
    if not params["base_url"]:
        return "openlmis_base_url, openlmis_admin_username and openlmis_admin_password are not set"
    names = ("admin_username", "admin_password", "client_id", "client_secret")
    answer = Site(params["base_url"], params["validate_certs"]).ask_token(*(params[name] for name in names))
    return "" if answer.status == 200 else f"/api/oauth/token {answer.says()}"


def ask_versions(params: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """Return the version that each component answers at its path; none of one that does not."""
    if not params["base_url"]:
        return {}
    site = Site(params["base_url"], params["validate_certs"])
    with ThreadPoolExecutor(4) as pool:
        said = pool.map(lambda component: site.version(component["path"]).version, components)
    return {component["name"]: version for component, version in zip(components, said) if version}


def main() -> None:
    """Entry point of the module."""
    spec = server.argument_spec()
    spec.update(
        backup_dir={"type": "path", "required": True},
        resumed={"type": "bool", "default": False},
        base_url={"type": "str"},
        admin_username={"type": "str"},
        admin_password={"type": "str", "no_log": True},
        client_id={"type": "str", "default": "user-client"},
        client_secret={"type": "str", "default": "changeme", "no_log": True},
        validate_certs={"type": "bool", "default": True},
    )
    module = AnsibleModule(
        argument_spec=spec,
        supports_check_mode=True,
        required_together=[("base_url", "admin_username", "admin_password")],
    )
    require_docker(module)
    require_psycopg2(module)
    params = module.params
    try:
        findings = [checks.check_docker(**server.docker_versions())]
        # A run that was cut off may have lost its containers to a `docker compose down`.
        facts = server.collect(params, may_be_gone=params["resumed"])
        findings += checks.findings(facts, params["resumed"])
        if not params["resumed"]:
            findings.append(checks.check_room(facts, free_space(params["backup_dir"])))
            findings.append(checks.check_login(params["base_url"], params["admin_username"], try_login(params)))
    except OperationError as error:
        module.fail_json(msg=str(error))
    width = max(len(finding.check) for finding in findings)
    module.exit_json(
        changed=False,
        findings=[finding._asdict() for finding in findings],
        table=[f"{finding.status:<8} {finding.check:<{width}}  {finding.sentence()}" for finding in findings],
        refused=[f"{finding.check}: {finding.sentence()}" for finding in findings if finding.status == checks.REFUSED],
        server=facts,
        answers={} if params["resumed"] else ask_versions(params, facts["components"]),
    )


if __name__ == "__main__":
    main()
