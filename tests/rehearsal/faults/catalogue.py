# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong: each fault with the moment at which it strikes, and what a human fixes before going on."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from stack import deployment, images
from stack.images import DATA
from stack.outside import open_gate
from stack.releases import LABEL
from stack.saved import VOLUME, database_volume

from . import ssh
from .playbook import Moment, Playbook
from .scene import Action, Fault, Scene, Strike

# After how many seconds the work of a step is struck: when it is at it, so early that a short one has not ended
# (a step of LOCKED waits for its table).
WORK = {
    "pull": 0.05,
    "maintenance_on": 0.05,
    "stop": 0.4,
    "set_versions": 0.05,
    "start": 0.8,
    "wait": 0.8,
    "maintenance_off": 0.05,
}
# In their order; the playbook starts and waits twice.
STEPS = [("pull", 1), ("maintenance_on", 1), ("stop", 1), ("backup", 1), ("set_versions", 1), ("start", 1), ("wait", 1)]
STEPS += [("migrate_contact_details", 1), ("start", 2), ("wait", 2), ("smoke_test", 1), ("maintenance_off", 1)]


def during(step: str, nth: int = 1) -> Moment:
    """While the work of a step is done."""
    return Moment(step, WORK[step], nth)


# -- killing -------------------------------------------------------------------------------------------------------


def kill_playbook(_scene: Scene, run: Playbook) -> None:
    """The controller dies; what runs on the host goes on."""
    run.kill()


def kill_remote(_scene: Scene, run: Playbook) -> None:
    """The process on the host dies; the playbook sees it."""
    run.kill_remote()


def while_locked(table: str, strike: Strike) -> Strike:
    """Strike while the step's work waits for a table, so that it is certainly under way."""

    def struck(scene: Scene, run: Playbook) -> None:
        connection = scene.server.connect()
        # Until it begins the step looks at the server, also at this table.
        run.begin()
        connection.cursor().execute("lock table %s in access exclusive mode" % table)
        scene.kept["lock"] = connection
        scene.undo.append(connection.close)
        run.until(lambda: bool(waiting_for(scene, table)), "waited for the table " + table)
        strike(scene, run)

    return struck


def as_soon_as(condition: Callable[[Scene], bool], what: str, strike: Strike) -> Strike:
    """Strike when the step's work has come so far."""

    def struck(scene: Scene, run: Playbook) -> None:
        run.until(lambda: condition(scene), what)
        strike(scene, run)

    return struck


def waiting_for(scene: Scene, table: str) -> list[tuple[int, ...]]:
    """The sessions that wait for a table."""
    return scene.server.query("select pid from pg_locks where not granted and relation = %s::regclass", (table,))


def unlock(scene: Scene) -> None:
    """The session that held the table ends."""
    scene.kept.pop("lock").close()


DUMPED = "requisition.status_changes"
COPIED = "notification.user_contact_details"
# What these steps cannot end without; on a fast machine a mere delay comes too late.
LOCKED = {
    "backup": DUMPED,
    "wait": "notification.schema_version",
    "migrate_contact_details": COPIED,
    "smoke_test": COPIED,
}


def kills() -> Iterator[Fault]:
    """Playbook and remote process, before and during every step."""
    for step, nth in STEPS:
        label = step + (" again" if nth > 1 else "")
        for who, strike in (("playbook", kill_playbook), ("remote", kill_remote)):
            yield Fault("kill %s before %s" % (who, label), Moment(step, nth=nth), strike)
            if step in LOCKED:
                struck = while_locked(LOCKED[step], strike)
                yield Fault("kill %s during %s" % (who, label), Moment(step, nth=nth), struck, fix=unlock)
            else:
                yield Fault("kill %s during %s" % (who, label), during(step, nth), strike)


# -- daemon, containers, memory ------------------------------------------------------------------------------------


def restart_daemon(scene: Scene, _run: Playbook) -> None:
    """As an update of the package does: every container ends."""
    scene.daemon.restart()


def stop_daemon(scene: Scene, _run: Playbook) -> None:
    """The daemon dies, and nobody starts it."""
    scene.daemon.stop()


def start_daemon(scene: Scene) -> None:
    """The human starts it."""
    scene.daemon.start()


def reboot(scene: Scene, run: Playbook) -> None:
    """Everything of the run dies, the daemon starts anew, netfilter is empty."""
    run.kill_everything()
    scene.daemon.stop()
    open_gate()
    scene.daemon.start()


def kill_database(scene: Scene, _run: Playbook) -> None:
    """The database's container dies."""
    scene.server.container("db").kill()


