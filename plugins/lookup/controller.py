# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: controller
short_description: Tell who runs this playbook, and how to run it again
version_added: "0.1.0"
description:
  - Returns one dictionary about the C(ansible-playbook) process on the controller, for the journal of a run and for the
    messages
    after a failure.
  - Of extra variables only those are shown with their value that the argument specs of the collection's roles have,
    without C(no_log);
    all others are shown with C(...) in its place.
author:
  - OpenLMIS operations contributors (@OpenLMIS)
options:
  _terms:
    description: None are needed.
    type: list
    elements: str
  rehearsal_report:
    description: Path of a rehearsal's report in JSON, absolute or from C(~) on.
    type: str
"""

EXAMPLES = r"""
- name: Say how to go on
  ansible.builtin.debug:
    msg: "{{ lookup('openlmis.operations.controller').commands.resume }}"
"""

RETURN = r"""
_raw:
  description: One dictionary.
  type: list
  elements: dict
  contains:
    holder:
      description: C(host), C(user), C(pid) and C(started) (clock ticks since boot, none where unknown) of this process.
      type: dict
    commands:
      description:
        - C(resume) is the command line of this playbook without what is meant for one time, such as C(--check) and
          C(--tags).
        - C(rollback) is the same for the playbook that goes back, none when this playbook's name does not begin with
          C(upgrade). In a play
          for several servers it is limited to the one that asks.
        - C(upgrade) is the same for the playbook that goes forward, none when this playbook's name does not begin with
          C(rollback).
      type: dict
    rehearsed:
      description:
        - C(seconds) has a list for each step of O(rehearsal_report) with a time, in the order in which it came.
        - C(problem) says what was found instead of such a report, and is empty otherwise.
      type: dict
"""

import functools
import getpass
import glob
import json
import math
import multiprocessing
import os
import re
import shlex
import socket
from typing import Any, Iterable, Mapping

import yaml
from ansible import constants
from ansible.context import CLIARGS
from ansible.parsing.splitter import parse_kv
from ansible.plugins.lookup import LookupBase

ROLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "roles")
HIDDEN = "..."
# Tasks of the window ask for this, each in a process of its own: libyaml is ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# An address with a user's name and password in it.
CREDENTIALS = re.compile(r"://[^/\s]*@")
# Options of ansible-playbook with a value, and those without, that a later run needs as well.
VALUED = {
    "subset": "--limit",
    "remote_user": "--user",
    "connection": "--connection",
    "private_key_file": "--private-key",
    "become_user": "--become-user",
    "ssh_common_args": "--ssh-common-args",
    "ssh_extra_args": "--ssh-extra-args",
}
DEFAULTS = {"connection": constants.DEFAULT_TRANSPORT, "become_user": constants.DEFAULT_BECOME_USER}
REPEATED = {"vault_ids": "--vault-id", "vault_password_files": "--vault-password-file", "module_path": "--module-path"}
FLAGS = {
    "become": "--become",
    "ask_pass": "--ask-pass",
    "become_ask_pass": "--ask-become-pass",
    "ask_vault_pass": "--ask-vault-pass",
}


def started(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None when it is not there or the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def alive(pid: int, begin: int | None) -> bool:
    """Tell whether the process that began then still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return begin is None or started(pid) == begin


def is_gone(holder: Mapping[str, Any]) -> bool:
    """Tell whether who held a run, as this lookup told then, was a process on this controller that runs no more."""
    return bool(holder) and holder.get("host") == socket.gethostname() and not alive(holder["pid"], holder["started"])


@functools.lru_cache(maxsize=None)
def harmless(roles: str = ROLES) -> frozenset[str]:
    """Return the variables whose values may be repeated: an argument spec of a role has them, and none of them says
    C(no_log).
    """
    options = []
    for path in glob.glob(os.path.join(roles, "*", "meta", "argument_specs.yml")):
        with open(path, encoding="utf-8") as stream:
            specs = yaml.load(stream, LOADER)["argument_specs"]
            options += [option for spec in specs.values() for option in (spec.get("options") or {}).items()]
    secret = {name for name, option in options if option.get("no_log")}
    return frozenset(name for name, _option in options) - secret


def shown(name: str, value: Any) -> bool:
    """Tell whether the value of an extra variable may be repeated."""
    return name in harmless() and not CREDENTIALS.search(str(value))


def repeated(text: str) -> list[str]:
    """Return what to give to C(--extra-vars) again for one argument of it, without any value that is not known to be
    harmless.

    A file's name stays. The text is read as Ansible reads it: YAML, of which JSON is a part, or C(name=value).
    """
    if text.startswith("@"):
        return [text]
    if not text.startswith(("{", "[")):
        values = parse_kv(text)
        return [
            " ".join(
                f"{name}={shlex.quote(str(value)) if shown(name, value) else HIDDEN}" for name, value in values.items()
            )
        ]
    try:
        values = yaml.load(text, _Loader)  # a safe loader
    except yaml.YAMLError:
        return [HIDDEN]
    if not isinstance(values, dict):
        return [HIDDEN]
    known = {str(name): value for name, value in values.items() if shown(str(name), value)}
    return ([json.dumps(known)] if known else []) + [f"{name}={HIDDEN}" for name in values if str(name) not in known]


