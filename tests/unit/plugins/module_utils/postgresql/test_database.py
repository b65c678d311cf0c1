# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import psycopg2
import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

URL = "jdbc:postgresql://db:5432/open_lmis"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("DATABASE_URL", "POSTGRES_USER", "POSTGRES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings_file(tmp_path):
    file = tmp_path / "settings.env"
    file.write_text("DATABASE_URL=%s\nPOSTGRES_USER=lmis\nPOSTGRES_PASSWORD=p@ss\n" % URL)
    return str(file)


def resolve(**params):
    return database.resolve_connection(params)


def test_from_the_settings_file(settings_file):
    settings = resolve(settings_file=settings_file)
    assert settings.arguments() == {
        "host": "db",
        "port": 5432,
        "dbname": "open_lmis",
        "user": "lmis",
        "password": "p@ss",
    }
    assert settings.warnings == []
    assert settings.password_source == "POSTGRES_PASSWORD in " + settings_file


def test_defaults():
    settings = resolve(login_db="x", database_url="postgresql://")
    assert (settings.host, settings.port, settings.user, settings.password) == ("", 5432, "postgres", None)
    assert settings.arguments() == {"port": 5432, "dbname": "x", "user": "postgres"}


def test_each_option_wins_over_the_url(settings_file):
    url = "jdbc:postgresql://h:1/d?user=u&password=p"
    plain = resolve(settings_file=settings_file, database_url=url)
    assert (plain.host, plain.port, plain.database, plain.user, plain.password) == ("h", 1, "d", "u", "p")
    for option, name, value in (
        ("login_host", "host", "x"),
        ("login_port", "port", 2),
        ("login_db", "database", "x"),
        ("login_user", "user", "x"),
        ("login_password", "password", ""),
    ):
        settings = resolve(settings_file=settings_file, database_url=url, **{option: value})
        for other in ("host", "port", "database", "user", "password"):
            assert getattr(settings, other) == (value if other == name else getattr(plain, other))


def test_the_file_wins_over_the_environment_and_the_environment_fills_gaps(settings_file, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "jdbc:postgresql://env/env")
    monkeypatch.setenv("POSTGRES_PASSWORD", "from-env")
    assert resolve(settings_file=settings_file).password == "p@ss"
    assert resolve().database == "env"
    gap = tmp_path / "gap.env"
    gap.write_text("POSTGRES_USER=lmis\n")
    assert resolve(settings_file=str(gap)).password == "from-env"


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({"login_unix_socket": "/run/pg"}, "/run/pg"),
        ({"login_unix_socket": "/run/pg", "login_host": "localhost"}, "/run/pg"),
        ({"login_unix_socket": "/run/pg", "login_host": "other"}, "other"),
        ({"login_host": "other"}, "other"),
        ({}, "db"),
    ],
)
def test_socket_or_host(settings_file, options, host):
    assert resolve(settings_file=settings_file, **options).host == host


def test_a_settings_file_is_not_needed_for_what_options_say(tmp_path):
    file = tmp_path / "settings.env"
    file.write_text("POSTGRES_USER=u\nPOSTGRES_PASSWORD=p\n")
    assert resolve(settings_file=str(file), login_host="h", login_db="d").database == "d"
    with pytest.raises(OperationError, match="has no value for DATABASE_URL"):
        resolve(settings_file=str(file), login_db="d")


@pytest.mark.parametrize(
    ("parameters", "options", "params"),
    [
        ("", {}, {}),
        ("?ssl=true", {}, {"sslmode": "require"}),
        ("?ssl", {}, {"sslmode": "require"}),
        (
            "?ssl=TRUE&stringtype=unspecified&currentSchema=a&prepareThreshold=0&ApplicationName=x",
            {},
            {"sslmode": "require"},
        ),
        ("?ssl=false", {}, {}),
        ("?ssl=true&sslmode=verify-ca", {}, {"sslmode": "verify-ca"}),
        ("?ssl=true", {"ssl_mode": "verify-full"}, {"sslmode": "verify-full"}),
        ("?sslmode=disable&sslrootcert=/none", {}, {"sslmode": "disable"}),
        ("?sslmode=verify-ca&sslrootcert=/none", {"ssl_mode": "prefer"}, {"sslmode": "prefer"}),
        (
            "?sslmode=verify-ca&sslrootcert=/none",
            {"ca_cert": __file__},
            {"sslmode": "verify-ca", "sslrootcert": __file__},
        ),
        ("?sslcert=%s&sslkey=%s" % (__file__, __file__), {}, {"sslcert": __file__, "sslkey": __file__}),
        ("", {"connect_params": {"keepalives": 0, "sslmode": "allow"}}, {"keepalives": 0, "sslmode": "allow"}),
        ("", {"ssl_cert": __file__, "ssl_key": __file__}, {"sslcert": __file__, "sslkey": __file__}),
    ],
)
def test_parameters(parameters, options, params):
    settings = resolve(database_url=URL + parameters, login_password="", **options)
    assert settings.params == params


