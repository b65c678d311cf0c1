# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server is at this moment: its deployment's files, its containers and its database, against a release."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, engine
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.project import (
    classification,
    deployment,
    edits,
    outlook,
)

# A migration or somebody's session may hold a table: a look says so and does not wait with it.
REPLACEMENT = re.compile(r"[0-9a-f]{12}_(.+)$")
SECOND_LOOK = 1.0  # seconds
SESSION = "SET lock_timeout = '5s'; SET statement_timeout = '120s'"


def argument_spec() -> Dict[str, Any]:
    """Return the options of every module that looks at a whole server."""
    spec = database.connection_argument_spec()
    spec["project_src"] = {"type": "path", "required": True}
    spec.update(
        compose_files={"type": "list", "elements": "str", "default": []},
        images={"type": "dict", "default": {}},
        target_files={"type": "path"},
        release={"type": "dict", "required": True},
        migrations={"type": "dict", "required": True},
    )
    return spec


class Look(NamedTuple):
    """A deployment as Docker and Compose show it. C(rendered) and C(raw) hold passwords and must not
    leave the module.
    """

    client: Any
    src: str
    files: List[str]
    project: compose.Project
    rendered: Mapping[str, Any]
    raw: Mapping[str, Any]
    services: List[deployment.Service]


def look(params: Mapping[str, Any], may_be_gone: bool = False) -> Look:
    """Read Docker and Compose. Raises OperationError when they, the files or the project cannot be read.

    With C(may_be_gone) a project without any container is none that cannot be read. With C(files_of_backup) Compose
    reads the files of that backup in the place of those that are there.
    """
    src, folder = params["project_src"], params.get("files_of_backup")
    if not folder:
        return _look(params, may_be_gone, src)
    with outlook.as_changed(src, backups.deployed(folder, src)) as place:
        return _look(params, may_be_gone, place)


def _look(params: Mapping[str, Any], may_be_gone: bool, place: str) -> Look:
    src = params["project_src"]
    client = compose.docker_client()
    files = deployment.compose_files(place, params["compose_files"])
    find = deployment.find_project if may_be_gone else _find_running
    project = find(client, src, files, params.get("project_name"))
    with ThreadPoolExecutor() as pool:
        rendered, raw = pool.map(
            lambda interpolate: deployment.render(place, files, project.name, interpolate), (True, False)
        )
    there = [
        os.path.join(src, os.path.relpath(path, place)) if path.startswith(place + os.sep) else path for path in files
    ]
    return Look(client, src, there, project, rendered, raw, deployment.services_of(rendered, raw, params["release"]))


def collect(params: Mapping[str, Any], may_be_gone: bool = False) -> Dict[str, Any]:
    """Return everything that steps need to know of a server; see :func:`facts_of`."""
    return facts_of(look(params, may_be_gone), params)


