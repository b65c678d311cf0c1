# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's own job has prepared the files for 3.4; on the way back they go as they came."""

from __future__ import annotations

import pathlib

import pytest
from stack.ansible import command, database_mounts, upgrade
from stack.deployment import running
from stack.layouts import JOB, forget_national_images
from stack.releases import RELEASES

LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "report", "diagnostics")


@pytest.mark.long
def test_prepared_files_are_put_in_place_and_taken_back(tmp_path: pathlib.Path) -> None:
    with running("3.3.1", tmp_path / "server", users=60, without=LEFT_OUT, prepare=JOB.prepare) as server:
        # The job lays out everything that it knows of, also what Compose does not read and the upgrade does not change.
        for folder in (server.project_src, server.root / "prepared"):
            (folder / "site").mkdir()
            (folder / "site" / "contacts.txt").write_text("whom to call")
        names = ("docker-compose.yml", "site.yml", ".env", "settings.env", "site/contacts.txt")
        before = {name: (server.project_src / name).read_bytes() for name in names}
        mounts, versions = database_mounts(server), server.versions()
        upgraded = upgrade(server, "--diff")
        assert upgraded.code == 0, upgraded.text
        for path in filter(pathlib.Path.is_file, (server.root / "prepared").iterdir()):
            assert (server.project_src / path.name).read_bytes() == path.read_bytes()
        assert server.versions()["auth"] == RELEASES["3.4.0"]["auth"]
        assert "site.yml: replaced as prepared" in (server.state_dir / "report.txt").read_text()
        assert "site.env: added as prepared" in upgraded.text

        back = command(
            server,
            "ansible-playbook",
            "playbooks/rollback-3.4.yml",
            "-e",
            "openlmis_confirm=false",
            "-e",
            "openlmis_rollback_discard_changes=true",
        )
        assert back.code == 0, back.text
        assert {name: (server.project_src / name).read_bytes() for name in names} == before
        assert not (server.project_src / "site.env").exists()
        assert server.versions() == versions
        assert database_mounts(server) == mounts
    forget_national_images()
