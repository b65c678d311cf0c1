# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However Docker is reached: over TLS on another host, by a user without root; and what is said where it cannot be
used.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from stack import deployment, external, images, outside
from stack.ansible import Run, command, upgrade
from stack.certificates import Authority
from stack.engine import Engine, remote_engine, spoken_to
from stack.external import inventory
from stack.releases import RELEASES
from stack.saved import tables
from stack.world import Contact, Server, expected_contact_details

LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "report", "diagnostics")
ROLLBACK = ("ansible-playbook", "playbooks/rollback-3.4.yml", "-e", "openlmis_confirm=false")
PLUGINS = (
    "/usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins"
    " /usr/local/lib/docker/cli-plugins"
)


def check(server: Server, *arguments: str) -> Run:
    """The pre-flight of the playbook, which changes nothing."""
    return upgrade(server, "--tags", "check", *arguments)


def one_line(run: Run) -> str:
    """What a run printed, whatever lines and columns it was broken into."""
    return " ".join(run.text.split())


# -- where Docker cannot be used -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A deployment's files; nothing runs."""
    server = Server(tmp_path_factory.mktemp("files") / "server")
    deployment.write_files(server, "3.3.1")
    yield server
    shutil.rmtree(server.root)


@pytest.mark.long
def test_without_compose_v2_the_remedy_and_its_side_effect_are_said(files: Server, tmp_path: pathlib.Path) -> None:
    hidden = f'for one in {PLUGINS} ~/.docker; do [ ! -d $one ] || mount -t tmpfs none $one; done; exec "$@"'
    (tmp_path / "docker-compose").write_text('#!/bin/sh\n[ "$*" = "version --short" ] && echo 1.29.2\n')
    (tmp_path / "docker-compose").chmod(0o755)
    files.prefix = ["unshare", "--mount", "sh", "-c", hidden, "sh"]
    files.environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for run in (check(files), upgrade(files)):
        assert run.code != 0
        said = one_line(run)
        assert (
            "docker-compose 1.29.2 is here and no `docker compose`; Compose 2.18 or newer as docker's plugin is"
            " expected" in said
        )
        assert "makes every container anew, the database's too, and that it expands a $ in an env file" in said
    assert not files.state_dir.exists()


