# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Compose deployment's files say. No I/O but C(docker compose config) and C(.env)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose, engine, env_file
from ansible_collections.openlmis.operations.plugins.module_utils.project import spring

DEFAULT_FILES = (
    ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"),
    ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"),
)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)[^}]*\}|(?P<plain>[A-Za-z_]\w*))$")
# What Docker leaves out of a reference's name, and sites may write.
_DOCKER_HUB = re.compile(r"^(?:(?:registry-1\.|index\.)?docker\.io/)?(?:library/)?")
_RAW_TAG = re.compile(r"(?P<repository>.+):(?P<tag>\$\{[^}]*\}[^:/]*|\$\w[^:/]*|\w[\w.-]*)$")


class Service(NamedTuple):
    """One Compose service as the files have it; C(image) is rendered, C(raw_image) is before interpolation.

    C(schema) is the one that the release says this component keeps, empty for all others.
    """

    name: str
    image: str
    raw_image: str
    component: Optional[str]
    removable: bool
    environment: Dict[str, str]
    owns_image: bool
    one_shot: bool
    restart: str = ""
    depends_on: Tuple[str, ...] = ()
    networks: Tuple[str, ...] = ()
    schema: str = ""
    command: Tuple[str, ...] = ()
    # Known to the release as one that uses no database, whatever it is given.
    no_database_user: bool = False
    built: bool = False

    @property
    def restarts(self) -> bool:
        """Whether Docker starts it again by itself."""
        return self.restart not in ("", "no")

    @property
    def stopped_for_upgrade(self) -> bool:
        """Whether the offline window removes this service's container (never one that may hold data)."""
        return self.component is not None or self.removable

    @property
    def given(self) -> spring.Given:
        """What the process is given."""
        return spring.Given(self.environment, self.command)

    @property
    def profiles(self) -> List[str]:
        """The Spring profiles that it would start with."""
        return spring.profiles(self.given)

    @property
    def data_source(self) -> spring.DataSource:
        """The database that it would use; its password must not leave the module."""
        return spring.data_source(self.given)


def compose_files(project_src: str, files: Optional[Sequence[str]] = None) -> List[str]:
    """Return the absolute paths of the Compose files in the order in which they override each other.

    Without C(files) these are the ones that Compose v2 loads on its own: those that C(COMPOSE_FILE) names in the
    environment or in C(.env), else the first base file that exists and, beside it, the first override file. Raises
    OperationError when there is none.
    """
    files = files or _files_by_variable(project_src)
    if files:
        found = [os.path.join(project_src, name) for name in files]
    else:
        candidates = ([os.path.join(project_src, name) for name in group] for group in DEFAULT_FILES)
        found = [
            next(path for path in group if os.path.exists(path))
            for group in candidates
            if any(map(os.path.exists, group))
        ]
    missing = [path for path in found if not os.path.exists(path)]
    if missing or not found:
        raise OperationError(
            f"Compose file {missing[0] if missing else DEFAULT_FILES[0][2]} was not found in {project_src}; the"
            " directory that holds the deployment's Compose file is expected. Set project_src to it, and compose_files"
            " when the files have other names."
        )
    return found


