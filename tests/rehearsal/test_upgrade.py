# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole upgrade on a whole server: the database is held against an expectation that the collection did not compute."""

from __future__ import annotations

import dataclasses
import json
import re
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from stack.ansible import Run, database_mounts, migration, upgrade
from stack.deployment import newest_migrations, running
from stack.releases import COMPONENTS, RELEASES, running_version
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
    columns: Columns
    contents: dict[str, str]
    mounts: dict[str, str]
    expected: dict[str, Contact]
    check: Run
    after_check: dict[str, Any]
    upgrade: Run
    after: dict[str, Any]
    adhoc: Run
    again: Run
    after_again: dict[str, Any]


@pytest.fixture(scope="module", params=[pytest.param("3.3.0", marks=pytest.mark.long), "3.3.1"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Check mode, upgrade, the module by itself, and the upgrade again, on one server from each release."""
    with running(request.param, tmp_path_factory.mktemp("upgrade")) as server:
        before, mounts, columns_before = server.fingerprint(), database_mounts(server), columns(server)
        contents_before = contents(server, columns_before)
        check = upgrade(server, "--check", "--diff")
        after_check = server.fingerprint()
        upgraded = upgrade(server)
        after = server.fingerprint()
        adhoc = migration(server, "--check", "--diff")
        again = upgrade(server)
        yield Story(
            server=server,
            release=request.param,
            before=before,
            columns=columns_before,
            contents=contents_before,
            mounts=mounts,
            # The source as it is now: the site's own script has brought phone numbers when the column came.
            expected=expected_contact_details(server.users()),
            check=check,
            after_check=after_check,
            upgrade=upgraded,
            after=after,
            adhoc=adhoc,
            again=again,
            after_again=server.fingerprint(),
        )


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
    assert re.search(r"Offline +\d+\.\d s", report)
    (folder,) = story.server.backup_dir.iterdir()
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file() and one.name != "manifest.json")
    assert f"{folder}, {size / 1024:.2f} KB, " in report
    assert "FAILED" not in report
    for line in report.splitlines():
        assert line.strip() in story.upgrade.text
    for name in TARGET:
        variable = f"OL_{name.upper().replace('-', '_')}_VERSION"
        assert re.search(rf"\.env: {variable} \S+ -> {re.escape(TARGET[name])}", report)


def test_every_component_answers_with_its_version(story: Story) -> None:
    assert story.server.versions() == {name: TARGET[name] for name in COMPONENTS}


def test_every_schema_is_at_its_newest_migration(story: Story) -> None:
    for name, newest in newest_migrations().items():
        assert max(story.server.migrations(name), key=int) == newest[TARGET[name]], name


def test_requisition_has_the_migrations_that_flyway_would_skip(story: Story) -> None:
    assert {"20180511142252566", "20180529114621420"} <= set(story.server.migrations("requisition"))


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
    assert {table: story.columns[table] - kept[table] for table in unchanged if kept[table] != story.columns[table]} == {}
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
