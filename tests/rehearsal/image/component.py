# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for every Java component of OpenLMIS 3.3 and 3.4.

The image's environment says which component and version it is (OPENLMIS_COMPONENT, OPENLMIS_VERSION) and which
fault is armed (REHEARSAL_FAULT). Everything else comes from where the originals take it: DATABASE_URL,
POSTGRES_USER, POSTGRES_PASSWORD, BASE_URL, spring_profiles_active, JAVA_OPTS, REDIS_URL.
"""

from __future__ import annotations

import base64
import crypt
import json
import os
import pathlib
import re
import socket
import threading
import time
import urllib.parse
import uuid
from typing import Any

import flyway
import psycopg2
import psycopg2.extras
from standin import Answer, Request, Route, call, die, log, register, serve, stop_at_once_on_sigterm

HOME = pathlib.Path(__file__).parent
NAME = os.environ["OPENLMIS_COMPONENT"]
VERSION = os.environ["OPENLMIS_VERSION"]
RELEASE = VERSION.split("-", 1)[0]
BASE_URL = os.environ.get("BASE_URL", "").rstrip("/")
FAULT = os.environ.get("REHEARSAL_FAULT", "")
SERVICE_CLIENT = (
    os.environ.get("auth.server.clientId") or "trusted-client",
    os.environ.get("auth.server.clientSecret") or "secret",
)
MANAGE_USERS = "USERS_MANAGE"


def major(version: str) -> int:
    """The first number of a version."""
    return int(version.split(".", 1)[0])


# -- database ------------------------------------------------------------------------------------------------------


def connection_settings() -> dict[str, str]:
    """libpq settings out of the JDBC URL, with the parameter that the originals glue to its end."""
    url = os.environ.get("DATABASE_URL", "") + "?stringtype=unspecified"
    match = re.fullmatch(r"jdbc:postgresql://(\[[^\]]+\]|[^:/?]+)(?::(\d+))?/([^?]+)\?(.*)", url)
    if not match:
        die("the DATABASE_URL is not a JDBC URL of PostgreSQL")
    host, port, database, query = match.groups()
    settings = {
        "host": host.strip("[]"),
        "port": port or "5432",
        "dbname": urllib.parse.unquote(database),
        "user": os.environ.get("POSTGRES_USER", ""),
        "password": os.environ.get("POSTGRES_PASSWORD", ""),
        "application_name": "PostgreSQL JDBC Driver",
        "connect_timeout": "5",
    }
    for pair in query.split("&"):
        key, _equals, value = pair.partition("=")
        # Only these change how the driver connects; it ignores what it does not know.
        if key in ("sslmode", "sslrootcert"):
            settings[key] = value
        elif key == "ssl" and value != "false":
            settings.setdefault("sslmode", "require")
    return settings


def connect(attempts: int = 3) -> Any:
    """A connection, or the end of this process: nothing in OpenLMIS waits for a database."""
    for attempt in range(1, attempts + 1):
        try:
            return psycopg2.connect(**connection_settings())
        except psycopg2.Error as error:
            log("WARN  no database connection (attempt %d): %s" % (attempt, str(error).strip()))
            if attempt < attempts:
                time.sleep(1)
    return die("org.postgresql.util.PSQLException: the database cannot be reached, giving up")


class Database:
    """One pooled connection with a lock, opened at the start and kept; a dead one is replaced before it is used."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Any = None

    def connect(self) -> None:
        """Have a connection that answers."""
        if self.connection is not None and not self.connection.closed:
            try:
                with self.connection, self.connection.cursor() as cursor:
                    cursor.execute("select 1")
                return
            except psycopg2.OperationalError:
                self.connection.close()
        self.connection = psycopg2.connect(**connection_settings())

    def run(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """Run one statement in its own transaction and return its rows."""
        return self.transaction([(sql, parameters)])

    def transaction(self, statements: list[tuple[str, tuple[Any, ...]]]) -> list[dict[str, Any]]:
        """Run statements in one transaction and return the rows of the last."""
        with self.lock:
            self.connect()
            try:
                with self.connection, self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                    for sql, parameters in statements:
                        cursor.execute(sql, parameters or None)
                    return [dict(row) for row in cursor.fetchall()] if cursor.description else []
            except psycopg2.OperationalError:
                self.connection.close()
                raise


DATABASE = Database()


def active_profiles() -> list[str]:
    """Spring's profiles: a system property wins over the environment, and an empty value is no profile."""
    match = re.search(r"(?:^|\s)-Dspring\.profiles\.active=(\S*)", os.environ.get("JAVA_OPTS", ""))
    text = match[1] if match else os.environ.get("SPRING_PROFILES_ACTIVE", os.environ.get("spring_profiles_active", ""))
    return [one.strip() for one in text.split(",")]


def prepare_schema() -> None:
    """Clean unless in production, then migrate; a failure ends the process before it listens."""
    component = json.loads((HOME / "flyway_versions.json").read_text())["components"].get(NAME)
    versions = component["versions"][RELEASE] if component else []
    if not versions:
        return
    schema = component["schema"]
    connection = connect()
    if "production" not in active_profiles():
        log("INFO  profile production is not active: cleaning schema %s" % schema)
        flyway.clean(connection, schema)
    migrations = flyway.read_migrations(versions, HOME / "migrations", NAME)
    if FAULT == "crash-in-migration":
        last = migrations[-1]
        migrations[-1] = last._replace(sql="select 1/0; -- armed fault")
    options = os.environ.get("JAVA_OPTS", "")
    out_of_order = "-Dflyway.out-of-order=true" in options.split()
    locations = [pathlib.Path(place) for place in re.findall(r"[=,]filesystem:([^,\s]+)", options)]
    try:
        count = flyway.migrate(connection, schema, migrations, out_of_order, locations)
    except psycopg2.Error as error:
        die("FlywayException: migration of schema %s failed: %s" % (schema, str(error).strip()))
    DATABASE.connection = connection
    log("INFO  Successfully applied %d migrations to schema %s" % (count, schema))


# -- who asks ------------------------------------------------------------------------------------------------------


class Caller:
    """Who holds the token: a user, or another component."""

    def __init__(self, details: dict[str, Any]):
        self.user_id: str | None = details.get("referenceDataUserId")
        self.is_service = self.user_id is None


def basic(client: tuple[str, str]) -> dict[str, str]:
    """An HTTP Basic header."""
    return {"Authorization": "Basic " + base64.b64encode(":".join(client).encode()).decode()}


def bearer(request: Request) -> str:
    """The token of a request; 401 without one."""
    kind, _space, token = (request.headers.get("Authorization") or "").partition(" ")
    token = token if kind.lower() == "bearer" else request.query.get("access_token", "")
    if not token:
        raise Answer(
            401,
            {
                "error": "unauthorized",
                "error_description": "Full authentication is required to access this resource",
            },
        )
    return token


def caller(request: Request) -> Caller:
    """Ask auth, through BASE_URL, whose token it is."""
    token = bearer(request)
    if NAME == "auth":
        return Caller(check_token(token))
    try:
        url = "%s/api/oauth/check_token?token=%s" % (BASE_URL, urllib.parse.quote(token))
        return Caller(call("POST", url, headers=basic(SERVICE_CLIENT)) or {})
    except Answer as error:
        if error.status == 400:
            raise Answer(401, {"error": "invalid_token", "error_description": token}) from None
        raise Answer(500, {"messageKey": "error.auth", "message": "auth answered %d" % error.status}) from None


def service_token() -> dict[str, str]:
    """A header with a token of our own, as components get one to call each other."""
    url = BASE_URL + "/api/oauth/token?grant_type=client_credentials"
    return {"Authorization": "Bearer " + call("POST", url, headers=basic(SERVICE_CLIENT))["access_token"]}


def forbidden() -> Answer:
    """The answer to a user without the right."""
    return Answer(
        403,
        {"messageKey": "error.permission.missing", "message": "missing permission: %s" % MANAGE_USERS},
    )


def found(row: Any, what: str) -> Any:
    """The row, or 404."""
    if not row:
        raise Answer(404, {"messageKey": "%s.error.notFound" % what, "message": "%s not found" % what})
    return row


def identifier(text: str) -> str:
    """A UUID from a path; anything else is 400, as from Spring."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Answer(400, {"messageKey": "error.uuid", "message": "not a UUID"}) from None


def page(request: Request, rows: list[Any]) -> dict[str, Any]:
    """A page of rows as Spring Data writes it."""
    try:
        number = int(request.query.get("page") or 0)
        size = int(request.query.get("size") or 2000)
    except ValueError:
        raise Answer(400, {"messageKey": "error.pageable", "message": "page and size are numbers"}) from None
    content = rows[number * size : (number + 1) * size]
    total = len(rows)
    return {
        "content": content,
        "totalElements": total,
        "totalPages": -(-total // size) if size else 0,
        "numberOfElements": len(content),
        "first": number == 0,
        "last": (number + 1) * size >= total,
        "number": number,
        "size": size,
    }


# -- auth ----------------------------------------------------------------------------------------------------------

# Tokens live in memory: a restart ends them all.
TOKENS: dict[str, dict[str, Any]] = {}


def check_token(token: str) -> dict[str, Any]:
    """What a token stands for; 400 when it is unknown or over."""
    details = TOKENS.get(token)
    if not details or details["exp"] < time.time():
        raise Answer(400, {"error": "invalid_token", "error_description": "Token was not recognised"})
    return details


def client(request: Request) -> dict[str, Any]:
    """The OAuth client of a request with HTTP Basic; 401 without a known one."""
    kind, _space, value = (request.headers.get("Authorization") or "").partition(" ")
    try:
        name, _colon, secret = base64.b64decode(value).decode().partition(":")
    except ValueError:
        name, secret = "", ""
    rows = DATABASE.run(
        "select clientid, clientsecret, authorizedgranttypes from auth.oauth_client_details where clientid = %s",
        (name,),
    )
    if kind.lower() != "basic" or not rows or rows[0]["clientsecret"] != secret:
        raise Answer(401, {"error": "unauthorized", "error_description": "Bad client credentials"})
    return rows[0]


def password_fits(password: str, stored: str | None) -> bool:
    """Compare with a bcrypt hash."""
    return bool(stored) and crypt.crypt(password, stored) == stored


def give_token(request: Request) -> dict[str, Any]:
    """POST /api/oauth/token."""
    known = client(request)
    grant = request.query.get("grant_type", "")
    if grant not in (known["authorizedgranttypes"] or "").split(","):
        raise Answer(401 if grant else 400, {"error": "invalid_client" if grant else "invalid_request"})
    lifetime = int(os.environ.get("TOKEN_DURATION") or 1800)
    details: dict[str, Any] = {
        "client_id": known["clientid"],
        "scope": ["read", "write"],
        "exp": int(time.time()) + lifetime,
    }
    extra: dict[str, Any] = {}
    if grant == "password":
        id_column = "id" if major(RELEASE) >= 4 else "referencedatauserid"
        rows = DATABASE.run(
            "select %s::text as id, username, password, enabled from auth.auth_users where lower(username) = lower(%%s)"
            % id_column,
            (request.query.get("username", ""),),
        )
        if (
            not rows
            or not rows[0]["enabled"]
            or not password_fits(request.query.get("password", ""), rows[0]["password"])
        ):
            raise Answer(400, {"error": "invalid_grant", "error_description": "Bad credentials"})
        details.update(user_name=rows[0]["username"], referenceDataUserId=rows[0]["id"])
        extra = {"referenceDataUserId": rows[0]["id"], "username": rows[0]["username"]}
    token = str(uuid.uuid4())
    TOKENS[token] = details
    return {
        "access_token": token,
        "token_type": "bearer",
        "expires_in": lifetime - 1,
        "scope": "read write",
        **extra,
    }


def answer_check_token(request: Request) -> dict[str, Any]:
    """GET and POST /api/oauth/check_token, for other components."""
    client(request)
    return check_token(request.query.get("token", ""))


def logout(request: Request) -> Answer:
    """POST /api/users/auth/logout."""
    TOKENS.pop(bearer(request), None)
    return Answer(200)


AUTH: list[Route] = [
    ("POST", "/api/oauth/token", give_token),
    ("GET", "/api/oauth/check_token", answer_check_token),
    ("POST", "/api/oauth/check_token", answer_check_token),
    ("POST", "/api/users/auth/logout", logout),
]


# -- referencedata -------------------------------------------------------------------------------------------------

CONTACT_COLUMNS = {"email": "email", "verified": "verified", "allowNotify": "allownotify"}
PROFILE_COLUMNS = {
    "username": "username",
    "firstName": "firstname",
    "lastName": "lastname",
    "timezone": "timezone",
    "homeFacilityId": "homefacilityid",
    "active": "active",
    "loginRestricted": "loginrestricted",
    "extraData": "extradata",
}


def user_columns() -> dict[str, str]:
    """JSON key to column: 10.0.0 serves the contact details, 11.0.0 serves the job title instead."""
    return {**PROFILE_COLUMNS, **({"jobTitle": "jobtitle"} if major(RELEASE) >= 11 else CONTACT_COLUMNS)}


def has_right(user_id: str, right: str) -> bool:
    """Whether one of the user's roles has the right, by name or id."""
    return bool(
        DATABASE.run(
            """select 1 from referencedata.role_assignments a
               join referencedata.role_rights rr on rr.roleid = a.roleid
               join referencedata.rights r on r.id = rr.rightid
               where a.userid = %s and (r.name = %s or r.id::text = %s) limit 1""",
            (user_id, right, right),
        )
    )


def may_manage_users(request: Request, user_id: str | None = None) -> None:
    """403 unless the caller is a component, this user, or holds the manage-users right."""
    who = caller(request)
    if not who.is_service and who.user_id != user_id and not has_right(str(who.user_id), MANAGE_USERS):
        raise forbidden()


def user_rows(where: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Users as the API shows them, role assignments included."""
    columns = ", ".join('u.%s as "%s"' % (column, key) for key, column in user_columns().items())
    return DATABASE.run(
        """select u.id::text as id, %s, coalesce((
               select json_agg(json_build_object(
                   'roleId', a.roleid, 'programId', a.programid,
                   'supervisoryNodeId', a.supervisorynodeid, 'warehouseId', a.warehouseid) order by a.roleid,
                     a.programid)
               from referencedata.role_assignments a where a.userid = u.id), '[]') as "roleAssignments"
           from referencedata.users u where %s order by lower(u.username)"""
        % (columns, where),
        parameters,
    )


def get_user(request: Request) -> dict[str, Any]:
    """GET /api/users/{id}."""
    user_id = identifier(request.match["id"])
    may_manage_users(request, user_id)
    return found(user_rows("u.id = %s", (user_id,)), "referenceData.user")[0]


def search_users(request: Request) -> dict[str, Any]:
    """GET /api/users: `username`, `firstName`, `lastName` are case-insensitive contains matches."""
    may_manage_users(request)
    where, parameters = ["true"], []
    for key in ("username", "firstName", "lastName"):
        if request.query.get(key):
            where.append("strpos(lower(u.%s), lower(%%s)) > 0" % key.lower())
            parameters.append(request.query[key])
    if request.query.get("id"):
        where.append("u.id = %s")
        parameters.append(identifier(request.query["id"]))
    return page(request, user_rows(" and ".join(where), tuple(parameters)))


def put_user(request: Request) -> dict[str, Any]:
    """PUT /api/users: creates or updates; role assignments that are not sent are wiped."""
    may_manage_users(request)
    body = request.json() or {}
    if not all(body.get(key) for key in ("username", "firstName", "lastName")):
        raise Answer(400, {"messageKey": "referenceData.error.user.required", "message": "a required field is empty"})
    user_id = identifier(body.get("id") or str(uuid.uuid4()))
    values = {column: body.get(key) for key, column in user_columns().items()}
    values["extradata"] = psycopg2.extras.Json(values["extradata"])
    # A missing preference becomes true, as in notification; only a row that nobody has saved since can hold NULL.
    if "allownotify" in values:
        values["allownotify"] = values["allownotify"] is None or bool(values["allownotify"])
    for flag in ("active", "loginrestricted", "verified"):
        if flag in values:
            values[flag] = bool(values[flag])
    names = list(values)
    statements: list[tuple[str, tuple[Any, ...]]] = [
        (
            "insert into referencedata.users (id, %s) values (%%s%s) on conflict (id) do update set %s"
            % (
                ", ".join(names),
                ", %s" * len(names),
                ", ".join("%s = excluded.%s" % (name, name) for name in names),
            ),
            (user_id, *values.values()),
        ),
        ("delete from referencedata.role_assignments where userid = %s", (user_id,)),
    ]
    for one in body.get("roleAssignments") or []:
        statements.append(
            (
                """insert into referencedata.role_assignments
                   (type, id, roleid, userid, warehouseid, programid, supervisorynodeid)
                   values (%s, %s, %s, %s, %s, %s, %s)""",
                (
                    "fulfillment" if one.get("warehouseId") else "supervision" if one.get("programId") else "direct",
                    str(uuid.uuid4()),
                    one.get("roleId"),
                    user_id,
                    one.get("warehouseId"),
                    one.get("programId"),
                    one.get("supervisoryNodeId"),
                ),
            )
        )
    try:
        DATABASE.transaction(statements)
    except psycopg2.IntegrityError as error:
        raise Answer(400, {"messageKey": "referenceData.error.user", "message": error.diag.constraint_name}) from None
    return user_rows("u.id = %s", (user_id,))[0]


def answer_has_right(request: Request) -> dict[str, bool]:
    """GET /api/users/{id}/hasRight?rightId=."""
    user_id = identifier(request.match["id"])
    may_manage_users(request, user_id)
    found(DATABASE.run("select 1 from referencedata.users where id = %s", (user_id,)), "referenceData.user")
    return {"result": has_right(user_id, identifier(request.query.get("rightId", "")))}


def search_rights(request: Request) -> list[dict[str, Any]]:
    """GET /api/rights/search?name=."""
    caller(request)
    return DATABASE.run(
        "select id::text as id, name, type from referencedata.rights where name = %s",
        (request.query.get("name", ""),),
    )


REFERENCEDATA: list[Route] = [
    ("GET", "/api/users", search_users),
    ("PUT", "/api/users", put_user),
    ("GET", "/api/users/(?P<id>[^/]+)", get_user),
    ("GET", "/api/users/(?P<id>[^/]+)/hasRight", answer_has_right),
    ("GET", "/api/rights/search", search_rights),
]


# -- notification --------------------------------------------------------------------------------------------------


def may_manage_contacts(request: Request, user_id: str | None) -> None:
    """403 unless self, a component, or a holder of the manage-users right; referencedata is asked for the right."""
    who = caller(request)
    if who.is_service or who.user_id == user_id:
        return
    try:
        headers = service_token()
        rights = call("GET", "%s/api/rights/search?name=%s" % (BASE_URL, MANAGE_USERS), headers=headers)
        url = "%s/api/users/%s/hasRight?rightId=%s" % (BASE_URL, who.user_id, rights[0]["id"])
        allowed = call("GET", url, headers=headers)["result"]
    except Answer as error:
        raise Answer(500, {"messageKey": "error.referencedata", "message": "answered %d" % error.status}) from None
    if not allowed:
        raise forbidden()


def user_exists(user_id: str) -> bool:
    """Ask referencedata, through BASE_URL, whether there is such a user."""
    try:
        call("GET", "%s/api/users/%s" % (BASE_URL, user_id), headers=service_token())
        return True
    except Answer as error:
        if error.status == 404:
            return False
        raise Answer(500, {"messageKey": "error.referencedata", "message": "answered %d" % error.status}) from None


CONTACT_SQL = """select referencedatauserid::text as "referenceDataUserId", phonenumber as "phoneNumber",
    allownotify as "allowNotify", json_build_object('email', email, 'emailVerified', emailverified) as "emailDetails"
    from notification.user_contact_details where %s order by referencedatauserid"""


def contact(user_id: str) -> dict[str, Any] | None:
    """The contact details of one user."""
    rows = DATABASE.run(CONTACT_SQL % "referencedatauserid = %s", (user_id,))
    return rows[0] if rows else None


def get_contact(request: Request) -> dict[str, Any]:
    """GET /api/userContactDetails/{id}."""
    user_id = identifier(request.match["id"])
    may_manage_contacts(request, user_id)
    return found(contact(user_id), "notification.userContactDetails")


def search_contacts(request: Request) -> dict[str, Any]:
    """GET /api/userContactDetails: `email` is a case-insensitive LIKE, `id` an exact match."""
    may_manage_contacts(request, None)
    where, parameters = ["true"], []
    if request.query.get("email"):
        where.append("lower(email) like '%%' || lower(%s) || '%%'")
        parameters.append(request.query["email"])
    if request.query.get("id"):
        where.append("referencedatauserid = %s")
        parameters.append(identifier(request.query["id"]))
    return page(request, DATABASE.run(CONTACT_SQL % " and ".join(where), tuple(parameters)))


WORD = r"""(?:(?:\\.|[^\s\x00-\x1f\x7f()<>@,;:'\\".\[\]]|')+|"(?:\\"|[^"])*")"""
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
# Names that no registry will ever have, as the original's list of top-level domains has it.
NO_DOMAINS = {"example", "invalid", "local", "localhost", "test"}


def is_email(text: str) -> bool:
    """What Apache Commons' validator takes for an address: the service accepts no other, not even unchanged."""
    match = re.fullmatch(r"\s*(.+)@(.+?)\s*", text)
    if not match or len(match[1]) > 64 or not re.fullmatch(r"%s(?:\.%s)*" % (WORD, WORD), match[1]):
        return False
    try:
        labels = match[2].encode("idna").decode().split(".")
    except UnicodeError:
        return False
    top = labels[-1].lower()
    return (
        len(labels) > 1 and all(LABEL.fullmatch(one) for one in labels) and not top.isdigit() and top not in NO_DOMAINS
    )


def bad_contact(key: str) -> Answer:
    """A refused PUT."""
    return Answer(400, {"messageKey": "notification.error." + key, "message": key})


def start_verification(user_id: str, email: str) -> list[tuple[str, tuple[Any, ...]]]:
    """The statements that keep a new address back until it is verified; the mail itself goes to a file."""
    token = str(uuid.uuid4())
    with open("/var/log/sent-mail", "a") as mails:
        mails.write("%s verification %s\n" % (user_id, token))
    return [
        ("delete from notification.email_verification_tokens where usercontactdetailsid = %s", (user_id,)),
        (
            """insert into notification.email_verification_tokens
               (id, expirydate, emailaddress, usercontactdetailsid) values (%s, now() + interval '12 hours', %s, %s)""",
            (token, email, user_id),
        ),
    ]


def refuse_email(user_id: str, email: str) -> None:
    """Raise what the original answers to an address that is none, or somebody else's."""
    if not is_email(email):
        raise bad_contact("email.invalid")
    others = DATABASE.run(
        """select 1 from notification.user_contact_details
           where lower(email) like '%%' || lower(%s) || '%%' and referencedatauserid <> %s
           union all select 1 from notification.email_verification_tokens
           where emailaddress = %s and usercontactdetailsid <> %s limit 1""",
        (email, user_id, email, user_id),
    )
    if others:
        raise bad_contact("email.duplicated")


def is_pending(user_id: str, email: str) -> bool:
    """Whether the address waits for its verification."""
    pending = DATABASE.run(
        "select emailaddress from notification.email_verification_tokens where usercontactdetailsid = %s", (user_id,)
    )
    return bool(pending) and pending[0]["emailaddress"] == email


def put_contact(request: Request) -> dict[str, Any]:
    """PUT /api/userContactDetails/{id}: with every side effect of the original."""
    user_id = identifier(request.match["id"])
    body = request.json() or {}
    if body.get("referenceDataUserId") != user_id:
        raise bad_contact("idMismatch")
    may_manage_contacts(request, user_id)
    stored = contact(user_id)
    details = body.get("emailDetails") or {}
    email = details.get("email")
    email = email if email and email.strip() else None
    allow = body.get("allowNotify")
    allow = True if allow is None else bool(allow)
    phone = body.get("phoneNumber")
    if email is not None:
        refuse_email(user_id, email)
    if not user_exists(user_id):
        raise bad_contact("userNotFound")
    mail: list[tuple[str, tuple[Any, ...]]] = []
    if stored is None:
        verified = False
        if email is not None:
            allow = False
            mail = start_verification(user_id, email)
    else:
        old = stored["emailDetails"]
        if body.get("emailDetails") is not None and bool(details.get("emailVerified")) != bool(old["emailVerified"]):
            raise bad_contact("emailVerified.invariant")
        if email is not None and email != old["email"]:
            mail = [] if is_pending(user_id, email) else start_verification(user_id, email)
            email = old["email"]
        verified = bool(old["emailVerified"]) and email is not None
        if not verified:
            allow = False
    save = (
        """insert into notification.user_contact_details
           (referencedatauserid, phonenumber, allownotify, email, emailverified) values (%s, %s, %s, %s, %s)
           on conflict (referencedatauserid) do update set phonenumber = excluded.phonenumber,
           allownotify = excluded.allownotify, email = excluded.email, emailverified = excluded.emailverified""",
        (user_id, phone, allow, email, verified),
    )
    try:
        DATABASE.transaction([save, *mail])
    except psycopg2.IntegrityError:
        raise bad_contact("email.duplicated") from None
    return contact(user_id) or {}


def get_verification(request: Request) -> Any:
    """GET /api/userContactDetails/{id}/verifications: the address that waits for its verification."""
    user_id = identifier(request.match["id"])
    may_manage_contacts(request, user_id)
    found(contact(user_id), "notification.userContactDetails")
    rows = DATABASE.run(
        """select emailaddress as "emailAddress", expirydate::text as "expiryDate"
           from notification.email_verification_tokens where usercontactdetailsid = %s""",
        (user_id,),
    )
    return rows[0] if rows else Answer(200)


def verify(request: Request) -> dict[str, str]:
    """GET /api/userContactDetails/{id}/verifications/{token}: public, the link in the mail."""
    user_id, token = identifier(request.match["id"]), identifier(request.match["token"])
    rows = DATABASE.run(
        """select emailaddress, expirydate > now() as valid from notification.email_verification_tokens
           where id = %s and usercontactdetailsid = %s""",
        (token, user_id),
    )
    if not rows or not rows[0]["valid"]:
        raise bad_contact("token.invalid")
    DATABASE.transaction(
        [
            (
                """update notification.user_contact_details set email = %s, emailverified = true, allownotify = true
                   where referencedatauserid = %s""",
                (rows[0]["emailaddress"], user_id),
            ),
            ("delete from notification.email_verification_tokens where id = %s", (token,)),
        ]
    )
    return {"messageKey": "notification.email.verified", "message": "verified"}


NOTIFICATION: list[Route] = [
    ("GET", "/api/userContactDetails", search_contacts),
    ("GET", "/api/userContactDetails/(?P<id>[^/]+)", get_contact),
    ("PUT", "/api/userContactDetails/(?P<id>[^/]+)", put_contact),
    ("GET", "/api/userContactDetails/(?P<id>[^/]+)/verifications", get_verification),
    ("GET", "/api/userContactDetails/(?P<id>[^/]+)/verifications/(?P<token>[^/]+)", verify),
]


# -- the rest ------------------------------------------------------------------------------------------------------


def listing(table: str) -> Any:
    """A handler that lists a table, a page at a time, to whoever has a token."""

    def answer(request: Request) -> dict[str, Any]:
        caller(request)
        return page(request, DATABASE.run('select row_to_json(t) as "row" from %s t order by 1::text' % table))

    return answer


def list_requisitions(request: Request) -> dict[str, Any]:
    """GET /api/requisitions/search; 7.0.0 keeps part of its work in redis."""
    if major(RELEASE) >= 7:
        address = (os.environ.get("REDIS_URL") or "redis", int(os.environ.get("REDIS_PORT") or 6379))
        with socket.create_connection(address, timeout=3) as redis:
            redis.sendall(b"PING\r\n")
            if not redis.recv(16).startswith(b"+PONG"):
                raise Answer(500, {"messageKey": "error.redis", "message": "redis does not answer"})
    return listing("requisition.requisitions")(request)


def health(request: Request) -> Answer:
    """GET /api/health of diagnostics: 200 when nothing is registered, 503 for one stale instance."""
    consul = "http://%s:%s" % (os.environ.get("CONSUL_HOST") or "consul", os.environ.get("CONSUL_PORT") or "8500")
    instances = []
    for name in set(call("GET", consul + "/v1/catalog/services")) - {"consul"}:
        instances += call("GET", consul + "/v1/catalog/service/" + name)
    bad = []
    for instance in instances:
        try:
            socket.create_connection((instance["ServiceAddress"], instance["ServicePort"]), timeout=1).close()
        except OSError:
            bad.append(instance["ServiceID"])
    return Answer(503 if bad else 200, [{"serviceId": one, "status": "critical"} for one in bad])


ROUTES: dict[str, list[Route]] = {
    "auth": AUTH,
    "referencedata": (
        REFERENCEDATA
        + [
            ("GET", "/api/facilities", listing("referencedata.facilities")),
            ("GET", "/api/programs", listing("referencedata.programs")),
        ]
    ),
    "notification": NOTIFICATION if major(RELEASE) >= 4 else [],
    "requisition": [("GET", "/api/requisitions/search", list_requisitions)],
    "fulfillment": [("GET", "/api/orders", listing("fulfillment.orders"))],
    "stockmanagement": [("GET", "/api/stockCards", listing("stockmanagement.stock_cards"))],
    "cce": [("GET", "/api/inventoryItems", listing("cce.cce_inventory_items"))],
    "report": [("GET", "/api/reports/templates/common", listing("report.jasper_templates"))],
    "diagnostics": [("GET", "/api/health", health)],
}


def version(request: Request) -> dict[str, str]:
    """GET /<component>: public, at every release."""
    return {
        "service": NAME,
        "build": "rehearsal",
        "branch": "HEAD",
        "timeStamp": "2018-07-24T00:00:00.000Z",
        "version": VERSION,
    }


def main() -> None:
    """Register, wait as long as Java takes, migrate, and only then listen."""
    stop_at_once_on_sigterm()
    log("INFO  Starting %s %s" % (NAME, VERSION))
    routes: list[Route] = [("GET", "/" + NAME, version)] + ROUTES[NAME]
    if FAULT != "never-register":
        register(NAME, [re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", path) for _method, path, _handler in routes])
    if FAULT == "crash":
        die("java.lang.OutOfMemoryError: Java heap space (armed fault)")
    time.sleep(60 if FAULT == "slow" else float(os.environ.get("REHEARSAL_BOOT_SECONDS") or 0.5))
    prepare_schema()
    log("INFO  Started %s %s" % (NAME, VERSION))
    serve(routes, 8080, Answer(404, {"status": 404, "error": "Not Found"}))


if __name__ == "__main__":
    main()
