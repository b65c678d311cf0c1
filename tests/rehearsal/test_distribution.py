# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal's deployment is the reference distribution's: real Compose renders both, and every difference is named.
No container.
"""

from __future__ import annotations

import pathlib

import pytest
from stack import distribution
from stack.deployment import write_files
from stack.releases import START_RELEASES
from stack.world import Server


@pytest.fixture
def original(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """The reference distribution's own files."""
    distribution.write(tmp_path / "original", request.param)
    return tmp_path / "original"


@pytest.mark.parametrize(("original", "release"), [(one, one) for one in START_RELEASES], indirect=["original"])
def test_every_service_is_given_what_the_reference_distribution_gives_it(
    original: pathlib.Path, release: str, tmp_path: pathlib.Path
) -> None:
    server = Server(tmp_path / "ours")
    write_files(server, release)
    found = distribution.differences(server.project_src, original)
    assert distribution.unexplained(found, distribution.INTENDED, server.base_url) == ([], [])


@pytest.mark.parametrize("original", ["3.3.1"], indirect=True)
def test_diagnostics_renders_a_blank_profile_as_on_every_stock_server(original: pathlib.Path) -> None:
    environments = {
        name: one.get("environment", {}) for name, one in distribution.rendered(original)["services"].items()
    }
    assert [name for name, one in environments.items() if one.get("spring_profiles_active") == ""] == ["diagnostics"]


def test_a_difference_that_nobody_has_named_is_found(tmp_path: pathlib.Path) -> None:
    for name in ("one", "two"):
        distribution.write(tmp_path / name, "3.4.0")
    path = tmp_path / "one" / "docker-compose.yml"
    path.write_text(path.read_text().replace("image: redis:3.2.12", "image: redis:5", 1))
    found = distribution.differences(tmp_path / "one", tmp_path / "two")
    assert found == {("redis", "image"): ("redis:3.2.12", "redis:5")}
    left, unused = distribution.unexplained(found, distribution.INTENDED, "http://x")
    assert left == ["redis: image is redis:5, and redis:3.2.12 in the original"]
    assert unused == list(distribution.INTENDED)
