# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback has to undo, and whether it may."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.backup import backups
from ansible_collections.openlmis.operations.plugins.module_utils.core import disk
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

Journal = Optional[Mapping[str, Any]]


def begun(journal: Journal, step: str) -> List[Mapping[str, Any]]:
    """Return the attempts at a step of the upgrade, ended or not."""
    steps = journal["steps"] if journal else []
    return [one for one in steps if one["step"] == step and one.get("phase", "upgrade") == "upgrade"]


def backup_of(journal: Journal) -> Optional[str]:
    """Return the folder of the backup that the journal knows: the last one, since none is made once a migration has
    begun.
    """
    made = [one["data"]["dest"] for one in begun(journal, "backup") if one["finished"] and one["data"].get("dest")]
    return made[-1] if made else None


def recovered(journal: Journal) -> bool:
    """Tell whether the journal was written again from what the run had left, so that it does not know all that was
    done.
    """
    return journal is not None and any((one["data"] or {}).get("recovered") for one in journal["steps"])


def complete(journal: Journal) -> bool:
    """Tell whether the journal knows all that was done."""
    return journal is not None and not recovered(journal)


def kept_out(journal: Journal) -> bool:
    """Tell whether the firewall still kept users out when the journal was written again: then nobody has worked since
    the backup.
    """
    return any((one["data"] or {}).get("closed") for one in (journal["steps"] if journal else []))


def rolled_back(journal: Journal) -> bool:
    """Tell whether the journal's last run was rolled back to its end."""
    return journal is not None and journal["phase"] == "rollback" and bool(journal["finished"])


def never_begun(params: Mapping[str, Any]) -> bool:
    """Tell whether nothing was ever begun here: no journal, no backup, and the release before runs throughout."""
    server = params["server"]
    running = all(one["status"] == "running" for one in server["services"].values() if one["component"])
    before = server["release"] in params["release"]["upgrades_from"] and running
    return params["journal"] is None and not params["backup"] and not known_backups(params["backup_dir"]) and before


def database_untouched(journal: Journal, server: Mapping[str, Any], release: Mapping[str, Any]) -> bool:
    """Tell whether the journal and the database agree that nothing of the new release was ever started on it."""
    if journal is None or begun(journal, "start"):
        return False
    before = release["upgrades_from"].get(server["release"])
    if before is None or server["database"]["identity"] != journal["run"].get("database"):
        return False
    if complete(journal):
        return True
    migrated = any(one["applied"] for name, one in server["histories"].items() if name not in before)
    return not migrated and not (kept_out(journal) and backup_of(journal))


def files_untouched(journal: Journal, server: Mapping[str, Any], present: Mapping[str, str]) -> bool:
    """Tell whether the deployed files were never changed: by the journal, or because each service's image is the one
    that it ran with.
    """
    if journal is None or begun(journal, "set_versions"):
        return False
    ran = images_before(journal, None)
    # A service that is built here has an image of no name; the upgrade changes only components.
    named = {
        name: one["image"]
        for name, one in server["services"].items()
        if name in ran and one["component"] is not None and one["image"]
    }
    as_they_ran = bool(named) and all(
        present.get(deployment.full_name(image)) == ran[name]["id"] for name, image in named.items()
    )
    return complete(journal) or as_they_ran


def users_let_in(journal: Journal, server: Mapping[str, Any]) -> bool:
    """Tell whether users may have worked in the new release: they were let in, or nobody knows.

    They are let in only when every component has migrated, so that a mix of two releases in the histories says that
    they were not.
    """
    if journal is None or begun(journal, "maintenance_off"):
        return True
    mixed = server["database"]["error"] is None and server["release"] is None and bool(server["begun_from"])
    return recovered(journal) and not kept_out(journal) and not mixed


