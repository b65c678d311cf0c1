# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore needs to know of names, of an archive's entries and of a database's properties; no I/O."""

from __future__ import annotations

import re
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.contents import quoted

# PostgreSQL cuts longer names off without a word.
NAME_LIMIT = 63
# Their values are lists of identifiers, stored the way in which they are written in SQL.
LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)


COPY = "openlmis.operations: harmless copy of production, made for rehearsal"


class Entry(NamedTuple):
    """A line of C(pg_restore --list): C(text) is all behind the ids, such as C(TABLE DATA public users postgres)."""

    line: str
    text: str


def name_for(database: str, what: str, run: str) -> str:
    """Return the name of a run's database beside the one named, C(open_lmis_failed_20260102T190000Z), within
    PostgreSQL's limit.
    """
    ending = f"_{what}_{run}"
    return database.encode()[: NAME_LIMIT - len(ending)].decode("utf-8", "ignore") + ending


def scratch_comment(run: str) -> str:
    """Return the comment of the fresh database while it is no more than that."""
    return f"openlmis.operations: being restored in run {run}; may be dropped when no rollback is under way"


def failed_comment(run: str, oid: int, backup: str, earlier: Optional[str]) -> str:
    """Return the comment of the database that was set aside; it names the one that took its place."""
    text = f"openlmis.operations: set aside in run {run} for database {oid}, restored from {backup}; may be dropped"
    return f"{text}. Its comment was: {earlier}" if earlier else text


def replacement_of(run: str, comment: Optional[str]) -> Optional[int]:
    """Return the OID of the database that took the place of the one with this comment in this run; None
    when none did.
    """
    match = re.match(rf"openlmis\.operations: set aside in run {re.escape(run)} for database (\d+),", comment or "")
    return int(match.group(1)) if match else None


def copy_comment(run: str) -> str:
    """Return the comment of a copy of production that a rehearsal works on."""
    return f"{COPY} {run}; may be dropped"


def before_comment(run: str, earlier: Optional[str]) -> str:
    """Return the comment of a staging server's own database that made place for a copy."""
    text = f"openlmis.operations: as it was before rehearsal {run}"
    return f"{text}. Its comment was: {earlier}" if earlier else text


def is_copy(comment: Optional[str]) -> bool:
    """Tell whether a database with this comment is the copy of a rehearsal."""
    return (comment or "").startswith(COPY)


def left_by_rehearsal(comment: Optional[str]) -> bool:
    """Tell whether a rehearsal has left a database with this comment: a copy that took no place, or one that a rollback
    set aside.
    """
    text = comment or ""
    aside = text.startswith("openlmis.operations: set aside in run ") and f". Its comment was: {COPY}" in text
    return aside or text.startswith("openlmis.operations: being restored in run ")


def entries(listing: str) -> List[Entry]:
    """Return what an archive holds, by the output of C(pg_restore --list)."""
    found = (re.match(r"\d+; \d+ \d+ (.*)$", line) for line in listing.splitlines())
    return [Entry(match.string, match.group(1)) for match in found if match]


def without_database(found: Iterable[Entry]) -> List[Entry]:
    """Return the entries without those of the database itself (of the catalog with OID 1262).

    Programs before 11 restore its comment under its old name, also into a database of another name: it would be another
    one's.
    """
    return [entry for entry in found if not re.match(r"\d+; 1262 ", entry.line)]


def without_extensions(
    found: Iterable[Entry], schemas: Sequence[str], relations: Sequence[Tuple[str, str]]
) -> List[Entry]:
    """Return the entries that a copy of the database needs, whose extensions are there already.

    Left out are extensions, the schemas that stay because an extension lives in them, and data and rights of an
    extension's own tables: the copy has them, and their owner may be somebody else.
    """
    parts = [r"EXTENSION - ", r"COMMENT - EXTENSION "]
    for schema in schemas:
        parts += [rf"SCHEMA - {re.escape(schema)} ", rf"(COMMENT|ACL) - (SCHEMA )?{re.escape(schema)}( |$)"]
    for schema, name in relations:
        parts += [rf"(TABLE DATA|ACL|SEQUENCE SET) {re.escape(schema)} ((TABLE|SEQUENCE|VIEW) )?{re.escape(name)}( |$)"]
    pattern = re.compile("|".join(parts))
    return [entry for entry in found if not pattern.match(entry.text)]


def setting_clause(setting: str) -> Tuple[str, Optional[str]]:
    """Return the SET clause for a setting as C(pg_db_role_setting) has it, and the value that has to be quoted into it,
    if any.

    A list is stored as it is written in SQL; quoted as one text it would mean one name with commas in it.
    """
    name, value = setting.split("=", 1)
    target = ".".join(quoted(part) for part in name.split("."))
    return (f"SET {target} TO {value or quoted('')}", None) if name.lower() in LISTS else (f"SET {target} TO %s", value)


def missing_roles(globals_sql: str, present: Iterable[str]) -> List[str]:
    """Return the roles that C(pg_dumpall --globals-only) wrote down and that are not there."""
    names = [
        name[1:-1].replace('""', '"') if name.startswith('"') else name
        for name in re.findall(r"^CREATE ROLE (\"(?:[^\"]|\"\")+\"|[^\s;]+);", globals_sql, re.MULTILINE)
    ]
    return sorted(set(names) - set(present))


def room_missing(size: int, free: Optional[int]) -> int:
    """Return the bytes that lack for a second database of this size and a tenth; none where nobody knows
    what is free.
    """
    return 0 if free is None else max(0, int(size * 1.1) - free)


def room_problem(needs: Mapping[str, int], free: Mapping[str, int], places: Mapping[str, str]) -> Optional[str]:
    """Return a sentence when a file system has less room than what will be written to it takes; sizes in bytes.

    C(needs) is by what is written, C(places) says on which file system each lies, C(free) is by file system.
    """
    for device, room in sorted(free.items()):
        written = {what: size for what, size in needs.items() if places.get(what) == device}
        if written and room < sum(written.values()):
            listed = " and ".join(f"{what} up to {size // 2**20} MiB" for what, size in written.items())
            return f"{device} has {room // 2**20} MiB free, and {listed} may be written to it"
    return None


def free_bytes(df: str) -> Optional[int]:
    """Return the free bytes that C(df -Pk <folder>) tells; None when it tells nothing."""
    match = re.search(r"\s(\d+)\s+\d+%\s+\S+\s*$", df)
    return int(match.group(1)) * 1024 if match else None


def lacking_properties(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> List[str]:
    """Return the properties of a database that are not as wanted, in words."""
    return [
        f"{name} is {found.get(name)!r}, not {value!r}"
        for name, value in sorted(wanted.items())
        if _comparable(value) != _comparable(found.get(name))
    ]


def _comparable(value: Any) -> Any:
    return sorted(map(repr, value)) if isinstance(value, list) else value
