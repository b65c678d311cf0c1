# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One dump of one database, verified."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.backup import archive, backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk, progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.dump import clients
from ansible_collections.openlmis.operations.plugins.module_utils.dump.restoring import room_problem
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import contents, counting, database

try:
    import psycopg2
except ImportError:
    # The module says what is missing (database.require_psycopg2).
    psycopg2 = None

APPLICATION = "openlmis.operations database_backup"
SCRATCH = "openlmis_scratch_"
SCRATCH_COMMENT = (
    "Scratch database of openlmis.operations, made to prove a backup of {} by restoring it; it may be dropped"
)
LOCK_TIMEOUT = "60s"
SAID_AT_MOST = 10
# A dump without compression is smaller than its database, unless the database keeps large texts compressed itself.
ROOM_FOR_PLAIN = 3

FACTS = """
SELECT d.datname, pg_database_size(d.oid), current_setting('server_version'),
  current_setting('server_version_num')::int,
  pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datconnlimit,
    d.datacl::text[],
  shobj_description(d.oid, 'pg_database'),
  r.rolsuper, r.rolcreatedb, has_table_privilege('pg_catalog.pg_authid', 'SELECT')
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user
"""
FACT_NAMES = (
    "name",
    "size",
    "server_version",
    "version_number",
    "owner",
    "encoding",
    "collate",
    "ctype",
    "connection_limit",
    "acl",
    "comment",
    "superuser",
    "createdb",
    "reads_passwords",
)
SETTINGS = """
SELECT r.rolname, unnest(s.setconfig) FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2
"""
EXTENSIONS = """
SELECT e.extname, n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  ORDER BY e.oid
"""


def rows_of(cursor: Any, sql: str, *names: str) -> List[Dict[str, Any]]:
    """Run a query and return its rows as dictionaries."""
    cursor.execute(sql)
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def create_statement(name: str, facts: Mapping[str, Any]) -> str:
    """Return the statement for an empty database with the owner, encoding and locale of another one."""
    literal = {key: str(facts[key]).replace("'", "''") for key in ("encoding", "collate", "ctype")}
    return (
        f"CREATE DATABASE {contents.quoted(name)} TEMPLATE template0 OWNER {contents.quoted(facts['owner'])} ENCODING"
        f" '{literal['encoding']}' LC_COLLATE '{literal['collate']}' LC_CTYPE '{literal['ctype']}'"
    )


def compression(wanted: Optional[int], size: int, free: int) -> int:
    """Return the level of gzip: what is wanted, else none where there is ample room for a database of this size, else
    the fastest.
    """
    if wanted is not None:
        return wanted
    return 0 if free >= ROOM_FOR_PLAIN * size else 1


