# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One dump of another server, restored beside a server's database, whose place it takes once it reaches nobody."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups, dumps
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk, progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.core.redact import redact
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, containers
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restoring
from ansible_collections.openlmis.operations.plugins.module_utils.dump.beside import DATABASE, UNTOUCHED, Beside
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import contents, database
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.contents import quoted
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import harmless

WORK = "/openlmis-backup"
UNPACKED = "copy.dump"
MAY_USE = "SELECT rolsuper OR pg_has_role(oid, current_user, 'USAGE') FROM pg_roles WHERE rolname = %s"
# Autovacuum's sessions have no user.
OTHERS = """
SELECT pid, usename FROM pg_stat_activity WHERE datname = %s AND usename IS NOT NULL AND pid <> pg_backend_pid()
AND coalesce(application_name, '') NOT LIKE 'openlmis.operations%%' ORDER BY 1
"""
OURS = (
    "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE shobj_description(oid, 'pg_database')"
    " IS NOT NULL ORDER BY 1"
)

# In a container of its own: initdb, restore, find the database, dump it. What psql complains of without harm to the
# data is left out: roles and databases that are there already, roles that are not, settings of newer servers. Exit 3:
# other complaints; 4: not one database of OpenLMIS.
THROW_AWAY = r"""
set -u
for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin /usr/local/bin; do
    if [ -x "$folder/initdb" ]; then PATH=$folder:$PATH; fi
done
data=$(mktemp -d) || exit 1
chown postgres "$data" || exit 1
as_postgres() { su -s /bin/sh postgres -c "PATH=$PATH; export LC_ALL=C; $1"; }
as_postgres "initdb --pgdata=$data --username=postgres --encoding=UTF8 --locale=C --auth=trust --nosync" >/dev/null ||
    exit 1
options="-c listen_addresses= -c unix_socket_directories=$data -c autovacuum=off"
options="$options -c fsync=off -c full_page_writes=off -c max_wal_size=4GB"
as_postgres "pg_ctl --pgdata=$data --wait --log=$data/log --options='$options' start" >/dev/null || exit 1
client="--no-psqlrc --quiet --tuples-only --no-align --host=$data --username=postgres"
as_postgres "psql $client --dbname=postgres --command='CREATE DATABASE openlmis_dump TEMPLATE template0'" || exit 1
{ $UNPACK /openlmis-dump || touch "$data/cut-off"; } |
    as_postgres "psql $client --dbname=openlmis_dump" >/dev/null 2>"$data/complaints" ||
    { tail -n 1 "$data/complaints" >&2; exit 3; }
if [ -e "$data/cut-off" ]; then echo "ERROR: the dump cannot be unpacked" >&2; exit 3; fi
harmless='(role|database) "[^"]*" already exists|role "[^"]*" does not exist'
harmless="$harmless|unrecognized configuration|current user cannot be dropped"
grep -E '(ERROR|FATAL|PANIC):' "$data/complaints" | grep -vE "$harmless" >&2 && exit 3
has_users="SELECT to_regclass('referencedata.users') IS NOT NULL"
psql $client --dbname=postgres --command='SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1' |
while read -r name; do
    if [ "$(psql $client --dbname="$name" --command="$has_users")" = t ]; then echo "$name"; fi
done >"$data/found"
cp "$data/found" "$data/chosen"
if [ -n "$DATABASE" ]; then grep -Fx -- "$DATABASE" "$data/found" >"$data/chosen"; fi
if [ "$(wc -l <"$data/chosen")" -ne 1 ]; then cat "$data/found"; exit 4; fi
name=$(cat "$data/chosen")
pg_dump --host="$data" --username=postgres --format=custom --compress=1 --file=@OUT@ --dbname="$name" >&2 || exit 1
chmod 0644 @OUT@
"""


