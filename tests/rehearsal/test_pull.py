# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are fetched, with the real Docker Engine and a registry on this machine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import ImageNotFound
from stack import images
from stack.registry import Registry, serving
from stack.releases import CHECKOUT

MIB = 1 << 20


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry; what was fetched from it is gone afterwards."""
    with serving() as one:
        yield one
        engine = images.client()
        for image in engine.images.list():
            for tag in image.tags:
                if tag.startswith(one.host + "/"):
                    engine.images.remove(tag, force=True)


PULL = """
import json, sys
from ansible_collections.openlmis.operations.plugins.module_utils.core import errors, progress
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, images
with progress.Progress(sys.argv[1]) as progressing:
    try:
        print(json.dumps({"fetched": images.pull(compose.docker_client(), sys.argv[2:], progressing)}))
    except errors.OperationError as error:
        print(json.dumps({"msg": str(error)}))
"""


def pull(*names: str, progress: str = "", **environment: str) -> dict[str, Any]:
    """Fetch images in a process of its own, as the step does; what it came to."""
    done = subprocess.run(
        [sys.executable, "-c", PULL, progress, *names],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / ".cache" / "collections"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def here(name: str) -> bool:
    """Whether the image is on the engine's host."""
    with contextlib.suppress(ImageNotFound):
        return bool(images.client().images.get(name))
    return False


def test_what_is_missing_is_fetched_and_what_is_here_stays(registry: Registry) -> None:
    first, second = registry.add("openlmis/auth", "4.0.0", 1000), registry.add("openlmis/auth", "4.0.1", 1000)
    assert (pull(first)["fetched"], here(first)) == ([first], True)
    fetched = images.client().images.get(first).id
    # The name means something else there now.
    registry.add("openlmis/auth", "4.0.0", 1000)
    assert (pull(first, second)["fetched"], here(second)) == ([second], True)
    assert images.client().images.get(first).id == fetched
    assert pull(first, second)["fetched"] == []


def test_a_slow_line_is_seen_to_be_at_work(registry: Registry, tmp_path: pathlib.Path) -> None:
    name = registry.add("openlmis/requisition", "7.0.0", 12 * MIB)
    registry.bytes_per_second = MIB
    assert (
        pull(registry.add("openlmis/auth", "4.0.0", 1000), name, progress=str(tmp_path / "progress"))["fetched"][-1]
        == name
    )
    # The last text stays.
    seen = re.compile(r"2 of 2, %s, [01] of 1 layers, [1-9]\d*(\.\d)? MiB" % re.escape(name))
    assert seen.fullmatch((tmp_path / "progress").read_text())


def test_an_image_that_is_not_to_be_had_is_named(registry: Registry) -> None:
    name = registry.host + "/openlmis/auth:9.9.9"
    said = pull(name)["msg"]
    assert "Image %s cannot be fetched: Docker said: " % name in said
    assert "manifest unknown" in said


def test_the_login_of_docker_is_used(registry: Registry, tmp_path: pathlib.Path) -> None:
    name = registry.add("openlmis/auth", "4.0.0", 1000)
    registry.login = "site:p@ss"
    result = pull(name, DOCKER_CONFIG=str(tmp_path))
    assert "cannot be fetched" in result["msg"]
    assert not here(name)
    secret = base64.b64encode(registry.login.encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
    result = pull(name, DOCKER_CONFIG=str(tmp_path))
    assert (result["fetched"], here(name)) == ([name], True)
    assert "p@ss" not in json.dumps(result)
