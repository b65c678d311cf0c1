# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For the tasks of this target: make a database with three users, or print the target's rows.

make_database.py SERVER NAME [read]     SERVER is the JSON that postgresql_server.py prints
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg2

USERS = """
INSERT INTO referencedata.users (id, username, email, phonenumber, verified, allownotify, firstname, lastname) VALUES
    ('63b8f5e2-0000-4000-8000-000000000001', 'ann', 'o''brien@example.org', '+265 1,2', true, NULL, 'A', 'O'),
    ('63b8f5e2-0000-4000-8000-000000000002', 'bob', 'bob@example.org', NULL, false, false, 'B', 'B'),
    ('63b8f5e2-0000-4000-8000-000000000003', 'service', '  ', E'\\t', true, true, 'S', 'S')
"""


def connect(server: dict, name: str):
    connection = psycopg2.connect(host=server["socket"], port=server["port"], user=server["user"], dbname=name)
    connection.autocommit = True
    return connection.cursor()


def main(server: dict, name: str, read: bool) -> None:
    if not read:
        connect(server, "postgres").execute("CREATE DATABASE " + name)
        cursor = connect(server, name)
        cursor.execute(Path(__file__).with_name("schema.sql").read_text())
        cursor.execute(USERS)
    else:
        cursor = connect(server, name)
        cursor.execute(
            "SELECT referencedatauserid::text, phonenumber, allownotify, email, emailverified"
            " FROM notification.user_contact_details ORDER BY 1"
        )
        print(json.dumps(cursor.fetchall()))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], "read" in sys.argv[3:])