def test_without_docker_or_the_right_to_use_it_that_is_said(files: Server, tmp_path: pathlib.Path) -> None:
    files.prefix, files.environment = [], {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nowhere.sock"}
    run = check(files)
    assert run.code != 0
    assert "nowhere.sock does not answer" in one_line(run)
    assert "Expected one that this user may use: start it, or run as root or a member of the group docker" in one_line(
        run
    )


# -- an engine on another host ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Story:
    """A server on an engine that is only reached over TLS, with its database outside Compose, from before to after the
    upgrade.
    """

    server: Server
    expected: dict[str, Contact]
    before: dict[str, str]
    refused: dict[str, Run]
    here_before: dict[str, Any]
    upgrade: Run
    here_after: dict[str, Any]
    again: Run


def seen(engine: Any) -> dict[str, Any]:
    """What an engine has."""
    return {
        "containers": sorted((one.name, one.status) for one in engine.containers.list(all=True)),
        "images": sorted(tag for one in engine.images.list() for tag in one.tags),
        "volumes": sorted(one.name for one in engine.volumes.list()),
        "networks": sorted(one.name for one in engine.networks.list()),
    }


def too_old_a_compose(folder: pathlib.Path) -> dict[str, str]:
    """An environment in which Compose says that it is 2.17; it is the real one otherwise."""
    real = next(f"{place}/docker-compose" for place in PLUGINS.split() if os.path.exists(f"{place}/docker-compose"))
    plugin = folder / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(f'#!/bin/sh\ncase "$*" in *"version --short"*) echo 2.17.3;; *) exec {real} "$@";; esac\n')
    plugin.chmod(0o755)
    return {"DOCKER_CONFIG": str(folder)}


def speak(server: Server, engine: Engine, scheme: str, **more: str) -> None:
    """Tell Ansible, and nobody else, how the engine is reached; the host's own environment misleads Python about
    certificates.
    """
    inventory(server, openlmis_compose_environment={**engine.environment(scheme), **more}, openlmis_gate="none")
    (engine.folder / "somebody-else.pem").write_bytes(Authority("Somebody else").certificate)
    known = {
        key: value for key, value in (server.environment or dict(os.environ)).items() if not key.startswith("DOCKER_")
    }
    server.environment = {**known, "REQUESTS_CA_BUNDLE": str(engine.folder / "somebody-else.pem")}


def with_database_there(root: pathlib.Path, engine: Engine) -> Run:
    """The pre-flight where the remote engine runs the database, too."""
    server = Server(root)
    deployment.write_files(server, "3.3.1")
    server.compose("up", "--detach", "--no-deps", "db")
    speak(server, engine, "tcp://")
    return check(server)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """What is refused, the upgrade without C(tcp://), and again with it."""
    folder = tmp_path_factory.mktemp("engines")
    images.ensure(lambda text: None)
    here = images.client()
    with (
        remote_engine(folder / "engine") as engine,
        external.database(folder / "outside", address=engine.here, port=5432) as database,
        spoken_to(engine.environment()),
    ):
        refused = {"database": with_database_there(folder / "inside", engine)}
        options = {"users": 60, "without": ("db", *LEFT_OUT), "prepare": database.prepare}
        with deployment.running("3.3.1", folder / "server", **options) as server:
            expected, before = expected_contact_details(server.users()), tables(server)
            speak(server, engine, "", **too_old_a_compose(folder / "config"))
            refused["compose"] = check(server)
            speak(server, engine, "")
            refused["firewall"] = check(server, "-e", "openlmis_gate=firewall")
            here_before = seen(here)
            upgraded = upgrade(server)
            here_after = seen(here)
            speak(server, engine, "tcp://")
            again = upgrade(server)
            yield Story(server, expected, before, refused, here_before, upgraded, here_after, again)


@pytest.mark.long
def test_no_route_leads_from_here_to_its_containers(story: Story) -> None:
    (network,) = story.server.container("consul").attrs["NetworkSettings"]["Networks"].values()
    routes = [one["dst"] for one in json.loads(outside.run("ip", "-json", "-4", "route")) if one["dst"] != "default"]
    assert routes
    assert [one for one in routes if ipaddress.ip_address(network["IPAddress"]) in ipaddress.ip_network(one)] == []


@pytest.mark.long
def test_a_database_in_compose_on_a_remote_engine_is_refused(story: Story) -> None:
    run = story.refused["database"]
    assert run.code != 0
    assert "The Docker Engine is on " + story.server.base_url.split("/")[2].split(":")[0] in one_line(run)
    assert "Expected an engine on this host: run this on the Docker host." in one_line(run)


@pytest.mark.long
def test_the_firewall_here_keeps_nobody_from_a_remote_engine(story: Story) -> None:
    run = story.refused["firewall"]
    assert run.code != 0
    assert (
        "Expected the firewall of the host that runs the containers: run this there, or set openlmis_gate"
        in one_line(run)
    )


@pytest.mark.long
def test_a_compose_that_is_too_old_is_refused_with_what_its_update_does(story: Story) -> None:
    run = story.refused["compose"]
    assert run.code != 0
    assert (
        "Compose 2.17.3. Expected: Engine 20.10 and Compose 2.18 or newer. Update them on a day before the upgrade"
        in one_line(run)
    )
    assert "makes every container anew" in one_line(run)


@pytest.mark.long
def test_it_is_upgraded_with_its_database_outside(story: Story) -> None:
    assert story.upgrade.code == 0, story.upgrade.text
    assert len(story.expected) >= 60
    assert story.server.versions() == {name: RELEASES["3.4.0"][name] for name in story.server.components()}
    run = json.loads((story.server.state_dir / "journal.json").read_text())["run"]["database"]
    assert (run["host"], run["port"]) == (external.NAME, 5432)
    assert run["system_identifier"]
    assert "mounts" not in run
    assert external.PASSWORD not in story.upgrade.text + (story.server.state_dir / "journal.json").read_text()


@pytest.mark.long
def test_each_user_s_details_equal_the_expectation(story: Story) -> None:
    assert story.server.contact_details() == expected_contact_details(story.server.users())


@pytest.mark.long
def test_with_tcp_in_its_address_there_is_nothing_left_to_do(story: Story) -> None:
    assert story.again.code == 0, story.again.text
    assert story.again.recap("changed") == 0
    assert "Nothing to do" in story.again.text


@pytest.mark.long
def test_the_engine_of_this_host_was_left_alone(story: Story) -> None:
    assert story.here_after == story.here_before


@pytest.mark.long
def test_it_comes_back_to_what_it_was(story: Story) -> None:
    run = command(story.server, *ROLLBACK)
    assert run.code == 0, run.text
    assert tables(story.server) == story.before
    assert story.server.versions()["auth"] == RELEASES["3.3.1"]["auth"]


# -- a user without root ---------------------------------------------------------------------------------------------

USER = 34567


@pytest.mark.long
def test_a_member_of_the_group_docker_needs_no_root() -> None:
    """The folders are the user's own, and nothing has to be kept out by a firewall, for which root would be needed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="openlmis-user-"))
    try:
        folder.chmod(0o755)
        with deployment.running("3.3.1", folder / "server", users=60, without=LEFT_OUT) as server:
            engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").partition("//")[2]
            own(folder)
            home = {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp")}
            (folder / "tmp").mkdir(mode=0o777)
            (folder / "tmp").chmod(0o777)
            server.environment = {**os.environ, **home}
            server.prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
            outsider = check(server)
            assert (
                "Expected one that this user may use: start it, or run as root or a member of the group docker"
                in one_line(outsider)
            )
            server.prefix[-1] = f"--groups={os.stat(engine).st_gid}"
            refused = check(server)
            assert refused.code != 0
            assert "openlmis_gate" in one_line(refused)
            inventory(server, openlmis_gate="none")
            own(folder)
            before = tables(server)
            done = upgrade(server)
            assert done.code == 0, done.text
            assert server.contact_details() == expected_contact_details(server.users())
            back = command(server, *ROLLBACK)
            assert back.code == 0, back.text
            assert tables(server) == before
            assert {os.stat(path).st_uid for path in [server.project_src / ".env", *server.backup_dir.iterdir()]} == {
                USER
            }
    finally:
        shutil.rmtree(folder)


def own(folder: pathlib.Path) -> None:
    """Give a folder and all in it to the user."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
