# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose

LABEL = "com.docker.compose."


def container(
    name, service="", *, project="openlmis", folder="/srv/openlmis", status="running", oneoff="False", **attrs
):
    """A container as the Docker SDK shows it; ``networks`` is one dict per network."""
    labels = {LABEL + "project": project, LABEL + "service": service, LABEL + "oneoff": oneoff}
    if folder:
        labels[LABEL + "project.working_dir"] = folder
    networks = {str(number): network for number, network in enumerate(attrs.pop("networks", []))}
    attrs.setdefault("HostConfig", {})
    return SimpleNamespace(
        id="id of " + name,
        name=name,
        labels=labels,
        status=status,
        attrs={"NetworkSettings": {"Networks": networks}, **attrs},
    )


class Client:
    """As much of a Docker client as is used; ``gone`` are containers removed between listing and looking."""

    def __init__(self, *containers, gone=()):
        self.all = containers
        self.gone = gone
        self.api = SimpleNamespace(containers=self._rows)
        self.containers = SimpleNamespace(get=self._get)

    def _rows(self, all, filters):
        assert all is True
        assert filters == {"label": LABEL + "project"}
        return [{"Id": one.id, "Labels": one.labels} for one in self.all]

    def _get(self, identity):
        if identity in self.gone:
            raise compose.docker.errors.NotFound("gone")
        return next(one for one in self.all if one.id == identity)


def names(project):
    return sorted(one.name for one in project.containers)


def test_a_project_is_found_by_its_folder_whatever_its_name():
    client = Client(
        container("a", project="other", folder="/srv/other"),
        container("b", "db", project="lmis"),
        container("c", "auth", project="lmis"),
    )
    project = compose.find_project(client, "/srv/openlmis/")
    assert project.name == "lmis"
    assert names(project) == ["b", "c"]


def test_one_service_is_found_by_itself_and_what_is_none_among_all():
    client = Client(container("a", "db"), container("b", "db", oneoff="True"), container("c", "auth"))
    assert names(compose.find_project(client, "/srv/openlmis", service="db")) == ["a"]
    assert names(compose.find_project(client, "/srv/openlmis", service="openlmis_db_1")) == ["a", "c"]


def test_stopped_containers_belong_to_it_and_one_off_runs_do_not():
    client = Client(container("a", "db", status="exited"), container("b", "db", oneoff="True"))
    assert names(compose.find_project(client, "/srv/openlmis")) == ["a"]


def test_a_container_that_vanishes_meanwhile_is_left_out():
    client = Client(container("a", "db"), container("b", "auth"), gone=["id of b"])
    assert names(compose.find_project(client, "/srv/openlmis")) == ["a"]


def test_the_folder_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    client = Client(container("a", "db", folder=str(tmp_path / "link")))
    assert compose.find_project(client, str(tmp_path / "real")).name == "openlmis"


@pytest.mark.parametrize("name", ["openlmisrefdistro", "openlmis-ref-distro"])
def test_the_name_is_derived_where_no_label_tells(name):
    client = Client(container("a", "db", project=name, folder=""))
    assert compose.find_project(client, "/srv/OpenLMIS-ref-distro").name == name


def test_the_name_is_not_derived_where_a_label_tells_another_folder():
    client = Client(container("a", "db", project="openlmis", folder="/elsewhere/openlmis"))
    with pytest.raises(
        OperationError,
        match=r"no container of a Compose project started from /srv/openlmis \(projects found: openlmis\)",
    ):
        compose.find_project(client, "/srv/openlmis")


@pytest.mark.parametrize(("written", "name"), [("MW_lmis-1", "mwlmis1"), ("mw_lmis", "mw_lmis"), ("MW", "mw")])
def test_the_name_may_be_one_in_the_env_file(tmp_path, written, name):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={written}\n")
    client = Client(container("a", "db", project=name, folder=""))
    assert compose.find_project(client, str(tmp_path)).name == name


def test_a_second_project_that_a_newer_compose_has_begun_beside_the_old_one_needs_a_name():
    old = container("a", "db", project="openlmisrefdistro", folder="")
    client = Client(old, container("b", "db", project="openlmis-ref-distro", folder="/srv/openlmis-ref-distro"))
    with pytest.raises(OperationError, match=r"Several Compose projects .*: openlmis-ref-distro, openlmisrefdistro\."):
        compose.find_project(client, "/srv/openlmis-ref-distro")


def test_several_projects_in_one_folder_need_a_name():
    client = Client(container("a", "db", project="one"), container("b", "db", project="two"))
    with pytest.raises(
        OperationError, match=r"Several Compose projects were started from /srv/openlmis: one, two\. .*set project_name"
    ):
        compose.find_project(client, "/srv/openlmis")
    assert names(compose.find_project(client, "/srv/openlmis", "two")) == ["b"]


def test_no_project():
    with pytest.raises(OperationError, match=r"named x \(projects found: none\)"):
        compose.find_project(Client(), None, "x")


def test_services_have_running_containers_first():
    old = container("old", "db", status="exited")
    new = container("new", "db")
    project = compose.Project("x", [old, new, container("web", "nginx")])
    assert [one.name for one in project.services()["db"]] == ["new", "old"]
    assert project.service("db") is new
    assert project.service("none") is None


def test_a_host_is_a_service_a_container_or_an_alias():
    by_service = container("x_db_1", "db")
    by_name = container("the-database", "postgres")
    by_alias = container("x_pg_1", "pg", networks=[{"Aliases": None}, {"Aliases": ["pg", "dbhost"]}])
    project = compose.Project("x", [by_service, by_name, by_alias])
    assert project.host("db") is by_service
    assert project.host("the-database") is by_name
    assert project.host("dbhost") is by_alias
    assert project.host("rds.example.org") is None


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ([{"IPAddress": "172.18.0.2"}], "172.18.0.2"),
        ([{"IPAddress": ""}, {"IPAddress": "172.19.0.3", "GlobalIPv6Address": "fd00::3"}], "172.19.0.3"),
        ([{"IPAddress": "", "GlobalIPv6Address": "fd00::3"}], "fd00::3"),
    ],
)
def test_the_address_of_a_container(networks, address):
    assert compose.container_address(container("x", networks=networks)) == address


def test_the_address_on_the_network_of_the_host():
    assert compose.container_address(container("x", HostConfig={"NetworkMode": "host"})) == "127.0.0.1"


def test_a_container_without_an_address():
    with pytest.raises(OperationError, match="has no network address of its own.*login_host and login_port"):
        compose.container_address(container("x", networks=[{"IPAddress": ""}]))
    with pytest.raises(
        OperationError, match=r"The container x is exited\. Expected it to run: start it \(docker start x\)"
    ):
        compose.container_address(container("x", status="exited", networks=[{"IPAddress": "172.18.0.2"}]))


def test_an_engine_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(OperationError, match=r"The Docker Engine at unix:///nowhere\.sock does not answer"):
        compose.docker_client()


def test_without_the_docker_sdk(monkeypatch):
    monkeypatch.setattr(compose, "docker", None)
    with pytest.raises(OperationError, match=r"library \(docker\).*python3-docker.*openlmis_python_venv"):
        compose.docker_client()
