# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive the rehearsal server: a throw-away OpenLMIS on this machine's Docker Engine."""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

import docker.errors
from stack import deployment, images, people, world
from stack.images import RehearsalError
from stack.releases import DEFAULT_ROOT, START_RELEASES, flyway_versions
from stack.world import Server


def show(server: Server) -> None:
    """Print the server as a person wants to see it, before and after an upgrade."""
    versions = server.versions()
    components = flyway_versions()
    print("OpenLMIS rehearsal server at %s" % server.base_url)
    print("  %-17s %-15s %-18s %s" % ("component", "answers", "newest migration", "applied"))
    for name, version in versions.items():
        applied = server.migrations(components[name]["schema"]) if name in components else []
        newest = max(applied, key=int) if applied else "-"
        print("  %-17s %-15s %-18s %s" % (name, version or "no answer", newest, len(applied) or "-"))
    users = server.users()
    print("  users: %d" % len(users))
    if server.has_table("notification.user_contact_details"):
        have = server.contact_details()
        there = sum(1 for user in users if user["id"] in have)
        print("  with contact details in the notification service: %d, without: %d" % (there, len(users) - there))
    else:
        print("  contact details: in referencedata (the notification service has no place for them before 3.4)")


def command_up(options: argparse.Namespace) -> None:
    """Build what is missing, start a fresh server, fill it, show it."""
    with deployment.only_one():
        began = time.monotonic()
        server = deployment.up(
            options.release, options.dir, users=options.users, seed=options.seed, phone_column=options.phone_column
        )
    show(server)
    print("  login:           %s / %s" % world.ADMIN)
    print("  ordinary login:  %s / %s" % (people.ORDINARY_USER, world.ADMIN[1]))
    print("  deployment:      %s" % server.project_src)
    print("  inventory:       %s" % server.inventory)
    print("Ready after %.0f seconds." % (time.monotonic() - began))


def command_status(options: argparse.Namespace) -> None:
    """Show the server that is there."""
    if not world.exists(options.dir):
        raise RehearsalError("There is no rehearsal server under %s; start one with `make rehearsal`." % options.dir)
    show(Server(options.dir))


def command_down(options: argparse.Namespace) -> None:
    """Remove every trace."""
    with deployment.only_one():
        deployment.down(options.dir, with_images=options.images)


def command_images(options: argparse.Namespace) -> None:
    """Build what is missing."""
    with deployment.only_one():
        deployment.ensure_images()
    print("All images are here.")


def command_arm(options: argparse.Namespace) -> None:
    """Give a component version a fault from its next container on."""
    images.arm(options.component, options.version, "" if options.fault == "none" else options.fault)
    print("%s %s: %s" % (options.component, options.version, options.fault))


def main() -> int:
    """Read the command line, run one command, turn the one exception type into one sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dir",
        type=lambda text: pathlib.Path(text).resolve(),
        default=DEFAULT_ROOT,
        help="folder of the server: its deployment is DIR/server, its inventory DIR/inventory.yml (%(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("up", help="start a fresh server, filled with users and other data")
    one.add_argument("--from", dest="release", choices=START_RELEASES, default=START_RELEASES[-1])
    one.add_argument("--users", type=int, default=people.DEFAULT_USERS, help="how many users (%(default)s)")
    one.add_argument("--seed", type=int, default=34, help="another seed, other people (%(default)s)")
    one.add_argument(
        "--phone-column",
        action="store_true",
        help="a site that once ran a pre-release of referencedata 11: phone numbers lie in their own column already",
    )
    one.set_defaults(run=command_up)
    one = commands.add_parser("status", help="show components, migrations, users")
    one.set_defaults(run=command_status)
    one = commands.add_parser("down", help="remove every trace: containers, volumes, networks, images, the folder")
    one.add_argument("--images", action=argparse.BooleanOptionalAction, default=True, help="images too (the default)")
    one.set_defaults(run=command_down)
    one = commands.add_parser("images", help="build the images that are missing")
    one.set_defaults(run=command_images)
    one = commands.add_parser("arm", help="arm a fault in a component version, or `none`")
    one.add_argument("component")
    one.add_argument("version")
    one.add_argument("fault", choices=["none", "crash", "crash-in-migration", "slow", "never-register", "no-network"])
    one.set_defaults(run=command_arm)
    for sub in commands.choices.values():
        # So that the option may stand after the command too.
        sub.add_argument("--dir", type=lambda text: pathlib.Path(text).resolve(), default=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        options.run(options)
    except RehearsalError as error:
        print("rehearsal: %s" % error, file=sys.stderr)
        return 1
    except docker.errors.DockerException as error:
        print("rehearsal: the Docker Engine refused a request: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
