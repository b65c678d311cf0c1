# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a deployment's files come from: a later deployment from there would undo what is changed in them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from typing import Callable, List, Mapping, Optional, Sequence

from ansible_collections.openlmis.operations.plugins.module_utils.docker.compose import LABEL


def signs(src: str, files: Sequence[str], labels: Sequence[Mapping[str, str]]) -> List[str]:
    """Return, in words, what tells that something deploys these files. C(labels) are those of the
    project's containers.
    """
    found = [_checkout(src, files)] if files else []
    owner = _owner(files[0]) if files else ""
    if owner == "jenkins" or re.search("/(jenkins|workspace)(/|$)", os.path.realpath(src)):
        found.append(
            f"{src} looks like the work of a Jenkins job" + (f" (owner {owner})" if owner == "jenkins" else "")
        )
    elif os.path.exists(os.path.join(src, "Jenkinsfile")):
        found.append(f"{src} holds a Jenkinsfile")
    started = {os.path.realpath(one.get(LABEL + "project.working_dir", src)) for one in labels} - {
        os.path.realpath(src)
    }
    found += [f"containers were started from {place}, not from {src}" for place in sorted(started)]
    return [one for one in found if one]


def _checkout(src: str, files: Sequence[str]) -> str:
    """Say of which repository the files are a checkout; empty when they are none."""
    git = shutil.which("git")
    # As the files' owner: git does what the repository's own configuration says.
    if not git or _git(git, src, "ls-files", "--error-unmatch", "--", *files) is None:
        return ""
    remote = without_secret((_git(git, src, "remote", "get-url", "origin") or "").strip())
    branch = (_git(git, src, "rev-parse", "--abbrev-ref", "HEAD") or "").strip()
    changed = [
        line[3:]
        for line in (_git(git, src, "status", "--porcelain", "--untracked-files=no", "--", ".") or "").splitlines()
    ]
    told = f"the files are a git checkout of {remote or 'a repository without a remote'}, branch {branch}"
    return told + (f", with changes that are not committed in {', '.join(changed)}" if changed else "")


def _git(git: str, src: str, *arguments: str) -> Optional[str]:
    done = subprocess.run(
        [git, "-C", src, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_OPTIONAL_LOCKS": "0",
        },
        preexec_fn=_become(src),
    )
    return done.stdout if done.returncode == 0 else None


def _become(path: str) -> Optional[Callable[[], None]]:
    """Return what makes a child process the path's owner, where this process may do so."""
    owner = os.stat(path)
    if os.geteuid() != 0 or owner.st_uid == 0:
        return None

    def change() -> None:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)

    return change


def _owner(path: str) -> str:
    try:
        return pwd.getpwuid(os.stat(path).st_uid).pw_name
    except KeyError:
        return ""


def without_secret(url: str) -> str:
    """Return a remote's URL without the user and the password that it may hold."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", url)
