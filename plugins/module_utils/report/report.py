# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run: one dictionary, made of the journal, the backup's manifest and a look at the server. Pure
functions.

What is missing in the journal (an older one, or one made anew from a backup) is none in the report, never a guess.
Users are named by id only.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.core.redact import redact
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.activity import described
from ansible_collections.openlmis.operations.plugins.module_utils.project.deployment import split_image

SCHEMA = 1
UPGRADED, ROLLED_BACK, FAILED = "upgraded", "rolled back", "failed"
# Two clocks that tell of one moment, the container engine's and the journal's, may be this far apart.
CLOCKS = 2.0  # seconds
# A user's name behind the id, which messages on the screen have.
_USERNAME = re.compile(r"(\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) \((?:[^()]|\([^()]*\))*\)", re.IGNORECASE)

Report = Dict[str, Any]
Facts = Mapping[str, Any]


def build(journal: journals.Journal, manifest: Facts, server: Facts, told: Facts) -> Report:
    """Return the report of the journal's run.

    C(manifest) is that of the run's backup, C(server) what M(openlmis.operations.server_info) found at the end; both
    may be empty. C(told) is what neither knows: C(now), C(name), C(project), C(base_url), C(phase), C(finding),
    C(commands), C(checksum).
    """
    run, phase = journal.get("run") or {}, journal["phase"]
    outcome = journal["outcome"] if journal["finished"] else FAILED
    report = {
        "schema": SCHEMA,
        "run": journal["run_id"],
        "written": told.get("now"),
        "started": journal["started"],
        "finished": journal["finished"],
        "outcome": outcome,
        "phase": phase,
        "server": {key: told.get(key) or None for key in ("name", "project", "base_url")},
        "releases": {"from": run.get("from"), "to": run.get("to"), "now": server.get("release")},
        "offline": journals.offline(journal),
        "steps": steps(journal),
        "boot": boots(journal),
        "versions": versions(journal, server, outcome),
        "migrations": migrations(journal, manifest, server),
        "contact_details": contact_details(journal),
        "backup": backup(journal, manifest, told.get("checksum")),
        "smoke_test": [
            dict(one, detail=clean(one["detail"]))
            for one in last_data(journal, "smoke_test", phase).get("results") or []
        ],
        "edits": [edit for data in every_data(journal, "set_versions") for edit in data.get("edits") or []],
        "restored": restored(journal) if outcome == ROLLED_BACK else None,
    }
    report["rows"] = rows(journal, manifest, outcome)
    report["warnings"] = warnings(journal, outcome)
    report["failure"] = failure(journal, server, told) if outcome == FAILED else None
    report["commands"] = commands(journal, outcome, told)
    report["next"] = what_next(report)
    return report


def clean(text: str) -> str:
    """Return a message without users' names, and without what is shaped like a secret, an e-mail address or a telephone
    number.
    """
    # Line by line: a number must not go on in the next one.
    return "\n".join(redact(line) for line in _USERNAME.sub(r"\1", text).split("\n"))


def every_data(journal: journals.Journal, step: str, phase: Optional[str] = None) -> List[Dict[str, Any]]:
    """Return what the journal keeps with each ended run of a step."""
    entries = [entry for entry in journal["steps"] if entry["step"] == step and entry["finished"]]
    return [entry.get("data") or {} for entry in entries if phase in (None, entry.get("phase"))]


def last_data(journal: journals.Journal, step: str, phase: str) -> Dict[str, Any]:
    """Return what the journal keeps with the last run of a step that told something, ended or failed."""
    entries = [entry for entry in journal["steps"] if entry["step"] == step and entry.get("phase") == phase]
    return next((entry["data"] for entry in reversed(entries) if entry.get("data")), {})


# -- time --------------------------------------------------------------------------------------------------------


def steps(journal: journals.Journal) -> List[Dict[str, Any]]:
    """Return every step in the order in which they began. C(nth) counts a step's runs within one attempt
    of one phase.
    """
    seen: Counter = Counter()
    found = []
    for entry in journal["steps"]:
        phase, attempt = entry.get("phase", "upgrade"), entry.get("attempt", 1)
        seen[phase, attempt, entry["step"]] += 1
        ended = entry["finished"] or entry.get("failed")
        found.append(
            {
                "step": entry["step"],
                "nth": seen[phase, attempt, entry["step"]],
                "phase": phase,
                "attempt": attempt,
                "started": entry["started"],
                "finished": entry["finished"],
                "failed": entry.get("failed"),
                # What was made anew from a backup begins and ends at the same moment: nobody knows how long it took.
                "seconds": journals.seconds(entry["started"], ended) if ended and ended != entry["started"] else None,
            }
        )
    return found


