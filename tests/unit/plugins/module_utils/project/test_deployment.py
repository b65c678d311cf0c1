# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment

ROLE = Path(__file__).parents[5] / "roles" / "openlmis" / "vars"
RELEASE = yaml.safe_load((ROLE / "releases" / "3.4.0.yml").read_text())
FLYWAY = yaml.safe_load((ROLE / "flyway_versions.yml").read_text())["components"]

COMPOSE = """\
version: "2"
# a site's own comment
services:
  consul:
    image: gliderlabs/consul-server
  nginx:
    image: openlmis/nginx:${OL_NGINX_VERSION}
  auth:
    image: openlmis/auth:${OL_AUTH_VERSION}
    env_file: settings.env
    environment:
      JAVA_OPTS: '-server -Dflyway.locations=classpath:db/migration,filesystem:/demo-data -Xmx512m'
  cce:
    image: openlmis/cce:1.0.0-SNAPSHOT  # pinned
  db:
    image: openlmis/postgres:${OL_POSTGRES_VERSION}
"""
ENV = "# versions\nOL_NGINX_VERSION=4\nOL_AUTH_VERSION=3.2.0\nOL_CCE_VERSION=1.0.0\nOL_POSTGRES_VERSION=9.6-postgis\n"


def rendered(text=COMPOSE, env=ENV):
    values = dict(line.strip().split("=") for line in env.splitlines() if "=" in line and not line.startswith("#"))
    filled = re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], "").strip("'\""), text)
    return yaml.safe_load(filled), yaml.safe_load(text)


def services(text=COMPOSE, env=ENV):
    return deployment.services_of(*rendered(text, env), RELEASE)


def by_name(name, text=COMPOSE, env=ENV):
    return next(service for service in services(text, env) if service.name == name)


def test_only_what_holds_no_data_is_removed_for_the_upgrade():
    stopped = {service.name for service in services() if service.stopped_for_upgrade}
    assert stopped == {"consul", "nginx", "auth", "cce"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("openlmis/auth:3.2.0", ("openlmis/auth", "3.2.0")),
        ("openlmis/auth", ("openlmis/auth", "")),
        ("registry:5000/openlmis/auth", ("registry:5000/openlmis/auth", "")),
        ("registry:5000/openlmis/auth:1@sha256:abc", ("registry:5000/openlmis/auth", "1")),
        ("docker.io/openlmis/auth:3.2.0", ("openlmis/auth", "3.2.0")),
        ("index.docker.io/library/redis:3", ("redis", "3")),
    ],
)
def test_split_image(reference, expected):
    assert deployment.split_image(reference) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("openlmis/auth:${OL_AUTH_VERSION}", ("openlmis/auth", "OL_AUTH_VERSION")),
        ("openlmis/auth:$OL_AUTH_VERSION", ("openlmis/auth", "OL_AUTH_VERSION")),
        ("openlmis/auth:${OL_AUTH_VERSION:-3.2.0}", ("openlmis/auth", "OL_AUTH_VERSION")),
        ("openlmis/auth:3.2.0", ("openlmis/auth", None)),
        ("${REGISTRY:-localhost:5000}/auth:${TAG:-1}", ("${REGISTRY:-localhost:5000}/auth", "TAG")),
        ("${REGISTRY}/auth:3.2.0", ("${REGISTRY}/auth", None)),
        ("localhost:5000/openlmis/auth", ("localhost:5000/openlmis/auth", None)),
        ("openlmis/auth:3.2.0@sha256:" + 64 * "a", ("openlmis/auth", None)),
    ],
)
def test_the_variable_of_a_raw_image(raw, expected):
    repository, tag = deployment.split_raw_image(raw)
    assert (repository, deployment.variable_of(tag)) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"spring_profiles_active": "production"}, ["production"]),
        ({"spring_profiles_active": "demo-data, production"}, ["demo-data", "production"]),
        ({"spring_profiles_active": ""}, []),
        ({}, []),
        ({"spring_profiles_active": "production", "JAVA_OPTS": "-Dspring.profiles.active=refresh-db"}, ["refresh-db"]),
    ],
)
def test_active_profiles(environment, expected):
    assert by_name("auth")._replace(environment=environment).profiles == expected


def test_database_groups_tell_one_password_apart_without_showing_it():
    def service(name, password):
        settings = {"DATABASE_URL": "jdbc:postgresql://db/x", "POSTGRES_PASSWORD": password}
        return by_name("auth")._replace(name=name, environment=settings)

    groups = deployment.database_groups([service("a", "p"), service("b", "p"), service("c", "q")])
    assert groups == [["a", "b"], ["c"]]


def test_requisition_s_out_of_order_migrations():
    old, new = (FLYWAY["requisition"]["versions"][version] for version in ("6.1.0", "7.0.0"))
    assert deployment.out_of_order(old, new) == [
        "20180511142252566",
        "20180514153415782",
        "20180518070517164",
        "20180518164621420",
        "20180529114621420",
    ]
    assert deployment.out_of_order(FLYWAY["requisition"]["versions"]["6.0.0"], new) == []


