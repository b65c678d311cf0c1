# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's state, saved once and put back again and again; and a picture of a server, to hold two states against each
other.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import shutil
from collections.abc import Iterable
from typing import Any

import docker.errors

from . import deployment
from .images import DATA
from .outside import gate_rules, open_gate
from .releases import LABEL, PROJECT
from .world import PROJECT_LABEL, Server

VOLUME = PROJECT + "-saved"
OUR_NAMES = "openlmis-operations/"
COLLECTION_LABEL = "org.openlmis.operations"
# When a migration was applied and how long that took is another story each time.
OTHER_EACH_TIME = {"schema_version": ("installed_on", "execution_time")}


class SavedServer:
    """The state of a running server: files of the database, folders, names of images.

    To save it the server is stopped; what runs afterwards is the restored one.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.engine = server.engine
        self.copy = server.root / "saved"
        self.versions = server.versions()
        self.volume = self.engine.volumes.create(VOLUME, labels={LABEL: "true", PROJECT_LABEL: PROJECT})
        # All but the image that Compose builds for the project, and what an earlier run has kept of it.
        self.names = {name: one for name, one in image_names(server).items() if PROJECT not in name and not kept(name)}
        server.compose("stop")
        self.copy_volume(database_volume(server), VOLUME)
        shutil.copytree(server.project_src, self.copy / "server", symlinks=True)
        self.restore()

    def copy_volume(self, source: str, target: str) -> None:
        """Copy a volume's content with a container, so that nobody needs to be root on the host."""
        self.engine.containers.run(
            self.server.container("db").attrs["Image"],
            ["sh", "-c", "rm -rf /target/* /target/.[!.]* && cp -a --reflink=auto /source/. /target/"],
            entrypoint="",
            remove=True,
            network_mode="none",
            labels={LABEL: "true"},
            volumes={source: {"bind": "/source", "mode": "ro"}, target: {"bind": "/target", "mode": "rw"}},
        )

    def start(self) -> None:
        """Start every service and wait until each component answers as when it was saved."""
        self.server.compose("up", "--detach", "--no-color", "db")
        deployment.wait_until("the database", lambda: deployment.database_answers(self.server), 60, self.server)
        self.server.compose("up", "--detach", "--no-color")
        deployment.wait_until("the saved server", lambda: self.server.versions() == self.versions, 120, self.server)
        self.server.container("ftp").exec_run(["sh", "-c", "echo order > /home/vsftpd/orders/ORDER-1.csv"])

    def restore(self) -> None:
        """Put the saved state back, whatever has happened to the server since."""
        open_gate()
        remove_containers(self.server)
        for folder in (self.server.project_src, self.server.backup_dir, self.server.state_dir):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.copy / "server", self.server.project_src, symlinks=True)
        self.restore_names()
        self.server.compose("create", "db")
        self.copy_volume(VOLUME, database_volume(self.server))
        self.start()

    def restore_names(self, keep_ours: bool = False) -> None:
        """Give every image the names back that it had, and take those away that a run gave, unless they are kept."""
        now = image_names(self.server)
        for name in [] if keep_ours else now:
            if kept(name):
                self.engine.images.remove(name, force=True)
        for name, image in self.names.items():
            if now.get(name) != image:
                repository, _colon, tag = name.rpartition(":")
                self.engine.images.get(image).tag(repository, tag)


def database_volume(server: Server) -> str:
    """The name of the volume in which the database's files lie."""
    mounts = server.container("db").attrs["Mounts"]
    return next(mount["Name"] for mount in mounts if mount["Destination"] == DATA)


def kept(name: str) -> bool:
    """Whether an upgrade gave this name to keep an image."""
    return name.startswith(OUR_NAMES) and ":before-" in name


def image_names(server: Server) -> dict[str, str]:
    """Every name of an image, with the image's id; older Engines call one without a name <none>."""
    names = {name: image["Id"] for image in server.engine.api.images() for name in image["RepoTags"] or []}
    return {name: image for name, image in names.items() if not name.startswith("<none>")}


def remove_containers(server: Server) -> None:
    """Remove the project's containers and the collection's own, their anonymous volumes too, several at a time."""
    found = server.containers()
    found += server.engine.containers.list(all=True, ignore_removed=True, filters={"label": COLLECTION_LABEL})

    def remove(container: Any) -> None:
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(v=True, force=True)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(remove, found))


