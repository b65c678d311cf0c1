#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_copy
short_description: Put a copy of another server's database in the place of this one's
version_added: "0.1.0"
description:
  - With O(state=beside) restores a dump into a fresh database beside the one that is there; of a backup of
    M(openlmis.operations.database_backup)
    it compares the rows of every table, and the contents where the manifest has them. With O(state=in_place) it lets
    that database take the name of
    the one that is there, in one transaction. In between M(openlmis.operations.make_harmless) is run on it;
    O(state=in_place) refuses a copy from
    which mail or orders could still go out.
  - Takes a backup's folder, every format of C(pg_dump), and plain text of C(pg_dumpall). Owners and rights are not
    restored, since the roles may not
    exist here; all belongs to the role that OpenLMIS uses.
  - A text may hold other databases, roles and commands for C(psql). It never comes near this server. It is restored in
    a throw-away PostgreSQL in a
    container of the database's own image without a network, and OpenLMIS' database is dumped from there.
  - A database outside the Compose project on which others have sessions is refused with O(state=beside), unless the
    dump is a backup, whose manifest
    tells whose database it is of. The components of the server itself must be stopped.
  - The database that was there is kept as C(<database>_before_<run>). Only what an earlier rehearsal has put there is
    dropped, known by its comment.
  - It may be ended at any point and run again.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
  - openlmis.operations.progress
options:
  project_src:
    required: true
  dump:
    description: Folder or file of the dump on the managed host, for O(state=beside).
    type: path
  state:
    description: V(beside) restores the copy, V(in_place) gives it its name, V(absent) drops a copy that has not got it.
    type: str
    choices: [beside, in_place, absent]
    default: beside
  run:
    description: Id of the rehearsal. Databases and containers are named after it.
    type: str
    required: true
  work_dir:
    description: Folder of this host for what is unpacked on the way, made and removed by this module.
    type: path
    required: true
  database:
    description: Name of OpenLMIS' database in a dump of a whole server, needed only where several databases have
      OpenLMIS' tables.
    type: str
  jobs:
    description: Number of parallel jobs of C(pg_restore).
    type: int
    default: 2
  wait_for_sessions:
    description: Seconds to try to end the sessions that stand in the way. They are ended only where this role may.
    type: int
    default: 60
  image:
    description:
      - Image on this host with PostgreSQL's programs that are not older than the server, for a database outside the
        Compose project.
        Without it programs of this host are taken. A dump in plain text needs it then, with the server's programs, too.
    type: str
requirements:
  - docker (Python package)
  - psycopg2 (Python package)
attributes:
  check_mode:
    description: Refuses what a real run would refuse, and tells what it would do.
    support: full
  diff_mode:
    description: A database is no text to compare.
    support: none
seealso:
  - module: openlmis.operations.make_harmless
"""

EXAMPLES = r"""
- name: Restore the copy
  openlmis.operations.database_copy:
    project_src: /opt/openlmis
    dump: /srv/production/open_lmis.dump
    run: 20260102T185500Z
    work_dir: /var/lib/openlmis-operations/rehearsal
  register: copy

- name: Make it harmless
  openlmis.operations.make_harmless:
    project_src: /opt/openlmis
    login_db: "{{ copy.scratch }}"
    copy: true

- name: Let it take its place
  openlmis.operations.database_copy:
    state: in_place
    project_src: /opt/openlmis
    run: 20260102T185500Z
    work_dir: /var/lib/openlmis-operations/rehearsal
"""

RETURN = r"""
database:
  description: The database whose place the copy takes.
  returned: success
  type: str
scratch:
  description: The name of the copy until then.
  returned: success
  type: str
kept_as:
  description: The name under which the database that was there is kept; none when it was an earlier rehearsal's and is
    dropped.
  returned: success
  type: str
in_place:
  description: Whether this copy has its place already.
  returned: when O(state=absent)
  type: bool
dropped:
  description: Databases of earlier rehearsals that were dropped.
  returned: success
  type: list
  elements: str
tables:
  description: Number of tables in the copy.
  returned: when O(state=beside) and not in check mode
  type: int
rows:
  description: Rows of all tables in the copy.
  returned: when O(state=beside) and not in check mode
  type: int
bytes:
  description: Size of the copy on the disk.
  returned: when O(state=beside) and not in check mode
  type: int
proven:
  description: Whether all rows were compared with the manifest of a backup.
  returned: when O(state=beside) and not in check mode
  type: bool
duration:
  description: Seconds that it took.
  returned: when O(state=beside) and not in check mode
  type: float
lines:
  description: What was done, or would be, in words.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import copy


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec["project_src"]["required"] = True
    spec.update(
        dump={"type": "path"},
        state={"type": "str", "choices": ["beside", "in_place", "absent"], "default": "beside"},
        run={"type": "str", "required": True},
        work_dir={"type": "path", "required": True},
        database={"type": "str"},
        jobs={"type": "int", "default": 2},
        wait_for_sessions={"type": "int", "default": 60},
        image={"type": "str"},
    )
    skeleton.shown(
        spec, copy.run, compose.require_docker, database.require_psycopg2, required_if=[("state", "beside", ["dump"])]
    )


if __name__ == "__main__":
    main()
