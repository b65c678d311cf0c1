# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traps in how a site writes its deployment down: pure functions from facts (C(outlook.look)) to findings."""

from __future__ import annotations

import os
from typing import Mapping, Optional

from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import (
    OK,
    REFUSED,
    WARNING,
    Facts,
    Finding,
    listed,
    pasted,
)


def check_compose_files(facts: Facts) -> Finding:
    """The Compose files of this run are those that the running containers were started with."""
    facts = facts["outlook"]
    used, started = ([os.path.realpath(path) for path in facts[key]] for key in ("files", "started_with"))
    names = ", ".join(os.path.basename(path) for path in facts["files"])
    if not started or started == used:
        return Finding("compose files", OK, names)
    found = f"this run would use {', '.join(used)}; the newest container was started with {', '.join(started)}"
    if facts["files_chosen"]:
        return Finding("compose files", WARNING, found, "", "The run goes by openlmis_compose_files.")
    return Finding(
        "compose files",
        REFUSED,
        found,
        "the files that the server really runs by",
        f"Name those that count: openlmis_compose_files: [{', '.join(facts['started_with'])}].",
    )


def check_project_name(facts: Facts) -> Finding:
    """Compose by itself would find the running project."""
    project, called = facts["outlook"]["project"], facts["outlook"]["called"]
    if called == project:
        return Finding("project name", OK, project)
    instead = f"would make a second, empty server called {called}" if called else "refuses the name that is set for it"
    return Finding(
        "project name",
        WARNING,
        f"the containers belong to the project {project}, but `docker compose` by itself {instead}",
        "",
        f"This run uses {project}. For all later commands put COMPOSE_PROJECT_NAME={project} into .env.",
    )


def check_change(facts: Facts) -> Finding:
    """After the edits Compose renders the release, safely, on the same database, and nothing else is another than
    before.
    """
    outlook = facts["outlook"]
    after, strangers = outlook["after"], outlook["strangers"]
    if strangers:
        return Finding(
            "change of versions",
            REFUSED,
            f"openlmis_images names {listed(strangers)}, which is no component by its image or name, so that nothing"
            " would be changed in it",
            f"services that are components: {', '.join(outlook['components'])}",
            "Say what it is: openlmis_components:"
            f" {pasted({**facts['named'], **dict.fromkeys(strangers, '<component>')})}.",
        )
    wrong = list(after["left"]) + [f"{one} would still run" for one in after["other"]]
    if wrong:
        return Finding(
            "change of versions",
            REFUSED,
            f"after the change of the files there would be left: {'; '.join(wrong)}",
            "files that Compose renders as the new release",
            "The version is set in a way that cannot be edited here (an included file, a variable of the environment)."
            " Set it there, or prepare the files yourself: openlmis_target_files.",
        )
    # Edits do not touch these; prepared files may.
    unsafe = [
        f"{name} would start without the profile production and DROP its whole schema" for name in after["unprotected"]
    ]
    unsafe += [
        f"{name} would have another DATABASE_URL, POSTGRES_USER or POSTGRES_PASSWORD"
        for name in after["other_database"]
    ]
    if unsafe:
        return Finding(
            "change of versions",
            REFUSED,
            f"with the prepared files {'; '.join(unsafe)}",
            "the profile production, and the database that is backed up, for every component",
            "Correct the prepared files.",
        )
    return _side_effects(facts) or Finding(
        "change of versions",
        OK,
        f"{after['changes']} changes lead to the release" if after["changes"] else "the files are at the release",
    )


def _side_effects(facts: Facts) -> Optional[Finding]:
    """Return what the change would change besides what the release asks for; None when it is nothing."""
    differences, prepared = facts["outlook"]["after"]["differences"], facts["outlook"]["prepared"]
    database = {facts["database"].get("service"), facts["database"].get("server_service")}
    serious = [one for one in differences if not prepared or one["service"] in database]
    told = "; ".join(map(_difference, serious or differences))
    if not differences:
        return None
    if not serious:
        return Finding(
            "change of versions", WARNING, f"the prepared files change besides: {told}", "", "See that this is meant."
        )
    if prepared:
        return Finding(
            "change of versions",
            REFUSED,
            f"the prepared files change the database's service: {told}",
            "the database as it is",
            "Leave it as it is in them.",
        )
    images = {one["service"]: one["before"] for one in serious if one["place"] == "image"}
    remedy = (
        "Write the image without that variable:"
        f" {'; '.join(f'image: {image} for {name}' for name, image in images.items())}."
        if images
        else ""
    )
    return Finding(
        "change of versions",
        REFUSED,
        f"the change of versions would change more than the release asks for: {told}",
        "",
        remedy
        or "Set these without the variables that hold the versions, or prepare the files yourself:"
        " openlmis_target_files.",
    )


def _difference(one: Mapping[str, str]) -> str:
    if one["place"] != "image":
        return f"{one['service']}: {one['place']}"
    return f"{one['service']} would run {one['after']} and not {one['before']}, as its image is written {one['raw']}"
