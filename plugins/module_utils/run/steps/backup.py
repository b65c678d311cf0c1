# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back up database, deployed files and the names of the images, and verify the backup."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.dump import dump
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step

DUMP = "dump"


class Backup(Step):
    """Back up what no migration of the release has touched: a dump of a database that has begun to migrate is no way
    back.

    Then the backup from before stays the rollback point.
    """

    name = "backup"

    @property
    def kept(self) -> Dict[str, Any]:
        """What the journal knows of this run's backup."""
        return self.journal.data(self.name) if self.journal.under_way else {}

    def untouched(self) -> bool:
        """Return whether the database is as it was before the run.

        Of a server that was at the release already when the run began only the rest is done: nothing has touched it
        before the copy.
        """
        at, target = self.context.server["release"], self.context.release["name"]
        begun_at = self.journal.content["run"]["from"] if self.journal.under_way and self.journal.content else at
        copying = any(one["step"] == "migrate_contact_details" for one in self.journal.steps) and self.journal.under_way
        return at in self.context.release["upgrades_from"] or (begun_at == target and not copying)

    def stopped_since(self) -> bool:
        """Return whether users may have worked between the backup and a later stop: a new one is made then."""
        found = self.journal.ended("stop", self.name)
        return not found or found[-1]["step"] == "stop"

    def verified(self) -> Dict[str, Any]:
        """Return what reading back this run's backup has found, nothing without one."""
        folder = self.kept.get("dest")
        self.context.progress.say("reading back the backup")
        return backups.verify(folder, self.journal.run_id) if folder else {}

    def reached(self) -> bool:
        """Return whether there is a verified backup that is still right."""
        return not (self.untouched() and self.stopped_since()) and self.verified().get("proven", False)

    def obstacle(self) -> str:
        """Return who may write to the database, or that there is no way back."""
        services = self.context.server["services"].items()
        writing = [name for name, one in services if one["stopped_for_upgrade"] and one["container"]]
        writing += [name for name, one in services if one["uses_database"] and one["status"] == "running"]
        if self.untouched() and writing:
            return (
                f"{', '.join(writing)} may write to the database; nothing may while a backup is made that the server"
                " may be rolled back to. Run the playbook without --tags: it stops them first."
            )
        return "" if self.untouched() or self.site["without_way_back"] else self.no_way_back()

    def no_way_back(self) -> str:
        """Return that the backup from before the migrations is missing or damaged; empty when it is whole."""
        found = self.verified()
        if found.get("proven"):
            return ""
        problems = found.get("problems")
        why = (
            f"the backup from before them is not whole: {'; '.join(problems)}"
            if problems
            else "the journal knows no backup from before them"
        )
        return (
            f"Migrations of {self.context.release['name']} are in the database, and {why}. A proven backup from before"
            f" them is expected, since there is no other way back. Put {self.kept.get('dest', 'it')} back from a copy"
            " of yours and run again; or, to go on without a way back, run again with openlmis_without_way_back=true."
        )

    def intention(self) -> List[str]:
        """Return what would be backed up."""
        if not self.untouched() or self.site["backup"] != DUMP:
            return []
        made = dump.back_up(self.options(self.folder()), True, self.context.progress)
        return [f"Would back up database and deployed files to {made['dest']}."]

    def folder(self) -> str:
        """Return the folder of a new backup."""
        return os.path.join(self.site["backup_dir"], datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"))

    def options(self, dest: str) -> Dict[str, Any]:
        """Return the options of the dump."""
        told = {name: self.site["backup_" + name] for name in ("jobs", "verify", "compress", "image")}
        return {**self.site, **told, "dest": dest, "run": self.journal.run_id or "check"}

    def prepare(self) -> Dict[str, Any]:
        """Dump, or make the folder for the site's own tasks."""
        self.dest = self.folder()
        self.dumped: Dict[str, Any] = {}
        if self.untouched() and self.site["backup"] == DUMP:
            self.dumped = dump.back_up(self.options(self.dest), False, self.context.progress)
            self.context.duration = self.dumped["duration"]
        elif self.untouched():
            os.makedirs(self.dest, mode=0o700)
        return {}

    def site_tasks(self) -> bool:
        """Return whether the site backs the database up by tasks of its own."""
        return self.site["backup"] != DUMP and self.untouched()

    def work(self) -> Dict[str, Any]:
        """Finish the backup with the deployed files; without anything to back up the way back is an earlier backup, or
        none.
        """
        if not self.untouched():
            return {**self.kept, "without_way_back": True}
        dest = self.context.told.get("folder") or self.dest
        dumped = getattr(self, "dumped", {})
        self.context.progress.say("copying the deployed files")
        project = self.context.server["project"]
        copies = [
            {
                "part": "files",
                "source": project["src"],
                "paths": [os.path.relpath(one, project["src"]) for one in project["deployed"]],
            },
            # What links among them point to elsewhere.
            {
                "part": "outside",
                "source": "/",
                "paths": [os.path.relpath(one, "/") for one in project["deployed_outside"]],
            },
        ]
        self.manifest = backups.complete(dest, copies, self.told(), self.site["target_files"])
        _removed, problem = backups.prune_around(dest, self.manifest, self.site["backup_keep"])
        if problem:
            self.context.module.warn(problem)
        counts = {key: dumped.get(key) for key in ("rows", "tables")}
        size = sum(self.manifest["sizes"].values())
        return {"dest": dest, "bytes": size, **counts, "verified": dumped.get("verified", "by the site")}

    def told(self) -> Dict[str, Any]:
        """Return what the manifest says of the server besides the dump."""
        facts, pulled = self.context.server, self.journal.data("pull")
        told = {
            "run": self.journal.run_id,
            "release": facts["release"],
            "base_url": self.site["base_url"] or "",
            "project": {"name": facts["project"]["name"], "src": facts["project"]["src"]},
            "images": pulled.get("images", {}),
            "answers": pulled.get("answers", {}),
            "components": facts["components"],
            "exited": pulled.get("exited", []),
        }
        return (
            {**told, "database": {"identity": facts["database"]["identity"]}} if self.site["backup"] == DUMP else told
        )

    def run(self) -> Dict[str, Any]:
        """Do the step; return also where the backup is, so that it can be fetched."""
        result = super().run()
        if self.context.check_mode or not self.untouched():
            return {**result, "folder": None}
        if result["site_tasks"]:
            return {**result, "folder": self.dest}
        folder = self.kept["dest"]
        return {**result, "folder": folder, **backups.files_of(disk.load(os.path.join(folder, backups.MANIFEST)))}
