# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `stack` importable for the tests, and skips them where there is no Docker Engine."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from stack.images import RehearsalError, client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Docker these tests cannot say anything; the summary then says why."""
    try:
        client()
    except RehearsalError as error:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=str(error)))
