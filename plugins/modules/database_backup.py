#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_backup
short_description: Dump the database of a Compose project and prove the dump
version_added: "0.1.0"
description:
  - Runs C(pg_dump) in directory format and in parallel from the database's own image, so that versions always fit, in a
    container that shares the database container's network.
  - The dump is taken from a snapshot that this module exports and holds. In the same snapshot it counts the rows of every table.
  - The dump is proven before it gets its name. The whole archive is read back with C(pg_restore), since C(pg_restore --list)
    alone passes a truncated archive; the rows of every table in the archive must equal those counted; checksums are taken last.
  - The password reaches C(pg_dump) in a mounted file of mode 0600, never by environment or command line.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
options:
  project_src:
    description: Directory of the deployment's Compose file.
    type: path
    required: true
  dest:
    description:
      - Directory for the dump; it must not exist yet, and appears only when the dump is proven.
      - While the dump is made and proven it is called O(dest) with C(.partial) behind it.
    type: path
    required: true
  jobs:
    description: Number of parallel jobs of C(pg_dump).
    type: int
    default: 2
requirements:
  - docker (Python package)
  - psycopg2 (Python package)
attributes:
  check_mode:
    description: Tells what would be dumped; nothing is run or written.
    support: full
  diff_mode:
    description: A dump has no earlier state to compare with.
    support: none
"""

EXAMPLES = r"""
- name: Dump and prove
  openlmis.operations.database_backup:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    dest: /var/backups/openlmis/20260102T190000Z/database
  register: dump
"""

RETURN = r"""
dest:
  description: Where the dump is.
  returned: success
  type: str
bytes:
  description: Its size in bytes.
  returned: when not in check mode
  type: int
tables:
  description: Rows of every table, counted in the dump's snapshot and found again in the archive.
  returned: when not in check mode
  type: dict
  sample: {"referencedata.users": 312}
rows:
  description: Rows of all tables.
  returned: when not in check mode
  type: int
checksums:
  description: SHA-256 of every file of the dump.
  returned: when not in check mode
  type: dict
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

import gzip
import hashlib
import os
import re
import shutil
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import compose, containers, database
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

CHUNK = 1 << 20
IN_CONTAINER = "/openlmis-backup"
PASSWORD_FILE = "/openlmis-pgpass"
# Tables that an extension owns are dumped as the extension says (often in part), so their rows prove nothing.
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""


def passfile_line(user: str, password: str) -> str:
    """Return a PGPASSFILE line for any host, in which backslash and colon are escaped."""
    escape = {ord("\\"): "\\\\", ord(":"): "\\:"}
    return f"*:*:*:{user.translate(escape)}:{password.translate(escape)}\n"


def parse_listing(text: str) -> Dict[str, str]:
    """Map each table that C(pg_restore --list) says to hold data to the dump's id of that data.

    A line reads C(<id>; <catalog oid> <oid> TABLE DATA <schema> <table> <owner>); names with blanks are taken as a whole,
    since only owners are last.
    """
    pattern = re.compile(r"^(\d+); \d+ \d+ TABLE DATA (\S+) (.+) (\S+)$", re.MULTILINE)
    return {f"{match[2]}.{match[3]}": match[1] for match in pattern.finditer(text)}


def count_rows(chunks: Iterable[bytes]) -> int:
    """Return the rows of one table's data in COPY text format: lines before the end marker.

    Raises OperationError when the data does not end with the marker: it was cut off.
    """
    lines, tail = 0, b"\n"
    for chunk in chunks:
        lines += chunk.count(b"\n")
        tail = (tail + chunk)[-16:]
    match = re.search(rb"\n\\\.(\n+)$", tail)
    if not match:
        raise OperationError("the data does not end with COPY's end marker: it was cut off")
    return lines - len(match[1])


