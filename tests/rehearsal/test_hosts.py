# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as sites have them: reached by SSH, with sudo or without root, lacking Python libraries, several in one
inventory.

The tests share one server and one host, in this order: the first ones leave the server as it is.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import pytest
from faults.scene import LEFT_OUT
from stack.ansible import Run
from stack.deployment import running
from stack.hosts import ORDINARY, SUDO_PASSWORD, Host, managed
from stack.outside import gate_is_up
from stack.releases import CHECKOUT, RELEASES
from stack.world import expected_contact_details

UPGRADE, ROLLBACK = "upgrade-3.4.yml", "rollback-3.4.yml"
VENV = "/opt/openlmis-python"
CHECK = ("--tags", "check")
UNASKED = ("-e", "openlmis_confirm=false")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A small server at 3.3.1, and a host in front of it whose Python has neither psycopg2 nor docker."""
    folder = tmp_path_factory.mktemp("hosts")
    with running("3.3.1", folder / "rehearsal", without=LEFT_OUT) as server, managed(server, folder / "host") as host:
        host.sh(f"chmod 755 {server.root} && install --directory --owner {ORDINARY} {server.root}/{ORDINARY}")
        yield host


def recap(run: Run) -> dict[str, tuple[int, int]]:
    """Of each host that was begun, how many tasks changed something and how many failed."""
    lines = run.text.rpartition("PLAY RECAP")[2].splitlines()
    found = (re.match(r"(\S+) +: .*changed=(\d+) .*failed=(\d+)", line) for line in lines)
    return {match[1]: (int(match[2]), int(match[3])) for match in found if match}


def own_folders(host: Host, name: str) -> dict[str, str]:
    """Where a second server of the inventory, or an ordinary user, keeps what the run leaves behind."""
    folder = host.server.root / name
    return {"openlmis_state_dir": f"{folder}/state", "openlmis_backup_dir": f"{folder}/backup"}


def ordinary(host: Host) -> dict[str, object]:
    """The inventory of a user who may use Docker and nothing else."""
    return host.variables(
        ORDINARY, openlmis_gate="none", openlmis_python_venv=f"/home/{ORDINARY}/python", **own_folders(host, ORDINARY)
    )


def offer_wheels(host: Host) -> None:
    """Give the host's pip a folder of wheels and no package index, as a site without access to one does."""
    host.sh("printf '[global]\\nno-index = true\\nfind-links = /wheels\\n' >/etc/pip.conf")


def test_a_host_without_the_libraries_is_told_both_remedies(host: Host) -> None:
    before = host.server.fingerprint()
    run = host.run(UPGRADE, {"lmis": host.variables()}, *CHECK)
    assert run.code != 0
    for word in ("python3-psycopg2 python3-docker", "openlmis_python_venv", "/usr/bin/python3"):
        assert word in run.text
    assert SUDO_PASSWORD not in run.text
    assert host.server.fingerprint() == before


@pytest.mark.long
def test_an_environment_that_cannot_be_made_is_refused_with_what_it_needs(host: Host) -> None:
    run = host.run(UPGRADE, {"lmis": host.variables(openlmis_python_venv="/proc/python")}, *CHECK)
    assert run.code != 0
    assert re.search(
        r"(?m)^Found +/proc/python could not be made a Python environment: .*No such file.*python3-venv.*pip\.conf",
        run.text,
    )


def test_two_servers_are_looked_at_over_ssh_with_sudo_and_an_environment_of_their_own(host: Host) -> None:
    before = host.server.fingerprint()
    servers = {
        "first": host.variables(openlmis_python_venv=VENV),
        "second": host.variables(openlmis_python_venv=VENV, **own_folders(host, "second")),
    }
    run = host.run(UPGRADE, servers, *CHECK)
    assert run.code == 0, run.text[-3000:]
    # Made once: the environment and its libraries.
    assert recap(run) == {"first": (2, 0), "second": (0, 0)}
    assert run.text.index("Now first; after that second") < run.text.index("Now second; after that none")
    assert len(re.findall(r"^ok .*production", run.text, re.MULTILINE)) == 2
    assert host.server.fingerprint() == before
    assert host.exists(f"{VENV}/lib/python3.11/site-packages/docker")
    host.sh("! /usr/bin/python3 -c 'import docker' 2>/dev/null && ! /usr/bin/python3 -c 'import psycopg2' 2>/dev/null")
    # From here on no package index is there to be asked.
    host.sh("printf '[global]\\nno-index = true\\n' >/etc/pip.conf")


