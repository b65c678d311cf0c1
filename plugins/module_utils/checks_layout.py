# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traps in how a site writes its deployment down: pure functions from facts (C(outlook.look)) to findings."""

from __future__ import annotations

import os

from ansible_collections.openlmis.operations.plugins.module_utils.finding import (
    OK,
    REFUSED,
    WARNING,
    Facts,
    Finding,
    listed,
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
    """After the edits Compose renders the release, safely, on the same database."""
    after, strangers = facts["outlook"]["after"], facts["outlook"]["strangers"]
    if strangers:
        return Finding(
            "change of versions",
            REFUSED,
            f"openlmis_images names {listed(strangers)}, which is no component by its image or name, so that nothing would be changed in it",
            f"services that are components: {', '.join(facts['outlook']['components'])}",
            f"Say what it is: openlmis_components: {{{strangers[0]}: <component>}}.",
        )
    wrong = list(after["left"]) + [f"{one} would still run" for one in after["other"]]
    if wrong:
        return Finding(
            "change of versions",
            REFUSED,
            f"after the change of the files there would be left: {'; '.join(wrong)}",
            "files that Compose renders as the new release",
            "The version is set in a way that cannot be edited here (an included file, a variable of the environment). Set it there, or prepare the"
            " files yourself: openlmis_target_files.",
        )
    # Edits do not touch these; prepared files may.
    unsafe = [f"{name} would start without the profile production and DROP its whole schema" for name in after["unprotected"]]
    unsafe += [f"{name} would have another DATABASE_URL, POSTGRES_USER or POSTGRES_PASSWORD" for name in after["other_database"]]
    if unsafe:
        return Finding(
            "change of versions",
            REFUSED,
            f"with the prepared files {'; '.join(unsafe)}",
            "the profile production, and the database that is backed up, for every component",
            "Correct the prepared files.",
        )
    return Finding("change of versions", OK, f"{after['changes']} changes lead to the release" if after["changes"] else "the files are at the release")
