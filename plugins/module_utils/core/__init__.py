# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every room stands on and nothing of which knows OpenLMIS: errors, files, progress, masked secrets, how a module
begins and ends.
"""
