#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy users' contact details to the place where OpenLMIS 3.4 keeps them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: user_contact_details_migration
short_description: Copy users' contact details to where OpenLMIS 3.4 keeps them
version_added: "0.1.0"
author:
  - OpenLMIS operations contributors (@OpenLMIS)
description:
  - Up to OpenLMIS 3.3 the reference data service owns a user's e-mail address, phone number and notification
    preference; from
    3.4 the notification service does. No service moves them, and until they are moved every user profile page of 3.4
    fails.
  - This module copies what is missing from C(referencedata.users) to C(notification.user_contact_details), in one
    transaction
    on the database server, and verifies the result before it commits. It never truncates and never deletes.
  - It may run again at any time. Then it copies the users that came in since, and keeps what was edited in 3.4 unless
    O(on_existing=update).
  - Each user gets one row. The id, e-mail address and phone number are copied byte for byte, except that a blank one
    becomes
    NULL. C(emailverified) is what C(verified) was, and false without an e-mail address. C(allownotify) is copied as it
    is. A
    NULL stays NULL, which OpenLMIS 3.3 and 3.4 both take for no mail.
  - Blank is what the notification service takes for blank, which is C(StringUtils.isBlank) on Java 8. That is nothing
    but the
    characters U+0009 to U+000D, U+001C to U+0020, U+1680, U+180E, U+2000 to U+2006, U+2008 to U+200A, U+2028, U+2029,
    U+205F
    and U+3000. The no-break spaces U+00A0, U+2007 and U+202F are not blank.
  - Where C(referencedata.users) has no column C(phonenumber), which C(referencedata) 11.0.0 adds, nobody has a phone
    number.
  - E-mail addresses are unique in the target. If the copy would give one address to two users, the module writes
    nothing and
    names them. With O(on_existing=update) users may swap or pass on addresses among themselves.
options:
  on_existing:
    description:
      - What to do with users who have a row in the target already, and whose details differ there.
      - V(keep) leaves their rows as they are, and counts and names them in RV(kept) and RV(kept_users).
      - V(update) sets them back to what C(referencedata.users) says. This undoes every edit made in 3.4.
    type: str
    choices: [keep, update]
    default: keep
  lock_timeout:
    description:
      - How many seconds to wait for the lock on the target, which keeps writers and a second copy out until the end.
      - V(0) waits as long as O(statement_timeout) allows.
    type: int
    default: 30
  statement_timeout:
    description:
      - How many seconds a single statement may take. V(0) sets no limit.
    type: int
    default: 900
extends_documentation_fragment:
  - openlmis.operations.database
  - openlmis.operations.progress
attributes:
  check_mode:
    description: Does everything, verification included, and rolls back.
    support: full
  diff_mode:
    description: Shows numbers of users and the ids of the first of them, never a value.
    support: full
  platform:
    description: Target OS or OS family.
    platforms: posix
    support: full
notes:
  - The database role needs C(GRANT USAGE ON SCHEMA referencedata, notification), C(GRANT SELECT ON referencedata.users)
    and
    C(GRANT SELECT, INSERT, UPDATE ON notification.user_contact_details); the lock needs UPDATE even when nothing is
    updated.
    It need not own anything nor be a superuser.
  - Stop the notification service before, so that no user meets the copy half way. If it runs, it waits while the copy
    runs.
  - E-mail addresses and phone numbers are in no output. Users are named by id and username; a username that looks like
    an e-mail
    address or phone number is left out.
  - Works with PostgreSQL 9.6 and later, in any server encoding.
"""

EXAMPLES = r"""
# Ad hoc, on the server, before and after:
#   ansible localhost -m openlmis.operations.user_contact_details_migration
#     -a "settings_file=/srv/openlmis/settings.env project_src=/srv/openlmis" --check --diff

- name: Copy the contact details on a server whose database runs in Compose
  openlmis.operations.user_contact_details_migration:
    settings_file: /srv/openlmis/settings.env
    project_src: /srv/openlmis

- name: Copy them in a database outside Compose, over TLS
  openlmis.operations.user_contact_details_migration:
    settings_file: /srv/openlmis/settings.env
    ssl_mode: verify-full
    ca_cert: /etc/ssl/certs/rds.pem

- name: See whose details differ from 3.3's, and change nothing
  openlmis.operations.user_contact_details_migration:
    database_url: jdbc:postgresql://db.example.org:5432/open_lmis
    login_user: openlmis
    login_password: "{{ openlmis_database_password }}"
    on_existing: update
  check_mode: true
  diff: true
"""

RETURN = r"""
changed:
  description: Whether rows were written, or would have been without check mode.
  returned: always
  type: bool
msg:
  description: What was done, in one sentence.
  returned: always
  type: str
source:
  description: Number of users in C(referencedata.users).
  returned: success
  type: int
  sample: 312
inserted:
  description: Number of users who had no contact details and got them.
  returned: success
  type: int
  sample: 311
updated:
  description: Number of users whose details differed and were set back; V(0) with O(on_existing=keep).
  returned: success
  type: int
  sample: 0
unchanged:
  description: Number of users whose details were there already, and equal.
  returned: success
  type: int
  sample: 0
kept:
  description: Number of users whose details were there already, differ, and were left alone; V(0) with
    O(on_existing=update).
  returned: success
  type: int
  sample: 1
kept_users:
  description: Ids of the users that RV(kept) counts, the first 100 of them in their order.
  returned: success
  type: list
  elements: str
  sample: ["0d6b2a3c-92e5-4a3e-9c1e-2a1d5a1c0b7f"]
without_email:
  description: Number of users in C(referencedata.users) whose e-mail address is NULL or blank.
  returned: success
  type: int
  sample: 12
verified:
  description:
    - Whether every user was found in the target, and equal unless counted in RV(kept), before the end of the
      transaction. It is
      never V(false), because the module fails then.
  returned: success
  type: bool
  sample: true
duration:
  description: Seconds from connecting to the end of the transaction.
  returned: success
  type: float
  sample: 0.214
server_version:
  description: Version of the database server.
  returned: success
  type: str
  sample: "9.6.24"
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress, skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Copy, in one transaction."""
    database.require_psycopg2(module)
    with progress.Progress(module.params["progress_file"]) as progressing:
        return contact_details.migrate(module.params, module.check_mode, module._diff, module.warn, progressing)


def main() -> None:
    """Entry point of the module."""
    skeleton.main(contact_details.argument_spec(), work)


if __name__ == "__main__":
    main()
