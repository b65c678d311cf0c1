# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold before a copy of production is put onto a server: pure functions from facts to findings."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import (
    OK,
    REFUSED,
    Facts,
    Finding,
    listed,
)

TAKE_BACK = "Take it back with rollback-3.4.yml -e openlmis_rollback_discard_changes=true, and run again."


def address(url: str) -> Optional[Tuple[str, Optional[int]]]:
    """Return host and port of a URL by which two servers are told apart; a scheme's own port counts as none."""
    parts = urlsplit(url if "//" in url else "//" + url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return (parts.hostname, None if port in (80, 443) else port) if parts.hostname else None


def production_url(facts: Facts) -> str:
    """Return production's BASE_URL: as the operator says, else as the backup does; empty when nobody does."""
    return facts["production_base_url"] or facts["dump"]["manifest"].get("base_url") or ""


def same_database(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two identities are of one database: by OID and system identifier, else by name and address."""
    known = all(identity.get("system_identifier") and identity.get("oid") for identity in (one, other))
    keys = ("system_identifier", "oid") if known else ("name", "host", "port", "mounts")
    return all(one.get(key) == other.get(key) for key in keys)


def check_staging(facts: Facts) -> Finding:
    """Nobody puts a copy of production onto production."""
    if facts["staging"]:
        return Finding("staging", OK, "openlmis_staging is set")
    return Finding(
        "staging",
        REFUSED,
        "openlmis_staging is not set for this server",
        "a rehearsal only on a server that is marked as staging, since its database is replaced",
        "If it is one, set openlmis_staging: true for this host in the inventory.",
    )


def check_dump(facts: Facts) -> Finding:
    """What is restored, in words."""
    dump = facts["dump"]
    manifest = dump["manifest"]
    if dump["path"].startswith(facts["backup_dir"].rstrip("/") + "/"):
        return Finding(
            "dump",
            REFUSED,
            f"{dump['path']} is in {facts['backup_dir']}, where this server's own backups are, of which old ones are"
            " removed",
            "production's dump in a place of its own",
            "Move it, or set openlmis_backup_dir.",
        )
    of = (
        f", of {manifest['base_url'] or 'an unknown address'} at {manifest['created']} UTC"
        if manifest.get("created")
        else ""
    )
    return Finding("dump", OK, f"{dump['path']}, {dump['kind']}, {dump['size'] // 2**20} MiB{of}")


def check_base_url(facts: Facts) -> Finding:
    """The server is not the one that the dump is of, by its address."""
    production, own = production_url(facts), sorted({facts["base_url"] or "", *facts["rendered"]["base_urls"]} - {""})
    if not address(production):
        return Finding(
            "another address",
            REFUSED,
            f"nothing tells of which server the dump is: it is of the kind {facts['dump']['kind']}",
            "production's BASE_URL, to see that this server is another one",
            "Set openlmis_rehearse_production_base_url.",
        )
    same = [url for url in own if address(url) == address(production)]
    if same or not own:
        return Finding(
            "another address",
            REFUSED,
            (
                f"this server's BASE_URL is {listed(same)}, and so is production's"
                if same
                else "this server has no BASE_URL"
            ),
            "a server with an address of its own",
            "Rehearse on another server, or set BASE_URL in this one's settings, and openlmis_base_url, to its own"
            " address.",
        )
    return Finding("another address", OK, f"this server is {listed(own)}, production is {production}")


def check_database(facts: Facts) -> Finding:
    """The database is not the one that the dump is of."""
    database, of = facts["database"], (facts["dump"]["manifest"].get("database") or {}).get("identity")
    if database["error"]:
        return Finding(
            "another database", REFUSED, database["error"], "a database that answers", "Start it and run again."
        )
    if not of:
        return Finding(
            "another database",
            OK,
            f"{database['name']} at {database['host']}; the dump does not tell whose it is: compared by address only",
        )
    if same_database(database["identity"], of):
        return Finding(
            "another database",
            REFUSED,
            f"the database {database['name']} at {database['host']} is the one that was dumped (OID"
            f" {database['identity']['oid']}, system identifier {database['identity']['system_identifier']})",
            "a database of the staging server's own",
            "Point DATABASE_URL at it. On a copy of production's whole machine drop the database and make it anew.",
        )
    return Finding(
        "another database",
        OK,
        f"{database['name']} at {database['host']} is not the one that was dumped, by OID and system identifier",
    )


def check_mail(facts: Facts) -> Finding:
    """Mail does not leave the server, or goes to where the operator says that it is caught."""
    found = {host: names for host, names in facts["rendered"]["mail_hosts"].items() if host not in facts["mail_hosts"]}
    if not found:
        caught = sorted(facts["rendered"]["mail_hosts"])
        return Finding(
            "mail", OK, f"mail goes to {listed(caught)}, which catches it" if caught else "mail stays on this server"
        )
    return Finding(
        "mail",
        REFUSED,
        "; ".join(f"mail of {listed(names)} goes to {host}" for host, names in sorted(found.items())),
        "no mail host but this server, or one that catches mail",
        "Set MAIL_HOST=localhost in the settings, or name a catcher in openlmis_rehearse_mail_hosts.",
    )


def check_run(facts: Facts) -> Finding:
    """No upgrade or rollback is under way on this server."""
    if not facts["run"]:
        return Finding("no run under way", OK, "no upgrade or rollback is under way")
    return Finding(
        "no run under way",
        REFUSED,
        f"run {facts['run']} is under way on this server",
        "none, since the database is replaced",
        f"Finish it with upgrade-3.4.yml. {TAKE_BACK}",
    )


def check_release(facts: Facts) -> Finding:
    """The server's files and images are those of the release that production runs."""
    here, there = facts["release"], facts["dump"]["manifest"].get("release")
    if here not in facts["starts"]:
        return Finding(
            "release",
            REFUSED,
            f"this server runs {here or 'a mix of releases'}",
            f"one of {listed(sorted(facts['starts']))}, as production",
            TAKE_BACK,
        )
    if there and there != here:
        return Finding(
            "release",
            REFUSED,
            f"this server runs {here}, production {there}",
            "the same release",
            f"Deploy {there} here, as it is in production.",
        )
    return Finding(
        "release",
        OK,
        f"this server runs {here}"
        + (", as production does" if there else "; the copy's is looked at when it is restored"),
    )


CHECKS: Dict[str, Callable[[Facts], Finding]] = {
    "staging": check_staging,
    "dump": check_dump,
    "another address": check_base_url,
    "another database": check_database,
    "mail": check_mail,
    "no run under way": check_run,
    "release": check_release,
}


def findings(facts: Facts) -> List[Finding]:
    """Return the outcome of every check."""
    return [check(facts) for check in CHECKS.values()]
