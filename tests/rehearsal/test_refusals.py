# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run stops with the reason, and the next run finishes what this one began. What is refused before:
test_preflight.py.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from stack import images
from stack.ansible import database_mounts, upgrade
from stack.deployment import running
from stack.releases import COMPONENTS, RELEASES
from stack.world import Server, expected_contact_details

TARGET = RELEASES["3.4.0"]


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at 3.3.1 for what goes wrong."""
    with running("3.3.1", tmp_path_factory.mktemp("refused")) as server:
        yield server


@pytest.mark.long
def test_a_migration_that_fails_stops_the_run_at_once_and_a_rerun_finishes(old_server: Server) -> None:
    mounts = database_mounts(old_server)
    images.arm("requisition", TARGET["requisition"], "crash-in-migration")
    try:
        run = upgrade(old_server, "-e", "openlmis_wait_timeout=120")
    finally:
        images.arm("requisition", TARGET["requisition"], "")
    assert run.code != 0
    assert "division by zero" in run.text
    assert re.search(r"^Found +The service requisition has stopped", run.text, re.MULTILINE)
    assert old_server.versions()["requisition"] is None
    assert len(list(old_server.backup_dir.iterdir())) == 1
    report, page = old_server.report()
    assert (report["outcome"], report["failure"]["step"]) == ("failed", "wait")
    assert "division by zero" in html.unescape(page)
    boots = {one["component"]: one["seconds"] for one in report["boot"]}
    assert boots["requisition"] is None
    # The wait ends at its first look; whoever had not answered by then has no seconds.
    assert "auth" in boots
    assert {one["component"]: one["missing"] for one in report["migrations"]}["requisition"]

    again = upgrade(old_server)
    assert again.code == 0, again.text
    assert old_server.versions() == {name: TARGET[name] for name in COMPONENTS}
    assert old_server.contact_details() == expected_contact_details(old_server.users())
    assert database_mounts(old_server) == mounts
    assert len(list(old_server.backup_dir.iterdir())) == 1
