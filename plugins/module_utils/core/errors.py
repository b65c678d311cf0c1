# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception that every module of this collection catches."""

from __future__ import annotations

import platform
import sys
from typing import Any

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


class OperationError(Exception):
    """Something an operator can act on.

    Its text is the whole sentence for the operator: what was found, what was expected, what to do.
    It never holds a password, an e-mail address or a phone number. C(facts) are what a module returns beside it.
    """

    def __init__(self, text: str, **facts: Any) -> None:
        super().__init__(text)
        self.facts = facts


def leave(module: Any, **result: Any) -> None:
    """End a module with facts that were made without any secret.

    Ansible masks every text that contains the value of a secret option: a password that is also a word (C(openlmis))
    would spoil the facts that later steps go by. The options themselves are told as Ansible does, without these values.
    """
    secret = {name for name, spec in module.argument_spec.items() if spec.get("no_log")}
    told = {name: HIDDEN if name in secret and value is not None else value for name, value in module.params.items()}
    module.no_log_values.clear()
    module.exit_json(invocation={"module_args": told}, **result)


def no_library(name: str) -> str:
    """Return the sentence for a Python library that the host lacks, with both ways to have it."""
    return (
        f"Failed to import the required Python library ({name}) on {platform.node()}'s Python {sys.executable};"
        " psycopg2 and docker are expected there. Install the distribution's packages (Debian, Ubuntu, Fedora:"
        " python3-psycopg2 python3-docker), or set openlmis_python_venv to a folder on the host: the playbooks then"
        " make a virtual environment of their own in it."
    )
