# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run as one HTML page that needs nothing else: no script, no picture, no font, no style from
elsewhere.

Pure functions. Whatever comes from the report goes through C(text); a colour never says what a word beside it does not.
"""

from __future__ import annotations

import html
import re
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.report import report as reports
from ansible_collections.openlmis.operations.plugins.module_utils.report import report_text as words

STYLE = """
:root { --ink: #1a1a1a; --soft: #5a5f66; --line: #d9dce0; --wash: #f5f6f8; --good: #14693c; --bad: #a31515;
  --care: #8a5a00; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  -webkit-text-size-adjust: 100%; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); } .care { color: var(--care); }
.soft, li, dd, .facts td { overflow-wrap: anywhere; } td { overflow-wrap: break-word; }
.verdict { display: inline-block; padding: .15rem .7rem; border: 2px solid; border-radius: 1rem; font-weight: 700; }
.answers { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; margin: 1.25rem 0 0; }
.answers div { border: 1px solid var(--line); border-left: 5px solid currentColor; border-radius: 4px;
  padding: .6rem .9rem; }
.answers dt { font-size: .85rem; color: var(--soft); }
.answers dd { margin: 0; color: var(--ink); }
.answers strong { display: block; font-size: 1.25rem; line-height: 1.3; }
.answers .good strong { color: var(--good); } .answers .bad strong { color: var(--bad); }
  .answers .care strong { color: var(--care); }
ol.next { padding-left: 1.4rem; margin: 0; } ol.next > li { margin: .6rem 0; }
  ol.next > li:first-child { font-weight: 600; }
ol.next > li:first-child pre, ol.next > li:first-child ul { font-weight: 400; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 4px; padding: .6rem .8rem;
  margin: .4rem 0; font: .85rem/1.5
  ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre-wrap;
    overflow-wrap: anywhere; }
pre span { display: block; padding-left: 1.5em; text-indent: -1.5em; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
  th:last-child, td:last-child { padding-right: 0; }
.facts td:first-child { width: 30%; color: var(--soft); }
tr.bad td { background: #fdf0f0; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
svg { display: block; width: 100%; overflow: visible;
  font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
footer { margin-top: 2.5rem; font-size: .85rem; color: var(--soft); }
@media (max-width: 30rem) {
  main { padding: 1rem .9rem 2rem; } h1 { font-size: 1.3rem; } table { font-size: .85rem; }
    .answers { grid-template-columns: 1fr; }
  svg { font-size: 11px; }
}
@media print {
  @page { margin: 15mm; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  tr, pre, .answers div, ol.next > li { break-inside: avoid; } * { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  .screen { display: none; }
}
"""
# Fill and words of a bar; dark letters are legible on each.
FILLS = {
    "online": ("#c3d5ea", "users work"),
    "offline": ("#f0cf94", "users are kept out"),
    "boot": ("#c9dfc4", "a component boots"),
}
FAILED_FILL = "#e9a3a3"
ROW = 22
TOP = 42
# Idle time longer than this, and than this part of the time at work, is cut out of the drawing.
IDLE, IDLE_SECONDS = 0.15, 60.0
# How much of the drawing's width a bar has at least, and a cut.
THIN, CUT = 0.35, 4.0


def text(value: Any) -> str:
    """Return anything as text of a page."""
    return html.escape("-" if value is None else str(value), quote=True)


def cell(value: Any) -> str:
    """Return anything as text of a table's cell; a name may be broken at its joints."""
    return re.sub(r"([_/])", r"\1<wbr/>", text(value))


def page(report: reports.Report) -> str:
    """Return the whole page."""
    title = words.headline(report).replace("->", "→")
    parts = [
        _header(report),
        _answers(report),
        _failure(report),
        _next(report),
        _timeline(report),
        _versions(report),
        _rows(report),
        _contact_details(report),
        _backup(report),
        _smoke_test(report),
        _warnings(report),
        _footer(report),
    ]
    content = "\n".join(part for part in parts if part)
    whole = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n<meta name="robots"'
        ' content="noindex"/>\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{content}\n</main>\n</body>\n</html>\n"
    )
    # A name of a file that is no UTF-8 must not keep the page from being written.
    return whole.encode("utf-8", "replace").decode("utf-8")


# -- first screen --------------------------------------------------------------------------------------------------


def _header(report: reports.Report) -> str:
    releases, server, outcome = report["releases"], report["server"], report["outcome"]
    verdicts = {
        reports.UPGRADED: ("good", "Upgraded"),
        reports.ROLLED_BACK: ("care", "Rolled back"),
        reports.FAILED: ("bad", f"{report['phase'].capitalize()} failed"),
    }
    kind, verdict = verdicts[outcome]
    way = f"{releases['from'] or 'half-way'} → {releases['to']}"
    if outcome == reports.ROLLED_BACK:
        way = f"back at {releases['now'] or releases['from'] or 'the release before'}"
    told = [f"run {report['run']}", words.day(report["started"])] + [
        server[key] for key in ("base_url",) if server[key]
    ]
    told += [f"Compose project {server['project']}"] if server["project"] else []
    return (
        f'<header>\n<p class="verdict {kind}">{text(verdict)}</p>\n<h1>{text(server["name"] or "OpenLMIS")}: OpenLMIS'
        f' {text(way)}</h1>\n<p class="soft">{text(" · ".join(told))}. All times are UTC.</p>\n</header>'
    )


def _answers(report: reports.Report) -> str:
    answers = [_worked(report), _out(report), _lost(report), _what_now(report)]
    items = "\n".join(
        f'<div class="{kind}"><dt>{text(question)}</dt><dd><strong>{text(short)}</strong>{text(more)}</dd></div>'
        for question, kind, short, more in answers
    )
    return f'<dl class="answers">\n{items}\n</dl>'


Answer = Tuple[str, str, str, str]


def _worked(report: reports.Report) -> Answer:
    question, smoke = "Did it work?", f"Smoke test: {words.passed(report)}."
    if report["outcome"] == reports.UPGRADED:
        return question, "good", "Yes", f"{report['releases']['to']} is up. {smoke}"
    if report["outcome"] == reports.ROLLED_BACK:
        return (
            question,
            "good",
            "Yes, it is back",
            f"{report['releases']['now'] or 'The release before'} is up. {smoke}",
        )
    found = report["failure"]
    where = f"{'after' if found['ended'] else 'in'} step {found['step']}"
    return question, "bad", "No", f"It stopped {where}. What was found stands below."


def _out(report: reports.Report) -> Answer:
    question, window = "How long were users out?", report["offline"]
    if window["from"] is None:
        return question, "good", "Not at all", "Nobody was kept out."
    if window["to"] is None:
        return question, "bad", "They still are", f"S{words.out(report)[1:]}."
    earlier = " and ".join(words.duration(one["seconds"]) for one in window["windows"][:-1])
    more = f" Earlier in this run: {earlier}." if earlier else ""
    return (
        question,
        "good",
        words.duration(window["seconds"]),
        f"{words.clock(window['from'])} to {_until(window)}.{more}",
    )


def _until(window: Mapping[str, Any]) -> str:
    same = words.day(window["from"]) == words.day(window["to"])
    return words.clock(window["to"]) if same else f"{words.clock(window['to'])} on {words.day(window['to'])}"


def _lost(report: reports.Report) -> Answer:
    question, found, details = "Was anything lost?", report["rows"], report["contact_details"]
    if report["outcome"] == reports.ROLLED_BACK:
        back = report["restored"]
        kept = f" They are in the database {back['kept_as']}." if back["kept_as"] else ""
        if back["lost"] is None:
            return (
                question,
                "care",
                "Not known",
                f"Users were let in before the rollback.{kept.replace('They are', 'What they entered is')}",
            )
        if back["lost"]:
            return question, "bad", "Yes, as was asked for", f"Entries of users: {'; '.join(back['lost'])}.{kept}"
        return question, "good", "Nothing", f"Database {words.restored(report)}."
    if report["outcome"] == reports.FAILED:
        proven = report["backup"] and report["backup"]["folder"] and report["backup"]["verified"]
        if proven:
            return question, "care", "Not compared", "There is a proven backup from before the first change."
        if report["backup"] is None:
            return question, "good", "No", "The database was not changed."
        return question, "care", "Not known", report["backup"]["proof"] or "See the backup below."
    if found["fewer"]:
        return (
            question,
            "bad",
            "Look at it",
            f"{len(found['fewer'])} tables have fewer rows than before: {', '.join(found['fewer'][:5])}.",
        )
    copied = f"Contact details: {', '.join(words.contact_details(report))}." if details else ""
    if found["before"] is None or not any(one["after"] is not None for one in found["tables"]):
        return question, "care", "Rows not compared", f"{found['note']} {copied}"
    compared = sum(one["difference"] is not None for one in found["tables"])
    note = f" {found['note']}" if found["uncounted"] else ""
    return question, "care" if note else "good", "Nothing", f"None of {compared} tables has fewer rows.{note} {copied}"


def _what_now(report: reports.Report) -> Answer:
    question, kind = "What must I do now?", "bad" if report["outcome"] == reports.FAILED else "care"
    if report["outcome"] == reports.UPGRADED and report["edits"]:
        return (
            question,
            kind,
            f"Commit {len(report['edits'])} changes",
            "Else the next deployment puts the old release onto this database.",
        )
    if report["outcome"] == reports.FAILED:
        window, both = report["offline"], report["commands"]["rollback"]
        short, where, until = (
            ("Go on, or roll back", "Both commands stand", "one of them")
            if both
            else ("Go on", "The command stands", "it")
        )
        still = f" Users stay out until {until} has ended." if window["from"] and not window["to"] else ""
        return question, kind, short, f"{where} below.{still}"
    if report["outcome"] == reports.ROLLED_BACK:
        return question, kind, "Commit nothing", "The files are those of the release before."
    return question, kind, "See to the next deployment", "It must take the files of the new release."


def _listing(one: Mapping[str, Any]) -> str:
    if not one["lines"]:
        return ""
    if one["code"]:
        return "<pre>" + "".join(f"<span>{text(line)}\n</span>" for line in one["lines"]) + "</pre>"
    return "<ul>" + "".join(f"<li>{text(line)}</li>" for line in one["lines"]) + "</ul>"


def _next(report: reports.Report) -> str:
    items = "\n".join(f"<li>{text(one['text'])}{_listing(one)}</li>" for one in report["next"])
    return f'<h2>What to do next</h2>\n<ol class="next">\n{items}\n</ol>' if items else ""


def _failure(report: reports.Report) -> str:
    found = report["failure"]
    if found is None:
        return ""
    states = [
        ("Database", found["database"]),
        ("Services", found["services"]),
        ("Users", found["users"]),
        ("Backup", found["backup"]),
    ]
    where = f"{'after' if found['ended'] else 'in'} step {found['step']}"
    return f"<h2>What was found {text(where)}</h2>\n<pre>{text(found['finding'])}</pre>\n" + _table(None, states)


# -- timeline ------------------------------------------------------------------------------------------------------


class Bar(NamedTuple):
    """One row of the timeline; times in seconds since the first. C(dashed) is what did not come to its end."""

    label: str
    begin: float
    end: float
    fill: str
    said: str
    dashed: bool = False


class Scale:
    """Where a moment lies in the drawing, in percent of its width; idle time is cut out."""

    def __init__(self, busy: Sequence[Tuple[float, float]]) -> None:
        pieces: List[List[float]] = []
        work = sum(end - begin for begin, end in _merged(busy, 0.0)) or 1.0
        for begin, end in _merged(busy, max(work * IDLE, IDLE_SECONDS)):
            pieces.append([begin, end])
        self.cuts = [(left[1], right[0]) for left, right in zip(pieces, pieces[1:])]
        self.pieces, shown = pieces, sum(end - begin for begin, end in pieces) or 1.0
        self.unit = (100.0 - CUT * len(self.cuts)) / shown
        if self.unit <= 0:  # So many cuts that nothing else would be seen.
            self.pieces, self.cuts = [[pieces[0][0], pieces[-1][1]]], []
            self.unit = 100.0 / ((pieces[-1][1] - pieces[0][0]) or 1.0)

    def at(self, moment: float) -> float:
        """Return a moment's place."""
        place = 0.0
        for number, (begin, end) in enumerate(self.pieces):
            place += CUT if number else 0.0
            if moment <= end:
                return place + max(0.0, moment - begin) * self.unit
            place += (end - begin) * self.unit
        return 100.0


def _merged(spans: Sequence[Tuple[float, float]], gap: float) -> List[Tuple[float, float]]:
    found: List[Tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin - found[-1][1] <= gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found or [(0.0, 1.0)]


def _timeline(report: reports.Report) -> str:
    if not report["steps"]:
        return ""
    zero = report["steps"][0]["started"]
    bars = _step_bars(report, zero) + _boot_bars(report, zero)
    scale = Scale([(row.begin, row.end) for row in bars])
    height = TOP + ROW * len(bars) + 6
    drawn = [*_bands(report, zero, scale, height), *_ticks(zero, scale, height), *_cuts(scale, height)]
    for number, row in enumerate(bars):
        drawn += _bar(row, scale, TOP + ROW * number)
    used = [kind for kind in FILLS if any(row.fill == FILLS[kind][0] for row in bars)]
    key = "".join(
        f'<tspan fill="{FILLS[kind][0]}" stroke="#5a5f66" stroke-width=".4">■</tspan><tspan> {FILLS[kind][1]}  </tspan>'
        for kind in used
    )
    return (
        "<h2>Timeline</h2>\n"
        f'<svg height="{height}" role="img" aria-label="When each step and each component began and ended">\n'
        f'<text x="0" y="11" fill="#5a5f66" xml:space="preserve">{key}</text>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
        + _step_table(report)
    )


def _since(zero: str, moment: str) -> float:
    return max(0.0, journals.seconds(zero, moment))


def _step_bars(report: reports.Report, zero: str) -> List[Bar]:
    phases = {one["phase"] for one in report["steps"]}
    bars = []
    for one in report["steps"]:
        begin, ended = _since(zero, one["started"]), one["finished"] or one["failed"]
        back = " (back)" if len(phases) > 1 and one["phase"] == "rollback" else ""
        kept_out = any(
            one["started"] >= window["from"] and (window["to"] is None or one["started"] < window["to"])
            for window in report["offline"]["windows"]
        )
        fill = FILLS["offline" if kept_out else "online"][0] if one["finished"] else FAILED_FILL
        said = " ".join(
            part
            for part in (words.duration(one["seconds"]) if one["seconds"] is not None else "", words.state(one))
            if part
        )
        bars.append(
            Bar(
                one["step"].replace("_", " ") + back,
                begin,
                _since(zero, ended) if ended else begin,
                fill,
                said,
                not ended,
            )
        )
    return bars


def _boot_bars(report: reports.Report, zero: str) -> List[Bar]:
    bars = []
    for one in sorted(report["boot"], key=lambda boot: boot["started"]):
        ended = one["answered"] or one["seen_until"] or one["started"]
        said = words.duration(one["seconds"]) if one["answered"] else "no answer yet"
        bars.append(
            Bar(
                one["component"],
                _since(zero, one["started"]),
                _since(zero, ended),
                FILLS["boot"][0],
                said,
                not one["answered"],
            )
        )
    return bars


def _bar(row: Bar, scale: Scale, top: float) -> List[str]:
    left = min(scale.at(row.begin), 100.0 - THIN)
    right = max(scale.at(row.end), left + THIN)
    # Beside the bar where there is more room, inside when it fills most of the width.
    rooms = {"start": 100.0 - right, "end": left, "inside": (right - left) * 0.9}
    place = max(rooms, key=lambda one: rooms[one])
    x, dx, anchor = {"start": (right, 5, "start"), "end": (left, -5, "end"), "inside": (left, 5, "start")}[place]
    said = f' <tspan fill="#5a5f66">{text(row.said)}</tspan>' if row.said else ""
    dashed = ' stroke-dasharray="3 2"' if row.dashed else ""
    return [
        (
            f'<rect x="{left:.2f}%" y="{top + 3:.0f}" width="{right - left:.2f}%" height="{ROW - 6}" rx="2"'
            f' fill="{row.fill}" stroke="#5a5f66" stroke-width=".6"{dashed}/>'
        ),
        (
            f'<text x="{x:.2f}%" dx="{dx}" y="{top + 15:.0f}" text-anchor="{anchor}"'
            f' fill="#1a1a1a">{text(row.label)}{said}</text>'
        ),
    ]


def _bands(report: reports.Report, zero: str, scale: Scale, height: float) -> List[str]:
    drawn = []
    for window in report["offline"]["windows"]:
        left = scale.at(_since(zero, window["from"]))
        right = scale.at(_since(zero, window["to"])) if window["to"] else 100.0
        drawn.append(
            f'<rect x="{left:.2f}%" y="{TOP}" width="{max(right - left, THIN):.2f}%" height="{height - TOP:.0f}"'
            ' fill="#fdf6e8"/>'
        )
    return drawn


def _ticks(zero: str, scale: Scale, height: float) -> List[str]:
    """Return the time at both ends and, without a cut, at each quarter."""
    first, last = scale.pieces[0][0], scale.pieces[-1][1]
    moments = [first, last] if scale.cuts else [first + (last - first) * part / 4 for part in range(5)]
    drawn = []
    for number, moment in enumerate(moments):
        x = scale.at(moment)
        anchor = "start" if number == 0 else "end" if number == len(moments) - 1 else "middle"
        drawn.append(
            f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{TOP - 6}" y2="{height:.0f}" stroke="#d9dce0" stroke-width="1"/>'
        )
        label = words.clock(journals.later(zero, moment))
        drawn.append(f'<text x="{x:.2f}%" y="{TOP - 10}" text-anchor="{anchor}" fill="#5a5f66">{label}</text>')
    return drawn


def _cuts(scale: Scale, height: float) -> List[str]:
    drawn = []
    for begin, end in scale.cuts:
        x = scale.at(begin) + CUT / 2
        drawn.append(
            f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{TOP - 6}" y2="{height:.0f}" stroke="#5a5f66" stroke-width="2"'
            ' stroke-dasharray="2 5"/>'
        )
        drawn.append(
            f'<text x="{x:.2f}%" y="{TOP - 10}" text-anchor="middle" fill="#5a5f66">{text(words.duration(end - begin))}'
            " idle</text>"
        )
    return drawn


def _step_table(report: reports.Report) -> str:
    body = [
        (
            one["step"] + (" (back)" if one["phase"] == "rollback" else ""),
            words.clock(one["started"]),
            words.duration(one["seconds"]),
            words.state(one) or "done",
        )
        for one in report["steps"]
    ]
    boots = [(one["component"], words.clock(one["started"]), words.duration(one["seconds"])) for one in report["boot"]]
    found = "<details><summary>The same as a table</summary>\n" + _table(("Step", "Began", "#Took", "Ended"), body)
    if boots:
        found += "\n" + _table(("Component", "Container started", "#First answer after"), boots)
    return found + "</details>"


# -- tables --------------------------------------------------------------------------------------------------------


def _table(head: Optional[Sequence[str]], body: Sequence[Sequence[Any]], bad: Sequence[int] = ()) -> str:
    """Return a table; a heading that begins with # is that of numbers, rows in C(bad) stand out."""
    numbers = [name.startswith("#") for name in head or ()]
    kinds = [' class="n"' if number else "" for number in numbers] or [""] * (len(body[0]) if body else 0)
    found = ["<table>" if head else '<table class="facts">']
    if head:
        found.append(
            "<thead><tr>"
            + "".join(f"<th{kind}>{text(name.lstrip('#'))}</th>" for kind, name in zip(kinds, head))
            + "</tr></thead>"
        )
    found.append("<tbody>")
    for number, row in enumerate(body):
        cells = "".join(f"<td{kind}>{cell(value)}</td>" for kind, value in zip(kinds, row))
        found.append(f'<tr class="bad">{cells}</tr>' if number in bad else f"<tr>{cells}</tr>")
    return "\n".join([*found, "</tbody>", "</table>"])


def _versions(report: reports.Report) -> str:
    if not report["versions"]:
        return ""
    by_name = {one["component"]: one for one in report["migrations"]}
    body = []
    for one in report["versions"]:
        migrated = by_name.get(one["component"], {})
        applied = migrated.get("applied")
        missing = len(migrated.get("missing") or [])
        said = "none kept" if not migrated else "unknown" if applied is None else f"{len(applied)}"
        said += f" ({missing} missing)" if missing else ""
        body.append((one["component"], one["before"], one["after"] or "not running", said, migrated.get("after")))
    listed = "\n".join(
        f"{one['component']}: {', '.join(one['applied'])}" for one in report["migrations"] if one["applied"]
    )
    every = (
        f"\n<details><summary>Every migration that was applied</summary>\n<pre>{text(listed)}</pre></details>"
        if listed
        else ""
    )
    head = ("Component", "Before", "Now", "#Migra­tions applied", "#in all")
    return "<h2>Versions and migrations</h2>\n" + _table(head, body) + every


def _rows(report: reports.Report) -> str:
    found = report["rows"]
    if not found["tables"]:
        return f"<h2>Rows</h2>\n<p>{text(found['note'])}</p>"
    late = [one for one in found["tables"] if one["before"] != one["after"]]
    same = [one for one in found["tables"] if one["before"] == one["after"]]
    if not any(one["after"] is not None for one in found["tables"]):
        late, same = [], found["tables"]
    head = ("Table", "#Before", "#After", "#Difference")
    parts = [f"<h2>Rows</h2>\n<p>{text(words.rows(report)[:1].upper() + words.rows(report)[1:])}</p>"]
    for title, tables in (
        ("", late),
        (f"{len(same)} tables with as many rows as before" if late or found["after"] else f"{len(same)} tables", same),
    ):
        body = [
            (
                one["table"],
                one["before"],
                "not counted" if one["table"] in found["uncounted"] else one["after"],
                _signed(one),
            )
            for one in tables
        ]
        bad = [number for number, one in enumerate(tables) if one["table"] in found["fewer"]]
        if body and title:
            parts.append(f"<details><summary>{text(title)}</summary>\n{_table(head, body, bad)}</details>")
        elif body:
            parts.append(_table(head, body, bad))
    return "\n".join(parts)


def _signed(one: Mapping[str, Any]) -> str:
    if one["difference"] is not None:
        return f"{one['difference']:+d}" + (" FEWER" if one["difference"] < 0 else "")
    if one["after"] is not None:
        return "new"
    return "-"


def _contact_details(report: reports.Report) -> str:
    found = report["contact_details"]
    if found is None:
        return "<h2>Contact details</h2>\n<p>Not copied.</p>" if report["outcome"] == reports.FAILED else ""
    body = [
        ("users in reference data", found["source"]),
        ("copied to the notification service", found["copied"]),
        ("corrected there", found["corrected"]),
        ("equal there already", found["unchanged"]),
        ("different there and kept", found["kept"]),
        ("of all these, without e-mail address", found["without_email"]),
    ]
    undone = "<p>This was undone by the rollback.</p>\n" if report["outcome"] == reports.ROLLED_BACK else ""
    return f"<h2>Contact details</h2>\n{undone}" + _table(("Users", "#Number"), body)


def _backup(report: reports.Report) -> str:
    found = report["backup"]
    if found is None:
        return "<h2>Backup</h2>\n<p>None was made.</p>"
    body = [("Folder", found["folder"]), ("Made", _moment(found["created"])), ("Size", words.size(found["bytes"]))]
    body += [("Holds", f"{found['rows']} rows in {found['tables']} tables")] if found["rows"] is not None else []
    body += [
        ("Proof", found["proof"] or "unknown"),
        ("SHA-256 of manifest.json", found["manifest_sha256"] or "unknown"),
    ]
    every = "\n".join(f"{digest}  {path}" for path, digest in sorted(found["checksums"].items()))
    listed = (
        f"<details><summary>SHA-256 of all {len(found['checksums'])}"
        f" files</summary>\n<pre>{text(every)}</pre></details>"
        if every
        else ""
    )
    extra = f"<p>{text('Database ' + words.restored(report))}.</p>\n" if report["restored"] else ""
    return f"<h2>Backup</h2>\n{extra}" + _table(None, body) + "\n" + listed


def _moment(moment: Optional[str]) -> Optional[str]:
    return f"{words.day(moment)} {words.clock(moment)}" if moment else None


def _smoke_test(report: reports.Report) -> str:
    items = report["smoke_test"]
    if not items:
        return "<h2>Smoke test</h2>\n<p>Not tried.</p>"
    body = [
        (
            "not tried" if one["ok"] and one.get("skipped") else "passed" if one["ok"] else "FAILED",
            one["name"],
            one["detail"],
        )
        for one in items
    ]
    bad = [number for number, one in enumerate(items) if not one["ok"]]
    return f"<h2>Smoke test: {text(words.passed(report))}</h2>\n" + _table(
        ("Outcome", "Item", "What was found"), body, bad
    )


def _warnings(report: reports.Report) -> str:
    found = report["warnings"]
    if found is None:
        return "<h2>Warnings of the check</h2>\n<p>Not known: the journal does not tell.</p>"
    if not found:
        return "<h2>Warnings of the check</h2>\n<p>There was none.</p>"
    body = [(one["check"], " ".join(filter(None, (one["found"] + ".", one["remedy"]))), one["met"]) for one in found]
    return "<h2>Warnings of the check, and how they were met</h2>\n" + _table(
        ("Check", "Warning", "How it was met"), body
    )


def _footer(report: reports.Report) -> str:
    return (
        f"<footer>Written {text(_moment(report['written']))} UTC by openlmis.operations. The same as JSON:"
        f" report-{text(report['run'])}.json. No e-mail address, telephone number or user's name is in it; users are"
        " named by id.</footer>"
    )
