# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that look at a whole OpenLMIS server and hold it against a release."""

    DOCUMENTATION = r"""
options:
  compose_files:
    description:
      - Compose files of the deployment, relative to O(project_src), in the order in which they override each other.
      - Without it those that Compose loads on its own, an override file included.
    type: list
    elements: str
    default: []
  images:
    description:
      - Image of the new release for services that do not run the published one, by service.
    type: dict
    default: {}
  target_files:
    description:
      - Directory on the managed host with files that the site has prepared for the new release, laid out as in
        O(project_src).
      - They are put in place whole, instead of edits of the files that are there. Files of O(project_src) that it lacks
        stay as they are.
    type: path
  release:
    description:
      - The release to hold the server against and those from which an upgrade to it may start, as in the role's
        C(vars/releases).
    type: dict
    required: true
  migrations:
    description:
      - The migrations that each version of each component ships, as in the role's C(vars/flyway_versions.yml).
    type: dict
    required: true
requirements:
  - Docker Engine 20.10 or newer with Compose 2.18 or newer
  - docker (Python package)
  - psycopg2 (Python package)
"""
