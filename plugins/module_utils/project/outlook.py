# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would happen: which of a deployment's files change, and what Compose renders then."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, edits
from ansible_collections.openlmis.operations.plugins.module_utils.project.deployment import Service
from ansible_collections.openlmis.operations.plugins.module_utils.project.edits import Edit

# What an operator writes in openlmis_images for a service whose image is right for the release already.
KEEP = "keep"


def plan(
    params: Mapping[str, Any], project: compose.Project, files: Sequence[str], services: Sequence[Service]
) -> Tuple[List[Edit], Dict[str, str], List[Service]]:
    """Return the edits that lead to the release, the images of a country's own builds (the operator's, and those in
    prepared files), and the services after the edits, which only prepared files change in more than version.
    """
    src, prepared = params["project_src"], params["target_files"]
    now = {service.name: service.image for service in services}
    images = {name: now.get(name, "") if image == KEEP else image for name, image in params["images"].items()}
    if not prepared:
        env_path = os.path.join(src, ".env")
        texts = edits.read_texts([*files, env_path])
        return edits.plan_edits(texts, env_path, services, params["release"], images), images, list(services)
    planned = edits.plan_prepared(src, prepared)
    future = as_planned(params, project.name, planned).services if planned else list(services)
    containers = {
        one.name: project.service(one.name) for one in future if one.component is not None and not one.owns_image
    }
    # The job's files say what shall run. While they are not in place, one that runs already may have been built for the
    # release before.
    own = {
        one.name: one.image
        for one in future
        if one.name in containers
        and (not planned or containers[one.name] is None or containers[one.name].attrs["Config"]["Image"] != one.image)
    }
    return planned, {**own, **images}, future


def look(
    params: Mapping[str, Any],
    project: compose.Project,
    files: Sequence[str],
    services: Sequence[Service],
    rendered: Mapping[str, Any],
) -> Dict[str, Any]:
    """Return what the checks of files and names go by; no value of a setting is in it. Raises OperationError."""
    planned, images, _future = plan(params, project, files, services)
    components = sorted(one.name for one in services if one.component is not None)
    try:
        called = deployment.render(params["project_src"], files, None)["name"]
    except OperationError:
        called = None  # Compose v2 refuses names that v1 took, such as one with a capital letter
    return {
        "project": project.name,
        "called": called,
        "files": list(files),
        "files_chosen": bool(params["compose_files"]),
        "started_with": started_with(project.containers),
        "components": components,
        "strangers": sorted(
            name for name, image in params["images"].items() if image != KEEP and name not in components
        ),
        "after": _after(params, project.name, services, planned, images, rendered),
        "prepared": bool(params["target_files"]),
    }


def started_with(containers: Sequence[Any]) -> List[str]:
    """Return the Compose files that the newest container was started with, as far as they exist; none when no label
    tells them.
    """
    told = [one for one in containers if one.labels.get(compose.LABEL + "project.config_files")]
    if not told:
        return []
    labels = max(told, key=lambda one: one.attrs["Created"]).labels
    folder = labels.get(compose.LABEL + "project.working_dir", "")
    paths = [os.path.join(folder, name) for name in labels[compose.LABEL + "project.config_files"].split(",")]
    return [path for path in paths if os.path.exists(path)]


class After(NamedTuple):
    """What Compose renders after the edits, with the paths that the deployment really has, and the files' texts by
    these paths.
    """

    rendered: Mapping[str, Any]
    services: List[Service]
    texts: Dict[str, str]


def as_planned(params: Mapping[str, Any], project_name: str, planned: Sequence[Edit]) -> After:
    """Return what Compose would render after the edits. Raises OperationError."""
    src = params["project_src"]
    chosen = [os.path.relpath(os.path.join(src, name), src) for name in params["compose_files"]]
    with as_changed(src, edits.contents_after([edit.told() for edit in planned])) as place:
        files = deployment.compose_files(place, chosen)
        texts = edits.read_texts(files + [os.path.join(place, ".env")])
        root = place[: len(place) - len(os.path.realpath(src))]

        def told(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: told(one) for key, one in value.items()}
            if isinstance(value, list):
                return [told(one) for one in value]
            return value.replace(root, "") if isinstance(value, str) else value

        try:
            rendered = told(deployment.render(place, files, project_name))
            raw = deployment.render(place, files, project_name, interpolate=False)
        except OperationError as error:
            raise OperationError(str(error).replace(root, "")) from None
    return After(
        rendered,
        deployment.services_of(rendered, raw, params["release"]),
        {os.path.join(src, os.path.relpath(path, place)): text for path, text in texts.items()},
    )


