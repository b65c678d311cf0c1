# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.backup import put_back as putting
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError


@pytest.fixture
def place(tmp_path):
    for part in ("backup/files/config/db", "src/config/db"):
        (tmp_path / part).mkdir(parents=True)
    for name, text in {".env": "A=1\n", "config/db/one.sql": "select 1"}.items():
        (tmp_path / "backup/files" / name).write_text(text)
        (tmp_path / "src" / name).write_text(text)
        for folder in ("backup/files", "src"):
            os.chmod(tmp_path / folder / name, 0o640)
    os.symlink("config", tmp_path / "backup/files/link")
    os.symlink("config", tmp_path / "src/link")
    return tmp_path


def put_back(place):
    return putting.put_back(str(place / "backup"), str(place / "src"), str(place / "aside"))


def test_files_as_they_were_are_not_touched(place):
    before = os.stat(place / "src/.env")
    assert put_back(place) == []
    assert os.stat(place / "src/.env") == before
    assert not (place / "aside").exists()


def test_content_mode_and_links_come_back_and_the_rest_stays(place):
    (place / "src/.env").write_text("A=2\n")
    os.chmod(place / "src/config/db/one.sql", 0o600)
    (place / "src/link").unlink()
    os.symlink("elsewhere", place / "src/link")
    (place / "src/ours.txt").write_text("keep me")
    assert put_back(place) == [".env", "config/db/one.sql", "link"]
    assert (place / "src/.env").read_text() == "A=1\n"
    assert os.stat(place / "src/config/db/one.sql").st_mode & 0o777 == 0o640
    assert os.readlink(place / "src/link") == "config"
    assert (place / "src/ours.txt").read_text() == "keep me"
    assert (place / "aside/files/.env").read_text() == "A=2\n"
    assert sorted(os.listdir(place / "src")) == [".env", "config", "link", "ours.txt"]


def test_a_second_try_keeps_what_the_first_one_replaced(place):
    (place / "src/.env").write_text("A=2\n")
    put_back(place)
    (place / "src/.env").write_text("A=3\n")
    put_back(place)
    assert (place / "aside/files/.env").read_text() == "A=2\n"


def test_a_file_that_is_gone_comes_back_with_its_folder(place):
    (place / "src/config/db/one.sql").unlink()
    (place / "src/config/db").rmdir()
    assert put_back(place) == ["config/db/one.sql"]
    assert (place / "src/config/db/one.sql").read_text() == "select 1"


def test_only_what_the_upgrade_added_goes_and_is_kept_aside(place):
    # ours.yml was there before the upgrade, unchanged by it: the backup has no copy of it, and the upgrade has not
    # added it.
    for name in ("docker-compose.override.yml", "ours.yml"):
        (place / "src" / name).write_text("new")
    (place / "backup/manifest.json").write_text(json.dumps({"added": ["docker-compose.override.yml", "gone.yml"]}))
    assert put_back(place) == ["docker-compose.override.yml"]
    assert sorted(os.listdir(place / "src")) == [".env", "config", "link", "ours.yml"]
    assert (place / "aside/files/docker-compose.override.yml").read_text() == "new"
    assert put_back(place) == []


def test_what_is_kept_aside_is_nobody_else_s_to_read(place):
    os.chmod(place / "src/config/db/one.sql", 0o644)
    put_back(place)
    assert (place / "aside/files/config/db/one.sql").exists()
    assert os.stat(place / "aside/files").st_mode & 0o777 == 0o700


def test_a_folder_where_a_file_was_is_said_and_stays(place):
    (place / "src/.env").unlink()
    (place / "src/.env").mkdir()
    with pytest.raises(OperationError, match=r"cannot be put back \(.*the backup is whole"):
        put_back(place)
    assert os.listdir(place / "src/.env") == []
