# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds every image of the rehearsal server without a registry: one Debian root, one layer of programs, many tags."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import docker
import docker.errors

from .releases import CCE_SNAPSHOT, HERE, LABEL, MARK, RELEASES, flyway_versions

SUITE = "bookworm"
PACKAGES = "python3,python3-psycopg2,postgresql-15,postgresql-15-postgis-3,nginx-light,redis-server"
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/lib/postgresql/15/lib/bitcode/*"]
BASE = "openlmis-operations/base"
PROGRAMS = "openlmis-operations/standin"
CONFIG_BASE = "openlmis-operations/config-base:latest"
BUILD_LABEL = LABEL + ".build"
DATA = "/var/lib/postgresql/data"


class RehearsalError(Exception):
    """Why the rehearsal cannot go on, as one sentence for a person."""


class Image(NamedTuple):
    """A tag and the Dockerfile instructions that make it out of the programs."""

    tag: str
    instructions: list[str]


def python(program: str, *arguments: str) -> str:
    """A CMD that runs one of our programs as process 1."""
    return "CMD " + json.dumps(["python3", "/opt/rehearsal/" + program, *arguments])


def component_image(name: str, version: str, fault: str = "") -> Image:
    """The image of one component version, with a fault armed when one is named."""
    return Image(
        "openlmis/%s:%s" % (name, version),
        [
            'ENV OPENLMIS_COMPONENT="%s" OPENLMIS_VERSION="%s" REHEARSAL_FAULT="%s"' % (name, version, fault),
            python("ui.py" if name == "reference-ui" else "component.py"),
        ],
    )


def wanted_images() -> list[Image]:
    """Every image of 3.3.0, 3.3.1 and 3.4.0."""
    pairs = {(name, version) for release in RELEASES.values() for name, version in release.items()}
    pairs.add(("cce", CCE_SNAPSHOT))
    return [component_image(name, version) for name, version in sorted(pairs)] + [
        Image("openlmis/nginx:4", ["EXPOSE 80", python("gateway.py")]),
        Image("openlmis/rsyslog:1", [python("listener.py", "log")]),
        Image(
            "openlmis/postgres:9.6-postgis",
            [
                'ENV PGDATA="%s" PATH="/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin"' % DATA,
                "VOLUME " + DATA,
                "EXPOSE 5432",
                "STOPSIGNAL SIGINT",
                'ENTRYPOINT ["sh", "/opt/rehearsal/database.sh"]',
                'CMD ["postgres"]',
            ],
        ),
        Image(
            "gliderlabs/consul-server:latest",
            ["VOLUME /data", 'ENTRYPOINT ["python3", "/opt/rehearsal/consul.py"]'],
        ),
        Image("hauptmedia/proftpd:latest", [python("listener.py", "ftp")]),
        Image(
            "redis:3.2.12",
            [
                "VOLUME /data",
                "EXPOSE 6379",
                'CMD ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/data", "--save", ""]',
            ],
        ),
        Image(CONFIG_BASE, ['CMD ["/bin/true"]']),
        # What a site has of its own.
        Image("site/reports:1.6.0", [python("own.py", "writer", "reports")]),
        Image("site/hapifhir:4.0", [python("own.py", "spring", "hapifhir")]),
        Image("site/loader:1.0", [python("own.py", "once", "loader")]),
        component_image("reference-ui", RELEASES["3.3.1"]["reference-ui"])._replace(tag="site/ui:1.0"),
        component_image("reference-ui", RELEASES["3.4.0"]["reference-ui"])._replace(tag="site/ui:2.0"),
    ]


def client() -> docker.DockerClient:
    """A connection to the Docker Engine."""
    try:
        connected = docker.from_env(timeout=120)
        connected.ping()
        return connected
    except (docker.errors.DockerException, OSError) as error:
        raise RehearsalError(
            "The Docker Engine does not answer (%s); start it, or run `make docker` on Debian and Ubuntu." % error
        ) from None


def digest(*parts: bytes) -> str:
    """A short name for content."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def labels_of(engine: docker.DockerClient, tag: str) -> dict[str, str] | None:
    """The labels of a local image; None when there is no such image."""
    try:
        return engine.images.get(tag).labels or {}
    except docker.errors.ImageNotFound:
        return None


def make_base(engine: docker.DockerClient, tag: str) -> None:
    """A Debian root with all that the images need, made by mmdebstrap."""
    if not shutil.which("mmdebstrap"):
        raise RehearsalError("mmdebstrap is not installed: install it, or run `make docker` on Debian and Ubuntu.")
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        root = pathlib.Path(folder) / "root.tar"
        options = ['--dpkgopt=path-exclude="%s"' % pattern for pattern in LEFT_OUT]
        run = subprocess.run(
            ["mmdebstrap", "--variant=minbase", "--include=" + PACKAGES, *options]
            + ['--aptopt=APT::Install-Recommends "false"', "--customize-hook=rm -rf $1/var/lib/postgresql/15", SUITE]
            + [str(root)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RehearsalError("mmdebstrap failed:\n" + "\n".join(run.stderr.splitlines()[-15:]))
        engine.api.import_image_from_file(
            str(root),
            repository=tag.split(":", maxsplit=1)[0],
            tag=tag.split(":")[1],
            changes=["LABEL %s=true" % LABEL],
        )


def build(engine: docker.DockerClient, tag: str, dockerfile: str, files: dict[str, bytes] | None = None) -> None:
    """Run the classic builder on a context that is made in memory."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in {"Dockerfile": dockerfile.encode(), **(files or {})}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    try:
        engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, pull=False)
    except (docker.errors.BuildError, docker.errors.APIError) as error:
        raise RehearsalError("Building the image %s failed: %s" % (tag, error)) from None


def program_files() -> dict[str, bytes]:
    """What goes into the image: our programs, the migrations' SQL, the list of versions."""
    folder = HERE / "image"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".py", ".sql", ".sh")
    }
    files["flyway_versions.json"] = json.dumps({"components": flyway_versions()}).encode()
    return files


def dockerfile(source: str, build_id: str, instructions: list[str]) -> str:
    """The Dockerfile of one tag."""
    return "\n".join(["FROM " + source, *instructions, "LABEL %s=true %s=%s" % (LABEL, BUILD_LABEL, build_id), ""])


def ensure(say: Callable[[str], None] = print) -> None:
    """Build what is missing or out of date; refuse to touch an image of the same name that is not ours."""
    engine = client()
    base = "%s:%s" % (BASE, digest(SUITE.encode(), PACKAGES.encode(), *(part.encode() for part in LEFT_OUT)))
    files = program_files()
    build_id = digest(base.encode(), pathlib.Path(__file__).read_bytes(), *(k.encode() + v for k, v in files.items()))
    programs = "%s:%s" % (PROGRAMS, build_id)
    todo: list[Image] = []
    for image in wanted_images():
        labels = labels_of(engine, image.tag)
        if labels is not None and labels.get(LABEL) != "true":
            raise RehearsalError(
                "The image %s is here already and is not the rehearsal's: the rehearsal needs that name for its "
                "stand-in, so run it on a machine without OpenLMIS images." % image.tag
            )
        if labels is None or labels.get(BUILD_LABEL) != build_id:
            todo.append(image)
    if not todo:
        return
    if labels_of(engine, base) is None:
        say("Making a Debian root with PostgreSQL, nginx and Python (once, about a minute) ...")
        make_base(engine, base)
    say("Building %d images ..." % len(todo))
    # A volume that is made for a container takes over what the image has there: the mark that clean-up looks for.
    marked = "/data " + DATA
    marks = ["RUN mkdir -p /config %s && for place in %s; do touch $place/%s; done" % (marked, marked, MARK)]
    copies = ["COPY . /opt/rehearsal/", *marks, "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1"]
    build(engine, programs, dockerfile(base, build_id, copies), files)

    def one(image: Image) -> None:
        build(engine, image.tag, dockerfile(programs, build_id, image.instructions))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, todo))


def arm(name: str, version: str, fault: str) -> None:
    """Give the next container of a component version a fault (empty: disarm); the deployment stays untouched."""
    engine = client()
    labels = labels_of(engine, "openlmis/%s:%s" % (name, version))
    if not labels or BUILD_LABEL not in labels:
        raise RehearsalError("There is no rehearsal image openlmis/%s:%s to arm." % (name, version))
    image = component_image(name, version, fault)
    programs = "%s:%s" % (PROGRAMS, labels[BUILD_LABEL])
    build(engine, image.tag, dockerfile(programs, labels[BUILD_LABEL], image.instructions))


def remove_all() -> int:
    """Remove every image that carries our label, under whatever names it has; returns how many names."""
    engine = client()
    removed = 0
    for image in engine.images.list(all=False, filters={"label": LABEL + "=true"}):
        for name in image.tags or [image.id]:
            try:
                engine.images.remove(name, force=True)
                removed += 1
            except docker.errors.ImageNotFound:
                pass
    return removed
