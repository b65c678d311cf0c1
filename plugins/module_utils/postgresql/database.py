# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database, as whom; a connection to it; and what its errors mean to an operator."""

from __future__ import annotations

import contextlib
import os
import re
import traceback
from dataclasses import dataclass, field
from typing import Any, Iterator

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError, no_library
from ansible_collections.openlmis.operations.plugins.module_utils.docker import engine
from ansible_collections.openlmis.operations.plugins.module_utils.docker.compose import (
    container_address,
    docker_client,
    find_project,
)
from ansible_collections.openlmis.operations.plugins.module_utils.docker.env_file import read_env_file
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, spring
from ansible_collections.openlmis.operations.plugins.module_utils.project.database_url import (
    DatabaseUrl,
    parse_database_url,
)

try:
    import psycopg2
except ImportError:
    psycopg2 = None
    PSYCOPG2_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PSYCOPG2_IMPORT_ERROR = None

SSL_MODES = ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]
CONNECT_TIMEOUT = 10  # seconds
# A server that vanished is noticed within a minute. The kernel's own limits are two hours, and a quarter of one while
# data is under way, of which keepalives know nothing.
VANISHED = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}

# JDBC and libpq name these alike; each has an option of ours, since a path in the URL may exist in a container only.
_CERTIFICATES = {"sslrootcert": "ca_cert", "sslcert": "ssl_cert", "sslkey": "ssl_key"}
# How the role asks for it.
_ASKED = {"ca_cert": " (openlmis_ca_cert: '<path>')"}
# What of a libpq URL is handed on. Of a JDBC URL nothing is but TLS: currentSchema, stringtype and the rest concern
# Java.
_LIBPQ_PARAMS = {
    "hostaddr",
    "passfile",
    "connect_timeout",
    "options",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "sslcompression",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "channel_binding",
    "require_auth",
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "requirepeer",
    "target_session_attrs",
    "sslpassword",
}
_LIBPQ_IGNORED = {"application_name", "fallback_application_name", "client_encoding"}
_SECRETS = {"password", "sslpassword"}


