# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, edits

RELEASE = yaml.safe_load((Path(__file__).parents[5] / "roles/openlmis/vars/releases/3.4.0.yml").read_text())
DROPPED = RELEASE["java_options_dropped"][0]["option"]

# The reference distribution's way: versions in .env.
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
  requisition:
    image: openlmis/requisition:${OL_REQUISITION_VERSION}
  cce:
    image: openlmis/cce:1.0.0-SNAPSHOT  # pinned
  db:
    image: openlmis/postgres:${OL_POSTGRES_VERSION}
"""
ENV = (
    "# versions\nOL_NGINX_VERSION=4\nOL_AUTH_VERSION=3.2.0\nOL_REQUISITION_VERSION=6.1.0\n"
    "OL_CCE_VERSION=1.0.0\nOL_POSTGRES_VERSION=9.6-postgis\n"
)
REDIS = "services:\n  redis:\n    image: redis:3.2.12\n"
# Literal tags, secrets in .env, national images for some.
LITERAL = """\
version: '2'
services:
  mw-auth:
    image: "openlmis/auth:3.2.0"   # since 2018
    # image: openlmis/auth:3.2.0
    restart: always
  reference-ui: {image: malawi/ui:1.2, env_file: .env}
  requisition:
    image: 'openlmis/requisition:6.1.0'
    restart: always
    networks: [back]
    environment: {REDIS_PORT: 6379}