@pytest.mark.parametrize("key", ["sslrootcert", "sslcert", "sslkey"])
def test_a_path_in_a_container(key):
    option = {"sslrootcert": "ca_cert", "sslcert": "ssl_cert", "sslkey": "ssl_key"}[key]
    with pytest.raises(
        OperationError,
        match="no file /config/x on this host, which %s in the database URL names.*on the managed host: %s"
        % (key, option),
    ):
        resolve(database_url=URL + "?%s=/config/x" % key, login_password="")


def test_libpq_parameters_are_handed_on():
    settings = resolve(
        database_url="postgresql://h/d?connect_timeout=3&application_name=x&options=-cx%3Dy", login_password=""
    )
    assert settings.params == {"connect_timeout": "3", "options": "-cx=y"}
    with pytest.raises(OperationError, match="libpq does not know: currentSchema, stringtype"):
        resolve(database_url="postgresql://h/d?stringtype=x&currentSchema=y")


def test_several_hosts_need_a_choice():
    url = "jdbc:postgresql://a,b/d"
    with pytest.raises(OperationError, match="names 2 hosts"):
        resolve(database_url=url)
    assert resolve(database_url=url, login_host="a").host == "a"


def test_where_the_url_comes_from_is_said(tmp_path):
    file = tmp_path / "settings.env"
    file.write_text("DATABASE_URL=x\nPOSTGRES_PASSWORD=p\n")
    with pytest.raises(OperationError, match=r"\(It is DATABASE_URL in %s\.\)$" % file):
        resolve(settings_file=str(file))
    with pytest.raises(OperationError, match=r"\(It is the option database_url\.\)$"):
        resolve(database_url="x")


@pytest.mark.parametrize("secret", ["password", "sslpassword"])
def test_no_secret_in_connect_params(secret):
    with pytest.raises(OperationError, match="connect_params holds " + secret) as caught:
        resolve(database_url=URL, connect_params={secret: "hidden"})
    assert "hidden" not in str(caught.value)


def test_settings_show_no_secret():
    shown = repr(resolve(database_url="postgresql://u:hidden@h/d?sslpassword=hidden"))
    assert "hidden" not in shown


# --- Compose ---


@pytest.fixture
def project(monkeypatch):
    """A project whose service db runs at 172.18.0.9; what it was asked for."""
    asked = []

    def find_project(client, project_src, project_name, service):
        asked.append((project_src, project_name))
        container = SimpleNamespace(
            name="x_db_1", status="running", attrs={"NetworkSettings": {"Networks": {"n": {"IPAddress": "172.18.0.9"}}}}
        )
        return SimpleNamespace(host=lambda name: container if name == "db" else None)

    monkeypatch.setattr(database, "docker_client", lambda: None)
    monkeypatch.setattr(database, "find_project", find_project)
    return asked


def test_a_compose_service_is_reached_at_its_container(settings_file, project):
    settings = resolve(settings_file=settings_file, project_src="/srv/openlmis", project_name="x")
    assert project == [("/srv/openlmis", "x")]
    assert settings.arguments()["host"] == "db"
    assert settings.arguments()["hostaddr"] == "172.18.0.9"
    assert settings.where() == "db:5432 (172.18.0.9)"


