# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module, run with every statement on the tables' rows explained, with ANALYZE and BUFFERS, before it is run."""

from __future__ import annotations

import sys

from ansible_collections.openlmis.operations.plugins.module_utils.data import contact_details
from ansible_collections.openlmis.operations.plugins.modules import user_contact_details_migration as module


class Explained(contact_details.Migration):
    def _execute(self, cursor, statement):
        # What the explained statement wrote is taken back, for it is run once more.
        cursor.execute("SAVEPOINT explained")
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + statement, self.parameters)
        print("\n%s:\n%s" % (self.doing, "\n".join(row[0] for row in cursor.fetchall())), file=sys.stderr)
        cursor.execute("ROLLBACK TO explained")
        return super()._execute(cursor, statement)


if __name__ == "__main__":
    contact_details.Migration = Explained
    module.main()
