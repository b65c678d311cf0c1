# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run stops with the reason, and the server is as it was, or the next run finishes what this one began."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from stack.ansible import command, database_mounts, upgrade
from stack.deployment import running
from stack.releases import COMPONENTS, RELEASES
from stack.world import Server, expected_contact_details

TARGET = RELEASES["3.4.0"]


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at 3.3.1 for what goes wrong."""
    with running("3.3.1", tmp_path_factory.mktemp("refused")) as server:
        yield server


def test_one_component_without_the_production_profile_is_refused(old_server: Server) -> None:
    compose = old_server.project_src / "docker-compose.yml"
    text = compose.read_text()
    assert text.count("  fulfillment:\n") == 1
    (old_server.project_src / "docker-compose.override.yml").write_text(
        "services:\n  fulfillment:\n    environment:\n      spring_profiles_active: ${spring_profiles_active}\n"
    )
    before = old_server.fingerprint()
    run = upgrade(old_server)
    assert run.code != 0
    assert "fulfillment renders with no profile" in run.text
    assert "DROPS its whole schema" in run.text
    assert old_server.fingerprint() == before
    (old_server.project_src / "docker-compose.override.yml").unlink()


def test_components_with_different_databases_are_refused(old_server: Server) -> None:
    override = old_server.project_src / "docker-compose.override.yml"
    override.write_text(
        "services:\n  report:\n    environment:\n      DATABASE_URL: jdbc:postgresql://db:5432/reports\n"
    )
    before = old_server.fingerprint()
    run = upgrade(old_server)
    assert run.code != 0
    assert re.search(r"in these groups: .*; report", run.text)
    assert old_server.fingerprint() == before
    override.unlink()


def test_without_a_login_nothing_begins(old_server: Server) -> None:
    inventory = old_server.inventory.read_text()
    old_server.inventory.write_text("".join(line for line in inventory.splitlines(True) if "openlmis_admin_" not in line and "base_url" not in line))
    run = upgrade(old_server)
    old_server.inventory.write_text(inventory)
    assert run.code != 0
    assert "openlmis_admin_username" in run.text
    assert "are not set" in run.text
    assert not old_server.state_dir.exists()


def test_without_a_terminal_and_without_a_word_nothing_begins(old_server: Server) -> None:
    before = old_server.fingerprint()
    run = command(old_server, "ansible-playbook", "playbooks/upgrade-3.4.yml")
    assert run.code != 0
    assert "yes is expected" in run.text
    assert old_server.fingerprint() == before


@pytest.mark.long
def test_requisition_without_its_flag_stops_the_run_at_once_and_a_rerun_finishes(old_server: Server) -> None:
    mounts = database_mounts(old_server)
    run = upgrade(old_server, "-e", '{"openlmis__disordered": []}', "-e", "openlmis_wait_timeout=120")
    assert run.code != 0
    assert 'column "tag" of relation "columns_maps" does not exist' in run.text
    assert re.search(r"^Found +The service requisition has stopped", run.text, re.MULTILINE)
    assert old_server.versions()["requisition"] is None
    assert len(list(old_server.backup_dir.iterdir())) == 1

    again = upgrade(old_server)
    assert again.code == 0, again.text
    assert old_server.versions() == {name: TARGET[name] for name in COMPONENTS}
    assert old_server.contact_details() == expected_contact_details(old_server.users())
    assert database_mounts(old_server) == mounts
    assert len(list(old_server.backup_dir.iterdir())) == 1