def boots(journal: journals.Journal) -> List[Dict[str, Any]]:
    """Return for each container that was started how long its component took to its first answer; none when it has not
    answered.
    """
    found, begun = {}, ""
    for entry in journal["steps"]:
        if entry["step"] == "start":
            begun = entry["started"]
        told = (entry.get("data") or {}).get("components") if entry["step"] == "wait" else None
        for name, one in (told or {}).items():
            # A container from before the start has booted unseen.
            if one.get("started") and begun and journals.seconds(begun, one["started"]) >= -CLOCKS:
                answered = one.get("answered")
                seconds = max(0.0, journals.seconds(one["started"], answered)) if answered else None
                boot = {
                    "component": name,
                    "phase": entry.get("phase"),
                    "started": one["started"],
                    "answered": answered,
                    "seconds": seconds,
                }
                until = entry["finished"] or entry.get("failed")
                found.setdefault((name, one["started"]), {**boot, "seen_until": until})
    return list(found.values())


# -- what the server was and is ------------------------------------------------------------------------------------


def tag(image: Optional[str]) -> Optional[str]:
    """Return the tag of an image reference."""
    return split_image(image)[1] or None if image else None


def versions(journal: journals.Journal, server: Facts, outcome: str) -> List[Dict[str, Any]]:
    """Return each component's version before the run and now: what it answers, else the tag of its image; none where it
    does not run.
    """
    pulled = (every_data(journal, "pull") or [{}])[0]
    answers, images = pulled.get("answers") or {}, pulled.get("images") or {}
    reached = last_data(journal, "wait", journal["phase"]).get("components") or {}
    services = {name: one for name, one in (server.get("services") or {}).items() if one.get("component")}
    if not services:
        services = {name: {"component": name} for name in sorted({*answers, *reached})}
    found = []
    for name, service in sorted(services.items()):
        component = service["component"]
        running = tag(service.get("running_image")) if service.get("status") == "running" else None
        answered = (reached.get(component) or {}).get("version") or None
        now = running if outcome == FAILED else answered or running
        before = answers.get(component) or tag((images.get(name) or {}).get("name"))
        found.append({"component": component, "service": name, "before": before, "after": now})
    return found


def migrations(journal: journals.Journal, manifest: Facts, server: Facts) -> List[Dict[str, Any]]:
    """Return per component the number of migrations before and after, and those that were applied in between; none
    where unknown.
    """
    counted = (
        last_data(journal, "maintenance_off", "upgrade").get("histories") if journal["phase"] == "upgrade" else None
    )
    histories, found = manifest.get("histories"), []
    for component in server.get("components") or manifest.get("components") or []:
        name, schema = component["name"], component.get("schema")
        history = (server.get("histories") or {}).get(name)
        if not schema:
            continue
        before = histories.get(schema, []) if histories is not None else None
        applied, after = None, history["applied"] if history else None
        if counted is not None and schema in counted:
            after = len(counted[schema])
            applied = [one for one in counted[schema] if one and one not in before] if before is not None else None
        elif history and before is not None:
            applied = [one for one in component["migrations"] if one not in before and one not in history["missing"]]
        found.append(
            {
                "component": name,
                "schema": schema,
                "before": len(before) if before is not None else None,
                "applied": applied,
                "after": after,
                "missing": list(history["missing"]) if history and journal["phase"] == "upgrade" else [],
            }
        )
    return found


def rows(journal: journals.Journal, manifest: Facts, outcome: str) -> Dict[str, Any]:
    """Return the rows of each table before and after, none where they were not counted, and in words what was not."""
    before = manifest.get("tables") or {}
    counted = last_data(journal, "maintenance_off", "upgrade") if outcome == UPGRADED else {}
    after, uncounted = counted.get("rows") or {}, counted.get("uncounted") or []
    tables = [
        {
            "table": table,
            "before": before.get(table),
            "after": after.get(table),
            "difference": after[table] - before[table] if table in before and table in after else None,
        }
        for table in sorted({*before, *after, *uncounted})
    ]
    fewer = [one["table"] for one in tables if (one["difference"] or 0) < 0]
    if after:
        fewer += [
            one["table"] for one in tables if one["before"] and one["after"] is None and one["table"] not in uncounted
        ]
    return {
        "before": sum(before.values()) if before else None,
        "after": sum(after.values()) if after and not uncounted else None,
        "tables": tables,
        "fewer": sorted(fewer),
        "uncounted": uncounted,
        "seconds": counted.get("count_seconds"),
        "note": _rows_note(before, after, uncounted, counted.get("count_timeout"), outcome),
    }


