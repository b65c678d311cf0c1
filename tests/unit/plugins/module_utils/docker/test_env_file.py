# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker.env_file import (
    parse_env_file,
    read_env_file,
    settings_file,
)

ENVIRONMENT = {"OUTER": "from-env", "EMPTY": ""}

# What Docker Compose 2.26.1 makes of an env_file, tried with `docker compose config`; None where it refuses the file.
COMPOSE = [
    # assignments
    ("A=1", {"A": "1"}),
    ("A = 1", {"A": "1"}),
    ("A =1", {"A": "1"}),
    ("A=", {"A": ""}),
    ("A=\nB=1", {"A": "", "B": "1"}),
    ("A= x ", {"A": "x"}),
    ("A=x\ty\t", {"A": "x\ty"}),
    ("A=1=2", {"A": "1=2"}),
    ("A==1", {"A": "=1"}),
    ("A=1\n\n\nA=2", {"A": "2"}),
    ("  A=1", {"A": "1"}),
    ("A=a\r\nB=2\r\n", {"A": "a", "B": "2"}),
    ("\ufeffA=1", {"A": "1"}),
    ("A=\u00e9\u3000", {"A": "\u00e9"}),
    ("A=a;b", {"A": "a;b"}),
    ("A=x\\", {"A": "x\\"}),
    # keys
    ("auth.server.clientId=x", {"auth.server.clientId": "x"}),
    ("a-b=1", {"a-b": "1"}),
    ("A[0]=1", {"A[0]": "1"}),
    ("1A=1", {"1A": "1"}),
    ("\u00e9=1", {"\u00e9": "1"}),
    ("export A=1", {"A": "1"}),
    ("export  A=1", {"A": "1"}),
    ("exportA=1", {"exportA": "1"}),
    ("A: 1", {"A": "1"}),
    ("A:1\n", {"A": "1"}),
    ("OUTER\nB=1", {"OUTER": "from-env", "B": "1"}),
    ("A B=1", None),
    ("A*=1", None),
    ("A+=1", None),
    # comments
    ("# c\nA=1", {"A": "1"}),
    ("A=a#b", {"A": "a#b"}),
    ("A=a #b", {"A": "a"}),
    ("A= #b", {"A": "#b"}),
    ("A=#b", {"A": "#b"}),
    ('A="x" # c\nB=2', {"A": "x", "B": "2"}),
    ('A="x"#c\nB=1', {"A": "x", "B": "1"}),
    ("A='x # y'", {"A": "x # y"}),
    # quotes and escapes
    ("A=''", {"A": ""}),
    ('A=""', {"A": ""}),
    ("A=x'y'", {"A": "x'y'"}),
    ("A='it\\'s'", {"A": "it's"}),
    ("A='a\\nb'", {"A": "a\\nb"}),
    ("A='a\\\\b'", {"A": "a\\\\b"}),
    ('A="a\\nb"', {"A": "a\nb"}),
    ("A=a\\nb", {"A": "a\\nb"}),
    ('A="a\\"b"', {"A": 'a"b'}),
    ('A="a\\\\b"', {"A": "a\\b"}),
    ('A="a\\qb"', {"A": "a\\qb"}),
    ('A="a\\\'b"', {"A": "a\\'b"}),
    ('A="\\t\\x41\\101\\0101"', {"A": "\t\\x41\\101A"}),
    ('A="a\\0b"', {"A": "a\\b"}),
    ('A="x\ny"\nB=2', {"A": "x\ny", "B": "2"}),
    ("A='x\ny'\nB=2", {"A": "x\ny", "B": "2"}),
    ('A="a\r\nb"\r\nB=1\r\n', {"A": "a\r\nb", "B": "1"}),
    ("A='x", None),
    ('A="x', None),
    ("A='a\\'", None),
    ("A='x' 'y'", None),
    # interpolation
    ("A=pa$word", {"A": "pa"}),
    ("A=pa$$word", {"A": "pa$word"}),
    ("A='pa$word'", {"A": "pa$word"}),
    ('A="pa$word"', {"A": "pa"}),
    ('A="a\\$b"', {"A": "a$b"}),
    ("A=pa$", {"A": "pa$"}),
    ("A=pa$1", {"A": "pa$1"}),
    ("A=pa$%x", {"A": "pa$%x"}),
    ("A=a$}b", {"A": "a$}b"}),
    ("A=$(id)", {"A": "$(id)"}),
    ("A=$_x", {"A": ""}),
    ("A=$OUTER-x", {"A": "from-env-x"}),
    ("A=$OUTER$$OUTER", {"A": "from-env$OUTER"}),
    ("A=${OUTER}", {"A": "from-env"}),
    ("A=$${OUTER}", {"A": "${OUTER}"}),
    ("A={x}$OUTER{y}", {"A": "{x}from-env{y}"}),
    ("B=1\nA=${B}", {"A": "1", "B": "1"}),
    ("OUTER=mine\nA=$OUTER", {"A": "from-env", "OUTER": "mine"}),
    ("A=${NO:-d}", {"A": "d"}),
    ("A=${NO-d}", {"A": "d"}),
    ("A=${EMPTY-d}", {"A": ""}),
    ("A=${EMPTY:-d}", {"A": "d"}),
    ("A=${OUTER:-d}", {"A": "from-env"}),
    ("A=${OUTER:+y}", {"A": "y"}),
    ("A=${NO:+y}z", {"A": "z"}),
    ("A=${EMPTY+y}z", {"A": "yz"}),
    ("A=${EMPTY?x}", {"A": ""}),
    ("A=${NO:-${OUTER}}!", {"A": "from-env!"}),
    ("A=${NO:-$OUTER}!", {"A": "from-env!"}),
    ("A=x${NO:-a}y${NO:-b}z", {"A": "xaybz"}),
    ("A=${OUTER:-a}}b", {"A": "from-env}b"}),
    ("A=${NO:-a-b}", {"A": "a-b"}),
    ("A=${NO-a:-b}", {"A": "a:-b"}),
    ("A=${NO:?x}", None),
    ("A=${NO?x}", None),
    ("A=${", None),
    ("A=${}", None),
    ("A=${1}", None),
    ("A=${NO:-a b #c}", None),
    # what a deployment holds
    (
        "DATABASE_URL=jdbc:postgresql://db:5432/open_lmis?sslmode=require&x=",
        {"DATABASE_URL": "jdbc:postgresql://db:5432/open_lmis?sslmode=require&x="},
    ),
    ("POSTGRES_PASSWORD=p@ssw0rd", {"POSTGRES_PASSWORD": "p@ssw0rd"}),
]


