# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal server seen from outside: what tests ask, compare, and expect without the collection's code."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import pathlib
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

import psycopg2

from .images import RehearsalError, client
from .releases import COMPONENTS, HTTP_PORT, PROJECT

ADMIN = ("admin", "password")
DATABASE = {"dbname": "open_lmis", "user": "postgres", "password": "p@ssw0rd"}
PROJECT_LABEL = "com.docker.compose.project"
# What tools/second-engine gives the volume that it keeps its data in.
ENGINE_LABEL = "org.openlmis.second-engine"


class Reply(NamedTuple):
    """An HTTP answer: status, decoded JSON (or None), text."""

    status: int
    json: Any
    text: str


class Contact(NamedTuple):
    """A row of notification.user_contact_details without its key."""

    phone: str | None
    allow_notify: bool | None
    email: str | None
    email_verified: bool


def bridge_address() -> str:
    """The host's address on Docker's default bridge, which host and containers both reach; of a remote engine its
    host's.
    """
    remote = urllib.parse.urlsplit(os.environ.get("DOCKER_HOST", ""))
    if remote.scheme == "tcp" and remote.hostname:
        return remote.hostname
    for config in client().networks.get("bridge").attrs["IPAM"]["Config"]:
        # Engine 20.10 leaves the gateway out until a container was attached; it is always the first address then.
        return config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"], strict=False).hosts()))
    raise RehearsalError("Docker's bridge network has no IPv4 subnet; the rehearsal needs the default bridge.")


