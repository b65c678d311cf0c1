# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules whose progress is shown while they work."""

    DOCUMENTATION = r"""
options:
  progress_file:
    description:
      - File in which the module says in one line how far it is, while it works. It is replaced as a whole, has mode
        0600, and belongs
        to the owner of its folder. Its last text stays.
      - The module's action sets it by itself, reads the file and shows the line on the controller's standard error
        every eight
        seconds, with the time so far. Nothing is shown of a module that ends before. Set it only to read it yourself.
    type: path
  expected_seconds:
    description: How long the task is expected to take. With it the line says how much of that is left.
    type: float
"""
