# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate as netfilter rules: one chain, hooked first into mangle PREROUTING, and nothing of anybody else's."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import socket
import subprocess
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple
from urllib.parse import urlsplit

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

CHAIN = "OPENLMIS-GATE"
# Before Docker's address translation, so that the ports are those that a client asks for, whatever then takes the
# packet.
HOOK = f"PREROUTING -p tcp -m addrtype --dst-type LOCAL -j {CHAIN}"
BRIDGE_NAME = "com.docker.network.bridge.name"
INSTEAD = (
    "or set openlmis_gate to the path of a task file that keeps users out in another way, or to none where nothing"
    " has to"
)
Ports = Tuple[int, int]


class Family(NamedTuple):
    """The two commands for one version of the internet protocol."""

    version: int
    save: str
    restore: str


class Found(NamedTuple):
    """What stands of the gate: the chain's rules (None without a chain), the rules that lead into it, whether the hook
    is first.
    """

    rules: Optional[List[str]]
    hooks: List[str]
    first: bool


# -- which ports -----------------------------------------------------------------------------------------------------


def published_ports(rendered: Mapping[str, Any], services: Iterable[str]) -> Set[Ports]:
    """Return the fixed TCP ports that these services publish by the rendered Compose configuration, as ranges."""
    found = set()
    for name in services:
        for port in rendered.get("services", {}).get(name, {}).get("ports") or []:
            published = str(port.get("published") or "")
            if published not in ("", "0") and port.get("protocol", "tcp") == "tcp":
                first, _dash, last = published.partition("-")
                found.add((int(first), int(last or first)))
    return found


def running_ports(attributes: Mapping[str, Any]) -> Set[Ports]:
    """Return the TCP ports that a container publishes at this moment, those that Docker chose included."""
    bound = (attributes.get("NetworkSettings") or {}).get("Ports") or {}
    return {
        (int(binding["HostPort"]), int(binding["HostPort"]))
        for port, bindings in bound.items()
        for binding in bindings or []
        if port.endswith("/tcp") and binding.get("HostPort")
    }