def facts_of(seen: Look, params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return everything that checks and steps need to know of a server, without a password or a personal datum.

    A database that cannot be reached is a fact (C(database.error)), since some steps must work without it.
    """
    client, src, files, project, rendered, _raw, services = seen
    release = params["release"]
    planned, images, future = outlook.plan(params, project, files, services)
    deployed, outside = deployed_paths(_deployment_paths(rendered, src, files) + [edit.path for edit in planned], src)
    facts: Dict[str, Any] = {
        "project": {
            "name": project.name,
            "src": src,
            "files": files,
            "command": deployment.compose_command(src, files, project.name),
            "deployed": deployed,
            "deployed_outside": outside,
            "unlabelled_networks": unlabelled_networks(client, rendered),
            "replacements": replacements(project),
            "unreadable": "",
        },
        "services": {service.name: _service_facts(project, service, release, images) for service in services},
        "running_images": running_images(project, services),
        "database_groups": deployment.database_groups(services),
        "edits": [edit.told() for edit in planned],
        "release_target": release["name"],
    }
    facts["exited"] = sorted(
        name for name, one in facts["services"].items() if not one["component"] and one["status"] == "exited"
    )
    facts["built_images"] = built_images(client, project, rendered)
    facts["images_to_pull"] = images_to_pull(
        client, project, future, facts["services"], edits.added_services(services, release)
    )
    facts["components"] = _components(services, release, params["migrations"])
    facts["database"] = _database_facts(params, seen, facts["components"])
    facts["unrendered"] = _classify(facts, seen, release)
    stopped = [one for one in services if one.stopped_for_upgrade or facts["services"][one.name]["uses_database"]]
    facts["restarts"] = any(_restarts(project, one) for one in stopped)
    histories = facts["database"].pop("histories", None)
    known = deployment.known_releases(release)
    facts["histories"] = _history_facts(histories, facts["components"], known, params["migrations"])
    failed = facts["database"].pop("failed_migrations", {})
    for name, history in facts["histories"].items():
        history["failed"] = failed.get(name, [])
    facts["release"] = None if histories is None else deployment.release_of(histories, known, params["migrations"])
    facts["releases"] = list(known)
    facts["begun_from"] = begun_from(histories or {}, known, params["migrations"])
    facts["state"] = state_of(facts)
    return facts


def _restarts(project: compose.Project, service: deployment.Service) -> bool:
    """Whether Docker would start it again by itself: as the files have it, or as somebody has set it on a container."""
    policies = [
        (one.attrs.get("HostConfig") or {}).get("RestartPolicy") or {}
        for one in project.services().get(service.name, [])
    ]
    return service.restarts or any(policy.get("Name") not in (None, "", "no") for policy in policies)


def _find_running(client: Any, project_src: str, _files: Sequence[str], project_name: Optional[str]) -> compose.Project:
    return compose.find_project(client, project_src, project_name)


def images_to_pull(
    client: Any,
    project: compose.Project,
    future: Sequence[deployment.Service],
    services: Mapping[str, Mapping[str, Any]],
    added: Mapping[str, str],
) -> List[str]:
    """Return the images that the release's start needs and that are not on this host.

    These are the images of components, of added services, of services whose image the prepared files change, and of
    services without a container. The image of any other is the one that its container runs: a tag such as the
    database's must not change under the data.
    """
    wanted = {one["target_image"] for one in services.values() if one["component"] and one["target_image"]} | set(
        added.values()
    )
    now = {name: one["image"] for name, one in services.items()}
    for service in future:
        runs = now.get(service.name) == service.image and project.service(service.name) is not None
        if service.component is None and service.image and not service.built and not runs:
            wanted.add(service.image)
    present = deployment.on_host(client)
    return sorted(one for one in wanted if deployment.full_name(one) not in present)


def _classify(facts: Dict[str, Any], seen: Look, release: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Add to the services' facts what each of them is; return what those are that Compose does not render."""
    attributes = {name: found[0].attrs for name, found in seen.project.services().items()}
    server = {facts["database"].get("service"), facts["database"].get("server_service")} - {None}
    server |= {name for name, one in attributes.items() if classification.serves(one)}
    hosts, connected = classification.database_hosts(seen.services), set(facts["database"].get("sessions") or ())
    users = (classification.rendered_users(seen.services) | connected) - server
    for service in seen.services:
        found = attributes.get(service.name, {})
        uses = service.name in users and not service.stopped_for_upgrade
        kind = classification.kind_of(service, found, service.name in server or service.name in hosts, uses)
        facts["services"][service.name].update(
            kind=kind,
            uses_database=uses,
            one_shot=service.one_shot or kind == classification.ONE_SHOT,
            # What uses the database must not be there before the components, whose schemas may be at work.
            started_first=kind != classification.USER,
        )
    first = deployment.started_first(seen.services)
    for name, one in facts["services"].items():
        one["started_first"] = one["started_first"] and name in first
    unrendered = {name: one for name, one in attributes.items() if name and name not in facts["services"]}
    return classification.outside_rendering(unrendered, hosts, connected, release)


def replacements(project: compose.Project) -> List[Dict[str, Any]]:
    """Return the containers that Compose had made in the place of others when it was killed, with the names that they
    were to get.

    It makes C(<first digits of the other's id>_<name>), removes the other one and renames; until then the new one has
    never run.
    """
    found: List[Dict[str, Any]] = []
    names = {container.name for container in project.containers}
    for container in sorted(project.containers, key=lambda one: one.attrs["Created"], reverse=True):
        match = REPLACEMENT.match(container.name)
        if match and compose.LABEL + "replace" in container.labels and container.status == "created":
            told = {
                "id": container.id,
                "found": container.name,
                "name": match.group(1),
                "superfluous": match.group(1) in names,
            }
            names.add(told["name"])
            found.append(told)
    return found


def built_images(client: Any, project: compose.Project, rendered: Mapping[str, Any]) -> List[Dict[str, str]]:
    """Return what is built here and runs under the name that docker-compose 1 gave it: the name that Compose v2 wants,
    and the id.
    """
    present = deployment.on_host(client)
    found = []
    for name, service in sorted(rendered.get("services", {}).items()):
        container, wanted = project.service(name), f"{project.name}-{name}"
        if (
            service.get("build")
            and not service.get("image")
            and container is not None
            and f"{wanted}:latest" not in present
        ):
            found.append({"name": wanted, "id": container.attrs["Image"]})
    return found


def unlabelled_networks(client: Any, rendered: Mapping[str, Any]) -> List[str]:
    """Return the project's networks that Compose before 1.21 has made: it labelled none, and Compose v2 starts nothing
    on them.
    """
    wanted = {one["name"] for one in (rendered.get("networks") or {}).values() if one and not one.get("external")}
    found = client.networks.list()
    return sorted(
        one.name
        for one in found
        if one.name in wanted and compose.LABEL + "network" not in (one.attrs.get("Labels") or {})
    )


def running_images(project: Any, services: Sequence[deployment.Service]) -> Dict[str, Dict[str, str]]:
    """Return the image of every service's container: the id that it runs and the reference that it was made from."""
    containers = {service.name: project.service(service.name) for service in services}
    return {
        name: {"id": container.attrs["Image"], "name": container.attrs["Config"]["Image"]}
        for name, container in containers.items()
        if container is not None
    }


def docker_versions() -> Dict[str, str]:
    """Return the versions of the Docker Engine and of Compose."""
    client = compose.docker_client()
    engine.refuse_another_engine(client)
    return {"engine": client.version()["Version"], "compose": deployment.compose_version()}


def state_of(facts: Mapping[str, Any]) -> str:
    """Tell where the server is: C(start), an older release throughout; C(target), upgraded throughout;
    else C(between).
    """
    if facts["release"] != facts["release_target"]:
        return "start" if facts["release"] else "between"
    stale = [s for s in facts["services"].values() if s["component"] and s["running_image"] != s["target_image"]]
    copied = facts["database"].get("users_without_details") == 0
    return "target" if copied and not stale and not facts["edits"] else "between"


def _deployment_paths(rendered: Mapping[str, Any], src: str, files: Sequence[str]) -> List[str]:
    """Return what makes up the deployed code: what Compose reads, and what is mounted read-only."""
    paths = list(files) + [os.path.join(src, ".env")]
    for service in rendered.get("services", {}).values():
        build = service.get("build") or {}
        paths.append(build.get("context", "") if isinstance(build, dict) else str(build))
        paths += [
            mount["source"]
            for mount in service.get("volumes") or []
            if mount.get("type") == "bind" and mount.get("read_only")
        ]
    for name in sorted(os.listdir(src)):
        if name.endswith(".env"):
            paths.append(os.path.join(src, name))
    return [path for path in paths if path]


def deployed_paths(paths: Sequence[str], src: str) -> Tuple[List[str], List[str]]:
    """Return those of the paths that are under src, and the files outside it that symbolic links among them point to.

    A link is kept as itself beside what it points to.
    """
    root, inside, outside = os.path.realpath(src), {}, {}
    for path in paths:
        target = os.path.realpath(path)
        for one in (os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), target):
            if os.path.exists(one) and one.startswith(root + os.sep):
                inside[os.path.join(src, os.path.relpath(one, root))] = None
                if not target.startswith(root + os.sep):
                    outside[target] = None
    return list(inside), list(outside)


