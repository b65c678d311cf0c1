# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.report import report as reports
from ansible_collections.openlmis.operations.plugins.module_utils.report import report_html, report_text

NOON = datetime(2026, 1, 2, 12)
ID = "de300000-0000-4000-8000-000000000011"
HOSTILE = """<script>alert('x')</script>"&amp;]]> ü"""
ON, BACK = "cd /opt && ansible-playbook upgrade-3.4.yml", "cd /opt && ansible-playbook rollback-3.4.yml"
TABLES = {"auth.users": 5, "auth.tokens": 4, "referencedata.users": 3}
MANIFEST = {
    "created": "2026-01-02T12:00:15.000",
    "verified": "rows",
    "tables": TABLES,
    "sizes": {"database/1.dat.gz": 2048},
    "checksums": {"database/1.dat.gz": "ab" * 32},
    "histories": {"auth": ["1", "2"]},
}
SMOKE = [
    {"name": "ui", "ok": True, "skipped": False, "detail": "the start page is there"},
    {"name": "write back", "ok": True, "skipped": True, "detail": f"not tried: user {ID} (ann (the nurse)) has none"},
]
WARNINGS = [
    {"check": "migration order", "found": "requisition would skip 5", "expected": "", "remedy": "Nothing to do."},
    {"check": "memory", "found": "little", "expected": "", "remedy": "Add swap."},
]


