# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traps in a database: pure functions from facts to findings."""

from __future__ import annotations

from typing import List, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import (
    OK,
    REFUSED,
    WARNING,
    Facts,
    Finding,
    listed,
    mib,
)

UNSEEN = "not looked at, since the database does not answer"


def check_database(facts: Facts) -> Finding:
    """The database answers and takes writes, and this role may create the schema that the new release brings."""
    database = facts["database"]
    if database["error"]:
        return Finding("database", REFUSED, database["error"])
    found = f"PostgreSQL {database['server_version']}, database {database['name']}, {mib(database['size'])}"
    if database["read_only"]:
        return Finding(
            "database",
            REFUSED,
            f"{found}; it is read-only: a standby, or default_transaction_read_only is on",
            "the primary",
            "Correct DATABASE_URL, or pass openlmis_login_host.",
        )
    if not database["may_create_schema"]:
        return Finding(
            "database",
            REFUSED,
            f"{found}; user {database['user']} may not create a schema in it",
            "the privilege to create the notification schema",
            f'Run as the database\'s owner: GRANT CREATE ON DATABASE "{database["name"]}" TO "{database["user"]}".',
        )
    return Finding("database", OK, found)


def check_database_place(facts: Facts) -> Finding:
    """The database's files outlive its container; an anonymous volume does so only while nobody runs C(down)."""
    database = facts["database"]
    if database["error"] or not database.get("container"):
        return Finding(
            "database volume", OK, UNSEEN if database["error"] else "the database is outside this Compose project"
        )
    mounts = ", ".join(f"{source[:12]} at {place}" for place, source in sorted(database["mounts"].items()))
    if not mounts:
        return Finding(
            "database volume",
            REFUSED,
            f"container of service {database['service']} has no volume: the data is in the container itself",
            "a volume that outlives the container",
            "Move the data to a named volume first.",
        )
    return Finding("database volume", OK, f"{mounts}; its identity is compared after every step")


def check_release(facts: Facts) -> Finding:
    """The schemas' histories are exactly those of a release from which the upgrade starts, or all is done."""
    database, target = facts["database"], facts["release_target"]
    if database["error"]:
        return Finding(
            "start release",
            REFUSED,
            "the schemas' histories cannot be read",
            "a database that answers",
            "See the check database.",
        )
    if facts["state"] == "target":
        return Finding("start release", OK, f"every schema, image and contact detail is at {target} already")
    if facts["release"] == target:
        left = [edit["summary"] for edit in facts["edits"]]
        left += [f"{name} runs {s['running_image']}" for name, s in sorted(facts["services"].items()) if s["stale"]]
        left += (
            [f"{database['users_without_details']} of {database['users']} users have no contact details"]
            if database["users_without_details"]
            else []
        )
        edited = facts["live"]["database"].get("differing_details")
        left += [f"{edited} have another e-mail address there than in referencedata, which is kept"] if edited else []
        return Finding(
            "start release",
            WARNING,
            f"every schema is at {target} already, and not all is done: {'; '.join(left)}",
            "",
            f"An upgrade that was begun by hand is brought to its end by the same steps: backup of {target} as it is,"
            " the rest, smoke test. What users changed there since is kept. The backup does not lead back to the"
            " release before: keep the one made by hand.",
        )
    if facts["release"]:
        return Finding("start release", OK, f"every schema is at {facts['release']}")
    starts = [name for name in facts["releases"] if name != target]
    if not facts["begun_from"]:
        return Finding(
            "start release",
            REFUSED,
            "the schemas' histories are those of no release that this runbook knows",
            f"{', '.join(starts)} or {target} throughout",
            f"Bring the server to {starts[-1]} first, with the procedure of that release.",
            histories_table(facts),
        )
    found = (
        f"an upgrade from {facts['begun_from']} to {target} was begun and is not finished: the schemas' histories are"
        " a mix"
    )
    if facts["without_way_back"]:
        return Finding(
            "start release",
            WARNING,
            found,
            "",
            "It goes forward without a way back, as openlmis_without_way_back says.",
            histories_table(facts),
        )
    return Finding(
        "start release",
        REFUSED,
        found,
        f"{', '.join(starts)} or {target} throughout, so that there is a way back",
        "Restore the backup from before it was begun, and the files with it, and run again. Where there is none: dump"
        " the database as it is, and run again with openlmis_without_way_back=true, which goes forward from here.",
        histories_table(facts),
    )


