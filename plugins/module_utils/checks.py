# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which known traps are armed on a server: pure functions from facts (see C(server.collect)) to findings."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

OK, WARNING, REFUSED = "ok", "warning", "refused"
MINIMUM_ENGINE, MINIMUM_COMPOSE = (20, 10), (2, 18)
# A directory-format dump is compressed; the database's own size on disk is an upper bound that needs no guess.
ROOM_FACTOR = 1.0


class Finding(NamedTuple):
    """The outcome of one check: what was found, and when it is not ok what was expected and what to do."""

    check: str
    status: str
    found: str
    expected: str = ""
    remedy: str = ""

    def sentence(self) -> str:
        """Return the finding as one paragraph for an operator."""
        parts = [self.found]
        if self.expected:
            parts.append(f"Expected: {self.expected}.")
        if self.remedy:
            parts.append(self.remedy)
        return " ".join(part if part.endswith(".") else part + "." for part in parts)


Facts = Mapping[str, Any]


def version_tuple(text: str) -> tuple:
    """Return the leading numbers of a version (C(20.10.24+dfsg1) -> (20, 10, 24))."""
    numbers = []
    for part in text.replace("+", ".").replace("-", ".").split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def check_docker(engine: str, compose: str) -> Finding:
    """Docker Engine and Compose are as new as this runbook was tried with."""
    found = f"Docker Engine {engine}, Compose {compose}"
    if version_tuple(engine) >= MINIMUM_ENGINE and version_tuple(compose) >= MINIMUM_COMPOSE:
        return Finding("docker", OK, found)
    return Finding(
        "docker", REFUSED, found, "Engine 20.10 and Compose 2.18 or newer", "Update them on a day before the upgrade."
    )


def check_database(facts: Facts) -> Finding:
    """The database answers, and this role may create the schema that the new release brings."""
    database = facts["database"]
    if database["error"]:
        return Finding("database", REFUSED, database["error"])
    found = f"PostgreSQL {database['server_version']}, database {database['name']}, {database['size'] // 2**20} MiB"
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
            "database volume",
            OK,
            "the database is outside this Compose project" if not database["error"] else "not looked at",
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
    if facts["database"]["error"]:
        return Finding(
            "start release",
            REFUSED,
            "the schemas' histories cannot be read",
            "a database that answers",
            "See check database.",
        )
    if facts["state"] == "target":
        return Finding("start release", OK, f"every schema, image and contact detail is at {facts['release']} already")
    if facts["release"] == facts["release_target"]:
        left = [edit["summary"] for edit in facts["edits"]]
        left += [f"{facts['database']['users_without_details']} users without contact details"]
        return Finding(
            "start release",
            REFUSED,
            f"every schema is at {facts['release']} already, but not by this runbook, and not all is done: {', '.join(left)}",
            "an older release throughout, so that there is a way back",
            "Finish by hand what was begun by hand: set the versions, and copy the contact details with the module"
            " openlmis.operations.user_contact_details_migration.",
        )
    if facts["release"]:
        return Finding("start release", OK, f"every schema is at {facts['release']}")
    table = ", ".join(
        f"{name} {history['applied']} up to {history['newest']}" for name, history in sorted(facts["histories"].items())
    )
    return Finding(
        "start release",
        REFUSED,
        f"the schemas' histories are those of no release that this runbook knows ({table})",
        f"3.3.0, 3.3.1 or {facts['release_target']} throughout",
        "If an upgrade was begun by hand, restore the database or finish by hand what was begun; otherwise bring the server to 3.3.1 first.",
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
        "migration order", WARNING, found, "", "The first start allows out-of-order migration for it; nothing to do."
    )


def check_profiles(facts: Facts) -> Finding:
    """Every component that has a database starts with the profile C(production), else it drops its schema on start."""
    bare = {
        name: s["profiles"]
        for name, s in facts["services"].items()
        if s["uses_database"] and "production" not in s["profiles"]
    }
    if not bare:
        return Finding("production profile", OK, "every component renders with it")
    found = ", ".join(
        f"{name} renders with {','.join(profiles) or 'no profile'}" for name, profiles in sorted(bare.items())
    )
    return Finding(
        "production profile",
        REFUSED,
        f"{found}: without it a component DROPS its whole schema when it starts",
        "spring_profiles_active with production for every component, as Compose renders it",
        "Set spring_profiles_active=production in the settings file, and remove an `environment:` entry that overrides it;"
        " `docker compose config` shows what counts.",
    )


def check_same_database(facts: Facts) -> Finding:
    """All components render one and the same database URL, user and password."""
    groups = facts["database_groups"]
    if len(groups) == 1:
        return Finding("database URL", OK, f"the same for all {len(groups[0])} components")
    if not groups:
        return Finding(
            "database URL",
            REFUSED,
            "no component renders a DATABASE_URL",
            "one for every component",
            "Set DATABASE_URL in the settings file, or name the settings file in env_file.",
        )
    found = "; ".join(", ".join(group) for group in groups)
    return Finding(
        "database URL",
        REFUSED,
        f"components render different DATABASE_URL, POSTGRES_USER or POSTGRES_PASSWORD, in these groups: {found}",
        "the same for all components",
        "Compare them with `docker compose config` and remove what sets one apart.",
    )


