# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sites write an OpenLMIS server down: what they made of the reference distribution's files."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import docker.errors

from . import own
from .compose_v1 import docker_compose
from .images import client
from .releases import PROJECT, PROJECTS, RELEASES
from .world import Server

# A country's own builds: the names that it gives to images of a release.
NATIONAL = {"reference-ui": ("malawi/ui", {"3.3.0": "1.0", "3.3.1": "1.1", "3.4.0": "2.0"})}
# A password as docker-compose took it, and as Compose v2 has to find it to make the same of it.
DOLLAR, DOUBLED = "pa$word", "pa$$word"
# One that needs quotes, which docker-compose would take as they stand.
QUOTED = '"mail pa#ss"'
TARGET_VARIABLE = "openlmis_images"

Files = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Layout:
    """One way to write a server down; `write` turns the reference distribution's files into it."""

    name: str
    write: Callable[[Files, str], None]
    project: str = PROJECT
    folder: str = "server"
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    variables: dict[str, Any] = dataclasses.field(default_factory=dict)
    # What an upgraded server's files look like, where the site prepares them.
    prepared: bool = False
    started_by: str = ""
    # What only the site knows: its image of the new release, by service. Where it prepares the files, they name it.
    images: dict[str, str] = dataclasses.field(default_factory=dict)
    # How the site starts the server: what its shell exports, and the profiles of Compose that it names.
    exported: dict[str, str] = dataclasses.field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    # Components without which the layout would not be one.
    needs: tuple[str, ...] = ()
    # The site's own services: those that use the database, each with a table <service>.written, and those that do not
    # and stay.
    users: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def prepare(self, server: Server) -> None:
        """Write the files, before anything is started; what the tests ask the server for follows."""
        release = release_of((server.project_src / ".env").read_text())
        files = {path.name: path.read_text() for path in server.project_src.iterdir() if path.is_file()}
        for name in files:
            (server.project_src / name).unlink()
        if self.started_by:
            mail_password(files, DOLLAR)
        self.write(files, release)
        server.project_src = server.project_src.rename(server.root / self.folder)
        write_bytes(server.project_src, files)
        server.project, server.names = self.project, self.names
        variables: dict[str, Any] = {"openlmis_project_src": str(server.project_src), **self.variables}
        if self.prepared:
            variables["openlmis_target_files"] = str(server.root / "prepared")
            write_bytes(server.root / "prepared", prepared(files, self.images))
        # What stands last in a mapping wins; JSON is YAML.
        lines = "".join("      %s: %s\n" % (name, json.dumps(value)) for name, value in variables.items())
        text = re.sub(r"(?m)^ *openlmis_project_src: .*\n", "", server.inventory.read_text())
        server.inventory.write_text(text + lines)
        if self.started_by:
            server.composer = [str(docker_compose(self.started_by))]
        for name in self.variables.get("openlmis_compose_files", []):
            server.composer += ["--file", name]
        for name in self.profiles:
            server.composer += ["--profile", name]
        server.exported = self.exported
        national_images()


def release_of(env: str) -> str:
    """The release that an .env of the reference distribution pins."""
    return next(
        name for name, versions in RELEASES.items() if "OL_REQUISITION_VERSION=" + versions["requisition"] in env
    )