def histories_table(facts: Facts) -> Tuple[str, ...]:
    """Return the histories as aligned lines: how many migrations each schema has, the newest, and of which release that
    is.
    """
    target = facts["release_target"]
    rows = [("schema", "applied", "newest", "is that of")]
    for name, history in sorted(facts["histories"].items()):
        missing = len(history["missing"])
        between = f"between releases: {missing} of {target}'s missing" if missing else f"more than {target}"
        between = between if history["applied"] else "nothing"
        rows.append(
            (name, str(history["applied"]), history["newest"] or "-", ", ".join(history["releases"]) or between)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return tuple("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows)


def check_failed_migrations(facts: Facts) -> Finding:
    """Flyway refuses to go on from a history with a migration that failed."""
    failed = {name: h["failed"] for name, h in facts["histories"].items() if h["failed"]}
    if not failed:
        return Finding("failed migrations", OK, "no history has one" if facts["histories"] else UNSEEN)
    told = "; ".join(
        f"{name}.schema_version has {listed(versions)} with success = false"
        for name, versions in sorted(failed.items())
    )
    return Finding(
        "failed migrations",
        REFUSED,
        told,
        "migrations that succeeded, since Flyway refuses to go on from others",
        "Undo by hand what they left, and DELETE their rows from the history.",
    )


def check_out_of_order(facts: Facts) -> Finding:
    """Flyway 4 skips migrations older than the newest one applied; the runbook lets the components named apply them."""
    skipped = {name: history["out_of_order"] for name, history in facts["histories"].items() if history["out_of_order"]}
    if not skipped:
        return Finding("migration order", OK, "no component would skip a migration")
    found = "; ".join(
        f"{name} would silently skip {len(versions)} ({', '.join(versions)})"
        for name, versions in sorted(skipped.items())
    )
    return Finding(
        "migration order", WARNING, found, "", "Nothing to do: the first start allows out-of-order migration for it."
    )


def check_duplicates(facts: Facts) -> Finding:
    """referencedata 11.0.0 creates a unique index that fails on duplicate active program orderables."""
    count = facts["database"].get("duplicate_program_orderables")
    if not count:
        return Finding("program orderables", OK, "no duplicates")
    pairs = facts["live"]["database"].get("duplicate_pairs", [])
    which = f" (orderable, program: {listed([' '.join(pair) for pair in pairs])})" if pairs else ""
    return Finding(
        "program orderables",
        REFUSED,
        f"{count} pairs of orderable and program are active more than once in referencedata.program_orderables{which}",
        "each pair active at most once, else migration 20180504135225615 fails with the server offline",
        "Deactivate the duplicates (SELECT orderableid, programid FROM referencedata.program_orderables WHERE active"
        " GROUP BY 1, 2 HAVING count(*) > 1).",
    )


def check_auth_users(facts: Facts) -> Finding:
    """auth 4.0.0 gives every user the id that it has in referencedata, which must not be another user's id in auth."""
    count = facts["live"]["database"].get("clashing_auth_users", 0)
    if not count:
        return Finding("auth users", OK, "no user's new id is another's")
    return Finding(
        "auth users",
        REFUSED,
        f"{count} users of auth.auth_users have a referencedatauserid that is the id of another user there",
        "none, else the migration that sets id := referencedatauserid fails with the server offline",
        "Give those other users new ids (SELECT b.username FROM auth.auth_users a JOIN auth.auth_users b ON"
        " a.referencedatauserid = b.id AND a.id <> b.id).",
    )


def check_privileges(facts: Facts) -> Finding:
    """Migrations alter tables, which only their owner may, and the dump reads every table."""
    database, user = facts["live"]["database"], facts["database"].get("user")
    found: List[str] = []
    remedies: List[str] = []
    for owner, tables in sorted(database.get("foreign_tables", {}).items()):
        found.append(f"{owner} owns {listed(tables)}, and {user} is no member of that role")
        remedies.append(f'GRANT "{owner}" TO "{user}"')
    unreadable = database.get("unreadable_tables", [])
    if unreadable:
        found.append(f"{user} may not read {listed(unreadable)}, and the dump would fail")
        remedies.append(f'GRANT SELECT on them (and USAGE on their schema) TO "{user}"')
    if not found:
        return Finding(
            "privileges", OK, "the role owns the components' tables and reads all others" if database else UNSEEN
        )
    return Finding(
        "privileges",
        REFUSED,
        "; ".join(found),
        "a role that may alter the components' tables and read every other",
        f"Run as a superuser, or as the owner: {'; '.join(remedies)}.",
    )


def check_way_back(facts: Facts) -> Finding:
    """A rollback restores into a second database, and gives it the first one's name: that is known before there is no
    other way back.
    """
    database, user, role = facts["database"], facts["database"].get("user"), facts["live"]["database"].get("way_back")
    if not role:
        return Finding("way back", OK, UNSEEN)
    lacking: List[str] = []
    if not role["may_create_database"]:
        lacking.append(f'may not create databases (ALTER ROLE "{user}" CREATEDB)')
    if not role["owns_database"]:
        lacking.append(
            f'does not own {database["name"]} (ALTER DATABASE "{database["name"]}" OWNER TO "{user}"), {role["owner"]}'
            " does"
        )
    if not lacking:
        return Finding("way back", OK, "the role may restore the backup beside the database")
    return Finding(
        "way back",
        WARNING,
        f"{user} {', and '.join(lacking)}: rollback-3.4.yml would be refused",
        "",
        "Grant it for the time of the upgrade, or know how else you would restore the dump, or a snapshot of the"
        " provider's.",
    )


def check_sessions(facts: Facts) -> Finding:
    """A transaction that stays open holds its locks, on which a migration would wait in the window."""
    sessions = facts["live"]["database"].get("long_transactions", [])
    if not sessions:
        return Finding("open transactions", OK, "none is older than five minutes")
    told = listed([f"{one['what']} of {one['user']}, open for {one['seconds'] // 60} min" for one in sessions])
    return Finding(
        "open transactions",
        WARNING,
        told,
        "",
        "A migration waits for the locks of a transaction that is still open then: end it before the window, or stop"
        " the program behind it.",
    )
