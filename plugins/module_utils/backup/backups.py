# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of a backup: begun with a draft, finished by a manifest, kept by count.

C(<backup folder>/manifest.json) makes a folder a backup. C(draft.json) says that one is under way, or was when it was
cut off, and of which deployment; it grows into the manifest.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError

FORMAT = 1
MANIFEST = "manifest.json"
DRAFT = "draft.json"


def walk(folder: str) -> Tuple[Dict[str, int], Dict[str, str]]:
    """Return the size of every file and the target of every symbolic link under a folder, by path inside it."""
    sizes, links = {}, {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            inside = os.path.relpath(path, folder)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                links[inside] = os.readlink(path)
            elif stat.S_ISREG(status.st_mode) and inside not in (MANIFEST, DRAFT):
                sizes[inside] = status.st_size
    return sizes, links


def begin(folder: str, origin: Mapping[str, Any]) -> None:
    """Make the folder of a new backup, for nobody else to look into; C(origin) says of which deployment
    and run it is.
    """
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    os.mkdir(folder, 0o700)
    disk.write(os.path.join(folder, DRAFT), origin)


def copy(folder: str, part: str, source: str, paths: Sequence[str]) -> None:
    """Copy files and folders, named relative to C(source), into a part of the backup. Raises OperationError.

    cp keeps owners, modes and links, which shutil does not.
    """
    dest = os.path.join(folder, part)
    os.makedirs(dest, mode=0o700, exist_ok=True)
    # cp refuses what is in a folder that it has just copied.
    outermost = [
        path for path in dict.fromkeys(paths) if not any(path.startswith(other.rstrip("/") + "/") for other in paths)
    ]
    if outermost:
        command = ["cp", "--archive", "--parents", "--", *outermost, dest]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise OperationError(
                f"The files of {source} were not all copied to {dest}: cp said: {said}. Every file of the deployment is"
                " expected in the backup. What there is is no backup yet. Fix that and run again."
            )


def source_of(content: Mapping[str, Any]) -> Optional[str]:
    """Return the deployment's folder that a manifest or draft names."""
    project = content.get("project")
    return project.get("src") if isinstance(project, dict) else None


def newest(backup_dir: str, project_src: str, run: Optional[str] = None) -> Optional[str]:
    """Return the folder of the newest backup of a deployment, or of one run of it; None when there is none."""
    folders = [os.path.join(backup_dir, name) for name in os.listdir(backup_dir)] if os.path.isdir(backup_dir) else []
    found = {folder: disk.load(os.path.join(folder, MANIFEST)) for folder in folders}
    own = [one for one in folders if source_of(found[one]) == project_src and run in (None, found[one].get("run"))]
    return max(own, key=lambda one: str(found[one].get("created", "")), default=None)


def deployed(folder: str, project_src: str) -> Dict[str, bytes]:
    """Return the content of every deployed file of a backup, by the path where it was."""
    contents, root = {}, os.path.join(folder, "files")
    for inside in walk(root)[0]:
        with open(os.path.join(root, inside), "rb") as stream:
            contents[os.path.join(project_src, inside)] = stream.read()
    return contents


def sweep(backup_dir: str, project_src: str, end_work: Callable[[List[str]], None]) -> List[str]:
    """Remove what an earlier attempt of the same deployment began and did not finish; return the folders.

    C(end_work) is called first, with the folders in which somebody else may be at work.
    """
    own, others = [], []
    for name in sorted(os.listdir(backup_dir)) if os.path.isdir(backup_dir) else []:
        folder = os.path.join(backup_dir, name)
        unfinished = not os.path.exists(os.path.join(folder, MANIFEST))
        is_own = unfinished and source_of(disk.load(os.path.join(folder, DRAFT))) == project_src
        (own if is_own else others).append(folder)
    end_work(others)
    for folder in own:
        shutil.rmtree(folder)
    return own


def surplus(backups: Mapping[str, Mapping[str, Any]], project_src: str, run: Optional[str], keep: int) -> List[str]:
    """Return the backups of a deployment that are too many, oldest first; never one of the run, which it may go back
    to.

    C(backups) maps folders to manifests. Those of the run count, so that no more than C(keep) stay unless all are the
    run's.
    """
    own = [folder for folder, manifest in backups.items() if source_of(manifest) == project_src]
    own.sort(key=lambda folder: str(backups[folder].get("created", "")))
    removable = [folder for folder in own if backups[folder].get("run") != run]
    return removable[: max(0, len(own) - keep)]


def prune(backup_dir: str, project_src: str, run: Optional[str], keep: int) -> List[str]:
    """Remove the backups that are too many and return their folders."""
    folders = [os.path.join(backup_dir, name) for name in os.listdir(backup_dir)]
    found = {folder: disk.load(os.path.join(folder, MANIFEST)) for folder in folders}
    gone = surplus(found, project_src, run, keep)
    for folder in gone:
        # Without its manifest it is no backup any more, also when the removal is cut short; with a draft the next run
        # removes the rest.
        os.replace(os.path.join(folder, MANIFEST), os.path.join(folder, DRAFT))
        shutil.rmtree(folder)
    return gone


def components_before(
    components: List[Mapping[str, Any]], answers: Mapping[str, str], histories: Mapping[str, List[str]]
) -> List[Dict[str, Any]]:
    """Return the components as they were: the version that each answered, if it did, and the migrations
    in its history.
    """
    before = []
    for one in components:
        entry = {key: value for key, value in one.items() if key != "version"}
        entry["migrations"] = histories.get(one.get("schema") or "", [])
        if answers.get(one["name"]):
            entry["version"] = answers[one["name"]]
        before.append(entry)
    return before


def merged(draft: Mapping[str, Any], told: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a manifest's content: the draft's, and what was told besides; parts that both have are put together."""
    result = dict(draft)
    for key, value in told.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = {**result[key], **value} if both else value
    return result


def added_by(prepared: Optional[str], project_src: str, earlier: Sequence[Mapping[str, Any]]) -> List[str]:
    """Return the prepared files, relative to the deployment, that were not there before the upgrade.

    C(earlier) are the manifests of this run so far: what an attempt of it has put there was not there before, either.
    """
    sizes, links = walk(prepared) if prepared else ({}, {})
    new = {path for path in [*sizes, *links] if not os.path.lexists(os.path.join(project_src, path))}
    return sorted(new.union(*(manifest.get("added") or [] for manifest in earlier)))


def of_run(backup_dir: str, project_src: str, run: Optional[str]) -> List[Dict[str, Any]]:
    """Return the manifests of a deployment's backups that one run has made."""
    found = [
        disk.load(os.path.join(backup_dir, name, MANIFEST))
        for name in (os.listdir(backup_dir) if os.path.isdir(backup_dir) else [])
    ]
    return [manifest for manifest in found if source_of(manifest) == project_src and manifest.get("run") == run]


def finish(folder: str, told: Mapping[str, Any]) -> Dict[str, Any]:
    """Sync the folder, write its manifest and return it; files that the draft has a checksum of are not read again."""
    content = merged(disk.load(os.path.join(folder, DRAFT)), told)
    known = content.get("checksums", {})
    sizes, links = walk(folder)
    disk.sync_tree(folder)
    manifest = dict(
        content,
        format=FORMAT,
        # As the journal writes times.
        created=datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds"),
        sizes=sizes,
        checksums={path: known.get(path) or disk.checksum(os.path.join(folder, path)) for path in sizes},
        links=links,
    )
    manifest["components"] = components_before(
        content.get("components", []), content.get("answers", {}), content.get("histories", {})
    )
    disk.write(os.path.join(folder, MANIFEST), manifest)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, DRAFT))
    return manifest


