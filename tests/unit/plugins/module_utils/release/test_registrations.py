# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.release import registrations
from ansible_collections.openlmis.operations.plugins.module_utils.release.registrations import Holder

RANDOM = "0b1d5a0e-4b52-4e0f-9a51-1c3de0a51b{:02}-{}"


def entry(name, address, identity="", index=0):
    found = {"ServiceID": identity or f"{name}-{address}", "ServiceName": name, "ServiceAddress": address}
    return {**found, "CreateIndex": index} if index else found


def holder(*addresses, host="4f3a2b1c0d9e"):
    return Holder(host, frozenset(addresses))


def test_only_the_address_that_the_service_has_stays():
    registered = [entry("auth", "10.0.0.2"), entry("auth", "10.0.0.3"), entry("report", "10.0.0.2")]
    holders = {"auth": [holder("10.0.0.3")], "report": [holder("10.0.0.2")]}
    assert registrations.stale(registered, holders) == ["auth-10.0.0.2"]


@pytest.mark.parametrize("reverse", [False, True])
def test_of_several_at_the_address_of_a_container_the_newest_is_its_own(reverse):
    ids = [RANDOM.format(number, "auth") for number in (3, 1, 2)]
    registered = [entry("auth", "10.0.0.2", identity, index) for identity, index in zip(ids, (9, 12, 7))]
    found = registrations.stale(registered[::-1] if reverse else registered, {"auth": [holder("10.0.0.2")]})
    assert found == sorted([ids[0], ids[2]])


def test_an_id_that_names_the_container_s_host_is_its_own_whenever_it_was_made():
    registered = [entry("auth", "10.0.0.2", "auth-4f3a2b1c0d9e", 3), entry("auth", "10.0.0.2", "auth-aaaaaaaaaaaa", 8)]
    assert registrations.stale(registered, {"auth": [holder("10.0.0.2")]}) == ["auth-aaaaaaaaaaaa"]


def test_without_any_sign_one_stays():
    registered = [entry("auth", "10.0.0.2", "a"), entry("auth", "10.0.0.2", "b")]
    assert len(registrations.stale(registered, {"auth": [holder("10.0.0.2", host="")]})) == 1


def test_each_container_of_a_scaled_service_keeps_one():
    registered = [
        entry("auth", address, f"{address}-{index}", index) for address in ("10.0.0.2", "10.0.0.3") for index in (1, 2)
    ]
    holders = {"auth": [holder("10.0.0.2"), holder("10.0.0.3", host="0e9d8c7b6a5f")]}
    assert registrations.stale(registered, holders) == ["10.0.0.2-1", "10.0.0.3-1"]


def test_a_container_on_two_networks_has_one():
    registered = [entry("auth", "10.0.0.2", index=1), entry("auth", "10.1.0.2", index=2)]
    assert registrations.stale(registered, {"auth": [holder("10.0.0.2", "10.1.0.2")]}) == ["auth-10.0.0.2"]


def test_names_that_are_no_service_stay():
    assert registrations.stale([entry("superset", "10.0.0.9")], {"auth": [holder("10.0.0.2")]}) == []


def test_the_registry_s_entry_for_itself_stays():
    itself = {"ServiceID": "consul", "ServiceName": "consul", "ServiceAddress": "", "ServicePort": 8300}
    assert registrations.stale([itself], {"consul": [holder("10.0.0.9")]}) == []


def container(status="running", networks=("10.0.0.2",), host="4f3a2b1c0d9e", service="mw-auth"):
    settings = {"Networks": {str(number): {"IPAddress": address} for number, address in enumerate(networks)}}
    attributes = {"NetworkSettings": settings, "Config": {"Hostname": host}}
    return SimpleNamespace(status=status, attrs=attributes, labels={"com.docker.compose.service": service})


SERVICE = SimpleNamespace(name="mw-auth", component="auth")


def holders(*containers):
    project = registrations.compose.Project("p", list(containers))
    return registrations.holders_of(project, [SERVICE])


def test_a_container_holds_under_its_service_s_and_its_component_s_name():
    assert holders(container()) == {name: [holder("10.0.0.2")] for name in ("auth", "mw-auth")}


@pytest.mark.parametrize("one", [container("exited"), container("restarting"), container(networks=("",))])
def test_what_has_no_running_container_or_no_address_of_its_own_is_not_judged(one):
    assert holders(one) == {}
    assert holders(container(), one) == holders(container()) or one.status == "running"
