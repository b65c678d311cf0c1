# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.module_utils import registrations


def entry(name, address):
    return {"ServiceID": f"{name}-{address}", "ServiceName": name, "ServiceAddress": address}


def test_only_the_address_that_the_service_has_stays():
    registered = [entry("auth", "10.0.0.2"), entry("auth", "10.0.0.3"), entry("report", "10.0.0.2")]
    addresses = {"auth": {"10.0.0.3"}, "report": {"10.0.0.2"}}
    assert registrations.stale(registered, addresses) == ["auth-10.0.0.2"]


def test_a_service_without_a_container_keeps_nothing():
    assert registrations.stale([entry("auth", "10.0.0.2")], {"auth": set()}) == ["auth-10.0.0.2"]


def test_names_that_are_no_service_stay():
    assert registrations.stale([entry("consul", "10.0.0.9")], {"auth": set()}) == []