def _rows_note(before: Facts, after: Facts, uncounted: Sequence[str], limit: Optional[int], outcome: str) -> str:
    notes = [] if before else ["Not counted before the upgrade: there is no dump of this collection's own that tells."]
    if outcome == FAILED:
        notes.append("Not counted at the end: that is done when all else is done, before users are let in.")
    elif outcome == ROLLED_BACK:
        notes.append("What the rollback restored was counted against the backup then, table by table.")
    elif uncounted:
        notes.append(f"Not counted at the end: {', '.join(uncounted)}; it would have taken longer than {limit} s.")
    elif not after:
        notes.append("Not counted at the end" + (": openlmis_count_timeout is 0." if limit == 0 else "."))
    return " ".join(notes)


def contact_details(journal: journals.Journal) -> Optional[Dict[str, Any]]:
    """Return the users by outcome of the copy, over all attempts; none when it has not ended."""
    copies = every_data(journal, "migrate_contact_details")
    if not copies or "source" not in copies[-1]:
        return None
    last = copies[-1]
    found = {key: last.get(key) for key in ("source", "unchanged", "kept", "without_email")}
    found.update(
        copied=sum(one.get("inserted", 0) for one in copies), corrected=sum(one.get("updated", 0) for one in copies)
    )
    return {**found, "kept_users": list(last.get("kept_users") or [])}


PROOFS = {
    "rows": (
        "Read back to its end; the rows of every table in it equal what the database held in the dump's own snapshot."
    ),
    "restore": (
        "Read back to its end; restored into a scratch database, and every table's content equals what the database"
        " held."
    ),
    "by the site": "Made and proven by the site's own task file.",
}


def backup(journal: journals.Journal, manifest: Facts, checksum: Optional[str]) -> Optional[Dict[str, Any]]:
    """Return what there is to go back to, and how it was proven; none when no backup was made."""
    every = every_data(journal, journals.BACKUP, "upgrade")
    if not every:
        return None
    data = every[-1]
    folder, verified = data.get("dest"), data.get("verified") or manifest.get("verified")
    if data.get("without_way_back") and not folder:
        verified = None
    return {
        "folder": folder,
        "created": manifest.get("created"),
        "bytes": data.get("bytes") or sum((manifest.get("sizes") or {}).values()) or None,
        "tables": data.get("tables") or len(manifest.get("tables") or {}) or None,
        "rows": (
            data["rows"] if isinstance(data.get("rows"), int) else sum((manifest.get("tables") or {}).values()) or None
        ),
        "verified": verified,
        "proof": (
            PROOFS.get(verified or "", "")
            if folder
            else "There is none from before the upgrade: it went forward without a way back."
        ),
        "manifest_sha256": checksum,
        "checksums": dict(manifest.get("checksums") or {}),
    }


def restored(journal: journals.Journal) -> Dict[str, Any]:
    """Return what the rollback has put back, and what users had entered that is lost by it; none where that is not
    known.
    """
    data = last_data(journal, "restore", "rollback")
    keys = ("backup", "tables", "rows", "hashed", "kept_as", "files")
    written, let_in = data.get("activity") or {}, bool(every_data(journal, journals.LAST_OFFLINE_STEP, "upgrade"))
    lost = None if written.get("unknown") else described(written.get("tables") or {})
    if not written:
        lost = None if let_in and data.get("tables") else []
    return {**{key: data.get(key) for key in keys}, "lost": lost}


# -- what was said, and is to be done ------------------------------------------------------------------------------

# Warnings that the run itself gets over, by the name of the check; anything else is the operator's.
MET = {
    "migration order": "Met: the first start allowed out-of-order migration; it runs without that setting since.",
    "registrations": "Met: the registry was made anew, and stale registrations were taken back.",
    "restart policy": "Met: nothing started by itself while users were kept out; the policies are as before.",
    "containers": "Met: every service was started with the release.",
    "answers": "Met: every component answers with the release's version.",
    "compose files": "Met: the run went by openlmis_compose_files.",
    "containers made anew": "Met: the database was started before all others.",
    "start release": "Met: the same steps have brought it to its end.",
    "next deployment": "Yours: commit the changes of files, first of all.",
}


def warnings(journal: journals.Journal, outcome: str) -> Optional[List[Dict[str, Any]]]:
    """Return what the check before the run warned of and how it was met; none where the journal does not tell."""
    told = (journal.get("run") or {}).get("warnings")
    if told is None:
        return None
    found = []
    for one in told:
        met = MET.get(one["check"], "Yours: the run has done nothing about it.")
        if outcome != UPGRADED:
            met = "Open: the upgrade has not ended." if outcome == FAILED else "Void: the upgrade was taken back."
        parts = {key: clean(one.get(key) or "") for key in ("found", "expected", "remedy")}
        found.append({"check": one["check"], **parts, "met": met})
    return found


