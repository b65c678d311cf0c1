#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: keep_images
short_description: Keep the images that services run under names of their own
version_added: "0.1.0"
description:
  - Names the image of each service C(openlmis-operations/<service>:<tag>), all in one task, so that nothing that moves or prunes other
    names takes the way back. A name that is there already stays as it is.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  images:
    description: The image of each service, C(id) and C(name), as C(running_images) of M(openlmis.operations.server_info).
    type: dict
    required: true
  tag:
    description: The tag of the names.
    type: str
    required: true
requirements:
  - docker (Python package)
attributes:
  check_mode:
    description: Tells which names would be given.
    support: full
  diff_mode:
    description: The result names what changed.
    support: none
seealso:
  - module: community.docker.docker_image_tag
"""

EXAMPLES = r"""
- name: Keep the image that auth runs
  openlmis.operations.keep_images:
    images:
      auth: {id: "sha256:0f1e2d3c", name: "openlmis/auth:3.2.0"}
    tag: before-20260102T190000Z
"""

RETURN = r"""
names:
  description: The names that were given.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict, Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils import compose
from ansible_collections.openlmis.operations.plugins.module_utils.errors import OperationError

try:
    from docker.errors import DockerException
except ImportError:
    # The module says what is missing (compose.require_docker).
    DockerException = Exception

REPOSITORY = "openlmis-operations"


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
            f"Image {image} cannot be kept as {repository}:{tag}: Docker said: {getattr(error, 'explanation', None) or error}. The image of every"
            " container is expected to be on this host. Mend that and run again."
        ) from error


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={"images": {"type": "dict", "required": True}, "tag": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    compose.require_docker(module)
    tag = module.params["tag"]
    try:
        client = compose.docker_client()
        present = [name for image in client.api.images() for name in image["RepoTags"] or []]
        missing = missing_names(module.params["images"], tag, present)
        for repository, image in missing.items() if not module.check_mode else ():
            give(client, repository, tag, image)
        module.exit_json(changed=bool(missing), names=[f"{repository}:{tag}" for repository in missing])
    except OperationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