def read(folder: str) -> Tuple[Optional[Dict[str, Any]], List[str]]:
    """Return the manifest, or none and why."""
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as stream:
            manifest = json.load(stream)
    except FileNotFoundError:
        what = "there is no manifest.json in it" if os.path.isdir(folder) else "there is no such folder"
        return None, [f"{folder} is no backup: {what}"]
    except (OSError, ValueError) as error:
        return None, [f"{folder}/{MANIFEST} cannot be read ({error})"]
    if not isinstance(manifest, dict) or not isinstance(manifest.get("checksums"), dict):
        return None, [f"{folder}/{MANIFEST} is no manifest of a backup"]
    if manifest.get("format") != FORMAT:
        return None, [
            f"{folder}/{MANIFEST} has the format {manifest.get('format')}; this version of the collection reads"
            f" {FORMAT}"
        ]
    return manifest, []


def damages(folder: str, manifest: Mapping[str, Any]) -> List[str]:
    """Return one sentence for each file that is not as the manifest says; contents are read only where the sizes are
    right.
    """
    sizes, links = walk(folder)
    found = []
    for path, digest in sorted(manifest["checksums"].items()):
        size = manifest.get("sizes", {}).get(path)
        if path not in sizes:
            found.append(f"{path} is missing")
        elif sizes[path] != size:
            how = "truncated" if sizes[path] < (size or 0) else "changed"
            found.append(f"{path} is {how}: it has {sizes[path]} bytes, the manifest says {size}")
        else:
            try:
                if disk.checksum(os.path.join(folder, path)) != digest:
                    found.append(f"{path} is changed: its size is right and its SHA-256 is not that of the manifest")
            except OSError as error:
                found.append(f"{path} cannot be read ({error.strerror})")
    for path, target in sorted(manifest.get("links", {}).items()):
        if links.get(path) != target:
            found.append(f"{path} is no longer the symbolic link to {target}")
    return found


