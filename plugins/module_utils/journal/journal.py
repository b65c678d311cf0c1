# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run: what only the run itself can know. All but C(load) and C(save) are pure functions."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

Journal = Dict[str, Any]
FIRST_OFFLINE_STEP, LAST_OFFLINE_STEP = "maintenance_on", "maintenance_off"
BACKUP = "backup"
HARMLESS = "pull"


def load(path: str) -> Tuple[Optional[Journal], str]:
    """Return the journal at the path, None when there is none, and what is wrong with a file that is no journal."""
    try:
        with open(path, encoding="utf-8") as stream:
            return parsed(stream.read(), path)
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, f"{path} cannot be read as a journal ({error}); {_REMEDY}"


def parsed(text: str, path: str) -> Tuple[Optional[Journal], str]:
    """Return the journal that the file of this path holds, and what is wrong with one that holds none."""
    try:
        journal = json.loads(text)
    except ValueError as error:
        return None, f"{path} cannot be read as a journal ({error}); {_REMEDY}"
    known = isinstance(journal, dict) and isinstance(journal.get("steps"), list) and "run_id" in journal
    return (journal, "") if known else (None, f"{path} is JSON, but without a run; {_REMEDY}")


_REMEDY = (
    "it is no journal of a run. Run the playbook without --tags: it moves the file aside and finds out from the backup,"
    " the kept images and the server what the run has done."
)


def written(journal: Journal) -> str:
    """Return the text of the journal's file."""
    return json.dumps(journal, indent=2, sort_keys=True)


def save(path: str, journal: Journal) -> None:
    """Replace the journal so that a crash leaves the old one or the new one, never a part. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    disk.write_text(path, written(journal))


def run_id(now: str) -> str:
    """Return the id of a run that begins at this time of the journal (C(2026-11-22T19:00:00.000) ->
    C(20261122T190000Z)).
    """
    return now.replace("-", "").replace(":", "").split(".")[0] + "Z"


def unfinished(journal: Optional[Journal]) -> bool:
    """Tell whether the journal's run was begun and not finished, however far it came."""
    return journal is not None and not journal["finished"]


def under_way(journal: Optional[Journal]) -> bool:
    """Tell whether there is a run to resume: one that has begun more than to fetch images, for which nobody has to
    leave.
    """
    return journal is not None and unfinished(journal) and any(entry["step"] != HARMLESS for entry in journal["steps"])


def is_run_by(journal: Optional[Journal], holder: Mapping[str, Any]) -> bool:
    """Tell whether this controller works on the journal's run: what fails without that, such as a mere check, is not
    the run's.
    """
    return journal is not None and unfinished(journal) and (journal.get("holder") or {}) == holder


def finished_steps(journal: Optional[Journal], phase: str) -> Set[str]:
    """Return the steps that the unfinished run has done in this phase."""
    if journal is None or not unfinished(journal) or journal["phase"] != phase:
        return set()
    return {entry["step"] for entry in journal["steps"] if entry["finished"] and entry["phase"] == phase}


def require_phase(journal: Optional[Journal], phase: str) -> None:
    """Raise OperationError when an upgrade is asked for while a rollback is under way."""
    if journal is not None and under_way(journal) and journal["phase"] == "rollback" and phase == "upgrade":
        raise OperationError(
            f"The rollback of run {journal['run_id']} is under way; a run that goes forward, or none, is expected."
            " Finish the rollback first, with the playbook rollback-3.4.yml; after it the upgrade may begin afresh."
        )


def given_up(journal: Journal, database: Any) -> Journal:
    """Return the journal turned forward again when its rollback has failed to restore, and the database is the one of
    the run still.

    Nothing has been taken back then: the upgrade may go on. C(database) is the identity of the one that is there.
    """
    tries = [entry for entry in journal["steps"] if entry["step"] == "restore" and entry["phase"] == "rollback"]
    failed = bool(tries) and not any(entry["finished"] for entry in tries) and bool(tries[-1].get("failed"))
    same = journal["run"].get("database") == database
    return dict(journal, phase="upgrade") if journal["phase"] == "rollback" and failed and same else journal


