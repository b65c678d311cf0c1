# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.check import origin

LABEL = "com.docker.compose.project.working_dir"


def git(folder, *arguments):
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    for name in ("docker-compose.yml", ".env"):
        (tmp_path / name).write_text("A=1\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "x")
    return tmp_path


def signs(folder, labels=()):
    return origin.signs(str(folder), [str(folder / "docker-compose.yml")], labels)


def test_a_checkout_with_a_remote_and_a_change(checkout):
    git(checkout, "remote", "add", "origin", "https://deploy:token@git.example.org/moh/lmis.git")
    (checkout / ".env").write_text("A=2\n")
    assert signs(checkout) == [
        "the files are a git checkout of https://git.example.org/moh/lmis.git, branch main, with changes that are not"
        " committed in .env"
    ]


def test_a_checkout_without_a_remote(checkout):
    assert signs(checkout) == ["the files are a git checkout of a repository without a remote, branch main"]


def test_files_that_the_repository_around_them_does_not_know(checkout):
    inner = checkout / "server"
    inner.mkdir()
    (inner / "docker-compose.yml").write_text("services: {}\n")
    assert signs(inner) == []


def test_a_jenkins_job_and_containers_from_elsewhere(tmp_path):
    folder = tmp_path / "jenkins" / "lmis"
    folder.mkdir(parents=True)
    (folder / "docker-compose.yml").write_text("services: {}\n")
    found = signs(folder, [{LABEL: str(folder)}, {LABEL: "/home/me/lmis"}, {}])
    assert found == [
        f"{folder} looks like the work of a Jenkins job",
        f"containers were started from /home/me/lmis, not from {folder}",
    ]
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "docker-compose.yml").write_text("services: {}\n")
    assert signs(plain) == []
    (plain / "Jenkinsfile").write_text("node {}\n")
    assert signs(plain) == [f"{plain} holds a Jenkinsfile"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:token@git.example.org/x.git", "https://git.example.org/x.git"),
        ("https://git.example.org/x@y.git", "https://git.example.org/x@y.git"),
        ("git@git.example.org:moh/lmis.git", "git@git.example.org:moh/lmis.git"),
    ],
)
def test_a_remote_without_its_secret(url, shown):
    assert origin.without_secret(url) == shown
