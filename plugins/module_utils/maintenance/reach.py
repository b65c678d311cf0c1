# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a container reaches an address: asked from inside its network, with no program of its image."""

from __future__ import annotations

import ctypes
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from typing import Any, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

CLONE_NEWNET = 0x40000000


def hosts_entry(name: str, hosts: str) -> List[str]:
    """Return the addresses that a hosts file gives a name."""
    lines = [line.partition("#")[0].split() for line in hosts.splitlines()]
    return [words[0] for words in lines if name.lower() in (word.lower() for word in words[1:])]


def alias_addresses(name: str, own: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> List[str]:
    """Return the addresses that Docker's name server gives a name: those of containers with this alias in a common
    network.
    """
    found = []
    mine = ((own.get("NetworkSettings") or {}).get("Networks") or {}).keys()
    for attributes in containers:
        for network, facts in ((attributes.get("NetworkSettings") or {}).get("Networks") or {}).items():
            known = [*(facts.get("Aliases") or []), attributes.get("Name", "").lstrip("/")]
            if network in mine and name in known and facts.get("IPAddress"):
                found.append(facts["IPAddress"])
    return found


def container_hosts(pid: int) -> str:
    """Return the text of a running container's hosts file; empty when it has none."""
    try:
        with open(f"/proc/{pid}/root/etc/hosts", encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def problem(base_url: str, addresses: Sequence[str], pid: Optional[int] = None, timeout: float = 10) -> str:
    """Return why no HTTP answer comes from the URL, empty when one does; any status is an answer.

    With C(pid) the connection is made in the network of that process. Without addresses the host's resolver is asked.
    """
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not addresses:
        try:
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError as error:
            return f"the name {parts.hostname} has no address ({error.strerror or error})"
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    why = ""
    for address in addresses:
        why = _ask(parts, address, port, pid, timeout)
        if not why:
            break
    return why


def _ask(parts: Any, address: str, port: int, pid: Optional[int], timeout: float) -> str:
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection(parts.hostname, port)
    try:
        connection.sock = _connect(address, port, pid, timeout)
        if parts.scheme == "https":
            # Whether the certificate is a good one is not the question here.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection.sock = context.wrap_socket(connection.sock, server_hostname=parts.hostname)
        connection.sock.settimeout(max(1.0, deadline - time.monotonic()))
        connection.request("GET", parts.path or "/", headers={"User-Agent": "openlmis.operations"})
        connection.getresponse()
    except socket.timeout:
        return f"no answer from {address} port {port} in {timeout:.0f} seconds"
    except (OSError, http.client.HTTPException) as error:
        return (
            f"no answer from {address} port {port}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
        )
    finally:
        connection.close()
    return ""


def _connect(address: str, port: int, pid: Optional[int], timeout: float) -> socket.socket:
    """Connect from the network of a process; a thread enters it, which no other thread then does, and ends."""
    sockets: List[socket.socket] = []
    errors: List[OSError] = []

    def connect() -> None:
        try:
            if pid:
                _enter(pid)
            family = socket.AF_INET6 if ipaddress.ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET
            made = socket.socket(family, socket.SOCK_STREAM)
            made.settimeout(timeout)
            try:
                made.connect((address, port))
            except OSError:
                made.close()
                raise
            sockets.append(made)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return sockets[0]


def _enter(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(namespace, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(namespace)
