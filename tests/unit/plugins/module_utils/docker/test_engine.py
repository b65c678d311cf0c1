# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import engine

# Reserved for documentation: no host has it.
ELSEWHERE = "192.0.2.77"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (None, ""),
        ("", ""),
        ("unix:///run/docker.sock", ""),
        ("/run/docker.sock", ""),
        ("fd://", ""),
        ("tcp://127.0.0.1:2375", ""),
        ("localhost:2375", ""),
        ("tcp://[::1]:2375", ""),
        ("tcp://%s:2376" % ELSEWHERE, ELSEWHERE),
        ("%s:2376" % ELSEWHERE, ELSEWHERE),
        ("https://%s:2376" % ELSEWHERE, ELSEWHERE),
        ("ssh://operator@%s" % ELSEWHERE, ELSEWHERE),
        ("tcp://[2001:db8::77]:2376", "2001:db8::77"),
        ("tcp://no-such-name.invalid:2376", "no-such-name.invalid"),
    ],
)
def test_an_engine_on_another_host_is_told_from_one_here(monkeypatch, address, host):
    if address is None:
        monkeypatch.delenv("DOCKER_HOST", raising=False)
    else:
        monkeypatch.setenv("DOCKER_HOST", address)
    assert engine.remote_host() == host
    if host:
        with pytest.raises(
            OperationError,
            match="The Docker Engine is on %s .*, and it cannot. .*run this on the Docker host"
            % host.replace(".", r"\."),
        ):
            engine.refuse_remote("it cannot")
    else:
        engine.refuse_remote("it cannot")


def container(ports):
    return SimpleNamespace(name="consul-1", attrs={"NetworkSettings": {"Ports": ports}})


@pytest.mark.parametrize(
    ("host", "reached"), [(ELSEWHERE, ELSEWHERE + ":18500"), ("[2001:db8::77]", "[2001:db8::77]:18500")]
)
def test_a_published_port_is_reached_at_the_engine_s_host(monkeypatch, host, reached):
    monkeypatch.setenv("DOCKER_HOST", "tcp://%s:2376" % host)
    bindings = [{"HostIp": "127.0.0.1", "HostPort": "1"}, {"HostIp": "0.0.0.0", "HostPort": "18500"}]
    assert engine.published_address(container({"8500/tcp": bindings}), 8500) == reached


@pytest.mark.parametrize("ports", [{}, {"8500/tcp": None}, {"8500/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8500"}]}])
def test_a_port_that_is_not_published_is_not_reached_from_here(monkeypatch, ports):
    monkeypatch.setenv("DOCKER_HOST", "tcp://%s:2376" % ELSEWHERE)
    with pytest.raises(
        OperationError, match="consul-1 publishes its port 8500 there to nobody, .* run this on the Docker host"
    ):
        engine.published_address(container(ports), 8500)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A path on which nothing is but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name, script):
        (tmp_path / name).write_text("#!/bin/sh\n" + script)
        os.chmod(tmp_path / name, 0o755)

    return put


def test_without_docker(programs):
    said = engine.missing_compose()
    assert said.startswith(
        "There is no docker command here; Docker Engine 20.10 with Compose 2.18 or newer is expected"
    )
    assert "run this on the Docker host" in said


def test_with_compose_v1_only(programs):
    programs("docker", "exit 125")
    programs("docker-compose", '[ "$*" = "version --short" ] && echo 1.29.2')
    said = engine.missing_compose()
    assert said.startswith(
        "docker-compose 1.29.2 is here and no `docker compose`; Compose 2.18 or newer as docker's plugin is expected"
    )
    assert "install it on a day before the upgrade" in said
    assert "makes every container anew, the database's too" in said
    assert "expands a $ in an env file" in said


def test_without_any_compose(programs):
    programs("docker", "exit 125")
    assert engine.missing_compose().startswith("There is no `docker compose` here; Compose 2.18")


def test_with_compose_there_is_nothing_to_say(programs):
    programs("docker", "echo Docker Compose version v2.26.1")
    assert engine.missing_compose() == ""


def test_a_context_that_leads_elsewhere_is_named(programs):
    client = SimpleNamespace(info=lambda: {"ID": "here"})
    programs("docker", 'case "$1" in info) echo there;; context) echo staging;; esac')
    with pytest.raises(
        OperationError, match="another Docker Engine .its context is staging. .* `docker context use default`"
    ):
        engine.refuse_another_engine(client)
    programs("docker", 'case "$1" in info) echo here;; context) echo staging;; esac')
    engine.refuse_another_engine(client)