def check_containers(facts: Facts) -> Finding:
    """Every component, the UI and the proxy run steadily before the upgrade begins."""
    needed = {
        name: s for name, s in facts["services"].items() if s["component"] or name == facts["database"].get("service")
    }
    bad = [f"{name} is {s['status']}" for name, s in sorted(needed.items()) if s["status"] != "running"]
    bad += [
        f"{name} has restarted {s['restart_count']} times"
        for name, s in sorted(needed.items())
        if s["restart_count"] > 2
    ]
    if not bad:
        return Finding("containers", OK, f"{len(needed)} components and the database run")
    return Finding(
        "containers",
        REFUSED,
        ", ".join(bad),
        "a healthy server before an upgrade",
        "Start or mend it: `docker compose ps -a`.",
    )


def check_images(facts: Facts) -> Finding:
    """Each service's image of the new release is known, and here or to be fetched before the window opens."""
    unknown = sorted(name for name, s in facts["services"].items() if s["component"] and s["target_image"] is None)
    if unknown:
        listed = ", ".join(f"{name} runs {facts['services'][name]['image']}" for name in unknown)
        return Finding(
            "images",
            REFUSED,
            f"{listed}: a national build whose {facts['release_target']} image is not known here",
            "an image for every service",
            f"Name it: openlmis_images: {{{unknown[0]}: '<image>:<tag>'}}.",
        )
    if facts["images_to_pull"]:
        return Finding("images", OK, f"to be pulled before the window: {', '.join(facts['images_to_pull'])}")
    return Finding("images", OK, f"all of {facts['release_target']} are on this host")


def check_duplicates(facts: Facts) -> Finding:
    """referencedata 11.0.0 creates a unique index that fails on duplicate active program orderables."""
    count = facts["database"].get("duplicate_program_orderables")
    if not count:
        return Finding("program orderables", OK, "no duplicates")
    return Finding(
        "program orderables",
        REFUSED,
        f"{count} pairs of orderable and program are active more than once in referencedata.program_orderables",
        "each pair active at most once, else migration 20180504135225615 fails with the server offline",
        "Deactivate the duplicates (SELECT orderableid, programid FROM referencedata.program_orderables WHERE active"
        " GROUP BY 1, 2 HAVING count(*) > 1).",
    )


def check_restart_policy(facts: Facts) -> Finding:
    """With C(restart: always) a failed migration becomes a crash loop, and a reboot starts components by itself."""
    always = sorted(
        name for name, s in facts["services"].items() if s["component"] and s["restart_policy"] not in ("", "no")
    )
    if not always:
        return Finding("restart policy", OK, "none")
    return Finding(
        "restart policy",
        WARNING,
        f"{', '.join(always)} restart by themselves",
        "",
        "A crash loop is recognised and ends the wait.",
    )


def check_room(facts: Facts, free: int) -> Finding:
    """The dump has room; C(free) is in bytes."""
    size = facts["database"].get("size") or 0
    found = f"{free // 2**20} MiB free for the backup of a database of {size // 2**20} MiB"
    if free > size * ROOM_FACTOR:
        return Finding("room for the backup", OK, found)
    return Finding(
        "room for the backup",
        REFUSED,
        found,
        f"at least {size // 2**20} MiB",
        "Make room, or set openlmis_backup_dir to another disk.",
    )


def check_login(base_url: Optional[str], username: Optional[str], problem: str) -> Finding:
    """The administrator's login works, so that the smoke test will; C(problem) is empty when it does."""
    if not problem:
        return Finding("login", OK, f"{username} logs in at {base_url}")
    return Finding(
        "login",
        REFUSED,
        f"{username} cannot log in at {base_url}: {problem}" if base_url else problem,
        "the administrator's login that the smoke test after the upgrade needs",
        "Set or correct openlmis_base_url, openlmis_admin_username, openlmis_admin_password, openlmis_client_id and"
        " openlmis_client_secret.",
    )


CHECKS: Dict[str, Callable[[Facts], Finding]] = {
    "database": check_database,
    "database volume": check_database_place,
    "start release": check_release,
    "migration order": check_out_of_order,
    "production profile": check_profiles,
    "database URL": check_same_database,
    "images": check_images,
    "program orderables": check_duplicates,
    "restart policy": check_restart_policy,
    "containers": check_containers,
}
# A run that was cut off is past these: its own steps have changed what they look at.
PRECONDITIONS = ("start release", "containers", "program orderables")


def findings(facts: Facts, resumed: bool) -> List[Finding]:
    """Return the outcome of every check; a resumed run is held to the invariants only."""
    return [check(facts) for name, check in CHECKS.items() if not (resumed and name in PRECONDITIONS)]
