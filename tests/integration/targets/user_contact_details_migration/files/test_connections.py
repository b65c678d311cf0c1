# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every way to say which database: settings files, URLs, options, sockets, TLS; and what is said when it is wrong."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from expectation import User, user_id
from tls_server import TlsServer, write_certificates

NO_OPTIONS = dict.fromkeys(("login_unix_socket", "login_port", "login_user", "login_password", "login_db"))


@pytest.fixture
def filled(database):
    database.add_users(User(user_id(1), "ann", "ann@example.org", "1"))
    return database


@pytest.fixture
def url(filled):
    return "jdbc:postgresql://127.0.0.1:%d/%s" % (filled.server["port"], filled.name)


def settings(tmp_path, text, **values):
    file = tmp_path / "settings.env"
    file.write_bytes(text.format(**values).encode())
    return {**NO_OPTIONS, "settings_file": str(file)}


# The server's password is p@ss:w\rd'1, so that every form has something to get wrong.
SETTINGS = {
    "ref-distro": (
        "# comment\nauth.server.clientId=trusted-client\nDATABASE_URL={url}\n"
        "POSTGRES_USER=postgres\nPOSTGRES_PASSWORD=p@ss:w\\rd'1\n"
    ),
    "CRLF": "DATABASE_URL={url}\r\nPOSTGRES_USER=postgres\r\nPOSTGRES_PASSWORD=p@ss:w\\rd'1\r\n",
    "quotes": 'DATABASE_URL=\'{url}\'\nPOSTGRES_USER="postgres"\nPOSTGRES_PASSWORD="p@ss:w\\\\rd\'1"\n',
    "export and comments": (
        "export DATABASE_URL={url} # the database\nexport POSTGRES_USER ="
        " postgres\nPOSTGRES_PASSWORD='p@ss:w\\rd\\'1'\n"
    ),
    "interpolation": (
        "DB={url}\nDATABASE_URL=${{DB}}\nPOSTGRES_USER=${{NOBODY:-postgres}}\nPOSTGRES_PASSWORD=p@ss:w\\rd'1"
    ),
    "JDBC parameters": (
        "DATABASE_URL={url}?stringtype=unspecified&currentSchema=x&x=\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=p@ss:w\\rd'1"
    ),
    "credentials in the JDBC URL": (
        "DATABASE_URL={url}?user=postgres&password=p%40ss%3Aw%5Crd%271\nPOSTGRES_USER=x\nPOSTGRES_PASSWORD=x"
    ),
    "byte order mark": "\ufeffDATABASE_URL={url}\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=p@ss:w\\rd'1",
}


