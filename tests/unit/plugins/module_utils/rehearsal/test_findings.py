# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import pathlib

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.check import evidence_deployment
from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import OK, REFUSED
from ansible_collections.openlmis.operations.plugins.module_utils.project import deployment
from ansible_collections.openlmis.operations.plugins.module_utils.rehearsal import findings as rehearsing

IDENTITY = {
    "name": "open_lmis",
    "oid": 16385,
    "system_identifier": "7",
    "mounts": {"/var/lib/postgresql/data": "staging"},
}
MANIFEST = {
    "run": "20261120T010203Z",
    "release": "3.3.1",
    "base_url": "https://lmis.example.org",
    "created": "2026-11-20T01:02:03.000",
    "database": {"identity": {**IDENTITY, "system_identifier": "6"}},
}
GOOD = {
    "staging": True,
    "dump": {"path": "/srv/dump", "kind": "backup", "size": 5 << 20, "manifest": MANIFEST},
    "backup_dir": "/var/backups/openlmis",
    "base_url": "https://staging.lmis.example.org",
    "production_base_url": None,
    "rendered": {"base_urls": {"https://staging.lmis.example.org": ["auth"]}, "mail_hosts": {}},
    "database": {"error": None, "name": "open_lmis", "host": "db", "identity": IDENTITY},
    "mail_hosts": [],
    "run": "",
    "release": "3.3.1",
    "starts": {"3.3.0": {}, "3.3.1": {}},
}


def changed(*path):
    """The good facts with one value, the last of the path, put in at the others."""
    facts = copy.deepcopy(GOOD)
    *place, last, value = path
    inner = facts
    for key in place:
        inner = inner[key]
    inner[last] = value
    return facts


def refused(facts):
    return {finding.check: finding.found for finding in rehearsing.findings(facts) if finding.status != OK}


def test_a_good_server_may_have_the_copy():
    assert refused(GOOD) == {}
    assert {finding.status for finding in rehearsing.findings(GOOD)} == {OK}


ARMED = {
    "staging": (changed("staging", False), "openlmis_staging is not set"),
    "dump": (changed("backup_dir", "/srv/"), "where this server's own backups are"),
    "another address": (changed("base_url", "http://LMIS.example.org/"), "so is production's"),
    "another database": (changed("dump", "manifest", "database", "identity", IDENTITY), "is the one that was dumped"),
    "mail": (
        changed("rendered", "mail_hosts", {"smtp.example.org": ["notification"]}),
        "mail of notification goes to smtp.example.org",
    ),
    "no run under way": (changed("run", "20261121T010203Z"), "run 20261121T010203Z is under way"),
    "release": (changed("release", "3.4.0"), "this server runs 3.4.0"),
}


@pytest.mark.parametrize("check", ARMED)
def test_each_trap_alone_is_refused_with_what_was_found_expected_and_to_be_done(check):
    facts, words = ARMED[check]
    assert words in refused(facts)[check]
    assert list(refused(facts)) == [check]
    (finding,) = (one for one in rehearsing.findings(facts) if one.check == check)
    assert finding.status == REFUSED
    assert finding.expected
    assert finding.remedy


def test_what_the_components_are_configured_with_counts_as_well_as_the_variable():
    assert list(refused(changed("rendered", "base_urls", {"https://lmis.example.org:443": ["auth"]}))) == [
        "another address"
    ]


def test_a_foreign_dump_needs_production_s_address_and_nothing_else():
    facts = changed("dump", "manifest", {})
    assert "nothing tells of which server the dump is" in refused(facts)["another address"]
    facts["production_base_url"] = "https://lmis.example.org"
    assert refused(facts) == {}
    facts["production_base_url"] = "https://staging.lmis.example.org"
    assert list(refused(facts)) == ["another address"]


def test_the_operator_s_word_on_production_s_address_counts_more_than_the_backup_s():
    facts = changed("production_base_url", "https://staging.lmis.example.org:443/")
    assert list(refused(facts)) == ["another address"]


def test_a_server_without_an_address_or_a_database_is_refused():
    facts = changed("base_url", None)
    facts["rendered"]["base_urls"] = {}
    assert list(refused(facts)) == ["another address"]
    assert refused(changed("database", "error", "It does not answer"))["another database"] == "It does not answer"


def test_another_release_than_production_s_is_refused():
    assert refused(changed("dump", "manifest", "release", "3.3.0")) == {
        "release": "this server runs 3.3.1, production 3.3.0"
    }
    assert list(refused(changed("release", None))) == ["release"]


def test_a_mail_catcher_that_is_named_is_ok():
    facts = changed("rendered", "mail_hosts", {"mailpit.example.org": ["notification"]})
    facts["mail_hosts"] = ["mailpit.example.org"]
    assert refused(facts) == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://lmis.example.org", "http://LMIS.example.org:80/", True),
        ("https://lmis.example.org", "https://lmis.example.org:8443", False),
        ("lmis.example.org", "https://lmis.example.org/", True),
        ("http://10.0.0.1:18080", "http://10.0.0.1:18081", False),
        ("http://[2001:db8::1]", "https://[2001:db8::1]:443", True),
    ],
)
def test_addresses_are_compared_by_host_and_port(one, other, same):
    assert (rehearsing.address(one) == rehearsing.address(other)) is same


def test_databases_are_compared_by_oid_and_system_identifier_else_by_place():
    other = {**IDENTITY, "mounts": {}}
    assert rehearsing.same_database(IDENTITY, other)
    hidden = {**IDENTITY, "system_identifier": None, "host": "rds.example.org", "port": 5432, "mounts": None}
    assert rehearsing.same_database(hidden, dict(hidden))
    assert not rehearsing.same_database(hidden, {**hidden, "host": "other.example.org"})


def test_every_check_is_in_the_documentation():
    page = pathlib.Path(__file__).parents[5] / "docs/rehearsal.md"
    assert [check for check in rehearsing.CHECKS if f"`{check}`" not in page.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({}, []),
        ({"MAIL_HOST": "a.org", "SPRING_MAIL_HOST": "b.org"}, ["a.org", "b.org"]),
        ({"spring.mail.host": "c.org", "MAIL_HOST": ""}, ["c.org"]),
        ({"JAVA_OPTS": "-Xmx512m -Dspring.mail.host=d.org -Dx=y"}, ["d.org"]),
    ],
)
def test_a_mail_host_is_found_in_every_way_in_which_spring_takes_it(environment, hosts):
    service = deployment.Service("notification", "", "", "notification", False, environment, True, False)
    assert evidence_deployment.mail_hosts(service) == hosts


def test_mail_of_a_service_of_the_site_s_own_is_seen_and_what_stays_here_is_not():
    services = [
        deployment.Service(name, "", "", component, True, {"MAIL_HOST": host}, False, False)
        for name, component, host in (
            ("auth", "auth", "localhost"),
            ("ours", None, "smtp.example.org"),
            ("report", "report", "ours"),
        )
    ]
    assert evidence_deployment.mail_of(services) == {"smtp.example.org": ["ours"]}
