# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to compare with: all rows to the client, and back as one INSERT per row, as text, in one transaction by psql.

row_by_row.py PSQL     the connection comes from PGHOST and the like
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

import psycopg2


def main(psql: str) -> None:
    with psycopg2.connect("") as connection, connection.cursor() as cursor, tempfile.NamedTemporaryFile("wb") as script:
        cursor.execute("SELECT id, phonenumber, allownotify, email, verified FROM referencedata.users")
        rows = cursor.fetchall()
        connection.rollback()
        script.write(b"TRUNCATE notification.user_contact_details CASCADE;\n")
        for row in rows:
            script.write(
                cursor.mogrify("INSERT INTO notification.user_contact_details VALUES (%s, %s, %s, %s, %s);\n", row)
            )
        script.flush()
        subprocess.run([psql, "-Xq", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", script.name], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