def failure(journal: journals.Journal, server: Facts, told: Facts) -> Dict[str, Any]:
    """Return where the run stopped, what was found, and what state the server is in."""
    entry = journal["steps"][-1] if journal["steps"] else {"step": None, "finished": None}
    return {
        "step": entry["step"],
        "ended": bool(entry["finished"]),
        "finding": clean(told.get("finding") or entry.get("finding") or "no reason was given"),
        "database": clean(journals.describe_database(server)),
        "services": journals.describe_services(server),
        "users": journals.describe_gate(journal),
        "backup": journals.describe_backup(journal),
    }


def commands(journal: journals.Journal, outcome: str, told: Facts) -> Dict[str, Optional[str]]:
    """Return the exact commands to go on and to roll back, none where there is nothing to go on with or
    to go back to.
    """
    given = told.get("commands") or journal.get("commands") or {}
    if outcome == FAILED:
        on, back = journals.ways(journal, told.get("phase") or journal["phase"], given)
        return {"resume": on, "rollback": back}
    return {"resume": None, "rollback": given.get("rollback") if outcome == UPGRADED else None}


def what_next(report: Report) -> List[Dict[str, Any]]:
    """Return what is left to do, in its order: a sentence and the lines that belong to it."""
    if report["outcome"] == FAILED:
        return _after_failure(report)
    return _after_rollback(report) if report["outcome"] == ROLLED_BACK else _after_upgrade(report)


def _do(text: str, lines: Sequence[str] = (), code: bool = False) -> Dict[str, Any]:
    return {"text": text, "lines": list(lines), "code": code}


def _after_upgrade(report: Report) -> List[Dict[str, Any]]:
    before, found = report["releases"]["from"] or "the release before", []
    if report["edits"]:
        text = (
            f"Commit these changes where the next deployment takes its files from, or it puts {before} back onto this"
            " database:"
        )
        found.append(_do(text, report["edits"], True))
    else:
        text = (
            f"No file was changed. See that the next deployment takes the same files, or it puts {before} back onto"
            " this database."
        )
        found.append(_do(text))
    if report["rows"]["fewer"]:
        found.append(
            _do(
                "Look at the tables that have fewer rows than before, unless a migration of the release explains it:",
                report["rows"]["fewer"],
            )
        )
    details = report["contact_details"] or {}
    if details.get("kept"):
        text = f"Look at the {details['kept']} users whose contact details differed in the new place and were kept:"
        found.append(_do(text, details["kept_users"]))
    untried = [f"{one['name']}: {one['detail']}" for one in report["smoke_test"] if one.get("skipped")]
    if untried:
        found.append(_do("Try by hand what the smoke test could not:", untried))
    left = [
        one["check"]
        for one in report["warnings"] or []
        if one["met"].startswith("Yours") and one["check"] != "next deployment"
    ]
    if left:
        found.append(_do(f"Read the warnings of the check that are left to you: {', '.join(left)}."))
    if report["backup"] and report["backup"]["folder"] and report["commands"]["rollback"]:
        text = (
            "Keep the backup for as long as you may want to go back. What users enter from now on is lost then. To go"
            f" back to {before}:"
        )
        found.append(_do(text, [report["commands"]["rollback"]], True))
    return found


def _after_failure(report: Report) -> List[Dict[str, Any]]:
    found = []
    if report["commands"]["resume"]:
        found.append(
            _do("Fix what was found and resume; what is done is skipped:", [report["commands"]["resume"]], True)
        )
    if report["commands"]["rollback"]:
        found.append(_do("Or go back to what was before:", [report["commands"]["rollback"]], True))
    if report["edits"] and report["phase"] == "upgrade":
        text = (
            "These files were changed already. Commit that once the run has ended well; until then stop automatic"
            " deployments:"
        )
        found.append(_do(text, report["edits"], True))
    return found


def _after_rollback(report: Report) -> List[Dict[str, Any]]:
    now = report["releases"]["now"] or report["releases"]["from"] or "the release before"
    text = f"Commit nothing: the files are those of {now} again"
    if report["edits"]:
        found = [_do(f"{text}. Where these changes were committed already, take them back:", report["edits"], True)]
    else:
        found = [_do(f"{text}.")]
    kept = report["restored"]["kept_as"]
    if kept:
        text = (
            "The database as it was before the rollback is kept beside the restored one. When nobody needs it any more:"
        )
        found.append(_do(text, [f'DROP DATABASE "{kept}";'], True))
    return found
