# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run as a table for a terminal, plain ASCII, and the words that every form of it uses.
Pure functions.
"""

from __future__ import annotations

import textwrap
from typing import Any, List, Mapping, Optional, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.report import report as reports

WIDTH = 78
LABEL = 18


def duration(seconds: Optional[float]) -> str:
    """Return a time that was taken in words: C(12.3 s), C(3 min 07 s), C(2 h 05 min)."""
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(moment: Optional[str]) -> str:
    """Return the time of day of a moment of the journal: C(19:00:07)."""
    return moment[11:19] if moment else "-"


def day(moment: Optional[str]) -> str:
    """Return the date of a moment of the journal."""
    return moment[:10] if moment else "-"


def size(number: Optional[int]) -> str:
    """Return a number of bytes in words: C(18.2 MiB)."""
    if number is None:
        return "of unknown size"
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def span(window: Mapping[str, Any]) -> str:
    """Return in words when users were kept out, and for how long."""
    begin, end = window["from"], window["to"]
    if begin is None:
        return "never"
    if end is None:
        return f"since {clock(begin)} UTC on {day(begin)}"
    until = clock(end) if day(begin) == day(end) else f"{clock(end)} on {day(end)}"
    return f"{clock(begin)} to {until} UTC, {duration(window['seconds'])}"


def out(report: reports.Report) -> str:
    """Return in words when users were kept out last, and for how long, also while they still are."""
    window, now = report["offline"], report["written"]
    if window["from"] is None or window["to"] or not now:
        return span(window)
    return f"{span(window)}, {duration(journals.seconds(window['from'], now))} so far"


def headline(report: reports.Report) -> str:
    """Return in one line what the run has come to."""
    name, releases, run = report["server"]["name"] or "this server", report["releases"], report["run"]
    if report["outcome"] == reports.UPGRADED:
        return f"OpenLMIS {releases['from'] or 'half-way'} -> {releases['to']} on {name}, run {run}"
    if report["outcome"] == reports.ROLLED_BACK:
        return f"OpenLMIS on {name} is back at {releases['now'] or releases['from'] or 'the release before'}, run {run}"
    return f"The {report['phase']} of {name} has FAILED, run {run}"


def state(step: Mapping[str, Any]) -> str:
    """Return how a step ended, empty when it is done."""
    if step["finished"]:
        return ""
    return "FAILED" if step["failed"] else "cut off"


def contact_details(report: reports.Report) -> List[str]:
    """Return what became of the users' contact details, in words."""
    found = report["contact_details"]
    if found is None:
        return ["not copied yet"]
    told = [f"{found['copied']} of {found['source']} users copied"]
    # A copy that was cut off behind its end: the next one found everything there.
    told += [f"{found['unchanged']} equal already"] if found["unchanged"] and found["copied"] < found["source"] else []
    told += [f"{found['corrected']} corrected"] if found["corrected"] else []
    return [*told, f"{found['kept']} kept as they were", f"{found['without_email']} without e-mail"]


def rows(report: reports.Report) -> str:
    """Return in words whether a table has lost rows."""
    found = report["rows"]
    if found["before"] is None or not any(one["after"] is not None for one in found["tables"]):
        return found["note"]
    if found["fewer"]:
        told = f"FEWER than before in {', '.join(found['fewer'])}"
    else:
        compared = sum(one["difference"] is not None for one in found["tables"])
        told = f"no table has fewer than before ({compared} compared)"
    after = f", {found['after']} after" if found["after"] is not None else ""
    return f"{found['before']} before{after}: {told}. {found['note']}".strip()


def backup(report: reports.Report) -> str:
    """Return in words what there is to go back to."""
    found = report["backup"]
    if found is None:
        return "none"
    if not found["folder"]:
        return "none from before the upgrade: it went forward without a way back"
    if found["rows"] is None:
        return f"{found['folder']}, {size(found['bytes'])}, database by the site itself"
    return f"{found['folder']}, {size(found['bytes'])}, {found['rows']} rows in {found['tables']} tables, proven"


