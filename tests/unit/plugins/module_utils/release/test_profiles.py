# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.release.profiles import (
    contact_differences,
    script_source,
    user_differences,
)

ROW = {
    "id": "17c99d77-3a1f-4d4f-9a50-0f3a1c2f1e5b",
    "username": "ann",
    "firstname": "Ann",
    "lastname": "O'Brien",
    "jobtitle": None,
    "timezone": "UTC",
    "homefacilityid": None,
    "active": True,
    "loginrestricted": False,
    "extradata": {"a": 1},
    "phonenumber": "+1,2",
    "allownotify": True,
    "email": "ann@example.org",
    "emailverified": True,
}
USER = {
    "id": ROW["id"],
    "username": "ann",
    "firstName": "Ann",
    "lastName": "O'Brien",
    "timezone": "UTC",
    "active": True,
    "loginRestricted": False,
    "extraData": {"a": 1},
    "roleAssignments": [],
}
CONTACT = {
    "referenceDataUserId": ROW["id"],
    "phoneNumber": "+1,2",
    "allowNotify": True,
    "emailDetails": {"email": "ann@example.org", "emailVerified": True},
}


def test_a_profile_like_its_rows_has_no_differences():
    assert user_differences(ROW, USER) == []
    assert contact_differences(ROW, CONTACT) == []


BEFORE = {name: ROW[name] for name in ROW.keys() - {"jobtitle", "phonenumber", "emailverified"}}
BEFORE["verified"] = True
SHOWN_BEFORE = {**USER, "email": "ann@example.org", "verified": True, "allowNotify": True}


@pytest.mark.parametrize("field", ["email", "verified", "allowNotify", "username"])
def test_before_the_notification_service_owns_the_details_they_are_the_user_s(field):
    assert user_differences(BEFORE, SHOWN_BEFORE, contact_details=False) == []
    found = user_differences(BEFORE, {**SHOWN_BEFORE, field: False}, contact_details=False)
    assert found == [f"{field} differs"]


@pytest.mark.parametrize("field", sorted(USER.keys() - {"roleAssignments"}))
def test_each_field_of_the_user_is_compared(field):
    found = user_differences(ROW, {**USER, field: "something else"})
    assert found == [f"{field} differs"]


@pytest.mark.parametrize(("column", "field"), [("jobtitle", "jobTitle"), ("homefacilityid", "homeFacilityId")])
def test_a_field_that_is_not_shown_is_missed(column, field):
    assert user_differences({**ROW, column: "x"}, USER) == [f"{field} differs"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"referenceDataUserId": "x"}, "referenceDataUserId"),
        ({"phoneNumber": "+12"}, "phoneNumber"),
        ({"phoneNumber": None}, "phoneNumber"),
        ({"allowNotify": False}, "allowNotify"),
        ({"emailDetails": {"email": "Ann@example.org", "emailVerified": True}}, "email"),
        ({"emailDetails": {"email": "ann@example.org", "emailVerified": False}}, "emailVerified"),
    ],
)
def test_each_field_of_the_contact_details_is_compared(change, field):
    assert contact_differences(ROW, {**CONTACT, **change}) == [f"{field} differs"]


def test_what_means_the_same_is_no_difference():
    assert user_differences({**ROW, "extradata": {}}, {**USER, "extraData": None}) == []
    without = {**ROW, "email": None, "emailverified": None, "phonenumber": None, "allownotify": None}
    shown = {"referenceDataUserId": ROW["id"]}
    assert contact_differences(without, {**shown, "emailDetails": None}) == []
    assert contact_differences(without, {**shown, "emailDetails": {"email": None, "emailVerified": False}}) == []


@pytest.mark.parametrize("stored", [None, False, True])
@pytest.mark.parametrize("shown", [{}, {"allowNotify": None}, {"allowNotify": False}, {"allowNotify": True}], ids=str)
def test_a_null_preference_is_no_mail_however_it_is_shown(stored, shown):
    same = shown.get("allowNotify") in ((None, False) if stored is None else (stored,))
    wanted = [] if same else ["allowNotify differs"]
    without = {name: value for name, value in CONTACT.items() if name != "allowNotify"}
    assert contact_differences({**ROW, "allownotify": stored}, {**without, **shown}) == wanted
    before = {name: value for name, value in SHOWN_BEFORE.items() if name != "allowNotify"}
    assert user_differences({**BEFORE, "allownotify": stored}, {**before, **shown}, contact_details=False) == wanted


def test_a_blank_is_not_nothing():
    assert contact_differences({**ROW, "phonenumber": None}, {**CONTACT, "phoneNumber": ""}) == ["phoneNumber differs"]


def test_half_a_profile_is_a_difference_even_when_the_database_has_no_row():
    assert user_differences(ROW, None) == ["has no user at /api/users"]
    assert contact_differences({**ROW, "email": None}, None) == ["has no contact details"]
    assert contact_differences(ROW, []) == ["/api/userContactDetails shows no contact details"]


def test_differences_have_no_personal_data():
    words = " ".join(user_differences(ROW, {}) + contact_differences(ROW, {}))
    assert not any(str(value) in words for value in (ROW["email"], ROW["phonenumber"], ROW["lastname"]))


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ("<html></html>", "/openlmis.js"),
        ('<script src="openlmis.js"></script>', "/openlmis.js"),
        ("<script src='/openlmis.js?v=12'>", "/openlmis.js?v=12"),
        ('<script async src = "https://cdn/x/openlmis.js">', "/x/openlmis.js"),
        ("<script src=openlmis.js>", "/openlmis.js"),
        ('<script src="other.js">', "/openlmis.js"),
    ],
)
def test_the_script_is_found_on_the_start_page(page, path):
    assert script_source(page) == path