def test_a_compose_service_on_an_engine_elsewhere_is_not_reached(settings_file, project, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "192.0.2.77:2376")
    with pytest.raises(
        OperationError, match="on 192.0.2.77 .* the database is its container x_db_1, .* run this on the Docker host"
    ):
        resolve(settings_file=settings_file, project_src="/srv/openlmis")
    elsewhere = resolve(
        database_url="jdbc:postgresql://db.example.org/x", login_password="", project_src="/srv/openlmis"
    )
    assert (elsewhere.container, elsewhere.hostaddr) == (None, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_an_address_is_no_service(host, project):
    settings = resolve(database_url="jdbc:postgresql://%s/x" % host, login_password="", project_src="/srv")
    assert settings.hostaddr == ""
    assert project == []


def test_an_explicit_host_is_used_as_it_is(settings_file, project):
    assert resolve(settings_file=settings_file, project_src="/srv", login_host="db").hostaddr == ""
    assert resolve(settings_file=settings_file).hostaddr == ""
    assert project == []


def test_another_host_is_left_to_the_resolver(project):
    assert resolve(database_url="jdbc:postgresql://other/x", login_password="", project_src="/srv").hostaddr == ""


def test_without_docker_only_a_full_name_goes_on(monkeypatch):
    def docker_client():
        raise OperationError("no Docker")

    monkeypatch.setattr(database, "docker_client", docker_client)
    assert (
        resolve(database_url="jdbc:postgresql://db.example.org/x", login_password="", project_src="/srv").hostaddr == ""
    )
    with pytest.raises(OperationError, match="no Docker"):
        resolve(database_url="jdbc:postgresql://db/x", login_password="", project_src="/srv")


# --- errors ---


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'FATAL:  password authentication failed for user "u"',
            "refused the password of the user u. Expected the one in the file",
        ),
        ("fe_sendauth: no password supplied", "refused the password"),
        ('FATAL:  database "d" does not exist', "has no database d"),
        ('FATAL:  role "u" does not exist', "has no role u"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption',
            "does not let the user u in",
        ),
        ('could not translate host name "h" to address: Name or service not known', "its name does not resolve"),
        (
            "server does not support SSL, but SSL was required",
            "could not be reached over TLS as asked (server does not support SSL",
        ),
        ("SSL error: certificate verify failed", "(SSL error: certificate verify failed)"),
        ("FATAL:  sorry, too many clients already", "has no free connection"),
        ("FATAL:  the database system is starting up", "is not ready (the database system is starting up)"),
        ("Connection refused\n\tIs the server running on that host?", "cannot be reached (Connection refused)"),
        ("timeout expired", "cannot be reached (timeout expired)"),
        ('FATAL:  permission denied for database "d"\nDETAIL:  x', 'GRANT CONNECT ON DATABASE "d" TO "u"'),
        (
            'FATAL:  Passwort-Authentifizierung für Benutzer "u" fehlgeschlagen',
            "did not take the connection (Passwort-Auth",
        ),
        ("", "did not take the connection (no reason given)"),
    ],
)
def test_what_a_failed_connection_means(monkeypatch, text, sentence):
    def connect(**arguments):
        prefix = 'connection to server at "h" (10.0.0.9), port 5432 failed: ' if text else ""
        raise psycopg2.OperationalError(prefix + text + "\n")

    monkeypatch.setattr(database.psycopg2, "connect", connect)
    settings = database.ConnectionSettings(
        host="h", database="d", user="u", password="hidden", password_source="the file"
    )
    with pytest.raises(OperationError) as caught:
        database.connect(settings, "test")
    assert str(caught.value).startswith("PostgreSQL at h:5432 ")
    assert sentence in str(caught.value)
    assert " Expected " in str(caught.value)


def test_a_password_that_libpq_repeats_is_hidden(monkeypatch):
    def connect(**arguments):
        raise psycopg2.OperationalError("something about hidden things")

    monkeypatch.setattr(database.psycopg2, "connect", connect)
    with pytest.raises(OperationError, match=r"something about \*{8} things"):
        database.connect(database.ConnectionSettings(database="d", password="hidden"), "test")


def test_what_is_given_to_libpq(monkeypatch):
    given = {}

    def connect(**arguments):
        given.update(arguments)
        return SimpleNamespace(autocommit=None)

    monkeypatch.setattr(database.psycopg2, "connect", connect)
    settings = database.ConnectionSettings(host="h", database="d", params={"connect_timeout": "3"})
    assert database.connect(settings, "test", autocommit=True).autocommit is True
    assert given["application_name"] == "test"
    assert given["connect_timeout"] == "3"
    assert given["client_encoding"] == "UTF8"
    assert "password" not in given


