# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have the database's service run on its own data, also when its container was removed: C(up) alone would start an
empty database.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Mapping

from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.host import running, volume
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Context


def bring_up(context: Context, mounts: Mapping[str, str], own_data_only: bool = False) -> None:
    """Have the database run on the volumes of C(mounts) (destination to volume); for one outside Compose there is
    nothing to do.

    With C(own_data_only) nothing is started but on data that is known and there. A database that does not answer in
    time is the next step's finding. Raises OperationError.
    """
    dest = context.state("database-volume.yml")
    found = volume.find({**context.site, "mounts": mounts}, dest, not context.check_mode)
    if context.check_mode or not needed(found, mounts, own_data_only):
        return
    if not context.going_back and found["lost"]:
        raise OperationError(
            f"The volume {', '.join(found['lost'])} with the database's data is gone, and so is its container; both are"
            " expected, since the upgrade goes on with what is in it. Put the volume back from a copy, or roll back:"
            f" {context.run['commands'].get('rollback', '')}"
        )
    if found["stray"]:
        # It lies on other data, which is kept.
        context.seen.client.containers.get(found["stray"]).remove(force=True)
    command = deployment.compose_command(context.site["project_src"], found["files"], found["project"])
    # A network is given to a container when it is made.
    recreate = [] if found["status"] == "detached" else ["--no-recreate"]
    running.run(
        [*command, "up", "--detach", "--pull", "never", "--no-deps", *recreate, found["service"]], context.progress
    )
    # Compose carries the volume over to every later container.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(dest)
    context.progress.say("waiting until the database accepts connections")
    context.look()


def needed(found: Mapping[str, Any], mounts: Mapping[str, str], own_data_only: bool) -> bool:
    """Tell whether the service has to be started, and may be."""
    if found["service"] is None or (found["status"] == "running" and found["stray"] is None):
        return False
    known = bool(mounts) or found["status"] != "missing"
    return not own_data_only or (known and not found["lost"] and found["stray"] is None)
