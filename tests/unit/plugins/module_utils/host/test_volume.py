# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.module_utils.host import volume

RENDERED = {
    "services": {
        "db": {"networks": {"default": None}, "volumes": [{"type": "bind", "target": "/etc/postgresql"}]},
        "other": {"container_name": "the-database", "networks": {"default": {"aliases": ["pg"]}}},
    }
}


def test_a_host_is_a_service_by_any_of_its_names():
    assert volume.service_called(RENDERED, "db") == "db"
    assert volume.service_called(RENDERED, "the-database") == "other"
    assert volume.service_called(RENDERED, "pg") == "other"
    assert volume.service_called(RENDERED, "rds.example.org") is None


def test_only_volumes_that_no_file_declares_have_to_be_named():
    mounts = {"/data": "f00", "/etc/postgresql": "declared", "/srv": "/srv/on/host"}
    assert volume.undeclared(RENDERED["services"]["db"], mounts) == {"/data": "f00"}


def test_the_file_mounts_each_volume_where_it_was():
    found = volume.override("db", {"/data": "f00", "/b": "ba4"})
    assert found["services"] == {"db": {"volumes": ["openlmis_database_0:/b", "openlmis_database_1:/data"]}}
    assert found["volumes"]["openlmis_database_1"] == {"external": True, "name": "f00"}
    assert found["volumes"]["openlmis_database_0"] == {"external": True, "name": "ba4"}
