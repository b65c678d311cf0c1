#!/usr/bin/python
# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Print lines for a person as they are
version_added: "0.1.0"
description:
  - Prints lines on the controller's screen without the quotes, escapes and line breaks that M(ansible.builtin.debug)
    adds, so
    that tables and reports look the same with every stdout callback.
  - A line that begins with C(refused) or C(FAILED) is red, one that begins with C(warning) is yellow, on a terminal.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  lines:
    description: The lines to print.
    type: list
    elements: str
    required: true
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    description: Prints in check mode too.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Show the outcome
  openlmis.operations.show:
    lines:
      - ok       database  PostgreSQL 9.6.24
      - refused  images    openlmis/auth:4.0.0 is not on this host
"""

RETURN = r""" # """
