#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_info
short_description: Tell what an OpenLMIS server is at this moment
version_added: "0.1.0"
description:
  - Reads a deployment's Compose files as Compose renders them, its containers, and the Flyway history tables of its
    database, and holds them against a release of OpenLMIS.
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
  database_wait:
    description:
      - Seconds to wait for a database that does not accept connections yet. Nobody waits for a container that does not
        run.
      - A database that has not come by then is told of in C(error) of RV(server), as without waiting.
    type: int
    default: 0
  backup_dir:
    description:
      - Where backups lie. Given, the deployed files of the newest one of this deployment are looked at where Compose
        cannot read those that
        are there; C(project.unreadable) of RV(server) then says why.
    type: path
  backup:
    description: Folder of the backup to look at then, in the place of the newest one in O(backup_dir).
    type: path
attributes:
  check_mode:
    description: Runs the same way in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
seealso:
  - module: openlmis.operations.upgrade_check
"""

EXAMPLES = r"""
- name: Look at the server
  openlmis.operations.server_info:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    release: "{{ lookup('ansible.builtin.file', 'vars/releases/3.4.0.yml') | from_yaml }}"
    migrations: "{{ (lookup('ansible.builtin.file', 'vars/flyway_versions.yml') | from_yaml).components }}"
  register: server

- name: Say which release it runs
  ansible.builtin.debug:
    msg: "{{ server.server.release }}"
"""

RETURN = r"""
server:
  description: What was found.
  returned: success
  type: dict
  contains:
    state:
      description: V(start) for an older release throughout, V(target) for the release throughout, else V(between).
      type: str
      sample: start
    release:
      description: The release whose migrations the database holds exactly, none when they are a mix.
      type: str
      sample: 3.3.1
    project:
      description: Name, directory, Compose files and deployed files of the Compose project.
      type: dict
    built_images:
      description: Images that are built here and run under the name of docker-compose 1, with the name that Compose v2
        wants and the id.
      type: list
      elements: dict
    services:
      description: Every Compose service with its image, container, state, volumes and active Spring profiles.
      type: dict
    restarts:
      description: Whether a service that the upgrade stops has a restart policy.
      type: bool
    components:
      description: The release's components that this server has, with version, schema and expected migrations.
      type: list
      elements: dict
    database:
      description:
        - Name, OID, system identifier, size and version of the database, the volumes of its container, and the number
          of users.
        - C(error) is the reason when it could not be reached, C(may_come) whether it could be by waiting.
      type: dict
    database_groups:
      description: The services by the database URL, user and password that they render; one group is right.
      type: list
      elements: list
    histories:
      description: Per component the number of migrations applied, the newest, those missing and those out of order.
      type: dict
    edits:
      description: What has to be replaced in the deployment's files for the release, for M(ansible.builtin.replace).
      type: list
      elements: dict
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Look at the server."""
    compose.require_docker(module)
    database.require_psycopg2(module)
    params = module.params
    told = {**params, "look_by_backup": params["backup"], "look_by_backup_in": params["backup_dir"]}
    return {"changed": False, "server": server.gather(told, params["database_wait"])[1]}


def main() -> None:
    """Entry point of the module."""
    spec = server.argument_spec()
    spec.update(database_wait={"type": "int", "default": 0}, backup={"type": "path"}, backup_dir={"type": "path"})
    skeleton.main(spec, work)


if __name__ == "__main__":
    main()
