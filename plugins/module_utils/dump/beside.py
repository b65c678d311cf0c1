# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database that is restored beside another one and then takes its name: what a rollback and a rehearsal have in
common.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.core.redact import redact
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.dump import clients, restoring
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.contents import quoted

IN_USE = ("55006", "55P03")  # object_in_use, lock_not_available
UNTOUCHED = "The database is as it was"
MINE = """
SELECT r.rolsuper, r.rolcreatedb OR r.rolsuper, r.rolcreaterole OR r.rolsuper, current_setting('server_version')
FROM pg_roles r WHERE r.rolname = current_user
"""
DATABASE = """
SELECT d.oid::bigint, shobj_description(d.oid, 'pg_database'), pg_has_role(current_user, d.datdba, 'MEMBER'),
       pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datconnlimit,
         d.datacl::text[]
FROM pg_database d WHERE d.datname = %s
"""
SESSIONS = (
    "SELECT pid, usename, application_name FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
)
TERMINATE = """
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_roles me ON me.rolname = current_user
WHERE a.datname = ANY(%s) AND a.pid <> pg_backend_pid() AND (me.rolsuper OR pg_has_role(current_user,
  a.usesysid, 'MEMBER'))
"""
# Schemas that stay in a copy, since an extension lives there, and those that go with all that is in them.
SCHEMAS = """
SELECT n.oid::bigint, n.nspname, n.nspname = 'public' OR EXISTS (SELECT 1 FROM pg_extension e
  WHERE e.extnamespace = n.oid)
  OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid
    AND d.deptype = 'e')
FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 2
"""
OBJECTS = """
SELECT o.type, o.identity FROM pg_depend d CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) o
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = ANY(%s::oid[]) AND d.deptype = 'n'
AND d.classid NOT IN ('pg_extension'::regclass, 'pg_default_acl'::regclass) AND NOT EXISTS (
  SELECT 1 FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
"""
EXTENSION_RELATIONS = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  WHERE c.relkind IN ('r', 'S', 'v', 'p')
"""


class Beside:
    """One database, the scratch one that is restored beside it, and the programs for that.

    C(folder) is what the programs can write to. Who extends it says in C(_archive) how they call what is restored.
    """

    def __init__(
        self, params: Mapping[str, Any], application: str, what: str, comment: str, folder: str, **programs: Any
    ) -> None:
        self.params, self.run, self.application, self.folder = params, params["run"], application, folder
        self.settings = database.resolve_connection(dict(params))
        self.name = self.settings.database
        self.scratch, self.scratch_comment = restoring.name_for(self.name, what, self.run), comment
        self.connection = self._maintenance()
        self.superuser, self.may_create, self.may_create_roles, self.version = self._row(MINE)
        self.programs = clients.find(
            compose.docker_client(), self.settings, self.version, self.run, folder, params["image"], **programs
        )

    def _archive(self) -> str:
        raise NotImplementedError

    def _maintenance(self) -> Any:
        """Return a connection to another database of the server: names cannot be changed from inside."""
        refused: Optional[OperationError] = None
        for name in ("postgres", "template1"):
            try:
                if name != self.name:
                    return database.connect(
                        dataclasses.replace(self.settings, database=name), self.application, autocommit=True
                    )
            except OperationError as error:
                refused = refused or error
        raise refused or OperationError("No database to work from was found; postgres or template1 is expected.")

    def _rows(self, sql: str, *values: Any) -> List[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def _row(self, sql: str, *values: Any) -> Any:
        return next(iter(self._rows(sql, *values)), None)

    @contextlib.contextmanager
    def _inside(self, name: str, autocommit: bool = False) -> Iterator[Any]:
        connection = database.connect(dataclasses.replace(self.settings, database=name), self.application, autocommit)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def _free(self) -> Optional[int]:
        """Return the free bytes where the database's files lie; None where they lie outside Compose."""
        container = self.settings.container
        if container is None:
            return None
        environment = dict(entry.partition("=")[::2] for entry in container.attrs["Config"].get("Env") or [])
        code, out = container.exec_run(["df", "-Pk", environment.get("PGDATA") or "/var/lib/postgresql/data"])
        return restoring.free_bytes(out.decode("utf-8", "replace")) if code == 0 else None

    def _drop_scratch(self) -> None:
        found = self._row(DATABASE, self.scratch)
        if not found:
            return
        # Without a comment it is one that an earlier attempt had just created when it was ended.
        if found[1] not in (None, self.scratch_comment):
            raise OperationError(
                f"There is a database {self.scratch} whose comment says that it is something else; that name is"
                f" expected to be free. {UNTOUCHED}; rename that database and run again."
            )
        self._until_free([self.scratch], [(f"DROP DATABASE {quoted(self.scratch)}", ())])

    def _emptied(self) -> List[str]:
        """Drop in the copy what is not an extension's; return pg_restore's options to bring back no more than that."""
        with self._inside(self.scratch, autocommit=True) as cursor:
            cursor.execute(SCHEMAS)
            schemas = cursor.fetchall()
            for _oid, name, stays in schemas:
                if not stays:
                    cursor.execute(f"DROP SCHEMA {quoted(name)} CASCADE")
            cursor.execute(OBJECTS, ([oid for oid, _name, stays in schemas if stays],))
            for kind, identity in cursor.fetchall():
                cursor.execute(f"DROP {kind.replace('composite type', 'type')} IF EXISTS {identity} CASCADE")
            cursor.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
            cursor.execute(EXTENSION_RELATIONS)
            relations = cursor.fetchall()
        kept = [name for _oid, name, stays in schemas if stays]
        return self._listed(lambda found: restoring.without_extensions(found, kept, relations))

    def _listed(self, choose: Callable[[List[restoring.Entry]], List[restoring.Entry]]) -> List[str]:
        """Return pg_restore's options to bring back only the chosen entries of the archive, and none of the database
        itself.
        """
        listing = self._run("list", ["pg_restore", "--list", self._archive()])
        path = os.path.join(self.folder, ".restore-list")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            for entry in choose(restoring.without_database(restoring.entries(listing))):
                stream.write(entry.line + "\n")
        return [f"--use-list={self.programs.path(path)}"]

    def _run(self, what: str, command: List[str]) -> str:
        """Run one of PostgreSQL's programs and return its output."""
        outcome = self.programs.finish(self.programs.start(what, command))
        if outcome.code:
            lines = [line for line in outcome.err.splitlines() if "ERROR:" in line or "FATAL:" in line] or [
                outcome.said()
            ]
            raise OperationError(
                f"{command[0]} ended with {outcome.code} and said: {redact(lines[0])}. A whole restore is expected."
                f" {UNTOUCHED}, and so is the backup; fix the cause and run again."
            )
        return outcome.out

    def _until_free(self, names: List[str], statements: Sequence[Any], transaction: bool = False) -> None:
        """End the sessions on these databases and execute what works only without any, until it does."""
        deadline = time.monotonic() + self.params["wait_for_sessions"]
        while True:
            self._rows(TERMINATE, names)
            try:
                self.connection.autocommit = not transaction
                for statement, values in statements:
                    self._rows(statement, *values)
                if transaction:
                    self.connection.commit()
                return
            except database.psycopg2.Error as error:
                if transaction and not self.connection.closed:
                    self.connection.rollback()
                if error.pgcode not in IN_USE:
                    raise
            finally:
                if not self.connection.closed:
                    self.connection.autocommit = True
            if time.monotonic() > deadline:
                held = [
                    f"{pid} of {user} ({name or 'without name'})" for pid, user, name in self._rows(SESSIONS, names)
                ]
                raise OperationError(
                    "Database sessions stay, or come back as fast as they are ended:"
                    f" {', '.join(held) or 'unknown ones'}. None is expected while the database is replaced."
                    f" {UNTOUCHED}; end these programs and run again."
                )
            time.sleep(0.2)
