# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only the check asks of containers, of the site over HTTP, and of the host. Nothing is changed, and no secret is
in the result.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from calendar import timegm
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, engine
from ansible_collections.openlmis.operations.plugins.module_utils.dump import clients
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import reach
from ansible_collections.openlmis.operations.plugins.module_utils.postgresql import database
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, edits
from ansible_collections.openlmis.operations.plugins.module_utils.release import registrations
from ansible_collections.openlmis.operations.plugins.module_utils.release.profiles import script_source
from ansible_collections.openlmis.operations.plugins.module_utils.release.web import Site

NO_USER = "00000000-0000-0000-0000-000000000000"
# Where programs leave what nobody misses; the last is the number under which a component registers.
NOISE = re.compile(
    r"^/(tmp|run|proc|sys|dev|etc|usr|root|bin|s?lib(64)?|var/(run|log|tmp|cache|lib/(apt|dpkg)))/|\.(pid|lock|log|pyc)$|/\.consul_service_id~$"
)
FILES_SEEN = 5000
# What a JVM takes besides its heap, and the heap of one that names none.
JVM_OVERHEAD, JVM_HEAP = 128 << 20, 512 << 20
# An image of a component whose size cannot be told by the one that runs.
IMAGE_SIZE = 500 << 20
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


# -- containers ------------------------------------------------------------------------------------------------


def seconds_up(project: compose.Project, now: float) -> Dict[str, int]:
    """Return for how long each service's container has run since its last start."""
    found = {}
    for name in project.services():
        started = (project.service(name).attrs.get("State") or {}).get("StartedAt", "")[:19]
        if started and not started.startswith("0001"):
            found[name] = max(0, int(now - timegm(time.strptime(started, "%Y-%m-%dT%H:%M:%S"))))
    return found


def made_anew(seen: server.Look) -> Dict[str, str]:
    """Return those services that an upgrade leaves alone and Compose would make anew, with the version of Compose that
    made them.
    """
    kept = [one.name for one in seen.services if not one.stopped_for_upgrade and seen.project.service(one.name)]
    said = deployment.dry_run(seen.src, seen.files, seen.project.name, kept) if kept else ""
    names = set(re.findall(r"Container (\S+)\s+Recreate$", said, re.MULTILINE))
    containers = {name: seen.project.service(name) for name in kept}
    made_by = {name: one.labels.get(compose.LABEL + "version", "?") for name, one in containers.items()}
    # On a network of Compose before 1.21 the trial itself fails.
    return {
        name: version for name, version in made_by.items() if containers[name].name in names or version.startswith("1.")
    }


def names_taken(seen: server.Look, release: Mapping[str, Any]) -> Dict[str, str]:
    """Return the names that Compose gives the services' containers and that containers of somebody else have, with
    these.

    Those of the services that the release adds are among them.
    """
    try:
        everybody = seen.client.api.containers(all=True)
    except compose.docker.errors.DockerException as error:
        raise OperationError(f"The Docker Engine did not list its containers ({error}). Look at its log.") from error
    taken = {}
    for row in everybody:
        labels = row.get("Labels") or {}
        if labels.get(compose.LABEL + "project") != seen.project.name:
            taken.update(
                {name.lstrip("/"): labels.get(compose.LABEL + "project", "") for name in row.get("Names") or []}
            )
    found = {}
    added: Dict[str, Any] = {name: {} for name in edits.added_services(seen.services, release)}
    for name, service in {**added, **seen.rendered.get("services", {})}.items():
        wanted = service.get("container_name") or f"{seen.project.name}-{name}-1"
        if wanted in taken:
            found[name] = f"{wanted}, of " + (f"the project {taken[wanted]}" if taken[wanted] else "no Compose project")
    return found


def copied(facts: Mapping[str, Any], backup_dir: str) -> str:
    """Try to copy the deployed files as the backup does, and throw the copy away; return why it fails, empty when it
    does not.
    """
    project = facts["project"]
    with tempfile.TemporaryDirectory(prefix=".openlmis-trial-", dir=writable(disk.existing(backup_dir))) as place:
        try:
            for part, source, paths in (
                ("files", project["src"], project["deployed"]),
                ("outside", "/", project["deployed_outside"]),
            ):
                backups.copy(place, part, source, [os.path.relpath(one, source) for one in paths])
        except OperationError as error:
            return str(error).replace(place, "the backup")
    return ""