def at(seconds):
    return (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def entry(step, begin, end, data=None, phase="upgrade", **other):
    return {
        "step": step,
        "phase": phase,
        "started": at(begin),
        "finished": None if end is None else at(end),
        "data": data or {},
        **other,
    }


def boot(begin, end):
    return {"version": "4.0.0", "lacks": [], "started": at(begin), "answered": None if end is None else at(end)}


def upgraded(**changes):
    pulled = {"answers": {"auth": "3.2.0"}, "images": {"auth": {"id": "1", "name": "openlmis/auth:3.2.0"}}}
    steps = [
        entry("pull", 0, 2, pulled),
        entry("maintenance_on", 2, 5, {"gate": "firewall"}),
        entry("stop", 5, 10),
        entry("backup", 10, 20, {"dest": "/b/1", "bytes": 2048, "rows": 12, "tables": 3, "verified": "rows"}),
        entry("set_versions", 20, 22, {"edits": [".env: OL_AUTH_VERSION 3.2.0 -> 4.0.0"]}),
        entry("start", 22, 30),
        entry("wait", 30, 50, {"components": {"auth": boot(25, 48)}}),
        entry(
            "migrate_contact_details",
            50,
            53,
            {"source": 3, "inserted": 3, "updated": 0, "unchanged": 0, "kept": 0, "without_email": 1},
        ),
        entry("start", 53, 55),
        entry("wait", 55, 58, {"components": {"auth": boot(25, 56), "notification": boot(54, 57)}}),
        entry("smoke_test", 58, 60, {"results": SMOKE}),
        entry(
            "maintenance_off",
            60,
            62,
            {
                "rows": {"auth.users": 5, "auth.tokens": 4, "referencedata.users": 3, "notification.new": 3},
                "uncounted": [],
                "histories": {"auth": ["1", "2", "3"]},
                "count_seconds": 0.1,
                "count_timeout": 30,
            },
        ),
    ]
    run = {"from": "3.3.1", "to": "3.4.0", "warnings": WARNINGS}
    journal = {
        "run_id": "20260102T120000Z",
        "started": at(0),
        "finished": at(62),
        "outcome": "upgraded",
        "phase": "upgrade",
    }
    return {**journal, "run": run, "steps": steps, "commands": {"resume": ON, "rollback": BACK}, **changes}


def failed_in(step, **changes):
    """The upgrade, stopped in a step; those behind it did not come."""
    journal = upgraded(finished=None, outcome=None)
    number = next(number for number, one in enumerate(journal["steps"]) if one["step"] == step)
    last = dict(journal["steps"][number], finished=None, failed=journal["steps"][number]["finished"], **changes)
    return dict(journal, steps=journal["steps"][:number] + [last])


RESTORED = {
    "backup": "/b/1",
    "files": [".env"],
    "kept_as": "open_lmis_failed",
    "tables": 3,
    "rows": 12,
    "hashed": 0,
    "activity": {"unknown": "", "tables": {"auth.users": {"rows": 3, "deleted": 1}}},
}


def rolled_back():
    """The upgrade, taken back an hour later."""
    later = 3662
    back = [
        entry("maintenance_on", later, later + 2, {"gate": "firewall"}, "rollback"),
        entry("stop", later + 2, later + 5, phase="rollback"),
        entry("restore", later + 5, later + 15, RESTORED, "rollback"),
        entry("start", later + 15, later + 20, phase="rollback"),
        entry(
            "wait",
            later + 20,
            later + 30,
            {"components": {"auth": dict(boot(later + 16, later + 29), version="3.2.0")}},
            "rollback",
        ),
        entry("smoke_test", later + 30, later + 31, {"results": SMOKE[:1]}, "rollback"),
        entry("maintenance_off", later + 31, later + 32, {"count_timeout": 0}, "rollback"),
    ]
    return upgraded(steps=upgraded()["steps"] + back, phase="rollback", outcome="rolled back", finished=at(later + 32))


SERVER = {
    "release": "3.4.0",
    "release_target": "3.4.0",
    "database": {"error": None, "users_without_details": 0},
    "histories": {"auth": {"applied": 3, "missing": []}},
    "components": [
        {"name": "auth", "schema": "auth", "migrations": ["1", "2", "3"]},
        {"name": "diagnostics", "schema": None, "migrations": []},
    ],
    "services": {
        "auth": {
            "component": "auth",
            "running_image": "openlmis/auth:4.0.0",
            "status": "running",
            "stopped_for_upgrade": True,
            "one_shot": False,
        },
        "db": {
            "component": None,
            "running_image": "postgres:1",
            "status": "running",
            "stopped_for_upgrade": False,
            "one_shot": False,
        },
    },
}
TOLD = {
    "now": at(100),
    "name": "lmis.example.org",
    "project": "openlmis",
    "base_url": "https://lmis.example.org",
    "phase": "upgrade",
    "commands": {"resume": ON, "rollback": BACK},
    "checksum": "cd" * 32,
    "finding": "",
}


def report(journal, manifest=None, server=None, **told):
    manifest, server = MANIFEST if manifest is None else manifest, SERVER if server is None else server
    return reports.build(journal, manifest, server, {**TOLD, **told})


RECOVERED = {
    **upgraded(finished=None, outcome=None),
    "steps": (
        [entry(step, 15, 15) for step in ("pull", "maintenance_on", "stop")]
        + [entry("backup", 15, 15, {"dest": "/b/1", "recovered": True})]
    ),
    "run": {"from": "3.3.1", "to": "3.4.0"},
}
OLD = upgraded(run={"from": "3.3.1", "to": "3.4.0"}, steps=[{**one, "data": {}} for one in upgraded()["steps"]])
CASES = {
    "upgraded": report(upgraded()),
    "failed": report(
        failed_in("wait"), finding=f"auth ended; user {ID} (ann), ann@example.org", server={**SERVER, "release": None}
    ),
    "failed early": report(failed_in("pull"), {}, {}, finding="no image"),
    "rolled back": report(rolled_back(), server={**SERVER, "release": "3.3.1"}, phase="rollback"),
    "rolled back, old": report(
        {**rolled_back(), "steps": [{**one, "data": {}} for one in rolled_back()["steps"]]}, {}, {}
    ),
    "recovered": report(RECOVERED, finding="cut off"),
    "old": report(OLD, {}, {}),
    "old without commands": report(
        {key: value for key, value in OLD.items() if key != "commands"}, MANIFEST, {}, commands={}
    ),
    "cut off": report(upgraded(finished=None, outcome=None, steps=[*upgraded()["steps"][:6], entry("wait", 30, None)])),
    "nothing": report(upgraded(steps=[], run={}, finished=None, outcome=None), {}, {}, **dict.fromkeys(TOLD)),
    "hostile": report(
        upgraded(
            run={
                "from": HOSTILE,
                "to": HOSTILE,
                "warnings": [{"check": HOSTILE, "found": HOSTILE, "expected": HOSTILE, "remedy": HOSTILE}],
            },
            steps=[
                *upgraded()["steps"][:4],
                entry("set_versions", 20, 22, {"edits": [HOSTILE]}),
                *upgraded()["steps"][5:10],
                entry(HOSTILE, 58, 60),
                entry("smoke_test", 58, 60, {"results": [{"name": HOSTILE, "ok": False, "detail": HOSTILE}]}),
            ],
        ),
        {**MANIFEST, "tables": {HOSTILE: 1}, "checksums": {HOSTILE + "\udcff": HOSTILE}},
        name=HOSTILE,
        project=HOSTILE,
        base_url=HOSTILE,
        commands={"rollback": HOSTILE},
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


# -- the dictionary --------------------------------------------------------------------------------------------------


@every_case
def test_it_is_a_json_document_with_all_its_parts(case):
    again = json.loads(json.dumps(case))
    assert again["schema"] == 1
    assert set(again) == set(CASES["upgraded"])


def test_steps_have_their_number_within_an_attempt():
    steps = CASES["upgraded"]["steps"]
    assert [(one["step"], one["nth"]) for one in steps if one["step"] in ("start", "wait")] == [
        ("start", 1),
        ("wait", 1),
        ("start", 2),
        ("wait", 2),
    ]
    assert [one["seconds"] for one in steps[:3]] == [2.0, 3.0, 5.0]
    again = failed_in("wait")
    again["steps"] += [
        entry("start", 100, 101, attempt=2),
        entry("wait", 101, 110, attempt=2),
        entry("start", 111, 112, attempt=2),
    ]
    assert [one["nth"] for one in report(again)["steps"][-3:]] == [1, 1, 2]


def test_users_are_out_from_the_gate_or_without_one_from_the_stop():
    assert CASES["upgraded"]["offline"] == {
        "from": at(2),
        "to": at(62),
        "seconds": 60.0,
        "windows": [{"from": at(2), "to": at(62), "seconds": 60.0}],
    }
    journal = upgraded()
    journal["steps"][1]["data"] = {"gate": "none"}
    assert report(journal)["offline"]["from"] == at(5)
    assert CASES["failed"]["offline"]["to"] is None
    assert CASES["failed early"]["offline"]["from"] is None


def test_nobody_is_out_when_the_gate_failed_and_was_taken_down_again():
    failed = report(failed_in("maintenance_on", data={}))
    assert failed["offline"]["from"] is None
    for case, said in (
        (failed, "Both commands stand below.<"),
        (CASES["failed"], "below. Users stay out until one of them has ended.<"),
    ):
        assert said in report_html.page(case)
    # A gate that was closed when its run was cut off may stand.
    assert report({**failed_in("wait"), "steps": [entry("maintenance_on", 2, None)]})["offline"]["from"] == at(2)


def test_a_rollback_that_failed_can_only_go_on():
    page = report_html.page(report(failed_in("wait"), commands={"resume": ON, "rollback": None}))
    assert "<strong>Go on</strong>The command stands below. Users stay out until it has ended.<" in page


def test_a_rollback_has_a_window_of_its_own_or_ends_the_upgrade_s():
    assert [one["seconds"] for one in CASES["rolled back"]["offline"]["windows"]] == [60.0, 32.0]
    assert CASES["rolled back"]["offline"]["seconds"] == 32.0
    journal = rolled_back()
    journal["steps"] = [
        one for one in journal["steps"] if one["step"] != "maintenance_off" or one["phase"] == "rollback"
    ]
    assert [one["seconds"] for one in report(journal)["offline"]["windows"]] == [3692.0]


def test_a_boot_is_counted_once_and_only_when_it_was_seen():
    assert [(one["component"], one["seconds"]) for one in CASES["upgraded"]["boot"]] == [
        ("auth", 23.0),
        ("notification", 3.0),
    ]
    assert [one["component"] for one in CASES["rolled back"]["boot"]] == ["auth", "notification", "auth"]
    journal = failed_in("wait", data={"components": {"auth": boot(25, None)}})
    assert report(journal)["boot"] == [
        {
            "component": "auth",
            "phase": "upgrade",
            "started": at(25),
            "answered": None,
            "seconds": None,
            "seen_until": at(50),
        }
    ]
    # Up since before this attempt's start: when it answered first, nobody has seen.
    journal["steps"] += [
        entry("start", 1000, 1001, attempt=2),
        entry("wait", 1001, 1010, {"components": {"auth": boot(26, 1002)}}, attempt=2),
    ]
    assert len(report(journal)["boot"]) == 1


def test_versions_before_and_now():
    assert CASES["upgraded"]["versions"] == [
        {"component": "auth", "service": "auth", "before": "3.2.0", "after": "4.0.0"}
    ]
    assert CASES["rolled back"]["versions"][0]["after"] == "3.2.0"
    stopped = {**SERVER, "services": {"auth": dict(SERVER["services"]["auth"], status="exited")}}
    assert report(failed_in("wait"), server=stopped)["versions"][0]["after"] is None


def test_migrations_are_those_of_the_histories_before_and_after():
    assert CASES["upgraded"]["migrations"] == [
        {"component": "auth", "schema": "auth", "before": 2, "applied": ["3"], "after": 3, "missing": []}
    ]
    behind = {**SERVER, "release": None, "histories": {"auth": {"applied": 2, "missing": ["3"]}}}
    (found,) = report(failed_in("wait"), server=behind)["migrations"]
    assert (found["before"], found["applied"], found["after"], found["missing"]) == (2, [], 2, ["3"])
    assert report(upgraded(), {})["migrations"][0]["applied"] is None


def test_rows_before_and_after_and_tables_with_fewer():
    found = CASES["upgraded"]["rows"]
    assert (found["before"], found["after"], found["fewer"], found["note"]) == (12, 15, [], "")
    assert {one["table"]: one["difference"] for one in found["tables"]}["notification.new"] is None
    journal = upgraded()
    journal["steps"][-1]["data"]["rows"] = {"auth.users": 4, "auth.tokens": 4}
    found = report(journal)["rows"]
    assert found["fewer"] == ["auth.users", "referencedata.users"]
    assert "FEWER than before in auth.users, referencedata.users" in report_text.rows(report(journal))
    assert any("fewer rows" in one["text"] for one in report(journal)["next"])


def test_what_there_was_no_time_to_count_is_said():
    journal = upgraded()
    journal["steps"][-1]["data"].update(rows={"auth.users": 5, "auth.tokens": 4}, uncounted=["referencedata.users"])
    found = report(journal)["rows"]
    assert (found["after"], found["fewer"]) == (None, [])
    assert found["note"] == "Not counted at the end: referencedata.users; it would have taken longer than 30 s."


def test_contact_details_are_summed_over_attempts():
    journal = upgraded()
    journal["steps"].insert(
        7, entry("migrate_contact_details", 49, 50, {"source": 3, "inserted": 2, "updated": 1, "kept": 0})
    )
    assert report(journal)["contact_details"]["copied"] == 5
    assert CASES["failed"]["contact_details"] is None


def test_a_copy_that_was_cut_off_behind_its_end_found_everything_there():
    journal = upgraded()
    journal["steps"][7]["data"].update(inserted=0, unchanged=3)
    assert report_text.contact_details(report(journal))[:2] == ["0 of 3 users copied", "3 equal already"]
    assert report_text.contact_details(CASES["upgraded"])[0:2] == ["3 of 3 users copied", "0 kept as they were"]


def test_the_backup_has_checksums_and_proof():
    found = CASES["upgraded"]["backup"]
    assert (found["folder"], found["manifest_sha256"], found["checksums"]) == ("/b/1", "cd" * 32, MANIFEST["checksums"])
    assert found["proof"].startswith("Read back to its end")
    journal = upgraded()
    journal["steps"][3]["data"] = {"without_way_back": True}
    assert "without a way back" in report_text.backup(report(journal, {}))
    assert CASES["recovered"]["backup"]["rows"] == 12
    assert CASES["failed early"]["backup"] is None


def test_warnings_say_how_they_were_met():
    assert [one["met"][:4] for one in CASES["upgraded"]["warnings"]] == ["Met:", "Your"]
    assert CASES["failed"]["warnings"][0]["met"].startswith("Open")
    assert CASES["rolled back"]["warnings"][0]["met"].startswith("Void")
    assert CASES["old"]["warnings"] is None


def test_what_to_do_next_begins_with_the_changes_to_commit():
    first, *others = CASES["upgraded"]["next"]
    assert first["text"].startswith("Commit these changes")
    assert first["lines"] == [".env: OL_AUTH_VERSION 3.2.0 -> 4.0.0"]
    assert others[-1]["lines"] == [BACK]
    assert CASES["failed"]["next"][0]["lines"] == [ON]
    assert CASES["failed"]["next"][1]["lines"] == [BACK]
    assert CASES["rolled back"]["next"][0]["text"].startswith("Commit nothing")
    assert CASES["rolled back"]["next"][1]["lines"] == ['DROP DATABASE "open_lmis_failed";']


@pytest.mark.parametrize(
    ("activity", "tables", "lost"),
    [({"unknown": "", "tables": {}}, 3, []), ({"unknown": "reset", "tables": {}}, 3, None), ({}, 3, None), ({}, 0, [])],
)
def test_what_a_rollback_loses_is_known_or_not(activity, tables, lost):
    journal = rolled_back()
    next(one for one in journal["steps"] if one["step"] == "restore")["data"] = {
        **RESTORED,
        "activity": activity,
        "tables": tables,
    }
    found = report(journal, phase="rollback")
    assert found["restored"]["lost"] == lost
    assert ("Not known" in report_html.page(found)) == (lost is None)
    journal["steps"] = [
        one for one in journal["steps"] if one["step"] != "maintenance_off" or one["phase"] == "rollback"
    ]
    if not activity:
        assert report(journal)["restored"]["lost"] == []


def test_commands_of_a_rollback_that_has_not_begun_are_those_of_the_upgrade_and_its_own():
    found = report(failed_in("wait"), phase="rollback", commands={"resume": BACK, "rollback": None})["commands"]
    assert found == {"resume": ON, "rollback": BACK}


@every_case
def test_users_are_named_by_id_only(case):
    written = json.dumps(case) + report_html.page(case) + "\n".join(report_text.lines(case))
    assert "nurse" not in written
    assert "ann@example.org" not in written
    assert "(ann" not in written


def test_lines_of_a_log_stay_apart():
    log = "auth ended:\n2026-11-26 04:52:46 INFO  Starting auth 4.0.0\n2026-11-26 04:52:46 ERROR +258 84 123 4567"
    assert reports.clean(log) == log.replace("+258 84 123 4567", "***")


def test_the_user_s_id_stays():
    assert f"user {ID}, ***" in CASES["failed"]["failure"]["finding"]


# -- the table -------------------------------------------------------------------------------------------------------


@every_case
def test_the_table_is_plain_and_narrow(case):
    lines = report_text.lines(case, ["FAILED    it stopped"])
    if case is CASES["hostile"]:
        return
    assert all(line.isascii() for line in lines)
    commands = (ON, BACK)
    assert [line for line in lines if len(line) > report_text.WIDTH and not line.strip().endswith(commands)] == []


def test_the_table_of_a_finished_upgrade():
    lines = report_text.lines(CASES["upgraded"])
    assert lines[0] == "OpenLMIS 3.3.1 -> 3.4.0 on lmis.example.org, run 20260102T120000Z"
    text = "\n".join(lines)
    assert re.search(r"^pull +2026-01-02 12:00:00 +2\.0 s\n(.*\n){2}backup +12:00:10 +10\.0 s$", text, re.MULTILINE)
    for said in (
        "Offline           12:00:02 to 12:01:02 UTC, 1 min 00 s",
        (
            "Contact details   3 of 3 users copied\n                  0 kept as they were\n                  1 without"
            " e-mail\n"
        ),
        "Rows              12 before, 15 after: no table has fewer than before (3",
        "Backup            /b/1, 2.0 KiB, 12 rows in 3 tables, proven",
        "Smoke test        1 of 2 passed; not tried: write back",
        "What to do next\n1. Commit these changes",
    ):
        assert said in text


def test_the_table_of_a_failure_ends_with_what_is_said_of_it():
    lines = report_text.lines(CASES["failed"], ["FAILED    The upgrade stopped", "Go on     x"])
    offline = "Offline           since 12:00:02 UTC on 2026-01-02, 1 min 38 s so far"
    assert lines[-5:] == ["", offline, "", "FAILED    The upgrade stopped", "Go on     x"]
    assert next(line for line in lines if line.startswith("wait")).endswith("FAILED")


def test_the_table_of_a_rollback():
    text = "\n".join(report_text.lines(CASES["rolled back"]))
    for said in (
        "lmis.example.org is back at 3.3.1",
        "Kept              database open_lmis_failed",
        "stop (back)",
        "Lost              auth.users: 3 rows written, 1 deleted",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7380, "2 h 03 min"),
    ],
)
def test_durations(seconds, said):
    assert report_text.duration(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(None, "of unknown size"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes(number, said):
    assert report_text.size(number) == said


# -- the page --------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """The elements of a page, their attributes, and what is not well-formed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.problems = [], [], []
        self.feed(page)
        self.close()
        self.problems += self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"/{tag}")


@every_case
def test_the_page_is_well_formed(case):
    page = report_html.page(case)
    assert Elements(page).problems == []
    ElementTree.fromstring(page.partition("\n")[2])


@every_case
def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(case):
    page = report_html.page(case)
    found = Elements(page).found
    assert {tag for tag, _attrs in found} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "a",
    } == set()
    names = {name for _tag, attrs in found for name in attrs}
    assert [name for name in names if name in ("src", "href", "xlink:href", "action") or name.startswith("on")] == []
    assert "url(" not in page
    assert "@import" not in page


@every_case
def test_every_part_of_the_drawing_is_inside_it(case):
    for tag, attrs in Elements(report_html.page(case)).found:
        if tag == "rect":
            x, width = float(attrs["x"].rstrip("%")), float(attrs["width"].rstrip("%"))
            assert 0 <= x <= 100
            assert width > 0
            assert x + width <= 100.01
        if tag == "line":
            assert 0 <= float(attrs["x1"].rstrip("%")) <= 100


def test_hostile_words_are_only_words():
    page = report_html.page(CASES["hostile"])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10


def test_the_page_has_a_bar_for_each_step_and_each_boot():
    found = Elements(report_html.page(CASES["upgraded"])).found
    bars = [attrs for tag, attrs in found if tag == "rect" and "stroke" in attrs]
    assert len(bars) == len(CASES["upgraded"]["steps"]) + len(CASES["upgraded"]["boot"])


def test_idle_hours_are_cut_out_of_the_drawing():
    assert "1 h 00 min idle" in report_html.page(CASES["rolled back"])
    scale = report_html.Scale([(0.0, 10.0), (1000.0, 1010.0)])
    assert scale.at(0) == 0
    assert scale.at(10) == pytest.approx(48)
    assert scale.at(1000) == pytest.approx(52)
    assert scale.at(1010) == pytest.approx(100)
    assert report_html.Scale([(float(number * 1000), number * 1000 + 1.0) for number in range(60)]).at(
        59001
    ) == pytest.approx(100)


def test_the_first_screen_answers_four_questions():
    page = report_html.page(CASES["upgraded"])
    for said in (
        "Did it work?",
        "How long were users out?",
        "Was anything lost?",
        "What must I do now?",
        "Commit 1 changes",
    ):
        assert said in page
    assert "They still are" in report_html.page(CASES["failed"])
