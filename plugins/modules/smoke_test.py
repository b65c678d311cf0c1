#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: smoke_test
short_description: Use an OpenLMIS server as its users do, and compare what it shows with its database
version_added: "0.1.0"
description:
  - Checks what a person would check by hand after an upgrade to a release in which the notification service owns users'
    contact details, OpenLMIS 3.4 and later. Every check is run, also after one has failed.
  - B(ui) - the start page is there and C(openlmis.js) is a script that is not empty.
  - B(versions) - every component of O(components) names its version.
  - B(wrong login) - the administrator's name with a wrong password gets no token.
  - B(login) - the administrator gets a token.
  - B(no token) - users and contact details are refused to a caller without a token.
  - B(profiles) - both halves of the profile page of some users, with and without e-mail address, verified or not, with
    and without telephone number, with unusual characters, equal their rows in the database field by field.
  - B(write back) - the contact details of one user are saved exactly as they were read; what is read afterwards, and
    the row, are as before. The user is one for whom this changes nothing and sends no mail, with a verified e-mail
    address that the service's own search for duplicates (a C(LIKE), in which C(%) and C(_) are wildcards) finds with no
    other user.
  - A request that nginx answers with 502, 503 or 504 is repeated for O(retry_seconds), a login and the saving of what
    was read as
    well, since neither does anything the second time.
  - No check has personal data in its words. Users are named by id and username.
  - Of a release before 3.4, with O(contact_details=false), B(profiles) are compared as the reference data service alone
    shows
    them, B(no token) asks for users only, and nothing is written back.
options:
  contact_details:
    description: Whether the release is one in which the notification service owns the contact details.
    type: bool
    default: true
  admin_username:
    description: A user with the right C(USERS_MANAGE).
    type: str
    required: true
  admin_password:
    description: The user's password. It is sent in the body of a request, where no access log has it.
    type: str
    required: true
  client_id:
    description: The OAuth client of the user interface.
    type: str
    default: user-client
  client_secret:
    description: The client's secret. V(changeme) is what OpenLMIS comes with.
    type: str
    default: changeme
  profiles:
    description: How many users' profiles to view. A second run views the same ones.
    type: int
    default: 20
  timeout:
    description: Seconds that one request may take.
    type: int
    default: 30
  retry_seconds:
    description: For how many seconds a request that is answered with 502, 503 or 504 is repeated, from the first such
      answer on.
    type: int
    default: 30
extends_documentation_fragment:
  - openlmis.operations.site
  - openlmis.operations.database
attributes:
  check_mode:
    description: Says what would be checked and does nothing, not even a login.
    support: full
  diff_mode:
    description: Has no diff, since nothing is changed.
    support: none
requirements:
  - psycopg2 (Python package) on the host, which has to reach the database and O(base_url)
seealso:
  - module: openlmis.operations.wait_for_release
  - module: openlmis.operations.user_contact_details_migration
author:
  - OpenLMIS operations contributors (@OpenLMIS)
"""

EXAMPLES = r"""
- name: See whether users can work
  openlmis.operations.smoke_test:
    project_src: /opt/openlmis
    settings_file: /opt/openlmis/settings.env
    base_url: https://openlmis.example.org
    admin_username: administrator
    admin_password: "{{ openlmis_admin_password }}"
    components:
      - name: referencedata
        version: 11.0.0
      - name: notification
        version: 4.0.0
  register: smoke_test

- name: Show what was checked
  ansible.builtin.debug:
    var: smoke_test.results
"""

RETURN = r"""
results:
  description: Every check in the order in which it was run. Also returned when one has failed.
  returned: not in check mode
  type: list
  elements: dict
  contains:
    name:
      description: The name of the check.
      type: str
    ok:
      description: Whether nothing wrong was found.
      type: bool
    skipped:
      description: Whether the check found nothing that it could be tried on, so that it proves nothing.
      type: bool
    detail:
      description: What was found, in words.
      type: str
  sample:
    - {name: login, ok: true, skipped: false, detail: the administrator got a token}
msg:
  description: The sum of the checks, or each that failed.
  returned: always
  type: str
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.release import smoke, web


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Use the server as a user would."""
    database.require_psycopg2(module)
    return smoke.test(module.params, module.check_mode, module.no_log_values.add)


def main() -> None:
    """Entry point of the module."""
    spec = {**database.connection_argument_spec(), **web.site_argument_spec()}
    spec.update(
        admin_username={"type": "str", "required": True},
        admin_password={"type": "str", "required": True, "no_log": True},
        client_id={"type": "str", "default": "user-client"},
        client_secret={"type": "str", "default": "changeme", "no_log": True},
        contact_details={"type": "bool", "default": True},
        profiles={"type": "int", "default": 20},
        timeout={"type": "int", "default": 30},
        retry_seconds={"type": "int", "default": 30},
    )
    skeleton.main(spec, work)


if __name__ == "__main__":
    main()
