# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a database may lie: in a volume with a name, in a folder of the host, and outside the Compose project, as RDS
offers one.

The latter takes TLS connections only, under a certificate for its name. The role of OpenLMIS owns the database and
nothing else: it is no superuser, and the extensions, PostGIS among them, belong to another one. Nobody gets at its
host.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import psycopg2

from .certificates import Authority
from .images import DATA, client
from .releases import CHECKOUT, LABEL
from .world import Server, bridge_address

IMAGE = "openlmis/postgres:9.6-postgis"
CONTAINER = "openlmis-rehearsal-outside"
NAME = "open-lmis.database.example.org"
PORT = 15432
# Everything that means something to a shell, to Compose, to YAML and Jinja, to a URL, to libpq or to a password file.
PASSWORD = "p %41&\"$$HOME${X}`id`'; #{{ 7*7 }}<|>*?[a]~!@:/\\,.=+^_-é"
MASTER = "m@ster"
# The path of the certificate in the components' containers; on this host there is no such file.
IN_CONTAINERS = "/config/cert/root.crt"


class Database:
    """The server and its one database; `engine` runs it, `address` is where everybody reaches it."""

    user = "lmis"

    def __init__(
        self, folder: pathlib.Path, address: str | None = None, port: int = PORT, may_create: bool = True
    ) -> None:
        self.engine = client()
        self.address, self.port = address or bridge_address(), port
        self.authority, self.may_create = Authority(), may_create
        self.folder = folder
        self.ca = folder / "rds-ca.pem"
        address = {
            "PGHOST": NAME,
            "PGHOSTADDR": self.address,
            "PGPORT": self.port,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": self.ca,
        }
        # What a command of PostgreSQL's begins with that speaks to it.
        self.inside = [
            "env",
            "PGPASSWORD=" + PASSWORD,
            "PATH=" + with_clients()["PATH"],
            *(f"{key}={value}" for key, value in address.items()),
        ]

    # -- the server ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a fresh one."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca.write_bytes(self.authority.certificate)
        container = self.engine.containers.run(
            IMAGE,
            name=CONTAINER,
            detach=True,
            environment={"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": MASTER},
            ports={"5432/tcp": (self.address, self.port)},
            labels={LABEL: "true"},
        )
        until = time.monotonic() + 60
        # By TCP: on its socket the server answers while the image prepares it, too, and is stopped and started once
        # more after that.
        ready = ["psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", "select extname from pg_extension", "open_lmis"]
        while b"postgis" not in container.exec_run(ready).output:
            assert time.monotonic() < until, container.logs(tail=10)
            time.sleep(0.2)
        certificate, key = self.authority.issue(NAME)
        container.put_archive(DATA, packed({"server.crt": certificate, "server.key": key}))
        script = "cd $PGDATA && chown postgres: server.* && chmod 600 server.key && echo ssl=on >>postgresql.conf"
        rule = r"sed -i 's/^host all all all md5/hostssl all all all md5\nhostnossl all all all reject/' pg_hba.conf"
        code, output = container.exec_run(
            ["sh", "-ec", script + " && " + rule + " && psql -U postgres -c 'select pg_reload_conf()'"]
        )
        assert code == 0, output
        rights = "createdb" if self.may_create else "nocreatedb"
        self.administer(f"create role {self.user} login {rights} password %s", PASSWORD)
        self.administer(f"alter database open_lmis owner to {self.user}")

    def stop(self) -> None:
        """Remove it with its data."""
        for container in self.engine.containers.list(all=True, ignore_removed=True, filters={"name": f"^{CONTAINER}$"}):
            container.remove(v=True, force=True)

    def administer(self, statement: str, *values: Any, database: str = "open_lmis") -> list[tuple[Any, ...]]:
        """Run a statement as the provider's superuser."""
        login = {**self.login(), "user": "postgres", "password": MASTER, "dbname": database}
        with contextlib.closing(psycopg2.connect(**login)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

    def login(self) -> dict[str, Any]:
        """How the tests connect, as OpenLMIS' role."""
        address = {"host": NAME, "hostaddr": self.address, "port": self.port}
        tls = {"sslmode": "verify-full", "sslrootcert": str(self.ca)}
        return {**address, **tls, "dbname": "open_lmis", "user": self.user, "password": PASSWORD}

    # -- the deployment --------------------------------------------------------------------------------------------

    def url(self) -> str:
        """The JDBC URL as a site writes it; the last parameter takes what the components glue to the end."""
        port = "" if self.port == 5432 else f":{self.port}"
        return f"jdbc:postgresql://{NAME}{port}/open_lmis?sslmode=verify-full&sslrootcert={IN_CONTAINERS}&x="

    def prepare(self, server: Server) -> None:
        """Have the deployment use it, and Ansible's commands find it by its name; its service db must have been left
        out.
        """
        self.start()
        server.outside = self
        settings = server.project_src / "settings.env"
        text = re.sub(r"(?m)^(DATABASE_URL|POSTGRES_USER|POSTGRES_PASSWORD)=.*\n", "", settings.read_text())
        quoted = PASSWORD.replace("'", "\\'")
        settings.write_text(
            text + f"DATABASE_URL={self.url()}\nPOSTGRES_USER={self.user}\nPOSTGRES_PASSWORD='{quoted}'\n"
        )
        config = server.project_src / "config"
        (config / "cert").mkdir()
        (config / "cert" / "root.crt").write_bytes(self.authority.certificate)
        dockerfile = config / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("CMD", f"COPY cert/root.crt {IN_CONTAINERS}\nCMD"))
        hosts = f'    extra_hosts: ["{NAME}:{self.address}"]\n'
        edit_compose_file(server, r"(?m)^    image: .*\n", r"\g<0>" + hosts)
        inventory(server, openlmis_ca_cert=str(self.ca), openlmis_backup_verify="rows")
        server.prefix, server.environment = self.named(), with_clients()

    def named(self) -> list[str]:
        """What a command begins with that knows the server by its name."""
        hosts = self.folder / "hosts"
        hosts.write_text(pathlib.Path("/etc/hosts").read_text() + f"{self.address} {NAME}\n")
        return ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]