def passed(report: reports.Report) -> str:
    """Return in words how many items of the smoke test passed."""
    items = report["smoke_test"]
    if not items:
        return "not tried"
    good = sum(one["ok"] and not one.get("skipped", False) for one in items)
    untried = [one["name"] for one in items if one["ok"] and one.get("skipped", False)]
    bad = [one["name"] for one in items if not one["ok"]]
    told = f"{good} of {len(items)} passed"
    told += f"; FAILED: {', '.join(bad)}" if bad else ""
    return told + (f"; not tried: {', '.join(untried)}" if untried else "")


def restored(report: reports.Report) -> str:
    """Return in words what a rollback has done with the database."""
    found = report["restored"]
    if not found["tables"]:
        return "left alone: nothing of the new release was ever started on it"
    hashed = ", all contents compared" if found["hashed"] else ""
    return f"restored from {found['backup']}, {found['rows']} rows in {found['tables']} tables as they were{hashed}"


# -- the table -----------------------------------------------------------------------------------------------------


def lines(report: reports.Report, failure: Sequence[str] = ()) -> List[str]:
    """Return the end of a run as lines for a terminal; C(failure) is what is said after a failure."""
    if report["outcome"] == reports.FAILED:
        return [*_steps(report), "", *_labelled("Offline", out(report)), "", *failure]
    facts = _rolled_back(report) if report["outcome"] == reports.ROLLED_BACK else _upgraded(report)
    told = [line for label, text in facts for line in _labelled(label, text)]
    return [headline(report), "", *_steps(report), "", *told, "", *_next(report)]


def _steps(report: reports.Report) -> List[str]:
    found = [f"{'step':<26} {'began (UTC)':<21} {'took':>13}"]
    phases = {one["phase"] for one in report["steps"]}
    shown = ""
    for one in report["steps"]:
        back = " (back)" if len(phases) > 1 and one["phase"] == "rollback" else ""
        began = f"{day(one['started']) if day(one['started']) != shown else '':<11}{clock(one['started'])}"
        shown = day(one["started"])
        found.append(f"{one['step'] + back:<26} {began:<21} {duration(one['seconds']):>13}  {state(one)}".rstrip())
    return found


def _upgraded(report: reports.Report) -> List[Any]:
    return [
        ("Offline", out(report)),
        *[("" if number else "Contact details", text) for number, text in enumerate(contact_details(report))],
        ("Rows", rows(report)),
        ("Backup", backup(report)),
        ("Smoke test", passed(report)),
    ]


def _rolled_back(report: reports.Report) -> List[Any]:
    found = report["restored"]
    files = f"{', '.join(found['files'])} put back" if found["files"] else "as they were"
    kept = [("Kept", f"database {found['kept_as']}, as it was before the rollback")] if found["kept_as"] else []
    lost = [
        ("Lost", line)
        for line in (["not known"] if found["lost"] is None else found["lost"] or ["nothing that users had entered"])
    ]
    return [
        ("Offline", out(report)),
        ("Database", restored(report)),
        *kept,
        *lost,
        ("Deployed files", files),
        ("Smoke test", passed(report)),
    ]


def _labelled(label: str, text: str) -> List[str]:
    wrapped = textwrap.wrap(text, WIDTH - LABEL, break_on_hyphens=False, break_long_words=False) or ["-"]
    return [f"{label if not number else '':<{LABEL}}{line}" for number, line in enumerate(wrapped)]


def _next(report: reports.Report) -> List[str]:
    found = ["What to do next"]
    for number, one in enumerate(report["next"], 1):
        found += textwrap.wrap(
            one["text"],
            WIDTH,
            initial_indent=f"{number}. ",
            subsequent_indent="   ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        found += [f"     {line}" for line in one["lines"]]
    return found