def writable(folder: str) -> Optional[str]:
    """Return the folder, None (the system's own for such things) where this user may not write to it."""
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def container_files(seen: server.Look, anew: Mapping[str, str]) -> Dict[str, List[str]]:
    """Return the files that were written into containers which are replaced, but for what nobody misses."""
    found = {}
    for service in seen.services:
        container = seen.project.service(service.name)
        keeps = service.name in anew or service.schema
        if container is None or not keeps:
            continue
        layer = ((container.attrs.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir", "")
        paths = (
            written(layer)
            if layer and os.access(layer, os.R_OK | os.X_OK)
            else changed(container)
            if service.name in anew
            else []
        )
        # Docker makes an empty file where a file or a socket of the host is mounted.
        mounted = {mount.get("Destination") for mount in container.attrs.get("Mounts") or []}
        paths = [path for path in paths if not NOISE.search(path) and path not in mounted]
        if paths:
            found[service.name] = sorted(paths)
    return found


def written(folder: str, since: float = 0) -> List[str]:
    """Return the ordinary files below a folder that were written since a time; of very many only the first."""
    found: List[str] = []
    for parent, _folders, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.stat(path).st_mtime > since:
                found.append("/" + os.path.relpath(path, folder))
        if len(found) > FILES_SEEN:
            break
    return found


def changed(container: Any) -> List[str]:
    """Return the paths that Docker tells as added or changed, without the folders above others."""
    paths = sorted(one["Path"] for one in container.diff() or [] if one["Kind"] != 2)
    return [path for path, after in zip(paths, paths[1:] + [""]) if not after.startswith(path + "/")]


def volume_files(seen: server.Look, release: Mapping[str, Any]) -> Dict[str, str]:
    """Return the anonymous volumes of containers that are replaced in which something was written since."""
    found = {}
    for service in seen.services:
        container = seen.project.service(service.name)
        registry = deployment.split_image(service.image)[0] == release["registry"]
        if container is None or not service.stopped_for_upgrade or registry:
            continue
        made = timegm(time.strptime(container.attrs["Created"][:19], "%Y-%m-%dT%H:%M:%S")) + 60
        for mount in container.attrs.get("Mounts") or []:
            anonymous = mount["Type"] == "volume" and re.match("[0-9a-f]{64}$", mount.get("Name", ""))
            if anonymous and os.access(mount["Source"], os.R_OK | os.X_OK) and written(mount["Source"], made):
                found[service.name] = mount["Name"]
    return found


def stale_registrations(seen: server.Look, release: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the registry holds of containers that are gone."""
    try:
        registry = registrations.registry_address(seen.project, seen.services, release)
        stale = registrations.find_stale(registry, lambda: seen.project, seen.services) if registry else []
    except OperationError as error:
        return {"asked": True, "stale": [], "error": str(error), "elsewhere": bool(engine.remote_host())}
    return {"asked": registry is not None, "stale": stale, "error": "", "elsewhere": False}


def unreached(seen: server.Look) -> str:
    """Return which component does not reach the BASE_URL that it renders, and why; empty when all do, or nobody may be
    asked.
    """
    everybody = [container.attrs for container in seen.project.containers]
    for service in seen.services if os.geteuid() == 0 else ():
        container, url = seen.project.service(service.name), service.environment.get("BASE_URL", "")
        if service.component and url and container is not None and container.status == "running":
            pid, name = container.attrs["State"]["Pid"], reach.urlsplit(url).hostname or ""
            addresses = reach.hosts_entry(name, reach.container_hosts(pid)) or reach.alias_addresses(
                name, container.attrs, everybody
            )
            problem = reach.problem(url, addresses, pid, timeout=5)
            if problem:
                return f"the container of {service.name} does not reach BASE_URL, {url}: {problem}"
    return ""


# -- over HTTP -----------------------------------------------------------------------------------------------------


def ask_site(params: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Return what each component answers at its path, whether the UI has its program, and whether the administrator
    logs in.
    """
    username = params["admin_username"]
    if not params["base_url"]:
        problem = "openlmis_base_url, openlmis_admin_username and openlmis_admin_password are not set"
        return {"answers": {}, "ui_problem": "", "login": {"username": None, "problem": problem}}
    site = Site(params["base_url"], params["validate_certs"])
    page = site.get("/")
    if page.status is None:
        # Nobody answers there: asking for everything would wait for everything.
        login = {"username": username, "problem": f"cannot log in at {params['base_url']}: it {page.says()}"}
        return {
            "answers": {one["name"]: {"version": "", "problem": page.says()} for one in components},
            "ui_problem": "",
            "login": login,
        }
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda component: site.version(component["path"]), components))
    return {
        "answers": {
            one["name"]: {"version": answer.version, "problem": answer.problem} for one, answer in zip(components, said)
        },
        "ui_problem": ui_problem(site, page),
        "login": {"username": username, "problem": login_problem(site, params)},
    }


def ui_problem(site: Site, page: Any) -> str:
    """Return why users would see a blank page; empty when they do not."""
    path = script_source(page.body.decode("utf-8", "replace"))
    script = site.get(path)
    if page.status != 200 or script.status != 200:
        return f"the start page {page.says()}, {path} {script.says()}"
    body = script.body.strip()
    return f"{path} is {'a page, not a script' if body else 'empty'}" if not body or body.startswith(b"<") else ""


def login_problem(site: Site, params: Mapping[str, Any]) -> str:
    """Return why the administrator cannot log in, or not see other users; empty when he can."""
    names = ("admin_username", "admin_password", "client_id", "client_secret")
    answer = site.ask_token(*(params[name] for name in names))
    if answer.status != 200:
        return f"cannot log in at {site.base_url}: /api/oauth/token {answer.says()}"
    token = (answer.json() or {}).get("access_token", "")
    if site.get(f"/api/users/{NO_USER}", token).status == 403:
        return "logs in, but lacks the right USERS_MANAGE: /api/users answers 403"
    return ""


# -- host ----------------------------------------------------------------------------------------------------------


def memory(seen: server.Look, facts: Mapping[str, Any]) -> Dict[str, int]:
    """Return what memory is free, what the components to be replaced hold, and what the new ones may take."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        told = {name: int(rest.split()[0]) << 10 for name, rest in (line.split(":") for line in stream)}
    components = {one["service"] for one in facts["components"]}
    wanted, held = 0, 0
    for service in seen.services:
        if service.name in components:
            wanted += heap(service.environment.get("JAVA_OPTS", "")) + JVM_OVERHEAD
            held += resident(seen.project.service(service.name))
    return {
        "available": told["MemAvailable"] + told.get("SwapFree", 0),
        "held": held,
        "wanted": wanted,
        "jvms": len(components),
    }


def heap(options: str) -> int:
    """Return the largest heap that JAVA_OPTS allow, in bytes."""
    sizes = re.findall(r"-Xmx(\d+)([kmg]?)", options, re.IGNORECASE)
    return int(sizes[-1][0]) * UNITS[sizes[-1][1].lower()] if sizes else JVM_HEAP


def resident(container: Optional[Any]) -> int:
    """Return what a container's first process and those that it started hold in memory, in bytes."""
    pid = ((container.attrs.get("State") or {}).get("Pid") or 0) if container is not None else 0
    pids, total = [pid] if pid else [], 0
    while pids:
        one = pids.pop()
        status = edits.read_texts([f"/proc/{one}/status"]).get(f"/proc/{one}/status", "")
        total += sum(int(size) << 10 for size in re.findall(r"^VmRSS:\s+(\d+)", status, re.MULTILINE))
        children = f"/proc/{one}/task/{one}/children"
        pids += [int(child) for child in edits.read_texts([children]).get(children, "").split()]
    return total


def room(seen: server.Look, facts: Mapping[str, Any], params: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Return, for each file system, what may be written to it and what is free."""
    needs = dump_needs(facts, params)
    container = seen.project.host(facts["database"].get("host") or "")
    for mount in (container.attrs.get("Mounts") or []) if container is not None else []:
        if "postgres" in mount.get("Destination", "") and os.path.isdir(mount.get("Source", "")):
            needs.append(
                ("a second database, for the proof or to roll back", mount["Source"], facts["database"]["size"])
            )
            break
    if facts["images_to_pull"]:
        sizes = {
            deployment.split_image(tag)[0]: image["Size"]
            for image in seen.client.api.images()
            for tag in image["RepoTags"] or []
        }
        size = sum(sizes.get(deployment.split_image(image)[0], IMAGE_SIZE) for image in facts["images_to_pull"])
        needs.append(("images", seen.client.info()["DockerRootDir"], size))
    return by_file_system(needs)


def room_for_dump(facts: Mapping[str, Any], params: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Return the same where only the backup is on this host."""
    return by_file_system(dump_needs(facts, params))


def dump_needs(facts: Mapping[str, Any], params: Mapping[str, Any]) -> List[Tuple[str, str, int]]:
    """Return what the dump needs: it is compressed, and the database's own size is an upper bound that
    needs no guess.
    """
    size = facts["database"].get("size") or 0
    return [("the backup", params["backup_dir"], size)] if params["backup"] == "dump" else []


def by_file_system(needs: Sequence[Tuple[str, str, int]]) -> List[Dict[str, Any]]:
    """Group (what, path, bytes) by the file system that the path is or would be on."""
    found: Dict[int, Dict[str, Any]] = {}
    for what, path, size in needs:
        folder = disk.existing(path)
        one = found.setdefault(
            os.stat(folder).st_dev, {"path": folder, "free": shutil.disk_usage(folder).free, "needs": []}
        )
        one["needs"].append((what, size))
    return list(found.values())


def dump(seen: server.Look, facts: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, str]:
    """Return which pg_dump will be used, or why there is none."""
    if params["backup"] != "dump":
        return {"found": "not needed: openlmis_backup is a task file of the site's own", "problem": ""}
    if facts["database"]["error"]:
        return {"found": "not looked at, since the database does not answer", "problem": ""}
    if facts["database"].get("container"):
        return {"found": "that of the database's own image", "problem": ""}
    try:
        settings, version = (
            database.resolve_connection(dict(params), seen.services),
            facts["database"]["server_version"],
        )
        if params["backup_image"]:
            clients.require_fitting(seen.client, params["backup_image"], version, "check")
            return {"found": f"that of the image {params['backup_image']}", "problem": ""}
        found = clients.host_clients(settings, version)
    except OperationError as error:
        return {"found": "", "problem": str(error)}
    return {"found": f"{found.bin_folder}/pg_dump of this host", "problem": ""}
