# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites write their server down in many ways, and docker-compose of before v2 has started some: each is upgraded,
nothing is lost.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from stack import distribution, images
from stack.ansible import Run, command, database_mounts, upgrade
from stack.compose_v1 import docker_compose
from stack.deployment import only_one, running, write_files
from stack.external import folder_of_the_host, named_volume
from stack.layouts import (
    AGENT,
    ANGOLA,
    DOLLAR,
    DOUBLED,
    FILES,
    JOB,
    LAYOUTS,
    MALAWI,
    OWN,
    REF_DISTRO,
    SERVICES,
    UI_IMAGE,
    Layout,
    forget_national_images,
    started_by,
)
from stack.releases import CHECKOUT, COMPONENTS, PROJECTS, RELEASES, START_RELEASES, running_version
from stack.rounds import Rounds, offered, rounds, rows
from stack.world import PROJECT_LABEL, Server, expected_contact_details

sys.path.insert(0, str(CHECKOUT / ".cache" / "collections"))
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks_layout
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, edits, outlook

TARGET = RELEASES["3.4.0"]
# Fewer components start sooner.
LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "diagnostics")
DISCARD = ("-e", "openlmis_rollback_discard_changes=true")
ROLE = CHECKOUT / "roles" / "openlmis"


def left_out(layout: Layout) -> list[str]:
    """The components that a server of this layout does without."""
    return [name for name in LEFT_OUT if name not in layout.needs]


def present(layout: Layout) -> list[str]:
    """The components that it has."""
    return [name for name in COMPONENTS if name not in left_out(layout)]


@pytest.fixture(scope="module", autouse=True)
def _no_national_image_stays() -> Iterator[None]:
    yield
    forget_national_images()


# -- the files, as real Compose reads them -----------------------------------------------------------------------------


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file of a deployment."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def compose_config(server: Server) -> dict[str, Any]:
    """What Compose makes of the files, asked in the folder as an operator would."""
    return json.loads(server.compose("config", "--format", "json").stdout)


def changed_lines(before: bytes, after: bytes) -> tuple[list[bytes], list[bytes]]:
    """The lines that were taken out and those that were put in."""
    lines = list(difflib.diff_bytes(difflib.unified_diff, before.splitlines(True), after.splitlines(True), n=0))[2:]
    return tuple([line[1:] for line in lines if line[:1] == sign] for sign in (b"-", b"+"))


def is_version(line: bytes) -> bool:
    """Whether a line says a version, or holds the option that 3.4 has dropped."""
    return bool(re.search(rb"OL_\w+_VERSION *=|^ *image: |JAVA_OPTS: .*/demo-data", line))


class Files:
    """A deployment's files without a server, and what the collection makes of them."""

    def __init__(self, root: pathlib.Path, layout: Layout, release: str) -> None:
        images.ensure()
        self.server = Server(root)
        write_files(self.server, release)
        layout.prepare(self.server)
        self.folder = self.server.project_src
        self.layout = layout
        # Nothing of it runs.
        self.project = compose.Project(layout.project, [])
        self.params = {
            "project_src": str(self.folder),
            "compose_files": layout.variables.get("openlmis_compose_files", []),
            "target_files": str(root / "prepared") if layout.prepared else None,
            "images": layout.variables.get("openlmis_images", {}),
            "release": {
                **yaml.safe_load((ROLE / "vars" / "releases" / "3.4.0.yml").read_text()),
                "services": layout.variables.get("openlmis_components", {}),
            },
        }

    def seen(self) -> tuple[list[str], list[deployment.Service], dict[str, Any]]:
        """The Compose files, the services as Compose renders them, and the rendering."""
        files = deployment.compose_files(str(self.folder), self.params["compose_files"])
        rendered, raw = (
            deployment.render(str(self.folder), files, self.layout.project, interpolate=how) for how in (True, False)
        )
        return files, deployment.services_of(rendered, raw, self.params["release"]), rendered

    def plan(self) -> list[edits.Edit]:
        """The edits that are left to be made."""
        return outlook.plan(self.params, self.project, *self.seen()[:2])[0]

    def finding(self) -> Any:
        """What the check says of the change."""
        told = outlook.look(self.params, self.project, *self.seen())
        return checks_layout.check_change(
            {"outlook": told, "named": self.params["release"]["services"], "database": {"service": "db"}}
        )

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file of the site, or a prepared one."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def alone() -> Iterator[None]:
    """No server is there meanwhile."""
    with only_one(say=lambda text: None):
        yield


