# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The restart policies of the containers that an upgrade stops: taken away while users are kept out, given back at the
end.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.project import classification

try:
    from docker.errors import DockerException, NotFound
except ImportError:
    # The module says what is missing (compose.require_docker).
    DockerException, NotFound = Exception, LookupError

# What Compose makes of the conditions that a deploy section knows.
CONDITIONS = {"": "no", "none": "no", "any": "always"}


class Policy(NamedTuple):
    """A restart policy: its name, and how often on-failure tries (0: without end)."""

    name: str
    attempts: int


HELD = Policy("no", 0)


def rendered_policy(service: Mapping[str, Any]) -> Policy:
    """Return the policy that Compose gives a container of this rendered service; the deploy section outranks
    C(restart).
    """
    condition, _colon, attempts = str(service.get("restart") or "").partition(":")
    deployed = (service.get("deploy") or {}).get("restart_policy")
    if deployed is not None:
        condition, attempts = deployed.get("condition") or "", str(deployed.get("max_attempts") or "")
    return Policy(CONDITIONS.get(condition, condition), int(attempts) if attempts.isdigit() else 0)


def current_policy(attributes: Mapping[str, Any]) -> Policy:
    """Return the policy that a container has."""
    found = (attributes.get("HostConfig") or {}).get("RestartPolicy") or {}
    return Policy(found.get("Name") or "no", found.get("MaximumRetryCount") or 0)


def hold(look: server.Look) -> Dict[str, str]:
    """Let nothing that the upgrade stops start by itself; return the containers that would have, with
    their new policy.
    """
    return apply(differing(look, held=True))


def release(look: server.Look) -> Dict[str, str]:
    """Give the containers back the policy that Compose renders; return those that had another one."""
    return apply(differing(look, held=False))


def differing(look: server.Look, held: bool) -> List[Tuple[Any, Policy]]:
    """Return each container of what the upgrade stops that has another policy than it should, with that one."""
    found, users = [], classification.rendered_users(look.services)
    for service in look.services:
        stopped = service.stopped_for_upgrade or service.name in users
        wanted = HELD if held else rendered_policy(look.rendered["services"][service.name])
        containers = look.project.services().get(service.name, []) if stopped else []
        found += [(container, wanted) for container in containers if current_policy(container.attrs) != wanted]
    return found


def apply(wanted: Sequence[Tuple[Any, Policy]]) -> Dict[str, str]:
    """Give each container its policy; return those that are there still."""
    return {container.name: policy.name for container, policy in wanted if _update(container, policy)}


def _update(container: Any, wanted: Policy) -> bool:
    try:
        container.update(restart_policy={"Name": wanted.name, "MaximumRetryCount": wanted.attempts})
        return True
    except NotFound:
        return False  # removed since it was listed
    except DockerException as error:
        raise OperationError(
            f"The restart policy of {container.name} cannot be set: Docker said:"
            f" {getattr(error, 'explanation', None) or error}. Expected {wanted.name}. Fix that and run again."
        ) from error