@dataclass
class ConnectionSettings:
    """What a connection needs. ``container`` is the one that ``host`` means inside the Compose project, ``hostaddr``
    its address.
    """

    host: str = ""
    hostaddr: str = ""
    container: Any = field(default=None, repr=False)
    port: int = 5432
    database: str = ""
    user: str = "postgres"
    password: str | None = field(default=None, repr=False)
    params: dict[str, Any] = field(default_factory=dict, repr=False)
    password_source: str = ""
    warnings: list[str] = field(default_factory=list)

    def where(self) -> str:
        """The server in words, without a secret."""
        if not self.host or self.host.startswith("/"):
            return "the Unix socket %s" % (self.host or "of this host")
        address = " (%s)" % self.hostaddr if self.hostaddr else ""
        return "%s:%d%s" % ("[%s]" % self.host if ":" in self.host else self.host, self.port, address)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for psycopg2.connect."""
        given = {
            "host": self.host,
            "hostaddr": self.hostaddr,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
        }
        return {**{key: value for key, value in given.items() if value not in ("", None)}, **self.params}


def connection_argument_spec() -> dict[str, Any]:
    """The options of the doc fragment openlmis.operations.database."""
    return {
        "settings_file": {"type": "path"},
        # Hidden whole: Ansible logs an invocation before a module could mask the password in it.
        "database_url": {"type": "str", "no_log": True},
        "login_host": {"type": "str"},
        "login_port": {"type": "int"},
        "login_db": {"type": "str"},
        "login_user": {"type": "str"},
        "login_password": {"type": "str", "no_log": True},
        "login_unix_socket": {"type": "path"},
        "ssl_mode": {"type": "str", "choices": SSL_MODES},
        "ca_cert": {"type": "path"},
        "ssl_cert": {"type": "path"},
        "ssl_key": {"type": "path"},
        "connect_params": {"type": "dict"},
        "project_src": {"type": "path"},
        "project_name": {"type": "str"},
        "compose_files": {"type": "list", "elements": "str", "default": []},
        "release": {"type": "dict"},
    }


def require_psycopg2(module: AnsibleModule) -> None:
    """End the module with the remedy when psycopg2 is not there; hide secrets given in a wrong place."""
    secrets = (module.params.get("connect_params") or {}).items()
    module.no_log_values.update(str(value) for key, value in secrets if key in _SECRETS)
    if psycopg2 is None:
        module.fail_json(msg=no_library("psycopg2"), exception=PSYCOPG2_IMPORT_ERROR)


def resolve_connection(params: dict[str, Any], services: Any = None, find_container: bool = True) -> ConnectionSettings:
    """What to connect to: explicit options over the URL over the settings file or what Compose renders over the
    environment.

    ``params`` are the module's, as :func:`connection_argument_spec` names them. With ``project_src`` and neither a
    settings file nor a URL it is the database that the project's components are given; ``services`` are those of the
    project where they have been rendered already. Where the URL's host is a service of the project, the connection goes
    to that service's container. Raises OperationError.
    """
    settings = ConnectionSettings()
    values = _Values(params, services, settings.warnings)
    explicit_place = params.get("login_db") and (params.get("login_host") or params.get("login_unix_socket"))
    text = params.get("database_url") or (None if explicit_place else values.get("DATABASE_URL"))
    url = _parse(
        text, "the option database_url" if params.get("database_url") else "DATABASE_URL in %s" % values.source()
    )

    _place(settings, params, url, find_container)
    settings.user = params.get("login_user") or url.user or values.get("POSTGRES_USER") or "postgres"
    _password(settings, params, url, values)
    _parameters(settings, params, url)
    return settings


class _Values:
    """The settings that say which database is meant, read when the first of them is asked for."""

    def __init__(self, params: dict[str, Any], services: Any, warnings: list[str]) -> None:
        self.params = params
        self.services = services
        self.warnings = warnings
        self.path = params.get("settings_file")
        self.read: dict[str, str] | None = None
        self.ambiguous: dict[str, str] = {}
        self.told = "the environment"
        # What Compose renders is all that a component is given: nothing of this process's own counts beside it.
        self.rendered = False

    def source(self) -> str:
        """Where they come from, in words."""
        return self.told

    def get(self, key: str) -> str | None:
        """The value of a setting, None where nothing names it. Raises OperationError for a settings file without it."""
        if self.read is None:
            self._read()
        value = (self.read or {}).get(key) or (None if self.rendered else os.environ.get(key))
        if value is None and self.path:
            raise OperationError(
                "The settings file %s has no value for %s. Expected a line %s=... as OpenLMIS' services read it: add"
                " it, or pass %s." % (self.path, key, key, _INSTEAD[key])
            )
        if key in self.ambiguous and (self.read or {}).get(key):
            self.warnings.append(
                "%s in %s does not mean the same to Compose v2 and to docker run --env-file or Compose v1: %s. It is"
                " taken as Compose v2 does." % (key, self.path, self.ambiguous[key])
            )
        return value

    def _read(self) -> None:
        if self.path:
            env_file = read_env_file(self.path)
            self.read, self.ambiguous, self.told = env_file.values, env_file.ambiguous, self.path
        elif self.params.get("project_src") and not self.params.get("database_url"):
            names, source = given_to_components(self.params, self.services)
            self.read = dict(zip(("DATABASE_URL", "POSTGRES_USER", "POSTGRES_PASSWORD"), source))
            self.told, self.rendered = "what Compose renders for %s" % names[0], True
        else:
            self.read = {}


def given_to_components(params: dict[str, Any], services: Any = None) -> tuple[list[str], spring.DataSource]:
    """The components that keep a schema, and the one database that they are given.

    Without the option ``release`` every service with a JDBC URL counts as one. Raises OperationError where they are
    given none, or different ones.
    """
    if services is None:
        src = params["project_src"]
        files = deployment.compose_files(src, params.get("compose_files"))
        name = deployment.find_project(docker_client(), src, files, params.get("project_name")).name
        services = deployment.render_services(src, files, name, params.get("release"))
    sources: dict[spring.DataSource, list[str]] = {}
    for service in services:
        if service.data_source.url and (service.schema or not params.get("release")):
            sources.setdefault(service.data_source, []).append(service.name)
    if len(sources) == 1:
        return next((names, source) for source, names in sources.items())
    if not sources:
        raise OperationError(
            "No component of the Compose project at %s renders a DATABASE_URL. Set it in the file that env_file names,"
            " usually settings.env; `docker compose config` shows what counts." % params["project_src"]
        )
    raise OperationError(
        "Services of the Compose project at %s render different DATABASE_URL, POSTGRES_USER or POSTGRES_PASSWORD, in"
        " these groups: %s. Compare them with `docker compose config` and remove what sets one apart, or say which is"
        " meant: settings_file (openlmis_settings_file)."
        % (params["project_src"], "; ".join(", ".join(names) for names in sources.values()))
    )


_INSTEAD = {
    "DATABASE_URL": "database_url, or login_host and login_db",
    "POSTGRES_USER": "login_user",
    "POSTGRES_PASSWORD": "login_password (empty where the server asks for none)",
}


def _parse(text: str | None, source: str) -> DatabaseUrl:
    if not text:
        return DatabaseUrl(None, None, None, None, None, {}, False, ())
    try:
        return parse_database_url(text)
    except OperationError as error:
        raise OperationError("%s (It is %s.)" % (error, source)) from error


def named_host(params: dict[str, Any]) -> str:
    """The host as settings name it, without a look for a container that is called so. Raises OperationError."""
    return resolve_connection(params, find_container=False).host


def _place(settings: ConnectionSettings, params: dict[str, Any], url: DatabaseUrl, find_container: bool) -> None:
    """Host, port and database."""
    socket = params.get("login_unix_socket")
    login_host = params.get("login_host")
    settings.port = params.get("login_port") or url.port or 5432
    settings.database = params.get("login_db") or url.database or ""
    if not settings.database:
        raise OperationError(
            "No database is named. Expected settings_file with a DATABASE_URL, or database_url, or login_db: pass one"
            " of them."
        )
    if socket and login_host in (None, "", "localhost"):
        settings.host = socket
        return
    if not login_host and len(url.hosts) > 1:
        raise OperationError(
            "The database URL names %d hosts. Expected one, since only the primary may be written to: pass the"
            " primary's address as login_host." % len(url.hosts)
        )
    if not login_host and url.jdbc and url.params.get("socketFactory"):
        raise OperationError(
            "The database URL connects through the Java class %s (socketFactory), which only Java can. Pass the address"
            " at which PostgreSQL itself, or a proxy in front of it, listens: login_host and login_port"
            " (openlmis_login_host, openlmis_login_port)." % url.params["socketFactory"]
        )
    settings.host = login_host or url.host or ""
    if find_container and not login_host and (params.get("project_src") or params.get("project_name")):
        settings.container = _container(settings.host, params.get("project_src"), params.get("project_name"))
    if settings.container is not None:
        engine.refuse_remote(
            "the database is its container %s, whose address is only reached there" % settings.container.name
        )
        settings.hostaddr = container_address(settings.container)


def _container(host: str, project_src: str | None, project_name: str | None) -> Any:
    """The project's container that is called ``host``; None for a server outside Compose."""
    if host in ("", "localhost") or host.startswith("/") or re.match(r"[0-9.]+$|.*:", host):
        return None
    try:
        return find_project(docker_client(), project_src, project_name, service=host).host(host)
    except OperationError:
        if "." in host:
            return None  # a server outside Compose needs no Docker Engine
        raise