class Copy(Beside):
    """One dump of another server on its way into the place of this server's database."""

    def __init__(self, params: Dict[str, Any], progressing: progress.Progress) -> None:
        self.progress = progressing
        self.progress.say(
            "reading the dump" if params["state"] == "beside" else "changing names; sessions on the database are ended"
        )
        # A compressed text is read to its end for that.
        self.dump = dumps.look(params["dump"]) if params["state"] == "beside" else dumps.Dump("", "", 0, {})
        self.work = params["work_dir"].rstrip("/")
        comment = restoring.scratch_comment(params["run"])
        super().__init__(
            params, "openlmis.operations database_copy", "copy", comment, self.work, source=self.dump.path or None
        )
        self.before = restoring.name_for(self.name, "before", self.run)
        self.result: Dict[str, Any] = {"database": self.name, "scratch": self.scratch}

    # -- looking ---------------------------------------------------------------------------------------------------

    def check(self) -> Dict[str, Any]:
        """Return what is to be done. Raises OperationError for what must not be done."""
        current = self._row(DATABASE, self.name)
        own = bool(current) and restoring.is_copy(current[1])
        lines = [f"{self.dump.path} ({self.dump.kind}) is restored beside the database {self.name} and takes its place"]
        if current:
            what = "is an earlier rehearsal's and is dropped then" if own else "is kept under another name"
            lines.append(f"The database that is there now {what}")
        lines += [f"{name}, which an earlier rehearsal has left, is dropped" for name in self._earlier()]
        self._check_privileges(current)
        if self.dump.kind in dumps.PLAINS and not getattr(self.programs, "image", None):
            raise OperationError(
                f"{self.dump.path} is plain text, which is restored in a throw-away container of the database's own"
                f" image, and the database at {self.settings.where()} is in none. Name an image with PostgreSQL's"
                " server and client programs in openlmis_backup_image, or dump production with pg_dump -Fc."
                f" {UNTOUCHED}."
            )
        self._check_room()
        return {**self.result, "kept_as": None if own or not current else self.before, "dropped": [], "lines": lines}

    def _check_privileges(self, current: Any) -> None:
        others = self._role_of_the_settings()
        if others:
            raise OperationError(
                f"The role {self.settings.user} would own all of the copy, and {others}, which the settings name for"
                f" OpenLMIS, could not use it. The role of the settings is expected to restore a copy. {UNTOUCHED};"
                " give it CREATEDB where it lacks that, and rehearse without openlmis_login_user."
            )
        if self.superuser or (self.may_create and current and current[2]):
            return
        raise OperationError(
            f"The role {self.settings.user} cannot restore into a second database. A superuser, or the owner of the"
            f" database {self.name} with CREATEDB, is expected. {UNTOUCHED}; grant what is missing."
        )

    def _role_of_the_settings(self) -> Optional[str]:
        """Return the role that OpenLMIS uses, when it may not use what belongs to the role that restores."""
        try:
            role = database.resolve_connection({**self.params, "login_user": None}).user
        except OperationError:
            return None
        found = self._row(MAY_USE, role)
        return role if found and not found[0] else None

    def _check_room(self) -> None:
        size = self.dump.grown()
        needs, places = {"the copy": size}, {}
        free: Dict[str, int] = {}
        container = self.settings.container
        if container is not None:
            self._place(places, free, "the copy", _data_folder(container), self._free())
        if self.dump.kind in dumps.PLAINS:
            needs.update({"the throw-away server": size, "the archive made there": self.dump.size // 2})
            root = compose.docker_client().info()["DockerRootDir"]
            self._place(places, free, "the throw-away server", root, None)
            self._place(places, free, "the archive made there", disk.existing(self.work), None)
        problem = restoring.room_problem(needs, free, places)
        if problem:
            raise OperationError(
                f"{problem}, by the size of the dump; room for all of it is expected. {UNTOUCHED}; make room and run"
                " again."
            )

    @staticmethod
    def _place(
        places: Dict[str, str], free: Dict[str, int], what: str, folder: Optional[str], known: Optional[int]
    ) -> None:
        """Note on which file system something is written, and what is free there; what lies on one is added up."""
        if folder and os.path.isdir(folder):
            device = os.stat(folder).st_dev
            same = next((place for place in free if os.path.isdir(place) and os.stat(place).st_dev == device), folder)
            places[what], free[same] = same, shutil.disk_usage(folder).free
        elif known is not None:
            places[what], free["the disk of the database"] = "the disk of the database", known

    def _earlier(self) -> List[str]:
        """Return the databases that earlier rehearsals have left beside this one: copies, unfinished ones and those
        that a rollback set aside.
        """
        left = {"copy": restoring.left_by_rehearsal, "failed": restoring.left_by_rehearsal, "before": restoring.is_copy}
        return [
            name
            for name, comment in self._rows(OURS)
            if name not in (self.name, self.scratch)
            and any(
                name.startswith(restoring.name_for(self.name, what, "")[:-1]) and is_left(comment)
                for what, is_left in left.items()
            )
        ]

    # -- doing -----------------------------------------------------------------------------------------------------

    def restore(self) -> Dict[str, Any]:
        """Make the fresh database and prove it; return how many tables and rows it has."""
        begin = time.monotonic()
        self._require_alone()
        self._sweep()
        dropped = self._drop(self._earlier())
        self._drop_scratch()
        os.makedirs(self.work, mode=0o700, exist_ok=True)
        try:
            manifest = self._whole()
            if self.dump.kind in dumps.PLAINS:
                self.progress.say("restoring the text in a throw-away server")
            self.archive = (
                self._unpacked() if self.dump.kind in dumps.PLAINS else self.programs.path(self.dump.archive())
            )
            self._create()
            options = self._listed(list) if self.superuser else self._emptied()
            self.progress.say(lambda: f"{progress.size(self._size())} in the database")
            self._pg_restore(options)
            self.progress.say("restored; counting its rows")
            counted = self._prove(manifest)
        except BaseException:
            with contextlib.suppress(database.psycopg2.Error, OperationError):
                self._drop_scratch()
            raise
        finally:
            self._sweep()
            shutil.rmtree(self.work, ignore_errors=True)
        return {
            "dropped": dropped,
            "tables": len(counted),
            "rows": sum(counted.values()),
            "bytes": self._size(),
            "proven": bool(manifest),
            "duration": round(time.monotonic() - begin, 1),
        }

    def _require_alone(self) -> None:
        """See that nobody else uses a database outside Compose of which no manifest tells that it is not production's
        own.
        """
        deadline = time.monotonic() + self.params["wait_for_sessions"]
        while self.settings.container is None and not self.dump.manifest:
            others = self._rows(OTHERS, self.name)
            if not others:
                return
            if time.monotonic() > deadline:
                listed = ", ".join(f"{pid} of {user}" for pid, user in others[:10])
                raise OperationError(
                    f"Others have sessions on the database {self.name} at {self.settings.where()}: {listed}. None is"
                    " expected while this server's components are stopped, and the dump does not tell whether it is"
                    f" production's own database. {UNTOUCHED}; see whose it is. End these programs, or point"
                    " DATABASE_URL at a database of the staging server's own, and run again."
                )
            time.sleep(0.2)

    def _size(self) -> int:
        # Progress asks from another thread, while this one may use the connection.
        with self._inside(self.scratch) as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return cursor.fetchone()[0]

    def _sweep(self) -> None:
        """End what an earlier attempt has left at work: its containers, of this rehearsal and of those before."""
        for container in containers.all_of_ours(compose.docker_client()):
            if any(mount.get("Source", "") == self.work for mount in container.attrs.get("Mounts", [])):
                containers.remove(container)

    def _whole(self) -> Dict[str, Any]:
        """Return the manifest of a backup whose every file is as it says, nothing for other dumps."""
        problems = backups.damages(self.dump.path, self.dump.manifest) if self.dump.kind == dumps.BACKUP else []
        if problems:
            raise OperationError(
                f"The dump {self.dump.path} is damaged: {'; '.join(problems[:10])}. Every file as its manifest says is"
                f" expected. {UNTOUCHED}; copy it anew."
            )
        return self.dump.manifest

    def _unpacked(self) -> str:
        """Restore a text in a throw-away server and dump OpenLMIS' database from there; return the archive as the
        programs call it.
        """
        archive = os.path.join(self.work, UNPACKED)
        outcome = containers.run_once(
            self.programs.client,
            "throw-away",
            self.run,
            self.programs.image,
            ["/bin/sh", "-c", THROW_AWAY.replace("@OUT@", f"{WORK}/{UNPACKED}")],
            network_mode="none",
            user="0:0",
            environment={
                "UNPACK": "gzip -dc" if self.dump.kind == dumps.PLAIN_GZIP else "cat",
                "DATABASE": self.params["database"] or "",
                "LC_ALL": "C",
            },
            volumes={self.work: {"bind": WORK, "mode": "rw"}, **self.programs.sources()},
        )
        if outcome.code == 4:
            found = ", ".join(outcome.out.split("\n")).strip(", ") or "none"
            raise OperationError(
                f"In {self.dump.path} these databases have OpenLMIS' tables: {found}. One is expected. {UNTOUCHED};"
                " name it in openlmis_rehearse_database."
            )
        if outcome.code or not os.path.exists(archive):
            said = redact(outcome.said())
            raise OperationError(
                f"{self.dump.path} could not be restored in a throw-away server, which ended with {outcome.code} and"
                f" said: {said}. A dump that is restored without an error is expected. {UNTOUCHED}; fix the cause, or"
                " dump production with pg_dump -Fc."
            )
        return self.programs.path(archive)

    def _create(self) -> None:
        create = f"CREATE DATABASE {quoted(self.scratch)}"
        current = self._row(DATABASE, self.name)
        if self.superuser:
            locale: Tuple[str, ...] = current[4:7] if current else ("UTF8", "C", "C")
            self._rows(f"{create} TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s", *locale)
        else:
            self._until_free([self.name], [(f"{create} TEMPLATE {quoted(self.name)}", ())])
        self._rows(f"COMMENT ON DATABASE {quoted(self.scratch)} IS %s", self.scratch_comment)

    def _archive(self) -> str:
        return self.archive

    def _pg_restore(self, options: List[str]) -> None:
        jobs = [] if self.dump.kind == dumps.TAR else [f"--jobs={self.params['jobs']}"]
        command = [
            "pg_restore",
            "--exit-on-error",
            "--no-password",
            "--no-owner",
            "--no-privileges",
            "--no-tablespaces",
            *jobs,
            *options,
        ]
        self._run("restore", [*command, f"--dbname={self.programs.dsn(self.scratch)}", self._archive()])

    def _prove(self, manifest: Dict[str, Any]) -> Dict[str, int]:
        """Compare with the manifest where there is one; return the rows of every table."""
        with self._inside(self.scratch) as cursor:
            cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            counted = contents.count_rows(cursor)
            wrong = contents.differences(manifest["tables"], counted) if manifest else []
            if manifest.get("hashes") and not wrong:
                wrong = contents.differences(manifest["hashes"], contents.content_hashes(cursor))
        if wrong:
            raise OperationError(
                f"{len(wrong)} tables are not as they were when they were dumped: {', '.join(wrong[:10])}. Every row of"
                f" every table is expected. {UNTOUCHED}; look at the database server's log and disk, and run again."
            )
        if "referencedata.users" not in counted:
            raise OperationError(
                f"The dump has no table referencedata.users; OpenLMIS' database is expected. {UNTOUCHED}; name another"
                " dump."
            )
        with self._inside(self.scratch, autocommit=True) as cursor:
            cursor.execute("ANALYZE")
        return counted

    def remove(self, check_mode: bool) -> Dict[str, Any]:
        """Drop a copy without a place, for it holds what is production's; tell of one that has it (C(in_place))."""
        there = self._row(DATABASE, self.scratch) is not None
        if there and not check_mode:
            self._drop_scratch()
        gone, here = [self.scratch] if there else [], self._row(DATABASE, self.name)
        in_place = bool(here) and here[1] == restoring.copy_comment(self.run)
        kept = self.before if in_place and self._row(DATABASE, self.before) else None
        lines = [f"The copy {name} was dropped" for name in gone]
        return {**self.result, "changed": there, "in_place": in_place, "kept_as": kept, "dropped": gone, "lines": lines}

    # -- in place --------------------------------------------------------------------------------------------------

    def swap(self, check_mode: bool) -> Dict[str, Any]:
        """Give the copy its name, once nothing in it reaches anybody."""
        current, fresh = self._row(DATABASE, self.name), self._row(DATABASE, self.scratch)
        if fresh is None or fresh[1] != self.scratch_comment:
            raise OperationError(
                f"There is no copy {self.scratch} that was restored for this; one is expected. {UNTOUCHED}; restore it"
                " first."
            )
        with self._inside(self.scratch) as cursor:
            left = harmless.left_over(cursor)
        if left:
            raise OperationError(
                f"The copy is not harmless: {'; '.join(left)}. Nothing that reaches anybody is expected. {UNTOUCHED};"
                " run make_harmless on it."
            )
        own = bool(current) and restoring.is_copy(current[1])
        result = {**self.result, "kept_as": None if own or not current else self.before, "dropped": []}
        if check_mode:
            return result
        statements: List[Any] = [("SET LOCAL lock_timeout = '5s'", ())]
        if current:
            comment = current[1] if own else restoring.before_comment(self.run, current[1])
            statements += [
                (f"ALTER DATABASE {quoted(self.name)} RENAME TO {quoted(self.before)}", ()),
                (f"COMMENT ON DATABASE {quoted(self.before)} IS %s", (comment,)),
            ]
        statements += [
            (f"ALTER DATABASE {quoted(self.scratch)} RENAME TO {quoted(self.name)}", ()),
            (f"COMMENT ON DATABASE {quoted(self.name)} IS %s", (restoring.copy_comment(self.run),)),
        ]
        self._until_free([self.name, self.scratch], statements, transaction=True)
        if own:
            # The copy is in its place. An earlier one that cannot be dropped now is dropped by the next rehearsal.
            with contextlib.suppress(database.psycopg2.Error, OperationError):
                result["dropped"] = self._drop([self.before])
        return result

    def _drop(self, names: List[str]) -> List[str]:
        for name in names:
            self._until_free([name], [(f"DROP DATABASE {quoted(name)}", ())])
        return names


def _data_folder(container: Any) -> Optional[str]:
    """Return the folder of this host with the database's files, None where it cannot be seen."""
    sources = [
        one.get("Source", "") for one in container.attrs.get("Mounts", []) if "postgres" in one.get("Destination", "")
    ]
    return next((source for source in sources if os.path.isdir(source)), None)


def said(result: Dict[str, Any]) -> List[str]:
    """Return what was done in words."""
    if "rows" in result:
        how = "all as the backup's manifest says" if result["proven"] else "restored without an error"
        lines = [
            f"The copy has {result['rows']} rows in {result['tables']} tables, {how}; it took {result['duration']} s"
        ]
    else:
        kept = f"; the one that was there is kept as {result['kept_as']}" if result["kept_as"] else ""
        lines = [f"The copy is the database {result['database']} now{kept}"]
    return lines + [f"{name}, of an earlier rehearsal, was dropped" for name in result["dropped"]]


def run(params: Dict[str, Any], check_mode: bool, progressing: progress.Progress) -> Dict[str, Any]:
    """Restore a dump beside the database, let it take the place, or drop it, by C(state); return what the module does.

    Raises OperationError.
    """
    settings = database.ConnectionSettings()
    try:
        copy = Copy(params, progressing)
        settings = copy.settings
        if params["state"] == "absent":
            return {"changed": True, **copy.remove(check_mode)}
        if params["state"] == "in_place":
            result = copy.swap(check_mode)
        else:
            result = copy.check()
            if check_mode:
                return {"changed": True, **result}
            result.update(copy.restore())
        return {"changed": True, **result, "lines": said(result)}
    except database.psycopg2.Error as error:
        raise database.database_error(error, settings, "While the copy was restored", UNTOUCHED) from error