def mounts_of(journal: Journal, manifest: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    """Return where the database's data lies: where it was backed up, or where this rollback has already restored it."""
    run = ((journal or {}).get("run") or {}).get("database") or {}
    steps = journal["steps"] if journal else []
    restored = any(one["step"] == "restore" and one["phase"] == "rollback" and one["finished"] for one in steps)
    before = ((manifest or {}).get("database") or {}).get("identity") or {}
    return dict((run if restored or not before else before).get("mounts") or {})


def components_before(
    server: Mapping[str, Any],
    release: Mapping[str, Any],
    migrations: Mapping[str, Any],
    manifest: Optional[Mapping[str, Any]],
) -> List[Dict[str, Any]]:
    """Return the components as they were: as the backup has them, else as the release before ships them."""
    if manifest:
        return list(manifest["components"])
    return deployment.components_at(server["components"], release["upgrades_from"][server["release"]], migrations)


def images_before(journal: Journal, manifest: Optional[Mapping[str, Any]]) -> Dict[str, Mapping[str, str]]:
    """Return the image of each service before the upgrade, C(id) and C(name)."""
    if manifest:
        return dict(manifest.get("images") or {})
    return next(
        (dict(one["data"].get("images") or {}) for one in reversed(begun(journal, "pull")) if one["finished"]), {}
    )


def moved_images(images: Mapping[str, Mapping[str, str]], present: Mapping[str, str]) -> List[Dict[str, str]]:
    """Return the references that no longer mean the image that they meant; C(present) maps references of this host to
    ids.
    """
    wanted = {
        one["name"]: one["id"]
        for one in images.values()
        if "@" not in one["name"] and not one["name"].startswith("sha256:")
    }
    return [
        {"name": name, "id": identity}
        for name, identity in sorted(wanted.items())
        if present.get(deployment.full_name(name)) != identity
    ]


def added_services(services: Sequence[str], release: Mapping[str, Any], images: Mapping[str, Any]) -> List[str]:
    """Return the services with containers that the new release has added and the server before did not have."""
    return [name for name in services if name in release["services_added"] and images and name not in images]


def known_backups(backup_dir: str) -> List[str]:
    """Return the folders that are backups, the newest first."""
    names = sorted(os.listdir(backup_dir), reverse=True) if os.path.isdir(backup_dir) else []
    return [
        os.path.join(backup_dir, name)
        for name in names
        if os.path.exists(os.path.join(backup_dir, name, backups.MANIFEST))
    ]


def no_backup(journal: Journal, backup_dir: str) -> str:
    """Return the sentence for a server that has to be restored, and no backup known to restore."""
    there = ", ".join(known_backups(backup_dir)) or "none"
    found = (
        f"The journal of run {journal['run_id']} knows no backup" if journal else "There is no journal of an upgrade"
    )
    return (
        f"{found}, and a rollback needs a verified backup from before the upgrade. Backups in {backup_dir}: {there}."
        " Name the right one with -e openlmis_rollback_backup=<folder>, put the run's own back from a copy, or restore"
        " by hand (docs/rollback.md). Nothing was changed; the upgrade can still be finished without a backup:"
        " openlmis_without_way_back=true."
    )


def plan(params: Mapping[str, Any], found: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the module's result. C(found) has C(manifest), C(problems) of the backup, C(baseline), C(present) images
    and C(containers).
    """
    journal, server, release = params["journal"], params["server"], params["release"]
    folder, manifest = found["backup"], found["manifest"]
    restore = not database_untouched(journal, server, release)
    needed = restore or not files_untouched(journal, server, found["present"])
    result: Dict[str, Any] = {
        "refused": [],
        "nothing": "",
        "backup": folder,
        "manifest": manifest,
        "restore": restore,
        "users_let_in": users_let_in(journal, server),
        "baseline": found["baseline"],
        "gone": not found["containers"],
        "mounts": {},
        "images": [],
        "added": [],
        "components": [],
        "release": None,
        "lines": [],
    }
    if rolled_back(journal) and params["backup"] in (None, backup_of(journal)):
        result["nothing"] = f"run {journal['run_id']} was rolled back at {journal['finished']} UTC"
        return result
    if never_begun(params):
        result["nothing"] = (
            f"no upgrade was begun: there is neither a journal nor a backup, and it runs as {server['release']}"
        )
        return result
    if needed and not folder:
        result["refused"].append(no_backup(journal, params["backup_dir"]))
        return result
    if restore and manifest and "tables" not in manifest:
        # The site backed the database up by itself, and has to bring it back by itself: the histories tell whether it
        # has.
        result["restore"] = False
        if server["release"] != manifest["release"]:
            result["refused"].append(
                f"The backup {folder} has no dump: the site backed the database up by itself. A database with the"
                f" histories of {manifest['release']} is expected, and these are of"
                f" {server['release'] or 'no release'}. Stop the components, restore the database from the site's own"
                " backup, and run again for the rest."
            )
            return result
    if needed and found["problems"]:
        result["refused"].append(
            f"The backup cannot be restored: {'; '.join(found['problems'])}. A backup whose every file is as its"
            f" manifest says is expected. Backups in {params['backup_dir']}:"
            f" {', '.join(known_backups(params['backup_dir'])) or 'none'}; name another one with -e"
            " openlmis_rollback_backup=<folder>."
        )
        return result
    images = images_before(journal, manifest)
    result["images"] = moved_images(images, found["present"])
    gone = sorted({one["name"] for one in result["images"] if one["id"] not in found["ids"]})
    if gone:
        result["refused"].append(
            f"The images that {', '.join(gone)} meant before the upgrade are not on this host any more; they are"
            " expected, since the release before is made of them. Load them (`docker load`, or `docker pull` where the"
            " tag has not moved) and run again."
        )
        return result
    result["mounts"] = mounts_of(journal, manifest)
    services = added_services(list(found["containers"]), release, images)
    result["added"] = [name for service in services for name in found["containers"][service]]
    result["components"] = components_before(server, release, params["migrations"], manifest)
    result["release"] = manifest["release"] if manifest else server["release"]
    result["lines"] = said(result)
    return result


def said(result: Mapping[str, Any]) -> List[str]:
    """Return the plan in words, but for what is said of the database's content."""
    manifest = result["manifest"]
    lines = [
        f"Back to OpenLMIS {result['release']}"
        + (f", from the backup {result['backup']} of {manifest['created']} UTC" if manifest else "")
    ]
    if not result["restore"]:
        lines.append("The database is left alone: nothing of the new release is in it")
    if manifest:
        lines.append("The deployed files are put back; those that the backup does not have are left alone")
    lines += [f"{one['name']} means the image from before the upgrade again" for one in result["images"]]
    return lines + [f"Container {name} is removed, which the upgrade added" for name in result["added"]]


def look(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the host knows: the backup, images and containers."""
    folder = params["backup"] or backup_of(params["journal"])
    manifest, problems = backups.read(folder) if folder else (None, [])
    if manifest:
        problems = backups.damages(folder, manifest)
    client = compose.docker_client()
    listed = client.api.images()
    name = (params["server"]["project"] or {})["name"]
    containers: Dict[str, List[str]] = {}
    for one in client.containers.list(
        all=True, ignore_removed=True, filters={"label": f"{compose.LABEL}project={name}"}
    ):
        containers.setdefault(one.labels.get(compose.LABEL + "service", ""), []).append(one.name)
    return {
        "backup": folder,
        "manifest": manifest,
        "problems": problems,
        "baseline": disk.load(params["baseline"]) or None,
        "present": {tag: image["Id"] for image in listed for tag in image["RepoTags"] or []},
        "ids": {image["Id"] for image in listed},
        "containers": containers,
    }