@pytest.mark.long
def test_no_server_is_begun_after_one_has_failed(host: Host) -> None:
    before = host.server.fingerprint()
    servers = {
        name: host.variables(openlmis_python_venv=VENV, **own_folders(host, name))
        for name in ("first", "second", "third")
    }
    servers["first"]["openlmis_admin_password"] = "not this one"
    run = host.run(UPGRADE, servers, *UNASKED)
    assert run.code != 0
    assert re.search(r"^Found +Refused; the server is as it was\. .*log", run.text, re.MULTILINE)
    assert re.search(r"^Not begun second, third; the command to go on comes to them, too$", run.text, re.MULTILINE)
    assert recap(run) == {"first": (0, 1)}
    assert not host.exists(servers["second"]["openlmis_state_dir"])
    assert host.server.fingerprint() == before


@pytest.mark.long
def test_the_healthy_servers_of_a_batch_are_finished_and_the_next_batch_is_not_begun(host: Host) -> None:
    names = ("first", "gone", "second", "third", "fourth")
    servers = {name: host.variables(openlmis_python_venv=VENV, **own_folders(host, name)) for name in names}
    servers["first"]["openlmis_admin_password"] = "not this one"
    servers["gone"]["ansible_port"] = 1
    run = host.run(UPGRADE, servers, *CHECK, "-e", "openlmis_serial=3")
    assert run.code != 0
    assert "gone" in re.findall(r"(\w+) +: .*unreachable=1", run.text)
    assert recap(run) == {"first": (0, 1), "gone": (0, 0), "second": (1, 0), "third": (0, 1), "fourth": (0, 0)}
    assert (
        "first, gone failed, and no server is begun after one that has. Not begun: third, fourth; nothing was changed"
        " there." in " ".join(run.text.split())
    )
    assert len(re.findall(r"^ok .*production", run.text, re.MULTILINE)) == 2


@pytest.mark.long
def test_without_root_the_firewall_is_refused_and_the_way_out_is_named(host: Host) -> None:
    offer_wheels(host)
    run = host.run(UPGRADE, {"lmis": {**ordinary(host), "openlmis_gate": "firewall"}}, *CHECK)
    assert run.code != 0
    assert re.search(r"root.*openlmis_gate", run.text)


@pytest.mark.long
def test_a_user_of_docker_without_root_looks_at_the_server(host: Host) -> None:
    offer_wheels(host)
    run = host.run(UPGRADE, {"lmis": ordinary(host)}, *CHECK)
    assert run.code == 0, run.text[-3000:]
    assert host.sh(f"stat --format %U /home/{ORDINARY}/python").strip() == ORDINARY


@pytest.mark.long
def test_a_whole_upgrade_over_ssh_with_sudo_and_the_way_back(host: Host) -> None:
    there_and_back(host, host.variables(openlmis_python_venv=VENV, **own_folders(host, "sudo")))
    assert host.sh(f"stat --format '%U %a' {host.server.root}/sudo/state/journal.json") == "root 600\n"


@pytest.mark.long
def test_a_whole_upgrade_without_root_and_the_way_back(host: Host) -> None:
    offer_wheels(host)
    host.sh(f"chown --recursive {ORDINARY} {host.server.project_src}")
    there_and_back(host, ordinary(host))
    assert host.sh(f"stat --format '%U %a' {host.server.root}/{ORDINARY}/state/journal.json") == f"{ORDINARY} 600\n"


@pytest.mark.long
@pytest.mark.parametrize("core", ["2.16", "2.17", "2.18"])
def test_a_whole_upgrade_with_an_older_ansible_core_and_the_way_back(host: Host, core: str) -> None:
    programs = CHECKOUT / ".cache" / "core" / core / "bin"
    assert programs.is_dir(), f"no ansible-core {core} here: run tools/setup-python {core}"
    there_and_back(host, host.variables(openlmis_python_venv=VENV, **own_folders(host, "core-" + core)), programs)


def there_and_back(host: Host, server: dict[str, object], programs: pathlib.Path | None = None) -> None:
    """Upgrade, do nothing when run again, roll back: at the end the server is what it was."""
    options = {"programs": programs} if programs else {}
    before = host.server.versions()
    run = host.run(UPGRADE, {"lmis": server}, *UNASKED, **options)
    assert run.code == 0, run.text[-4000:]
    assert host.server.versions() == {name: RELEASES["3.4.0"][name] for name in host.server.components()}
    assert host.server.contact_details() == expected_contact_details(host.server.users())
    assert SUDO_PASSWORD not in run.text
    assert "\nReport " in run.text
    assert "No report" not in run.text
    again = host.run(UPGRADE, {"lmis": server}, *UNASKED, **options)
    assert again.code == 0, again.text[-4000:]
    assert recap(again) == {"lmis": (0, 0)}
    back = host.run(ROLLBACK, {"lmis": server}, *UNASKED, **options)
    assert back.code == 0, back.text[-4000:]
    assert host.server.versions() == before
    assert gate_is_up() == (False, False)
