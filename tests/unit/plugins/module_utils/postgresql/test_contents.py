# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import contents


def test_identifiers_are_quoted():
    assert contents.quoted("a", 'b"c') == '"a"."b""c"'


def test_differences_name_what_is_on_one_side_only():
    assert contents.differences({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []
    assert contents.differences({"a": 1, "b": 2, "d": 0}, {"b": 3, "c": 4, "d": 0}) == ["a", "b", "c"]


def test_a_table_is_called_by_schema_and_name():
    assert contents.Table("referencedata", "users", 1, "").key() == "referencedata.users"