def _password(settings: ConnectionSettings, params: dict[str, Any], url: DatabaseUrl, values: _Values) -> None:
    if params.get("login_password") is not None:
        settings.password, settings.password_source = params["login_password"], "the option login_password"
    elif url.password is not None:
        settings.password, settings.password_source = url.password, "the database URL"
    else:
        settings.password = values.get("POSTGRES_PASSWORD")
        settings.password_source = "POSTGRES_PASSWORD in %s" % values.source()


def _parameters(settings: ConnectionSettings, params: dict[str, Any], url: DatabaseUrl) -> None:
    """TLS and whatever else libpq is told."""
    known = {} if url.jdbc else {key: url.params[key] for key in url.params if key in _LIBPQ_PARAMS}
    if not url.jdbc:
        unknown = set(url.params) - _LIBPQ_PARAMS - _LIBPQ_IGNORED - set(_CERTIFICATES) - {"sslmode"}
        if unknown:
            raise OperationError(
                "The database URL has parameters that libpq does not know: %s. Expected those of libpq in a"
                " postgresql:// URL: remove them, or write the URL as jdbc:postgresql://." % ", ".join(sorted(unknown))
            )
    mode = _ssl_mode(params, url)
    known.update(_certificates(params, url, mode))
    if mode:
        known["sslmode"] = mode
    extra = params.get("connect_params") or {}
    if _SECRETS & set(extra):
        raise OperationError(
            "connect_params holds %s. Expected no secret there, since Ansible logs that option: pass login_password"
            " instead." % " and ".join(sorted(_SECRETS & set(extra)))
        )
    settings.params = {**known, **extra}