networks: {back: {}}
"""


def render(text, env):
    """As Compose renders it, for what is in these texts."""
    values = dict(line.strip().split("=", 1) for line in env.splitlines() if "=" in line and not line.startswith("#"))

    def value(match):
        name, _colon, default = match[1].partition(":-")
        return values.get(name, default).split(" #")[0].strip("'\" ")

    rendered = yaml.safe_load(re.sub(r"\$\{([^}]*)\}", value, text))
    for service in rendered["services"].values():
        service["networks"] = dict.fromkeys(service.get("networks", ["default"]))
    return rendered


def plan(text=COMPOSE, env=ENV, images=None):
    services = deployment.services_of(render(text, env), yaml.safe_load(text), RELEASE)
    return edits.plan_edits(
        {"/srv/docker-compose.yml": text, "/srv/.env": env}, "/srv/.env", services, RELEASE, images or {}
    )


def applied(text=COMPOSE, env=ENV, images=None):
    """The files after the edits."""
    texts = {"/srv/docker-compose.yml": text, "/srv/.env": env}
    after, _made = edits.apply(texts, [edit.told() for edit in plan(text, env, images)])
    return after["/srv/docker-compose.yml"], after["/srv/.env"]


def changed_lines(before, after):
    """The lines that are not in both, as (line before, line after)."""
    assert len(before.splitlines()) == len(after.splitlines())
    return [pair for pair in zip(before.splitlines(True), after.splitlines(True)) if pair[0] != pair[1]]


def test_the_edits_are_the_smallest_that_lead_to_the_release():
    compose, env = applied()
    assert env == ENV.replace("3.2.0", "4.0.0").replace("6.1.0", "7.0.0").replace(
        "CCE_VERSION=1.0.0", "CCE_VERSION=1.0.1"
    )
    expected = COMPOSE.replace("openlmis/cce:1.0.0-SNAPSHOT", "openlmis/cce:${OL_CCE_VERSION}").replace(
        " " + DROPPED, ""
    )
    assert compose == expected.replace("services:\n", REDIS)


def test_a_second_plan_is_empty():
    assert plan(*applied()) == []


def test_each_edit_says_what_it_does():
    summaries = [edit.summary for edit in plan()]
    assert ".env: OL_AUTH_VERSION 3.2.0 -> 4.0.0" in summaries
    assert "docker-compose.yml: service redis (redis:3.2.12) added" in summaries
    assert len(summaries) == 6


def test_crlf_and_quotes_and_comments_stay():
    env = ENV.replace("\n", "\r\n").replace("OL_AUTH_VERSION=3.2.0", "OL_AUTH_VERSION='3.2.0' # ours")
    compose, changed = applied(COMPOSE.replace("\n", "\r\n"), env)
    assert "OL_AUTH_VERSION='4.0.0' # ours\r\n" in changed
    assert changed.count("\r\n") == changed.count("\n")
    assert compose.count("\r\n") == compose.count("\n")
    assert plan(compose, changed) == []


def test_a_variable_that_is_set_twice_is_changed_twice():
    _compose, env = applied(env=ENV + "OL_AUTH_VERSION = 3.2.0\n# OL_AUTH_VERSION=3.2.0")
    assert env.count("4.0.0") == 2
    assert env.endswith("# OL_AUTH_VERSION=3.2.0")


def test_literal_tags_stay_literal_and_the_operator_knows_the_national_image():
    compose, env = applied(LITERAL, "OL_AUTH_VERSION=3.2.0\n", {"reference-ui": "malawi/ui:2.0"})
    assert env == "OL_AUTH_VERSION=3.2.0\n"
    assert compose.startswith(
        "version: '2'\nservices:\n  redis:\n    image: redis:3.2.12\n    networks: [back]\n    restart: always\n "
        " mw-auth:\n"
    )
    added = "  redis:\n    image: redis:3.2.12\n    networks: [back]\n    restart: always\n"
    assert changed_lines(LITERAL, compose.replace(added, "")) == [
        ('    image: "openlmis/auth:3.2.0"   # since 2018\n', '    image: "openlmis/auth:4.0.0"   # since 2018\n'),
        (
            "  reference-ui: {image: malawi/ui:1.2, env_file: .env}\n",
            "  reference-ui: {image: malawi/ui:2.0, env_file: .env}\n",
        ),
        ("    image: 'openlmis/requisition:6.1.0'\n", "    image: 'openlmis/requisition:7.0.0'\n"),
    ]
    assert plan(compose, env, {"reference-ui": "malawi/ui:2.0"}) == []


def test_a_literal_tag_stays_literal_where_env_has_no_variable():
    compose, _env = applied(env=ENV.replace("OL_CCE_VERSION=1.0.0\n", ""))
    assert "image: openlmis/cce:1.0.1  # pinned" in compose


def test_a_national_build_is_taken_from_the_operator():
    compose, env = applied(
        COMPOSE.replace("openlmis/auth:${OL_AUTH_VERSION}", "ministry/auth:7"), images={"auth": "ministry/auth:8"}
    )
    assert "image: ministry/auth:8\n" in compose
    assert "OL_AUTH_VERSION=3.2.0" in env


@pytest.mark.parametrize(
    ("image", "env", "wanted", "image_after", "env_after"),
    [
        # a registry in a variable
        (
            "${REG}/auth:${TAG}",
            "REG=m.example/x\nTAG=1\n",
            "m.example/x/auth:2",
            "${REG}/auth:${TAG}",
            "REG=m.example/x\nTAG=2\n",
        ),
        ("${REG}/auth:1", "REG=m.example/x\n", "m.example/x/auth:2", "${REG}/auth:2", "REG=m.example/x\n"),
        # the whole reference in a variable
        (
            "${AUTH}",
            "export AUTH='ministry/auth:1' # ours\n",
            "ministry/auth:2",
            "${AUTH}",
            "export AUTH='ministry/auth:2' # ours\n",
        ),
        # a default, and no variable
        ("openlmis/auth:${TAG:-3.2.0}", "", None, "openlmis/auth:${TAG:-4.0.0}", ""),
        # another repository, a digest
        ("ministry/auth:1", "", "ministry2/auth:1", "ministry2/auth:1", ""),
        ("ministry/auth:1", "", "ministry/auth:2@sha256:" + 64 * "a", "ministry/auth:2@sha256:" + 64 * "a", ""),
    ],
)
def test_the_change_is_made_where_the_site_writes_it(image, env, wanted, image_after, env_after):
    text = "services:\n  auth:\n    image: %s\n"
    rendered_env = env.replace("export ", "")
    services = deployment.services_of(render(text % image, rendered_env), yaml.safe_load(text % image), RELEASE)
    texts = {"/srv/docker-compose.yml": text % image, "/srv/.env": env}
    planned = edits.plan_edits(texts, "/srv/.env", services, RELEASE, {"auth": wanted} if wanted else {})
    after, _made = edits.apply(texts, [edit.told() for edit in planned])
    assert after == {"/srv/docker-compose.yml": text % image_after, "/srv/.env": env_after}


def test_a_service_that_is_built_here_is_not_edited():
    text = "services:\n  auth:\n    build: .\n  nginx:\n    image: openlmis/nginx:4\n"
    assert plan(text, "", {"auth": "ministry/auth:8"}) == []


def test_an_option_used_outside_the_release_s_list_is_left_alone():
    text = COMPOSE.replace(
        "openlmis/cce:1.0.0-SNAPSHOT  # pinned",
        f"openlmis/cce:1\n    environment:\n      JAVA_OPTS: {DROPPED} -x",
    )
    assert applied(text)[0].count("filesystem:/demo-data") == 2


def test_an_option_in_a_comment_stays():
    text = COMPOSE + f"#  old: {DROPPED} -x\n"
    assert applied(text)[0].count(DROPPED) == 1


def test_a_site_with_a_redis_of_its_own_gets_no_other():
    text = COMPOSE.replace(
        "OL_REQUISITION_VERSION}\n", "OL_REQUISITION_VERSION}\n    environment: {REDIS_URL: cache.example}\n"
    )
    assert "redis:3.2.12" not in applied(text)[0]
    assert "redis:3.2.12" not in applied(COMPOSE.replace("requisition", "other"))[0]


def test_prepared_files_are_put_where_they_differ(tmp_path):
    src, prepared = tmp_path / "src", tmp_path / "prepared"
    for folder in (src, prepared / "config"):
        folder.mkdir(parents=True)
    with pytest.raises(
        OperationError,
        match=r"There is no file in .*; the deployment's files as the new release needs them are expected",
    ):
        edits.plan_prepared(str(src), str(prepared))
    (src / ".env").write_text("A=1\n")
    (src / "docker-compose.yml").write_text("services: {}")
    (prepared / ".env").write_bytes(b"A=2 # M\xe9xico\n")
    (prepared / "docker-compose.yml").write_text("services: {}")
    (prepared / "config" / "new.conf").write_text("x")
    planned = edits.plan_prepared(str(src), str(prepared))
    assert [edit.summary for edit in planned] == [".env: replaced as prepared", "config/new.conf: added as prepared"]
    assert edits.contents_after([edit.told() for edit in planned]) == {
        str(src / ".env"): b"A=2 # M\xe9xico\n",
        str(src / "config/new.conf"): b"x",
    }


def test_bytes_that_are_no_utf_8_survive(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"# Mo\xe7ambique\nOL_AUTH_VERSION=3.2.0\n")
    edit = {"path": str(path), "regexp": "3.2.0", "replace": "4.0.0", "summary": ""}
    assert edits.contents_after([edit]) == {str(path): b"# Mo\xe7ambique\nOL_AUTH_VERSION=4.0.0\n"}