@pytest.mark.parametrize(("text", "values"), COMPOSE, ids=[repr(text) for text, values in COMPOSE])
def test_env_file_as_compose_reads_it(text, values):
    if values is None:
        with pytest.raises(OperationError, match="settings file, line 1.* Expected "):
            parse_env_file(text, ENVIRONMENT)
    else:
        assert parse_env_file(text, ENVIRONMENT).values == values


def test_the_table_is_what_compose_does(tmp_path):
    """Asks a real Compose, where there is one: all that it takes in one go, all that it refuses one by one."""
    docker = shutil.which("docker")
    version = docker and subprocess.run(
        [docker, "compose", "version", "--short"], capture_output=True, text=True, check=False
    )
    if not version or version.returncode or not version.stdout.strip().lstrip("v").startswith("2."):
        pytest.skip("no Docker Compose v2")

    def config(folder, texts):
        folder.mkdir()
        services = {"s%d" % n: {"image": "x", "env_file": "%d.env" % n} for n in range(len(texts))}
        (folder / "docker-compose.yml").write_text(json.dumps({"services": services}))
        for number, text in enumerate(texts):
            (folder / ("%d.env" % number)).write_bytes(text.encode())
        environment = {**ENVIRONMENT, "PATH": os.environ["PATH"], "HOME": str(folder)}
        command = [docker, "compose", "config", "--format", "json"]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    taken = [(text, values) for text, values in COMPOSE if values is not None]
    answer = config(tmp_path / "taken", [text for text, values in taken])
    assert answer.returncode == 0, answer.stderr
    services = json.loads(answer.stdout)["services"]
    for number, (text, values) in enumerate(taken):
        # config doubles every $, so that its output can be read again
        told = {key: value.replace("$$", "$") for key, value in services["s%d" % number]["environment"].items()}
        assert told == values, text
    for number, (text, values) in enumerate(COMPOSE):
        if values is None:
            assert config(tmp_path / str(number), [text]).returncode != 0, text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A=pa$word", "holds a \\$"),
        ("A='x'", "is in quotes"),
        ('A="x"', "is in quotes"),
        ("A=x # y", "followed by a #"),
        ("A=x ", "white space"),
        ("A= x", "white space"),
        ("export A=x", "begins with export"),
        ("A: x", "no plain KEY= form"),
        ("A = x", "no plain KEY= form"),
        ("OUTER\nB=1", "takes its value from the environment"),
    ],
)
def test_a_key_that_docker_run_reads_differently(text, reason):
    ambiguous = parse_env_file(text, ENVIRONMENT).ambiguous
    assert len(ambiguous) == 1
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(next(iter(ambiguous.values())))


@pytest.mark.parametrize("text", ["A=x", "A=x\r\n", "  A=x", "# A=1\nA=$1#'", "A.b=x\nC=\n", "A='1'\nA=2", "A=a\\$"])
def test_a_key_that_both_read_alike(text):
    assert parse_env_file(text, ENVIRONMENT).ambiguous == {}


def test_messages_name_file_line_and_key_but_no_value():
    with pytest.raises(OperationError) as caught:
        parse_env_file("A=1\nPOSTGRES_PASSWORD='secret", {}, "/srv/settings.env")
    assert "In /srv/settings.env, line 2, key POSTGRES_PASSWORD" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_env_file_refers_to_the_one_beside_it(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("FROM_DOT_ENV=1\nBOTH=dot\n")
    (tmp_path / "settings.env").write_text("A=$FROM_DOT_ENV,$BOTH\n")
    monkeypatch.setenv("BOTH", "process")
    assert read_env_file(str(tmp_path / "settings.env")).values == {"A": "1,process"}
    (tmp_path / ".env").write_text("A=1\nB=$A\n")
    assert read_env_file(str(tmp_path / ".env")).values == {"A": "1", "B": "1"}


def test_an_env_file_that_is_not_there(tmp_path):
    with pytest.raises(OperationError, match=r"cannot be read \(No such file or directory\)"):
        read_env_file(str(tmp_path / "settings.env"))
    with pytest.raises(OperationError, match=r"cannot be read \(Is a directory\)"):
        read_env_file(str(tmp_path))


def test_the_settings_file_is_the_first_with_a_database_url(tmp_path):
    params = {"project_src": str(tmp_path), "settings_file": None}
    assert settings_file({**params, "settings_file": "/x"}) == "/x"
    assert settings_file({"settings_file": None}) is None
    assert settings_file(params) is None
    (tmp_path / ".env").write_text("DATABASE_URL=jdbc:postgresql://db/x\n")
    (tmp_path / "settings.env").write_text("auth.server.clientId=x\n")
    assert settings_file(params) == str(tmp_path / ".env")
    (tmp_path / "settings.env").write_text("auth.server.clientId=x\nDATABASE_URL=jdbc:postgresql://db/x\n")
    assert settings_file(params) == str(tmp_path / "settings.env")
