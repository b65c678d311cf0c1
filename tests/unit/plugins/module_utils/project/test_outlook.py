# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from ansible_collections.openlmis.operations.plugins.module_utils.docker import compose
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment, outlook

LABEL = "com.docker.compose.project."


def container(created, files, folder="/srv"):
    labels = {LABEL + "config_files": files, LABEL + "working_dir": folder} if files else {}
    return SimpleNamespace(labels=labels, attrs={"Created": created})


def test_the_newest_container_tells_the_files(tmp_path):
    for name in ("docker-compose.yml", "mw.yml"):
        (tmp_path / name).write_text("")
    containers = [
        container("2026-01-02T00:00:00.1Z", f"docker-compose.yml,{tmp_path}/mw.yml,/gone/volume.yml", str(tmp_path)),
        container("2026-01-01T00:00:00.1Z", "docker-compose.yml", str(tmp_path)),
        container("2026-01-03T00:00:00.1Z", ""),
    ]
    assert outlook.started_with(containers) == [f"{tmp_path}/docker-compose.yml", f"{tmp_path}/mw.yml"]
    assert outlook.started_with(containers[2:]) == []


def test_the_changed_files_lie_among_links_to_the_others(tmp_path):
    src = tmp_path / "openlmis"
    (src / "config" / "db").mkdir(parents=True)
    (tmp_path / "common.env").write_text("beside")
    (tmp_path.parent / "above.env").write_text("above")
    for name in (".env", "docker-compose.yml", "config/db/one.sql", "config/log.xml"):
        (src / name).write_text("old")
    (tmp_path / "link").symlink_to(src)
    changed = {
        str(tmp_path / "link" / ".env"): b"new",
        str(src / "config/db/two.sql"): b"added",
        str(src / "more" / "x"): b"deep",
    }
    expected = {
        ".env": "new",
        "docker-compose.yml": "old",
        "config/db/one.sql": "old",
        "config/db/two.sql": "added",
        "config/log.xml": "old",
        "more/x": "deep",
        "../common.env": "beside",
        "../../above.env": "above",
    }
    with outlook.as_changed(str(tmp_path / "link"), changed) as place:
        assert {name: Path(place, name).read_text() for name in expected} == expected
    assert (src / ".env").read_text() == "old"
    assert not (src / "more").exists()


RELEASE = {
    "components": {"auth": {"image": "openlmis/auth", "version": "4.0.0", "schema": "auth"}},
    "removable": [],
    "one_shot": [],
    "services_added": {"redis": {}},
    "java_options_dropped": [{"option": "-Dx=y", "services": ["auth"]}],
}
NOW = {
    "auth": {"image": "openlmis/auth:3.2.0", "environment": {"JAVA_OPTS": "-server -Dx=y -Xmx1g", "LOCALE": "pt"}},
    "db": {"image": "openlmis/postgres:3.2.0", "volumes": ["data:/data"]},
}


def differing(**changed):
    """What is told of a rendering in which services are otherwise than now."""
    after = {name: one for name, one in {**NOW, **changed}.items() if one is not None}
    services = deployment.services_of(
        {"services": NOW}, {"services": {"db": {"image": "openlmis/postgres:${V}"}}}, RELEASE
    )
    future = outlook.After({"services": after}, [], {})
    return outlook.differences({"services": NOW}, future, services, RELEASE)


def test_what_the_release_asks_for_is_no_difference():
    upgraded = {"image": "openlmis/auth:4.0.0", "environment": {"JAVA_OPTS": "-server -Xmx1g", "LOCALE": "pt"}}
    assert differing(auth=upgraded, redis={"image": "redis:3.2.12"}) == []


def test_every_other_change_is_named_without_a_value_but_of_an_image():
    database = {"image": "openlmis/postgres:4.0.0", "volumes": ["other:/data"]}
    assert differing(db=database) == [
        {
            "service": "db",
            "place": "image",
            "before": "openlmis/postgres:3.2.0",
            "after": "openlmis/postgres:4.0.0",
            "raw": "openlmis/postgres:${V}",
        },
        {"service": "db", "place": "volumes"},
    ]
    secret = {"image": "openlmis/auth:4.0.0", "environment": {"JAVA_OPTS": "-server -Xmx2g", "LOCALE": "s3cret"}}
    assert [one["place"] for one in differing(auth=secret)] == ["environment JAVA_OPTS", "environment LOCALE"]
    assert "s3cret" not in str(differing(auth=secret))
    assert differing(db=None, cache={"image": "x"}) == [
        {"service": "db", "place": "the whole service"},
        {"service": "cache", "place": "a service of its own"},
    ]


def site_ui(tmp_path, container, planned, monkeypatch):
    """The images of a country's own builds by prepared files whose user interface this container runs, or none does."""
    rendered = {"ui": {"image": "site/ui:2.0"}}
    release = {
        **RELEASE,
        "components": {"reference-ui": {"image": "openlmis/reference-ui", "version": "5.1.0"}},
        "services": {"ui": "reference-ui"},
    }
    services = deployment.services_of({"services": rendered}, {"services": rendered}, release)
    found = (
        [
            SimpleNamespace(
                labels={"com.docker.compose.service": "ui"}, status="running", attrs={"Config": {"Image": container}}
            )
        ]
        if container
        else []
    )
    monkeypatch.setattr(outlook.edits, "plan_prepared", lambda *_arguments: planned)
    monkeypatch.setattr(outlook, "as_planned", lambda *_arguments: outlook.After({}, services, {}))
    params = {"project_src": str(tmp_path), "target_files": "/prepared", "images": {}, "release": release}
    return outlook.plan(params, compose.Project("lmis", found), [], services)[1]


def test_a_user_interface_of_the_site_is_what_the_prepared_files_say_at_every_step(tmp_path, monkeypatch):
    planned = [object()]
    assert site_ui(tmp_path, "site/ui:1.0", planned, monkeypatch) == {"ui": "site/ui:2.0"}
    # Stopped, before and after the files are put in place; started, and again.
    assert site_ui(tmp_path, "", planned, monkeypatch) == {"ui": "site/ui:2.0"}
    assert site_ui(tmp_path, "", [], monkeypatch) == {"ui": "site/ui:2.0"}
    assert site_ui(tmp_path, "site/ui:2.0", [], monkeypatch) == {"ui": "site/ui:2.0"}
    # The job has left it as it is: only the operator knows whether it was built for the release.
    assert site_ui(tmp_path, "site/ui:2.0", planned, monkeypatch) == {}
