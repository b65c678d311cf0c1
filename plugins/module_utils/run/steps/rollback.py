# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback goes by, and its own step: put back database, deployed files and images."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups, put_back
from ansible_collections.openlmis.operations.plugins.module_utils.docker import images
from ansible_collections.openlmis.operations.plugins.module_utils.dump import restore
from ansible_collections.openlmis.operations.plugins.module_utils.run import database_up, rollback
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Context, Step


def manifest(context: Context) -> Dict[str, Any]:
    """Return the manifest of the backup that is restored, empty where nothing needs one."""
    noted = context.journal.data("restore").get("backup") if context.going_back else None
    folder = noted or context.site["rollback_backup"] or rollback.backup_of(context.journal.content)
    return (backups.read(folder)[0] or {}) if folder else {}


def release(context: Context) -> Optional[str]:
    """Return the release that the rollback leads to."""
    return manifest(context).get("release") or context.server["release"]


def components(context: Context) -> List[Dict[str, Any]]:
    """Return the components of before."""
    return rollback.components_before(
        context.server, context.release, context.site["migrations"], manifest(context) or None
    )


def plan(context: Context, journal: Any = None) -> Dict[str, Any]:
    """Return what has to be undone, see C(rollback.plan); every file of the backup is read."""
    context.progress.say("reading the backup")
    journal = journal or context.journal.content
    params = {
        "journal": journal,
        "backup": context.site["rollback_backup"],
        "backup_dir": context.site["backup_dir"],
        "baseline": context.state(f"activity-{journal['run_id'] if journal else 'none'}.json"),
        "server": context.server,
        "release": context.release,
        "migrations": context.site["migrations"],
    }
    return rollback.plan(params, rollback.look(params))


def restore_options(context: Context, planned: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the options of the restore."""
    site = context.site
    return {
        **site,
        "backup": planned["backup"],
        "run": context.journal.run_id or planned["manifest"]["run"],
        "jobs": site["backup_jobs"],
        "image": site["backup_image"],
        "users_let_in": planned["users_let_in"],
        "baseline": planned["baseline"],
        "discard_changes": site["rollback_discard_changes"],
        "wait_for_sessions": 60,
    }


def put_files_back(context: Context, planned: Mapping[str, Any]) -> List[str]:
    """Put the deployed files of the backup back; return those that differed."""
    run = context.journal.run_id or planned["manifest"]["run"]
    found = put_back.put_back(planned["backup"], context.site["project_src"], context.state(f"replaced-{run}"))
    context.forget()
    return found


class Restore(Step):
    """Put everything back. Each part finds out by itself what is left to do: ended at any point, it is run again from
    the top.
    """

    name = "restore"
    database_optional_in_rollback = True

    def intention(self) -> List[str]:
        """Return what would be put back."""
        return ["Would do what was said above:", *plan(self.context)["lines"]]

    def work(self) -> Dict[str, Any]:
        """Begin with the database: what it refuses leaves everything as it is, so that the upgrade may
        also be resumed.
        """
        context = self.context
        planned = plan(context)
        self.release, restored = planned["release"], {}
        database_up.bring_up(context, planned["mounts"])
        if planned["restore"]:
            restored = restore.into_place(restore_options(context, planned), False, context.progress)
            context.say(*restored["lines"])
        for name in planned["added"]:
            context.seen.client.containers.get(name).remove(v=True, force=True)
        files = put_files_back(context, planned) if planned["manifest"] else []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(context.state("out-of-order.yml"))
        images.restore_names(context.seen.client, planned["images"])
        context.look()
        self.run_changes = {"database": context.server["database"]["identity"]}
        counts = {key: restored.get(key, 0) for key in ("tables", "rows", "hashed")}
        told = {
            "backup": planned["backup"],
            "files": files,
            "kept_as": restored.get("kept_as"),
            "activity": restored.get("activity", {}),
        }
        return {**told, **counts}

    def shortfall(self) -> str:
        """Return which release the histories are of, when it is not that of before."""
        found = self.context.server["release"]
        if found == self.release:
            return ""
        return (
            f"The database's histories are those of {found or 'no release'}; those of {self.release} are expected after"
            " the restore. Look for what writes to the database (a component that somebody started), stop it and run"
            " again."
        )
