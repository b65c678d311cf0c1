#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Keep users out of an OpenLMIS server by the firewall, and let them in again
version_added: "0.1.0"
description:
  - A chain of its own in the table C(mangle), hooked first into C(PREROUTING), for IPv4 and IPv6. It drops every TCP
    packet
    to an address of this host at the ports of OpenLMIS, unless it comes over the loopback, from one of Docker's bridges
    or from an
    allowed source. Connections that are open already end as well.
  - Closed are the fixed ports that the Compose configuration publishes for the services that the upgrade stops, the
    ports that
    their running containers publish, the port of O(base_url) and O(ports). SSH's port is refused.
  - No other rule is touched. The rules are written in one step per family; a damaged gate is restored. After a reboot
    the
    gate is gone like every rule that nobody saved.
  - Containers call each other at O(base_url). With O(prove=true) each running component's container and this host must
    get an
    answer there right after the gate is up; otherwise it is taken down again.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  state:
    description:
      - V(present) keeps users out.
      - V(absent) lets them in. No other option is needed.
    type: str
    choices: [present, absent]
    default: present
  project_src:
    description: Directory of the deployment's Compose file. Required with O(state=present).
    type: path
  project_name:
    description: Name of the Compose project; found from the containers' labels.
    type: str
  compose_files:
    description: Compose files of the deployment; those that Compose loads on its own when empty.
    type: list
    elements: str
    default: []
  release:
    description: The release, as in the role's C(vars/releases); it tells which services the upgrade stops. Required
      with O(state=present).
    type: dict
  base_url:
    description: The server's public address, the deployment's BASE_URL. Required with O(state=present).
    type: str
  ports:
    description: More TCP ports to close, such as another port of a proxy on this host.
    type: list
    elements: int
    default: []
  allow:
    description: Addresses and networks, IPv4 and IPv6, that are let in, such as a load balancer's.
    type: list
    elements: str
    default: []
  prove:
    description: Whether containers and this host must reach O(base_url) while the gate is up.
    type: bool
    default: false
requirements:
  - iptables and ip6tables, root
  - docker (Python package)
attributes:
  check_mode:
    description: Tells whether the gate would change. Nothing is proven.
    support: full
  diff_mode:
    description: RV(rules) tells what stands.
    support: none
seealso:
  - module: ansible.builtin.iptables
    description: One rule a task; cannot write a chain in one step, and sees neither its order nor what is left over in
      it.
"""

EXAMPLES = r"""
- name: Keep users out
  openlmis.operations.gate:
    project_src: /opt/openlmis
    release: "{{ lookup('ansible.builtin.file', 'vars/releases/3.4.0.yml') | from_yaml }}"
    base_url: https://openlmis.example.org
    allow: [192.0.2.7]
    prove: true

- name: Let users in
  openlmis.operations.gate:
    state: absent
"""

RETURN = r"""
lines:
  description: What was done, or would be, in words.
  returned: success
  type: list
  elements: str
  sample: ["Users are kept out: TCP ports 80, 443 are closed to all but this host, its containers."]
rules:
  description: The chain's rules for each version of the internet protocol.
  returned: when O(state=present)
  type: dict
proven:
  description: Who got an answer at O(base_url) while the gate was up; empty when nobody was asked.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [auth, this host]
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import gate


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Put the firewall up or take it down."""
    compose.require_docker(module)
    return gate.run(module.params, module.check_mode, module.get_bin_path)


def main() -> None:
    """Entry point of the module."""
    skeleton.main(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "project_src": {"type": "path"},
            "project_name": {"type": "str"},
            "compose_files": {"type": "list", "elements": "str", "default": []},
            "release": {"type": "dict"},
            "base_url": {"type": "str"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "allow": {"type": "list", "elements": "str", "default": []},
            "prove": {"type": "bool", "default": False},
        },
        work,
        required_if=[("state", "present", ("project_src", "release", "base_url"))],
    )


if __name__ == "__main__":
    main()
