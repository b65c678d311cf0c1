# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users are kept out while containers and the host are not: a client outside asks all through an upgrade with a reboot
in it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from stack import outside
from stack.ansible import ANSIBLE, Run, command, upgrade
from stack.daemon import Daemon
from stack.deployment import running, wait_until
from stack.outside import Attempt, Knocker, Watchman, client_network, gate_is_up, open_gate, rules
from stack.releases import CHECKOUT, HTTP_PORT, RELEASES
from stack.world import Server

RELEASE = CHECKOUT / "roles/openlmis/vars/releases/3.4.0.yml"
OLD, NEW = RELEASES["3.3.1"]["notification"], RELEASES["3.4.0"]["notification"]
# A site whose services start by themselves; ftp is not one that the upgrade stops.
ALWAYS = ("auth", "nginx", "notification", "ftp")
# Two minutes and more: make test has the gate in every upgrade, make test-all has the client outside.
pytestmark = pytest.mark.long

# Fewer components start sooner.
LEFT_OUT = ("fulfillment", "stockmanagement", "cce", "diagnostics")
OVERRIDE = "services:\n" + "".join("  %s:\n    restart: always\n" % name for name in ALWAYS)
GATE = """
- hosts: openlmis
  gather_facts: false
  tasks:
    - name: Only the firewall
      openlmis.operations.gate:
        state: "{{ wanted }}"
        project_src: "{{ openlmis_project_src }}"
        release: "{{ lookup('ansible.builtin.file', release) | from_yaml }}"
        base_url: "{{ openlmis_base_url }}"
        allow: "{{ openlmis_gate_allow | default([]) }}"
        ports: "{{ openlmis_gate_ports | default([]) }}"
        prove: "{{ wanted == 'present' }}"
      register: found
    - name: Say it
      openlmis.operations.show:
        lines: "{{ found.lines }}"
"""
# The step, which also knows other ways than the firewall.
STEP = """
- hosts: openlmis
  gather_facts: false
  vars: {openlmis_release: 3.4.0}
  tasks:
    - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: pull}
    - ansible.builtin.import_role: {name: openlmis.operations.openlmis, tasks_from: maintenance_on}
"""
OWN_TASKS = """
- name: The site's own way
  ansible.builtin.copy:
    content: "{{ openlmis_gate_state }}"
    dest: "{{ openlmis_state_dir }}/own-gate"
    mode: "0600"
"""


@dataclasses.dataclass
class Story:
    """What was seen from before the upgrade to after it."""

    server: Server
    network: outside.Network
    users: list[Attempt]
    inside: list[Attempt]
    up: list[tuple[float, float]]
    killed: Run
    statuses_after_reboot: dict[str, str]
    gate_after_reboot: tuple[bool, bool]
    resumed: Run
    policies: dict[str, str]
    rules: list[dict[str, list[str]]]


def gate(server: Server, wanted: str, *arguments: str) -> Run:
    """Put the gate up or take it down, as a run that goes on does."""
    playbook = server.root / "gate.yml"
    playbook.write_text(GATE)
    return command(server, "ansible-playbook", str(playbook), "-e", f"wanted={wanted} release={RELEASE}", *arguments)


def steps(server: Server) -> list[tuple[str, bool]]:
    """The journal's steps, and whether each has ended."""
    path = server.state_dir / "journal.json"
    journal = json.loads(path.read_text()) if path.exists() else {"steps": []}
    return [(step["step"], bool(step["finished"])) for step in journal["steps"]]


def killed_while_waiting(server: Server) -> Run:
    """Begin the upgrade and kill it, children and all, when the components of the release have been started."""
    log = server.root / "killed.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [str(ANSIBLE / "ansible-playbook"), "--inventory", str(server.inventory), "playbooks/upgrade-3.4.yml"]
            + ["-e", "openlmis_confirm=false", "-e", "openlmis_backup_verify=rows"],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while process.poll() is None and ("start", True) not in steps(server):
            time.sleep(0.05)
        # Until the release answers, to those who may ask.
        until = time.monotonic() + 60
        while process.poll() is None and server.versions()["notification"] != NEW and time.monotonic() < until:
            time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return Run(process.returncode, log.read_text())