def write_bytes(folder: pathlib.Path, files: Files) -> None:
    """Write files with the line ends that are in their texts."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())


def national_images() -> None:
    """Give the images of a release the names under which a country knows them."""
    engine = client()
    for component, (repository, tags) in NATIONAL.items():
        for release, tag in tags.items():
            engine.images.get("openlmis/%s:%s" % (component, RELEASES[release][component])).tag(repository, tag)
    engine.images.get("openlmis/report:" + RELEASES["3.3.1"]["report"]).tag("openlmis/report", "1.1.1-SNAPSHOT")


def forget_national_images() -> None:
    """Take those names away again."""
    engine = client()
    names = ["%s:%s" % (repository, tag) for repository, tags in NATIONAL.values() for tag in tags.values()]
    for name in [*names, "openlmis/report:1.1.1-SNAPSHOT"]:
        try:
            engine.images.remove(name)
        except docker.errors.ImageNotFound:
            continue


# -- what sites do to the files --------------------------------------------------------------------------------------


def mail_password(files: Files, value: str) -> None:
    """A password for sending mail, where the sample has a blank one."""
    files["settings.env"] = files["settings.env"].replace("\nMAIL_PASSWORD=\n", "\nMAIL_PASSWORD=%s\n" % value)


def literal_tags(files: Files, release: str, national: bool = True) -> None:
    """Tags stand in the Compose file, none in .env."""
    for name, version in re.findall(r"(?m)^(OL_\w+_VERSION)=(.*)$", files[".env"]):
        files["docker-compose.yml"] = files["docker-compose.yml"].replace("${%s}" % name, version)
    files[".env"] = re.sub(r"(?m)^OL_\w+_VERSION=.*\n", "", files[".env"])
    for component, (repository, tags) in NATIONAL.items() if national else ():
        own = "openlmis/%s:%s" % (component, RELEASES[release][component])
        files["docker-compose.yml"] = files["docker-compose.yml"].replace(own, "'%s:%s'" % (repository, tags[release]))


def settings_in_env(files: Files) -> None:
    """One file for versions, settings and secrets."""
    files[".env"] += files.pop("settings.env")
    files["docker-compose.yml"] = files["docker-compose.yml"].replace("env_file: settings.env", "env_file: .env")


def compose_version(files: Files, version: str) -> None:
    """The format that the Compose file says it has."""
    text = files["docker-compose.yml"].replace('version: "3.3"', 'version: "%s"' % version)
    # Format 2 knows no defaults.
    files["docker-compose.yml"] = re.sub(r"\$\{(\w+):-\w+\}", r"${\1}", text) if version == "2" else text


def restart_always(files: Files) -> None:
    """Every service starts again by itself, but the one that exits."""
    files["docker-compose.yml"] = re.sub(
        r"(?m)^    image: .*$", r"\g<0>\n    restart: always", files["docker-compose.yml"]
    )


def renamed(files: Files, names: dict[str, str]) -> None:
    """Services are called otherwise; the database's URL follows."""
    text = files["docker-compose.yml"]
    for old, new in names.items():
        text = re.sub(r"(?m)^  %s:$" % re.escape(old), "  %s:" % new, text)
        text = re.sub(r"(?m)(depends_on: \[|, |^      - )%s(?=[\],]|$)" % re.escape(old), r"\g<1>%s" % new, text)
    files["docker-compose.yml"] = text
    for name in (".env", "settings.env"):
        if name in files and "db" in names:
            files[name] = files[name].replace("//db:", "//%s:" % names["db"])


def added(files: Files) -> None:
    """A service of the site's own that needs a component."""
    own = "  superset:\n    image: hauptmedia/proftpd\n    depends_on: [%s]\n\n"
    component = re.search(r"(?m)^  (\S*referencedata):$", files["docker-compose.yml"])[1]
    files["docker-compose.yml"] = files["docker-compose.yml"].replace(
        "\nvolumes:\n", "\n" + own % component + "volumes:\n"
    )


def split(files: Files, second: str, services: tuple[str, ...], both: bool = False) -> None:
    """The images of some services stand in a second file that goes over the first one, or in both."""
    text = files["docker-compose.yml"]
    over = re.search(r"(?m)^version: .*\n", text)[0] + "# what this site has of its own\nservices:\n"
    for name in services:
        match = re.search(r"(?m)^  %s:\n    image: (.*)\n" % re.escape(name), text)
        text = text if both else text.replace(match[0], "  %s:\n" % name)
        over += "  %s:\n    image: %s\n" % (name, match[1])
    files["docker-compose.yml"], files[second] = text, over


