# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module on a real PostgreSQL: what it counts where another program than Flyway keeps a history, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2
import pytest

HERE = Path(__file__).resolve().parent
# ansible-test runs a copy that lies inside the collection; a plain checkout has a link to itself in .cache.
INSTALLED = [parent.parents[2] for parent in HERE.parents if parent.parts[-3:] == ("ansible_collections", "openlmis", "operations")]
COLLECTIONS = INSTALLED[-1] if INSTALLED else HERE.parents[4] / ".cache" / "collections"
sys.path.insert(0, str(HERE.parents[1] / "setup_postgresql" / "files"))

import postgresql_server  # noqa: E402

SCHEMA = """
CREATE SCHEMA auth; CREATE SCHEMA site;
CREATE TABLE auth.schema_version (installed_rank int PRIMARY KEY, version varchar(50), type varchar(20) NOT NULL, success boolean NOT NULL);
INSERT INTO auth.schema_version VALUES (0, '0', 'SCHEMA', true), (1, '20180613120215847', 'SQL', true), (2, '3', 'SQL', false);
CREATE TABLE site.schema_version (version int NOT NULL);
INSERT INTO site.schema_version VALUES (7);
"""


@pytest.fixture(scope="session")
def server():
    """The server that the target set up, or one of our own."""
    if "OPENLMIS_TEST_SERVER" in os.environ:
        yield json.loads(os.environ["OPENLMIS_TEST_SERVER"])
        return
    with tempfile.TemporaryDirectory(prefix="openlmis-postgresql-", dir="/tmp") as folder:
        yield postgresql_server.start(Path(folder))
        postgresql_server.stop(Path(folder))


@pytest.fixture
def arguments(server):
    place = {"host": server["socket"], "port": server["port"], "user": server["user"]}
    name = f"activity_{os.getpid()}"
    administration = psycopg2.connect(dbname="postgres", **place)
    administration.autocommit = True
    administration.cursor().execute(f"CREATE DATABASE {name}")
    connection = psycopg2.connect(dbname=name, **place)
    with connection, connection.cursor() as cursor:
        cursor.execute(SCHEMA)
    connection.close()
    yield {"login_unix_socket": server["socket"], "login_port": server["port"], "login_user": server["user"], "login_db": name, "login_password": ""}
    administration.cursor().execute(f"DROP DATABASE {name}")
    administration.close()


def test_a_history_of_another_program_is_a_table_as_others(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.openlmis.operations.plugins.modules.database_activity"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "count_within": 20}}), capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
    )  # fmt: skip
    counted = json.loads(done.stdout)["count"]
    assert counted["histories"] == {"auth": ["20180613120215847"]}
    assert counted["rows"] == {"auth.schema_version": 3, "site.schema_version": 1}
    assert counted["uncounted"] == []
