# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetch images while users still work."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.docker import images
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step


class Pull(Step):
    """Have every image of the release on this host, and keep the image of every container for a rollback."""

    name = "pull"

    def reached(self) -> bool:
        """Return whether no image is missing."""
        return not self.context.server["images_to_pull"]

    def intention(self) -> List[str]:
        """Return the images that would be fetched."""
        missing = self.context.server["images_to_pull"]
        return [f"Would fetch {', '.join(missing)}."] if missing else []

    def work(self) -> Dict[str, Any]:
        """Fetch, name and keep images. One that a container runs is never fetched: a moving tag such as the database's
        must not change under the data.
        """
        facts, client = self.context.server, self.context.seen.client
        images.pull(client, facts["images_to_pull"], self.context.progress)
        images.name_built(client, facts["built_images"])
        images.keep(client, facts["running_images"], f"before-{self.journal.run_id}")
        # What ran before is what the first of a run's pulls saw.
        seen = {
            "images": facts["running_images"],
            "answers": self.context.told.get("answers", {}),
            "exited": facts["exited"],
        }
        self.context.forget()
        return self.journal.data(self.name, first=True) or seen

    def shortfall(self) -> str:
        """Return which images are still missing."""
        missing = self.context.server["images_to_pull"]
        if not missing:
            return ""
        return (
            f"{', '.join(missing)} is not on this host after it was fetched; every image of"
            f" {self.context.release['name']} is expected before users are kept out. Load it with `docker pull` or"
            " `docker load` and run again."
        )
