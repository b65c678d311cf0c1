# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.host.restart import (
    Policy,
    current_policy,
    rendered_policy,
)


@pytest.mark.parametrize(
    ("service", "policy"),
    [
        ({}, Policy("no", 0)),
        ({"restart": "no"}, Policy("no", 0)),
        ({"restart": "always"}, Policy("always", 0)),
        ({"restart": "unless-stopped"}, Policy("unless-stopped", 0)),
        ({"restart": "on-failure:5"}, Policy("on-failure", 5)),
        ({"restart": "always", "deploy": {"replicas": 1}}, Policy("always", 0)),
        ({"restart": "always", "deploy": {"restart_policy": {"condition": "none"}}}, Policy("no", 0)),
        ({"deploy": {"restart_policy": {"condition": "any"}}}, Policy("always", 0)),
        ({"deploy": {"restart_policy": {"condition": "on-failure", "max_attempts": 3}}}, Policy("on-failure", 3)),
    ],
)
def test_the_policy_that_compose_gives(service, policy):
    assert rendered_policy(service) == policy


def test_the_policy_that_a_container_has():
    assert current_policy({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}}) == Policy(
        "on-failure", 3
    )
    # An Engine that was never told a policy says an empty name.
    assert current_policy({"HostConfig": {"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}}}) == Policy("no", 0)
    assert current_policy({}) == Policy("no", 0)
