# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose is killed while it recreates a container that has a name of its own: the next `up` must not stumble over what
that leaves.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import yaml
from stack import deployment, images
from stack.releases import CHECKOUT, LABEL

sys.path.insert(0, str(CHECKOUT / ".cache" / "collections"))
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import running, server

RELEASE = yaml.safe_load((CHECKOUT / "roles/openlmis/vars/releases/3.4.0.yml").read_text())
NAME = "openlmis-rehearsal-replaced"
FILE = """
services:
  one:
    image: openlmis/nginx:4
    container_name: %s
    entrypoint: [sh, -c, "trap '' TERM; while :; do sleep 0.1; done"]
    network_mode: none
    stop_grace_period: 60s
    volumes: [/data]
    labels: {%s: "true"}
    environment: {SETTING: "${SETTING:-1}"}
""" % (NAME, LABEL)


class Project:
    """A deployment with one service."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.command = ["docker", "compose", "--project-directory", str(folder), "--project-name", NAME]
        (folder / "docker-compose.yml").write_text(FILE)

    def compose(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start Compose."""
        command = [*self.command, *arguments]
        return subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def containers(self) -> dict[str, str]:
        """The containers' names and states."""
        found = images.client().api.containers(all=True, filters={"label": "com.docker.compose.project=" + NAME})
        return {one["Names"][0].lstrip("/"): one["State"] for one in found}

    def cut_off(self) -> str:
        """Kill Compose between the creation of a replacement and its renaming; the replacement's name."""
        process = self.compose("up", "--detach", SETTING="2")
        until = time.monotonic() + 60
        while len(self.containers()) < 2:
            assert time.monotonic() < until, self.containers()
            time.sleep(0.02)
        process.kill()
        process.wait()
        (name,) = set(self.containers()) - {NAME}
        assert name.endswith("_" + NAME)
        return name

    def up(self) -> None:
        """Start it as the step does."""
        params = {"project_src": str(self.folder), "compose_files": [], "project_name": NAME, "release": RELEASE}
        running.up(server.look(params), [], False, progress.Progress())


@pytest.fixture
def project(tmp_path: pathlib.Path) -> Iterator[Project]:
    """The service runs."""
    deployment.ensure_images()
    one = Project(tmp_path)
    try:
        assert one.compose("up", "--detach").wait() == 0
        yield one
    finally:
        one.compose("down", "--volumes", "--timeout", "0").wait()


def test_a_replacement_that_never_ran_goes_where_the_original_is_there(project: Project) -> None:
    project.cut_off()
    before = images.client().containers.get(NAME)
    project.up()
    assert project.containers() == {NAME: "running"}
    after = images.client().containers.get(NAME)
    assert (after.id, after.attrs["Mounts"]) == (before.id, before.attrs["Mounts"])


def test_a_replacement_whose_original_is_gone_gets_its_name_and_keeps_its_data(project: Project) -> None:
    replacement = images.client().containers.get(project.cut_off())
    images.client().containers.get(NAME).remove(force=True)
    volume = replacement.attrs["Mounts"][0]["Name"]
    for _again in range(2):
        project.up()
        assert project.containers() == {NAME: "running"}
        assert images.client().containers.get(NAME).attrs["Mounts"][0]["Name"] == volume


def test_what_compose_said_last_is_the_reason() -> None:
    with pytest.raises(OperationError, match="^no such service$"):
        running.run(["sh", "-c", "echo one line >&2; echo no such service >&2; exit 3"], progress.Progress())
