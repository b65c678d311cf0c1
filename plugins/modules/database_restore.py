#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_restore
short_description: Put a proven backup in the place of a database, which is kept under another name
version_added: "0.1.0"
description:
  - Restores a backup of M(openlmis.operations.database_backup) into a fresh database beside the one that is there,
    compares the
    rows of every table (and the contents, where the manifest has them) with the manifest, gives it owner, rights,
    settings,
    connection limit and comment of the one that was backed up, and then changes names in one transaction. The one that
    was there
    is kept as C(<database>_failed_<run>).
  - Before anything is changed it refuses - a backup that is not proven, no room or no privilege for a second database,
    and a database in which users have worked since the upgrade, unless O(discard_changes) says that this is to be lost.
  - A superuser makes the fresh database from C(template0). Any other role may not create every extension, so it copies
    the
    database that is there, with its extensions, empties the copy and restores what is not an extension's. It must own
    the
    database and be allowed to create databases (C(CREATEDB)), and to alter roles (C(CREATEROLE)) where other roles have
    settings of their own in the database.
  - It may be ended at any point and run again. A fresh database that was left half-way is known by its name and comment
    and
    made anew; one that is in its place already, by the comment of the one set aside. Nothing else is ever dropped.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
  - openlmis.operations.progress
options:
  project_src:
    required: true
  backup:
    description: The backup's folder.
    type: path
    required: true
  run:
    description: Id of the run that is rolled back. Databases and containers are named after it.
    type: str
    required: true
  jobs:
    description: Number of parallel jobs of C(pg_restore).
    type: int
    default: 2
  users_let_in:
    description: Whether users may have worked since the upgrade.
    type: bool
    default: true
  baseline:
    description:
      - What the database had seen before users were let in, as the step C(maintenance_off) of an upgrade notes it in
        C(activity-<run>.json) of its state directory.
      - Without it nobody can tell what they did, which counts as work.
    type: dict
  discard_changes:
    description: Whether what users have entered since may be lost. It stays in the database that is set aside.
    type: bool
    default: false
  wait_for_sessions:
    description: Seconds to try to end the sessions that stand in the way. They are ended only where this role may.
    type: int
    default: 60
  image:
    description:
      - Image on this host with C(pg_restore) and C(psql) that are not older than the server, for a database outside the
        Compose project.
        Without it programs of this host are taken.
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
  - module: openlmis.operations.database_backup
  - module: openlmis.operations.backup_manifest
"""

EXAMPLES = r"""
- name: Could the backup be restored?
  openlmis.operations.database_restore:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    backup: /var/backups/openlmis/20260102T190000Z
    run: 20260102T185500Z
  check_mode: true

- name: Restore it
  openlmis.operations.database_restore:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    backup: /var/backups/openlmis/20260102T190000Z
    run: 20260102T185500Z
    discard_changes: true
"""

RETURN = r"""
database:
  description: The database that is in place.
  returned: success
  type: str
kept_as:
  description: The name under which the one that was there is kept; none where there was none.
  returned: success
  type: str
strategy:
  description: V(fresh) from C(template0), V(copy) of the database that is there, or V(done) when it is in place
    already.
  returned: success
  type: str
tables:
  description: Number of tables whose rows equal the manifest.
  returned: success
  type: int
rows:
  description: Rows of all tables.
  returned: success
  type: int
hashed:
  description: Number of tables and sequences whose content equals the manifest, too.
  returned: success
  type: int
activity:
  description: What was written since the baseline. It is only in the failed one now.
  returned: when users were let in
  type: dict
  contains:
    unknown:
      description: Why it cannot be told what was written; empty when it can.
      type: str
    tables:
      description: The tables that were written to, each with the C(rows) written and C(deleted).
      type: dict
      sample: {"requisition.requisitions": {"rows": 3, "deleted": 0}}
lines:
  description: What is restored and what is lost, in words.
  returned: success
  type: list
  elements: str
duration:
  description: Seconds that restore and proof took.
  returned: when something was restored
  type: dict
  sample: {"restore": 61.0, "proof": 12.3}
"""

from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restore
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec["project_src"]["required"] = True
    spec.update(
        backup={"type": "path", "required": True},
        run={"type": "str", "required": True},
        jobs={"type": "int", "default": 2},
        users_let_in={"type": "bool", "default": True},
        baseline={"type": "dict"},
        discard_changes={"type": "bool", "default": False},
        wait_for_sessions={"type": "int", "default": 60},
        image={"type": "str"},
    )
    skeleton.shown(spec, restore.into_place, compose.require_docker, database.require_psycopg2)


if __name__ == "__main__":
    main()