def may_skip(journal: Optional[Journal], step: str, phase: str, reached: bool) -> bool:
    """Tell whether the journal and the world agree that the step is done."""
    return reached and step in finished_steps(journal, phase)


def started(journal: Optional[Journal], params: Mapping[str, Any], now: str) -> Journal:
    """Return the journal with the step begun; a finished run, or none, makes place for a new one.

    So does one that has stopped nothing, when its first step begins again: what it found may be long ago.
    Raises OperationError when the run is another controller's, or the step before this one of the plan is not done.
    """
    step, phase, plan, lost = params["step"], params["phase"], params["plan"], journal is None
    require_held(journal, params)
    begins_again = journal is not None and step == HARMLESS and not under_way(journal)
    if journal is not None and unfinished(journal) and begins_again:
        held(journal, params["holder"], params["take_over"])
    if journal is not None and phase == "rollback" and journal["phase"] == "upgrade":
        journal = dict(journal, phase=phase, finished=None, outcome=None)
    elif journal is None or not unfinished(journal) or begins_again:
        journal = {"run_id": run_id(now), "started": now, "finished": None, "outcome": None, "phase": phase}
        journal.update(run=dict(params["run"]), steps=[], holder={})
    before = plan[plan.index(step) - 1] if step in plan[1:] else None
    if before and lost:
        raise OperationError(
            f"There is no journal {params['path']}, and step {step} was asked for, which needs the one before it,"
            f" {before}. Run the playbook without --tags: it finds out from the backup, the kept images and the server"
            " what a run has done."
        )
    if before and before not in finished_steps(journal, phase):
        raise OperationError(
            f"Step {step} was asked for, and the journal says that {before}, which comes before it, is not done in run"
            f" {journal['run_id']}; it is expected to be. Run the playbook without --tags: it does what is missing and"
            " skips the rest."
        )
    journal = held(journal, params["holder"], params["take_over"])
    entry = {
        "step": step,
        "phase": phase,
        "attempt": journal.get("attempt", 1),
        "started": now,
        "finished": None,
        "data": {},
    }
    entry["process"] = params.get("process")
    return dict(journal, steps=journal["steps"] + [entry], commands=params["commands"] or journal.get("commands", {}))


def held(journal: Journal, holder: Mapping[str, Any], take_over: bool) -> Journal:
    """Return the journal as this controller's. Raises OperationError when another one works on the run."""
    current = journal.get("holder") or {}
    if current and current != holder and not take_over:
        last = (
            journal["steps"][-1]
            if journal["steps"]
            else {"step": "none", "started": journal["started"], "finished": None}
        )
        raise OperationError(
            f"Run {journal['run_id']} was started by {started_by(current)}, last seen with step {last['step']} at"
            f" {last['finished'] or last['started']} UTC; only one controller works on a run. Wait for it or end it; if"
            " it is gone for good, run again with openlmis_take_over=true.",
            held_by=dict(current),
        )
    holders = journal.get("holders") or []
    return dict(journal, holder=dict(holder), holders=holders if holders[-1:] == [holder] else [*holders, dict(holder)])


def started_by(holder: Mapping[str, Any]) -> str:
    """Return who works on a run, as a person writes it."""
    return f"{holder.get('user')}@{holder.get('host')} (process {holder.get('pid')})"


def require_held(journal: Optional[Journal], params: Mapping[str, Any], step_ends: bool = False) -> None:
    """Raise OperationError when the run was this controller's (C(holder)) and is not any more.

    Where a step ends (C(step_ends)) it must be this controller's; where one begins, nobody may have taken it over
    since.
    """
    me, current = params["holder"], (journal or {}).get("holder") or {}
    holders = (journal or {}).get("holders") or []
    if current == me or not (step_ends or me in holders):
        return
    if journal is not None and not step_ends and holders[-1] == me and not current:
        return
    run = f"Run {journal['run_id']}" if journal is not None else "The run of this playbook"
    if current:
        who = f"was taken over by {started_by(current)}"
    elif journal is None:
        who = f"has lost its journal, {params['path']}"
    else:
        who = "was taken over and has ended since" if journal["finished"] else "was taken over and has stopped since"
    raise OperationError(
        f"{run} {who}; this controller, {started_by(me)}, notes nothing in it and stops here. See what the other"
        " controller says; to resume a run that has stopped, run the playbook again."
    )


