# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which class is which step. Only the one that is done is imported: Python compiles what it imports anew in every
module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Type

from ansible_collections.openlmis.operations.plugins.module_utils.run.step import Step

if TYPE_CHECKING:
    # Ansible sends to the host what it finds imported here.
    from ansible_collections.openlmis.operations.plugins.module_utils.run.steps import (  # noqa: F401
        backup,
        check,
        maintenance,
        migrate,
        pull,
        rehearsal,
        report,
        resume,
        rollback,
        smoke,
        start,
        stop,
        versions,
        wait,
    )

# Each step, and the file that it is in.
STEPS = {
    "resume": "resume",
    "check": "check",
    "ways": "resume",
    "pull": "pull",
    "maintenance_on": "maintenance",
    "stop": "stop",
    "backup": "backup",
    "set_versions": "versions",
    "start": "start",
    "wait": "wait",
    "migrate_contact_details": "migrate",
    "smoke_test": "smoke",
    "maintenance_off": "maintenance",
    "report": "report",
    "failed": "report",
    "check_rollback": "check",
    "put_files_back": "check",
    "restore": "rollback",
    "check_rehearsal": "rehearsal",
    "restore_copy": "rehearsal",
    "start_copy": "rehearsal",
    "rehearsal_failed": "rehearsal",
    "way_back": "rehearsal",
    "report_rehearsal": "rehearsal",
}


def step_class(name: str) -> Type[Step]:
    """Return the class of a step."""
    file = importlib.import_module(f"{__package__}.steps.{STEPS[name]}")
    return next(
        one for one in vars(file).values() if isinstance(one, type) and issubclass(one, Step) and one.name == name
    )
