# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.check import evidence_deployment, evidence_server
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.host import server
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

COMPOSE = """services:
  auth:
    env_file: settings.env
    # spring_profiles_active: nothing

    environment:
      spring_profiles_active: ${spring_profiles_active}
      JAVA_OPTS: '-Dspring.profiles.active=demo-data'
  authority:
    environment:
      - spring_profiles_active=production
volumes:
  auth:
    external: false
"""
OVERRIDE = (
    "services:\n    auth:  # ours\n        environment:\n            - 'spring_profiles_active=production'\n    db:"
    " {}\n"
)


class Container:
    """A container as the Docker SDK shows it, as far as evidence reads it."""

    status = "running"

    def __init__(self, service, **attrs):
        self.labels = {"com.docker.compose.service": service, "com.docker.compose.version": "2.26.1"}
        self.name = f"lmis-{service}-1"
        self.attrs = {"Config": {"Env": [], "Image": f"openlmis/{service}:1"}, "Image": "sha256:1", **attrs}


def service(name, **environment):
    return deployment.Service(name, f"openlmis/{name}:1", f"openlmis/{name}:1", name, False, environment, True, False)


def seen(services, containers, environment, tmp_path, raw=None):
    """A server.Look on a folder with one Compose file and one settings file."""
    compose_file = tmp_path / "docker-compose.yml"
    if not compose_file.exists():
        compose_file.write_text("services: {}\n")
    rendered = {"services": {one.name: {"environment": environment.get(one.name, {})} for one in services}}
    raw = raw or {"services": {one.name: {"env_file": [{"path": str(tmp_path / "settings.env")}]} for one in services}}
    return server.Look(
        None, str(tmp_path), [str(compose_file)], compose.Project("lmis", containers), rendered, raw, services
    )


@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("jdbc:postgresql://db:5432/open_lmis", ""),
        ("jdbc:postgresql://db:5432/open_lmis?sslmode=require", "sslmode=require"),
        ("jdbc:postgresql://db:5432/open_lmis?x=1&sslmode=verify-full", "sslmode=verify-full"),
        ("jdbc:postgresql://db:5432/open_lmis?sslmode=require&x=", ""),
        ("jdbc:postgresql://db:5432/open_lmis?user=me&password=secret", "password"),
        ("jdbc:postgresql://db/open_lmis?sslrootcert=/config/root.crt", "sslrootcert"),
        ("jdbc:postgresql://db/open_lmis?", ""),
    ],
)
def test_the_end_of_a_database_url(url, end):
    assert evidence_deployment.url_end(url) == end


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("localhost", ""),
        ("", ""),
        ("mail", ""),
        ("smtp.invalid", ""),
        ("mail.example.org", "mail.example.org"),
        ("10.0.0.9", "10.0.0.9"),
    ],
)
def test_mail_that_leaves_the_server(host, found):
    assert evidence_deployment.outside(host, [service("mail")]) == found


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ("-server -Xmx512m", 512 << 20),
        ("-Xmx1g -Xms64m", 1 << 30),
        ("-Xmx64M -Xmx2G", 2 << 30),
        ("-Xmx1048576", 1 << 20),
        ("", 512 << 20),
    ],
)
def test_the_heap_of_a_component(options, size):
    assert evidence_server.heap(options) == size


def test_only_the_service_s_own_lines_are_read():
    assert [number for number, line in evidence_deployment.service_lines(COMPOSE, "auth") if "profiles" in line] == [
        4,
        7,
        8,
    ]
    assert [
        number for number, line in evidence_deployment.service_lines(COMPOSE, "authority") if "profiles" in line
    ] == [11]
    assert [number for number, line in evidence_deployment.service_lines(OVERRIDE, "auth")] == [2, 3, 4]