def project_name(files: Files, name: str | None) -> None:
    """COMPOSE_PROJECT_NAME in .env, or none."""
    line = "COMPOSE_PROJECT_NAME=%s\n" % name if name else ""
    files[".env"] = re.sub(r"(?m)^COMPOSE_PROJECT_NAME=.*\n", line, files[".env"])


def windows(files: Files) -> None:
    """Somebody's editor: CRLF, quotes, comments behind values, no newline at the end."""
    env = re.sub(r"(?m)^(OL_AUTH_VERSION)=(.*)$", r"export \1='\2' # since March", files[".env"])
    env = re.sub(r"(?m)^(OL_REQUISITION_VERSION)=(.*)$", r'\1 = "\2"', env)
    env = "#OL_AUTH_VERSION=9.9.9 tried and given up\n" + env.rstrip("\n")
    files[".env"] = env.replace("\n", "\r\n")
    for name in [name for name in files if name.endswith(".yml")]:
        files[name] = files[name].replace("\n", "\r\n")


def prepared(files: Files, images: dict[str, str]) -> Files:
    """What the site's deployment job has made of these files for 3.4, without the collection's code; only what it
    changes.
    """
    versions, result = RELEASES["3.4.0"], {}
    for name, text in files.items():
        changed = text
        for component, version in versions.items():
            variable = component.upper().replace("-", "_")
            changed = re.sub(
                r"(?m)^((?:export )?OL_%s_VERSION ?= ?[\"']?)[\w.-]+" % variable, r"\g<1>" + version, changed
            )
            changed = re.sub(r"(openlmis/%s:)[\w.-]+" % component, r"\g<1>" + version, changed)
        for service, image in images.items():
            changed = re.sub(r"(?m)(^  %s:\r?\n    image: )\S+" % re.escape(service), r"\g<1>" + image, changed)
        if name == "docker-compose.yml":
            # Its own way: not where, and not with what, the collection would add it.
            changed = changed.replace(
                "\nvolumes:", "\n  redis:\n    image: redis:3.2.12\n    restart: always\n\nvolumes:"
            )
            changed = changed.replace(" -Dflyway.locations=classpath:db/migration,filesystem:/demo-data", "")
        if changed != text:
            result[name] = changed
    return {**result, "site.env": "# added by the job\n"}


# -- the layouts -----------------------------------------------------------------------------------------------------


def _malawi(files: Files, release: str) -> None:
    mail_password(files, QUOTED)
    literal_tags(files, release)
    settings_in_env(files)
    compose_version(files, "2")
    restart_always(files)
    renamed(files, MALAWI_NAMES)
    added(files)
    split(files, "docker-compose.override.yml", ("reference-ui", "mw-auth"))
    project_name(files, None)


def _angola(files: Files, release: str) -> None:
    mail_password(files, QUOTED)
    files["settings.env"] += "auth.server.clientId=trusted-client\nauth.server.clientSecret=secret\n"
    files[".env"] = files[".env"].replace("OL_REPORT_VERSION=1.1.0", "OL_REPORT_VERSION=1.1.1-SNAPSHOT")
    split(
        files,
        "angola.yml",
        ("requisition", "report") if "\n  report:" in files["docker-compose.yml"] else ("requisition",),
    )
    project_name(files, None)
    files[".env"] += "COMPOSE_FILE=docker-compose.yml:angola.yml"
    files["docker-compose.yml"] = files["docker-compose.yml"].replace(
        'version: "3.3"\n', 'version: "3.3"\nname: %s\n' % PROJECTS[2]
    )
    windows(files)


def _job(files: Files, release: str) -> None:
    mail_password(files, QUOTED)
    literal_tags(files, release)
    split(files, "site.yml", ("reference-ui", "notification"), both=True)
    project_name(files, None)


