# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images: fetched before they are needed, and kept for a rollback."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

try:
    from urllib3.exceptions import HTTPError

    from docker.errors import DockerException, ImageNotFound
    from docker.utils import parse_repository_tag
except ImportError:
    # The module says what is missing (compose.require_docker).
    DockerException = ImageNotFound = HTTPError = Exception

# The repository of the names by which a run keeps images.
REPOSITORY = "openlmis-operations"
# What Docker says of a layer that is here, unpacked or not.
FETCHED = ("Download complete", "Verifying Checksum", "Extracting", "Pull complete", "Already exists")


class Layers:
    """The layers of one image, as the lines that Docker says while it fetches them tell."""

    def __init__(self) -> None:
        self.fetched: Dict[str, bool] = {}
        self.bytes: Dict[str, int] = {}

    def hear(self, said: Mapping[str, Any]) -> None:
        """Learn from one line."""
        layer, status = said.get("id"), said.get("status", "")
        if not layer or not (status in FETCHED or status in ("Pulling fs layer", "Waiting", "Downloading", "Retrying")):
            return
        self.fetched[layer] = status in FETCHED
        detail = said.get("progressDetail") or {}
        if status == "Downloading":
            self.bytes[layer] = detail.get("current", 0)

    def how_far(self) -> str:
        """Say how much is here."""
        fetched = list(self.fetched.values())
        return f"{sum(fetched)} of {len(fetched)} layers, {progress.size(sum(list(self.bytes.values())))}"


def missing(client: Any, images: Iterable[str]) -> List[str]:
    """Return the images that are not on the engine's host."""
    found = []
    for image in images:
        try:
            client.images.get(image)
        except ImageNotFound:
            found.append(image)
    return found


def said_lines(client: Any, image: str) -> Iterable[Mapping[str, Any]]:
    """Have Docker fetch an image, and yield what it says meanwhile."""
    repository, tag = parse_repository_tag(image)
    yield from client.api.pull(repository, tag=tag or "latest", stream=True, decode=True)


def fetch(client: Any, image: str, layers: Layers) -> None:
    """Fetch one image. Raises OperationError when it is not to be had."""
    try:
        for said in said_lines(client, image):
            if said.get("error"):
                raise refused(image, said["error"])
            layers.hear(said)
    # The connection to the engine ends with requests' own errors, which are OSErrors, and between two lines with
    # urllib3's.
    except (DockerException, OSError, HTTPError) as error:
        raise refused(image, getattr(error, "explanation", None) or error) from error


def refused(image: str, said: Any) -> OperationError:
    return OperationError(
        f"Image {image} cannot be fetched: Docker said: {said}. It is expected in its registry, and the registry to be"
        " reached from the Docker Engine's host. Fix that, or `docker login` there, or load the image with `docker"
        " load`, and run again."
    )


def pull(client: Any, wanted: Iterable[str], progressing: progress.Progress) -> List[str]:
    """Fetch those of the images that are not here, one after the other; return them. Raises OperationError."""
    images = missing(client, wanted)
    for number, image in enumerate(images, 1):
        layers = Layers()
        progressing.say(
            lambda image=image, number=number, layers=layers: f"{number} of {len(images)}, {image}, {layers.how_far()}"
        )
        fetch(client, image, layers)
    return images


def missing_names(images: Mapping[str, Mapping[str, str]], tag: str, present: Iterable[str]) -> Dict[str, str]:
    """Return the image id for each repository that has no such tag yet."""
    taken = set(present)
    repositories = {f"{REPOSITORY}/{service}": image["id"] for service, image in images.items()}
    return {name: image for name, image in sorted(repositories.items()) if f"{name}:{tag}" not in taken}


def give(client: Any, repository: str, tag: str, image: str) -> None:
    """Name one image. Raises OperationError when Docker refuses."""
    try:
        client.api.tag(image, repository, tag)
    except DockerException as error:
        raise OperationError(
            f"Image {image} cannot be kept as {repository}:{tag}: Docker said:"
            f" {getattr(error, 'explanation', None) or error}. The image of every container is expected to be on this"
            " host. Fix that and run again."
        ) from error


def keep(client: Any, images: Mapping[str, Mapping[str, str]], tag: str) -> List[str]:
    """Give the image of each service a name of ours with this tag, so that nobody's clean-up removes it; return the new
    names.
    """
    present = [name for image in client.api.images() for name in image["RepoTags"] or []]
    missing = missing_names(images, tag, present)
    for repository, image in missing.items():
        give(client, repository, tag, image)
    return [f"{repository}:{tag}" for repository in missing]


def name_built(client: Any, images: Iterable[Mapping[str, str]]) -> None:
    """Give images that are built here the names by which Compose v2 knows them (C(id), C(name)): nothing is built while
    users are kept out.
    """
    for one in images:
        give(client, one["name"], "latest", one["id"])


def restore_names(client: Any, images: Iterable[Mapping[str, str]]) -> None:
    """Have each image reference (C(name)) mean the image that it meant (C(id)). Raises OperationError."""
    for one in images:
        repository, tag = parse_repository_tag(one["name"])
        give(client, repository, tag or "latest", one["id"])