@pytest.mark.parametrize("environment", [{"spring_profiles_active": "x"}, ["A=1", "spring_profiles_active=x"]])
def test_places_come_in_the_order_in_which_they_count(tmp_path, environment):
    (tmp_path / "settings.env").write_text("A=1\nexport spring_profiles_active=production\n")
    (tmp_path / "more.env").write_text("# spring_profiles_active=x\nspring_profiles_active = test\n")
    facts = {"environment": environment, "env_file": [{"path": str(tmp_path / "settings.env")}, "more.env"]}
    texts = {"/opt/docker-compose.yml": COMPOSE, "/opt/override.yml": OVERRIDE}
    assert evidence_deployment.places(
        "auth", evidence_deployment.PROFILE_KEYS, {"services": {"auth": facts}}, texts, str(tmp_path)
    ) == [
        "override.yml line 4",
        "docker-compose.yml line 8",
        "docker-compose.yml line 7",
        "more.env line 2",
        "settings.env line 2",
    ]


def test_an_environment_that_is_rendered_differently_is_named_without_its_value(tmp_path):
    (tmp_path / "settings.env").write_text("LOCALE=pt\nMAIL_PASSWORD=pa$word\nTIME_ZONE_ID=UTC\n")
    environment = {
        "auth": {"LOCALE": "pt", "MAIL_PASSWORD": "pa", "UNSET": None, "COST": "5$$", "TIME_ZONE_ID": "UTC"},
        "cce": {"MAIL_PASSWORD": "pa", "TIME_ZONE_ID": "UTC"},
    }
    env = ["PATH=/bin", "LOCALE=pt", "MAIL_PASSWORD=pa$word", "COST=5$", "TIME_ZONE_ID=Africa/Maputo"]
    containers = [Container(name, Config={"Env": env, "Image": "x"}) for name in ("auth", "cce")]
    look = seen([service("auth"), service("cce"), service("report")], containers, environment, tmp_path)
    found = evidence_deployment.environment_differences(look)
    assert found == [
        {
            "key": "MAIL_PASSWORD",
            "place": "settings.env line 2",
            "services": ["auth", "cce"],
            "dollar": True,
            "variable": "",
        },
        {
            "key": "TIME_ZONE_ID",
            "place": "settings.env line 3",
            "services": ["auth", "cce"],
            "dollar": False,
            "variable": "",
        },
    ]
    assert "pa$word" not in str(found)


def test_seconds_since_a_container_was_started():
    containers = [
        Container("auth", State={"StartedAt": "2026-01-02T03:04:05.678901234Z"}),
        Container("cce", State={"StartedAt": "0001-01-01T00:00:00Z"}),
    ]
    assert evidence_server.seconds_up(compose.Project("lmis", containers), 1767323045.0 + 7) == {"auth": 7}


def test_files_in_a_container_s_own_layer_but_for_noise(tmp_path):
    layer = tmp_path / "diff"
    for path in ("home/orders/ORDER-1.csv", "tmp/x", "var/log/a.txt", "data/run.pid", "etc/passwd"):
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_text("x")
    (layer / "home" / "link").symlink_to("/etc")
    (layer / "var" / "agent").mkdir()
    (layer / "var" / "agent" / "docker.sock").write_text("")
    mounts = [{"Destination": "/var/agent/docker.sock", "Source": "/var/run/docker.sock"}]
    containers = [
        Container(name, GraphDriver={"Data": {"UpperDir": str(layer)}}, Mounts=mounts)
        for name in ("ftp", "auth", "log")
    ]
    services = [service("ftp"), service("auth")._replace(schema="auth"), service("log")]
    found = evidence_server.container_files(seen(services, containers, {}, tmp_path), {"ftp": "1.29.2"})
    assert found == {"ftp": ["/home/orders/ORDER-1.csv"], "auth": ["/home/orders/ORDER-1.csv"]}


def test_what_docker_tells_where_the_layer_cannot_be_read(tmp_path):
    ftp = Container("ftp", GraphDriver={"Data": None})
    ftp.diff = lambda: [
        {"Path": "/home", "Kind": 0},
        {"Path": "/home/orders", "Kind": 1},
        {"Path": "/home/orders/a", "Kind": 1},
        {"Path": "/x", "Kind": 2},
    ]
    assert evidence_server.container_files(seen([service("ftp")], [ftp], {}, tmp_path), {"ftp": "1.29.2"}) == {
        "ftp": ["/home/orders/a"]
    }