MALAWI_NAMES = {"auth": "mw-auth", "requisition": "mw-requisition", "db": "postgres", "log": "syslog"}
UI_IMAGE = "malawi/ui:2.0"
REF_DISTRO = Layout("ref-distro", lambda files, release: None)
OF_MALAWI = {"reference-ui": UI_IMAGE}
MALAWI = Layout(
    "malawi", _malawi, folder=PROJECT, names=MALAWI_NAMES, variables={TARGET_VARIABLE: OF_MALAWI}, images=OF_MALAWI
)
ANGOLA = Layout("angola", _angola, project=PROJECTS[2])
JOB = Layout(
    "job",
    _job,
    folder=PROJECT,
    variables={TARGET_VARIABLE: OF_MALAWI, "openlmis_compose_files": ["docker-compose.yml", "site.yml"]},
    images=OF_MALAWI,
    prepared=True,
)
LAYOUTS = (REF_DISTRO, MALAWI, ANGOLA, JOB)


# -- what one site or another has beside the reference distribution ----------------------------------------------------


def made_of(*changes: Callable[[Files], None]) -> Callable[[Files, str], None]:
    """A layout's `write`, of changes that do not ask for the release."""

    def write(files: Files, release: str) -> None:
        mail_password(files, QUOTED)
        for change in changes:
            change(files)

    return write


BY_THE_SHELL = {"spring_profiles_active": "production"}
OWN_UI = "site/ui:2.0"
SHELL = Layout(
    "shell",
    made_of(own.shell),
    exported=BY_THE_SHELL,
    variables={"openlmis_compose_environment": BY_THE_SHELL},
    needs=("diagnostics",),
    users=("hapifhir",),
)
UI = Layout(
    "ui",
    made_of(own.own_ui),
    names={"reference-ui": "ui"},
    variables={"openlmis_components": {"ui": "reference-ui"}, TARGET_VARIABLE: {"ui": OWN_UI}},
    images={"ui": OWN_UI},
)
# The files that the job has prepared name the image.
PREPARED_UI = dataclasses.replace(
    UI, name="prepared ui", prepared=True, variables={"openlmis_components": {"ui": "reference-ui"}}
)
REPORTS = Layout("reports", made_of(own.reports), users=("reports",))
ONE_SHOTS = Layout("one-shots", made_of(own.one_shots), users=("loader",), others=("portal",))
NESTED = Layout("nested", made_of(own.nested))
PROFILE = Layout(
    "profile",
    made_of(own.profile),
    profiles=("cce",),
    variables={"openlmis_compose_environment": {"COMPOSE_PROFILES": "cce"}},
    needs=("cce",),
)
AGENT = Layout("agent", made_of(own.agent), others=("agent",))
OWN = (SHELL, UI, PREPARED_UI, REPORTS, ONE_SHOTS, NESTED, PROFILE, AGENT)


def together(name: str, *layouts: Layout) -> Layout:
    """One server that has what each of these has."""

    def write(files: Files, release: str) -> None:
        for layout in layouts:
            layout.write(files, release)

    merged: dict[str, Any] = {"name": name, "write": write, "prepared": any(one.prepared for one in layouts)}
    for field in ("names", "images", "exported"):
        merged[field] = {key: value for one in layouts for key, value in getattr(one, field).items()}
    for field in ("profiles", "needs", "users", "others"):
        merged[field] = tuple(value for one in layouts for value in getattr(one, field))
    variables: dict[str, Any] = {}
    for layout in layouts:
        for variable, value in layout.variables.items():
            variables[variable] = {**variables.get(variable, {}), **value}
    return Layout(**merged, variables=variables)


# Each of them in the company of others: on two servers all of them.
SERVICES = together("services", SHELL, UI, REPORTS, AGENT)
FILES = together("files", PREPARED_UI, ONE_SHOTS, NESTED, PROFILE)


def started_by(layout: Layout, version: str) -> Layout:
    """The same, but that docker-compose of before v2 has started it."""
    stripped = version.startswith("1.20")
    variables = {**layout.variables, "openlmis_discard_container_files": ["ftp"]}
    return dataclasses.replace(
        layout, started_by=version, variables=variables, project=PROJECTS[1] if stripped else layout.project
    )