SAID_AT_MOST = 10


def files_of(manifest: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the part of the result that tells the backup's files."""
    return {
        "files": sorted(manifest.get("checksums", {})),
        "links": manifest.get("links", {}),
        "bytes": sum(manifest.get("sizes", {}).values()),
    }


def verify(folder: str, run: Optional[str]) -> Dict[str, Any]:
    """Read a backup back; the module's result."""
    manifest, problems = read(folder)
    if manifest is not None:
        if run is not None and manifest.get("run") != run:
            problems.append(f"{folder} is the backup of the run {manifest.get('run')}, not of {run}")
        found = damages(folder, manifest)
        problems += found[:SAID_AT_MOST]
        if len(found) > SAID_AT_MOST:
            problems.append(f"{len(found) - SAID_AT_MOST} more files are damaged")
    result = {"changed": False, "manifest": manifest, "problems": problems, "proven": not problems}
    return {**result, **files_of(manifest or {})}


def complete(
    folder: str, copies: Sequence[Mapping[str, Any]], told: Mapping[str, Any], prepared: Optional[str]
) -> Dict[str, Any]:
    """Copy files (C(part), C(source), C(paths)) into the folder and make it a backup; return the manifest. Raises
    OperationError.
    """
    if os.path.exists(os.path.join(folder, MANIFEST)):
        raise OperationError(
            f"{folder} is a finished backup already; one without a manifest is expected, since no backup is ever"
            " changed. Back up to another folder."
        )
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for one in copies:
            copy(folder, one["part"], one["source"], one["paths"])
        source = source_of(told)
        earlier = of_run(os.path.dirname(folder), source, told.get("run")) if source else []
        return finish(folder, {**told, "added": added_by(prepared, source, earlier)} if source else told)
    except OSError as error:
        raise OperationError(
            f"The backup in {folder} cannot be finished ({error.strerror}); room and the right to write there are"
            " expected. What there is is no backup yet. Fix that and run again."
        ) from error


def prune_around(folder: str, manifest: Mapping[str, Any], keep: Optional[int]) -> Tuple[List[str], str]:
    """Remove the oldest backups of this deployment beside the new one; return them, and why one could
    not be removed.
    """
    source = source_of(manifest)
    if keep is None or not source:
        return [], ""
    try:
        return prune(os.path.dirname(folder), source, manifest.get("run"), keep), ""
    except OSError as error:
        return [], f"An old backup could not be removed ({error}); the new one is finished. Remove it by hand."