def from_container(server: Server, path: pathlib.Path) -> Knocker:
    """Asks for BASE_URL from the network of a container that is never removed."""
    pid = server.container("ftp").attrs["State"]["Pid"]
    door = "container,new,%s,%d" % (server.base_url.split("/")[2].split(":")[0], HTTP_PORT)
    return Knocker(path, ["nsenter", "--net=/proc/%d/ns/net" % pid], [door], 10, 0.3)


def statuses(server: Server) -> dict[str, str]:
    """What the containers of the services do that would start by themselves."""
    return {name: server.container(name).status for name in ALWAYS}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """An upgrade, killed while it waits, a reboot, and the upgrade gone on with; somebody asks all the time."""
    folder = tmp_path_factory.mktemp("gate")
    with (
        running("3.3.1", folder / "server", override=OVERRIDE, without=LEFT_OUT) as server,
        client_network() as network,
    ):
        before = rules("mangle")
        doors = [
            "%s %s,%s,%s,%d" % (family, kind, kind, address, HTTP_PORT)
            for family, address in zip(("IPv4", "IPv6"), network.ours)
            for kind in ("new", "kept")
        ]
        host = "host,new,%s,%d" % (server.base_url.split("/")[2].split(":")[0], HTTP_PORT)
        users = Knocker(folder / "users", network.inside, doors, 0.5, 0.05)
        insiders = [Knocker(folder / "host", [], [host], 10, 0.3), from_container(server, folder / "container")]
        watchman = Watchman()
        watchman.start()
        try:
            wait_until("answers at every door", lambda: len({a.door for a in users.attempts() if a.status}) == 4, 20)
            killed = killed_while_waiting(server)

            daemon = Daemon()
            daemon.stop()
            open_gate()
            daemon.start()
            wait_until("the container that starts by itself", lambda: statuses(server)["ftp"] == "running", 30)
            after_reboot, gate_after_reboot = statuses(server), gate_is_up()
            insiders.append(from_container(server, folder / "container again"))

            resumed = upgrade(server, "-e", "openlmis_backup_verify=rows")
            time.sleep(2)
        finally:
            for knocker in [users, *insiders]:
                knocker.stop()
            up = watchman.stop()
        yield Story(
            server=server,
            network=network,
            users=users.attempts(),
            inside=[attempt for knocker in insiders for attempt in knocker.attempts()],
            up=up,
            killed=killed,
            statuses_after_reboot=after_reboot,
            gate_after_reboot=gate_after_reboot,
            resumed=resumed,
            policies={
                name: server.container(name).attrs["HostConfig"]["RestartPolicy"]["Name"] or "no"
                for name in (*ALWAYS, "report")
            },
            rules=[before, rules("mangle")],
        )


def during(attempts: list[Attempt], up: list[tuple[float, float]]) -> list[Attempt]:
    """The attempts that began and ended while the gate was up for certain."""
    return [one for one in attempts if any(begin <= one.sent and one.ended <= end for begin, end in up)]


def answers(attempts: list[Attempt], version: str = "") -> list[Attempt]:
    """Those that were answered, by a version of the notification service if need be."""
    return [one for one in attempts if one.status and (not version or '"%s"' % version in one.said)]


DOORS = ("IPv4 new", "IPv4 kept", "IPv6 new", "IPv6 kept")


def test_the_upgrade_ends_after_kill_and_reboot(story: Story) -> None:
    assert story.killed.code == -signal.SIGKILL, story.killed.text
    assert story.resumed.code == 0, story.resumed.text
    assert story.server.versions()["notification"] == NEW


@pytest.mark.parametrize("door", DOORS)
def test_users_are_answered_before_and_after(story: Story, door: str) -> None:
    mine = [one for one in story.users if one.door == door]
    first, last = story.up[0][0], story.up[-1][1]
    assert len(answers([one for one in mine if one.ended < first], OLD)) > 10
    assert len(answers([one for one in mine if one.sent > last], NEW)) > 3


@pytest.mark.parametrize("door", DOORS)
def test_not_one_request_of_a_user_is_answered_meanwhile(story: Story, door: str) -> None:
    mine = [one for one in story.users if one.door == door]
    shut_out = during(mine, story.up)
    assert len(shut_out) > 30
    assert answers(shut_out) == []
    # Nor between the two: after the reboot, when no gate stands.
    first, last = story.up[0][0], story.up[-1][1]
    assert answers([one for one in mine if first <= one.sent <= last and one.ended <= last]) == []


