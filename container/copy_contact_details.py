# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry point of the container image: runs the module user_contact_details_migration with options from the
environment.

DATABASE_URL, POSTGRES_USER and POSTGRES_PASSWORD are read as settings.env has them. Every option of the module is a
variable of its name in capitals, and CHECK_MODE=true rolls everything back. Exit code 0: copied and verified; 1: not,
with the reason.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.core.progress import Progress
from ansible_collections.openlmis.operations.plugins.module_utils.data.contact_details import argument_spec, migrate

# There is no Docker Engine in here to ask for a project, which is found by its network instead; progress is printed.
LEFT_OUT = ("project_src", "project_name", "compose_files", "release", "progress_file", "expected_seconds")
SETTINGS = ("DATABASE_URL", "POSTGRES_USER", "POSTGRES_PASSWORD")
# Of the result, in this order.
COUNTS = {
    "source": "users in referencedata",
    "inserted": "had no contact details and got them",
    "updated": "had others, which were set back",
    "unchanged": "had them already, and equal",
    "kept": "had others, which were kept",
    "without_email": "have no e-mail address",
}
STOPS = (signal.SIGINT, signal.SIGTERM)
NETWORK = (
    "In this container there is no project_src: docker run --network PROJECT_default finds the project's services"
    " (docker network ls)."
)


def say(text: str) -> None:
    """One line of progress, with the time; in one piece, since what is said on stderr goes to the same terminal."""
    sys.stdout.write("%s %s\n" % (time.strftime("%H:%M:%S"), text))
    sys.stdout.flush()


class Printed(Progress):
    """Progress that is printed at once, each step of the copy on a line."""

    def say(self, what: str | Callable[[], str]) -> None:
        words = what() if callable(what) else what
        say(words[:1].upper() + words[1:] + " ...")


def specification() -> dict[str, Any]:
    """The options that are taken from the environment, as Ansible checks them."""
    options = {name: option for name, option in argument_spec().items() if name not in LEFT_OUT}
    return {**options, "check_mode": {"type": "bool", "default": False}}


def options_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """The module's options, checked and converted; an empty variable counts as none. Raises OperationError."""
    specs = specification()
    given = {name: environment[name.upper()] for name in specs if environment.get(name.upper())}
    checked = ArgumentSpecValidator(specs).validate(given)
    if checked.error_messages:
        raise OperationError(
            "The environment does not fit: %s. Expected options of the module by their names in capitals: correct the"
            " variable." % "; ".join(checked.error_messages)
        )
    shown = sorted(
        "%s=%s" % (name, given[name])
        for name in given
        if not specs[name].get("no_log") and specs[name]["type"] != "dict"
    )
    if shown:
        say("Options of the environment: %s" % ", ".join(shown))
    return {**dict.fromkeys(LEFT_OUT), **checked.validated_parameters}


def read_differently(environment: Mapping[str, str]) -> list[str]:
    """Settings that `docker run --env-file` passes on as they are written, and Compose v2 gives to the services as
    something else.
    """
    values = {name: environment.get(name, "") for name in SETTINGS}
    quoted = [name for name, value in values.items() if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"]
    expanded = [name for name, value in values.items() if "$" in value and name not in quoted]
    return [
        "%s is in quotes, and docker run --env-file leaves them there, where Compose v2 removes them." % name
        for name in quoted
    ] + [
        "%s holds a $, which docker run --env-file leaves as it is, where Compose v2 expands it." % name
        for name in expanded
    ]


def run(environment: Mapping[str, str]) -> None:
    """Copy, and say so. Raises OperationError."""
    options = options_of(environment)
    check_mode = options.pop("check_mode")
    for warning in read_differently(environment):
        say("Warning: %s" % warning)
    say(
        "Connecting to the database%s ..."
        % (" (check mode: all of it is rolled back in the end)" if check_mode else "")
    )
    result = migrate(options, check_mode, False, lambda warning: say("Warning: %s" % warning), Printed())
    for name, meaning in COUNTS.items():
        print("%17s %7d   %s" % (name, result[name], meaning))
    for user in result["kept_users"]:
        print("%17s %s" % ("kept", user))
    say(result["msg"])
    say(
        "%s in %.1f s, PostgreSQL %s."
        % ("Verified and rolled back" if check_mode else "Verified", result["duration"], result["server_version"])
    )


def end_when_told() -> None:
    """End the process at a signal, and the transaction with it; a handler would run only after the statement that is
    under way.
    """
    number = signal.sigwait(STOPS)
    print(
        "STOPPED: either everything or nothing was written; running it again finds out, and completes it.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(128 + number)


def main() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    threading.Thread(target=end_when_told, daemon=True).start()
    try:
        run(os.environ)
    except OperationError as error:
        sys.stdout.flush()
        print("FAILED: %s" % error, file=sys.stderr)
        if "does not resolve" in str(error):
            print(NETWORK, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
