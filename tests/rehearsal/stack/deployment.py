# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a rehearsal server up, fills it, and removes every trace of it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import docker.errors

from . import engine as second_engine
from . import images, people
from .images import RehearsalError
from .outside import open_gate
from .releases import (
    CONSUL_PORT,
    DEFAULT_ROOT,
    FTP_DATA_PORT,
    FTP_PORT,
    HERE,
    HTTP_PORT,
    LABEL,
    MARK,
    PROJECT,
    PROJECTS,
    RELEASES,
    flyway_versions,
    running_version,
)
from .world import ADMIN, PROJECT_LABEL, Server

# A site that once ran a pre-release of referencedata 11 has these two, and phone numbers with them.
PRERELEASE = ("20180504135225615", "20180525070315483")
Say = Callable[[str], None]


@contextlib.contextmanager
def only_one(say: Say = print) -> Iterator[None]:
    """Wait until no other rehearsal is under way: project name, ports and images exist once on a machine."""
    with open(pathlib.Path(tempfile.gettempdir()) / "openlmis-rehearsal.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another rehearsal on this machine to end ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure_images(say: Say = print) -> None:
    """Build the images that are missing; when several rehearsals of a machine want them at once, one builds and the
    others wait.
    """
    with open("/tmp/openlmis-rehearsal-images.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        images.ensure(say)


# -- before --------------------------------------------------------------------------------------------------------


def check_compose() -> None:
    """Refuse without Docker Compose v2."""
    try:
        run = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RehearsalError("The docker command is not installed; run `make docker` on Debian and Ubuntu.") from None
    if run.returncode:
        raise RehearsalError(
            "`docker compose` does not work here: Compose v2 is missing; run `make docker` on Debian and Ubuntu."
        )


def check_no_other_openlmis() -> None:
    """Refuse where a real OpenLMIS, or somebody else's, is."""
    for container in images.client().containers.list(all=True, ignore_removed=True):
        labels = container.labels or {}
        image = container.attrs["Config"]["Image"]
        like_openlmis = image.startswith("openlmis/") or labels.get("com.docker.compose.service") == "referencedata"
        if like_openlmis and labels.get(LABEL) != "true":
            raise RehearsalError(
                "An OpenLMIS container is here that is not the rehearsal's (%s, project %s): the rehearsal never runs "
                "beside another OpenLMIS; use a machine of its own."
                % (container.name, labels.get(PROJECT_LABEL, "none"))
            )


# -- files ---------------------------------------------------------------------------------------------------------


def env_file(release: str) -> str:
    """The .env of a release: versions, and what keeps the rehearsal apart from anything else."""
    versions = RELEASES[release]
    lines = ["# OpenLMIS %s" % release]
    for name in RELEASES["3.3.0"]:
        lines.append("OL_%s_VERSION=%s" % (name.upper().replace("-", "_"), versions[name]))
    lines += [
        "",
        "OL_NGINX_VERSION=4",
        "OL_RSYSLOG_VERSION=1",
        "OL_POSTGRES_VERSION=9.6-postgis",
        "",
        "# This server's own",
        "COMPOSE_PROJECT_NAME=" + PROJECT,
        "OL_HTTP_PORT=%d" % HTTP_PORT,
        "OL_CONSUL_PORT=%d" % CONSUL_PORT,
        "OL_FTP_PORT_21=%d" % FTP_PORT,
        "OL_FTP_PORT_20=%d" % FTP_DATA_PORT,
    ]
    return "\n".join(lines) + "\n"


def leave_out(compose_file: pathlib.Path, services: Collection[str]) -> None:
    """Take services out of a Compose file, as sites do that have no use for them."""
    text = compose_file.read_text()
    for name in services:
        text = re.sub(r"(?m)^  %s:\n(?:(?:    .*)?\n)+" % re.escape(name), "", text)
    compose_file.write_text(text)


def write_files(server: Server, release: str, without: Collection[str] = (), override: str = "") -> None:
    """The deployment folder as an operator of 3.3 has it, with an override file where there is one, and an inventory
    beside it.
    """
    server.root.mkdir(parents=True, exist_ok=True)
    (server.root / MARK).write_text("Made by tests/rehearsal/rehearsal.py; `rehearsal.py down` removes this folder.\n")
    shutil.copytree(HERE / "deployment", server.project_src)
    leave_out(server.project_src / "docker-compose.yml", without)
    if override:
        (server.project_src / "docker-compose.override.yml").write_text(override)
    settings = server.project_src / "settings.env"
    text = settings.read_text().replace("@BASE_URL@", server.base_url)
    settings.write_text(text.replace("@ADDRESS@", server.base_url.split("//")[1]))
    (server.project_src / ".env").write_text(env_file(release))
    values = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "openlmis_project_src": server.project_src,
        "openlmis_base_url": server.base_url,
        "openlmis_admin_username": ADMIN[0],
        "openlmis_admin_password": ADMIN[1],
        "openlmis_backup_dir": server.backup_dir,
        "openlmis_backup_verify": "restore",
        "openlmis_state_dir": server.state_dir,
        # Its components are up in seconds: what takes longer hangs, and should say so before a test gives it up.
        "openlmis_wait_timeout": 300,
    }
    lines = ["---", "openlmis:", "  hosts:", "    rehearsal:"]
    for key, value in values.items():
        lines.append("      %s: %s" % (key, "false" if value is False else '"%s"' % value))
    server.inventory.write_text("\n".join(lines) + "\n")


# -- up ------------------------------------------------------------------------------------------------------------


def wait_until(what: str, done: Callable[[], bool], seconds: float, server: Server | None = None) -> None:
    """Wait for a condition; ends at once when one of the server's containers has died."""
    until = time.monotonic() + seconds
    while not done():
        for container in server.containers() if server else []:
            state = container.attrs["State"]
            if state["Status"] in ("exited", "dead") and state["ExitCode"] != 0:
                tail = container.logs(tail=15).decode(errors="replace")
                raise RehearsalError(
                    "The container %s ended with exit code %d:\n%s" % (container.name, state["ExitCode"], tail)
                )
        if time.monotonic() > until:
            raise RehearsalError("Waited %d seconds for %s." % (seconds, what))
        time.sleep(0.25)


def database_answers(server: Server) -> bool:
    """Whether the database accepts connections over the network."""
    try:
        return server.query("select 1") == [(1,)]
    except Exception:
        return False


def start(server: Server, release: str) -> None:
    """Start the database first, since nothing in OpenLMIS waits for it, then the rest; wait until all answer."""
    if not server.outside:
        server.compose("up", "-d", "--no-color", server.names.get("db", "db"))
    wait_until("the database", lambda: database_answers(server), 60, server)
    server.compose("up", "-d", "--no-color", "--build")
    wanted = {name: running_version(release, name) for name in server.versions()}
    wait_until("every component to answer", lambda: server.versions() == wanted, 120, server)


def psql(server: Server, script: str) -> None:
    """Run a psql script as the components' role, in the database's container."""
    inside = (
        ["docker", "exec", "--interactive", server.container("db").name]
        if not server.outside
        else server.outside.inside
    )
    user = server.outside.user if server.outside else "postgres"
    run = subprocess.run(
        [
            *inside,
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--username=" + user,
            "--dbname=open_lmis",
            "--set=ON_ERROR_STOP=1",
        ],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RehearsalError("Filling the database failed: %s" % run.stderr.strip())


def prerelease_sql() -> str:
    """What a pre-release of referencedata 11 left behind: two migrations and their rows in the history."""
    spec = importlib.util.spec_from_file_location("rehearsal_flyway", HERE / "image" / "flyway.py")
    if spec is None or spec.loader is None:
        raise RehearsalError("The stand-in's flyway.py is missing.")
    flyway = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flyway)
    blocks = ["set search_path to referencedata, public;\n"]
    for one in flyway.read_migrations(list(PRERELEASE), HERE / "image" / "migrations", "referencedata"):
        blocks.append(
            one.sql + "insert into schema_version select max(installed_rank) + 1, '%s', '%s', 'SQL', '%s__%s.sql', 0,"
            " current_user, now(), 1, true from schema_version;\n"
            % (one.version, one.description, one.version, one.description.replace(" ", "_"))
        )
    return "".join(blocks) + "reset search_path;\n"


def fill(server: Server, users: int, seed: int, phone_column: bool, without: Collection[str] = ()) -> None:
    """Fill database and containers with what a server has collected over the years."""
    script = people.data_sql(users, seed, phone_column, without)
    psql(server, (prerelease_sql() if phone_column else "") + script)
    server.container("ftp").exec_run(["sh", "-c", "echo order > /home/vsftpd/orders/ORDER-1.csv"])


def up(
    release: str,
    root: pathlib.Path = DEFAULT_ROOT,
    users: int = people.DEFAULT_USERS,
    seed: int = 34,
    phone_column: bool = False,
    without: Collection[str] = (),
    override: str = "",
    prepare: Callable[[Server], None] | None = None,
    say: Say = print,
) -> Server:
    """A fresh server of a release, `without` some of its services; an earlier rehearsal server is removed first.

    `override` is the text of a Compose override file; `prepare` changes what was written before anything is started.
    """
    check_compose()
    check_no_other_openlmis()
    ensure_images(say)
    down(root, say=lambda text: None)
    server = Server(root)
    if root.exists() and any(root.iterdir()):
        raise RehearsalError("The folder %s is not empty and not the rehearsal's; name another one." % root)
    write_files(server, release, without, override)
    if prepare:
        prepare(server)
    say("Starting OpenLMIS %s ..." % release)
    start(server, release)
    fill(server, users, seed, phone_column, without)
    return server


# -- down ----------------------------------------------------------------------------------------------------------


def our_anonymous_volumes(engine: Any, names: list[str]) -> list[str]:
    """Which of these dangling volumes carry the mark that our images leave in each of theirs."""
    ours = [one for one in engine.images.list(filters={"label": LABEL + "=true"}) if one.tags]
    if not names or not ours:
        return []
    looker = engine.containers.create(
        ours[0].id,
        ["sh", "-c", "for volume in /volumes/*; do [ ! -e $volume/%s ] || basename $volume; done" % MARK],
        entrypoint="",
        network_mode="none",
        volumes={name: {"bind": "/volumes/" + name, "mode": "ro"} for name in names},
    )
    try:
        looker.start()
        looker.wait()
        return looker.logs(stderr=False).decode().split()
    finally:
        # With the volume that its own image may declare.
        looker.remove(v=True, force=True)


def remove_our_containers(engine: Any, roots: set[pathlib.Path]) -> tuple[int, set[str]]:
    """Remove the containers of rehearsals; how many, and their anonymous volumes. `roots` gets their folders."""
    removed, anonymous = 0, set()
    found = engine.containers.list(all=True, ignore_removed=True, filters={"label": LABEL + "=true"})
    ours = ["%s=%s" % (PROJECT_LABEL, project) for project in PROJECTS]
    for label in ours:
        found += engine.containers.list(all=True, ignore_removed=True, filters={"label": label})
    for container in {one.id: one for one in found}.values():
        folder = container.labels.get("com.docker.compose.project.working_dir")
        if folder:
            roots.add(pathlib.Path(folder).resolve().parent)
        anonymous |= {one["Name"] for one in container.attrs["Mounts"] if len(one.get("Name") or "") == 64}
        try:
            container.remove(v=True, force=True)
            removed += 1
        except docker.errors.NotFound:
            pass
    return removed, anonymous


def down(root: pathlib.Path = DEFAULT_ROOT, with_images: bool = False, say: Say = print) -> None:
    """Remove containers, networks, volumes (anonymous ones too), folders, and with `with_images` all images."""
    # A run that was given up may have left users kept out.
    open_gate()
    engine = images.client()
    roots = {root.resolve()}
    count = {"containers": 0, "volumes": 0, "networks": 0, "images": 0}
    count["containers"], anonymous = remove_our_containers(engine, roots)

    # Compose before 1.21 labels neither volumes nor networks: their names begin with the project's.
    def is_ours(one: Any) -> bool:
        labelled = (one.attrs.get("Labels") or {}).get(PROJECT_LABEL) in PROJECTS
        return labelled or one.name.startswith(tuple(project + "_" for project in PROJECTS))

    volumes = [one for one in engine.volumes.list() if is_ours(one)]
    dangling = {one.name: one for one in engine.volumes.list(filters={"dangling": True}) if len(one.name) == 64}
    unknown = [name for name in dangling if name not in anonymous]
    anonymous |= set(our_anonymous_volumes(engine, unknown))
    volumes += [volume for name, volume in dangling.items() if name in anonymous]
    for volume in volumes:
        with contextlib.suppress(docker.errors.NotFound):
            volume.remove(force=True)
            count["volumes"] += 1
    for network in [one for one in engine.networks.list() if is_ours(one)]:
        network.reload()
        # Engine 20.10 may keep the endpoint of a container that was killed while it started.
        for container in network.attrs.get("Containers") or {}:
            with contextlib.suppress(docker.errors.NotFound):
                network.disconnect(container, force=True)
        network.remove()
        count["networks"] += 1
    if with_images:
        count["images"] = images.remove_all()
        second_engine.remove_data()
    for one in roots:
        if (one / MARK).exists():
            shutil.rmtree(one)
    say("Removed " + ", ".join("%d %s" % (number, what) for what, number in count.items()) + ".")


@contextlib.contextmanager
def running(release: str, root: pathlib.Path = DEFAULT_ROOT, **options: Any) -> Iterator[Server]:
    """A fresh server for the length of a with block; the images stay."""
    with only_one():
        try:
            yield up(release, root, say=lambda text: None, **options)
        finally:
            down(root, say=lambda text: None)


def newest_migrations() -> dict[str, dict[str, str]]:
    """Component to version to the newest migration that it ships."""
    return {
        name: {version: ships[-1] if ships else "" for version, ships in component["versions"].items()}
        for name, component in flyway_versions().items()
    }