def claimed(journal: Journal, holder: Mapping[str, Any], take_over: bool) -> Journal:
    """Return the journal as this controller's, for one attempt more at what is left. Raises OperationError as C(held)
    does.
    """
    return dict(held(journal, holder, take_over), attempt=journal.get("attempt", 1) + 1)


def finished(journal: Journal, params: Mapping[str, Any], now: str) -> Journal:
    """Return the journal with the run ended. Raises OperationError when it is another controller's."""
    require_held(journal, params, step_ends=True)
    return dict(journal, finished=now, outcome=params["outcome"], holder={})


def done(journal: Optional[Journal], params: Mapping[str, Any], now: str) -> Journal:
    """Return the journal with the step ended. Raises OperationError when the run is another controller's, or another
    step runs.
    """
    step, data, run = params["step"], params["data"], params["run"]
    require_held(journal, params, step_ends=True)
    running = journal["steps"][-1] if journal and journal["steps"] else {"step": "none", "finished": None}
    if journal is None or running["step"] != step or running["finished"]:
        raise OperationError(
            f"The journal's last step is {running['step']}, and {step} was to be ended. Another run may be writing to"
            " the same journal: see that only one is under way, and run again."
        )
    steps = journal["steps"][:-1] + [dict(running, finished=now, data={**running["data"], **data})]
    return dict(journal, steps=steps, run={**journal["run"], **run})


def noted(journal: Journal, params: Mapping[str, Any], data: Mapping[str, Any]) -> Journal:
    """Return the journal with what the step under way keeps already; its end adds to it. Raises OperationError as
    C(done) does.
    """
    require_held(journal, params, step_ends=True)
    *before, running = journal["steps"]
    return dict(journal, steps=[*before, dict(running, data=dict(data))])


def require_database(journal: Optional[Journal], database: Mapping[str, Any], path: str) -> None:
    """Raise OperationError when the database is not the one that the run began with.

    An anonymous volume is lost to a server by one C(down): name, OID, system identifier and volumes tell a new
    database.
    """
    begun = ((journal or {}).get("run") or {}).get("database")
    unknown = (
        begun is None
        and journal is not None
        and journal["steps"]
        and (journal["steps"][0].get("data") or {}).get("recovered")
    )
    if database["identity"] != begun and not (unknown and database["identity"]):
        raise OperationError(
            database.get("error")
            or f"The database is another one, {database['identity']}; {begun} is expected, with which this run began."
            " Nothing more is done. The data is in the volume named there: find it with `docker volume ls` and do not"
            f" prune. If you restored the database yourself since then, move the journal {path} away and run again."
        )


# What Ansible says, by version, when a module's process ended without an answer.
_NO_ANSWER = re.compile(r"deserialization failed|MODULE FAILURE|No start of json char found", re.IGNORECASE)


def plain(finding: str) -> str:
    """Return a finding in the words of an operator; what modules say stays as it is."""
    if _NO_ANSWER.search(finding):
        return (
            "The process of this step on the server ended without an answer: it was killed, the server ran out of"
            " memory, or the connection was lost. It is expected to end by itself. Look at `dmesg` and at the"
            " connection, and go on."
        )
    return finding


def failed(journal: Journal, finding: str, now: str, data: Optional[Mapping[str, Any]] = None) -> Journal:
    """Return the journal with the reason, and what was found until then, at the step that did not end,
    and as nobody's.
    """
    steps = list(journal["steps"])
    # What failed before an attempt came to a step is none of the step in which an earlier attempt had failed.
    if steps and not steps[-1]["finished"] and not steps[-1].get("failed"):
        steps[-1] = dict(steps[-1], failed=now, finding=finding, data=dict(data or {}))
    return dict(journal, steps=steps, holder={})


