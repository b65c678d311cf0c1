# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception that every module of this collection catches."""

from __future__ import annotations


class OperationError(Exception):
    """Something an operator can act on.

    Its text is the whole sentence for the operator: what was found, what was expected, what to do.
    It never holds a password, an e-mail address or a phone number.
    """
