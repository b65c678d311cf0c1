# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs have left on a server besides their journal."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Callable

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.journal import journal as journals
from ansible_collections.openlmis.operations.plugins.module_utils.maintenance import firewall

# As C(images.keep) names what a run keeps.
KEPT = re.compile(r"openlmis-operations/(?P<service>[^:]+):before-(?P<run>\d{8}T\d{6}Z)$")


def manifests(directory: str) -> list:
    """Return the manifests of all backups in the directory as (folder, manifest), oldest first; unreadable ones are
    none.
    """
    found = []
    for name in sorted(os.listdir(directory)) if directory and os.path.isdir(directory) else []:
        folder = os.path.join(directory, name)
        try:
            with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as stream:
                found.append((folder, json.load(stream)))
        except (OSError, ValueError):
            continue
    return found


def kept_images() -> dict:
    """Return the images that each run has kept, by service, with all their names; none where Docker does not answer."""
    found: dict = {}
    try:
        images = compose.docker_client().api.images()
    except OperationError:
        return found
    for image in images:
        for match in filter(None, map(KEPT.match, image["RepoTags"] or [])):
            found.setdefault(match["run"], {})[match["service"]] = {"id": image["Id"], "names": image["RepoTags"]}
    return found


def is_closed(find: Callable[[str], Any]) -> bool:
    """Tell whether the firewall keeps users out; a host without one does not."""
    try:
        commands = (f"{name}-{verb}" for name in ("iptables", "ip6tables") for verb in ("save", "restore"))
        return not firewall.Firewall({name: find(name) for name in commands}).gone()
    except OperationError:
        return False


def has_changed(folder: str, manifest: dict, project_src: str) -> bool:
    """Tell whether a deployed file is not as the backup has it."""
    for path, digest in manifest.get("checksums", {}).items():
        part, _slash, inside = path.partition("/")
        if part == "files":
            try:
                if disk.checksum(os.path.join(project_src, inside)) != digest:
                    return True
            except OSError:
                return True
    return False


def traces(project_src: str, backup_dir: str, find: Callable[[str], Any]) -> journals.Traces:
    """Return what runs have left on this server; C(find) returns the path of a program."""
    found = manifests(backup_dir)
    changed = [
        folder
        for folder, manifest in found
        if backups.source_of(manifest) == project_src and has_changed(folder, manifest, project_src)
    ]
    return journals.Traces(found, kept_images(), is_closed(find), changed)
