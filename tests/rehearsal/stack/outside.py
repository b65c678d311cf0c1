# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks the server for something: a real client in a network of its own, a container, the host. And who sees the
gate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

KNOCK = pathlib.Path(__file__).with_name("knock.py")
CHAIN = "OPENLMIS-GATE"


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One request: who sent it, when, and what came back."""

    door: str
    sent: float
    ended: float
    status: int | None
    said: str


class Knocker:
    """A program that knocks at doors, `name,kind,address,port` each, until it is told to stop."""

    def __init__(self, path: pathlib.Path, prefix: list[str], doors: list[str], patience: float, pause: float) -> None:
        self.path = path
        command = [*prefix, sys.executable, str(KNOCK), str(path), str(patience), str(pause), "/notification", *doors]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def attempts(self) -> list[Attempt]:
        """What came of it so far; a line that is still being written is left out."""
        lines = self.path.read_text().split("\n")[:-1] if self.path.exists() else []
        return [Attempt(**json.loads(line)) for line in lines]

    def stop(self) -> None:
        """End the program."""
        if self.process.poll() is None:
            self.process.communicate(timeout=10)


def run(*command: str, stdin: str = "") -> str:
    """A command's output; it must succeed."""
    return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout


@dataclasses.dataclass
class Network:
    """A network namespace whose one way out leads to this host."""

    name: str
    ours: tuple[str, str]
    theirs: tuple[str, str]

    @property
    def inside(self) -> list[str]:
        """What a command begins with that runs there."""
        return ["ip", "netns", "exec", self.name]


def free_network() -> ipaddress.IPv4Network:
    """One of the networks that are there for examples, and that this host is not itself in."""
    addresses = json.loads(run("ip", "-json", "-4", "address"))
    ours = [
        ipaddress.ip_interface("%(local)s/%(prefixlen)d" % one).network
        for link in addresses
        for one in link["addr_info"]
    ]
    examples = map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
    return next(one for one in examples if not any(one.overlaps(other) for other in ours))


@contextlib.contextmanager
def client_network() -> Iterator[Network]:
    """A client's network, beside the host by a pair of interfaces with an IPv4 and an IPv6 address each."""
    number = os.getpid()
    name, near, far = "olmis-client-%d" % number, "olc%d" % number, "olf%d" % number
    four, six = str(free_network())[: -len("0/24")] + "%d", "2001:db8:6a7e::%d"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        for prefix, device, host in (([], near, 1), (["ip", "netns", "exec", name], far, 2)):
            run(*prefix, "ip", "address", "add", four % host + "/24", "dev", device)
            run(*prefix, "ip", "-6", "address", "add", six % host + "/64", "dev", device, "nodad")
            run(*prefix, "ip", "link", "set", device, "up")
        yield Network(name, (four % 1, six % 1), (four % 2, six % 2))
    finally:
        # The interfaces go with the namespace; the near one is named in case the far one never got there.
        subprocess.run(["ip", "link", "delete", near], check=False, capture_output=True)
        run("ip", "netns", "delete", name)


# -- rules -----------------------------------------------------------------------------------------------------------


def rules(*tables: str) -> dict[str, list[str]]:
    """Every rule and chain of both families, without counters and without the gate's own; of some tables or of all."""
    found = {}
    for command in ("iptables-save", "ip6tables-save"):
        for table in tables or ("raw", "mangle", "nat", "filter"):
            lines = run(command, "-t", table).splitlines()
            kept = [line.split(" [")[0] for line in lines if line and line[0] in ":-" and CHAIN not in line]
            found[command + " " + table] = kept
    return found


def gate_is_up() -> tuple[bool, bool]:
    """Whether the gate's chain is there and hooked in, for IPv4 and IPv6."""
    saved = (run(command, "-t", "mangle") for command in ("iptables-save", "ip6tables-save"))
    up = [":%s " % CHAIN in text and " -j %s" % CHAIN in text for text in saved]
    return up[0], up[1]


def open_gate() -> None:
    """Take down what a run that was given up has left of the gate; nothing of anybody else's."""
    for command in ("iptables", "ip6tables"):
        if gate_rules(command):
            for rule in gate_rules(command):
                if rule.startswith("-A PREROUTING"):
                    subprocess.run([command, "-t", "mangle", "-D", *rule.split()[1:]], check=True)
            subprocess.run([command, "-t", "mangle", "-F", CHAIN], check=True)
            subprocess.run([command, "-t", "mangle", "-X", CHAIN], check=True)


def gate_rules(command: str) -> list[str]:
    """The gate's rules; none without the rights to see them, since without them there is no gate."""
    if not shutil.which(command):
        return []
    run = subprocess.run([command, "-t", "mangle", "-S"], capture_output=True, text=True, check=False)
    return [line for line in run.stdout.splitlines() if CHAIN in line]


class Watchman(threading.Thread):
    """Looks at the gate ten times a second and knows when it was up for certain."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.up: list[tuple[float, float]] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        since = None
        while not self.ended.is_set():
            began = time.time()
            if all(gate_is_up()):
                since = since or time.time()
                last = began
            elif since:
                self.up.append((since, last))
                since = None
            time.sleep(0.1)

    def stop(self) -> list[tuple[float, float]]:
        """Each stretch of time in which it was up, from after it was first seen to before it was last."""
        self.ended.set()
        self.join()
        return self.up