def migrates(scene: Scene) -> bool:
    """Whether a component of the release runs."""
    return any("notification" in one.name and one.status == "running" for one in scene.server.containers())


def wait_for_database(scene: Scene) -> None:
    """A database that was started needs a moment."""
    deployment.wait_until("the database", lambda: deployment.database_answers(scene.server), 60)


def start_database(scene: Scene) -> None:
    """The human starts the database."""
    scene.server.compose("start", "db")
    wait_for_database(scene)


def remove_database(scene: Scene, run: Playbook) -> None:
    """Somebody removes the database's container; the volume stays behind, with nobody who uses it."""
    scene.kept["volume"] = database_volume(scene.server)
    run.kill_everything()
    scene.server.container("db").remove(force=True)
    volume = scene.server.engine.volumes.get(scene.kept["volume"])
    scene.undo.append(lambda: discard(scene, volume))


def discard(scene: Scene, volume: Any) -> None:
    """Remove the containers of the database that use the volume, and the volume."""
    for container in scene.server.engine.containers.list(all=True, filters={"volume": volume.name}):
        container.remove(v=True, force=True)
    volume.remove(force=True)


def compose_down(scene: Scene, run: Playbook) -> None:
    """Somebody takes the whole server down, as the published procedure has it; the database's volume has no container
    any more.
    """
    volume = scene.server.engine.volumes.get(database_volume(scene.server))
    run.kill_everything()
    scene.server.compose("down")
    scene.undo.append(lambda: discard(scene, volume))


def attach_volume(scene: Scene) -> None:
    """The human gives the database its volume back, by a Compose file of his own."""
    text = "volumes: {found: {external: true, name: %s}}\nservices: {db: {volumes: ['found:%s']}}\n"
    (scene.server.project_src / "docker-compose.override.yml").write_text(text % (scene.kept["volume"], DATA))
    scene.server.compose("up", "--detach", "--no-deps", "db")
    wait_for_database(scene)


def starve_database(scene: Scene, _run: Playbook) -> None:
    """A report eats the memory that the database's container may use; the kernel kills it, and with it
    every session.
    """
    container = scene.server.container("db")
    limit_memory(container, "200m")
    report = "select length(string_agg(repeat('x', 1000), '')) from generate_series(1, 900000)"
    container.exec_run(["psql", "--username=postgres", "--dbname=open_lmis", "--command", report])


def feed_database(scene: Scene) -> None:
    """The human gives the container its memory back."""
    # "No limit" cannot be said of a running container.
    limit_memory(scene.server.container("db"), "100g")
    wait_for_database(scene)


def limit_memory(container: Any, limit: str) -> None:
    """Limit what a running container may use."""
    command = ["docker", "update", "--memory", limit, "--memory-swap", limit, container.name]
    subprocess.run(command, check=True, capture_output=True)


def both(*actions: Action) -> Action:
    """One action after another."""

    def act(scene: Scene) -> None:
        for action in actions:
            action(scene)

    return act


DUMP = Moment("backup")
ASIDE = "openlmis-rehearsal-aside:latest"
NEEDS_MEMORY = "  notification:\n"
TOO_LITTLE = NEEDS_MEMORY + "    mem_limit: 6m\n"


def happenings() -> Iterator[Fault]:
    """What daemon, containers and memory do."""
    during_dump = while_locked(DUMPED, restart_daemon)
    # The lock is gone with the session that held it.
    yield Fault("docker daemon restarted during the dump", DUMP, during_dump)
    yield Fault("docker daemon restarted during the wait", during("wait"), restart_daemon)
    yield Fault("docker daemon dead during the start", during("start"), stop_daemon, fix=start_daemon)
    yield Fault("reboot during the dump", DUMP, while_locked(DUMPED, reboot))
    yield Fault("reboot during the wait", during("wait"), reboot)
    yield Fault("reboot before the second start", Moment("start", nth=2), reboot)
    during_dump = while_locked(DUMPED, kill_database)
    yield Fault("database container killed during the dump", DUMP, during_dump, fix=start_database)
    booting = as_soon_as(migrates, "started the components", kill_database)
    yield Fault("database container killed during the start", during("start"), booting, fix=start_database)
    during_copy = while_locked(COPIED, kill_database)
    copying = Moment("migrate_contact_details")
    yield Fault("database container killed during the copy", copying, during_copy, fix=start_database)
    yield Fault(
        "database container removed before the wait",
        Moment("wait"),
        remove_database,
        correct=attach_volume,
        differs=("files docker-compose.override.yml",),
    )
    for when, moment in (
        ("after the backup", Moment("set_versions")),
        ("before the copy", Moment("migrate_contact_details")),
    ):
        yield Fault("compose down by hand " + when, moment, compose_down)
    starved = while_locked(DUMPED, starve_database)
    yield Fault("database out of memory during the dump", DUMP, starved, fix=feed_database)
    yield Fault(
        "component out of memory",
        Moment("start"),
        edit("docker-compose.yml", NEEDS_MEMORY, TOO_LITTLE),
        correct=edited("docker-compose.yml", TOO_LITTLE, NEEDS_MEMORY),
    )


