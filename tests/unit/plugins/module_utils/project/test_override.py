# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project import override

RENDERED = {
    "services": {"requisition": {"environment": {"JAVA_OPTS": "-Xmx1g -Dx=a$b"}}, "auth": {"environment": None}}
}


def test_the_option_comes_behind_what_compose_renders():
    assert override.override(RENDERED, ["requisition"]) == {
        "services": {"requisition": {"environment": {"JAVA_OPTS": "-Xmx1g -Dx=a$$b -Dflyway.out-of-order=true"}}}
    }
    assert override.override(RENDERED, ["auth"])["services"]["auth"]["environment"] == {
        "JAVA_OPTS": "-Dflyway.out-of-order=true"
    }


def test_an_opposite_option_gives_way():
    rendered = {"services": {"requisition": {"environment": {"JAVA_OPTS": "-Dflyway.out-of-order=false -Xmx1g"}}}}
    made = override.override(rendered, ["requisition"])
    assert made["services"]["requisition"]["environment"] == {"JAVA_OPTS": "-Xmx1g -Dflyway.out-of-order=true"}


def test_a_service_that_is_not_there_is_named():
    with pytest.raises(
        OperationError, match=r"Service stock is not in the Compose configuration \(auth, requisition are\)"
    ):
        override.override(RENDERED, ["stock"])