@pytest.mark.parametrize("text", SETTINGS.values(), ids=SETTINGS)
def test_settings_file(filled, url, tmp_path, text):
    assert filled.migrate(**settings(tmp_path, text, url=url))["inserted"] == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"PGHOSTADDR": "203.0.113.1", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "nobody"},
        {"PGSERVICE": "elsewhere", "PGSERVICEFILE": "/nonexistent/pg_service.conf"},
        {
            "PGOPTIONS": "-c default_transaction_read_only=on",
            "PGSSLMODE": "verify-full",
            "PGTARGETSESSIONATTRS": "standby",
        },
        {"DATABASE_URL": "jdbc:postgresql://203.0.113.1/other", "POSTGRES_USER": "nobody"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_the_environment_of_the_module_does_not_change_where_it_connects(filled, url, tmp_path, environment):
    assert (
        filled.migrate(environment=environment, **settings(tmp_path, SETTINGS["ref-distro"], url=url))["inserted"] == 1
    )


def test_a_value_from_the_env_file_beside(filled, url, tmp_path):
    (tmp_path / ".env").write_text("SECRET=p@ss:w\\rd'1\n")
    options = settings(tmp_path, "DATABASE_URL={url}\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=${{SECRET}}\n", url=url)
    assert filled.migrate(**options)["inserted"] == 1


def test_a_key_that_readers_take_differently_is_named(filled, url, tmp_path):
    options = settings(tmp_path, SETTINGS["quotes"] + "OTHER='x'\n", url=url)
    warnings = " ".join(str(warning) for warning in filled.migrate(**options).result["warnings"])
    assert warnings.count("docker run --env-file") == 3
    assert "POSTGRES_PASSWORD in %s" % options["settings_file"] in warnings
    assert "its value is in quotes" in warnings
    assert "OTHER" not in warnings


def test_a_dollar_is_named_when_the_password_is_refused(filled, url, tmp_path):
    options = settings(tmp_path, "DATABASE_URL={url}\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=pa$word\n", url=url)
    outcome = filled.refused(
        "refused the password of the user postgres",
        "Expected the one in POSTGRES_PASSWORD in " + options["settings_file"],
        "its value holds a $, which only Compose v2 expands",
        **options,
    )
    assert "pa$word" not in outcome.text


def test_environment_variables(filled, url):
    environment = {"DATABASE_URL": url, "POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": filled.server["password"]}
    assert filled.migrate(environment=environment, **NO_OPTIONS)["inserted"] == 1


def test_who_wins(filled, url, tmp_path):
    """Explicit options over the URL over the file over the environment."""
    password = filled.server["password"]
    wrong = {"DATABASE_URL": "jdbc:postgresql://127.0.0.1:1/x", "POSTGRES_USER": "wrong", "POSTGRES_PASSWORD": "wrong"}
    file = settings(tmp_path, SETTINGS["ref-distro"], url=url)
    assert filled.migrate(environment=wrong, **file)["inserted"] == 1
    wrong_file = settings(
        tmp_path, "DATABASE_URL=jdbc:postgresql://127.0.0.1:1/x\nPOSTGRES_USER=wrong\nPOSTGRES_PASSWORD=wrong\n"
    )
    credentials = "?user=postgres&password=" + quote(password)
    assert filled.migrate(**{**wrong_file, "database_url": url + credentials})["unchanged"] == 1
    wrong_url = "jdbc:postgresql://127.0.0.1:1/x?user=wrong&password=wrong"
    assert filled.migrate(**{**wrong_file, "database_url": wrong_url, **filled.options})["unchanged"] == 1
    tcp = {"login_host": "127.0.0.1", "login_unix_socket": None, "login_password": password}
    assert filled.migrate(**{**wrong_file, "database_url": wrong_url, **filled.options, **tcp})["unchanged"] == 1


URLS = {
    "libpq": "postgresql://postgres:{password}@127.0.0.1:{port}/{name}",
    "libpq, short": "postgres://postgres:{password}@127.0.0.1:{port}/{name}?connect_timeout=5",
    "libpq, host as parameter": "postgresql:///{name}?host=127.0.0.1&port={port}&user=postgres&password={password}",
    "libpq, socket": "postgresql://postgres@{socket}:{port}/{name}",
    "JDBC with user and password": "jdbc:postgresql://127.0.0.1:{port}/{name}?user=postgres&password={password}",
    "JDBC, IPv6": "jdbc:postgresql://[::1]:{port}/{name}?user=postgres&password={password}",
    "JDBC, percent-encoded name": (
        "jdbc:postgresql://127.0.0.1:{port}/%{first:x}{rest}?user=postgres&password={password}"
    ),
}


@pytest.mark.parametrize("text", URLS.values(), ids=URLS)
def test_database_url(filled, text):
    given = text.format(
        password=quote(filled.server["password"], safe=""),
        port=filled.server["port"],
        socket=quote(filled.server["socket"], safe=""),
        name=filled.name,
        first=ord(filled.name[0]),
        rest=filled.name[1:],
    )
    outcome = filled.migrate(**NO_OPTIONS, database_url=given)
    if "::1" in given and outcome.failed and "cannot be reached" in outcome.message:
        pytest.skip("this machine has no IPv6")
    assert outcome["inserted"] == 1
    assert quote(filled.server["password"], safe="") not in outcome.text


def test_a_url_without_a_port_means_5432(filled, url):
    outcome = filled.refused(
        "PostgreSQL at 127.0.0.9:5432 cannot be reached",
        **{
            **NO_OPTIONS,
            "database_url": "jdbc:postgresql://127.0.0.9/x",
            "login_user": "u",
            "login_password": "secret",
        },
    )
    assert "start it, or correct host and port" in outcome.message


REFUSED_URLS = {
    "mysql": ("jdbc:mysql://db/open_lmis", "does not begin with jdbc:postgresql:"),
    "nonsense": ("secretword", "does not begin with jdbc:postgresql:"),
    "port": ("jdbc:postgresql://db:secretword/x", "its port is not a number"),
    "bare IPv6": ("jdbc:postgresql://fe80::1/x", "in square brackets"),
    "percent": ("jdbc:postgresql://db/x?password=secretword%", "a plain % is %25"),
    "several hosts": ("jdbc:postgresql://a:1,b:2/secretword", "names 2 hosts"),
    "no database": ("jdbc:postgresql://secretword:5432/", "No database is named"),
    "sslmode": ("jdbc:postgresql://db/x?sslmode=secretword", "sslmode is none that is known"),
    "unknown to libpq": ("postgresql://db/x?stringtype=secretword", "parameters that libpq does not know: stringtype"),
}


@pytest.mark.parametrize(("given", "sentence"), REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_an_unusable_url(filled, tmp_path, given, sentence):
    outcome = filled.refused(sentence, **NO_OPTIONS, database_url=given)
    assert "secretword" not in outcome.text
    file = settings(tmp_path, "DATABASE_URL={url}\nPOSTGRES_USER=u\nPOSTGRES_PASSWORD=p\n", url=given)
    outcome = filled.refused(sentence, **file)
    assert "secretword" not in outcome.text


@pytest.mark.parametrize("key", ["DATABASE_URL", "POSTGRES_USER", "POSTGRES_PASSWORD"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key(filled, url, tmp_path, key, value):
    values = {"DATABASE_URL": url, "POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": "x", key: value}
    text = "".join("%s=%s\n" % item for item in values.items() if item[1] is not None)
    option = {"DATABASE_URL": "database_url", "POSTGRES_USER": "login_user", "POSTGRES_PASSWORD": "login_password"}[key]
    file = settings(tmp_path, text.replace("{", "{{"))
    filled.refused("settings.env has no value for %s. Expected a line %s=" % (key, key), option, **file)


def test_no_settings_file(filled, tmp_path):
    filled.refused(
        "The settings file %s/none cannot be read (No such file or directory)" % tmp_path,
        "correct settings_file",
        **NO_OPTIONS,
        settings_file="%s/none" % tmp_path,
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("POSTGRES_PASSWORD='secretword", "line 3, key POSTGRES_PASSWORD, a value opens with ' and does not close"),
        ("POSTGRES_PASSWORD=${secretword", "a ${ is not closed or names no variable"),
        ("POSTGRES_PASSWORD=${X:?secretword}", "the variable X is required but not set"),
        ("POSTGRES PASSWORD=secretword", "line 3, there is a space in the name"),
        ("POSTGRES!PASSWORD=secretword", "line 3, the name before the = holds the character '!'"),
    ],
)
def test_a_settings_file_that_compose_refuses(filled, url, tmp_path, line, sentence):
    file = settings(tmp_path, "DATABASE_URL={url}\nPOSTGRES_USER=u\n{line}\n", url=url, line=line)
    outcome = filled.refused(sentence, file["settings_file"], **file)
    assert "secretword" not in outcome.text


# --- what the server says ---


def test_a_wrong_password(filled, url, tmp_path):
    file = settings(tmp_path, "DATABASE_URL={url}\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=secretword\n", url=url)
    outcome = filled.refused(
        "PostgreSQL at 127.0.0.1:%d refused the password of the user postgres" % filled.server["port"],
        "Expected the one in POSTGRES_PASSWORD in " + file["settings_file"],
        **file,
    )
    assert "secretword" not in outcome.text


def test_a_wrong_password_option(filled):
    outcome = filled.refused(
        "the option login_password", login_unix_socket=None, login_host="127.0.0.1", login_password="secretword"
    )
    assert "secretword" not in outcome.text


def test_no_such_database(filled):
    filled.refused("has no database nowhere. Expected OpenLMIS' database, usually open_lmis", login_db="nowhere")


def test_no_such_role(filled):
    filled.refused("has no role nobody_known", "correct POSTGRES_USER or pass login_user", login_user="nobody_known")


def test_no_right_to_connect(filled, role):
    filled.execute("REVOKE CONNECT ON DATABASE %s FROM public" % filled.name)
    try:
        filled.refused('GRANT CONNECT ON DATABASE "%s" TO "%s"' % (filled.name, role), login_user=role)
    finally:
        filled.execute("GRANT CONNECT ON DATABASE %s TO public" % filled.name)


def test_no_server(filled):
    filled.refused(
        "127.0.0.1:1 cannot be reached (Connection refused)",
        **{**NO_OPTIONS, "database_url": "postgresql://u:p@127.0.0.1:1/x"},
    )


def test_an_unknown_host(filled):
    filled.refused(
        "PostgreSQL at db.invalid:5432 cannot be found: its name does not resolve",
        "pass project_src",
        **{**NO_OPTIONS, "database_url": "postgresql://u:p@db.invalid/x"},
    )


def test_no_socket(filled, tmp_path):
    filled.refused("PostgreSQL at the Unix socket %s cannot be reached" % tmp_path, login_unix_socket=str(tmp_path))


def test_md5(filled):
    filled.execute("SET password_encryption = md5; CREATE ROLE md5_user SUPERUSER LOGIN PASSWORD 'old'")
    try:
        options = {"login_unix_socket": None, "login_host": "127.0.0.1", "login_user": "md5_user"}
        assert filled.migrate(**options, login_password="old")["inserted"] == 1
        filled.refused("refused the password of the user md5_user", **options, login_password="new")
    finally:
        filled.execute("DROP ROLE md5_user")


def test_too_many_connections(filled, role):
    filled.execute("ALTER DATABASE %s CONNECTION LIMIT 0" % filled.name)
    try:
        filled.refused("has no free connection", login_user=role)
    finally:
        filled.execute("ALTER DATABASE %s CONNECTION LIMIT -1" % filled.name)


def test_connect_params(filled):
    outcome = filled.migrate(connect_params={"options": "-c statement_timeout=2000", "application_name": "mine"})
    assert outcome["inserted"] == 1
    filled.refused("did not take the connection", "nonsense", connect_params={"nonsense": "1"})
    outcome = filled.refused("connect_params holds password", connect_params={"password": "secretword"})
    assert "secretword" not in outcome.text


# --- TLS ---


@pytest.fixture(scope="module")
def tls(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    write_certificates(folder)
    tls_server = TlsServer(folder, "%s/.s.PGSQL.%d" % (server["socket"], server["port"]))
    yield folder, tls_server.port
    tls_server.close()


def over_tls(filled, tls, host="localhost", **options):
    return {**filled.options, "login_unix_socket": None, "login_host": host, "login_port": tls[1], **options}


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("127.0.0.1", {"ssl_mode": "require"}),
        ("127.0.0.1", {}),
        ("127.0.0.1", {"ssl_mode": "require", "ca_cert": "ca.crt"}),
        ("127.0.0.1", {"ssl_mode": "verify-ca", "ca_cert": "ca.crt"}),
        ("localhost", {"ssl_mode": "verify-full", "ca_cert": "ca.crt"}),
    ],
)
def test_tls(filled, tls, host, options):
    if "ca_cert" in options:
        options = {**options, "ca_cert": str(tls[0] / options["ca_cert"])}
    assert filled.migrate(**over_tls(filled, tls, host, **options))["inserted"] == 1


@pytest.mark.parametrize(
    ("host", "options", "sentence"),
    [
        ("127.0.0.1", {"ssl_mode": "verify-full", "ca_cert": "ca.crt"}, "does not match host name"),
        ("localhost", {"ssl_mode": "verify-full", "ca_cert": "other.crt"}, "certificate verify failed"),
        ("localhost", {"ssl_mode": "verify-ca", "ca_cert": "other.crt"}, "certificate verify failed"),
        ("localhost", {"ssl_mode": "require", "ca_cert": "other.crt"}, "certificate verify failed"),
    ],
)
def test_tls_refused(filled, tls, host, options, sentence):
    options = {**options, "ca_cert": str(tls[0] / options["ca_cert"])}
    filled.refused(
        "could not be reached over TLS as asked",
        sentence,
        "correct ssl_mode, ca_cert",
        **over_tls(filled, tls, host, **options),
    )


def test_tls_asked_of_a_server_without(filled):
    options = {"login_unix_socket": None, "login_host": "127.0.0.1", "login_password": filled.server["password"]}
    filled.refused("server does not support SSL", **options, ssl_mode="require")
    assert filled.migrate(**options, ssl_mode="prefer")["inserted"] == 1


@pytest.mark.parametrize(
    ("parameters", "certificate"),
    [
        ("ssl=true", None),
        ("ssl", None),
        ("sslmode=require&x=", None),
        ("sslmode=verify-full&sslrootcert={folder}/ca.crt", None),
        ("ssl=true&sslmode=verify-ca&sslrootcert=/config/cert/root.crt", "ca.crt"),
    ],
)
def test_tls_in_a_jdbc_url(filled, tls, parameters, certificate):
    url = "jdbc:postgresql://localhost:%d/%s?" % (tls[1], filled.name) + parameters.format(folder=tls[0])
    options = {**NO_OPTIONS, "database_url": url, "login_user": "postgres", "login_password": "unused"}
    assert filled.migrate(**options, ca_cert=str(tls[0] / certificate) if certificate else None)["inserted"] == 1


def test_a_certificate_that_is_in_a_container_only(filled, tls):
    url = "jdbc:postgresql://localhost:%d/%s?sslmode=verify-full&sslrootcert=/config/cert/root.crt" % (
        tls[1],
        filled.name,
    )
    options = {**NO_OPTIONS, "database_url": url, "login_user": "postgres", "login_password": ""}
    filled.refused(
        "There is no file /config/cert/root.crt on this host, which sslrootcert in the database URL names",
        "ca_cert (openlmis_ca_cert: '<path>')",
        **options,
    )
    assert filled.migrate(**options, ssl_mode="require")["inserted"] == 1


@pytest.mark.parametrize("option", ["ca_cert", "ssl_cert", "ssl_key"])
def test_a_certificate_that_is_not_there(filled, tls, option):
    filled.refused(
        "There is no file /none.pem on this host, which %s names" % option,
        **over_tls(filled, tls, **{option: "/none.pem"}),
    )


def test_project_src_with_a_host_outside_compose(filled, tmp_path):
    """A full host name needs no Docker Engine, so that a database outside Compose can be used when none runs."""
    environment = {"DOCKER_HOST": "unix:///nowhere.sock"}
    outcome = filled.migrate(
        environment=environment,
        **{
            **NO_OPTIONS,
            "database_url": "jdbc:postgresql://db.invalid/x",
            "project_src": str(tmp_path),
            "login_user": "u",
            "login_password": "p",
        },
    )
    assert "does not resolve" in outcome.message
    outcome = filled.refused(
        "The Docker Engine at unix:///nowhere.sock does not answer",
        environment=environment,
        **{**NO_OPTIONS, "database_url": "jdbc:postgresql://db/x", "project_src": str(tmp_path)},
    )
