# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traps in what runs and in the host under it: pure functions from facts to findings."""

from __future__ import annotations

from typing import Dict, List

from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import (
    OK,
    REFUSED,
    WARNING,
    Facts,
    Finding,
    listed,
    mib,
)
from ansible_collections.openlmis.operations.plugins.module_utils.docker import engine

# A container that was started again by its policy this often, and came up less than this many seconds ago, is in a
# loop.
LOOP_RESTARTS, LOOP_SECONDS = 2, 600
ELSEWHERE = "not looked at: the Docker Engine is on another host"


def version_tuple(text: str) -> tuple:
    """Return the leading numbers of a version (C(20.10.24+dfsg1) -> (20, 10, 24))."""
    numbers = []
    for part in text.replace("+", ".").replace("-", ".").split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def check_docker(facts: Facts) -> Finding:
    """Docker Engine and Compose are as new as this runbook was tried with."""
    told, minimum = facts["docker"], (engine.MINIMUM_ENGINE, engine.MINIMUM_COMPOSE)
    found = f"Docker Engine {told['engine']}, Compose {told['compose']}"
    if all(
        version_tuple(one) >= version_tuple(wanted) for one, wanted in zip((told["engine"], told["compose"]), minimum)
    ):
        return Finding("docker", OK, found)
    return Finding(
        "docker",
        REFUSED,
        found,
        f"Engine {minimum[0]} and Compose {minimum[1]} or newer",
        f"Update them on a day before the upgrade, and {engine.SIDE_EFFECT}.",
    )


def _begun(facts: Facts) -> bool:
    """Tell whether somebody has begun the upgrade by hand: then not all needs to run before it is
    brought to its end.
    """
    return facts["release"] in (None, facts["release_target"])


def check_containers(facts: Facts) -> Finding:
    """Every component, the UI and the database run steadily before the upgrade begins."""
    needed = {
        name: s for name, s in facts["services"].items() if s["component"] or name == facts["database"].get("service")
    }
    bad = []
    for name, service in sorted(needed.items()):
        up = facts["live"]["seconds_up"].get(name, LOOP_SECONDS)
        if service["status"] != "running":
            bad.append(
                f"{name} is {service['status']}" + (", killed for want of memory" if service["oom_killed"] else "")
            )
        elif service["restart_count"] > LOOP_RESTARTS and up < LOOP_SECONDS:
            bad.append(f"{name} restarts again and again: {service['restart_count']} times, the last {up} s ago")
    if not bad:
        return Finding("containers", OK, f"{len(needed)} components and the database run")
    if _begun(facts):
        return Finding("containers", WARNING, ", ".join(bad), "", "They are started with the release.")
    return Finding(
        "containers",
        REFUSED,
        ", ".join(bad),
        "a healthy server before an upgrade",
        "Start or fix it: `docker compose ps -a` and `docker compose logs` say more.",
    )


def check_answers(facts: Facts) -> Finding:
    """Each component answers with a version, and the UI has its program: C(/) and C(/api/health) say
    nothing of that.
    """
    answers, page = facts["live"]["answers"], facts["live"]["ui_problem"]
    bad = [f"{name}: {one['problem']}" for name, one in sorted(answers.items()) if one["problem"]]
    bad += [page] if page else []
    if not answers:
        return Finding("answers", OK, "not asked: openlmis_base_url is not set")
    if not bad:
        return Finding("answers", OK, f"{len(answers)} components with their versions, and the user interface")
    if _begun(facts):
        return Finding("answers", WARNING, "; ".join(bad), "", "The release is started and tested at the end.")
    return Finding(
        "answers",
        REFUSED,
        "; ".join(bad),
        "every component's version, and an openlmis.js that is not empty",
        "Look at the logs of those services, of nginx and of consul: a healthy server is expected before an upgrade. An"
        " empty openlmis.js means that the user interface found no network when it started; the new one needs it, too.",
    )


def check_registrations(facts: Facts) -> Finding:
    """consul keeps the registration of a container that is gone, and nginx sends requests there."""
    found = facts["live"]["registrations"]
    if found["error"] and found.get("elsewhere"):
        return Finding("registrations", REFUSED, found["error"])
    if found["error"]:
        return Finding("registrations", WARNING, found["error"], "", "consul is made anew with the services.")
    if not found["stale"]:
        return Finding("registrations", OK, "none is stale" if found["asked"] else "no registry runs in this project")
    return Finding(
        "registrations",
        WARNING,
        f"consul has {listed(found['stale'])}, which no running container of that service has registered",
        "",
        "Nothing to do: consul is made anew with the services, and what is stale is taken back.",
    )


def check_made_anew(facts: Facts) -> Finding:
    """What Compose would make anew by itself at the next C(up), among the containers that an upgrade leaves alone."""
    anew, compose = facts["live"]["made_anew"], facts["docker"]["compose"]
    if not anew:
        return Finding("containers made anew", OK, "none but those that the upgrade replaces")
    told = "; ".join(f"{name} (made by Compose {version})" for name, version in sorted(anew.items()))
    return Finding(
        "containers made anew",
        WARNING,
        f"at the first start Compose {compose} makes these anew, since it was another that made them, or their"
        f" configuration has changed: {told}",
        "",
        "Volumes stay, what is written elsewhere in them does not. Nothing to do: the database is started before all"
        " others.",
    )