class Traces(NamedTuple):
    """What a run leaves on the server besides its journal.

    C(manifests) are (folder, manifest), oldest first; C(kept) maps each run to the images that it kept, by service
    (C(id) and C(names)); C(closed) tells whether the firewall keeps users out; C(changed) has the folders of backups
    whose deployed files are not those of now.
    """

    manifests: Sequence[Tuple[str, Mapping[str, Any]]] = ()
    kept: Mapping[str, Mapping[str, Mapping[str, Any]]] = {}
    closed: bool = False
    changed: Sequence[str] = ()


def is_here(identity: Optional[Mapping[str, Any]], server: Mapping[str, Any]) -> bool:
    """Tell whether this identity is that of the server's database; of one that does not answer, by the volumes of its
    container.
    """
    there = server["database"]["identity"]
    if there:
        return identity == there
    mounts = (identity or {}).get("mounts")
    return bool(mounts) and any(service["mounts"] == mounts for service in server["services"].values())


def was_restored(manifest: Mapping[str, Any], traces: Traces, server: Mapping[str, Any]) -> bool:
    """Tell whether the server's database is what a rollback, which lost its journal after that, has made of the last
    run's backup.
    """
    before, now = (manifest.get("database") or {}).get("identity") or {}, server["database"]["identity"] or {}
    same = all(before.get(key) is not None and before.get(key) == now.get(key) for key in ("name", "system_identifier"))
    return (
        same
        and traces.closed
        and manifest.get("run") == max(traces.kept, default="")
        and manifest["release"] == server["release"]
    )


def backups_here(traces: Traces, server: Mapping[str, Any], after: str) -> List[Tuple[str, Mapping[str, Any]]]:
    """Return the backups of runs later than C(after) that are of this very database, the oldest run first."""
    found = []
    for folder, manifest in traces.manifests:
        run, identity = str(manifest.get("run") or ""), (manifest.get("database") or {}).get("identity")
        # The site's own backup has no identity of a database; its run and folder tell whose it is.
        own = (
            not manifest.get("database")
            and run in traces.kept
            and (manifest.get("project") or {}).get("src") == server["project"]["src"]
        )
        if run > after and (own or is_here(identity, server) or was_restored(manifest, traces, server)):
            found.append((folder, manifest))
    return sorted(found, key=lambda one: str(one[1]["run"]))


def stray(journal: Journal, traces: Traces, server: Mapping[str, Any]) -> str:
    """Return why a journal is not that of the run on this server, empty when it may be.

    A run whose database is another one, because that was lost or restored, is still this server's: its backup or kept
    images say so.
    """
    run, begun = journal["run_id"], journal["run"].get("database")
    later = [manifest["run"] for _folder, manifest in backups_here(traces, server, run)]
    if unfinished(journal) and later:
        return f"it is of run {run}, and run {later[-1]} has made a backup of this database since"
    left = run in traces.kept or any(manifest.get("run") == run for _folder, manifest in traces.manifests)
    pulled = HARMLESS in finished_steps(journal, "upgrade")
    if not pulled or left or not server["database"]["identity"] or is_here(begun, server):
        return ""
    return (
        f"it is of run {run}, which began with another database and has left neither a backup nor an image on this"
        " server"
    )


def disturbed(traces: Traces, server: Mapping[str, Any]) -> bool:
    """Tell whether a server is as a run leaves it that has stopped half-way.

    Users are kept out; or nothing runs, and containers were removed or the files are those of the release while the
    database's histories are not.
    """
    services = [one for one in server["services"].values() if one["stopped_for_upgrade"] and not one["one_shot"]]
    none_runs = all(one["status"] != "running" for one in services)
    ahead = not server["edits"] and not server["database"]["error"] and server["release"] != server["release_target"]
    return traces.closed or (none_runs and (ahead or any(one["container"] is None for one in services)))


def migrated(manifest: Mapping[str, Any], traces: Traces, server: Mapping[str, Any]) -> bool:
    """Tell whether a run has changed this database since the backup and is not at its end.

    A mix of two releases is nothing that a server runs with. One that has all migrations may be a finished one that has
    lost its journal: there components run, users are let in, and contact details are there.
    """
    database, target = server["database"], server["release"] == server["release_target"]
    if database["error"] or server["release"] == manifest["release"]:
        return False
    none_runs = all(one["status"] != "running" for one in server["services"].values() if one["component"])
    none_copied = bool(database["users"]) and database["users_without_details"] == database["users"]
    return bool(server["begun_from"]) if not target else traces.closed or none_runs or none_copied


