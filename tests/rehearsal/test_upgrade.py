# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole upgrade on a whole server: the database is held against an expectation that the collection
did not compute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from stack import distribution
from stack.ansible import Run, database_mounts, migration, upgrade
from stack.deployment import newest_migrations, running
from stack.people import personal
from stack.releases import COMPONENTS, RELEASES, running_version
from stack.rounds import Rounds, rounds, rows
from stack.world import ADMIN, DATABASE, Contact, Server, expected_contact_details

TARGET = RELEASES["3.4.0"]
# What the release's own migrations write to: the histories, the ids that auth 4.0.0 sets, and requisition's columns.
MIGRATED = re.compile(
    r"\.schema_version$|^auth\.(auth_users|password_reset_tokens)$"
    r"|^requisition\.(columns_maps|available_requisition_column\w*)$"
)


Columns = dict[str, set[str]]


def columns(server: Server) -> Columns:
    """The columns of every table of OpenLMIS."""
    rows = server.query(
        "select table_schema || '.' || table_name, column_name from information_schema.columns"
        " join information_schema.tables using (table_schema, table_name)"
        " where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema', 'public')"
    )
    found: Columns = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def contents(server: Server, wanted: Columns) -> dict[str, str]:
    """Rows and a content hash of the wanted columns of each table; a migration may have added others."""
    return {
        table: server.query(
            "select count(*) || ':' || coalesce(md5(string_agg(t::text, E'\\n' order by t::text collate \"C\")), '-')"
            " from (select {} from {}) t".format(", ".join(f'"{name}"' for name in sorted(names)), table)
        )[0][0]
        for table, names in wanted.items()
    }


@dataclasses.dataclass
class Story:
    """One server from before the upgrade to after its second run."""

    server: Server
    release: str
    before: dict[str, Any]
    rounds: Rounds
    columns: Columns
    contents: dict[str, str]
    mounts: dict[str, str]
    expected: dict[str, Contact]
    check: Run
    after_check: dict[str, Any]
    upgrade: Run
    report: dict[str, Any]
    page: str
    after: dict[str, Any]
    adhoc: Run
    again: Run
    after_again: dict[str, Any]


