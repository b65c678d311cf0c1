#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_backup
short_description: Dump OpenLMIS' database and prove the dump
version_added: "0.1.0"
description:
  - Runs C(pg_dump) in directory format and in parallel from the database's own image, so that versions always fit, in a
    container that shares the database container's network. For a database outside the Compose project it takes those of
    O(image),
    else a C(pg_dump) of this host that is not older than the server.
  - The dump is taken from a snapshot that this module exports and holds. In the same snapshot it counts the rows of
    every table.
  - The dump is proven before it gets its name. It must be of this database and of this snapshot; every table's rows in
    it must
    equal those counted; C(pg_restore) reads the whole archive back; O(verify=restore) restores it. Then everything is
    synced to
    the disk, and checksums are taken.
  - Roles and tablespaces go to C(globals.sql) beside it, without passwords where this role may not read them.
  - The password reaches C(pg_dump) in a file of mode 0600, never by environment or command line.
  - What the backup's manifest has to say of the database is left in C(draft.json) for
    M(openlmis.operations.backup_manifest). A
    folder with that file is not finished. Those that an earlier run left beside O(dest), of the same deployment, are
    removed at
    the start, together with their containers.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
  - openlmis.operations.progress
options:
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  dest:
    description:
      - Folder of the backup; it must not exist yet. The dump is in its subfolder C(database).
      - When the module fails nothing of it stays.
    type: path
    required: true
  run:
    description: Name of the run, which containers are named after.
    type: str
    default: manual
  jobs:
    description: Number of parallel jobs of C(pg_dump), C(pg_restore) and the counting.
    type: int
    default: 2
  verify:
    description:
      - V(rows) compares the rows of every table with the snapshot.
      - V(restore) also restores the dump into a scratch database on the same server, compares a hash of the content of
        every
        table, sequence and large object with the snapshot, and drops the scratch database. It needs the privilege
        CREATEDB, the
        right to create the database's extensions, and room for a second database.
    type: str
    choices: [rows, restore]
    default: rows
  compress:
    description:
      - Level of gzip for the dump's data, V(0) for none, V(9) for the smallest.
      - When it is not given the data are not compressed where three times the database's size is free, else with level
        V(1). To compress
        takes the processors longer than all else that a dump is.
    type: int
  image:
    description:
      - Image on this host with C(pg_dump), C(pg_dumpall) and C(pg_restore) that are not older than the server, for a
        database outside
        the Compose project. Its containers share this host's network. It needs a Docker Engine on this host.
    type: str
requirements:
  - docker (Python package)
  - psycopg2 (Python package)
attributes:
  check_mode:
    description: Looks for room and programs and tells what would be dumped; nothing is dumped or written.
    support: full
  diff_mode:
    description: A dump has no earlier state to compare with.
    support: none
seealso:
  - module: openlmis.operations.backup_manifest
"""

EXAMPLES = r"""
- name: Dump and prove
  openlmis.operations.database_backup:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    dest: /var/backups/openlmis/20260102T190000Z
  register: dump

- name: Finish the backup
  openlmis.operations.backup_manifest:
    path: "{{ dump.dest }}"
"""

RETURN = r"""
dest:
  description: The backup's folder.
  returned: success
  type: str
bytes:
  description: Size of the dump in bytes.
  returned: when not in check mode
  type: int
tables:
  description: Number of tables, each with the same rows in the archive as in the snapshot.
  returned: when not in check mode
  type: int
rows:
  description: Rows of all tables.
  returned: when not in check mode
  type: int
verified:
  description: How the dump was proven.
  returned: when not in check mode
  type: str
globals:
  description: What C(globals.sql) holds, V(with passwords), V(without passwords) or V(none).
  returned: when not in check mode
  type: str
server_version:
  description: Version of the server.
  returned: success
  type: str
duration:
  description: Seconds for the dump and for its proof.
  returned: when not in check mode
  type: dict
  sample: {"dump": 12.1, "proof": 4.0}
"""

from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.dump import dump
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec.update(
        project_src={"type": "path", "required": True},
        dest={"type": "path", "required": True},
        run={"type": "str", "default": "manual"},
        jobs={"type": "int", "default": 2},
        verify={"type": "str", "choices": ["rows", "restore"], "default": "rows"},
        compress={"type": "int"},
        image={"type": "str"},
    )
    skeleton.shown(spec, dump.back_up, compose.require_docker, database.require_psycopg2)


if __name__ == "__main__":
    main()