def test_an_anonymous_volume_counts_when_something_was_written_since(tmp_path):
    mounts = [
        {"Type": "volume", "Name": "a" * 64, "Source": str(tmp_path / "v"), "Destination": "/data"},
        {"Type": "volume", "Name": "named", "Source": str(tmp_path / "v"), "Destination": "/named"},
    ]
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "file").write_text("x")
    release = {"registry": "gliderlabs/consul-server"}
    look = seen([service("auth")], [Container("auth", Created="2026-01-02T03:04:05.6Z", Mounts=mounts)], {}, tmp_path)
    assert evidence_server.volume_files(look, release) == {"auth": "a" * 64}
    os.utime(tmp_path / "v" / "file", (1767323045, 1767323045))
    assert evidence_server.volume_files(look, release) == {}
    os.utime(tmp_path / "v" / "file", (1767323045 + 3600, 1767323045 + 3600))
    assert evidence_server.volume_files(look, {"registry": "openlmis/auth"}) == {}


def test_needs_on_one_file_system_are_added_up(tmp_path):
    places = evidence_server.by_file_system(
        [("the backup", str(tmp_path / "not" / "there"), 5), ("images", str(tmp_path), 7)]
    )
    assert [(place["path"], place["needs"]) for place in places] == [
        (str(tmp_path), [("the backup", 5), ("images", 7)])
    ]
    assert places[0]["free"] > 0


class Images:
    """The engine's list of images."""

    def __init__(self, tags):
        self.api = self
        self.tags = tags

    def images(self):
        return [{"Id": identity, "RepoTags": tags} for identity, tags in self.tags.items()]


def test_a_tag_that_means_another_image(tmp_path):
    db, nginx, ftp = (
        Container(name, Config={"Env": [], "Image": image})
        for name, image in (("db", "x/db:9"), ("nginx", "x/nginx"), ("ftp", "x/ftp:1"))
    )
    services = [service(name)._replace(component=None) for name in ("db", "nginx", "ftp")]
    look = seen(services, [db, nginx, ftp], {}, tmp_path)._replace(
        client=Images({"sha256:1": ["x/nginx:latest"], "sha256:2": ["x/db:9"], "sha256:3": None})
    )
    assert evidence_deployment.moved_tags(look) == {
        "db": {"name": "x/db:9", "runs": "sha256:1", "means": "sha256:2"},
        "ftp": {"name": "x/ftp:1", "runs": "sha256:1", "means": ""},
    }


def test_no_address_no_question():
    found = evidence_server.ask_site({"base_url": None, "admin_username": None}, [])
    assert found["answers"] == {}
    assert "are not set" in found["login"]["problem"]


def test_memory_of_a_process_and_its_children():
    this = Container("auth", State={"Pid": os.getpid()})
    assert evidence_server.resident(this) > 1 << 20
    assert evidence_server.resident(Container("auth", State={"Pid": 0})) == 0
    assert evidence_server.resident(None) == 0


@pytest.mark.parametrize(
    ("had", "found"),
    [
        ("jdbc:postgresql://db:5432/open_lmis", []),
        ("jdbc:postgresql://db/open_lmis?sslmode=disable", []),
        ("", []),
        ("jdbc:postgresql://db:5432/other", ["auth"]),
        ("jdbc:postgresql://elsewhere/open_lmis", ["auth"]),
        ("jdbc:postgresql://db:5433/open_lmis", ["auth"]),
        ("no URL", ["auth"]),
    ],
)
def test_a_container_that_was_started_on_another_database(tmp_path, had, found):
    """A parameter that the site has added since, as the check itself asks for, names no other one."""
    auth = service(
        "auth", DATABASE_URL="jdbc:postgresql://db:5432/open_lmis?sslmode=disable&ApplicationName=openlmis"
    )._replace(schema="auth")
    containers = [Container("auth", Config={"Env": ["DATABASE_URL=" + had], "Image": "x"})]
    assert evidence_deployment.started_elsewhere(seen([auth], containers, {}, tmp_path)) == found