def test_the_gate_was_up_twice_and_most_of_the_time(story: Story) -> None:
    assert len(story.up) == 2
    assert all(end - begin > 5 for begin, end in story.up)


@pytest.mark.parametrize("who", ["host", "container"])
def test_host_and_containers_reach_the_server_all_the_time(story: Story, who: str) -> None:
    mine = [one for one in story.inside if one.door == who]
    assert [one for one in mine if one.said == "silence"] == []
    meanwhile = during(mine, story.up)
    assert answers(meanwhile, OLD)
    assert answers(meanwhile, NEW)


def test_containers_prove_that_they_reach_the_server_before_it_is_stopped(story: Story) -> None:
    assert "Users are kept out: TCP ports 18080, 18500" in story.killed.text
    assert (
        "%d components and this host reach %s meanwhile." % (10 - len(LEFT_OUT), story.server.base_url)
        in story.killed.text
    )


def test_after_a_reboot_nothing_starts_by_itself(story: Story) -> None:
    assert story.gate_after_reboot == (False, False)
    assert story.statuses_after_reboot == {
        "auth": "exited",
        "nginx": "exited",
        "notification": "exited",
        "ftp": "running",
    }


def test_the_next_run_restores_the_gate_before_anything_else(story: Story) -> None:
    assert story.resumed.text.index("Users are kept out") < story.resumed.text.index("Check the server")


def test_services_start_by_themselves_again_afterwards(story: Story) -> None:
    assert story.policies == {**dict.fromkeys(ALWAYS, "always"), "report": "no"}
    assert "Users are let in." in story.resumed.text


def test_no_rule_of_anybody_else_was_touched_and_none_is_left(story: Story) -> None:
    assert story.rules[0] == story.rules[1]
    assert gate_is_up() == (False, False)


# -- the gate by itself, on the server that was upgraded -----------------------------------------------------------


@pytest.fixture
def other_rules() -> Iterator[None]:
    """A host with rules of its own, one of them first in the chain that the gate hooks into."""
    own = ["PREROUTING", "-i", "olmis-none", "-p", "tcp", "-m", "tcp", "--dport", str(HTTP_PORT), "-j", "ACCEPT"]
    others = [("filter", ["INPUT", "-p", "tcp", "-m", "tcp", "--dport", "22", "-j", "ACCEPT"]), ("mangle", own)]
    for tool in ("iptables", "ip6tables"):
        for table, rule in others:
            outside.run(tool, "-t", table, "-I", *rule)
    yield
    for tool in ("iptables", "ip6tables"):
        for table, rule in others:
            outside.run(tool, "-t", table, "-D", *rule)


def reach(network: outside.Network) -> list[bool]:
    """Whether a user gets an answer over IPv4 and IPv6."""
    asked = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)"
    found = []
    for address in (network.ours[0], "[%s]" % network.ours[1]):
        ask = [sys.executable, "-c", asked, "http://%s:%d/notification" % (address, HTTP_PORT)]
        found.append(subprocess.run([*network.inside, *ask], check=False, capture_output=True).returncode == 0)
    return found


def test_it_is_put_up_once_repaired_and_taken_down_and_no_other_rule_changes(story: Story, other_rules: None) -> None:
    server, network, before = story.server, story.network, rules()
    assert reach(network) == [True, True]
    would = gate(server, "present", "--check")
    assert "Would keep users out: TCP ports 18080" in would.text
    assert gate_is_up() == (False, False)

    first, again = gate(server, "present"), gate(server, "present")
    assert (first.code, first.recap("changed")) == (0, 1), first.text
    assert (again.code, again.recap("changed")) == (0, 0), again.text
    assert reach(network) == [False, False]
    assert rules() == before

    for tool in ("iptables", "ip6tables"):
        outside.run(tool, "-t", "mangle", "-I", "PREROUTING", "-j", "ACCEPT")
        outside.run(tool, "-t", "mangle", "-F", "OPENLMIS-GATE")
    assert reach(network) == [True, True]
    repaired = gate(server, "present", "-e", '{"openlmis_gate_ports": [18443]}')
    assert (repaired.code, repaired.recap("changed")) == (0, 1), repaired.text
    assert "18443" in repaired.text
    assert reach(network) == [False, False]
    allowed = gate(server, "present", "-e", '{"openlmis_gate_allow": ["%s", "2001:db8:6a7e::/64"]}' % network.theirs[0])
    assert (allowed.code, allowed.recap("changed")) == (0, 1), allowed.text
    assert reach(network) == [True, True]
    for tool in ("iptables", "ip6tables"):
        outside.run(tool, "-t", "mangle", "-D", "PREROUTING", "-j", "ACCEPT")

    down, down_again = gate(server, "absent"), gate(server, "absent")
    assert (down.recap("changed"), down_again.recap("changed")) == (1, 0), down.text
    assert rules() == before
    assert gate_is_up() == (False, False)


