# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade one server after the other from 3.3.1, with components that boot as long as real ones do, and count how many
end well.

    boots.py [--number N] [--boot SECONDS]

What goes wrong in a few starts of many is seen by many starts only: a component gets another one's address, a worker of
nginx remembers what has been fixed. Each server is the same one, put back as it was saved. It has auth, referencedata,
notification, requisition, the user interface, nginx, consul and what these need; the components left out would make
each start longer, not different. An upgrade ends well when the playbook succeeds and every contact detail has been
copied. Exits 1 unless all do.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time

from faults.scene import LEFT_OUT, said
from stack import ansible, deployment
from stack.images import RehearsalError
from stack.saved import SavedServer
from stack.world import Server, expected_contact_details


def problem_of(server: Server, boot: float) -> str:
    """Upgrade the server, and say what went wrong; empty when nothing did."""
    with (server.project_src / "settings.env").open("a") as settings:
        settings.write("REHEARSAL_BOOT_SECONDS=%g\n" % boot)
    # The setting recreates every container that has these settings, ftp with its files among them.
    run = ansible.upgrade(server, "-e", '{"openlmis_discard_container_files": ["ftp"]}')
    if run.code:
        return said(run)
    expected = expected_contact_details(server.users())
    wrong = [user for user, contact in server.contact_details().items() if contact != expected.pop(user, None)]
    return "%d contact details differ, %d are missing" % (len(wrong), len(expected)) if wrong or expected else ""


def main() -> int:
    """Upgrade as often as asked for; 1 unless every upgrade ended well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=30, metavar="N", help="how many upgrades (%(default)s)")
    parser.add_argument(
        "--boot", type=float, default=20, metavar="SECONDS", help="how long a component boots (%(default)g)"
    )
    options = parser.parse_args()
    problems = []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boots-")))
        server = stack.enter_context(deployment.running("3.3.1", folder / "rehearsal", users=60, without=LEFT_OUT))
        saved = SavedServer(server)
        for number in range(1, options.number + 1):
            if number > 1:
                saved.restore()
            began = time.monotonic()
            problem = problem_of(server, options.boot)
            print(
                "%d of %d: %s (%.0f s)" % (number, options.number, problem or "ok", time.monotonic() - began),
                flush=True,
            )
            problems += [problem] if problem else []
    print("%d of %d upgrades ended well" % (options.number - len(problems), options.number))
    for problem in sorted(set(problems)):
        print("    %d times: %s" % (problems.count(problem), problem))
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RehearsalError as error:
        print("boots: %s" % error, file=sys.stderr)
        sys.exit(2)
