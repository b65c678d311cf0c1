#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_images
short_description: Fetch the images that are not here yet, and show how far that is
version_added: "0.1.0"
description:
  - Fetches one image after the other with the credentials that C(docker login) has left for this user. An image that is on this host
    already stays as it is, whatever its name means in the registry now.
  - While an image is fetched it is shown how much of it is here.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
extends_documentation_fragment:
  - openlmis.operations.progress
options:
  images:
    description: The images' names, with tag or digest.
    type: list
    elements: str
    required: true
requirements:
  - docker (Python package)
attributes:
  check_mode:
    description: Tells which images would be fetched, and asks no registry.
    support: full
  diff_mode:
    description: The result names what changed.
    support: none
seealso:
  - module: community.docker.docker_image_pull
"""

EXAMPLES = r"""
- name: Fetch what is not here yet
  openlmis.operations.pull_images:
    images: ["openlmis/auth:4.0.0", "openlmis/notification:4.0.0"]
"""

RETURN = r"""
fetched:
  description: The images that were not here before.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict, Iterable, List, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import compose, progress
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

try:
    from docker.errors import DockerException, ImageNotFound
    from docker.utils import parse_repository_tag
    from urllib3.exceptions import HTTPError
except ImportError:
    # The module says what is missing (compose.require_docker).
    DockerException = ImageNotFound = HTTPError = Exception

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
    # The connection to the engine ends with requests' own errors, which are OSErrors, and between two lines with urllib3's.
    except (DockerException, OSError, HTTPError) as error:
        raise refused(image, getattr(error, "explanation", None) or error) from error


def refused(image: str, said: Any) -> OperationError:
    return OperationError(
        f"Image {image} cannot be fetched: Docker said: {said}. It is expected in its registry, and the registry to be reached from the Docker"
        " Engine's host. Mend that, or `docker login` there, or load the image with `docker load`, and run again."
    )


def fetch_all(client: Any, images: List[str], progressing: progress.Progress) -> None:
    """Fetch images one after the other, and say how far that is."""
    for number, image in enumerate(images, 1):
        layers = Layers()
        progressing.say(lambda image=image, number=number, layers=layers: f"{number} of {len(images)}, {image}, {layers.how_far()}")
        fetch(client, image, layers)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={**progress.argument_spec(), "images": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    compose.require_docker(module)
    try:
        client = compose.docker_client()
        images = missing(client, module.params["images"])
        if not module.check_mode:
            with progress.Progress(module.params["progress_file"]) as progressing:
                fetch_all(client, images, progressing)
        module.exit_json(changed=bool(images), fetched=images)
    except OperationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