class Failure(psycopg2.Error):
    """An error with a state and a message that quotes a row."""

    def __init__(self, code, **names):
        super().__init__("DETAIL: Key (email)=(ann@example.org) already exists.")
        self.code = code
        self.names = names

    pgcode = property(lambda self: self.code)
    diag = property(lambda self: SimpleNamespace(**self.names))


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("25006", "the server is read-only"),
        ("40P01", "to resolve a deadlock"),
        ("40001", "another transaction got in the way"),
        ("42501", "the user u lacks a privilege"),
        ("53100", "the server's disk is full"),
        ("53200", "the server is out of memory"),
        ("53400", "the server is out of a resource"),
        ("57P01", "the server was stopped or ended this connection"),
        ("57P03", "the server was stopped or ended this connection"),
        ("57014", "the statement was cancelled"),
        ("25P03", "which had waited for too long"),
        ("08006", "the connection to the server was lost"),
        ("58030", "an error of its file system"),
        ("XX001", "the server met an internal error"),
        ("22001", "a value does not fit the table"),
        ("23505", "a constraint of the table refused the rows"),
        ("P0001", "the server refused a statement"),
        (None, "the server refused a statement (SQLSTATE unknown)"),
    ],
)
def test_what_a_failed_statement_means(code, sentence):
    settings = database.ConnectionSettings(user="u")
    text = str(database.database_error(Failure(code), settings, "While x", "Nothing was written"))
    assert text.startswith("While x, ")
    assert sentence in text
    assert "Nothing was written. What to do: " in text
    assert "ann@example.org" not in text


def test_names_of_what_refused_are_told_but_no_values():
    error = Failure("23505", schema_name="s", table_name="t", constraint_name="unq_email", column_name=None)
    text = str(database.database_error(error, database.ConnectionSettings(), "While x", "Nothing was written"))
    assert "(SQLSTATE 23505, schema s, table t, constraint unq_email)" in text


def test_an_error_without_a_state_is_a_lost_connection():
    for error in (psycopg2.OperationalError("x"), psycopg2.InterfaceError("connection already closed")):
        text = str(database.database_error(error, database.ConnectionSettings(), "While x", "Nothing was written"))
        assert "the connection to the server was lost" in text


def test_the_host_is_named_by_the_project_s_own_file_without_a_look_for_containers(tmp_path):
    (tmp_path / ".env").write_text(
        "DATABASE_URL=jdbc:postgresql://db:5432/open_lmis\nPOSTGRES_USER=lmis\nPOSTGRES_PASSWORD=p\n"
    )
    assert database.named_host({"settings_file": str(tmp_path / ".env"), "project_src": str(tmp_path)}) == "db"


def test_a_java_socket_factory_is_refused_unless_an_address_is_named():
    url = "jdbc:postgresql:///open_lmis?cloudSqlInstance=a:b:c&socketFactory=com.example.SocketFactory&user=lmis&password=p"
    with pytest.raises(
        OperationError, match="connects through the Java class com.example.SocketFactory.*openlmis_login_host"
    ):
        database.resolve_connection({"database_url": url})
    assert database.resolve_connection({"database_url": url, "login_host": "10.0.0.9"}).host == "10.0.0.9"


def given(name, schema, **environment):
    return deployment.Service(name, "", "", name if schema else None, False, environment, True, False, schema=schema)


COMPONENTS = [
    given(
        "auth",
        "auth",
        DATABASE_URL="jdbc:postgresql://pg.example.org/lmis",
        POSTGRES_USER="lmis",
        POSTGRES_PASSWORD="p",
    ),
    given("superset", "", DATABASE_URL="postgresql://elsewhere/bi"),
]


def test_the_database_is_the_one_that_the_components_render(tmp_path, monkeypatch):
    """A left-over settings.env beside the Compose file, or this process's environment, says nothing."""
    (tmp_path / "settings.env").write_text(
        "DATABASE_URL=jdbc:postgresql://left-over/old\nPOSTGRES_USER=x\nPOSTGRES_PASSWORD=y\n"
    )
    monkeypatch.setenv("DATABASE_URL", "jdbc:postgresql://environment/other")
    params = {"project_src": str(tmp_path), "release": {"name": "3.4.0"}}
    found = database.resolve_connection(params, COMPONENTS, find_container=False)
    assert (found.host, found.database, found.user, found.password) == ("pg.example.org", "lmis", "lmis", "p")
    assert found.password_source == "POSTGRES_PASSWORD in what Compose renders for auth"


def test_components_that_render_different_databases_are_named_without_them():
    services = [
        *COMPONENTS,
        given("cce", "cce", DATABASE_URL="jdbc:postgresql://pg.example.org/other", POSTGRES_PASSWORD="s3cret"),
    ]
    with pytest.raises(OperationError, match="in these groups: auth; cce") as raised:
        database.resolve_connection(
            {"project_src": "/srv", "release": {"name": "3.4.0"}}, services, find_container=False
        )
    assert "s3cret" not in str(raised.value)
    assert "example.org" not in str(raised.value)


def test_components_without_a_database_are_refused():
    with pytest.raises(OperationError, match="No component of the Compose project at /srv renders a DATABASE_URL"):
        database.resolve_connection(
            {"project_src": "/srv", "release": {"name": "3.4.0"}}, COMPONENTS[1:], find_container=False
        )
