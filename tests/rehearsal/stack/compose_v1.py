# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real docker-compose of before v2, each version in a virtual environment of its own."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import venv

from .images import RehearsalError
from .releases import CHECKOUT

PLACE = CHECKOUT / ".cache" / "compose-v1"
COMMON = (
    "requests==2.31.0 urllib3<2 PyYAML==6.0.2 dockerpty docopt jsonschema<4 websocket-client<1 six attrs pyrsistent"
    " setuptools<81 "
)
COMMON += "packaging certifi idna charset-normalizer"
# Not what they ask for, since their PyYAML does not build any more, but what they run with.
PACKAGES = {
    # Strips - and _ from project names, and labels no container with its folder.
    "1.20.1": COMMON + " docker-compose==1.20.1 docker<4 docker-pycreds texttable<0.10 cached-property",
    "1.29.2": COMMON + " docker-compose==1.29.2 docker==6.1.3 texttable distro python-dotenv<1",
}


def docker_compose(version: str) -> pathlib.Path:
    """The program; it is installed when it is not there."""
    place = PLACE / version
    program = place / "bin" / "docker-compose"
    if not program.exists():
        venv.create(place, clear=True, with_pip=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        run = subprocess.run(
            pip + PACKAGES[version].split(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise RehearsalError(
                "docker-compose %s cannot be installed on Python %s:\n%s"
                % (version, sys.version.split()[0], run.stderr[-2000:])
            )
    return program