def unanswered(journal: Optional[Journal], traces: Traces, server: Mapping[str, Any]) -> Dict[str, str]:
    """Return where the database's data lies that must answer first: only it can tell how far a run without a journal
    came.
    """
    if unfinished(journal) or not server["database"]["error"]:
        return {}
    found = backups_here(traces, server, journal["run_id"] if journal else "")
    return dict(((found[-1][1].get("database") or {}).get("identity") or {}).get("mounts") or {}) if found else {}


def recovered(
    journal: Optional[Journal], traces: Traces, server: Mapping[str, Any], to: str, now: str
) -> Optional[Journal]:
    """Return the journal of the run that was cut off, written again from what it has left where the journal was lost.

    A journal of a run that is over is no reason against it: a later run may have lost its own. C(to) is the release.
    """
    if unfinished(journal):
        return _with_backup(journal, traces, server, now)
    backups = backups_here(traces, server, journal["run_id"] if journal else "")
    kept = max([run for run in traces.kept if run > (journal["run_id"] if journal else "")], default="")
    folder, manifest = backups[-1] if backups else ("", {})
    if manifest and manifest["run"] >= kept:
        if not (migrated(manifest, traces, server) or disturbed(traces, server)):
            return journal
        return _from_backup(folder, manifest, traces, server, to, now)
    if not (kept or traces.closed) or not disturbed(traces, server):
        return journal
    # There is no backup of that run: none was made yet, or somebody has deleted it.
    run = kept or run_id(now)
    # What the files name now is what a service ran with only where it still means the image that was kept.
    images = {
        name: {"id": image["id"], "name": server["services"][name]["image"]}
        for name, image in traces.kept.get(kept, {}).items()
        if name in server["services"] and server["services"][name]["image"] in image["names"]
    }
    known = [(HARMLESS, {"images": images, "recovered": True}), (FIRST_OFFLINE_STEP, _evidence(traces))]
    return _written_again(
        run,
        server["release"] or server["begun_from"],
        server,
        to,
        [_entry(step, now, data) for step, data in known],
        now,
    )


def _from_backup(
    folder: str, manifest: Mapping[str, Any], traces: Traces, server: Mapping[str, Any], to: str, now: str
) -> Journal:
    at = manifest.get("created", now)
    backup = (BACKUP, {"dest": folder, "recovered": True})
    known = [(HARMLESS, dict(_before(manifest), recovered=True)), (FIRST_OFFLINE_STEP, _evidence(traces))]
    # Nobody knows what happened between the backup and now, unless users are kept out still or the files were changed
    # since: where nothing was migrated yet, a stop after the backup has another one made.
    fresh = traces.closed or folder in traces.changed
    known += [("stop", {}), backup] if fresh else [backup, ("stop", {})]
    journal = _written_again(
        manifest["run"], manifest["release"], server, to, [_entry(step, at, data) for step, data in known], now
    )
    journal["run"]["database"] = journal["run"]["database"] or (manifest.get("database") or {}).get("identity")
    return journal


def _written_again(
    run: str, release: Optional[str], server: Mapping[str, Any], to: str, steps: List[Dict[str, Any]], now: str
) -> Journal:
    database = server["database"]
    known = {"from": release, "to": to, "database": database["identity"], "users": database["users"]}
    return {
        "run_id": run,
        "started": now,
        "finished": None,
        "outcome": None,
        "phase": "upgrade",
        "steps": steps,
        "holder": {},
        "run": known,
    }


def _evidence(traces: Traces) -> Dict[str, Any]:
    return {"gate": "firewall", "recovered": True, "closed": True} if traces.closed else {"recovered": True}