@contextlib.contextmanager
def cleaned(clean_up: Callable[[], None]) -> Iterator[None]:
    """Clean up behind the block; what goes wrong with that must not hide why the block has failed."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(psycopg2.Error):
            clean_up()
        raise
    clean_up()


class Backup:
    """One dump of one database, from the export of the snapshot to the proof."""

    def __init__(self, params: Mapping[str, Any], check_mode: bool, progressing: progress.Progress) -> None:
        self.progress = progressing
        self.progress.say("looking for room and programs")
        self.check_mode, self.verify = check_mode, params["verify"]
        self.dest, self.jobs, self.run_id, self.image = (
            params["dest"].rstrip("/"),
            params["jobs"],
            params["run"],
            params["image"],
        )
        self.compress = params["compress"]
        self.partial = os.path.join(self.dest, "database.partial")
        self.settings = database.resolve_connection(dict(params))
        self.origin = {"project": {"src": params["project_src"]}, "run": self.run_id}
        self.container, self.client = self.settings.container, compose.docker_client()

    def run(self) -> Dict[str, Any]:
        """Dump and prove. Raises OperationError, and leaves nothing then."""
        with self._connection(self.settings) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                contents.fix_settings(cursor)
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
                self.facts = rows_of(cursor, FACTS, *FACT_NAMES)[0]
                self.tools = self._find_tools()
                if not self.check_mode:
                    self._sweep()
                self._require_room()
                if self.check_mode:
                    return {"changed": True, "dest": self.dest, "server_version": self.facts["server_version"]}
                try:
                    backups.begin(self.dest, self.origin)
                    return self._back_up(cursor)
                except BaseException:
                    shutil.rmtree(self.dest, ignore_errors=True)
                    raise

    def _back_up(self, cursor: Any) -> Dict[str, Any]:
        begin = time.time()
        with self._scratch_database() as scratch:
            draft = self._dump(cursor)
            # The snapshot has done its work; nobody's clean-up of the database need wait for it any longer.
            cursor.connection.rollback()
            dumped = time.time()
            self._prove(draft["tables"], begin, dumped)
            if scratch is not None:
                self._prove_by_restoring(scratch, draft["hashes"], draft["tables"])
        database_folder = os.path.join(self.dest, "database")
        self.progress.say("syncing to the disk and taking checksums")
        disk.sync_tree(self.partial)
        os.rename(self.partial, database_folder)
        sizes, _links = backups.walk(self.dest)
        names = [path for path in sizes if path.startswith("database/") or path == "globals.sql"]
        draft["checksums"] = {path: disk.checksum(os.path.join(self.dest, path)) for path in names}
        disk.write(os.path.join(self.dest, backups.DRAFT), {**self.origin, **draft})
        return {
            "changed": True,
            "dest": self.dest,
            # Not `size`, which exit_json overwrites with the directory's own beside a `dest`.
            "bytes": sum(sizes[path] for path in names),
            "tables": len(draft["tables"]),
            "rows": sum(draft["tables"].values()),
            "verified": self.verify,
            "globals": draft["globals"],
            "server_version": self.facts["server_version"],
            "duration": {"dump": round(dumped - begin, 1), "proof": round(time.time() - dumped, 1)},
        }

    # -- before --------------------------------------------------------------------------------------------------

    def _find_tools(self) -> Any:
        return clients.find(
            self.client, self.settings, self.facts["server_version"], self.run_id, self.dest, self.image
        )

    def _sweep(self) -> None:
        """Remove what killed runs of this deployment left: containers, folders, scratch databases."""
        backups.sweep(os.path.dirname(self.dest), self.origin["project"]["src"], self.tools.sweep)
        with self._administration() as cursor:
            self._drop_scratch(cursor)

    def _require_room(self) -> None:
        if os.path.exists(self.dest):
            raise OperationError(
                f"{self.dest} exists; a name that is free is expected, since no backup is ever overwritten. Set another"
                " dest."
            )
        places = {"the dump": disk.existing(os.path.dirname(self.dest))}
        needs = {"the dump": self.facts["size"]}
        volume = self._data_folder()
        if self.verify == "restore" and volume:
            same = os.stat(volume).st_dev == os.stat(places["the dump"]).st_dev
            places["the scratch database"] = places["the dump"] if same else volume
            needs["the scratch database"] = self.facts["size"]
        free = {place: shutil.disk_usage(place).free for place in places.values()}
        self.compress = compression(self.compress, self.facts["size"], free[places["the dump"]])
        problem = room_problem(needs, free, places)
        if problem:
            raise OperationError(
                f"{problem}; room for all of it is expected, since how far a dump shrinks is not known before. Make"
                " room, or set openlmis_backup_dir to another disk."
            )

    def _data_folder(self) -> Optional[str]:
        """Return the folder of this host with the database's files, None where it cannot be seen."""
        mounts = self.container.attrs.get("Mounts", []) if self.container is not None else []
        sources = [one.get("Source", "") for one in mounts if "postgres" in one.get("Destination", "")]
        return next((source for source in sources if os.path.isdir(source)), None)

    # -- dump ----------------------------------------------------------------------------------------------------

    def _dump(self, cursor: Any) -> Dict[str, Any]:
        """Dump from a snapshot while its rows are counted; return what the manifest says of it."""
        self.tables = contents.tables(cursor)
        cursor.execute("SELECT pg_export_snapshot()")
        command = [
            "pg_dump",
            "--format=directory",
            f"--jobs={self.jobs}",
            f"--compress={self.compress}",
            f"--snapshot={cursor.fetchone()[0]}",
            f"--lock-wait-timeout={LOCK_TIMEOUT}",
            "--no-password",
            f"--file={self.tools.path(self.partial)}",
            f"--dbname={self.tools.dsn(self.settings.database)}",
        ]
        job = self.tools.start("dump", command)
        counted: List[str] = []
        self.progress.say(lambda: self._dumped(counted))
        try:
            # The snapshot lives as long as this transaction: count in it while pg_dump reads from it.
            properties = {
                key: self.facts[key]
                for key in ("owner", "encoding", "collate", "ctype", "connection_limit", "acl", "comment")
            }
            properties["settings"] = rows_of(cursor, SETTINGS, "role", "setting")
            properties["extensions"] = rows_of(cursor, EXTENSIONS, "name", "schema", "version")
            draft = {
                "database": properties,
                "server_version": self.facts["server_version"],
                "histories": counting.histories(cursor),
                "tables": contents.count_rows(cursor, counted.append),
                "verified": self.verify,
            }
            if self.verify == "restore":
                draft["hashes"] = contents.content_hashes(cursor)
        except BaseException:
            self.tools.kill(job)
            raise
        self._expect(self.tools.finish(job), "pg_dump", "A whole dump")
        draft["globals"] = self._dump_globals()
        return draft

    def _dumped(self, counted: Sequence[str]) -> str:
        """Say how far pg_dump is: of the tables that have a file each job may be at one still."""
        begun, size = archive.written(self.partial)
        rows = f", rows counted in {len(counted)}" if len(counted) < len(self.tables) else ""
        return f"{max(0, begun - self.jobs)} of {len(self.tables)} tables, {progress.size(size)}{rows}"

    def _say(self, doing: str, done: Sequence[str]) -> None:
        """Have it told what is done with one table after the other."""
        self.progress.say(lambda: f"{doing}, {len(done)} of {len(self.tables)} tables")

    def _dump_globals(self) -> str:
        """Write roles and tablespaces to globals.sql, as far as this role may read them, and say how far that was."""
        path = os.path.join(self.dest, "globals.sql")
        command = ["pg_dumpall", "--globals-only", "--no-password", f"--database={self.settings.database}"]
        command += [f"--file={self.tools.path(path)}", f"--dbname={self.tools.dsn(self.settings.database)}"]
        tries = {"with passwords": []} if self.facts["reads_passwords"] else {}
        # Programs of 9.6 do not know the option; then there is no file.
        tries["without passwords"] = ["--no-role-passwords"]
        for said, options in tries.items():
            if self.tools.finish(self.tools.start("globals", command + options)).code == 0:
                os.chmod(path, 0o600)
                disk.sync(path)
                return said
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return "none"

    # -- proof ---------------------------------------------------------------------------------------------------

    def _prove(self, counted: Dict[str, int], begin: float, end: float) -> None:
        compared: List[str] = []
        self._say("written; reading it back and comparing rows", compared)
        listed = self._expect(
            self.tools.finish(self.tools.start("list", ["pg_restore", "--list", self.tools.path(self.partial)])),
            "pg_restore --list",
            "A readable archive",
        )
        listing = archive.parse_listing(listed)
        problems = archive.origin_problems(listing, self.facts["name"], self.facts["server_version"], begin, end)
        # The rows are counted while pg_restore reads.
        job = self.tools.start("read-back", ["pg_restore", "--file=/dev/null", self.tools.path(self.partial)])
        try:
            problems = problems or archive.row_problems(
                self.partial, listing, self.tables, counted, self.jobs, compared.append
            )
            if problems:
                raise OperationError(
                    f"The dump is not what the database held: {'; '.join(problems[:SAID_AT_MOST])}. Every row of the"
                    " dump's own snapshot is expected in it, and nothing else. The dump was removed; run again, and"
                    " look at the disk's health when it happens again."
                )
        except BaseException:
            self.tools.kill(job)
            raise
        self._expect(self.tools.finish(job), "pg_restore", "An archive that can be read to its end")

    @contextlib.contextmanager
    def _scratch_database(self) -> Iterator[Optional[str]]:
        """Have a database to restore into, for as long as the block lasts; yield its name, None when none is wanted."""
        if self.verify != "restore":
            yield None
            return
        name = SCRATCH + datetime.now(timezone.utc).strftime("%Y%m%dt%H%M%S%f")
        with self._administration() as cursor, cleaned(lambda: self._drop_scratch(cursor)):
            self._create_scratch(cursor, name)
            self._try_extensions(cursor, name)
            yield name

    def _drop_scratch(self, cursor: Any) -> None:
        """Drop the scratch databases of this and of killed runs: known by their name and their comment, and nothing
        else is.
        """
        # Nobody asks in one of them how far it is any more.
        self.progress.say("dropping scratch databases")
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s AND shobj_description(oid, 'pg_database') = %s",
            (SCRATCH.replace("_", r"\_") + "%", self._scratch_comment()),
        )
        for (name,) in cursor.fetchall():
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            cursor.execute(f"DROP DATABASE IF EXISTS {contents.quoted(name)}")

    def _scratch_comment(self) -> str:
        return SCRATCH_COMMENT.format(self.facts["name"])

    def _create_scratch(self, cursor: Any, name: str) -> None:
        try:
            cursor.execute(create_statement(name, self.facts))
            cursor.execute(f"COMMENT ON DATABASE {contents.quoted(name)} IS %s", (self._scratch_comment(),))
        except psycopg2.Error as error:
            raise self._no_restore(
                "may not create a database of the owner " + self.facts["owner"],
                "the privilege CREATEDB and membership in the owner's role",
            ) from error

    def _try_extensions(self, cursor: Any, name: str) -> None:
        """Create the database's extensions where the dump will be restored, and roll back: nothing else tells whether
        that is allowed.
        """
        cursor.execute("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY oid")
        names = [row[0] for row in cursor.fetchall()]
        with self._connection(replace(self.settings, database=name)) as connection, connection.cursor() as scratch:
            for extension in names:
                try:
                    scratch.execute(f"CREATE EXTENSION IF NOT EXISTS {contents.quoted(extension)} CASCADE")
                except psycopg2.Error as error:
                    raise self._no_restore(
                        f"may not create the extension {extension}", "a superuser, or a role that may"
                    ) from error
            connection.rollback()
        if not self.facts["superuser"] and self.facts["version_number"] < 110000:
            # Archives of those versions comment on plpgsql, which only its owner may.
            raise self._no_restore("is no superuser", "a superuser on a server before 11")

    def _no_restore(self, found: str, expected: str) -> OperationError:
        return OperationError(
            f"The dump cannot be proven by restoring it: the role {self.settings.user} {found}; {expected} is expected"
            " for that. Grant it, or set openlmis_backup_verify to rows, which needs no more than reading. Nothing was"
            " dumped."
        )

    def _prove_by_restoring(self, scratch: str, expected: Dict[str, str], rows: Dict[str, int]) -> None:
        command = [
            "pg_restore",
            f"--jobs={self.jobs}",
            "--exit-on-error",
            "--no-password",
            f"--dbname={self.tools.dsn(scratch)}",
        ]
        self.progress.say(lambda: f"written; restoring it into a scratch database, {self._restored(scratch, rows)}")
        outcome = self.tools.finish(self.tools.start("restore", command + [self.tools.path(self.partial)]))
        # From here on nobody looks into the scratch database, which may have to go.
        compared: List[str] = []
        self._say("restored into a scratch database; comparing contents", compared)
        self._expect(outcome, "pg_restore", "A dump that can be restored")
        with self._connection(replace(self.settings, database=scratch)) as connection, connection.cursor() as cursor:
            wrong = contents.differences(expected, contents.content_hashes(cursor, compared.append))
        if wrong:
            raise OperationError(
                "The dump was restored, and its content is not what the database held:"
                f" {', '.join(wrong[:SAID_AT_MOST])}{' and more' if len(wrong) > SAID_AT_MOST else ''}. Every value of"
                " the dump's own snapshot is expected. The dump was removed; run again, and look at the disk's health"
                " when it happens again."
            )

    def _restored(self, scratch: str, rows: Dict[str, int]) -> str:
        with self._connection(replace(self.settings, database=scratch)) as connection, connection.cursor() as cursor:
            return contents.restored(cursor, rows)

    # -- means ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _administration(self) -> Iterator[Any]:
        """Have a cursor whose statements are transactions of their own, as CREATE and DROP DATABASE must be."""
        with self._connection(self.settings) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    @contextlib.contextmanager
    def _connection(self, settings: database.ConnectionSettings) -> Iterator[Any]:
        connection = database.connect(settings, APPLICATION)
        try:
            yield connection
        except psycopg2.Error as error:
            raise database.database_error(
                error, settings, "While the database was backed up", "Nothing was changed"
            ) from None
        finally:
            connection.close()

    def _expect(self, outcome: Any, program: str, expected: str) -> str:
        """Return what a program printed; OperationError when it failed."""
        if outcome.code == 0:
            return outcome.out
        said = outcome.said()
        if re.search("no space left on device", outcome.err, re.IGNORECASE):
            said, advice = "the disk is full", "Make room, or set openlmis_backup_dir to another disk, and run again."
            # Long texts that the database keeps compressed may take more than was looked for: the next run would decide
            # the same.
            advice += " With openlmis_backup_compress=1 the dump takes less." if self.compress == 0 else ""
        else:
            advice = "Fix the cause and run again."
        raise OperationError(
            f"{program} ended with {outcome.code} and said: {said}. {expected} is expected. Nothing of this backup was"
            f" kept. {advice}"
        )


def back_up(params: Mapping[str, Any], check_mode: bool, progressing: progress.Progress) -> Dict[str, Any]:
    """Dump one database and verify the dump; return the result of M(openlmis.operations.database_backup). Raises
    OperationError.
    """
    try:
        return Backup(params, check_mode, progressing).run()
    except OSError as error:
        raise OperationError(
            f"The backup in {params['dest']} could not be written ({error.strerror}); room and the right to write are"
            " expected. Nothing of it was kept. Fix that, or set openlmis_backup_dir to another disk, and run again."
        ) from error
