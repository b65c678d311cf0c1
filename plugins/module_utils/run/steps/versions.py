# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the component versions."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.project import file_edits
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step


class SetVersions(Step):
    """Edit the deployed files where the versions are written, or put the prepared files in place."""

    name = "set_versions"

    def stale(self) -> List[str]:
        """Return the images that Compose renders and the release does not have."""
        return [one["image"] for one in self.context.server["services"].values() if not one["current"]]

    def reached(self) -> bool:
        """Return whether Compose renders the release and no edit is left."""
        return not self.stale() and not self.context.server["edits"]

    def intention(self) -> List[str]:
        """Return the edits; the diff shows them."""
        made = file_edits.make(self.context.module, self.context.server["edits"])
        self.context.diff += made["diff"]
        return [f"Would change {one['summary']}." for one in self.context.server["edits"]]

    def work(self) -> Dict[str, Any]:
        """Make the edits."""
        made = file_edits.make(self.context.module, self.context.server["edits"])
        self.context.diff += made["diff"]
        self.context.forget()
        return {"edits": made["edits"]}

    def shortfall(self) -> str:
        """Return what Compose still renders otherwise."""
        left = [one["summary"] for one in self.context.server["edits"]]
        if self.reached():
            return ""
        return (
            f"After the change Compose still renders {', '.join(self.stale()) or 'no wrong image'} and there remains to"
            f" be changed: {', '.join(left) or 'nothing'}. The images of {self.context.release['name']} are expected."
            " The components are stopped. Find with `docker compose config` where the versions are set, change them"
            " there and run again."
        )