def read_data(path: str) -> int:
    """Return the rows of one data file of a directory-format dump, compressed or not; reads all of it."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as stream:
        return count_rows(iter(lambda: stream.read(CHUNK), b""))


def checksum(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def compare(counted: Dict[str, int], archived: Dict[str, int]) -> List[str]:
    """Return one line for each table whose rows in the archive are not those counted in the snapshot."""
    return [
        f"{table}: {rows} rows in the database, {archived.get(table, 'no data')} in the archive"
        for table, rows in sorted(counted.items())
        if archived.get(table) != rows
    ]


class Backup:
    """One dump of one database, from the export of the snapshot to the proof."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.dest = module.params["dest"]
        self.partial = self.dest + ".partial"
        self.settings = database.resolve_connection(module.params)
        self.client = compose.docker_client()
        project = compose.find_project(self.client, module.params["project_src"], module.params["project_name"])
        self.container = project.host(self.settings.host)
        if self.container is None:
            raise OperationError(
                f"The database at {self.settings.host} is no service of Compose project {project.name}; a database in Compose is"
                " expected here. Back up a database outside it with its own means, by a task file named in openlmis_backup."
            )

    def run(self) -> Dict[str, Any]:
        """Dump, prove and name the dump. Raises OperationError; a dump that is not proven keeps the name C(.partial)."""
        if os.path.exists(self.dest):
            raise OperationError(
                f"{self.dest} exists; a name that is free is expected, since no backup is ever overwritten. Set another dest."
            )
        connection = database.connect(self.settings, "openlmis.operations database_backup")
        try:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
                server_version, size = cursor.fetchone()
                if self.module.check_mode:
                    return {"changed": True, "dest": self.dest, "server_version": server_version}
                self._make_room(size)
                begin = time.monotonic()
                cursor.execute("SELECT pg_export_snapshot()")
                with ThreadPoolExecutor(1) as pool:
                    # The snapshot lives as long as this transaction: count in it while pg_dump reads from it.
                    dump = pool.submit(self._pg_dump, cursor.fetchone()[0])
                    counted = self._count(cursor)
                    dump.result()
        finally:
            connection.close()
        dumped = time.monotonic()
        self._prove(counted)
        files = sorted(os.listdir(self.partial))
        checksums = {name: checksum(os.path.join(self.partial, name)) for name in files}
        os.rename(self.partial, self.dest)
        return {
            "changed": True,
            "dest": self.dest,
            # Not `size`, which exit_json overwrites with the directory's own beside a `dest`.
            "bytes": sum(os.path.getsize(os.path.join(self.dest, name)) for name in files),
            "tables": counted,
            "rows": sum(counted.values()),
            "checksums": checksums,
            "server_version": server_version,
            "duration": {"dump": round(dumped - begin, 1), "proof": round(time.monotonic() - dumped, 1)},
        }

    def _make_room(self, size: int) -> None:
        parent = os.path.dirname(self.dest)
        os.makedirs(parent, mode=0o700, exist_ok=True)
        # What an earlier run left unproven is no backup; its name says so.
        shutil.rmtree(self.partial, ignore_errors=True)
        free = shutil.disk_usage(parent).free
        if free < size:
            raise OperationError(
                f"{parent} has {free // 2**20} MiB free and the database takes {size // 2**20} MiB; room for all of it is expected."
                " Make room, or set openlmis_backup_dir to another disk."
            )

    def _count(self, cursor: Any) -> Dict[str, int]:
        cursor.execute(TABLES)
        counted = {}
        for schema, table in cursor.fetchall():
            quoted = ".".join('"{}"'.format(name.replace('"', '""')) for name in (schema, table))
            cursor.execute(f"SELECT count(*) FROM {quoted}")
            counted[f"{schema}.{table}"] = cursor.fetchone()[0]
        return counted

    def _pg_dump(self, snapshot: str) -> None:
        settings = self.settings
        command = [
            "pg_dump",
            "--format=directory",
            f"--jobs={self.module.params['jobs']}",
            f"--snapshot={snapshot}",
            "--no-password",
        ]
        # The container shares the database's network, in which the server listens on loopback.
        command += [
            "--host=127.0.0.1",
            f"--port={settings.port}",
            f"--username={settings.user}",
            f"--file={IN_CONTAINER}",
        ]
        self._in_container(command + [settings.database], "dump", with_password=True)

    def _prove(self, counted: Dict[str, int]) -> None:
        self._in_container(["pg_restore", "--file=/dev/null", IN_CONTAINER], "read back")
        listing = parse_listing(self._in_container(["pg_restore", "--list", IN_CONTAINER], "list"))
        files = {
            name.split(".")[0]: os.path.join(self.partial, name)
            for name in os.listdir(self.partial)
            if re.match(r"\d+\.dat", name)
        }
        archived = {}
        with ThreadPoolExecutor(self.module.params["jobs"]) as pool:
            for table, rows in zip(listing, pool.map(lambda identity: self._rows(files, identity), listing.values())):
                archived[table] = rows
        wrong = compare(counted, archived)
        if wrong:
            raise OperationError(
                f"The dump in {self.partial} is not what the database held: {'; '.join(wrong[:10])}."
                " Every table's rows as counted in the dump's own snapshot are expected. Do not go on with this dump; run again."
            )

    def _rows(self, files: Dict[str, str], identity: str) -> int:
        try:
            return read_data(files[identity])
        except (KeyError, EOFError, OSError, zlib.error, OperationError) as error:
            raise OperationError(
                f"The dump in {self.partial} cannot be read back: data {identity} is missing or damaged ({type(error).__name__});"
                " a whole file is expected. Look at the disk's health, and run again."
            ) from error

    def _in_container(self, command: List[str], what: str, with_password: bool = False) -> str:
        """Run one PostgreSQL client of the database's own image and return its output."""
        os.makedirs(self.partial, mode=0o700, exist_ok=True)
        secret = None
        volumes = {self.partial: {"bind": IN_CONTAINER, "mode": "rw"}}
        try:
            if with_password:
                handle, secret = tempfile.mkstemp(prefix=".pgpass-", dir=os.path.dirname(self.partial))
                with os.fdopen(handle, "w") as stream:
                    stream.write(passfile_line(self.settings.user, self.settings.password or ""))
                volumes[secret] = {"bind": PASSWORD_FILE, "mode": "ro"}
            code, out, err = containers.run_once(
                self.client,
                "backup-" + what.replace(" ", "-"),
                self.container.short_id,
                self.container.attrs["Image"],
                command,
                network_mode=f"container:{self.container.id}",
                environment={"PGPASSFILE": PASSWORD_FILE} if with_password else {},
                user=f"{os.geteuid()}:{os.getegid()}",
                volumes=volumes,
            )
        finally:
            if secret:
                os.unlink(secret)
        if code:
            said = (err.strip().splitlines() or ["nothing"])[0]
            raise OperationError(
                f"{command[0]} ended with {code} during {what} of the backup and said: {said}. A whole dump is expected;"
                f" what there is lies in {self.partial} and is no backup. Mend the cause and run again."
            )
        return out


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec.update(
        project_src={"type": "path", "required": True},
        dest={"type": "path", "required": True},
        jobs={"type": "int", "default": 2},
    )
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    compose.require_docker(module)
    database.require_psycopg2(module)
    try:
        module.exit_json(**Backup(module).run())
    except OperationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
