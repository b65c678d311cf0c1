# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users' profiles: which to look at, and whether what the API shows is what the database holds.

Columns and fields are those of reference data 11.0.0 and notification 4.0.0; before, reference data has the contact
details and no job title.
"""

from __future__ import annotations

import re
from typing import Any, Mapping
from urllib.parse import urlsplit

# A few of every kind that is there, in an order that a second run repeats; users without contact details come first.
CHOOSE_PROFILES = """
SELECT u.id::text AS id, u.username, u.firstname, u.lastname, u.jobtitle, u.timezone,
       u.homefacilityid::text AS homefacilityid, u.active, u.loginrestricted, u.extradata,
       d.phonenumber, d.allownotify, d.email, d.emailverified
FROM referencedata.users AS u
LEFT JOIN notification.user_contact_details AS d ON d.referencedatauserid = u.id
ORDER BY row_number() OVER (
             PARTITION BY d.referencedatauserid IS NULL, d.email IS NULL, d.emailverified, d.phonenumber IS NULL,
                          d.allownotify, concat(d.email, d.phonenumber) COLLATE "C" ~ '[^A-Za-z0-9@._-]'
             ORDER BY md5(u.id::text)
         ),
         d.referencedatauserid IS NOT NULL,
         md5(u.id::text)
LIMIT %(number)s
"""

CHOOSE_PROFILES_BEFORE = """
SELECT u.id::text AS id, u.username, u.firstname, u.lastname, u.timezone,
       u.homefacilityid::text AS homefacilityid, u.active, u.loginrestricted, u.extradata,
       u.email, u.verified, u.allownotify
FROM referencedata.users AS u
ORDER BY row_number() OVER (
             PARTITION BY u.email IS NULL, u.verified, u.allownotify, u.email COLLATE "C" ~ '[^A-Za-z0-9@._-]'
             ORDER BY md5(u.id::text)
         ),
         md5(u.id::text)
LIMIT %(number)s
"""

# A user for whom saving what was read changes nothing (notification 4.0.0): with an address that is verified, that no
# other address contains (the service searches duplicates with LIKE, the address being the pattern) and that is not on
# its way to be verified; without a NULL or blank that the service would write as something else. The longest plain
# addresses are tried, since a longer one is less likely to be contained; each try reads all addresses.
CHOOSE_WRITE_BACK = """
SELECT candidate.id, candidate.username
FROM (
    SELECT d.referencedatauserid::text AS id, u.username, d.referencedatauserid, d.email
    FROM notification.user_contact_details AS d
    JOIN referencedata.users AS u ON u.id = d.referencedatauserid
    WHERE d.emailverified
      AND d.allownotify IS NOT NULL
      AND d.email ~ '[^[:space:]]'
      AND (d.phonenumber IS NULL OR d.phonenumber ~ '[^[:space:]]')
    ORDER BY d.email COLLATE "C" ~ '^[A-Za-z0-9._-]{1,64}@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$' DESC,
      length(d.email) DESC, d.email
    LIMIT 200
) AS candidate
WHERE NOT EXISTS (
    SELECT FROM notification.user_contact_details AS other
    WHERE other.referencedatauserid <> candidate.referencedatauserid
      AND lower(other.email) LIKE '%' || lower(candidate.email) || '%')
  AND NOT EXISTS (
    SELECT FROM notification.email_verification_tokens AS token
    WHERE token.usercontactdetailsid = candidate.referencedatauserid
      OR lower(token.emailaddress) = lower(candidate.email))
LIMIT 1
"""

# What the row is without what is in it.
ROW_CHECKSUM = """
SELECT md5(d::text) AS checksum FROM notification.user_contact_details AS d WHERE referencedatauserid = %(id)s::uuid
"""

USER_FIELDS = {
    "id": "id",
    "username": "username",
    "firstName": "firstname",
    "lastName": "lastname",
    "timezone": "timezone",
    "homeFacilityId": "homefacilityid",
    "active": "active",
    "loginRestricted": "loginrestricted",
    "extraData": "extradata",
}
# What a user has besides, from 3.4 on and before.
RELEASE_FIELDS = {"jobTitle": "jobtitle"}
RELEASE_FIELDS_BEFORE = {"email": "email", "verified": "verified"}


def user_differences(row: Mapping[str, Any], shown: Any, contact_details: bool = True) -> list[str]:
    """The fields of GET /api/users/{id} that are not as in the row; shown is None where there is no such user."""
    if not isinstance(shown, dict):
        return ["has no user at /api/users" if shown is None else "/api/users shows no user"]
    fields = {**USER_FIELDS, **(RELEASE_FIELDS if contact_details else RELEASE_FIELDS_BEFORE)}
    # An empty extraData is stored as NULL or {}, and shown as either.
    found = [
        f"{field} differs"
        for field, column in fields.items()
        if (shown.get(field) != row[column]) and not (field == "extraData" and not shown.get(field) and not row[column])
    ]
    if not contact_details and not same_preference(row["allownotify"], shown):
        found.append("allowNotify differs")
    return found


def same_preference(stored: bool | None, shown: Mapping[str, Any]) -> bool:
    """Whether allowNotify is shown as stored; what the row's NULL comes through may give null, false or
    leave it out.
    """
    return not shown.get("allowNotify") if stored is None else shown.get("allowNotify") == stored


def contact_differences(row: Mapping[str, Any], shown: Any) -> list[str]:
    """The fields of GET /api/userContactDetails/{id} that are not as in the row; None where the user has none."""
    if not isinstance(shown, dict):
        return ["has no contact details" if shown is None else "/api/userContactDetails shows no contact details"]
    email = shown.get("emailDetails") or {}
    pairs = {
        "referenceDataUserId": (shown.get("referenceDataUserId"), row["id"]),
        "phoneNumber": (shown.get("phoneNumber"), row["phonenumber"]),
        "allowNotify": (same_preference(row["allownotify"], shown), True),
        "email": (email.get("email"), row["email"]),
        "emailVerified": (bool(email.get("emailVerified")), bool(row["emailverified"])),
    }
    return [f"{field} differs" for field, (one, other) in pairs.items() if one != other]


def script_source(page: str) -> str:
    """The path of openlmis.js as the start page names it, or where reference-ui has it."""
    found = re.search(r"""src\s*=\s*["']?([^"'\s>]*openlmis\.js[^"'\s>]*)""", page)
    if not found:
        return "/openlmis.js"
    parts = urlsplit(found.group(1))
    path = parts.path if parts.path.startswith("/") else "/" + parts.path
    return f"{path}?{parts.query}" if parts.query else path
