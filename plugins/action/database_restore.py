# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show how far a restore is."""

from __future__ import annotations

from ansible_collections.openlmis.operations.plugins.plugin_utils.following import FollowingAction


class ActionModule(FollowingAction):
    """The action behind the module of the same name."""

    DOES = "restore"
