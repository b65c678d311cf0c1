# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The running site and the components it should consist of; the argument spec is site_argument_spec()."""

    DOCUMENTATION = r"""
options:
  base_url:
    description:
      - The address of the site as its users and its own components know it, V(BASE_URL) of its settings.
      - With C(https) every request has the header C(X-Forwarded-Proto), which a site with V(REQUIRE_SSL=true) demands.
        With C(http) such a site is reported, not deceived, since a password would travel in the clear.
      - Proxies of the environment and C(~/.netrc) are not used. Redirects are not followed.
    type: str
    required: true
  components:
    description:
      - What the site should consist of, one entry per component that names its version over HTTP.
      - The same list can be given to M(openlmis.operations.wait_for_release) and M(openlmis.operations.smoke_test).
        The latter uses only O(components[].name), O(components[].version) and O(components[].path).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What to call the component.
        type: str
        required: true
      version:
        description: The version that it must name. Without one any will do.
        type: str
      path:
        description: Where it names its version. The default is a slash and O(components[].name).
        type: str
      service:
        description: Its service in the Compose project. The default is O(components[].name).
        type: str
      schema:
        description: The database schema that it owns. Needed where O(components[].migrations) is not empty.
        type: str
      migrations:
        description: The Flyway versions that must have been applied to the schema; none for a component without one.
        type: list
        elements: str
        default: []
  validate_certs:
    description: Whether the certificate of an C(https) site must be one that this host trusts.
    type: bool
    default: true
"""
