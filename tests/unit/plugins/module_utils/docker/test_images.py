# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import images
from ansible_collections.openlmis.operations.plugins.module_utils.docker.images import Layers

MIB = 2**20
# As Docker says it, one layer here already.
SAID = [
    {"status": "Pulling from openlmis/auth", "id": "4.0.0"},
    {"status": "Already exists", "progressDetail": {}, "id": "a"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "b"},
    {"status": "Waiting", "progressDetail": {}, "id": "b"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "c"},
    {
        "status": "Downloading",
        "progressDetail": {"current": 5 * MIB, "total": 40 * MIB},
        "progress": "[=> ]",
        "id": "b",
    },
    {"status": "Downloading", "progressDetail": {"current": 40 * MIB, "total": 40 * MIB}, "id": "b"},
    {"status": "Download complete", "progressDetail": {}, "id": "b"},
    {"status": "Extracting", "progressDetail": {"current": 2 * MIB, "total": 40 * MIB}, "id": "b"},
    {"status": "Downloading", "progressDetail": {"current": 2 * MIB, "total": 4 * MIB}, "id": "c"},
    {"status": "Pull complete", "progressDetail": {}, "id": "b"},
    {"status": "Pull complete", "progressDetail": {}, "id": "c"},
    {"status": "Digest: sha256:0123"},
    {"status": "Status: Downloaded newer image for openlmis/auth:4.0.0"},
]


def test_layers_are_told_by_what_docker_says():
    layers = Layers()
    told = []
    for said in SAID:
        layers.hear(said)
        told.append(layers.how_far())
    assert told[0] == "0 of 0 layers, 0.0 MiB"
    assert told[4] == "1 of 3 layers, 0.0 MiB"
    assert told[5] == "1 of 3 layers, 5.0 MiB"
    assert told[8] == "2 of 3 layers, 40 MiB"
    assert told[9] == "2 of 3 layers, 42 MiB"
    assert told[-1] == "3 of 3 layers, 42 MiB"


def test_an_engine_that_goes_away_between_two_lines_is_told_in_words(monkeypatch):
    urllib3 = pytest.importorskip("urllib3")

    def cut_off(_client, _image):
        yield SAID[0]
        raise urllib3.exceptions.ProtocolError("Connection broken")

    monkeypatch.setattr(images, "said_lines", cut_off)
    with pytest.raises(
        OperationError, match="Image openlmis/auth:4.0.0 cannot be fetched: Docker said: Connection broken"
    ):
        images.fetch(None, "openlmis/auth:4.0.0", Layers())


IMAGES = {
    "auth": {"id": "sha256:a", "name": "openlmis/auth:3.2.0"},
    "nginx": {"id": "sha256:n", "name": "openlmis/nginx:4"},
}


def test_every_service_s_image_gets_a_name():
    assert images.missing_names(IMAGES, "before-1", []) == {
        "openlmis-operations/auth": "sha256:a",
        "openlmis-operations/nginx": "sha256:n",
    }


def test_a_name_that_is_there_stays():
    present = ["openlmis-operations/nginx:before-1", "openlmis-operations/auth:before-0"]
    assert images.missing_names(IMAGES, "before-1", present) == {"openlmis-operations/auth": "sha256:a"}