def with_clients() -> dict[str, str]:
    """The environment of a host that has a new enough pg_dump: the image's own programs, with all that they are linked
    to.
    """
    root = CHECKOUT / ".cache" / "postgresql-client"
    if not (root / "bin").exists():
        part = pathlib.Path(tempfile.mkdtemp(dir=CHECKOUT / ".cache"))
        listed = (
            "cd / && set -- $(ls usr/lib/postgresql/*/bin/pg_dump usr/lib/postgresql/*/bin/pg_dumpall"
            " usr/lib/postgresql/*/bin/p*_restore"
        )
        listed += (
            ' usr/lib/postgresql/*/bin/psql) && tar -chf - "$@" $(ldd "$@" | grep -o \'/[^ ]*so[^ ]*\' | sort -u | cut'
            " -c2-)"
        )
        command = [
            "docker",
            "run",
            "--rm",
            "--network=none",
            "--label",
            LABEL + "=true",
            "--entrypoint=sh",
            IMAGE,
            "-c",
            listed,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
            subprocess.run(["tar", "-xf", "-", "-C", str(part)], stdin=run.stdout, check=True)
        (programs,) = part.glob("usr/lib/postgresql/*/bin")
        (loader,) = part.glob("lib*/ld-linux*")
        libraries = ":".join(str(root / path.relative_to(part)) for path in {one.parent for one in part.rglob("*.so*")})
        (part / "bin").mkdir()
        for program in programs.iterdir():
            real, wrapper = root / program.relative_to(part), part / "bin" / program.name
            place = (
                f"{root / loader.relative_to(part)} --library-path {libraries} --argv0 {root / 'bin' / program.name}"
            )
            wrapper.write_text(f'#!/bin/sh\nexec {place} {real} "$@"\n')
            wrapper.chmod(0o755)
        part.chmod(0o755)
        part.rename(root)
    return {**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}"}


def packed(files: dict[str, bytes]) -> bytes:
    """A tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def edit_compose_file(server: Server, pattern: str, replacement: str) -> None:
    """Replace something in the Compose file; it must be there."""
    path = server.project_src / "docker-compose.yml"
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count, pattern
    path.write_text(text)


def named_volume(server: Server) -> None:
    """Have the database in a volume with a name."""
    in_volume(server, "database")
    edit_compose_file(server, r"\nvolumes:\n", "\nvolumes:\n  database: {}\n")


def folder_of_the_host(server: Server) -> None:
    """Have the database in a folder beside the deployment's."""
    in_volume(server, "../data")


def in_volume(server: Server, source: str) -> None:
    """Have the database's service declare where its data lies."""
    edit_compose_file(
        server, r"(?m)^    image: openlmis/postgres:.*\n", rf"\g<0>    volumes:\n      - '{source}:{DATA}'\n"
    )


def inventory(server: Server, **values: Any) -> None:
    """Set variables of the server in its inventory."""
    text = server.inventory.read_text()
    for name, value in values.items():
        # JSON is YAML.
        text = re.sub(rf"(?m)^ *{name}: .*\n", "", text) + f"      {name}: {json.dumps(value)}\n"
    server.inventory.write_text(text)


@contextlib.contextmanager
def database(folder: pathlib.Path, **options: Any) -> Iterator[Database]:
    """A database for the length of a with block; it is started by `prepare`."""
    found = Database(folder, **options)
    try:
        yield found
    finally:
        found.stop()
