# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pull_images with the real Docker Engine and a registry on this machine."""

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
from stack.ansible import ANSIBLE
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


def pull(*names: str, check: bool = False, **environment: str) -> tuple[dict[str, Any], str]:
    """Run the module by hand; its result and what was on standard error."""
    done = subprocess.run(
        [str(ANSIBLE / "ansible"), "localhost", "-m", "openlmis.operations.pull_images", "-a", json.dumps({"images": names})]
        + (["--check"] if check else []),
        cwd=CHECKOUT,
        env={
            **os.environ,
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout.partition(" => ")[2]), done.stderr


def here(name: str) -> bool:
    """Whether the image is on the engine's host."""
    with contextlib.suppress(ImageNotFound):
        return bool(images.client().images.get(name))
    return False


def test_what_is_missing_is_fetched_and_what_is_here_stays(registry: Registry) -> None:
    first, second = registry.add("openlmis/auth", "4.0.0", 1000), registry.add("openlmis/auth", "4.0.1", 1000)
    result, _errors = pull(first, check=True)
    assert (result["changed"], result["fetched"], here(first)) == (True, [first], False)
    result, _errors = pull(first)
    assert (result["changed"], result["fetched"], here(first)) == (True, [first], True)
    fetched = images.client().images.get(first).id
    # The name means something else there now.
    registry.add("openlmis/auth", "4.0.0", 1000)
    result, _errors = pull(first, second)
    assert (result["changed"], result["fetched"], here(second)) == (True, [second], True)
    assert images.client().images.get(first).id == fetched
    result, _errors = pull(first, second)
    assert (result["changed"], result["fetched"]) == (False, [])


def test_a_slow_line_is_seen_to_be_at_work(registry: Registry) -> None:
    name = registry.add("openlmis/requisition", "7.0.0", 12 * MIB)
    registry.bytes_per_second = MIB
    result, errors = pull(registry.add("openlmis/auth", "4.0.0", 1000), name)
    assert result["fetched"][-1] == name
    lines = [line for line in errors.splitlines() if " so far" in line]
    seen = re.compile(r"  pull: 2 of 2, %s, 0 of 1 layers, [1-9]\d*(\.\d)? MiB, 0:\d\d so far" % re.escape(name))
    assert any(map(seen.fullmatch, lines)), lines


def test_an_image_that_is_not_to_be_had_is_named(registry: Registry) -> None:
    name = registry.host + "/openlmis/auth:9.9.9"
    result, _errors = pull(name)
    assert "Image %s cannot be fetched: Docker said: " % name in result["msg"]
    assert "manifest unknown" in result["msg"]


def test_the_login_of_docker_is_used(registry: Registry, tmp_path: pathlib.Path) -> None:
    name = registry.add("openlmis/auth", "4.0.0", 1000)
    registry.login = "site:p@ss"
    result, _errors = pull(name, DOCKER_CONFIG=str(tmp_path))
    assert "cannot be fetched" in result["msg"]
    assert not here(name)
    secret = base64.b64encode(registry.login.encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
    result, _errors = pull(name, DOCKER_CONFIG=str(tmp_path))
    assert (result["fetched"], here(name)) == ([name], True)
    assert "p@ss" not in json.dumps(result)
