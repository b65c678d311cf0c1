#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: make_harmless
short_description: Keep a copy of production from reaching real people and partners
version_added: "0.1.0"
description:
  - Rewrites, in one transaction, what an OpenLMIS database would send something to. It is for copies only; in
    production it would be a disaster.
  - E-mail addresses, in every text column whose name ends in C(email), C(emailaddress) or the like, of all schemas.
    Each domain gets
    C(.invalid.example.org) behind it (C(ann@lmis.example) becomes C(ann@lmis.example.invalid.example.org)), under which
    there is nobody. What
    comes before it, case, blanks and special characters stay, since odd addresses are what a rehearsal tries. What has
    no domain gets the same
    ending. NULL and blank values stay, and so do addresses that end so already.
  - Equal addresses stay equal, different ones different, over all columns. An address that would get longer than its
    column takes, or equal to
    another one, is shortened and gets a hash of the old one before the domain.
  - In C(fulfillment.transfer_properties) every host gets C(.invalid) behind it, and every password becomes
    C(rehearsal).
  - Tokens for a new password or for the verification of an address expire.
  - Then it proves in SQL, before it commits, that no address and no host is left that could be reached, and that every
    column has as many rows,
    addresses and different addresses as before. Otherwise everything is rolled back.
  - Audit logs (C(jv_snapshot)) and free texts keep what they hold, since nothing is sent from there. The copy still is
    personal data.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.database
options:
  copy:
    description:
      - Must be V(true), as a word that this database is a copy and not production's.
      - The database's comment has to say so, too, as M(openlmis.operations.database_copy) leaves it.
    type: bool
    required: true
  statement_timeout:
    description: Seconds that a single statement may take; V(0) for any time.
    type: int
    default: 0
attributes:
  check_mode:
    description: Does and proves all of it and rolls back.
    support: full
  diff_mode:
    description: A diff would show addresses.
    support: none
seealso:
  - module: openlmis.operations.database_copy
"""

EXAMPLES = r"""
- name: Make the copy harmless
  openlmis.operations.make_harmless:
    project_src: /opt/openlmis
    login_db: open_lmis_copy
    copy: true
"""

RETURN = r"""
addresses:
  description: Number of addresses that were rewritten.
  returned: success
  type: int
columns:
  description: How many in each column.
  returned: success
  type: dict
  sample: {"referencedata.users.email": 321}
transfers:
  description: Number of rows of C(fulfillment.transfer_properties) that were rewritten.
  returned: success
  type: int
tokens:
  description: Number of tokens that have expired by this.
  returned: success
  type: int
verified:
  description: Always true; without the proof the module fails.
  returned: success
  type: bool
duration:
  description: Seconds that it took.
  returned: success
  type: float
lines:
  description: The same in words.
  returned: success
  type: list
  elements: str
"""

import time
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import skeleton
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import harmless


def work(module: AnsibleModule) -> Dict[str, Any]:
    """Rewrite the copy."""
    params = module.params
    if params["project_src"] or params["project_name"]:
        compose.require_docker(module)
    database.require_psycopg2(module)
    if not params["copy"]:
        raise OperationError(
            "copy is false; true is expected, since production's addresses must not be rewritten. Nothing was changed."
        )
    begin = time.monotonic()
    result = harmless.rewrite(database.resolve_connection(params), params["statement_timeout"], module.check_mode)
    return {
        "changed": bool(result["addresses"] or result["transfers"] or result["tokens"]),
        "verified": True,
        "duration": round(time.monotonic() - begin, 3),
        "lines": harmless.said(result),
        **result,
    }


def main() -> None:
    """Entry point of the module."""
    spec = database.connection_argument_spec()
    spec.update(copy={"type": "bool", "required": True}, statement_timeout={"type": "int", "default": 0})
    skeleton.main(spec, work)


if __name__ == "__main__":
    main()
