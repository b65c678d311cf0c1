# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.modules import keep_images

IMAGES = {"auth": {"id": "sha256:a", "name": "openlmis/auth:3.2.0"}, "nginx": {"id": "sha256:n", "name": "openlmis/nginx:4"}}


def test_every_service_s_image_gets_a_name():
    assert keep_images.missing_names(IMAGES, "before-1", []) == {"openlmis-operations/auth": "sha256:a", "openlmis-operations/nginx": "sha256:n"}


def test_a_name_that_is_there_stays():
    present = ["openlmis-operations/nginx:before-1", "openlmis-operations/auth:before-0"]
    assert keep_images.missing_names(IMAGES, "before-1", present) == {"openlmis-operations/auth": "sha256:a"}