@contextlib.contextmanager
def as_changed(src: str, contents: Mapping[str, bytes]) -> Iterator[str]:
    """Lay out links to all that is beside src, above it and in it, with the changed files in their places; nobody else
    can read it.
    """
    with tempfile.TemporaryDirectory(prefix="openlmis-") as place:
        root = os.path.join(place, "root")
        real = {
            os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)): path for path in contents
        }
        folder = os.path.realpath(src)
        changed = {os.path.relpath(one, "/"): contents[path] for one, path in real.items()}
        _lay_out("/", root, changed, os.path.relpath(folder, "/"))
        yield os.path.join(root, os.path.relpath(folder, "/"))


def _lay_out(folder: str, dest: str, contents: Mapping[str, bytes], way: str = "") -> None:
    """Make the folder anew at dest; C(way) is the path below it whose folders are made in any case, not linked."""
    os.mkdir(dest)
    step, _slash, further = way.partition(os.sep)
    own = {path.split(os.sep)[0] for path in contents} | ({step} if step else set())
    # Above the deployment there may be folders that this user may only pass through.
    for name in os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else []:
        if name not in own:
            os.symlink(os.path.join(folder, name), os.path.join(dest, name))
    for name in own:
        if name in contents:
            with open(os.path.join(dest, name), "wb") as stream:
                stream.write(contents[name])
        else:
            below = {
                path.partition(os.sep)[2]: content
                for path, content in contents.items()
                if path.startswith(name + os.sep)
            }
            _lay_out(os.path.join(folder, name), os.path.join(dest, name), below, further if name == step else "")


def _after(
    params: Mapping[str, Any],
    project_name: str,
    services: Sequence[Service],
    planned: Sequence[Edit],
    images: Mapping[str, str],
    rendered: Mapping[str, Any],
) -> Dict[str, Any]:
    """Return what would still be wrong after the edits, and what else they would change."""
    release = params["release"]
    future = as_planned(params, project_name, planned)
    left = edits.plan_edits(future.texts, os.path.join(params["project_src"], ".env"), future.services, release, images)
    targets = {
        one.name: deployment.target_image(one, release, images) for one in future.services if one.component is not None
    }
    components = [one for one in future.services if one.schema] if params["target_files"] else []
    before = {one.name: one.data_source for one in services}
    return {
        "changes": len(planned),
        "left": [edit.summary for edit in left],
        "other": [
            f"{one.name} {one.image}" for one in future.services if targets.get(one.name) not in (None, one.image)
        ],
        "unprotected": [one.name for one in components if "production" not in one.profiles],
        "other_database": [one.name for one in components if one.data_source not in before.values()],
        "differences": differences(rendered, future, services, release),
    }


def differences(
    rendered: Mapping[str, Any], future: After, services: Sequence[Service], release: Mapping[str, Any]
) -> List[Dict[str, str]]:
    """Return what Compose would render otherwise and the release does not ask for: service, place, and of an image both
    values.

    No other value is told: it may be a secret.
    """
    before, after = rendered.get("services", {}), future.rendered.get("services", {})
    components = {one.name: one for one in services if one.component is not None}
    found = [{"service": name, "place": "the whole service"} for name in sorted(set(before) - set(after))]
    found += [
        {"service": name, "place": "a service of its own"}
        for name in sorted(set(after) - set(before))
        if name not in release["services_added"]
    ]
    for name in sorted(set(before) & set(after)):
        for place, (old, new) in sorted(changed_places(before[name], after[name]).items()):
            if name in components and (place == "image" or _only_drops(place, old, new, components[name], release)):
                continue
            one = {"service": name, "place": place}
            if place == "image":
                one.update(
                    before=str(old), after=str(new), raw=next((s.raw_image for s in services if s.name == name), "")
                )
            found.append(one)
    return found


def changed_places(old: Mapping[str, Any], new: Mapping[str, Any]) -> Dict[str, Tuple[Any, Any]]:
    """Return where two rendered services differ, a variable of the environment as a place of its own."""

    def flat(service: Mapping[str, Any]) -> Dict[str, Any]:
        variables = {f"environment {key}": value for key, value in (service.get("environment") or {}).items()}
        return {**{key: value for key, value in service.items() if key != "environment"}, **variables}

    first, second = flat(old), flat(new)
    return {key: (first.get(key), second.get(key)) for key in {*first, *second} if first.get(key) != second.get(key)}


def _only_drops(place: str, old: Any, new: Any, service: Service, release: Mapping[str, Any]) -> bool:
    """Tell whether a change takes only those options out of JAVA_OPTS that the release drops."""
    dropped = {one["option"] for one in release["java_options_dropped"] if service.component in one["services"]}
    return (
        place == "environment JAVA_OPTS" and [one for one in str(old).split() if one not in dropped] == str(new).split()
    )