def _with_backup(journal: Journal, traces: Traces, server: Mapping[str, Any], now: str) -> Journal:
    """Return a run's journal with the backup that it should know.

    One that ends within the backup, over a database that nothing has migrated since, lacks only the note that the
    backup has ended.
    """
    own = [(folder, manifest) for folder, manifest in traces.manifests if manifest.get("run") == journal["run_id"]]
    if not own or any(entry["step"] == BACKUP and entry["finished"] for entry in journal["steps"]):
        return journal
    last = journal["steps"][-1] if journal["steps"] else {"step": None, "finished": None}
    only_the_note = last["step"] == BACKUP and not last["finished"] and server["release"] == journal["run"].get("from")
    folder, manifest = own[-1]
    at = manifest.get("created", now)
    known = [(HARMLESS, _before(manifest)), (FIRST_OFFLINE_STEP, {}), ("stop", {})]
    entries = [_entry(step, at, data) for step, data in known if step not in finished_steps(journal, "upgrade")]
    entries.append(_entry(BACKUP, at, {"dest": folder} if only_the_note else {"dest": folder, "recovered": True}))
    return dict(journal, steps=journal["steps"] + entries)


def _before(manifest: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the step that fetches images noted of the server, as the backup's manifest has it."""
    return {"images": manifest.get("images", {}), "exited": manifest.get("exited", [])}


def _entry(step: str, at: str, data: Mapping[str, Any]) -> Dict[str, Any]:
    return {"step": step, "phase": "upgrade", "started": at, "finished": at, "data": dict(data)}


def failure_lines(
    journal: Optional[Journal], phase: str, server: Mapping[str, Any], finding: str, commands: Mapping[str, str]
) -> List[str]:
    """Return what an operator must know after a failure: step, finding, state of the server, and the ways on and back.

    C(phase) is that of the playbook that failed, whose command is C(commands["resume"]).
    """
    entry = journal["steps"][-1] if journal is not None and unfinished(journal) and journal["steps"] else None
    if journal is None or entry is None:
        return [
            "Stopped before anything was changed.",
            f"Found     {finding}",
            f"Run again {commands.get('resume', '')}",
        ]
    on, back = ways(journal, phase, commands)
    where = f"after step {entry['step']}" if entry["finished"] else f"in step {entry['step']}"
    what = "rollback" if journal["phase"] == "rollback" else "upgrade"
    first = f"FAILED    The {what} {journal['run_id']} stopped {where}."
    if phase == "rollback" and what == "upgrade":
        first = f"FAILED    The rollback of {journal['run_id']} has not begun; the upgrade had stopped {where}."
    lines = [
        first,
        f"Found     {finding}",
        f"Database  {describe_database(server)}",
        f"Services  {describe_services(server)}",
        f"Users     {describe_gate(journal)}",
        f"Backup    {describe_backup(journal)}",
    ]
    return lines + [f"{way} {command}" for way, command in (("Go on    ", on), ("Roll back", back)) if command]


def ways(journal: Journal, phase: str, commands: Mapping[str, str]) -> Tuple[Optional[str], Optional[str]]:
    """Return the commands to go on and to roll back after a failure of the playbook of this phase."""
    if phase == "rollback" and journal["phase"] == "upgrade":
        return (journal.get("commands") or {}).get("resume") or commands.get("upgrade"), commands.get("resume")
    return commands.get("resume"), commands.get("rollback")


def describe_database(server: Mapping[str, Any]) -> str:
    """Say in one sentence how far the database is."""
    database = server.get("database") or {}
    if not server:
        return "could not be looked at"
    if database.get("error"):
        return f"does not answer: {database['error']}"
    waiting = {name: len(h["missing"]) for name, h in server["histories"].items() if h["missing"]}
    if server["release"] == server["release_target"]:
        left = database.get("users_without_details")
        return (
            f"at {server['release']};"
            f" {'all contact details are copied' if left == 0 else f'contact details of {left} users are not copied'}"
        )
    if server["release"]:
        return f"at {server['release']}, no migration of {server['release_target']} in it"
    listed = ", ".join(f"{name} lacks {count}" for name, count in sorted(waiting.items())) or "a mix of releases"
    return f"on the way to {server['release_target']}: migrations missing: {listed}"


def describe_services(server: Mapping[str, Any]) -> str:
    """Say in one sentence which of the services that the upgrade stops and starts have containers."""
    services = {
        n: s for n, s in (server.get("services") or {}).items() if s["stopped_for_upgrade"] and not s["one_shot"]
    }
    if not services:
        return "could not be looked at"
    down = sorted(name for name, s in services.items() if s["status"] != "running")
    if not down:
        return "all run"
    return "stopped" if len(down) == len(services) else f"{', '.join(down)} not running, the others are"


def describe_backup(journal: Journal) -> str:
    """Say in one sentence what there is to go back to."""
    backups = [entry for entry in journal["steps"] if entry["step"] == BACKUP and entry["finished"]]
    if not backups and any((entry.get("data") or {}).get("recovered") for entry in journal["steps"]):
        return "none was found"
    if not backups:
        return "none yet; the database has not been changed"
    folder = backups[-1]["data"].get("dest")
    if not folder and backups[-1]["data"].get("without_way_back"):
        return "none from before the upgrade; it goes forward without a way back"
    return f"{folder}, proven" if folder else "made by the site's own task file"


def keep_out(journal: Optional[Journal]) -> bool:
    """Tell whether the run under way has closed the gate and not opened it again."""
    gates = [e for e in journal["steps"] if e["step"] in ("maintenance_on", "maintenance_off")] if journal else []
    return under_way(journal) and bool(gates) and not (gates[-1]["step"] == "maintenance_off" and gates[-1]["finished"])


def describe_gate(journal: Journal) -> str:
    """Say in one sentence whether users are kept out, by what the journal's last gate step did."""
    for entry in reversed(journal["steps"]):
        if entry["step"] == "maintenance_on" and entry["finished"]:
            kind = entry["data"].get("gate")
            return "are NOT kept out by this runbook (openlmis_gate: none)" if kind == "none" else "are still kept out"
        if entry["step"] == "maintenance_on" and entry.get("failed"):
            return "may be kept out: the step that closes the gate did not end"
        if entry["step"] == "maintenance_off" and entry["finished"]:
            return "are let in"
    return "are not kept out"


def seconds(begin: str, end: str) -> float:
    """Return the seconds between two times of the journal, to a tenth."""
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds(), 1)