# -- pictures ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Picture:
    """What two states of a server are compared by: each part maps names to what is there."""

    tables: dict[str, str]
    files: dict[str, str]
    images: dict[str, str]
    gate: dict[str, str]
    roles: dict[str, str]
    settings: dict[str, str]
    answers: dict[str, str]

    def differences(self, other: Picture, leave_out: Iterable[str] = ()) -> list[str]:
        """What differs between this picture and another one, as `part name`; `leave_out` names such differences."""
        found = []
        for part in dataclasses.fields(self):
            mine, others = getattr(self, part.name), getattr(other, part.name)
            names = sorted(mine.keys() | others.keys())
            found += ["%s %s" % (part.name, name) for name in names if mine.get(name) != others.get(name)]
        return [one for one in found if one not in set(leave_out)]


ROLES = """select rolname, concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
    rolconnlimit, rolpassword, rolvaliduntil, rolbypassrls,
    (select string_agg(pg_get_userbyid(m.roleid), ',' order by 1) from pg_auth_members m where m.member = a.oid))
    from pg_authid a"""
SETTINGS = """
select 'setting of ' || coalesce(r.rolname, '-') || ' in ' || coalesce(d.datname, '-'), setconfig::text
  from pg_db_role_setting left join pg_roles r on r.oid = setrole left join pg_database d on d.oid = setdatabase
  where setdatabase = 0 or d.datname = current_database()
union all
select 'database', concat_ws(' ', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,
  datconnlimit,
  datallowconn, (select string_agg(item::text, ',' order by item::text) from unnest(datacl) item))
    from pg_database where datname = current_database()
union all
select 'schema ' || nspname, concat_ws(' ', pg_get_userbyid(nspowner),
  (select string_agg(item::text, ',' order by item::text) from unnest(nspacl) item))
  from pg_namespace where nspname !~ '^pg_(toast|temp)'
union all
select 'rights of ' || c.oid::regclass, concat_ws(' ', pg_get_userbyid(relowner), relkind,
  (select string_agg(item::text, ',' order by item::text) from unnest(relacl) item))
  from pg_class c join pg_namespace n on n.oid = relnamespace where nspname !~ '^pg_'
    and nspname <> 'information_schema'
union all
select 'default rights ' || pg_get_userbyid(defaclrole) || coalesce(defaclnamespace::regnamespace::text,
  '') || defaclobjtype::text, defaclacl::text
  from pg_default_acl
union all
select 'extension ' || extname, extversion from pg_extension
union all
select 'sequence ' || schemaname || '.' || sequencename, coalesce(last_value::text, '-') from pg_sequences
union all
select 'definition of ' || conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) from pg_constraint
  where conrelid <> 0
union all
select 'definition of ' || schemaname || '.' || indexname, indexdef from pg_indexes where schemaname !~ '^pg_'
"""


def picture(server: Server) -> Picture:
    """What the server is now."""
    images = {}
    for container in server.containers():
        service = container.labels.get("com.docker.compose.service", "")
        restart = container.attrs["HostConfig"]["RestartPolicy"]["Name"]
        images[service] = "%s %s restarts: %s" % (container.attrs["Config"]["Image"], container.attrs["Image"], restart)
    files = {
        path.relative_to(server.project_src).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(server.project_src.rglob("*"))
        if path.is_file()
    }
    return Picture(
        tables=tables(server),
        files=files,
        images=images,
        gate={command: "".join(gate_rules(command)) for command in ("iptables", "ip6tables")},
        roles=dict(server.query(ROLES)),
        settings=dict(server.query(SETTINGS)),
        answers={
            **{name: str(version) for name, version in server.versions().items()},
            "login": str(server.login().status),
        },
    )


def tables(server: Server) -> dict[str, str]:
    """Rows and a content hash of every table, without the columns that differ each time."""
    found = server.query(
        "select format('%I.%I', table_schema, table_name), table_name,"
        " array_agg(column_name::text order by ordinal_position)"
        " from information_schema.columns join information_schema.tables using (table_schema, table_name)"
        " where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') group by 1, 2"
    )
    result = {}
    for table, name, columns in found:
        compared = ", ".join('"%s"' % one for one in columns if one not in OTHER_EACH_TIME.get(name, ()))
        result[table] = (
            compared
            + " "
            + server.query(
                "select count(*) || ':' || coalesce(md5(string_agg(t::text, E'\\n' order by t::text collate \"C\")),"
                " '-') from (select %s from %s) t" % (compared, table)
            )[0][0]
        )
    return result
