# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import gate


@pytest.mark.parametrize("host", ["tcp://192.0.2.1:2376", "tcp://localhost:2375", "ssh://lmis"])
def test_an_engine_elsewhere_is_refused(host):
    with pytest.raises(
        OperationError, match=r"^The Docker Engine is at (tcp|ssh)://….*run this there, or set openlmis_gate to"
    ):
        gate.refuse_remote_engine(host)


@pytest.mark.parametrize("host", ["", "unix:///var/run/docker.sock"])
def test_an_engine_of_this_host_is_not(host):
    gate.refuse_remote_engine(host)


@pytest.mark.parametrize(
    ("components", "missing", "reason"),
    [
        ({"auth": None}, [], ""),
        ({}, [], "no component runs"),
        ({}, ["nginx"], "no component runs"),
        ({"auth": None}, ["consul", "nginx"], "consul, nginx does not run"),
    ],
)
def test_who_can_be_asked(components, missing, reason):
    assert gate.unprovable(gate.World([], {}, components, missing, [])) == reason


def test_ports_as_a_person_writes_them():
    assert gate.port_list([(80, 80), (8000, 8010)]) == "80, 8000-8010"