class Server:
    """One rehearsal server; `root` holds the deployment folder, the inventory, backups and state."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.project_src = root / "server"
        self.inventory = root / "inventory.yml"
        self.backup_dir = root / "backup"
        self.state_dir = root / "state"
        self.base_url = "http://%s:%d" % (bridge_address(), HTTP_PORT)
        self.engine = client()
        self.project = PROJECT
        # What a site calls its services, by the name that they have in the reference distribution.
        self.names: dict[str, str] = {}
        self.composer = ["docker", "compose"]
        # What the shell exports in which the site runs Compose; Ansible's commands do not get it.
        self.exported: dict[str, str] = {}
        # The database where it is outside the project (stack.external), and how Ansible's commands are run then.
        self.outside: Any = None
        self.prefix: list[str] = []
        self.environment: dict[str, str] | None = None

    def report(self) -> tuple[dict[str, Any], str]:
        """The last report on the host: the JSON document and the page."""
        newest = max(self.state_dir.glob("report-*.json"), key=lambda path: path.stat().st_mtime)
        return json.loads(newest.read_text()), newest.with_suffix(".html").read_text()

    # -- containers ------------------------------------------------------------------------------------------------

    def containers(self) -> list[Any]:
        """Every container of the project, stopped ones included, by name."""
        found = self.engine.containers.list(
            all=True, ignore_removed=True, filters={"label": "%s=%s" % (PROJECT_LABEL, self.project)}
        )
        return sorted(found, key=lambda one: one.name)

    def container(self, service: str) -> Any:
        """The container of a service; RehearsalError when there is none."""
        for one in self.containers():
            if one.labels.get("com.docker.compose.service") == self.names.get(service, service):
                return one
        raise RehearsalError("The rehearsal server has no container for the service %s." % service)

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run docker compose in the deployment folder."""
        run = subprocess.run(
            [*self.composer, *arguments],
            cwd=self.project_src,
            env={**os.environ, **self.exported},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and run.returncode:
            raise RehearsalError(
                "docker compose %s failed:\n%s" % (" ".join(arguments), (run.stderr or run.stdout).strip())
            )
        return run

    # -- database --------------------------------------------------------------------------------------------------

    def database_address(self) -> str:
        """The database container's address on its network."""
        container = self.container("db")
        container.reload()
        for network in container.attrs["NetworkSettings"]["Networks"].values():
            if network["IPAddress"]:
                return network["IPAddress"]
        raise RehearsalError("The database container is not running.")

    def connect(self, **settings: Any) -> Any:
        """A psycopg2 connection to the server's database, as its owner unless told otherwise."""
        known = self.outside.login() if self.outside else {"host": self.database_address(), **DATABASE}
        return psycopg2.connect(**{"connect_timeout": 5, **known, **settings})

    def query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in its own transaction; the rows, or an empty list."""
        connection = self.connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def has_table(self, name: str) -> bool:
        """Whether a table is there."""
        return bool(self.query("select to_regclass(%s) is not null", (name,))[0][0])

    def users(self) -> list[dict[str, Any]]:
        """All users of referencedata with the columns that the copy reads.

        Before 3.4 has brought the phone column, the number is the one in the extra data, from where the site's own
        script will put it there.
        """
        columns = {
            row[0]
            for row in self.query(
                "select column_name from information_schema.columns"
                " where table_schema = 'referencedata' and table_name = 'users'"
            )
        }
        phone = "phonenumber" if "phonenumber" in columns else "extradata ->> 'phoneNumber'"
        rows = self.query(
            "select id::text, username, email, verified, allownotify, %s from referencedata.users" % phone
        )
        keys = ("id", "username", "email", "verified", "allownotify", "phonenumber")
        return [dict(zip(keys, row)) for row in rows]

    def contact_details(self) -> dict[str, Contact]:
        """What the notification service holds, by user id."""
        rows = self.query(
            "select referencedatauserid::text, phonenumber, allownotify, email, emailverified"
            " from notification.user_contact_details"
        )
        return {row[0]: Contact(*row[1:]) for row in rows}

    def migrations(self, schema: str) -> list[str]:
        """The versions in a schema's history, in the order of their installation; empty without a history."""
        if not self.has_table(schema + ".schema_version"):
            return []
        rows = self.query(
            "select version from \"%s\".schema_version where success and version <> '0' order by installed_rank"
            % schema
        )
        return [row[0] for row in rows]

    def table_hashes(self) -> dict[str, str]:
        """A content hash of every table: md5 over its rows in a fixed order."""
        tables = self.query(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema') order by 1"
        )
        result = {}
        for (table,) in tables:
            result[table] = self.query(
                "select count(*) || ':' || coalesce(md5(string_agg(t::text, E'\\n' order by t::text collate \"C\")),"
                " '-') from %s t" % table
            )[0][0]
        return result

    # -- the whole -------------------------------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, dict[str, Any]]:
        """Everything that an operation in check mode must leave alone; equal dictionaries mean nothing changed."""
        containers = {one.name: (one.id, one.attrs["State"]["StartedAt"], one.status) for one in self.containers()}
        files = {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            # A running database writes to its own files; what is in it is compared below.
            if path.is_file() and self.root / "data" not in path.parents
        }
        images = {tag: one.id for one in self.engine.images.list() for tag in one.tags}
        # A second engine may begin or end beside this server at any moment.
        volumes = {
            one.name: one.attrs["CreatedAt"]
            for one in self.engine.volumes.list()
            if ENGINE_LABEL not in (one.attrs.get("Labels") or {})
        }
        return {
            "containers": containers,
            "files": files,
            "images": images,
            "volumes": volumes,
            "tables": self.table_hashes(),
        }

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def http(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        basic: tuple[str, str] | None = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request to the server's public address; statuses are returned, not raised."""
        data = None
        sent = dict(headers or {})
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        if token:
            sent["Authorization"] = "Bearer " + token
        if basic:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                status, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        except OSError:
            return Reply(0, None, "")
        try:
            return Reply(status, json.loads(text), text)
        except ValueError:
            return Reply(status, None, text)

    def login(self, username: str = ADMIN[0], password: str = ADMIN[1]) -> Reply:
        """Ask for a token as the user interface does."""
        return self.http(
            "POST",
            "/api/oauth/token",
            basic=("user-client", "changeme"),
            form={"grant_type": "password", "username": username, "password": password},
        )

    def token(self, username: str = ADMIN[0], password: str = ADMIN[1]) -> str:
        """A token of a user who exists."""
        reply = self.login(username, password)
        if reply.status != 200:
            raise RehearsalError("The server refused the login of %s with status %d." % (username, reply.status))
        return reply.json["access_token"]

    def components(self) -> list[str]:
        """The components with a version page that this deployment has."""
        text = "\n".join(path.read_text() for path in sorted(self.project_src.glob("*.yml")))
        return [name for name in COMPONENTS if "\n  %s:\n" % self.names.get(name, name) in text]

    def versions(self) -> dict[str, str | None]:
        """What each component answers at its version page; None while it does not."""
        result: dict[str, str | None] = {}
        for name in self.components():
            reply = self.http("GET", "/" + name)
            result[name] = reply.json.get("version") if reply.status == 200 and isinstance(reply.json, dict) else None
        return result


def expected_contact_details(users: list[dict[str, Any]]) -> dict[str, Contact]:
    """What the copy must leave in the notification service for these users of referencedata, by user id."""
    result = {}
    for user in users:
        email = user["email"] if user["email"] is not None and user["email"].strip() else None
        phone = user["phonenumber"] if user["phonenumber"] is not None and user["phonenumber"].strip() else None
        result[user["id"]] = Contact(phone, user["allownotify"], email, bool(user["verified"]) and email is not None)
    return result


def exists(root: pathlib.Path) -> bool:
    """Whether a rehearsal server of this root was written."""
    return (root / "server" / "docker-compose.yml").exists()