def _ssl_mode(params: dict[str, Any], url: DatabaseUrl) -> str | None:
    """Return libpq's sslmode, none where nothing asks for one."""
    mode = params.get("ssl_mode") or url.params.get("sslmode")
    if not mode and url.jdbc and url.params.get("ssl", "false").lower() in ("", "true"):
        mode = "require"  # Java verifies against a certificate store of its own, which libpq cannot read
    if mode and mode not in SSL_MODES:
        raise OperationError(
            "The database URL's sslmode is none that is known. Expected one of %s: correct the URL, or pass ssl_mode."
            % ", ".join(SSL_MODES)
        )
    return mode


def _certificates(params: dict[str, Any], url: DatabaseUrl, mode: str | None) -> dict[str, str]:
    """Return the paths of certificates and key, by libpq's names."""
    known = {}
    for key, option in _CERTIFICATES.items():
        file, source = params.get(option), option
        if not file and not params.get("ssl_mode") and mode != "disable":
            file, source = url.params.get(key), "%s in the database URL" % key
        if file and not os.path.isfile(file):
            raise OperationError(
                "There is no file %s on this host, which %s names; it may be a path inside a container. Pass the file's"
                " path on the managed host: %s%s." % (file, source, option, _ASKED.get(option, ""))
            )
        if file:
            known[key] = file
    return known


def connect(settings: ConnectionSettings, application_name: str, autocommit: bool = False) -> Any:
    """Connect; ``application_name`` is what pg_stat_activity shows. Raises OperationError.

    libpq's own variables (PGHOSTADDR, PGSERVICE, PGOPTIONS and their like) are taken out of the environment first: what
    nobody asked for must not decide where a connection goes.
    """
    for name in [one for one in os.environ if one.startswith("PG") and one != "PGPASSFILE"]:
        del os.environ[name]
    defaults = {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT,
        "client_encoding": "UTF8",
        **VANISHED,
    }
    if psycopg2.extensions.libpq_version() < 120000:
        del defaults["tcp_user_timeout"]  # unknown there
    try:
        connection = psycopg2.connect(**{**defaults, **settings.arguments()})
        connection.autocommit = autocommit
    except (psycopg2.Error, UnicodeError, ValueError, TypeError) as error:
        raise _connection_error(settings, error) from None
    return connection


def system_identifier(cursor: Any) -> str | None:
    """The identifier that initdb gave the server's files; None where this role may not read it, or a provider has none
    to show.

    The cursor's connection must be in autocommit mode.
    """
    try:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        return str(cursor.fetchone()[0])
    except psycopg2.Error as error:
        if (error.pgcode or "")[:2] in ("", "08", "57"):
            raise  # the connection is lost
        return None


# What libpq and PostgreSQL say (in English; in other languages the general sentence remains), what was expected, what
# to do.
_REFUSALS = (
    (
        "password authentication failed|no password supplied|empty password",
        "refused the password of the user {user}",
        "Expected the one in {source}{hint}: correct it there, or pass login_user and login_password",
    ),
    (
        'database ".*" does not exist',
        "has no database {database}",
        "Expected OpenLMIS' database, usually open_lmis: correct the database's name in the URL or pass login_db",
    ),
    (
        'role ".*" does not exist',
        "has no role {user}",
        "Expected the role that OpenLMIS' services use{hint}: correct POSTGRES_USER or pass login_user",
    ),
    (
        "no pg_hba.conf entry|pg_hba.conf rejects",
        "does not let the user {user} in from this host ({words})",
        "Expected a fitting line in its pg_hba.conf: add one, or set ssl_mode if the server wants TLS",
    ),
    (
        "could not translate host name|Name or service not known|nodename nor servname|could not parse network address",
        "cannot be found: its name does not resolve on this host",
        (
            "Expected a name that this host knows: if it is a service of a Compose project, pass project_src, else"
            " correct the URL"
        ),
    ),
    (
        "server does not support SSL|certificate|SSL error|SSL SYSCALL|SSL connection",
        "could not be reached over TLS as asked ({words})",
        "Expected what ssl_mode says: correct ssl_mode, ca_cert or the host name",
    ),
    (
        "too many (clients|connections)|remaining connection slots",
        "has no free connection",
        "Expected one: stop what holds them, or wait, and run this again",
    ),
    (
        "the database system is",
        "is not ready ({words})",
        "Expected it to accept connections: wait until it does and run this again",
    ),
    (
        "Connection refused|No such file or directory|timeout expired|timed out|No route to host|unreachable",
        "cannot be reached ({words})",
        "Expected a server that accepts connections there: start it, or correct host and port, or its firewall",
    ),
    (
        "permission denied for database",
        "does not let the user {user} connect to the database {database}",
        'Expected the privilege: GRANT CONNECT ON DATABASE "{database}" TO "{user}"',
    ),
)