def _service_facts(
    project: Any, service: deployment.Service, release: Mapping[str, Any], images: Mapping[str, str]
) -> Dict[str, Any]:
    container = project.service(service.name)
    attributes = container.attrs if container is not None else {}
    state = attributes.get("State", {})
    running, target = attributes.get("Config", {}).get("Image"), deployment.target_image(service, release, images)
    return {
        "image": service.image,
        "component": service.component,
        "ui": service.component is not None and service.component == release.get("user_interface"),
        "stopped_for_upgrade": service.stopped_for_upgrade,
        "target_image": target,
        "current": service.component is None or service.image == target,
        "stale": service.component is not None and running not in (None, target),
        "schema": service.schema,
        "container": container.id if container is not None else None,
        "container_name": container.name if container is not None else None,
        "running_image": running,
        "running_image_id": attributes.get("Image"),
        "status": state.get("Status", "missing"),
        "exit_code": state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "restart_count": attributes.get("RestartCount", 0),
        "restart_policy": attributes.get("HostConfig", {}).get("RestartPolicy", {}).get("Name", ""),
        "mounts": mounts_of(attributes),
    }


def mounts_of(attributes: Mapping[str, Any]) -> Dict[str, str]:
    """Return where a container's data lies: destination -> volume name or host path."""
    return {
        mount["Destination"]: mount.get("Name") or mount.get("Source", "") for mount in attributes.get("Mounts", [])
    }


