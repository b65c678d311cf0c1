# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception that every module of this collection catches."""

from __future__ import annotations

import platform
import sys


class OperationError(Exception):
    """Something an operator can act on.

    Its text is the whole sentence for the operator: what was found, what was expected, what to do.
    It never holds a password, an e-mail address or a phone number.
    """


def no_library(name: str) -> str:
    """Return the sentence for a Python library that the host lacks, with both ways to have it."""
    return (
        f"Failed to import the required Python library ({name}) on {platform.node()}'s Python {sys.executable}; psycopg2 and docker are "
        "expected there. Install the distribution's packages (Debian, Ubuntu, Fedora: python3-psycopg2 python3-docker), or set "
        "openlmis_python_venv to a folder on the host: the playbooks then make a virtual environment of their own in it."
    )
