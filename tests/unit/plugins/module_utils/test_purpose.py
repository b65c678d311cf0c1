# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.check import preflight


@pytest.mark.parametrize(
    ("state", "resumed", "said"),
    [
        ("target", False, "nothing is left to do at 3.4.0"),
        ("target", True, "nothing is left to do at 3.4.0"),
        ("start", False, "the server may be upgraded from 3.3.1 to 3.4.0"),
        ("start", True, "the run that was cut off may go on to 3.4.0"),
        ("between", True, "the run that was cut off may go on to 3.4.0"),
        ("between", False, "the upgrade to 3.4.0 that was begun by hand may be brought to its end"),
    ],
)
def test_what_a_run_would_do(state, resumed, said):
    assert preflight.purpose({"state": state, "release": "3.3.1", "release_target": "3.4.0"}, resumed) == said