def _components(
    services: Sequence[deployment.Service], release: Mapping[str, Any], flyway: Mapping[str, Any]
) -> List[Dict[str, Any]]:
    found = []
    for service in services:
        component = release["components"].get(service.component or "", {})
        if "path" not in component:
            continue
        schema = component.get("schema")
        found.append(
            {
                "name": service.component,
                "service": service.name,
                "version": component["version"],
                "schema": schema,
                "path": component["path"],
                "migrations": flyway[service.component]["versions"][component["version"]] if schema else [],
            }
        )
    return found


def _database_facts(params: Mapping[str, Any], seen: Look, components: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    unknown = {"identity": None, "users": None}
    project = seen.project
    try:
        settings = database.resolve_connection(dict(params), seen.services)
    except OperationError as error:
        # Such as a container that does not run: waiting does not help.
        return {"error": str(error), "may_come": False, **unknown}
    try:
        connection = database.connect(settings, "openlmis.operations server_info", autocommit=True)
    except OperationError as error:
        return {"error": str(error), "may_come": True, **unknown}
    try:
        with connection.cursor() as cursor:
            cursor.execute(SESSION)
            facts = _query_database(cursor, components)
            facts.update(_sessions(cursor, project))
    except database.psycopg2.Error as error:
        told = database.database_error(error, settings, "While the server was looked at", "Nothing was changed")
        return {"error": str(told), "may_come": True, **unknown}
    finally:
        connection.close()
    facts.update(host=settings.host, port=settings.port, user=settings.user)
    container = project.host(settings.host)
    if container is not None:
        facts.update(
            service=container.labels.get(compose.LABEL + "service"),
            container=container.id,
            container_name=container.name,
            image=container.attrs["Config"]["Image"],
            image_id=container.attrs["Image"],
            mounts=mounts_of(container.attrs),
        )
    # A copy that the provider made of the whole server has the same OID and system identifier: its address tells it
    # apart.
    place = ("mounts",) if container is not None else ("host", "port")
    facts["identity"] = {key: facts.get(key) for key in ("name", "oid", "system_identifier", *place)}
    return facts


# Our own sessions are no users'; a session through a socket has no address.
SESSIONS = """
SELECT datname = current_database(), datname::text, coalesce(host(client_addr), ''), count(*)::int FROM pg_stat_activity
WHERE datname IS NOT NULL AND pid <> pg_backend_pid() AND state IS NOT NULL
AND coalesce(application_name, '') NOT LIKE 'openlmis.operations%%' GROUP BY 1, 2, 3
"""


def _sessions(cursor: Any, project: compose.Project) -> Dict[str, Any]:
    """Return who is in the database at this moment.

    C(sessions) counts them by service, C(other_sessions) by the address of others; C(elsewhere) has the services with
    sessions in other databases of the server, by database. C(server_service) is the service that the server itself is,
    C(seen_from) the address that it sees this host at.
    """
    cursor.execute(SESSIONS)
    rows = cursor.fetchall()
    counts = {address: count for here, _name, address, count in rows if here}
    addresses = {
        name: set().union(*map(compose.container_addresses, found)) for name, found in project.services().items()
    }
    known = set().union(*addresses.values()) if addresses else set()
    elsewhere: Dict[str, List[str]] = {}
    for here, name, address, _count in rows:
        if not here:
            elsewhere.setdefault(name, []).extend(one for one, held in addresses.items() if address in held)
    cursor.execute("SELECT host(inet_server_addr()), host(inet_client_addr())")
    server, client = cursor.fetchone()
    return {
        "sessions": classification.session_users(counts, addresses),
        "other_sessions": {
            address: count for address, count in sorted(counts.items()) if address and address not in known
        },
        "elsewhere": {name: sorted(set(found)) for name, found in elsewhere.items() if found},
        "server_service": next((name for name, held in addresses.items() if server in held), None),
        "seen_from": client,
    }


def _one(cursor: Any, sql: str, *values: Any) -> Any:
    cursor.execute(sql, values)
    return cursor.fetchone()[0]


def _query_database(cursor: Any, components: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    facts: Dict[str, Any] = {"error": None}
    cursor.execute(
        "SELECT current_database(), d.oid::bigint, pg_database_size(d.oid), current_setting('server_version'),"
        " has_database_privilege(current_user, d.oid, 'CREATE'),"
        " pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
        " FROM pg_database d WHERE d.datname = current_database()"
    )
    facts.update(zip(("name", "oid", "size", "server_version", "may_create_schema", "read_only"), cursor.fetchone()))
    facts["system_identifier"] = database.system_identifier(cursor)
    histories, failed = {}, {}
    for component in components:
        if component["schema"]:
            table = component["schema"] + ".schema_version"
            histories[component["name"]] = []
            if _one(cursor, "SELECT to_regclass(%s) IS NOT NULL", table):
                cursor.execute(
                    f"SELECT version, success FROM {table} WHERE type <> 'SCHEMA' AND version ~ '^[0-9]+$' ORDER BY"
                    " installed_rank"
                )
                rows = cursor.fetchall()
                histories[component["name"]] = [version for version, success in rows if success]
                failed[component["name"]] = [version for version, success in rows if not success]
    facts["failed_migrations"] = failed
    facts["histories"] = histories
    facts["users"] = facts["users_without_details"] = None
    if _one(cursor, "SELECT to_regclass('referencedata.users') IS NOT NULL"):
        facts["users"] = _one(cursor, "SELECT count(*) FROM referencedata.users")
        if _one(cursor, "SELECT to_regclass('notification.user_contact_details') IS NOT NULL"):
            facts["users_without_details"] = _one(
                cursor,
                "SELECT count(*) FROM referencedata.users u WHERE NOT EXISTS"
                " (SELECT 1 FROM notification.user_contact_details d WHERE d.referencedatauserid = u.id)",
            )
    facts["duplicate_program_orderables"] = 0
    if _one(cursor, "SELECT to_regclass('referencedata.program_orderables') IS NOT NULL"):
        facts["duplicate_program_orderables"] = _one(
            cursor,
            "SELECT count(*) FROM (SELECT 1 FROM referencedata.program_orderables WHERE active"
            " GROUP BY orderableid, programid HAVING count(*) > 1) duplicates",
        )
    return facts


def _history_facts(
    histories: Optional[Mapping[str, Sequence[str]]],
    components: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, str]],
    flyway: Mapping[str, Any],
) -> Dict[str, Any]:
    facts = {}
    for component in components:
        if histories is not None and component["schema"]:
            name = component["name"]
            applied = histories[name]
            facts[name] = {
                "applied": len(applied),
                "newest": max(applied, key=int, default=None),
                "missing": deployment.missing_migrations(applied, component["migrations"]),
                "out_of_order": deployment.out_of_order(applied, component["migrations"]),
                "releases": [
                    release
                    for release in known
                    if deployment.release_of({name: applied}, {release: known[release]}, flyway)
                ],
            }
    return facts


