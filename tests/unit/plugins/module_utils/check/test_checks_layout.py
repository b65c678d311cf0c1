# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks_layout

OUTLOOK = {
    "project": "openlmisrefdistro",
    "called": "openlmisrefdistro",
    "files": ["/srv/docker-compose.yml"],
    "files_chosen": False,
    "started_with": ["/srv/docker-compose.yml"],
    "components": ["auth", "reference-ui"],
    "strangers": [],
    "after": {"changes": 3, "left": [], "other": [], "unprotected": [], "other_database": [], "differences": []},
    "prepared": False,
}
CHECKS = (checks_layout.check_compose_files, checks_layout.check_project_name, checks_layout.check_change)


def findings(**changed):
    """What the three checks find when something is otherwise than it should be."""
    return [
        check({"outlook": {**OUTLOOK, **changed}, "named": {"ui": "reference-ui"}, "database": {"service": "db"}})
        for check in CHECKS
    ]


def statuses(**changed):
    return [finding.status for finding in findings(**changed)]


def test_an_ordinary_server_is_ok():
    assert statuses() == ["ok", "ok", "ok"]


def test_other_files_than_those_of_the_containers_are_refused_unless_they_were_chosen():
    other = {"started_with": ["/srv/docker-compose.yml", "/srv/mw.yml"]}
    finding = findings(**other)[0]
    assert finding.status == "refused"
    assert "started with /srv/docker-compose.yml, /srv/mw.yml" in finding.found
    assert "openlmis_compose_files: [/srv/docker-compose.yml, /srv/mw.yml]" in finding.remedy
    assert statuses(**other, files_chosen=True) == ["warning", "ok", "ok"]
    assert statuses(started_with=[]) == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("called", "said"), [("openlmis-ref-distro", "a second, empty server"), (None, "refuses the name")]
)
def test_a_name_that_compose_would_not_find_is_warned_of(called, said):
    finding = findings(called=called)[1]
    assert finding.status == "warning"
    assert said in finding.found
    assert "COMPOSE_PROJECT_NAME=openlmisrefdistro" in finding.remedy


def test_an_image_for_what_is_no_component_is_refused():
    finding = findings(strangers=["front"])[2]
    assert finding.status == "refused"
    assert finding.expected.endswith("auth, reference-ui")
    assert "openlmis_components: {ui: reference-ui, front: '<component>'}" in finding.remedy


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"left": ["docker-compose.yml: service redis (redis:3.2.12) added"]}, "service redis"),
        ({"other": ["auth openlmis/auth:3.2.0"]}, "auth openlmis/auth:3.2.0 would still run"),
        ({"unprotected": ["auth"]}, "auth would start without the profile production and DROP its whole schema"),
        ({"other_database": ["auth"]}, "auth would have another DATABASE_URL"),
    ],
)
def test_what_would_be_wrong_after_the_change_is_refused(changed, said):
    finding = findings(after={**OUTLOOK["after"], **changed})[2]
    assert finding.status == "refused"
    assert said in finding.found
    assert finding.remedy


PORT = {"service": "nginx", "place": "ports"}


def test_a_change_of_what_the_release_does_not_ask_for_is_refused():
    finding = findings(after={**OUTLOOK["after"], "differences": [PORT]})[2]
    assert finding.status == "refused"
    assert "nginx: ports" in finding.found
    assert "openlmis_target_files" in finding.remedy


def test_a_job_may_change_more_in_prepared_files_but_not_the_database():
    finding = findings(after={**OUTLOOK["after"], "differences": [PORT]}, prepared=True)[2]
    assert (finding.status, "nginx: ports" in finding.found) == ("warning", True)
    assert (
        findings(
            after={**OUTLOOK["after"], "differences": [PORT, {"service": "db", "place": "volumes"}]}, prepared=True
        )[2].status
        == "refused"
    )
