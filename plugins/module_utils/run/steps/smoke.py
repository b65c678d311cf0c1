# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Use the server as a user would."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.release import smoke
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps import rollback
from ansible_collections.openlmis.operations.plugins.module_utils.run.steps.wait import components

TIMES = {"timeout": 30, "retry_seconds": 30}


class SmokeTest(Step):
    """View and edit user profiles, and compare with the database."""

    name = "smoke_test"

    def intention(self) -> List[str]:
        """Return what would be checked."""
        return [f"Would check {self.site['base_url']}; nothing was checked."]

    def work(self) -> Dict[str, Any]:
        """Run every check. Back at the release as it was found, with contact details still missing, profiles cannot be
        viewed.
        """
        context = self.context
        profiles = context.site["smoke_test_profiles"]
        if context.going_back and rollback.release(context) == context.release["name"]:
            profiles = 0
        options = {
            **context.site,
            **TIMES,
            "components": components(context),
            "contact_details": not context.going_back,
            "profiles": profiles,
        }
        result = smoke.test(options, False, context.module.no_log_values.add)
        context.say(result["msg"])
        return {"results": result["results"]}