@pytest.mark.parametrize("name", ["3.3.0", "3.3.1", "3.4.0"])
def test_a_release_is_recognised_by_its_histories(name):
    known = deployment.known_releases(RELEASE)
    histories = {component: FLYWAY[component]["versions"][version] for component, version in known[name].items()}
    assert deployment.release_of(histories, known, FLYWAY) == name
    assert deployment.release_of(dict(histories, cce=[*histories["cce"], "99990101000000000"]), known, FLYWAY) == name
    assert deployment.release_of(dict(histories, report=histories["report"][:-1]), known, FLYWAY) is None


def test_a_site_may_do_without_a_component():
    known = deployment.known_releases(RELEASE)
    histories = {name: FLYWAY[name]["versions"][version] for name, version in known["3.3.1"].items() if name != "cce"}
    assert deployment.release_of(histories, known, FLYWAY) == "3.3.1"
    assert deployment.release_of(dict(histories, cce=[]), known, FLYWAY) is None
    assert deployment.release_of({}, known, FLYWAY) is None


def test_a_half_migrated_database_is_no_release():
    known = deployment.known_releases(RELEASE)
    mixed = copy.copy(known["3.3.1"])
    mixed["auth"] = "4.0.0"
    histories = {component: FLYWAY[component]["versions"][version] for component, version in mixed.items()}
    assert deployment.release_of(histories, known, FLYWAY) is None


def test_compose_files_are_those_that_compose_loads(tmp_path):
    with pytest.raises(OperationError, match="docker-compose.yml was not found in"):
        deployment.compose_files(str(tmp_path))
    for name in ("docker-compose.yml", "docker-compose.override.yml"):
        (tmp_path / name).write_text("services: {}")
    assert deployment.compose_files(str(tmp_path)) == [
        str(tmp_path / name) for name in ("docker-compose.yml", "docker-compose.override.yml")
    ]
    assert deployment.compose_files(str(tmp_path), ["docker-compose.yml"]) == [str(tmp_path / "docker-compose.yml")]
    with pytest.raises(OperationError, match=r"other.yml was not found"):
        deployment.compose_files(str(tmp_path), ["other.yml"])


@pytest.mark.parametrize(
    ("service", "restarts"),
    [
        ({}, False),
        ({"restart": "no"}, False),
        ({"restart": "always"}, True),
        ({"deploy": {"restart_policy": {"condition": "any"}}}, True),
    ],
)
def test_a_service_that_starts_by_itself_is_known(service, restarts):
    rendered = {"services": {"auth": {"image": "openlmis/auth:3.2.0", **service}}}
    (found,) = deployment.services_of(rendered, rendered, RELEASE)
    assert found.restarts is restarts


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("lmis-auth", "openlmis/auth:3.2.0", "auth"),
        ("auth", "ministry/sso:1", "auth"),
        ("mw-ui", "localhost:5000/malawi/reference-ui:2", "reference-ui"),
        ("mw-requisition", "malawi/openlmis-requisition", "requisition"),
        ("superset", "apache/superset:1", None),
        ("reports", "jasper:7", "report"),
        ("diagnostics", "grafana:7", None),
    ],
)
def test_what_a_service_is(name, image, expected):
    release = {**RELEASE, "services": {"reports": "report", "diagnostics": ""}}
    assert deployment.component_of(name, image, release) == expected


def test_what_needs_a_component_is_not_started_before_the_database():
    text = """
services:
  auth: {image: "openlmis/auth:3.2.0", depends_on: {db: {}}}
  db: {image: postgres, depends_on: {consul: {}}}
  consul: {image: gliderlabs/consul-server}
  superset: {image: superset, depends_on: {cache: {}}}
  cache: {image: memcached, depends_on: {auth: {}}}
"""
    assert deployment.started_first(services(text, "")) == ["db"]


def test_compose_file_in_the_env_file_names_the_files(tmp_path, monkeypatch):
    for name in ("docker-compose.yml", "docker-compose.override.yml", "mw.yml"):
        (tmp_path / name).write_text("services: {}")
    (tmp_path / ".env").write_text("COMPOSE_FILE=docker-compose.yml:mw.yml\n")
    assert deployment.compose_files(str(tmp_path)) == [
        str(tmp_path / name) for name in ("docker-compose.yml", "mw.yml")
    ]
    (tmp_path / ".env").write_text("COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=mw.yml;docker-compose.yml\n")
    assert deployment.compose_files(str(tmp_path)) == [
        str(tmp_path / name) for name in ("mw.yml", "docker-compose.yml")
    ]
    monkeypatch.setenv("COMPOSE_FILE", "docker-compose.yml")
    monkeypatch.setenv("COMPOSE_PATH_SEPARATOR", ":")
    assert deployment.compose_files(str(tmp_path)) == [str(tmp_path / "docker-compose.yml")]
    assert deployment.compose_files(str(tmp_path), ["mw.yml"]) == [str(tmp_path / "mw.yml")]


def test_a_dollar_is_one_again_as_it_is_in_the_container():
    assert deployment.undoubled({"a": ["x$$y", None, 1], "b": {"c": "$$$$"}}) == {
        "a": ["x$y", None, 1],
        "b": {"c": "$$"},
    }