def check_names(facts: Facts) -> Finding:
    """No container of somebody else has a name that Compose gives to one of this project."""
    taken = facts["live"]["names_taken"]
    if not taken:
        return Finding("container names", OK, "free, or this project's own")
    names = " ".join(told.partition(",")[0] for told in taken.values())
    return Finding(
        "container names",
        REFUSED,
        "; ".join(
            f"{name} would be called as a container that is there: {told}" for name, told in sorted(taken.items())
        ),
        "",
        f"Remove or rename what nobody needs: docker rm {names}; or give these services another container_name.",
    )


def check_copy(facts: Facts) -> Finding:
    """The deployed files can be copied, as the backup does it."""
    problem = facts["live"]["copied"]
    if problem:
        return Finding("copy of the files", REFUSED, problem)
    return Finding(
        "copy of the files",
        OK,
        f"{len(facts['project']['deployed'])} files and folders were copied, and the copy removed",
    )


def check_container_files(facts: Facts) -> Finding:
    """What was written into a container itself, or into an anonymous volume, is not in the container that takes its
    place.
    """
    anew = facts["live"]["made_anew"]
    files: Dict[str, List[str]] = {
        name: paths for name, paths in facts["live"]["container_files"].items() if name not in facts["discard_files"]
    }
    lost = {name: paths for name, paths in files.items() if name in anew}
    if lost:
        return Finding(
            "data in containers",
            REFUSED,
            "; ".join(
                f"{name} holds {listed(paths)} in the container itself, which is made anew"
                for name, paths in sorted(lost.items())
            ),
            "data in volumes",
            "Copy them out with `docker cp` and give the service a volume there; or, when nobody needs them, set"
            f" openlmis_discard_container_files: [{', '.join([*facts['discard_files'], *sorted(lost)])}].",
        )
    volumes = facts["live"]["volume_files"]
    told = [f"{name} holds {listed(paths)} in the container itself" for name, paths in sorted(files.items())]
    told += [
        f"{name} holds files in the anonymous volume {volume[:12]}"
        for name, volume in sorted(volumes.items())
        if name not in facts["discard_files"]
    ]
    if told:
        return Finding(
            "data in containers",
            WARNING,
            "; ".join(told),
            "",
            "These containers are replaced: copy out with `docker cp` what somebody needs. An anonymous volume stays,"
            " but the new container has another one.",
        )
    return Finding("data in containers", OK, "none in what is replaced")


def check_memory(facts: Facts) -> Finding:
    """The new release's components fit into memory beside everything else."""
    memory = facts["live"]["memory"]
    if memory is None:
        return Finding("memory", OK, ELSEWHERE)
    room = memory["available"] + memory["held"]
    found = f"{mib(room)} for {memory['jvms']} components that may take {mib(memory['wanted'])}"
    if room >= memory["wanted"]:
        return Finding("memory", OK, found)
    return Finding(
        "memory",
        WARNING,
        found,
        "",
        "Migrations need memory, and the kernel ends what asks for too much: stop what else runs here, or add swap,"
        " before the window.",
    )


def check_room(facts: Facts) -> Finding:
    """Each file system has room for all that may be written to it."""
    bad, fine = [], []
    for place in facts["live"]["room"]:
        needs = " and ".join(f"{what} ({mib(size)})" for what, size in place["needs"])
        told = f"{mib(place['free'])} free at {place['path']} for {needs}"
        (fine if place["free"] > sum(size for _what, size in place["needs"]) else bad).append(told)
    if not bad:
        return Finding("room", OK, "; ".join(fine) or ELSEWHERE)
    return Finding(
        "room",
        REFUSED,
        "; ".join(bad),
        "room for all of it at once, since how far a dump shrinks is not known before",
        "Make room (`docker image prune` for images that no container uses), or set openlmis_backup_dir to another"
        " disk.",
    )


def check_dump(facts: Facts) -> Finding:
    """A pg_dump that is as new as the server is there: an older one refuses."""
    problem, found = facts["live"]["dump"]["problem"], facts["live"]["dump"]["found"]
    return Finding("pg_dump", REFUSED, problem) if problem else Finding("pg_dump", OK, found)


def check_login(facts: Facts) -> Finding:
    """The administrator's login works and may see other users, so that the smoke test will."""
    login = facts["live"]["login"]
    if not login["problem"]:
        return Finding("login", OK, f"{login['username']} logs in at {facts['base_url']} and may see users")
    return Finding(
        "login",
        REFUSED,
        f"{login['username']} {login['problem']}" if login["username"] else login["problem"],
        "the administrator's login that the smoke test after the upgrade needs, with the right USERS_MANAGE",
        "Set or correct openlmis_base_url, openlmis_admin_username, openlmis_admin_password, openlmis_client_id and"
        " openlmis_client_secret.",
    )
