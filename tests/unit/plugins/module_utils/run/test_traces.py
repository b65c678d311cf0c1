# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.run import traces


def test_the_manifests_of_backups_come_oldest_first_and_what_is_none_is_left_out(tmp_path):
    for name, text in (("2", '{"run": "b"}'), ("1", '{"run": "a"}'), ("3", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "0").mkdir()
    assert traces.manifests(str(tmp_path)) == [(f"{tmp_path}/1", {"run": "a"}), (f"{tmp_path}/2", {"run": "b"})]
    assert traces.manifests(str(tmp_path / "none")) == traces.manifests("") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("openlmis-operations/auth:before-20260102T190000Z", ("auth", "20260102T190000Z")),
        ("openlmis-operations/auth:before-check", None),
        ("openlmis/auth:3.2.0", None),
    ],
)
def test_a_kept_image_names_its_service_and_its_run(name, found):
    match = traces.KEPT.match(name)
    assert (match and (match["service"], match["run"])) == found


def test_a_host_without_a_firewall_keeps_nobody_out():
    assert traces.is_closed(lambda name: None) is False


def test_deployed_files_are_compared_with_those_of_the_backup(tmp_path):
    (tmp_path / ".env").write_text("A=1\n")
    manifest = {"checksums": {"files/.env": disk.checksum(str(tmp_path / ".env")), "globals.sql": "0"}}
    assert not traces.has_changed("/b/1", manifest, str(tmp_path))
    (tmp_path / ".env").write_text("A=2\n")
    assert traces.has_changed("/b/1", manifest, str(tmp_path))
    (tmp_path / ".env").unlink()
    assert traces.has_changed("/b/1", manifest, str(tmp_path))
    assert not traces.has_changed("/b/1", json.loads("{}"), str(tmp_path))
