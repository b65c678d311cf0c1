# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Compose file that lets Flyway apply migrations that it would skip."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

OPTION = "-Dflyway.out-of-order=true"


def override(rendered: Mapping[str, Any], services: Sequence[str]) -> Dict[str, Any]:
    """Return the Compose file that adds the option. Raises OperationError when a service is not in the
    configuration.
    """
    unknown = [name for name in services if name not in rendered["services"]]
    if unknown:
        raise OperationError(
            f"Service {', '.join(unknown)} is not in the Compose configuration"
            f" ({', '.join(sorted(rendered['services']))} are); services of this deployment are expected. Correct the"
            " names."
        )
    changed = {}
    for name in services:
        options = ((rendered["services"][name].get("environment") or {}).get("JAVA_OPTS") or "").split()
        value = " ".join([option for option in options if not option.startswith("-Dflyway.out-of-order=")] + [OPTION])
        # Compose interpolates this file too: a dollar that is meant has to be doubled.
        changed[name] = {"environment": {"JAVA_OPTS": value.replace("$", "$$")}}
    return {"services": changed}


def write(rendered: Mapping[str, Any], services: Sequence[str], dest: str) -> None:
    """Write the Compose file that adds the option to these services."""
    # JSON is YAML that needs no library to write.
    disk.write(dest, override(rendered, services))