def begun_from(
    histories: Mapping[str, Sequence[str]], known: Mapping[str, Mapping[str, str]], flyway: Mapping[str, Any]
) -> Optional[str]:
    """Return the release from which an upgrade was begun and not finished; None when the histories do not lie between
    two releases.

    C(known) has the release that is aimed at first.
    """
    target, *starts = known
    for start in reversed(starts):
        between = []
        for name, versions in known[start].items():
            if name in histories:
                before, after = (set(flyway[name]["versions"][one]) for one in (versions, known[target][name]))
                shipped = {one for ships in flyway[name]["versions"].values() for one in ships}
                between.append(before <= set(histories[name]) and shipped & set(histories[name]) <= before | after)
        if between and all(between):
            return start
    return None


def gather(params: Mapping[str, Any], database_wait: float = 0) -> Tuple[Look, Dict[str, Any]]:
    """Return how the server looks and what it is, once its database answers, cannot come, or was waited for so many
    seconds.

    Where Compose cannot read the deployed files, a rollback (C(backup) or C(backup_dir) is told) looks by those of the
    backup that it puts back. Raises OperationError.
    """
    until = time.monotonic() + database_wait
    while True:
        seen, facts = _gather_once(params)
        database_facts = facts["database"]
        if database_facts["error"] is None or not database_facts["may_come"] or time.monotonic() >= until:
            return seen, facts
        time.sleep(SECOND_LOOK)


def _gather_once(params: Mapping[str, Any]) -> Tuple[Look, Dict[str, Any]]:
    try:
        seen = look(params, may_be_gone=True)
        return seen, facts_of(seen, params)
    except OperationError as error:
        folder = params.get("look_by_backup") or backups.newest(
            params.get("look_by_backup_in") or "", params["project_src"]
        )
        if not folder or not os.path.isdir(os.path.join(folder, "files")):
            raise
        told = {**params, "files_of_backup": folder}
        seen = look(told, may_be_gone=True)
        facts = facts_of(seen, told)
        facts["project"]["unreadable"] = (
            f"{error} A rollback need not wait for that: it puts the files of the backup {folder} back."
        )
        return seen, facts