def _connection_error(settings: ConnectionSettings, error: Exception) -> OperationError:
    words = _words(str(error), settings.password)
    names = {
        "user": settings.user,
        "database": settings.database,
        "source": settings.password_source,
        "words": words,
        "hint": "; mind that " + settings.warnings[-1].rstrip(".") if settings.warnings else "",
    }
    found, remedy = next(
        ((found, remedy) for pattern, found, remedy in _REFUSALS if re.search(pattern, str(error))),
        (
            "did not take the connection ({words})",
            "Expected it to: look at the server's log and the connection options",
        ),
    )
    return OperationError(
        "PostgreSQL at %s %s. %s." % (settings.where(), found.format(**names), remedy.format(**names))
    )


def _words(text: str, password: str | None) -> str:
    """The last reason that libpq gave, without its prefixes and without the password."""
    lines = [one.strip() for one in text.splitlines() if one.strip()] or ["no reason given"]
    line = [one for one in lines if " failed: " in one or one is lines[0]][-1]
    line = re.sub(r"^(connection to server .*? failed: |FATAL: +|ERROR: +)+", "", line)
    return (line.replace(password, "********") if password else line).rstrip(".")


# SQLSTATE, or its first two characters: what was found, what to do. The server's own words are left out, for they may
# quote rows.
_STATES = {
    "25006": ("the server is read-only", "run this against the primary, or switch default_transaction_read_only off"),
    "40P01": (
        "the server ended this transaction to resolve a deadlock",
        "stop the service that writes to these tables and run this again",
    ),
    "40": ("another transaction got in the way", "stop the service that writes to these tables and run this again"),
    "42501": ("the user {user} lacks a privilege", "grant it as the module's documentation lists them"),
    "53100": ("the server's disk is full", "make room on the database server and run this again"),
    "53200": ("the server is out of memory", "make memory available on the database server and run this again"),
    "53": ("the server is out of a resource", "look at the server's log and run this again"),
    "57P": ("the server was stopped or ended this connection", "wait until it accepts connections and run this again"),
    "55P03": ("another session held a lock for too long", "find it in pg_stat_activity, end it, and run this again"),
    "57014": ("the statement was cancelled", "run this again"),
    "25P03": ("the server ended this connection, which had waited for too long", "run this again"),
    "08": ("the connection to the server was lost", "wait until it accepts connections and run this again"),
    "58": ("the server met an error of its file system", "look at the server's log and disks, and run this again"),
    "XX": ("the server met an internal error", "look at the server's log and check the database before going on"),
    "22": ("a value does not fit the table", "compare the two tables' columns with those of the release"),
    "23": ("a constraint of the table refused the rows", "compare the table's constraints with those of the release"),
}


@contextlib.contextmanager
def session(
    settings: ConnectionSettings, application_name: str, doing: str, state: str = "Nothing was changed", **options: Any
) -> Iterator[Any]:
    """A connection for as long as the block lasts; a failed statement in it raises OperationError, as
    :func:`database_error` says it.
    """
    connection = connect(settings, application_name, **options)
    try:
        yield connection
    except psycopg2.Error as error:
        raise database_error(error, settings, doing, state) from None
    finally:
        connection.close()


def database_error(error: Exception, settings: ConnectionSettings, doing: str, state: str) -> OperationError:
    """What a failed statement means: never with the server's own words, which may quote a row.

    ``doing`` is what was going on ("While the rows were copied"), ``state`` is what the database is in now.
    """
    code = getattr(error, "pgcode", None) or ""
    if not code and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        code = "08006"
    found, remedy = next(
        (_STATES[key] for key in (code, code[:3], code[:2]) if key in _STATES),
        ("the server refused a statement", "look at the server's log"),
    )
    diagnostics = getattr(error, "diag", None)
    names = [
        "%s %s" % (kind, getattr(diagnostics, kind + "_name"))
        for kind in ("schema", "table", "column", "constraint")
        if getattr(diagnostics, kind + "_name", None)
    ]
    return OperationError(
        "%s, %s (SQLSTATE %s%s). %s. What to do: %s."
        % (
            doing,
            found.format(user=settings.user),
            code or "unknown",
            "".join(", " + name for name in names),
            state,
            remedy.format(user=settings.user),
        )
    )