def _files_by_variable(project_src: str) -> List[str]:
    values = _compose_variables(project_src)
    names = values.get("COMPOSE_FILE", "").split(values.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
    return [name for name in names if name]


def chosen_profiles(project_src: str) -> List[str]:
    """Return the Compose profiles that C(COMPOSE_PROFILES) names, in the environment or in C(.env)."""
    return [name for name in _compose_variables(project_src).get("COMPOSE_PROFILES", "").split(",") if name]


def _compose_variables(project_src: str) -> Dict[str, str]:
    path = os.path.join(project_src, ".env")
    return {**(env_file.read_env_file(path).values if os.path.exists(path) else {}), **os.environ}


def compose_command(project_src: str, files: Sequence[str], project_name: Optional[str]) -> List[str]:
    """Return the C(docker compose) command line, up to its verb, for this deployment."""
    command = ["docker", "compose", "--project-directory", project_src]
    for path in files:
        command += ["--file", path]
    return command + (["--project-name", project_name] if project_name else [])


def compose_version() -> str:
    """Return the version of the Compose v2 plugin, such as 2.26.1. Raises OperationError when there is none."""
    return _run(["docker", "compose", "version", "--short"], "Docker Compose v2").strip().lstrip("v")


def render(
    project_src: str, files: Sequence[str], project_name: Optional[str], interpolate: bool = True, profile: str = ""
) -> Dict[str, Any]:
    """Return the configuration as Compose renders it: only this counts, since C(environment) overrides C(env_file).

    The result holds passwords and must not leave the module. Raises OperationError with Compose's last line.
    """
    command = compose_command(project_src, files, project_name) + (["--profile", profile] if profile else [])
    command += ["config", "--format", "json", *([] if interpolate else ["--no-interpolate"])]
    rendered = json.loads(
        _run(command, "the Compose configuration of " + project_src, lambda said: blamed(said, project_src, files))
    )
    return undoubled(rendered) if interpolate else rendered


def compose_profiles(project_src: str, files: Sequence[str], project_name: str) -> List[str]:
    """Return the Compose profiles that the files name."""
    command = [*compose_command(project_src, files, project_name), "config", "--profiles"]
    return _run(command, "the Compose profiles of " + project_src).split()


def blamed(said: str, project_src: str, files: Sequence[str]) -> str:
    """Return what was said of files that are no YAML with the file of which Compose says a line and no name; else what
    was said.
    """
    reason = re.search(r"yaml: .*line \d+: .*", said)
    for path in files if reason and not any(path in said for path in files) else ():
        command = compose_command(project_src, [path], None) + ["config", "--no-interpolate", "--quiet"]
        if reason.group() in subprocess.run(command, capture_output=True, text=True, check=False).stderr:
            return said.replace(reason.group(), f"{path}: {reason.group()}")
    return said


def undoubled(value: Any) -> Any:
    """Return what Compose means by what it renders: each dollar is doubled there, so that the text could be a Compose
    file again.
    """
    if isinstance(value, dict):
        return {key: undoubled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [undoubled(one) for one in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def dry_run(project_src: str, files: Sequence[str], project_name: str, services: Sequence[str]) -> str:
    """Return what Compose says that it would do to have these services' containers; nothing is done."""
    command = compose_command(project_src, files, project_name) + [
        "--dry-run",
        "create",
        "--no-build",
        "--pull",
        "never",
        *services,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stderr + result.stdout


def find_project(client: Any, project_src: str, files: Sequence[str], project_name: Optional[str]) -> compose.Project:
    """Return the Compose project, also where every container of it is gone: then under the name that Compose would give
    it.
    """
    try:
        return compose.find_project(client, project_src, project_name)
    except OperationError:
        return compose.Project(project_name or render(project_src, files, None)["name"], [])


def _run(command: Sequence[str], what: str, explained: Callable[[str], str] = str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise OperationError(engine.missing_compose() or f"{command[0]} does not run ({error.strerror}).") from error
    if result.returncode:
        said = explained((result.stderr.strip().splitlines() or ["nothing"])[-1])
        raise OperationError(
            engine.missing_compose()
            or f"{what} cannot be read: `{' '.join(command[:2])}` said: {said}. Fix that and run this again."
        )
    return result.stdout


def familiar(reference: str) -> str:
    """Return an image reference as Docker names it: without the registry and the folder that are its defaults."""
    return _DOCKER_HUB.sub("", reference)


def split_image(reference: str) -> Tuple[str, str]:
    """Split an image reference into its familiar repository and tag; the tag is empty when there is none, a digest is
    dropped.
    """
    repository, tag = _split(reference)
    return familiar(repository), tag


def _split(reference: str) -> Tuple[str, str]:
    name = reference.split("@", 1)[0]
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "")


def on_host(client: Any) -> Dict[str, str]:
    """Return the references by which images are on the Docker host, with tag or digest, and the id that each means."""
    return {
        name: image["Id"]
        for image in client.api.images()
        for name in (image["RepoTags"] or []) + (image.get("RepoDigests") or [])
    }


def full_name(reference: str) -> str:
    """Return the reference under which the Docker Engine lists the image: familiar, and with the tag that is meant
    without one.
    """
    name = familiar(reference)
    return name if "@" in name or ":" in name.rpartition("/")[2] else name + ":latest"


def variable_of(tag: str) -> Optional[str]:
    """Return the name of the variable that a raw tag consists of (C(${OL_AUTH_VERSION})), None for a literal tag."""
    match = _VARIABLE.match(tag)
    return (match.group("braced") or match.group("plain")) if match else None


def split_raw_image(reference: str) -> Tuple[str, str]:
    """Split an image reference before interpolation, whose parts may themselves hold a colon (C(${VERSION:-1}))."""
    name = reference.split("@", 1)[0]
    match = _RAW_TAG.match(name)
    return (match.group("repository"), match.group("tag")) if match else (name, "")


def component_of(name: str, image: str, release: Mapping[str, Any]) -> Optional[str]:
    """Return which component a service is: by what the operator says, its image, its name, or the last part of a
    national image's name.
    """
    if name in release.get("services", {}):
        return release["services"][name] or None
    repository = split_image(image)[0]
    published = {component["image"]: known for known, component in release["components"].items()}
    last = re.sub(r"^openlmis[-_]", "", repository.rpartition("/")[2])
    return published.get(repository) or next((one for one in (name, last) if one in release["components"]), None)


def services_of(rendered: Mapping[str, Any], raw: Mapping[str, Any], release: Mapping[str, Any]) -> List[Service]:
    """Tell for every Compose service what it is.

    Raises nothing; a service that is none of the release's is kept out of every step that removes containers.
    """
    found = []
    rendered_services = rendered.get("services", {})
    awaited = _awaited_to_exit(rendered_services)
    for name, service in sorted(rendered_services.items()):
        image = service.get("image", "")
        repository, component = split_image(image)[0], component_of(name, image, release)
        facts = release["components"].get(component or "", {})
        policy = (service.get("deploy") or {}).get("restart_policy")
        found.append(
            Service(
                name=name,
                image=image,
                raw_image=raw.get("services", {}).get(name, {}).get("image", image),
                component=component,
                removable=repository in release["removable"] or name in release["removable"],
                environment={
                    key: "" if value is None else str(value)
                    for key, value in (service.get("environment") or {}).items()
                },
                one_shot=name in release["one_shot"] or name in awaited,
                restart=service.get("restart") or ("always" if policy else ""),
                depends_on=tuple(service.get("depends_on") or ()),
                networks=tuple(service.get("networks") or ()),
                owns_image=component is not None and repository == facts["image"],
                schema=facts.get("schema", ""),
                command=spring.words_of(service.get("entrypoint"), service.get("command")),
                no_database_user=repository in release.get("no_database_users", ()),
                built=bool(service.get("build")),
            )
        )
    return found


def render_services(
    src: str, files: Sequence[str], project_name: str, release: Optional[Mapping[str, Any]]
) -> List[Service]:
    """Return the services as Compose renders these files; without a release none is a component."""
    rendered = render(src, files, project_name)
    nothing = {"components": {}, "removable": [], "one_shot": []}
    return services_of(rendered, rendered, release or nothing)


def _awaited_to_exit(services: Mapping[str, Any]) -> Set[str]:
    """Return the services whose exit with code 0 others wait for."""
    return {
        name
        for service in services.values()
        for name, how in (service.get("depends_on") or {}).items()
        if isinstance(how, dict) and how.get("condition") == "service_completed_successfully"
    }


def started_first(services: Sequence[Service]) -> List[str]:
    """Return the services that stay during the upgrade and need no component, so that they can be
    started before any.
    """
    by_name = {service.name: service for service in services}

    def needs_component(service: Service) -> bool:
        # Compose refuses a circle.
        needed = [by_name[name] for name in service.depends_on if name in by_name]
        return any(one.component is not None or needs_component(one) for one in needed)

    return [service.name for service in services if not service.stopped_for_upgrade and not needs_component(service)]


def target_image(service: Service, release: Mapping[str, Any], images: Mapping[str, str]) -> Optional[str]:
    """Return the image the service must have in the release; None where only the operator can know (a
    national build).
    """
    if service.name in images:
        return images[service.name]
    if service.component is None:
        return service.image or None
    if not service.owns_image:
        return None
    # As the site writes it: with docker.io in front, or without.
    return f"{_split(service.image)[0]}:{release['components'][service.component]['version']}"


def database_groups(services: Sequence[Service]) -> List[List[str]]:
    """Group the components that keep a schema by the database that they would use; those that are given none are in no
    group.
    """
    groups: Dict[str, List[str]] = {}
    for service in services:
        if service.schema and service.data_source.url:
            digest = hashlib.sha256("\0".join(service.data_source).encode()).hexdigest()
            groups.setdefault(digest, []).append(service.name)
    return sorted(groups.values(), key=len, reverse=True)


def missing_migrations(applied: Sequence[str], expected: Sequence[str]) -> List[str]:
    """Return the expected migrations that the history lacks, in their order."""
    present = set(applied)
    return [version for version in expected if version not in present]


def out_of_order(applied: Sequence[str], expected: Sequence[str]) -> List[str]:
    """Return the expected migrations that Flyway 4 would silently skip: older than the newest one applied."""
    newest = max((int(version) for version in applied), default=0)
    return [version for version in missing_migrations(applied, expected) if int(version) < newest]


def components_at(
    components: Sequence[Mapping[str, Any]], versions: Mapping[str, str], flyway: Mapping[str, Any]
) -> List[Dict[str, Any]]:
    """Return a server's components as a release of these versions has them; what they answer as their version is not
    known.
    """
    found = []
    for one in components:
        before = {key: value for key, value in one.items() if key != "version"}
        before["migrations"] = flyway[one["name"]]["versions"][versions[one["name"]]] if one["schema"] else []
        found.append(before)
    return found


def known_releases(release: Mapping[str, Any]) -> Dict[str, Dict[str, str]]:
    """Return the releases that this one knows, itself first: name -> component -> version, for components with a
    schema.
    """
    itself = {name: component["version"] for name, component in release["components"].items() if "schema" in component}
    return {release["name"]: itself, **release["upgrades_from"]}


def release_of(
    histories: Mapping[str, Sequence[str]], releases: Mapping[str, Mapping[str, str]], flyway: Mapping[str, Any]
) -> Optional[str]:
    """Return the release whose migrations the histories hold exactly, None when they are a mix.

    Migrations that no known release ships (a site's own) are left out of the comparison, and so are components that the
    site does without: those are not in the histories.
    """
    known = {name: {v for versions in facts["versions"].values() for v in versions} for name, facts in flyway.items()}
    for release, versions in releases.items():
        expected = {component: set(flyway[component]["versions"][version]) for component, version in versions.items()}
        there = [component for component in expected if component in histories]
        if there and all(known[component] & set(histories[component]) == expected[component] for component in there):
            return release
    return None
