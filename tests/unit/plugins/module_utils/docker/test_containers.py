# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from types import SimpleNamespace

import psycopg2
import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import containers
from ansible_collections.openlmis.operations.plugins.module_utils.dump import clients
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database


def test_output_is_kept_up_to_a_limit():
    assert containers.bounded([b"ab", b"cd"], 4) == "abcd"
    assert containers.bounded([b"ab", b"cdef", b"gh"], 4) == "ab\n[...]\ngh"
    assert containers.bounded([], 4) == ""
    assert containers.bounded([b"x" * 1000] * 1000, 100) == "x" * 50 + "\n[...]\n" + "x" * 50


@pytest.mark.parametrize(
    ("err", "said"),
    [
        ("", "nothing"),
        ("pg_dump: [archiver] something\nmore", "pg_dump: [archiver] something"),
        ("pg_restore: while PROCESSING TOC:\npg_restore: error: no room", "pg_restore: error: no room"),
        (
            'pg_restore: error: COPY failed for table "users": ERROR:  invalid input: "ann@example.org"',
            'pg_restore: error: COPY failed for table "users"',
        ),
    ],
)
def test_what_a_program_complained_about(err, said):
    assert containers.Outcome(1, "", err).said() == said


def test_password_file_escapes_what_libpq_reads_as_a_separator():
    assert containers.passfile_line("po:st", "a:b\\c") == "*:*:*:po\\:st:a\\:b\\\\c\n"


def test_the_password_file_is_private_and_gone_afterwards(tmp_path):
    path = tmp_path / ".pgpass"
    path.write_text("left by a killed run, and readable")
    with containers.password_file(str(path), "u", "p") as mount:
        assert mount == {str(path): {"bind": containers.PASSWORD_FILE, "mode": "ro"}}
        assert path.read_text() == "*:*:*:u:p\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_the_same_work_is_known_again():
    def work(image="image", command=("a", "b"), **options):
        return containers.work_of(image, list(command), options)

    assert work(user="1") == work(user="1")
    assert len({work(), work(user="1"), work(user="2"), work(image="other"), work(command=("a",))}) == 5


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("9.6.24", (9, 6)),
        ("pg_dump (PostgreSQL) 9.6.24", (9, 6)),
        ("15.14 (Debian 15.14-0+deb12u1)", (15,)),
        ("10.0", (10,)),
        ("", (0,)),
    ],
)
def test_the_major_of_a_version(version, major):
    assert clients.major_of(version) == major


def test_the_oldest_programs_that_are_not_older_than_the_server_are_taken():
    programs = {(9, 6): "a", (12,): "b", (15,): "c"}
    assert clients.fitting(programs, "9.5.1") == "a"
    assert clients.fitting(programs, "9.6.24") == "a"
    assert clients.fitting(programs, "10.3") == "b"
    assert clients.fitting(programs, "15.2") == "c"
    assert clients.fitting(programs, "16.0") is None
    assert clients.fitting({}, "9.6") is None


def test_programs_of_a_named_image_find_certificates_where_they_are_mounted(tmp_path):
    settings = database.ConnectionSettings(
        host="192.0.2.1",
        port=5433,
        database="open_lmis",
        user="lmis",
        password="geheim",
        params={
            "sslmode": "verify-full",
            "sslrootcert": "/etc/ca.pem",
            "sslcert": "/etc/both.pem",
            "sslkey": "/etc/both.pem",
        },
    )
    programs = clients.ImageClients(None, settings, "run", str(tmp_path), "postgres:15")
    assert (programs.image, programs.network) == ("postgres:15", "host")
    told = psycopg2.extensions.parse_dsn(programs.dsn("other"))
    assert told == {
        "host": "192.0.2.1",
        "hostaddr": "192.0.2.1",
        "port": "5433",
        "user": "lmis",
        "dbname": "other",
        "sslmode": "verify-full",
        "sslrootcert": "/openlmis-backup-sslrootcert",
        "sslcert": "/openlmis-backup-sslcert",
        "sslkey": "/openlmis-backup-sslcert",
    }
    assert programs.certificates == {
        "/etc/ca.pem": {"bind": "/openlmis-backup-sslrootcert", "mode": "ro"},
        "/etc/both.pem": {"bind": "/openlmis-backup-sslcert", "mode": "ro"},
    }


def test_programs_of_the_database_s_own_image_share_its_network(tmp_path):
    container = SimpleNamespace(id="c0ffee", attrs={"Image": "sha256:1"})
    settings = database.ConnectionSettings(
        host="db", hostaddr="172.18.0.2", container=container, user="lmis", params={"sslmode": "require"}
    )
    programs = clients.find(None, settings, "9.6.24", "run", str(tmp_path), "postgres:15")
    assert (programs.image, programs.network) == ("sha256:1", "container:c0ffee")
    assert psycopg2.extensions.parse_dsn(programs.dsn("other")) == {
        "host": "127.0.0.1",
        "port": "5432",
        "user": "lmis",
        "dbname": "other",
    }


def test_an_image_is_of_no_use_on_an_engine_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.77:2376")
    with pytest.raises(OperationError, match="the Docker Engine is on 192.0.2.77: it would write the dump there"):
        clients.find(None, database.ConnectionSettings(host="192.0.2.1"), "15.2", "run", str(tmp_path), "postgres:15")