def test_ssh_is_never_closed(story: Story) -> None:
    run = gate(story.server, "present", "-e", '{"openlmis_gate_ports": [22]}')
    assert run.code != 0
    assert "Port 22 would be closed, and SSH uses it" in " ".join(run.text.split())
    assert gate_is_up() == (False, False)


def test_without_permission_it_is_refused_and_says_what_else_there_is(story: Story) -> None:
    playbook = story.server.root / "gate.yml"
    gate(story.server, "absent")
    ansible = [
        str(ANSIBLE / "ansible-playbook"),
        "--inventory",
        str(story.server.inventory),
        str(playbook),
        "-e",
        f"wanted=present release={RELEASE}",
    ]
    run = subprocess.run(
        ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", *ansible],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(run.stdout.split())
    assert run.returncode != 0
    assert "The firewall cannot keep users out: iptables-save said:" in said
    assert "or set openlmis_gate to the path of a task file that keeps users out in another way, or to none" in said


def test_requests_that_come_back_from_outside_end_the_gate_unless_they_are_let_in(story: Story) -> None:
    """The public address is a router's, which sends the host's own requests back to it (NAT hairpin)."""
    public, network = "198.18.0.1", story.network
    outside.run("ip", "route", "add", public, "via", network.theirs[0])
    outside.run(*network.inside, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for rule in (
        ["PREROUTING", "-d", public, "-j", "DNAT", "--to", network.ours[0]],
        ["POSTROUTING", "-j", "MASQUERADE"],
    ):
        outside.run(*network.inside, "iptables", "-t", "nat", "-A", *rule)
    url = ["-e", "openlmis_base_url=http://%s:%d" % (public, HTTP_PORT)]

    shut = gate(story.server, "present", *url)
    said = " ".join(shut.text.split())
    assert shut.code != 0
    assert "does not reach http://%s:%d (no answer from %s" % (public, HTTP_PORT, public) in said
    assert "The gate was taken down again, users are let in. Without the gate it does" in said
    assert "add the address from which they come to openlmis_gate_allow, and run again" in said
    assert gate_is_up() == (False, False)

    allowed = gate(story.server, "present", *url, "-e", '{"openlmis_gate_allow": ["%s"]}' % network.theirs[0])
    assert allowed.code == 0, allowed.text
    assert "components and this host reach http://%s:%d meanwhile" % (public, HTTP_PORT) in allowed.text
    assert gate(story.server, "absent").code == 0


def step(server: Server, *arguments: str) -> Run:
    """Begin a run and keep users out, as the playbook does."""
    playbook = server.root / "step.yml"
    playbook.write_text(STEP)
    return command(server, "ansible-playbook", str(playbook), *arguments)


def test_none_says_that_users_are_not_kept_out(story: Story) -> None:
    run = step(story.server, "-e", "openlmis_gate=none")
    assert run.code == 0, run.text
    assert "Users are not kept out (openlmis_gate is none)" in run.text
    assert gate_is_up() == (False, False)


def test_a_site_s_own_tasks_are_told_what_to_do(story: Story) -> None:
    own = story.server.root / "own-gate.yml"
    own.write_text(OWN_TASKS)
    (story.server.state_dir / "journal.json").unlink()
    run = step(story.server, "-e", "openlmis_gate=%s" % own)
    assert run.code == 0, run.text
    assert (story.server.state_dir / "own-gate").read_text() == "present"
    assert steps(story.server)[-1] == ("maintenance_on", True)
    assert gate_is_up() == (False, False)
