# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One backup on its way into the place of one database."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restoring
from ansible_collections.openlmis.operations.plugins.module_utils.dump.beside import DATABASE, UNTOUCHED, Beside
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import activity, contents, database
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.contents import quoted

SETTINGS = """
SELECT r.rolname, unnest(s.setconfig) FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = %s
"""
# Who granted is left out: a database's owner, but for a grant that was handed on.
RIGHTS = """
SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
FROM pg_roles o, aclexplode(coalesce(%s::aclitem[], acldefault('d', o.oid))) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE o.rolname = %s
"""
OTHERS_OBJECTS = """
SELECT DISTINCT pg_get_userbyid(owner) FROM (
  SELECT c.relowner AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
  AND c.relkind <> 'i'
) owners WHERE NOT pg_has_role(current_user, owner, 'MEMBER')
"""


class Restore(Beside):
    """One backup on its way into the place of one database."""

    def __init__(self, params: Mapping[str, Any], progressing: progress.Progress) -> None:
        self.progress = progressing
        self.progress.say("reading the backup")
        self.backup, run = params["backup"], params["run"]
        self.manifest = self._proven()
        super().__init__(
            params, "openlmis.operations database_restore", "restore", restoring.scratch_comment(run), self.backup
        )
        self.failed = restoring.name_for(self.name, "failed", run)

    # -- looking ---------------------------------------------------------------------------------------------------

    def _proven(self) -> Dict[str, Any]:
        manifest, problems = backups.read(self.backup)
        problems += backups.damages(self.backup, manifest) if manifest else []
        if problems:
            raise OperationError(
                f"The backup cannot be restored: {'; '.join(problems[:10])}. A backup whose every file is as its"
                f" manifest says is expected. {UNTOUCHED}; name another backup in openlmis_rollback_backup."
            )
        return manifest

    def swapped(self) -> bool:
        """Tell whether the restored database is in place: the one set aside in this run names it."""
        aside, current = self._row(DATABASE, self.failed), self._row(DATABASE, self.name)
        return bool(aside and current) and restoring.replacement_of(self.run, aside[1]) == current[0]

    def check(self) -> Dict[str, Any]:
        """Return what is to be done. Raises OperationError for what must not be done."""
        current = self._row(DATABASE, self.name)
        rows = self.manifest["tables"]
        result = {
            "database": self.name,
            "kept_as": self.failed if current else None,
            "strategy": "fresh" if self.superuser else "copy",
            "tables": len(rows),
            "rows": sum(rows.values()),
            "hashed": len(self.manifest.get("hashes") or {}),
        }
        if self.swapped():
            line = f"Database {self.name} is the restored one already; the one before it is kept as {self.failed}"
            return {**result, "strategy": "done", "lines": [line]}
        self._check_privileges(current)
        self._check_room(current)
        lines = [f"Database {self.name} is restored: {len(rows)} tables with {sum(rows.values())} rows"]
        if current:
            lines.append(f"What is in it now is kept as database {self.failed}")
        if current and self.params["users_let_in"]:
            result["activity"] = self._activity()
            lines += self._lost(result["activity"])
        return {**result, "lines": lines}

    def _check_privileges(self, current: Any) -> None:
        reasons = []
        if not self.may_create:
            reasons.append(f"may not create databases (ALTER ROLE {quoted(self.settings.user)} CREATEDB)")
        if not self.superuser:
            if current is None:
                reasons.append(f"is no superuser, and there is no database {self.name} to take the extensions from")
            elif not current[2]:
                reasons.append(f"does not own the database {self.name}, {current[3]} does")
            else:
                with self._inside(self.name) as cursor:
                    cursor.execute(OTHERS_OBJECTS)
                    others = [name for (name,) in cursor.fetchall()]
                if others:
                    reasons.append(f"is no member of {', '.join(others)}, whose tables are in the database")
        missing = self._missing_roles()
        if missing and not self.may_create_roles:
            reasons.append(f"may not create roles, and {', '.join(missing)} is missing")
        others = {one["role"] for one in self.manifest["database"]["settings"]} - {None, self.settings.user}
        if others and not self.may_create_roles:
            reasons.append(
                f"may not set the defaults that {', '.join(sorted(others))} has in this database (CREATEROLE)"
            )
        if reasons:
            raise OperationError(
                f"The role {self.settings.user} cannot restore into a second database: it {'; it '.join(reasons)}. A"
                f" superuser, or the database's owner with CREATEDB, is expected. {UNTOUCHED}; grant what is missing,"
                " or name another role in openlmis_login_user."
            )

    def _missing_roles(self) -> List[str]:
        path = os.path.join(self.backup, "globals.sql")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as stream:
            return restoring.missing_roles(
                stream.read(), [name for (name,) in self._rows("SELECT rolname FROM pg_roles")]
            )

    def _check_room(self, current: Any) -> None:
        # Only a little is known of the size of a database that is gone: its dump is compressed.
        size = self._row("SELECT pg_database_size(%s)", self.name)[0] if current else 0
        size = max(size, 2 * sum(self.manifest["sizes"].values()))
        free = self._free()
        missing = restoring.room_missing(size, free)
        if missing:
            raise OperationError(
                f"The disk of the database has {(free or 0) // 2**20} MiB free; {(size * 11 // 10) // 2**20} MiB are"
                f" expected, since the database is restored beside the one that is there. {UNTOUCHED}; make"
                f" {missing // 2**20 + 1} MiB of room and run again."
            )

    def _activity(self) -> Dict[str, Any]:
        with self._inside(self.name) as cursor:
            found = activity.since(cursor, self.params["baseline"])
        if (found["unknown"] or found["tables"]) and not self.params["discard_changes"]:
            raise OperationError(
                f"{' '.join(self._lost(found))}. Nobody is expected to have worked since the upgrade. {UNTOUCHED}; if"
                " all this may be lost (it stays in the database that is set aside), run again with -e"
                " openlmis_rollback_discard_changes=true; if not, and users are kept out already, run the upgrade"
                " again: it goes on."
            )
        return found

    def _lost(self, found: Dict[str, Any]) -> List[str]:
        if found["unknown"]:
            return [f"Whatever users entered since the upgrade is lost, and nobody can tell what: {found['unknown']}"]
        if found["tables"]:
            return ["What users entered since the upgrade is lost: " + "; ".join(activity.described(found["tables"]))]
        return ["Nothing was entered since the upgrade"]

    # -- doing -----------------------------------------------------------------------------------------------------

    def restore(self) -> Dict[str, float]:
        """Make the fresh database, prove it and put it in its place; return the seconds."""
        begin = time.monotonic()
        self.progress.say("making a fresh database")
        self.programs.sweep(self.backup)
        self._create_roles()
        self._drop_scratch()
        try:
            self._create_scratch()
            options = [] if self.superuser else self._emptied()
            self.progress.say(self._restored)
            self._pg_restore(options)
            restored = time.monotonic()
            self._prove()
            self._equip()
        except BaseException:
            # Not to leave a full disk behind; a rerun begins with a fresh one anyway.
            with contextlib.suppress(database.psycopg2.Error, OperationError):
                self._drop_scratch()
            raise
        proven = time.monotonic()
        self.progress.say("changing names; sessions on the database are ended")
        self._swap()
        return {"restore": round(restored - begin, 1), "proof": round(proven - restored, 1)}

    def _restored(self) -> str:
        with self._inside(self.scratch) as cursor:
            return contents.restored(cursor, self.manifest["tables"])

    def _create_roles(self) -> None:
        missing = self._missing_roles()
        if missing:
            path = self.programs.path(os.path.join(self.backup, "globals.sql"))
            # Not to stop at an error: most of the roles are there already.
            self._run(
                "globals",
                ["psql", "--no-psqlrc", "--quiet", f"--dbname={self.programs.dsn('postgres')}", f"--file={path}"],
            )
            left = self._missing_roles()
            if left:
                raise OperationError(
                    f"The roles {', '.join(left)} are missing after globals.sql of the backup was run; they are"
                    f" expected, since rights are theirs. {UNTOUCHED}; create them and run again."
                )

    def _create_scratch(self) -> None:
        wanted = self.manifest["database"]
        create = f"CREATE DATABASE {quoted(self.scratch)} OWNER {quoted(wanted['owner'])}"
        if self.superuser:
            locale = (wanted["encoding"], wanted["collate"], wanted["ctype"])
            self._rows(f"{create} TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s", *locale)
        else:
            self._until_free([self.name], [(f"{create} TEMPLATE {quoted(self.name)}", ())])
        self._rows(f"COMMENT ON DATABASE {quoted(self.scratch)} IS %s", restoring.scratch_comment(self.run))

    def _pg_restore(self, options: Sequence[str]) -> None:
        command = ["pg_restore", "--exit-on-error", "--no-password", f"--jobs={self.params['jobs']}", *options]
        try:
            self._run("restore", [*command, f"--dbname={self.programs.dsn(self.scratch)}", self._archive()])
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.backup, ".restore-list"))

    def _archive(self) -> str:
        return self.programs.path(os.path.join(self.backup, "database"))

    def _prove(self) -> None:
        hashes, tables = self.manifest.get("hashes"), self.manifest["tables"]
        counted: List[str] = []
        self.progress.say(lambda: f"restored; rows counted in {len(counted)} of {len(tables)} tables")
        with self._inside(self.scratch) as cursor:
            cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            wrong = contents.differences(tables, contents.count_rows(cursor, counted.append))
            if hashes and not wrong:
                compared: List[str] = []
                self.progress.say(
                    lambda: f"restored; contents compared of {len(compared)} of {len(hashes)} tables and sequences"
                )
                wrong = contents.differences(hashes, contents.content_hashes(cursor, compared.append))
        if wrong:
            raise OperationError(
                f"{len(wrong)} tables are not as they were when they were backed up: {', '.join(wrong[:10])}. Every row"
                f" of every table is expected. {UNTOUCHED}, and so is the backup; look at the database server's log and"
                " disk, and run again."
            )
        # Nobody is to work with a database that the planner knows nothing of.
        self.progress.say("restored; gathering the planner's statistics")
        with self._inside(self.scratch, autocommit=True) as cursor:
            cursor.execute("ANALYZE")

    def _equip(self) -> None:
        """Give the fresh database everything that is not in the dump but the comment, and read it back."""
        wanted, name = self.manifest["database"], quoted(self.scratch)
        self._rows(f"ALTER DATABASE {name} CONNECTION LIMIT {int(wanted['connection_limit'])}")
        if wanted["acl"] is not None:
            self._rows(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC, {quoted(wanted['owner'])}")
            for role, privilege, grantable in self._rows(RIGHTS, wanted["acl"], wanted["owner"]):
                whom, how = quoted(role) if role else "PUBLIC", " WITH GRANT OPTION" if grantable else ""
                self._rows(f"GRANT {privilege} ON DATABASE {name} TO {whom}{how}")
        for one in wanted["settings"]:
            whom = f"ROLE {quoted(one['role'])} IN DATABASE {name}" if one["role"] else f"DATABASE {name}"
            clause, value = restoring.setting_clause(one["setting"])
            self._rows(f"ALTER {whom} {clause}", *([] if value is None else [value]))
        lacking = restoring.lacking_properties(self._properties(wanted), self._found())
        if lacking:
            raise OperationError(
                f"The restored database's {'; its '.join(lacking)}. What the database had when it was backed up is"
                f" expected. {UNTOUCHED}; fix that and run again."
            )

    def _properties(self, told: Dict[str, Any]) -> Dict[str, Any]:
        return {
            **{key: told[key] for key in ("owner", "encoding", "collate", "ctype", "connection_limit")},
            "rights": self._rows(RIGHTS, told["acl"], told["owner"]),
            "settings": [(one["role"], one["setting"]) for one in told["settings"]],
        }

    def _found(self) -> Dict[str, Any]:
        _oid, _comment, _mine, *properties = self._row(DATABASE, self.scratch)
        told = dict(zip(("owner", "encoding", "collate", "ctype", "connection_limit", "acl"), properties))
        told["settings"] = [{"role": role, "setting": setting} for role, setting in self._rows(SETTINGS, self.scratch)]
        return self._properties(told)

    def _swap(self) -> None:
        """Change the names, in one transaction that also writes down what was done."""
        current, fresh = self._row(DATABASE, self.name), self._row(DATABASE, self.scratch)
        statements = []
        if current:
            comment = restoring.failed_comment(self.run, fresh[0], self.backup, current[1])
            statements += [
                (f"ALTER DATABASE {quoted(self.name)} RENAME TO {quoted(self.failed)}", ()),
                (f"COMMENT ON DATABASE {quoted(self.failed)} IS %s", (comment,)),
            ]
        comment = self.manifest["database"].get("comment")
        statements += [
            (f"ALTER DATABASE {quoted(self.scratch)} RENAME TO {quoted(self.name)}", ()),
            (f"COMMENT ON DATABASE {quoted(self.name)} IS %s", (comment,)),
        ]
        self._until_free(
            [self.name, self.scratch], [("SET LOCAL lock_timeout = '5s'", ()), *statements], transaction=True
        )


def into_place(params: Mapping[str, Any], check_mode: bool, progressing: progress.Progress) -> Dict[str, Any]:
    """Restore a backup, or say what would be restored; return the result of M(openlmis.operations.database_restore).
    Raises OperationError.
    """
    restore = None
    try:
        restore = Restore(params, progressing)
        result = restore.check()
        result["changed"] = result["strategy"] != "done"
        if result["changed"] and not check_mode:
            result["duration"] = restore.restore()
        return result
    except database.psycopg2.Error as error:
        settings = restore.settings if restore else database.ConnectionSettings()
        raise database.database_error(error, settings, "While the database was restored", UNTOUCHED) from error