def port_of(base_url: str) -> int:
    """Return the port of BASE_URL. Raises OperationError when it is no address of a server."""
    try:
        parts = urlsplit(base_url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if parts.hostname:
            return port
    except (ValueError, KeyError):
        pass
    raise OperationError(
        f"base_url is {base_url}. Expected http:// or https:// with a host, and a port if need be: give the"
        " deployment's BASE_URL."
    )


def refuse_ssh(ports: Iterable[Ports], ssh: Iterable[int]) -> None:
    """Raise OperationError when a port to be closed is one through which this host is administered."""
    for first, last in sorted(ports):
        for port in sorted(ssh):
            if first <= port <= last:
                raise OperationError(
                    f"Port {port} would be closed, and SSH uses it. Expected only ports through which users reach"
                    " OpenLMIS: look at openlmis_gate_ports, the Compose file's ports and BASE_URL, and take it out"
                    " there; nothing was changed."
                )


def ssh_ports(environments: Iterable[Mapping[str, str]]) -> Set[int]:
    """Return 22 and the port on this side of every SSH connection that these environments speak of."""
    found = {22}
    for environment in environments:
        words = environment.get("SSH_CONNECTION", "").split()
        if len(words) == 4 and words[3].isdigit():
            found.add(int(words[3]))
    return found


# -- which interfaces ------------------------------------------------------------------------------------------------


def bridges(networks: Iterable[Mapping[str, Any]], rendered: Mapping[str, Any]) -> Set[str]:
    """Return the names of Docker's bridges on this host, and of those that the Compose configuration would make."""
    found = set()
    for network in networks:
        if network.get("Driver") == "bridge":
            found.add((network.get("Options") or {}).get(BRIDGE_NAME) or "br-" + network["Id"][:12])
    for network in (rendered.get("networks") or {}).values():
        name = ((network or {}).get("driver_opts") or {}).get(BRIDGE_NAME)
        if name:
            found.add(name)
    return found


# -- rules -----------------------------------------------------------------------------------------------------------


def sources(allow: Iterable[str]) -> List[str]:
    """Return the addresses and networks in one spelling. Raises OperationError for what is neither."""
    found = []
    for text in allow:
        try:
            found.append(str(ipaddress.ip_network(text.strip(), strict=False)))
        except ValueError:
            raise OperationError(
                f"openlmis_gate_allow holds {text}. Expected addresses and networks, such as 192.0.2.7 or"
                " 2001:db8::/64: correct it."
            ) from None
    return sorted(set(found))


def rules_of(
    version: int, ports: Iterable[Ports], docker: Iterable[str], others: Iterable[str], allow: Sequence[str]
) -> List[str]:
    """Return the chain's rules: what may come in goes on, a packet to one of the ports from anywhere else ends here.

    Every packet, not only a new connection's: a proxy keeps connections open over which further requests come.
    Docker names a bridge after its network, which Compose may make anew at any time, so all names like these are let
    in; C(others) are bridges of that spelling that are not Docker's.
    """
    closed = [
        f"-p tcp -m tcp --dport {first if first == last else f'{first}:{last}'} -j DROP"
        for first, last in sorted(ports)
    ]
    lines = [f"-s {source} -j RETURN" for source in allow if ipaddress.ip_network(source).version == version]
    lines += ["-i lo -j RETURN"]
    lines += [f"-i {name} -j RETURN" for name in sorted(docker) if not name.startswith("br-")]
    lines += [f"-i {name} {rule}" for name in sorted(others) for rule in closed]
    return [f"-A {CHAIN} {line}" for line in lines + ["-i br-+ -j RETURN"] + closed]


def words_of(rule: str) -> Any:
    """Return what a rule says, however iptables spells and orders it, to compare it with another."""
    words = shlex.split(rule)
    if len(words) % 2:
        return rule
    pairs = {flag: value for flag, value in zip(words[::2], words[1::2]) if flag != "-m"}
    if "-s" in pairs:
        pairs["-s"] = str(ipaddress.ip_network(pairs["-s"], strict=False))
    return pairs


def read(saved: str) -> Found:
    """Find the gate in what C(iptables-save -t mangle) printed."""
    lines = saved.splitlines()
    chain = any(line.split(" ")[0] == ":" + CHAIN for line in lines)
    own = [line for line in lines if line.startswith(f"-A {CHAIN} ")]
    hooks = [line for line in lines if re.search(rf" -[jg] {CHAIN}$", line)]
    prerouting = [line for line in lines if line.startswith("-A PREROUTING ")]
    first = bool(prerouting) and words_of(prerouting[0]) == words_of("-A " + HOOK)
    return Found(own if chain else None, hooks, first)


def stands(found: Found, rules: Sequence[str]) -> bool:
    """Tell whether the gate is up and whole: exactly these rules, hooked once, before anything else."""
    right = found.rules is not None and [words_of(rule) for rule in found.rules] == [words_of(rule) for rule in rules]
    return right and found.first and len(found.hooks) == 1


def gone(found: Found) -> bool:
    """Tell whether nothing is left of the gate."""
    return found.rules is None and not found.hooks


def putting_up(found: Found, rules: Sequence[str]) -> str:
    """Return what iptables-restore has to do in one step: fill the chain, hook it in first; declared, a chain is
    emptied.
    """
    unhook = ["-D" + hook[2:] for hook in found.hooks]
    return "\n".join(
        ["*mangle", f":{CHAIN} - [0:0]", *rules, *unhook, "-I " + HOOK.replace(" ", " 1 ", 1), "COMMIT", ""]
    )


def taking_down(found: Found) -> str:
    """Return what iptables-restore has to do in one step so that nothing is left."""
    unhook = ["-D" + hook[2:] for hook in found.hooks]
    remove = [] if found.rules is None else [f"-F {CHAIN}", f"-X {CHAIN}"]
    return "\n".join(["*mangle", *unhook, *remove, "COMMIT", ""])


# -- this host -------------------------------------------------------------------------------------------------------


class Firewall:
    """The netfilter of this host, for each family that it has."""

    def __init__(self, commands: Mapping[str, Optional[str]]) -> None:
        """Find out which families there are; commands are the paths of ip(6)tables-save and -restore, None when
        missing.
        """
        self.families: List[Family] = []
        self.found: Dict[int, Found] = {}
        for version, name in ((4, "iptables"), (6, "ip6tables")):
            save, restore = commands[name + "-save"], commands[name + "-restore"]
            try:
                if not save or not restore:
                    raise OperationError(f"the command {name}-restore is not on this host")
                family = Family(version, save, restore)
                self.found[version] = read(_run([save, "-t", "mangle"]))
                self.families.append(family)
            except OperationError as error:
                if version == 4 or has_ipv6():
                    raise OperationError(
                        f"The firewall cannot keep users out: {error}. Expected iptables and ip6tables, and root:"
                        f" install the package iptables and run with become, {INSTEAD}."
                    ) from error

    def put_up(self, rules: Mapping[int, Sequence[str]]) -> None:
        """Let these rules stand, and see that they do."""
        for family in self.families:
            if not stands(self.found[family.version], rules[family.version]):
                _run(
                    [family.restore, "--noflush", "-w", "30"],
                    putting_up(self.found[family.version], rules[family.version]),
                )
        self.look()
        if not self.stands(rules):
            raise OperationError(
                f"The rules of the chain {CHAIN} do not stand right after they were written. Expected that nothing else"
                f" changes them: look for a firewall service that removes what it does not know, {INSTEAD}."
            )

    def take_down(self) -> None:
        """Leave nothing of the gate."""
        for family in self.families:
            if not gone(self.found[family.version]):
                _run([family.restore, "--noflush", "-w", "30"], taking_down(self.found[family.version]))
        self.look()
        if not self.gone():
            raise OperationError(
                f"The chain {CHAIN} is still there right after it was removed. Expected that nothing else writes it:"
                " see with `iptables -t mangle -S` who does, and run again."
            )

    def look(self) -> None:
        """Read again what stands."""
        self.found = {family.version: read(_run([family.save, "-t", "mangle"])) for family in self.families}

    def stands(self, rules: Mapping[int, Sequence[str]]) -> bool:
        """Tell whether these rules stand for every family."""
        return all(stands(found, rules[version]) for version, found in self.found.items())

    def gone(self) -> bool:
        """Tell whether nothing is left for any family."""
        return all(gone(found) for found in self.found.values())


def has_ipv6() -> bool:
    """Tell whether a client could come over IPv6: an interface other than the loopback has such an address."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as stream:
            return any(line.split()[-1] != "lo" for line in stream if line.strip())
    except FileNotFoundError:
        return False


def other_bridges(docker: Set[str]) -> Set[str]:
    """Return interfaces whose names look like those of Docker's bridges and which are not."""
    # Not /sys/class/net, which shows the network in which it was mounted.
    return {name for _index, name in socket.if_nameindex() if name.startswith("br-")} - docker


def environments() -> List[Dict[str, str]]:
    """Return the environments of this process and of those that it comes from: sudo hides SSH's words from us, not from
    root.
    """
    found, pid = [dict(os.environ)], os.getppid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as stream:
                found.append(dict(entry.partition("=")[::2] for entry in stream.read().split("\0")))
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
                pid = int(stream.read().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def _run(command: Sequence[str], stdin: str = "") -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError(f"{command[0]} does not run ({error})") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0].rstrip(".")
        raise OperationError(f"{os.path.basename(command[0])} said: {said}")
    return done.stdout
