# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.progress import Progress
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import UPGRADE, Context, Journal

IDENTITY = {"name": "open_lmis", "oid": 16384, "system_identifier": "1", "mounts": {"/data": "abc"}}
HOLDER = {"host": "laptop", "user": "operator", "pid": 7, "started": 70}
RELEASE = {"name": "3.4.0", "upgrades_from": {"3.3.1": {"auth": "3.2.0"}}, "contact_details_owner": "notification"}


class Place:
    """A host as data: its journal is a file, what a look finds is C(facts), and C(world) is what a step works on."""

    def __init__(self, tmp_path):
        self.path, self.world, self.looks = tmp_path / "state" / "journal.json", {"did": []}, []
        self.facts = {
            "project": {"name": "lmis", "src": str(tmp_path), "unreadable": ""},
            "release": "3.3.1",
            "release_target": "3.4.0",
            "database": {"identity": IDENTITY, "error": None, "users": 9},
            "histories": {},
            "services": {},
            "edits": [],
        }
        self.run = {"holder": HOLDER, "commands": {"resume": "go on", "rollback": "go back"}, "take_over": False}
        self.site = {
            "name": "lmis",
            "project_src": str(tmp_path),
            "release": RELEASE,
            "migrations": {},
            "state_dir": str(tmp_path / "state"),
            "backup_dir": str(tmp_path / "backup"),
            "without_way_back": False,
            "backup": "dump",
        }

    def gather(self, _params, wait):
        """Stand in for the look at the server."""
        self.looks.append(wait)
        if isinstance(self.facts, Exception):
            raise self.facts
        return SimpleNamespace(client=None), copy.deepcopy(self.facts)

    def context(self, check_mode=False, **options):
        """Return what a module call of its own begins with."""
        told = {
            "login_password": None,
            "admin_password": None,
            "client_secret": None,
            "phase": UPGRADE,
            "again": False,
            "part": "begin",
        }
        params = {**told, "told": {}, "run": self.run, "site": self.site, **options}
        return Context(SimpleNamespace(params=params, check_mode=check_mode, get_bin_path=str), Progress())

    def do(self, kind, **options):
        """Do a step as a module call does; return its context and what the task file goes by."""
        context = self.context(**options)
        return context, kind(context).run()

    def service(self, name, **facts):
        """Have a service that runs as the release has it."""
        told = {
            "component": name,
            "image": f"openlmis/{name}:4.0.0",
            "status": "running",
            "container": "1",
            "current": True,
            "stale": False,
        }
        told.update(
            stopped_for_upgrade=True,
            uses_database=False,
            one_shot=False,
            started_first=False,
            kind="component",
            mounts={},
        )
        self.facts["services"][name] = {**told, **facts}

    def journal(self, **options):
        """Return the journal as it is in the file."""
        told = {"phase": UPGRADE, "run": self.run, "writes": True, **options}
        return Journal(str(self.path), **told)

    def have_done(self, *names, **data):
        """Have steps done, each with its data, in the run under way or a new one."""
        journal = self.journal()
        for name in names:
            journal.begin(name, {"from": self.facts["release"], "to": "3.4.0", "database": IDENTITY, "users": 9})
            journal.end(name, data.get(name, {}), {})

    def begun(self):
        """Return each attempt at a step in the file, with whether it ended."""
        return [(one["step"], bool(one["finished"])) for one in self.journal().steps]


@pytest.fixture
def place(tmp_path, monkeypatch):
    found = Place(tmp_path)
    monkeypatch.setattr(server, "gather", found.gather)
    return found
