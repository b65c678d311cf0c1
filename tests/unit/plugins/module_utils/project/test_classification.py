# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.openlmis.operations.plugins.module_utils.project import classification, deployment

RELEASE = yaml.safe_load((Path(__file__).parents[5] / "roles/openlmis/vars/releases/3.4.0.yml").read_text())
SETTINGS = {
    "DATABASE_URL": "jdbc:postgresql://db:5432/open_lmis",
    "POSTGRES_USER": "postgres",
    "POSTGRES_PASSWORD": "p",
}


def services(**more):
    """The services of a stock server, all of which are given the settings, and those of the site's own."""
    stock = {name: "openlmis/%s:1" % name for name in ("auth", "diagnostics", "reference-ui", "nginx")}
    stock.update(
        {
            "db": "openlmis/postgres:9.6",
            "ftp": "hauptmedia/proftpd",
            "log": "openlmis/rsyslog:1",
            "consul": "gliderlabs/consul-server",
        }
    )
    rendered = {name: {"image": image, "environment": SETTINGS} for name, image in stock.items()}
    rendered.update(more)
    return deployment.services_of({"services": rendered}, {"services": rendered}, RELEASE)


def users(**more):
    return classification.rendered_users(services(**more))


def test_what_the_distribution_gives_the_settings_uses_no_database():
    assert users() == set()


@pytest.mark.parametrize(
    "service",
    [
        {"image": "site/reports:1.6.0", "environment": SETTINGS},
        {"image": "site/bi", "environment": {"SQLALCHEMY_DATABASE_URI": "postgresql://u:p@db/open_lmis"}},
        {"image": "site/bi", "environment": {"DB_HOST": "db"}},
        {"image": "site/bi", "command": "run --dsn host=db,dbname=open_lmis"},
    ],
)
def test_a_service_of_the_site_that_is_given_the_database_uses_it(service):
    assert users(reports=service) == {"reports"}


@pytest.mark.parametrize(
    "service",
    [
        {
            "image": "site/dashboard",
            "environment": {"TITLE": "our db of today", "API": "http://dbadmin/x", "MODE": "dbx"},
        },
        {"image": "edoburu/pgbouncer", "environment": SETTINGS},
        {"image": "postgis/postgis:9.6", "environment": SETTINGS},
        {"image": "redis:3.2.12", "environment": SETTINGS},
    ],
)
def test_a_service_that_only_looks_so_does_not(service):
    assert users(other=service) == set()


def test_the_service_that_the_url_names_is_no_user_of_it():
    through = dict(SETTINGS, DATABASE_URL="jdbc:postgresql://pool:6432/open_lmis")
    rendered = {
        "auth": {"image": "openlmis/auth:1", "environment": through},
        "pool": {"image": "site/pool", "environment": through},
    }
    found = deployment.services_of({"services": rendered}, {"services": rendered}, RELEASE)
    assert classification.database_hosts(found) == {"pool"}
    assert classification.rendered_users(found) == set()


RUNNING, ENDED = {"State": {"Status": "running"}}, {"State": {"Status": "exited", "ExitCode": 0}}
MOUNTED = {"Mounts": [{"Destination": "/data", "Source": "/var/lib/x"}]}
SOCKET = {"Mounts": [{"Destination": "/var/agent/docker.sock", "Source": "/var/run/docker.sock"}]}


@pytest.mark.parametrize(
    ("name", "attributes", "serving", "uses", "kind"),
    [
        ("auth", RUNNING, False, False, "component"),
        ("reference-ui", RUNNING, False, True, "component"),
        ("nginx", RUNNING, False, False, "removed with the components"),
        ("db", {**RUNNING, **MOUNTED}, True, False, "database"),
        ("own", RUNNING, False, True, "uses the database"),
        ("own", ENDED, False, False, "exits by itself"),
        ("own", MOUNTED, False, False, "holds data"),
        ("own", SOCKET, False, False, "other"),
        ("own", {}, False, False, "other"),
    ],
)
def test_every_service_is_something(name, attributes, serving, uses, kind):
    service = next(one for one in services(own={"image": "site/own"}) if one.name == name)
    assert classification.kind_of(service, attributes, serving, uses) == kind
    assert kind in classification.FATE


def test_a_service_whose_end_others_wait_for_exits_by_itself():
    waiting = {
        "image": "site/own",
        "depends_on": {
            "seed": {"condition": "service_completed_successfully"},
            "auth": {"condition": "service_started"},
        },
    }
    found = {one.name: one for one in services(own=waiting, seed={"image": "site/seed"})}
    assert [name for name, one in found.items() if one.one_shot] == ["seed"]


def test_containers_that_compose_does_not_render_are_told_apart():
    def container(image, status="running", **environment):
        env = ["%s=%s" % pair for pair in environment.items()]
        return {"Name": "/x", "Config": {"Image": image, "Env": env}, "State": {"Status": status}}

    found = classification.outside_rendering(
        {
            "cce": container("docker.io/openlmis/cce:1.0.0", **SETTINGS),
            "reports": container("site/reports", **SETTINGS),
            "bi": container("site/bi"),
            "ftp2": container("hauptmedia/proftpd", **SETTINGS),
            "old": container("site/old", "exited"),
        },
        {"db"},
        {"bi"},
        RELEASE,
    )
    assert {name: (one["component"], one["uses_database"], one["running"]) for name, one in found.items()} == {
        "cce": ("cce", False, True),
        "reports": (None, True, True),
        "bi": (None, True, True),
        "ftp2": (None, False, True),
        "old": (None, False, False),
    }


def test_sessions_are_counted_by_service():
    assert classification.session_users(
        {"10.0.0.2": 3, "10.0.0.9": 1}, {"auth": {"10.0.0.2"}, "cce": {"10.0.0.3"}}
    ) == {"auth": 3}
