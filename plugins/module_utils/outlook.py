# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would happen: which of a deployment's files change, and what Compose renders then."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils import compose, deployment, edits
from ansible_collections.openlmis.operations.plugins.module_utils.deployment import Service
from ansible_collections.openlmis.operations.plugins.module_utils.edits import Edit
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

_DATABASE_SETTINGS = ("DATABASE_URL", "POSTGRES_USER", "POSTGRES_PASSWORD")
# What an operator writes in openlmis_images for a service whose image is right for the release already.
KEEP = "keep"


def plan(params: Mapping[str, Any], project_name: str, files: Sequence[str], services: Sequence[Service]) -> Tuple[List[Edit], Dict[str, str]]:
    """Return the edits that lead to the release, and the images of national builds: the operator's, and those in prepared files."""
    src, prepared = params["project_src"], params["target_files"]
    now = {service.name: service.image for service in services}
    images = {name: now.get(name, "") if image == KEEP else image for name, image in params["images"].items()}
    if prepared:
        planned = edits.plan_prepared(src, prepared)
        future, _texts = _services_after(params, project_name, planned)
        national = {one.name: one.image for one in future if one.component is not None and not one.owns_image and now.get(one.name) != one.image}
        return planned, {**national, **images}
    env_path = os.path.join(src, ".env")
    return edits.plan_edits(edits.read_texts([*files, env_path]), env_path, services, params["release"], images), images


def look(params: Mapping[str, Any], project: compose.Project, files: Sequence[str], services: Sequence[Service]) -> Dict[str, Any]:
    """Return what the checks of files and names go by; no value of a setting is in it. Raises OperationError."""
    planned, images = plan(params, project.name, files, services)
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
        "strangers": sorted(name for name, image in params["images"].items() if image != KEEP and name not in components),
        "after": _after(params, project.name, services, planned, images),
    }


def started_with(containers: Sequence[Any]) -> List[str]:
    """Return the Compose files that the newest container was started with, as far as they exist; none when no label tells them."""
    told = [one for one in containers if one.labels.get(compose.LABEL + "project.config_files")]
    if not told:
        return []
    labels = max(told, key=lambda one: one.attrs["Created"]).labels
    folder = labels.get(compose.LABEL + "project.working_dir", "")
    paths = [os.path.join(folder, name) for name in labels[compose.LABEL + "project.config_files"].split(",")]
    return [path for path in paths if os.path.exists(path)]


def services_in(src: str, files: Sequence[str], project_name: str, release: Mapping[str, Any]) -> List[Service]:
    """Return the services as Compose renders these files."""
    rendered = deployment.render(src, files, project_name)
    return deployment.services_of(rendered, deployment.render(src, files, project_name, interpolate=False), release)


def _services_after(params: Mapping[str, Any], project_name: str, planned: Sequence[Edit]) -> Tuple[List[Service], Dict[str, str]]:
    """Return the services as Compose would render them after the edits, and the texts of the files by which it would."""
    src = params["project_src"]
    chosen = [os.path.relpath(os.path.join(src, name), src) for name in params["compose_files"]]
    with as_changed(src, edits.contents_after([edit.told() for edit in planned])) as place:
        files = deployment.compose_files(place, chosen)
        texts = edits.read_texts(files + [os.path.join(place, ".env")])
        return services_in(place, files, project_name, params["release"]), {
            os.path.join(src, os.path.relpath(path, place)): text for path, text in texts.items()
        }


@contextlib.contextmanager
def as_changed(src: str, contents: Mapping[str, bytes]) -> Iterator[str]:
    """Lay out links to all that is beside src and in it, with the changed files in their places; nobody else can read it."""
    parent = os.path.dirname(os.path.realpath(src))
    with tempfile.TemporaryDirectory(prefix="openlmis-") as place:
        root = os.path.join(place, "root")
        real = {os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)): path for path in contents}
        _lay_out(parent, root, {os.path.relpath(one, parent): contents[path] for one, path in real.items()})
        yield os.path.join(root, os.path.basename(os.path.realpath(src)))


def _lay_out(folder: str, dest: str, contents: Mapping[str, bytes]) -> None:
    os.mkdir(dest)
    own = {path.split(os.sep)[0] for path in contents}
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name not in own:
            os.symlink(os.path.join(folder, name), os.path.join(dest, name))
    for name in own:
        if name in contents:
            with open(os.path.join(dest, name), "wb") as stream:
                stream.write(contents[name])
        else:
            below = {path.partition(os.sep)[2]: content for path, content in contents.items() if path.startswith(name + os.sep)}
            _lay_out(os.path.join(folder, name), os.path.join(dest, name), below)


def _after(
    params: Mapping[str, Any], project_name: str, services: Sequence[Service], planned: Sequence[Edit], images: Mapping[str, str]
) -> Dict[str, Any]:
    """Return what would still be wrong after the edits."""
    release = params["release"]
    future, texts = _services_after(params, project_name, planned)
    left = edits.plan_edits(texts, os.path.join(params["project_src"], ".env"), future, release, images)
    targets = {one.name: deployment.target_image(one, release, images) for one in future if one.component is not None}
    components = [one for one in future if one.component is not None and "DATABASE_URL" in one.environment] if params["target_files"] else []
    before = {one.name: _database_settings(one) for one in services}
    return {
        "changes": len(planned),
        "left": [edit.summary for edit in left],
        "other": [f"{one.name} {one.image}" for one in future if targets.get(one.name) not in (None, one.image)],
        "unprotected": [one.name for one in components if "production" not in deployment.active_profiles(one)],
        "other_database": [one.name for one in components if _database_settings(one) not in before.values()],
    }


def _database_settings(service: Service) -> List[str]:
    return [service.environment.get(key, "") for key in _DATABASE_SETTINGS]