@pytest.fixture(scope="module", params=[pytest.param("3.3.0", marks=pytest.mark.long), "3.3.1"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Check mode, upgrade, the module by itself, and the upgrade again, on one server from each release."""
    reports = tmp_path_factory.mktemp("reports")
    with running(request.param, tmp_path_factory.mktemp("upgrade")) as server:
        before, mounts, columns_before = server.fingerprint(), database_mounts(server), columns(server)
        contents_before = contents(server, columns_before)
        told = rounds(server, known={})
        check = upgrade(server, "--check", "--diff")
        after_check = server.fingerprint()
        upgraded = upgrade(server, "-e", f"openlmis_report_dir={reports}")
        assert upgraded.code == 0, upgraded.text[-4000:]
        (page,), (document,) = reports.glob("rehearsal-*Z.html"), reports.glob("rehearsal-*Z.json")
        after = server.fingerprint()
        adhoc = migration(server, "--check", "--diff")
        again = upgrade(server, "-e", f"openlmis_report_dir={reports}")
        assert len(list(reports.iterdir())) == 2
        yield Story(
            server=server,
            release=request.param,
            before=before,
            rounds=told,
            columns=columns_before,
            contents=contents_before,
            mounts=mounts,
            # The source as it is now: the site's own script has brought phone numbers when the column came.
            expected=expected_contact_details(server.users()),
            check=check,
            after_check=after_check,
            upgrade=upgraded,
            report=json.loads(document.read_text()),
            page=page.read_text(),
            after=after,
            adhoc=adhoc,
            again=again,
            after_again=server.fingerprint(),
        )


def test_the_reference_distribution_is_ready_with_nothing_but_the_profile_set(story: Story) -> None:
    """The inventory is README's, the deployment the stock one with `production` uncommented: no message asks for
    anything.
    """
    assert story.rounds.first.code == 0, story.rounds.first.text
    (ready,) = rows(story.rounds.first.text, "ready")
    assert f"the server may be upgraded from {story.release} to 3.4.0" in ready
    assert [
        row for row in rows(story.rounds.first.text, "warning") if not row.startswith(("migration order", "memory"))
    ] == []
    assert story.rounds.offered == {}


def test_check_mode_runs_to_its_end_and_changes_nothing_at_all(story: Story) -> None:
    assert story.check.code == 0, story.check.text
    for part, content in story.before.items():
        assert story.after_check[part] == content, part
    assert f"contact details of {len(story.expected)} users" in story.check.text
    assert "OL_NOTIFICATION_VERSION=4.0.0" in story.check.text


def test_the_upgrade_succeeds_and_reports(story: Story) -> None:
    assert story.upgrade.code == 0, story.upgrade.text
    report = (story.server.state_dir / "report.txt").read_text()
    assert f"OpenLMIS {story.release} -> 3.4.0" in report
    assert f"{len(story.expected)} of {len(story.expected)} users copied" in report
    assert re.search(r"(?m)^Offline +\d\d:\d\d:\d\d to ", report)
    (folder,) = story.server.backup_dir.iterdir()
    assert f"Backup {folder}, " in " ".join(report.split())
    assert "FAILED" not in report
    for line in report.splitlines():
        assert line.strip() in story.upgrade.text
    for name in TARGET:
        variable = f"OL_{name.upper().replace('-', '_')}_VERSION"
        assert re.search(rf"\.env: {variable} \S+ -> {re.escape(TARGET[name])}", report)


def test_the_report_has_versions_migrations_and_rows(story: Story) -> None:
    report, server = story.report, story.server
    assert (report["schema"], report["outcome"], report["releases"]["from"], report["releases"]["to"]) == (
        1,
        "upgraded",
        story.release,
        "3.4.0",
    )
    before = {name: running_version(story.release, name) for name in TARGET}
    assert {one["component"]: (one["before"], one["after"]) for one in report["versions"]} == {
        name: (before[name], TARGET[name]) for name in TARGET
    }
    for one in report["migrations"]:
        assert one["after"] == len(server.migrations(one["component"])), one
        assert one["before"] + len(one["applied"]) == one["after"], one
        assert set(one["applied"]) <= set(server.migrations(one["component"]))
    rows = {one["table"]: (one["before"], one["after"]) for one in report["rows"]["tables"]}
    counted = {
        side: {table: int(told.split(":")[0]) for table, told in getattr(story, side)["tables"].items()}
        for side in ("before", "after")
    }
    # The copy is not what the database held when it was counted, but what the smoke test and this test have left since
    # is the same.
    for table, (was, now) in rows.items():
        if table != "public.spatial_ref_sys":
            assert (was, now) == (counted["before"].get(table), counted["after"].get(table)), table
    assert len(rows) > 30
    assert report["rows"]["fewer"] == []
    details = report["contact_details"]
    assert (details["source"], details["copied"], details["kept"]) == (len(story.expected), len(story.expected), 0)
    assert details["without_email"] == sum(one.email is None for one in story.expected.values())


def test_the_report_tells_when_what_happened(story: Story) -> None:
    report = story.report
    steps = [
        "pull",
        "maintenance_on",
        "stop",
        "backup",
        "set_versions",
        "start",
        "wait",
        "migrate_contact_details",
        "start",
        "wait",
    ]
    assert [one["step"] for one in report["steps"]] == [*steps, "smoke_test", "maintenance_off"]
    assert all(one["seconds"] > 0 for one in report["steps"])
    assert [one["nth"] for one in report["steps"] if one["step"] == "wait"] == [1, 2]
    assert report["offline"]["from"] == report["steps"][1]["started"]
    assert report["offline"]["to"] == report["steps"][-1]["finished"]
    boots = [one["component"] for one in report["boot"]]
    assert set(boots) == set(COMPONENTS)
    # These were stopped for the copy, or ran with a temporary setting, and have booted twice.
    assert boots.count("notification") == 2
    assert all(0 < one["seconds"] < 60 for one in report["boot"])


def test_the_report_proves_the_backup_and_says_what_to_do(story: Story) -> None:
    report = story.report
    (folder,) = story.server.backup_dir.iterdir()
    manifest = folder / "manifest.json"
    assert report["backup"]["folder"] == str(folder)
    assert report["backup"]["checksums"] == json.loads(manifest.read_text())["checksums"]
    assert report["backup"]["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert report["backup"]["manifest_sha256"] in story.page
    assert [one["ok"] for one in report["smoke_test"]] == [True] * 7
    assert report["edits"] == report["next"][0]["lines"]
    assert {edit.partition(":")[0] for edit in report["edits"]} >= {".env"}
    assert report["commands"]["rollback"].endswith("playbooks/rollback-3.4.yml")
    assert report["commands"]["rollback"] in html.unescape(story.page)
    warned = set(re.findall(r"(?m)^warning +([a-z ]+?)  ", story.upgrade.text))
    assert {one["check"] for one in report["warnings"]} == warned
    assert warned


def test_the_report_is_private_and_one_page(story: Story) -> None:
    for path in story.server.state_dir.glob("report-*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = story.page + json.dumps(story.report, ensure_ascii=False)
    told = personal(story.server.users())
    assert len(told) > 500
    assert [one for one in told if one in written or one in html.unescape(story.page)] == []
    assert DATABASE["password"] not in written
    ElementTree.fromstring(story.page.partition("\n")[2])
    assert not re.search(r"\b(src|href)=|url\(|<script", story.page)


def test_every_component_answers_with_its_version(story: Story) -> None:
    assert story.server.versions() == {name: TARGET[name] for name in COMPONENTS}


def test_every_schema_is_at_its_newest_migration(story: Story) -> None:
    for name, newest in newest_migrations().items():
        assert max(story.server.migrations(name), key=int) == newest[TARGET[name]], name


def test_requisition_has_the_migrations_that_flyway_would_skip(story: Story) -> None:
    assert {"20180511142252566", "20180529114621420"} <= set(story.server.migrations("requisition"))


def test_the_files_render_what_the_release_gives_each_service(story: Story, tmp_path: pathlib.Path) -> None:
    distribution.write(tmp_path / "original", "3.4.0")
    found = distribution.differences(story.server.project_src, tmp_path / "original")
    assert distribution.unexplained(found, distribution.INTENDED_AFTER, story.server.base_url) == ([], [])


def test_requisition_runs_without_the_temporary_setting(story: Story) -> None:
    assert "out-of-order" not in " ".join(story.server.container("requisition").attrs["Config"]["Env"])


def test_each_user_s_details_equal_the_expectation(story: Story) -> None:
    assert len(story.expected) >= 300
    assert sum(1 for one in story.expected.values() if one.phone and "\n" in one.phone) > 0
    assert sum(1 for one in story.expected.values() if one.email is None) > 10
    assert story.server.contact_details() == story.expected


def test_every_row_of_every_table_is_still_there_and_unchanged(story: Story) -> None:
    now = columns(story.server)
    unchanged = [table for table in story.columns if not MIGRATED.search(table)]
    assert len(unchanged) > 30
    kept = {table: story.columns[table] & now[table] for table in unchanged}
    assert {
        table: story.columns[table] - kept[table] for table in unchanged if kept[table] != story.columns[table]
    } == {}
    assert contents(story.server, kept) == {table: story.contents[table] for table in unchanged}


def test_the_database_kept_its_volume(story: Story) -> None:
    assert database_mounts(story.server) == story.mounts


def test_no_volume_is_left_behind_that_nobody_uses(story: Story) -> None:
    used = {mount.get("Name") for one in story.server.containers() for mount in one.attrs["Mounts"]}
    assert set(story.after["volumes"]) - set(story.before["volumes"]) - used == set()


def test_redis_runs_and_data_holding_containers_were_never_removed(story: Story) -> None:
    assert story.server.container("redis").status == "running"
    for service in ("db", "log", "ftp"):
        name = story.server.container(service).name
        assert story.after["containers"][name][0] == story.before["containers"][name][0], service


def test_the_backup_is_whole_and_private(story: Story) -> None:
    (folder,) = story.server.backup_dir.iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    counts: dict[str, int] = {}
    for table, content in story.before["tables"].items():
        if table in manifest["tables"]:
            counts[table] = int(content.split(":")[0])
    # Of an extension's table only the site's own rows are dumped, and this site has none.
    counts["public.spatial_ref_sys"] = 0
    assert {table: rows for table, rows in manifest["tables"].items() if table in counts} == counts
    assert len(counts) > 20
    versions = {one["name"]: one["version"] for one in manifest["components"]}
    assert versions == {name: running_version(story.release, name) for name in COMPONENTS}
    assert manifest["release"] == story.release
    assert (folder / "files" / ".env").read_text().count("OL_AUTH_VERSION=3.2.0") == 1
    assert {"docker-compose.yml", "settings.env", ".env", "config"} <= {
        one.name for one in (folder / "files").iterdir()
    }
    assert stat.S_IMODE((folder / "database").stat().st_mode) == 0o700
    for service in COMPONENTS:
        tag = f"openlmis-operations/{service}:before-{manifest['run']}"
        assert story.server.engine.images.get(tag).id == manifest["images"][service]["id"]


def test_the_second_run_changes_nothing(story: Story) -> None:
    assert story.again.code == 0, story.again.text
    assert story.again.recap("changed") == 0
    assert "Nothing to do: rehearsal is at 3.4.0, contact details copied." in story.again.text
    for part, content in story.after.items():
        assert story.after_again[part] == content, part


def test_the_module_by_itself_finds_everything_copied(story: Story) -> None:
    assert story.adhoc.code == 0, story.adhoc.text
    assert '"changed": false' in story.adhoc.text or "changed: false" in story.adhoc.text
    assert re.search(rf'"?unchanged"?: {len(story.expected)}', story.adhoc.text)


def test_no_personal_datum_and_no_secret_is_printed(story: Story) -> None:
    printed = "".join(run.text for run in (story.check, story.upgrade, story.adhoc, story.again))
    addresses = [one.email for one in story.expected.values() if one.email and "@" in one.email]
    assert len(addresses) > 100
    assert [one for one in addresses if one in printed] == []
    assert DATABASE["password"] not in printed
    journal = (story.server.state_dir / "journal.json").read_text()
    assert DATABASE["password"] not in journal
    assert f'"{ADMIN[1]}"' not in journal