class _Loader(yaml.SafeLoader):
    """A loader that knows no tag: of what is vaulted or marked unsafe the name is shown as well."""


_Loader.add_constructor(None, lambda loader, node: HIDDEN)


def command_line(arguments: Mapping[str, Any], playbook: str, directory: str, inventory: Iterable[str]) -> str:
    """Return the shell command that runs the playbook as these parsed arguments do, from any directory."""
    words = ["ansible-playbook"]
    for source in inventory:
        words += ["--inventory", source]
    words += [
        word
        for name, flag in VALUED.items()
        if arguments.get(name) and arguments[name] != DEFAULTS.get(name)
        for word in (flag, str(arguments[name]))
    ]
    for name, flag in REPEATED.items():
        words += [word for value in arguments.get(name) or () for word in (flag, str(value))]
    words += [flag for name, flag in FLAGS.items() if arguments.get(name)]
    words += [
        word for text in arguments.get("extra_vars") or () for one in repeated(text) for word in ("--extra-vars", one)
    ]
    return f"cd {shlex.quote(directory)} && {shlex.join([*words, playbook])}"


def only_this_server(arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments limited to one server where the play has several: the others may have gone well."""
    if len(variables.get("ansible_play_hosts_all") or ()) > 1:
        return {**arguments, "subset": variables["inventory_hostname"]}
    return arguments


def sibling(playbook: str, way: str, *of: str) -> str | None:
    """Return the playbook of another way beside one of these: C(upgrade-3.4.yml) -> C(rollback-3.4.yml), by file or by
    full name.
    """
    place, name = re.match(r"(.*?)([^/.]*(?:\.\d+)*(?:\.ya?ml)?)$", playbook).groups()
    return next((f"{place}{way}{name[len(one) :]}" for one in of if name.startswith(one)), None)


def is_time(value: Any) -> bool:
    """Tell whether a value read from JSON is a number of seconds that a step can have taken."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def seconds_of(report: Any) -> dict[str, list[float]]:
    """Return how long each step took by a report, every time that it came; nothing for what is no report."""
    steps = report.get("steps") if isinstance(report, dict) else None
    found: dict[str, list[float]] = {}
    for one in steps if isinstance(steps, list) else ():
        if isinstance(one, dict) and isinstance(one.get("step"), str) and is_time(one.get("seconds")):
            found.setdefault(one["step"], []).append(one["seconds"])
    return found


def rehearsed(path: str | None) -> dict[str, Any]:
    """Return the seconds of every step by a rehearsal's report, and what was found where there is none to be had."""
    if not path:
        return {"seconds": {}, "problem": ""}
    path = os.path.expanduser(path)
    if not os.path.isabs(path):
        return {"seconds": {}, "problem": f"{path}, a relative path"}
    try:
        with open(path, encoding="utf-8") as stream:
            seconds = seconds_of(json.load(stream))
    except OSError as error:
        return {"seconds": {}, "problem": f"{path}, which cannot be read ({error.strerror})"}
    except (ValueError, RecursionError):
        return {"seconds": {}, "problem": f"{path}, which is not JSON"}
    return {"seconds": seconds, "problem": "" if seconds else f"{path}, which has no step with its seconds"}


class LookupModule(LookupBase):
    """The lookup behind the documentation above."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return one dictionary."""
        self.set_options(var_options=variables, direct=kwargs)
        # A task runs in a process of its own; the one that the operator sees is its parent.
        parent = multiprocessing.parent_process()
        pid = parent.pid if parent else os.getpid()
        host = socket.gethostname()
        playbook = (CLIARGS.get("args") or ["playbook.yml"])[0]
        sources = CLIARGS.get("inventory") or ()
        sources = [sources] if isinstance(sources, str) else list(sources)
        default = {str(source) for source in constants.DEFAULT_HOST_LIST}
        sources = [source for source in sources if source not in default]
        # A rehearsal that was cut off in its upgrade goes on with that: it would begin with another copy.
        resume = command_line(CLIARGS, sibling(playbook, "upgrade", "rehearse") or playbook, os.getcwd(), sources)
        rollback, upgrade = (
            sibling(playbook, "rollback", "upgrade", "rehearse"),
            sibling(playbook, "upgrade", "rollback"),
        )
        if rollback:
            rollback = command_line(only_this_server(CLIARGS, variables or {}), rollback, os.getcwd(), sources)
        if upgrade:
            upgrade = command_line(only_this_server(CLIARGS, variables or {}), upgrade, os.getcwd(), sources)
        return [
            {
                "holder": {"host": host, "user": getpass.getuser(), "pid": pid, "started": started(pid)},
                "commands": {"resume": resume, "rollback": rollback, "upgrade": upgrade},
                "rehearsed": rehearsed(self.get_option("rehearsal_report")),
            }
        ]