@pytest.mark.parametrize("release", START_RELEASES)
@pytest.mark.parametrize("layout", [*LAYOUTS, SERVICES, FILES], ids=lambda one: one.name)
def test_the_smallest_change_of_the_files_leads_to_the_release(
    layout: Layout, release: str, tmp_path: pathlib.Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in layout.variables.get("openlmis_compose_environment", {}).items():
        monkeypatch.setenv(name, value)
    files = Files(tmp_path / "server", layout, release)
    before = contents(files.folder)
    planned = files.plan()
    assert files.finding().status == "ok"
    assert contents(files.folder) == before
    for path, content in edits.contents_after([edit.told() for edit in planned]).items():
        pathlib.Path(path).write_bytes(content)
    assert files.plan() == []
    config, after = compose_config(files.server), contents(files.folder)

    assert config["name"] == layout.project
    found = {one["image"] for one in config["services"].values() if "image" in one}
    assert {
        f"openlmis/{name}:{version}"
        for name, version in TARGET.items()
        if not (layout.images and name == "reference-ui")
    } <= found
    assert set(layout.images.values()) <= found
    assert config["services"]["redis"]["image"] == "redis:3.2.12"
    out, into = [], []
    for name in before:
        removed, put = changed_lines(before[name], after[name])
        out, into = out + removed, into + put
        # Line ends stay; so does the missing one at the end.
        assert after[name].count(b"\r\n") - before[name].count(b"\r\n") == (len(put) - len(removed)) * (
            b"\r\n" in before[name]
        ), name
        assert after[name][-1:] == before[name][-1:]
    assert out
    assert all(map(is_version, out)), out
    without_option = [
        line.replace(b" -Dflyway.locations=classpath:db/migration,filesystem:/demo-data", b"") for line in out
    ]
    new = [line for line in into if not is_version(line) and line not in without_option]
    assert [line.strip() for line in new if line.strip() not in (b"restart: always", b"")] == [b"redis:"]
    assert sum(b"#" in line for line in out) == sum(b"#" in line for line in into)


@pytest.mark.parametrize(
    ("layout", "name", "old", "new", "said"),
    [
        # what cannot be edited
        (REF_DISTRO, ".env", "OL_AUTH_VERSION=3.2.0\n", "", "auth openlmis/auth: would still run"),
        (
            MALAWI,
            "docker-compose.override.yml",
            "image: openlmis/auth:3.2.0",
            "extends: {file: ../common.yml, service: a}",
            "auth:3.2.0 would still",
        ),
        # what a job may have forgotten, or done
        (
            JOB,
            "../prepared/docker-compose.yml",
            "auth:4.0.0",
            "auth:3.2.0",
            "image openlmis/auth:3.2.0 -> openlmis/auth:4.0.0",
        ),
        (JOB, "../prepared/docker-compose.yml", "  redis:\n", "  cache:\n", "service redis (redis:3.2.12) added"),
        (
            JOB,
            "../prepared/site.yml",
            "notification:4.0.0",
            "notification:4.0.0\n    environment: {spring_profiles_active: demo-data}",
            "DROP",
        ),
        (
            JOB,
            "../prepared/site.yml",
            "notification:4.0.0",
            "notification:4.0.0\n    environment: {DATABASE_URL: other}",
            "another DATABASE_URL",
        ),
    ],
)
def test_a_change_that_does_not_lead_there_is_refused_beforehand(
    layout: Layout, name: str, old: str, new: str, said: str, tmp_path: pathlib.Path, alone: None
) -> None:
    files = Files(tmp_path / "server", layout, "3.3.1")
    (tmp_path / "server" / "common.yml").write_text('version: "2"\nservices:\n  a:\n    image: openlmis/auth:3.2.0\n')
    files.replace(name, old, new)
    finding = files.finding()
    assert finding.status == "refused", finding
    assert said in finding.found
    assert finding.remedy


@pytest.mark.parametrize("release", START_RELEASES)
def test_the_changed_files_render_what_the_new_release_gives_each_service(
    release: str, tmp_path: pathlib.Path, alone: None
) -> None:
    files = Files(tmp_path / "server", REF_DISTRO, release)
    for path, content in edits.contents_after([edit.told() for edit in files.plan()]).items():
        pathlib.Path(path).write_bytes(content)
    distribution.write(tmp_path / "original", "3.4.0")
    found = distribution.differences(files.folder, tmp_path / "original")
    assert distribution.unexplained(found, distribution.INTENDED_AFTER, files.server.base_url) == ([], [])


def test_an_image_for_a_service_that_is_not_there_is_refused(tmp_path: pathlib.Path, alone: None) -> None:
    files = Files(tmp_path / "server", MALAWI, "3.3.1")
    files.params["images"] = {"ui": UI_IMAGE}
    assert "openlmis_images names ui, which is no component" in files.finding().found


# -- whole servers -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Own:
    """A site's own services at one moment: the rows of each one's table, and for each its container, since when that
    runs, and how it is.
    """

    rows: dict[str, set[Any]]
    containers: dict[str, tuple[str, str, str]]

    @classmethod
    def of(cls, server: Server, layout: Layout) -> Own:
        found = {name: server.container(name) for name in (*layout.users, *layout.others)}
        return cls(
            {name: set(server.query(f"select id, at from {name}.written")) for name in layout.users},
            {name: (one.id, one.attrs["State"]["StartedAt"], one.status) for name, one in found.items()},
        )


@dataclasses.dataclass(repr=False)
class Story:
    """One server from before the upgrade to after its second run."""

    server: Server
    layout: Layout
    release: str
    before: dict[str, Any]
    files_before: dict[str, bytes]
    mounts: dict[str, str]
    rounds: Rounds
    check: Run
    own: Own
    upgrade: Run
    own_after: Own
    steps: dict[str, Any]
    again: Run
    after: dict[str, Any]
    after_again: dict[str, Any]


Place = Callable[[Server], None]


def case(layout: Layout, release: str, place: Place | None, *marks: Any) -> Any:
    """One server; its name says what it is."""
    started = f" started by {layout.started_by}" if layout.started_by else ""
    lies = f" with {place.__name__}" if place else ""
    return pytest.param((layout, release, place), id=f"{layout.name}{started}{lies} from {release}", marks=marks)


# WHOLE, with test_upgrade.py and test_databases.py, has each place of the database and both releases once; the rest,
# angola among it, is long.
# FILES and SERVICES have what sites add of their own, in each other's company; alone, and rolled back as these, that is
# long.
LAYOUTS_LONG = [
    MALAWI,
    ANGOLA,
    JOB,
    *(started_by(layout, version) for layout in (REF_DISTRO, MALAWI, JOB) for version in ("1.29.2", "1.20.1")),
]
WHOLE: list[tuple[Layout, str, Place | None]] = [
    (started_by(SERVICES, "1.20.1"), "3.3.1", folder_of_the_host),
    (FILES, "3.3.0", named_volume),
]
REST: list[tuple[Layout, str, Place | None]] = [
    (layout, release, None) for layout in LAYOUTS_LONG for release in START_RELEASES
]
REST += [
    (layout, START_RELEASES[number % 2], None) for number, layout in enumerate([*OWN, started_by(AGENT, "1.29.2")])
]


@pytest.fixture(scope="module", params=[case(*one) for one in WHOLE] + [case(*one, pytest.mark.long) for one in REST])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two upgrades of one server: the first changes everything, the second nothing."""
    layout, release, place = request.param
    folder = tmp_path_factory.mktemp("layout") / "server"

    def prepare(server: Server) -> None:
        if place:
            place(server)
        layout.prepare(server)

    with running(release, folder, users=60, without=left_out(layout), prepare=prepare) as server:
        server.composer = ["docker", "compose", "--project-name", server.project]
        untouched = still(server, layout)

        def double() -> None:
            assert still(server, layout) == untouched
            for path in (*server.project_src.iterdir(), *(server.root / "prepared").glob("*")):
                if path.is_file() and layout.started_by:
                    path.write_bytes(path.read_bytes().replace(DOLLAR.encode(), DOUBLED.encode()))

        # As an operator begins who has said nothing yet but what is in README, and where a job puts its files.
        told = rounds(
            server,
            layout.images,
            given={"openlmis_target_files": str(server.root / "prepared")} if layout.prepared else {},
            edit=double,
        )
        before, mounts, files, own = (
            server.fingerprint(),
            database_mounts(server),
            contents(server.project_src),
            Own.of(server, layout),
        )
        upgraded = upgrade(server, "-e", "openlmis_backup_verify=rows")
        own_after, steps = Own.of(server, layout), upgrade_steps(server)
        after = still(server, layout) if upgraded.code == 0 else {}
        again = upgrade(server)
        yield Story(
            server=server,
            layout=layout,
            release=release,
            before=before,
            files_before=files,
            mounts=mounts,
            rounds=told,
            check=told.first,
            own=own,
            upgrade=upgraded,
            own_after=own_after,
            steps=steps,
            again=again,
            after=after,
            after_again=still(server, layout) if upgraded.code == 0 else {},
        )


def still(server: Server, layout: Layout) -> dict[str, Any]:
    """What must not change: everything, but for the rows that the site's own services write meanwhile."""
    found = server.fingerprint()
    found["tables"] = {
        table: content for table, content in found["tables"].items() if table.partition(".")[0] not in layout.users
    }
    return found


def upgrade_steps(server: Server) -> dict[str, Any]:
    """When each step of the upgrade began and ended for the first time, as far as it came: 3.4 is started twice."""
    path = server.state_dir / "journal.json"
    return {one["step"]: one for one in reversed(json.loads(path.read_text())["steps"])} if path.exists() else {}


def test_it_is_ready_after_at_most_one_round_of_messages(story: Story) -> None:
    assert story.rounds.last.code == 0, story.rounds.last.text
    assert rows(story.rounds.last.text, "ready"), story.rounds.last.text
    wanted = dict(story.layout.variables)
    found = {name: story.rounds.offered.get(name) for name in wanted}
    if "openlmis_compose_files" in wanted:
        wanted["openlmis_compose_files"] = [
            str(story.server.project_src / name) for name in wanted["openlmis_compose_files"]
        ]
    # The job's files name its images, and docker-compose before 1.25 has not noted by which files it started the
    # containers.
    for name, unsaid in (
        ("openlmis_images", story.layout.prepared),
        ("openlmis_compose_files", story.layout.started_by == "1.20.1"),
    ):
        for variables in (wanted, found) if unsaid else ():
            variables.pop(name, None)
    assert found == wanted
    assert (story.rounds.first.code != 0) == bool(wanted or story.layout.started_by)


def test_it_is_upgraded(story: Story) -> None:
    assert story.upgrade.code == 0, story.upgrade.text
    assert story.server.versions() == {name: TARGET[name] for name in present(story.layout)}
    users = story.server.users()
    assert len(users) >= 60
    assert story.server.contact_details() == expected_contact_details(users)
    for image in story.layout.images.values():
        assert story.server.container("reference-ui").attrs["Config"]["Image"] == image


def test_it_is_still_one_project_on_the_same_volume(story: Story) -> None:
    assert database_mounts(story.server) == story.mounts
    engine = story.server.engine
    found = {one.labels.get(PROJECT_LABEL) for one in engine.containers.list(all=True)} & set(PROJECTS)
    assert found == {story.server.project}
    assert {one.attrs["Labels"].get(PROJECT_LABEL) for one in engine.networks.list() if one.attrs["Labels"]} & set(
        PROJECTS
    ) == found


def test_no_component_has_died(story: Story) -> None:
    database = story.server.container("db").attrs["State"]["StartedAt"]
    for name in present(story.layout):
        state = story.server.container(name).attrs
        assert state["RestartCount"] == 0, name
        assert state["State"]["FinishedAt"].startswith("0001"), name
        assert state["State"]["StartedAt"] > database, name


def test_what_restarts_by_itself_does_so_again(story: Story) -> None:
    text = b"".join(story.files_before.values())
    wanted = "always" if b"restart: always" in text else "no"
    assert {
        story.server.container(name).attrs["HostConfig"]["RestartPolicy"]["Name"] or "no"
        for name in present(story.layout)
    } == {wanted}
    assert (story.server.container("redis").attrs["HostConfig"]["RestartPolicy"]["Name"] or "no") == (
        "always" if story.layout.prepared else wanted
    )


def test_the_files_change_where_versions_are(story: Story) -> None:
    after = contents(story.server.project_src)
    added = {"site.env"} if story.layout.prepared else set()
    assert set(after) == set(story.files_before) | added
    changed = {name: changed_lines(story.files_before[name], after[name])[0] for name in story.files_before}
    assert any(changed.values())
    assert [line for lines in changed.values() for line in lines if not is_version(line)] == []


def test_the_second_run_changes_nothing(story: Story) -> None:
    assert story.again.code == 0, story.again.text
    assert story.again.recap("changed") == 0
    assert "Nothing to do" in story.again.text
    for part, content in story.after.items():
        assert story.after_again[part] == content, part


def said(story: Story) -> str:
    """What the check has printed, lines joined."""
    return re.sub(r"\s+", " ", story.check.text)


def test_files_that_the_server_does_not_run_by_are_refused(story: Story) -> None:
    if "openlmis_compose_files" not in story.layout.variables:
        assert "refused compose files" not in said(story)
        return
    assert story.check.code != 0
    named = ", ".join(str(story.server.project_src / name) for name in story.layout.variables["openlmis_compose_files"])
    # Compose before 1.25 labels no container with its files.
    assert (f"openlmis_compose_files: [{named}]" in said(story)) == (story.layout.started_by != "1.20.1")


def test_a_project_that_compose_would_not_find_is_told(story: Story) -> None:
    stripped = story.layout.started_by == "1.20.1"
    assert (f"COMPOSE_PROJECT_NAME={story.server.project} into .env" in said(story)) == stripped


def test_what_compose_v2_would_change_is_told(story: Story) -> None:
    by = f"(made by Compose {story.layout.started_by})"
    kept = [story.server.names.get(name, name) for name in ("db", "ftp", "log")]
    if story.layout.started_by:
        assert story.check.code != 0
        assert [name for name in kept if f"{name} {by}" not in said(story)] == []
        assert "ftp holds /home/vsftpd/orders/ORDER-1.csv in the container itself" in said(story)
        assert re.search(r"refused settings .*MAIL_PASSWORD .*Write every \$ as \$\$", said(story))
    elif not story.layout.exported:
        assert "ok containers made anew" in said(story)
        assert "ok settings" in said(story)


def test_containers_of_docker_compose_are_recreated(story: Story) -> None:
    made_by = {
        one.labels["com.docker.compose.service"]: one.labels["com.docker.compose.version"]
        for one in story.server.containers()
    }
    assert [name for name, version in made_by.items() if version.startswith("1.")] == []
    database = story.server.container("db").name
    kept = story.after["containers"].get(database, [None])[0] in [one[0] for one in story.before["containers"].values()]
    assert kept == (not story.layout.started_by)


def test_a_password_with_a_dollar_is_the_same_as_before(story: Story) -> None:
    password = DOLLAR if story.layout.started_by else "mail pa#ss"
    for name in present(story.layout):
        assert f"MAIL_PASSWORD={password}" in story.server.container(name).attrs["Config"]["Env"], name


def began(story: Story, step: str) -> datetime.datetime:
    """When a step of the upgrade began; the journal's times without a zone are in UTC."""
    moment = datetime.datetime.fromisoformat(story.steps[step]["started"])
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def test_what_the_site_has_of_its_own_is_kept(story: Story) -> None:
    for name in story.layout.users:
        assert story.own.rows[name], name
        assert story.own.rows[name] <= story.own_after.rows[name], name
    recreated = story.layout.started_by != ""
    for name, (identity, since, status) in story.own_after.containers.items():
        before = story.own.containers[name]
        assert status == before[2], name
        assert (identity != before[0]) == recreated, name
        # What uses the database was stopped and started; what does not was left as it is.
        assert status == "exited" or (since != before[1]) == (recreated or name in story.layout.users), name


def test_nothing_is_written_between_the_backup_and_the_start(story: Story) -> None:
    begun, over = (began(story, step) for step in ("backup", "start"))
    for name in story.layout.users:
        assert [one for one in story.own_after.rows[name] if begun <= one[1] <= over] == [], name


def test_it_is_rolled_back_with_what_the_site_has_of_its_own(story: Story) -> None:
    """The last test of a server."""
    if story.layout.name in [one.name for one in LAYOUTS]:
        return
    begun = began(story, "backup")
    # What was written since users were let in is given up.
    back = command(
        story.server, "ansible-playbook", "playbooks/rollback-3.4.yml", "-e", "openlmis_confirm=false", *DISCARD
    )
    assert back.code == 0, back.text
    assert story.server.versions() == {name: running_version(story.release, name) for name in present(story.layout)}
    assert contents(story.server.project_src) == story.files_before
    own = Own.of(story.server, story.layout)
    for name in story.layout.users:
        saved = {one for one in story.own_after.rows[name] if one[1] < begun}
        assert story.own.rows[name] <= saved
        assert saved <= own.rows[name], name
    assert {name: one[2] for name, one in own.containers.items()} == {
        name: one[2] for name, one in story.own.containers.items()
    }


def test_what_a_message_offers_is_read_as_an_operator_would() -> None:
    table = """
ok       images        nothing, but openlmis_no: 1
refused  national UI   ui runs site/ui:1.0. Say what it is: openlmis_components: {ui: reference-ui}. Name it:
                       openlmis_images: {ui: '<image>:<tag>'}; or, when it does: openlmis_images: {ui: keep}.
refused  files         Name those that count: openlmis_compose_files: [/opt/a b.yml, c.yml].
refused  settings      openlmis_settings_file: /opt/x/settings.env.
refused  3 of 36 checks refuse: national UI, files, settings.
"""
    assert offered(table, {"ui": "site/ui:2.0"}) == {
        "openlmis_components": {"ui": "reference-ui"},
        "openlmis_images": {"ui": "site/ui:2.0"},
        "openlmis_compose_files": ["/opt/a b.yml", "c.yml"],
        "openlmis_settings_file": "/opt/x/settings.env",
    }


@pytest.mark.parametrize("version", ["1.20.1", pytest.param("1.29.2", marks=pytest.mark.long)])
def test_the_program_is_the_real_one(version: str) -> None:
    said = subprocess.run(
        [docker_compose(version), "version", "--short"], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == version
