# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

RELEASE = {
    "components": {"auth": {"image": "openlmis/auth", "version": "4.0.0", "schema": "auth"}},
    "removable": [],
    "one_shot": [],
}
NOW = {
    "auth": {"image": "docker.io/openlmis/auth:3.2.0"},
    "db": {"image": "site/postgres:9.6"},
    "own": {"image": "site/own:1"},
    "job": {"image": "site/job"},
    "built": {"image": "site/built:1", "build": {"context": "x"}},
}


def to_pull(*present, running=("auth", "db", "own"), **changed):
    """What has to be fetched on a host with these images when the files are changed so; the containers of these
    services are there.
    """
    images = [{"Id": name, "RepoTags": [name]} for name in present]
    client = SimpleNamespace(api=SimpleNamespace(images=lambda: images))
    containers = [SimpleNamespace(labels={"com.docker.compose.service": name}, status="running") for name in running]

    def services(rendered):
        return deployment.services_of({"services": rendered}, {"services": rendered}, RELEASE)

    now, future = services(NOW), services({**NOW, **{name: {"image": image} for name, image in changed.items()}})
    told = {
        one.name: {
            "component": one.component,
            "image": one.image,
            "target_image": deployment.target_image(one, RELEASE, {}),
        }
        for one in now
    }
    return server.images_to_pull(client, compose.Project("lmis", containers), future, told, {"redis": "redis:3.2.12"})


def test_what_the_release_brings_and_what_has_never_run_is_fetched():
    assert to_pull() == ["docker.io/openlmis/auth:4.0.0", "redis:3.2.12", "site/job"]
    assert to_pull("openlmis/auth:4.0.0", "redis:3.2.12", "site/job:latest") == []


def test_an_image_that_prepared_files_change_is_fetched():
    there = ("openlmis/auth:4.0.0", "redis:3.2.12", "site/job:latest")
    assert to_pull(*there, own="site/own:2") == ["site/own:2"]
    assert to_pull(*there, "site/own:2", own="site/own:2") == []


@pytest.mark.parametrize("name", ["db", "own"])
def test_what_a_container_runs_is_never_fetched_anew(name):
    """The tag of a container's image may be missing on the host: fetched, it could be another image."""
    assert NOW[name]["image"] not in to_pull()