# -- disks ---------------------------------------------------------------------------------------------------------


def on_small_disk(*folders: str) -> Action:
    """Put folders of the server on a file system of their own, small enough to be filled."""

    def prepare(scene: Scene) -> None:
        for name in folders:
            folder = scene.server.root / name
            aside = scene.server.root / (name + ".aside")
            shutil.rmtree(aside, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            shutil.copytree(folder, aside, symlinks=True)
            mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "openlmis-rehearsal", str(folder)]
            subprocess.run(mount, check=True, capture_output=True)
            scene.undo.append(lambda folder=folder: subprocess.run(["umount", "--lazy", str(folder)], check=True))
            shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(aside)

    return prepare


def fill(name: str) -> Strike:
    """Something fills the disk that a folder is on."""

    def strike(scene: Scene, _run: Playbook) -> None:
        with contextlib.suppress(OSError), open(scene.server.root / name / ".filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 12))

    return strike


def make_room(name: str) -> Action:
    """The human makes room."""
    return lambda scene: (scene.server.root / name / ".filler").unlink()


def activity_noted(scene: Scene) -> bool:
    """Whether all that a rollback has to know is on the disk."""
    return any(scene.server.state_dir.glob("activity-*.json"))


def full_disks() -> Iterator[Fault]:
    """A disk that fills up at the worst moment."""
    for name, moment, what, strike in (
        ("backup", DUMP, "during the dump", fill("backup")),
        ("server", Moment("set_versions"), "during the version change", fill("server")),
        ("state", Moment("stop"), "when the journal is written", fill("state")),
        ("state", Moment("backup", 0), "when the backup is noted", fill("state")),
        (
            "state",
            Moment("maintenance_off", 0),
            "at the very end",
            as_soon_as(activity_noted, "noted the activity", fill("state")),
        ),
    ):
        yield Fault("disk full " + what, moment, strike, prepare=on_small_disk(name), fix=make_room(name))


# -- components ----------------------------------------------------------------------------------------------------


def arm(component: str, version: str, fault: str) -> Action:
    """The next container of a component's version has a fault; the names of images are put back with the server."""
    return lambda scene: images.arm(component, version, fault)


def disarm(component: str, version: str) -> Action:
    """The human has got an image that works."""
    return lambda scene: scene.saved.restore_names(keep_ours=True)


def disarm_all() -> None:
    """What a campaign that was cut off has left armed."""
    for image in images.client().images.list(filters={"label": LABEL}):
        told = dict(entry.split("=", 1) for entry in image.attrs["Config"]["Env"] or [])
        component, version = told.get("OPENLMIS_COMPONENT"), told.get("OPENLMIS_VERSION")
        if told.get("REHEARSAL_FAULT") and "openlmis/%s:%s" % (component, version) in image.tags:
            images.arm(component, version, "")


def restart_always(scene: Scene) -> None:
    """The site has its components restarted; so they run already."""
    replace(scene, "docker-compose.yml", NEEDS_MEMORY, NEEDS_MEMORY + "    restart: always\n")
    scene.server.compose("up", "--detach", "--no-deps", "notification")
    scene.wait_for_components()


def broken_components() -> Iterator[Fault]:
    """Components of the new release that do not come up."""
    notification = ("notification", "4.0.0")
    for name, component, fault in (
        ("component crashes", notification, "crash"),
        ("component never registers", notification, "never-register"),
        ("migration fails: referencedata", ("referencedata", "11.0.0"), "crash-in-migration"),
        ("migration fails: auth", ("auth", "4.0.0"), "crash-in-migration"),
        ("user interface without network", ("reference-ui", "5.1.0"), "no-network"),
    ):
        yield Fault(
            name,
            prepare=arm(*component, fault),
            correct=disarm(*component),
            arguments=("-e", "openlmis_wait_timeout=25"),
        )
    yield Fault(
        "component loops",
        prepare=both(restart_always, arm(*notification, "crash")),
        correct=disarm(*notification),
        differs=("files docker-compose.yml", "images notification"),
    )
    yield Fault(
        "component starts slowly", prepare=arm(*notification, "slow"), survived=True, differs=("images notification",)
    )
    yield Fault(
        "component starts too slowly",
        prepare=arm(*notification, "slow"),
        arguments=("-e", "openlmis_wait_timeout=3"),
        differs=("images notification",),
    )
    yield Fault("image missing", prepare=untag("openlmis/notification:4.0.0"), correct=give_images)
    gone = Moment("set_versions")
    yield Fault("image removed after the pull", gone, then(untag("openlmis/notification:4.0.0")), correct=give_images)


def untag(name: str) -> Action:
    """An image is not on the host under its name, and no registry has it."""

    def take(scene: Scene) -> None:
        # Without any name it would be deleted, and the human could not bring it.
        images.client().images.get(name).tag(ASIDE)
        images.client().images.remove(name, force=True)
        scene.undo.append(bring_back)

    def bring_back() -> None:
        images.client().images.get(ASIDE).tag(*name.rsplit(":", 1))
        images.client().images.remove(ASIDE)

    return take


def give_images(scene: Scene) -> None:
    """The human brings the images."""
    scene.saved.restore_names(keep_ours=True)


# -- people --------------------------------------------------------------------------------------------------------


def then(action: Action) -> Strike:
    """Do something while the playbook is held."""
    return lambda scene, run: action(scene)


def replace(scene: Scene, name: str, old: str, new: str) -> None:
    """Edit a deployed file."""
    path = scene.server.project_src / name
    text = path.read_text()
    if old not in text:
        raise ValueError("%s does not hold %r" % (name, old))
    path.write_text(text.replace(old, new))


def edit(name: str, old: str, new: str) -> Strike:
    """Somebody edits a deployed file while the playbook runs."""
    return lambda scene, run: replace(scene, name, old, new)


def edited(name: str, old: str, new: str) -> Action:
    """The human edits a deployed file."""
    return lambda scene: replace(scene, name, old, new)


def lose_connection(scene: Scene, run: Playbook) -> None:
    """The network between controller and host is gone."""
    run.begin()
    time.sleep(WORK[run.moment.step])
    scene.kept["sshd"].cut()


def over_ssh(scene: Scene) -> None:
    """The host is reached over SSH."""
    scene.kept["sshd"] = ssh.Daemon(scene.server.root / "ssh")
    scene.undo.append(scene.kept["sshd"].stop)


def journal(scene: Scene) -> pathlib.Path:
    """The run's journal."""
    return scene.server.state_dir / "journal.json"


def of_another_run(scene: Scene) -> None:
    """The journal is another server's."""
    content = json.loads(journal(scene).read_text())
    content["run_id"] = "20200101T000000Z"
    content["run"]["database"] = {**content["run"]["database"], "system_identifier": "1", "oid": 1}
    journal(scene).write_text(json.dumps(content))


def other_hands(scene: Scene) -> None:
    """The run was begun on another controller, which nobody can ask any more."""
    content = json.loads(journal(scene).read_text())
    content["holder"] = {"host": "another-controller", "user": "operator", "pid": 4711, "started": None}
    journal(scene).write_text(json.dumps(content))


def lose_backup(scene: Scene) -> None:
    """Somebody clears the backups away; there is a copy elsewhere."""
    shutil.move(scene.server.backup_dir, scene.server.root / "elsewhere")
    scene.undo.append(lambda: shutil.rmtree(scene.server.root / "elsewhere", ignore_errors=True))


def fetch_backup(scene: Scene) -> None:
    """The human brings the copy of the backup."""
    shutil.rmtree(scene.server.backup_dir, ignore_errors=True)
    shutil.move(scene.server.root / "elsewhere", scene.server.backup_dir)


def git_checkout(scene: Scene) -> None:
    """The next deployment, or git, puts the old versions back."""
    shutil.copy(scene.saved.copy / "server" / ".env", scene.server.project_src / ".env")


def killed_and(strike: Strike) -> Strike:
    """The playbook dies, and something else happens before anybody goes on."""

    def struck(scene: Scene, run: Playbook) -> None:
        run.kill_everything()
        strike(scene, run)

    return struck


def remove_journal(scene: Scene) -> None:
    """Somebody clears the state away."""
    shutil.rmtree(scene.server.state_dir)


def truncate_journal(scene: Scene) -> None:
    """The file system lost the end of the journal in a crash."""
    os.truncate(journal(scene), journal(scene).stat().st_size // 2)


def snapshot_back(scene: Scene) -> None:
    """Somebody puts the database's disk back from before the upgrade: the journal says more than is true."""
    scene.server.compose("stop")
    scene.saved.copy_volume(VOLUME, database_volume(scene.server))
    start_database(scene)


def and_reboot(strike: Strike) -> Strike:
    """Everything of the run dies, something happens to its files, and the machine comes up again: no firewall, no
    container runs.
    """

    def struck(scene: Scene, run: Playbook) -> None:
        reboot(scene, run)
        strike(scene, run)

    return struck


def lost_journals() -> Iterator[Fault]:
    """The journal is damaged, gone, or another run's, at every stage of a run."""
    stages = {
        "during the stop": during("stop"),
        "before the backup": Moment("backup"),
        "after the backup": Moment("set_versions"),
        "before the wait": Moment("wait"),
        "after the copy": Moment("smoke_test"),
    }
    for when, moment in stages.items():
        yield Fault("journal deleted " + when, moment, killed_and(then(remove_journal)))
    for when in ("after the backup", "before the wait"):
        yield Fault("journal truncated " + when, stages[when], killed_and(then(truncate_journal)))
    for when in ("before the backup", "after the backup", "before the wait"):
        yield Fault("journal of another run " + when, stages[when], killed_and(then(of_another_run)))
    for when in ("after the backup", "before the wait"):
        yield Fault("journal truncated by a reboot " + when, stages[when], and_reboot(then(truncate_journal)))
    yield Fault(
        "journal and backup deleted before the wait",
        stages["before the wait"],
        killed_and(then(both(remove_journal, remove_backups))),
        go_on_with=("-e", "openlmis_without_way_back=true"),
        no_way_back=True,
    )
    yield Fault(
        "journal deleted and compose file broken by hand",
        stages["before the wait"],
        killed_and(then(both(remove_journal, break_compose_file))),
        correct=edited("docker-compose.yml", TAB, ""),
    )


def remove_backups(scene: Scene) -> None:
    """Somebody clears the backups away."""
    shutil.rmtree(scene.server.backup_dir, ignore_errors=True)


TAB = "\tbroken\n"


def break_compose_file(scene: Scene) -> None:
    """Somebody's editor has put a tab into the Compose file."""
    replace(scene, "docker-compose.yml", "services:\n", "services:\n" + TAB)


def mistakes() -> Iterator[Fault]:
    """What people do, before a run and in between."""
    waiting, dumped = Moment("wait"), Moment("set_versions")
    yield Fault("wrong admin password", arguments=("-e", "openlmis_admin_password=wrong"))
    # Whatever the step has added at that place by then, the line with the tab is taken out again.
    yield Fault(
        "compose file broken by hand",
        dumped,
        edit("docker-compose.yml", "services:\n", "services:\n" + TAB),
        correct=edited("docker-compose.yml", TAB, ""),
    )
    changed = edit("docker-compose.yml", "-Xmx512m", "-Xmx600m")
    yield Fault(
        "compose file edited by hand in between",
        Moment("start"),
        killed_and(changed),
        differs=("files docker-compose.yml",),
    )
    yield Fault("versions put back by git before the wait", waiting, killed_and(then(git_checkout)))
    yield Fault("versions put back by git after the copy", Moment("smoke_test"), killed_and(then(git_checkout)))
    copying = Moment("migrate_contact_details")
    yield Fault("database put back from a snapshot before the copy", copying, killed_and(then(snapshot_back)))
    yield from lost_journals()
    yield Fault("backup deleted after the backup", dumped, killed_and(then(lose_backup)))
    # The operator says that it shall go on without.
    yield Fault(
        "backup deleted before the wait",
        waiting,
        killed_and(then(lose_backup)),
        go_on_with=("-e", "openlmis_without_way_back=true"),
        no_way_back=True,
    )
    yield Fault("backup deleted and fetched from its copy", waiting, killed_and(then(lose_backup)), fix=fetch_backup)
    taken = ("-e", "openlmis_take_over=true")
    yield Fault(
        "controller lost before the wait",
        waiting,
        killed_and(then(other_hands)),
        go_on_with=taken,
        roll_back_with=taken,
    )
    for step in ("stop", "wait"):
        yield Fault(
            "connection lost during the " + step,
            Moment(step),
            lose_connection,
            prepare=over_ssh,
            arguments=ssh.ARGUMENTS,
        )


def all_faults() -> list[Fault]:
    """Every fault of the campaign."""
    return [*kills(), *happenings(), *full_disks(), *broken_components(), *mistakes()]