def later(moment: str, passed: float) -> str:
    """Return the time of the journal that lies so many seconds after another."""
    return (datetime.fromisoformat(moment) + timedelta(seconds=passed)).isoformat(timespec="milliseconds")


def windows(journal: Journal) -> List[Dict[str, Any]]:
    """Return when users were kept out: from the step that closes the gate, without a gate from the stop, to the one
    that lets in.
    """
    found: List[Dict[str, Any]] = []
    for entry in journal["steps"]:
        # One that failed has taken its gate down again; one that was cut off may have left it closed.
        gate = (
            entry["step"] == FIRST_OFFLINE_STEP
            and not entry.get("failed")
            and (entry.get("data") or {}).get("gate") != "none"
        )
        is_open = bool(found) and found[-1]["to"] is None
        if (gate or entry["step"] == "stop") and not is_open:
            found.append({"from": entry["started"], "to": None, "seconds": None})
        elif entry["step"] == LAST_OFFLINE_STEP and entry["finished"] and is_open:
            begin, end = found[-1]["from"], entry["finished"]
            found[-1] = {"from": begin, "to": end, "seconds": seconds(begin, end)}
    return found


def offline(journal: Journal) -> Dict[str, Any]:
    """Return the last time in which users were kept out, and every one."""
    every = windows(journal)
    return {**(every[-1] if every else {"from": None, "to": None, "seconds": None}), "windows": every}


def summarise(journal: Optional[Journal]) -> Dict[str, Any]:
    """Return the seconds of each ended step of this phase, and for how many users were kept out last, None when they
    still are.
    """
    steps = (
        [step for step in journal["steps"] if step["finished"] and step["phase"] == journal["phase"]] if journal else []
    )
    return {
        "offline": offline(journal)["seconds"] if journal else None,
        "steps": [{"step": step["step"], "seconds": seconds(step["started"], step["finished"])} for step in steps],
    }
