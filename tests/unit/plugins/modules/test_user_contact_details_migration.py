# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""That what is documented is what there is; the copy itself is tested where it is."""

from __future__ import annotations

import yaml
from ansible_collections.openlmis.operations.plugins.doc_fragments import database, progress
from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql.database import connection_argument_spec
from ansible_collections.openlmis.operations.plugins.modules import user_contact_details_migration as module


def test_every_option_is_documented_and_every_documented_option_exists():
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    shared = yaml.safe_load(database.ModuleDocFragment.DOCUMENTATION)["options"]
    told = yaml.safe_load(progress.ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(shared) == set(connection_argument_spec())
    assert set(documented) | set(shared) | set(told) == set(contact_details.argument_spec())


def test_the_documentation_lists_the_blanks():
    text = module.DOCUMENTATION
    for one in contact_details.BLANKS:
        code = "U+%04X" % ord(one)
        if not (
            0x0A <= ord(one) <= 0x0C or 0x1D <= ord(one) <= 0x1F or 0x2001 <= ord(one) <= 0x2005 or ord(one) == 0x2009
        ):
            assert code in text
