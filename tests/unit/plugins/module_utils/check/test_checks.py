# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import pathlib
import re

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.check import checks
from ansible_collections.openlmis.operations.plugins.module_utils.check.checks_server import version_tuple
from ansible_collections.openlmis.operations.plugins.module_utils.check.finding import OK, REFUSED, WARNING
from ansible_collections.openlmis.operations.plugins.module_utils.host import server

SERVICE = {
    "image": "openlmis/auth:3.2.0",
    "component": "auth",
    "ui": False,
    "target_image": "openlmis/auth:4.0.0",
    "running_image": "openlmis/auth:3.2.0",
    "stale": True,
    "profiles": ["production"],
    "schema": "auth",
    "uses_database": False,
    "kind": "component",
    "status": "running",
    "oom_killed": False,
    "restart_count": 0,
    "restart_policy": "",
}
UI = dict(SERVICE, image="openlmis/reference-ui:5.0.7", component="reference-ui", ui=True, schema="")
DATABASE_SERVICE = dict(
    SERVICE, image="openlmis/postgres:9.6-postgis", component=None, schema="", stale=False, kind="database"
)
FACTS = {
    "state": "start",
    "release": "3.3.1",
    "releases": ["3.4.0", "3.3.0", "3.3.1"],
    "release_target": "3.4.0",
    "begun_from": "3.3.1",
    "services": {"auth": SERVICE, "cce": dict(SERVICE, component="cce"), "reference-ui": UI, "db": DATABASE_SERVICE},
    "database_groups": [["auth", "cce"]],
    "unrendered": {},
    "project": {"deployed": ["/opt/lmis/.env"]},
    "database": {
        "error": None,
        "name": "open_lmis",
        "host": "db",
        "server_service": "db",
        "sessions": {"auth": 10},
        "other_sessions": {},
        "elsewhere": {},
        "seen_from": "172.18.0.1",
        "server_version": "9.6.24",
        "size": 8 << 20,
        "user": "postgres",
        "read_only": False,
        "may_create_schema": True,
        "container": "abc",
        "service": "db",
        "mounts": {"/var/lib/postgresql/data": "0123456789abcdef"},
        "duplicate_program_orderables": 0,
        "users": 300,
        "users_without_details": None,
    },
    "histories": {
        "auth": {
            "applied": 9,
            "newest": "20180320172415321",
            "missing": ["20180613120215847"],
            "out_of_order": [],
            "failed": [],
            "releases": ["3.3.0", "3.3.1"],
        }
    },
    "images_to_pull": [],
    "edits": [{"path": "/opt/lmis/.env", "summary": ".env: OL_AUTH_VERSION 3.2.0 -> 4.0.0"}],
    # What upgrade_check adds.
    "outlook": {
        "project": "openlmis",
        "called": "openlmis",
        "files": ["/opt/lmis/docker-compose.yml"],
        "files_chosen": False,
        "started_with": [],
        "prepared": False,
        "components": ["auth", "cce", "reference-ui"],
        "strangers": [],
        "after": {"changes": 1, "left": [], "other": [], "unprotected": [], "other_database": [], "differences": []},
    },
    "docker": {"engine": "20.10.24+dfsg1", "compose": "2.26.1-4"},
    "images": {},
    "named": {},
    "user_interface": "reference-ui",
    "compose_profiles": [],
    "base_url": "https://lmis.example.org",
    "staging": False,
    "without_way_back": False,
    "discard_files": [],
    "rendered": {
        "profiles": {"auth": ["production"], "cce": ["production"], "reference-ui": []},
        "profile_places": {},
        "lost_profiles": {},
        "without_url": [],
        "included_by": {},
        "url_ends": {},
        "require_ssl": ["nginx"],
        "base_urls": {"https://lmis.example.org": ["auth", "cce"]},
        "mail_hosts": {"mail.example.org": ["notification"]},
        "moved_tags": {},
    },
    "live": {
        "environment": [],
        "named": {"options": [], "same": True, "rendered": ""},
        "started_elsewhere": [],
        "names_taken": {},
        "copied": "",
        "database": {
            "foreign_tables": {},
            "unreadable_tables": [],
            "long_transactions": [],
            "transfer_hosts": ["ftp.example.org"],
        },
        "seconds_up": {"auth": 86400},
        "made_anew": {},
        "container_files": {},
        "volume_files": {},
        "registrations": {"asked": True, "stale": [], "error": ""},
        "unreached": "",
        "memory": {"available": 8 << 30, "held": 0, "wanted": 6 << 30, "jvms": 10},
        "room": [{"path": "/var", "free": 9 << 20, "needs": [("the backup", 8 << 20)]}],
        "dump": {"found": "that of the database's own image", "problem": ""},
        "deployed_from": {"signs": []},
        "answers": {"auth": {"version": "3.2.0", "problem": ""}},
        "ui_problem": "",
        "login": {"username": "admin", "problem": ""},
    },
}


def changed(path, value):
    """FACTS with one value changed; the path's parts are separated by a slash."""
    facts = copy.deepcopy(FACTS)
    *parents, last = path.split("/")
    place = facts
    for part in parents:
        place = place[part]
    place[last] = value
    return facts


def outcome(facts, check):
    return next(finding for finding in checks.findings(facts, False) if finding.check == check)


def refused(facts, resumed=False):
    return [finding.check for finding in checks.findings(facts, resumed) if finding.status == REFUSED]


def test_a_healthy_server_is_refused_and_warned_of_nothing():
    assert [finding for finding in checks.findings(FACTS, False) if finding.status != OK] == []
    assert [finding.check for finding in checks.findings(FACTS, False)] == list(checks.CHECKS)
    assert all(finding.found for finding in checks.findings(FACTS, False))


FOREIGN = {"lmis_owner": ["auth.auth_users"]}
MEANS = {"name": "openlmis/postgres:9.6-postgis", "runs": "sha256:aaaaaaaaaaaaaaaa", "means": "sha256:bbbbbbbbbbbbbbbb"}
NATIONAL = dict(UI, image="moh/ui:1.2", target_image=None)
FULL = {"path": "/var", "free": 8 << 20, "needs": [("the backup", 8 << 20)]}
WAY_BACK = {"may_create_database": False, "owns_database": False, "owner": "rdsadmin"}
UNPUBLISHED = {
    "asked": True,
    "stale": [],
    "error": "consul publishes its port to nobody: run this on the Docker host.",
    "elsewhere": True,
}
DOLLAR = {
    "key": "MAIL_PASSWORD",
    "place": "settings.env line 40",
    "services": ["notification"],
    "dollar": True,
    "variable": "",
}

LEFT_OUT = {
    "image": "openlmis/cce:1.0.0",
    "container_name": "lmis-cce-1",
    "component": "cce",
    "uses_database": False,
    "running": True,
    "kind": "component",
}
SAME_TAG = {
    "service": "db",
    "place": "image",
    "before": "openlmis/postgres:3.2.0",
    "after": "openlmis/postgres:4.0.0",
    "raw": "openlmis/postgres:${V}",
}
UNSET = {"key": "LOCALE", "place": "", "services": ["auth"], "dollar": False, "variable": "OL_LOCALE"}

OTHERWISE = {"options": ["settings_file"], "same": False, "rendered": "a at b"}

# What arms a trap: the fact, the check that has to refuse, and words of the evidence and of the remedy.
REFUSALS = [
    ("docker", {"engine": "19.03.8", "compose": "2.26.1"}, "docker", "Docker Engine 19.03.8", "Update them"),
    ("docker", {"engine": "20.10.24", "compose": "2.17.3"}, "docker", "Compose 2.17.3", "Update them"),
    ("database/error", "It does not answer. Expected it to: start it.", "database", "It does not answer.", "start it"),
    (
        "outlook/started_with",
        ["/opt/lmis/mw.yml"],
        "compose files",
        "/opt/lmis/mw.yml",
        "openlmis_compose_files: [/opt/lmis/mw.yml]",
    ),
    ("outlook/strangers", ["front"], "change of versions", "openlmis_images names front", "openlmis_components"),
    ("database/read_only", True, "database", "it is read-only", "openlmis_login_host"),
    (
        "database/may_create_schema",
        False,
        "database",
        "may not create a schema",
        'GRANT CREATE ON DATABASE "open_lmis" TO "postgres"',
    ),
    ("database/mounts", {}, "database volume", "the data is in the container itself", "named volume"),
    (
        "histories/auth/failed",
        ["20180613120215847"],
        "failed migrations",
        "auth.schema_version has 20180613120215847",
        "DELETE",
    ),
    ("database/duplicate_program_orderables", 2, "program orderables", "2 pairs", "Deactivate"),
    ("live/database/clashing_auth_users", 3, "auth users", "3 users", "new ids"),
    (
        "live/database/foreign_tables",
        FOREIGN,
        "privileges",
        "lmis_owner owns auth.auth_users",
        'GRANT "lmis_owner" TO "postgres"',
    ),
    ("live/database/unreadable_tables", ["moh.notes"], "privileges", "may not read moh.notes", "GRANT SELECT"),
    (
        "rendered/profiles/cce",
        ["demo-data", "refresh-db"],
        "production profile",
        "cce renders with demo-data,refresh-db",
        "docker compose config",
    ),
    (
        "rendered/profiles/cce",
        [],
        "production profile",
        "cce renders with no profile",
        "spring_profiles_active=production",
    ),
    (
        "rendered/lost_profiles",
        {"hapifhir": {"renders": [], "variables": ["P"]}},
        "production profile",
        "hapifhir's container has it",
        "{P: production}",
    ),
    ("rendered/without_url", ["cce"], "database URL", "cce render no DATABASE_URL", "env_file"),
    (
        "unrendered",
        {"cce": LEFT_OUT},
        "services",
        "cce (openlmis/cce:1.0.0, a component): the container runs",
        "docker rm --force lmis-cce-1",
    ),
    ("live/named", OTHERWISE, "database in use", "given another one: a at b", "Leave openlmis_settings_file"),
    (
        "live/started_elsewhere",
        ["cce"],
        "database in use",
        "cce were started with another DATABASE_URL",
        "docker inspect",
    ),
    (
        "live/names_taken",
        {"db": "lmis-db, of no Compose project"},
        "container names",
        "as a container that is there: lmis-db",
        "docker rm lmis-db",
    ),
    ("live/copied", "The files were not all copied. Fix that", "copy of the files", "not all copied", "Fix that"),
    (
        "outlook/after/differences",
        [SAME_TAG],
        "change of versions",
        "db would run openlmis/postgres:4.0.0 and not",
        "image: openlmis/postgres:3.2.0 for db",
    ),
    (
        "live/environment",
        [UNSET],
        "settings",
        "OL_LOCALE is not set here",
        "openlmis_compose_environment: {OL_LOCALE: ",
    ),
    (
        "database_groups",
        [["auth"], ["cce"]],
        "database URL",
        "in these groups: auth; cce",
        "remove what sets one apart",
    ),
    ("database_groups", [], "database URL", "no component renders a DATABASE_URL", "Set DATABASE_URL"),
    (
        "rendered/url_ends",
        {"sslmode=require": ["auth"]},
        "end of database URL",
        "ends in sslmode=require of auth",
        "&ApplicationName",
    ),
    (
        "live/environment",
        [DOLLAR],
        "settings",
        "MAIL_PASSWORD (settings.env line 40) for notification",
        "every $ as $$",
    ),
    ("base_url", "http://lmis.example.org", "https", "nginx renders REQUIRE_SSL=true", "https address"),
    ("images", {"ref-ui": "x:1"}, "images", "names ref-ui", "Correct the name"),
    ("images", {"cce": "keep"}, "images", "keeps the image of cce, which keeps a schema", "openlmis_images: {cce:"),
    ("services/cce/target_image", None, "images", "cce runs openlmis/auth:3.2.0", "openlmis_images: {cce:"),
    (
        "services/reference-ui",
        NATIONAL,
        "national UI",
        "reference-ui runs moh/ui:1.2",
        "openlmis_images: {reference-ui: '<image>:<tag>'}",
    ),
    (
        "services/reference-ui",
        dict(NATIONAL, component=None, ui=False),
        "national UI",
        "runs moh/ui:1.2",
        "openlmis_components: {reference-ui: ",
    ),
    (
        "rendered/moved_tags",
        {"db": MEANS},
        "moved tags",
        "means sha256:bbbb",
        "docker tag sha256:aaaaaaaaaaaa openlmis/postgres:9.6-postgis",
    ),
    ("services/auth/status", "exited", "containers", "auth is exited", "docker compose ps"),
    ("live/unreached", "the container of auth does not reach it", "base URL", "the container of auth", "firewall"),
    (
        "live/answers",
        {"auth": {"version": "", "problem": "answers 502"}},
        "answers",
        "auth: answers 502",
        "logs of those services",
    ),
    ("live/ui_problem", "/openlmis.js is empty", "answers", "/openlmis.js is empty", "found no network"),
    ("live/room", [FULL], "room", "8 MiB free at /var for the backup (8 MiB)", "openlmis_backup_dir"),
    ("live/registrations", UNPUBLISHED, "registrations", "consul publishes its port to nobody", ""),
    (
        "live/dump",
        {"found": "", "problem": "pg_dump 15 is expected. Install it"},
        "pg_dump",
        "pg_dump 15",
        "Install it",
    ),
    (
        "live/login",
        {"username": "admin", "problem": "cannot log in at http://x: answers 400"},
        "login",
        "admin cannot log in",
        "openlmis_admin_password",
    ),
    (
        "live/login",
        {"username": None, "problem": "openlmis_base_url is not set"},
        "login",
        "openlmis_base_url is not set",
        "Set or correct",
    ),
]
WARNINGS = [
    ("histories/auth/out_of_order", ["1"], "migration order", "auth would silently skip 1 (1)", "out-of-order"),
    (
        "live/database/long_transactions",
        [{"what": "psql", "user": "bi", "seconds": 7200}],
        "open transactions",
        "psql of bi, open for 120 min",
        "end it",
    ),
    (
        "live/database/way_back",
        WAY_BACK,
        "way back",
        "postgres may not create databases",
        "Grant it for the time of the upgrade",
    ),
    (
        "live/environment",
        [dict(DOLLAR, dollar=False)],
        "settings",
        "other values than Compose renders: MAIL_PASSWORD",
        "files' values",
    ),
    (
        "base_url",
        "https://www.example.org",
        "base URL",
        "https://lmis.example.org for auth, cce",
        "Set openlmis_base_url",
    ),
    ("images", {"reference-ui": "keep"}, "national UI", "reference-ui keeps its image", "profiles"),
    (
        "images",
        {"reference-ui": "openlmis/reference-ui:5.0.7"},
        "national UI",
        "reference-ui keeps its image",
        "profiles",
    ),
    ("outlook/called", "other", "project name", "a second, empty server called other", "COMPOSE_PROJECT_NAME=openlmis"),
    ("rendered/moved_tags", {"nginx": MEANS}, "moved tags", "nginx runs sha256:aaaa", "docker tag"),
    ("services/auth/restart_policy", "always", "restart policy", "auth restart by themselves", "crash loop"),
    (
        "live/deployed_from/signs",
        ["the files are a git checkout of x, branch main"],
        "next deployment",
        "git checkout of x",
        "commit",
    ),
    (
        "live/made_anew",
        {"db": "1.29.2"},
        "containers made anew",
        "db (made by Compose 1.29.2)",
        "database is started before",
    ),
    (
        "live/container_files",
        {"auth": ["/data/upload.csv"]},
        "data in containers",
        "auth holds /data/upload.csv",
        "docker cp",
    ),
    (
        "live/volume_files",
        {"nginx": "c" * 64},
        "data in containers",
        "nginx holds files in the anonymous volume cccccccccccc",
        "docker cp",
    ),
    (
        "live/registrations",
        {"asked": True, "stale": ["auth-10.0.0.2"], "error": ""},
        "registrations",
        "consul has auth-10.0.0.2",
        "taken back",
    ),
    (
        "live/registrations",
        {"asked": True, "stale": [], "error": "It does not answer."},
        "registrations",
        "It does not answer.",
        "anew",
    ),
    (
        "live/memory",
        {"available": 1 << 30, "held": 0, "wanted": 6 << 30, "jvms": 10},
        "memory",
        "1024 MiB for 10 components",
        "swap",
    ),
]


@pytest.mark.parametrize(("path", "value", "check", "evidence", "remedy"), REFUSALS)
def test_an_armed_trap_is_refused_with_evidence_and_remedy(path, value, check, evidence, remedy):
    facts = changed(path, value)
    assert refused(facts)
    assert outcome(facts, check).status == REFUSED
    assert evidence in outcome(facts, check).sentence()
    assert remedy in outcome(facts, check).sentence()


@pytest.mark.parametrize(("path", "value", "check", "evidence", "remedy"), WARNINGS)
def test_what_the_run_gets_over_is_a_warning_with_evidence_and_remedy(path, value, check, evidence, remedy):
    facts = changed(path, value)
    assert [(one.check, one.status) for one in checks.findings(facts, False) if one.status != OK] == [(check, WARNING)]
    assert evidence in outcome(facts, check).sentence()
    assert remedy in outcome(facts, check).remedy


def test_every_check_can_say_something_else_than_ok():
    armed = {one[2] for one in REFUSALS + WARNINGS} | {"start release", "real people"}
    assert set(checks.CHECKS) - armed == set()


# -- those that look at more than one fact -------------------------------------------------------------------------


def test_sessions_say_more_than_what_a_container_was_started_with():
    facts = changed("live/started_elsewhere", ["auth"])
    assert outcome(facts, "database in use").found == "open_lmis at db: sessions of auth are in it"
    facts["database"]["sessions"] = {}
    assert outcome(facts, "database in use").status == REFUSED
    facts["live"]["started_elsewhere"], facts["database"]["elsewhere"] = [], {"other": ["auth", "superset"]}
    assert "sessions of auth are in the database other" in outcome(facts, "database in use").found


def test_the_profile_names_what_comes_before_the_settings_file():
    facts = changed("rendered/profiles/cce", [])
    facts["rendered"]["profile_places"] = {"cce": ["docker-compose.override.yml line 4", "settings.env line 15"]}
    found = "cce renders with no profile (docker-compose.override.yml line 4, which comes before settings.env line 15)"
    assert found in outcome(facts, "production profile").found


def test_a_service_that_only_looks_like_a_user_interface():
    facts = changed("services/reference-ui", dict(NATIONAL, component=None, ui=False))
    facts["named"] = {"reference-ui": ""}
    assert outcome(facts, "national UI").found == "this project has no user interface"


def test_a_container_that_was_restarted_long_ago_is_steady():
    facts = changed("services/auth/restart_count", 9)
    assert outcome(facts, "containers").status == OK
    facts["live"]["seconds_up"]["auth"] = 12
    assert outcome(facts, "containers").status == REFUSED
    assert "auth restarts again and again: 9 times, the last 12 s ago" in outcome(facts, "containers").found


def test_files_in_a_container_that_compose_makes_anew_are_refused_unless_they_may_be_lost():
    facts = changed("live/made_anew", {"ftp": "1.29.2"})
    facts["live"]["container_files"] = {"ftp": ["/home/vsftpd/orders/ORDER-1.csv"]}
    assert outcome(facts, "data in containers").status == REFUSED
    assert "ftp holds /home/vsftpd/orders/ORDER-1.csv" in outcome(facts, "data in containers").found
    assert "openlmis_discard_container_files: [ftp]" in outcome(facts, "data in containers").remedy
    facts["discard_files"] = ["ftp"]
    assert outcome(facts, "data in containers").status == OK


def test_a_server_that_was_begun_by_hand_and_only_lacks_contact_details_may_be_finished():
    facts = changed("release", "3.4.0")
    facts["state"] = "between"
    facts["database"]["users_without_details"] = 290
    facts["live"]["database"]["differing_details"] = 4
    finding = outcome(facts, "start release")
    assert finding.status == WARNING
    assert ".env: OL_AUTH_VERSION 3.2.0 -> 4.0.0; auth runs openlmis/auth:3.2.0" in finding.found
    assert "290 of 300 users have no contact details; 4 have another e-mail address there" in finding.found
    facts["services"]["auth"]["status"] = "exited"
    assert outcome(facts, "containers").status == WARNING


@pytest.mark.parametrize("begun_from", ["3.3.1", None])
def test_a_mix_is_refused_with_a_table(begun_from):
    facts = changed("release", None)
    facts.update(state="between", begun_from=begun_from)
    facts["histories"]["cce"] = {
        "applied": 12,
        "newest": None,
        "missing": [],
        "out_of_order": [],
        "failed": [],
        "releases": [],
    }
    facts["histories"]["auth"]["releases"] = []
    finding = outcome(facts, "start release")
    assert finding.status == REFUSED
    assert ("openlmis_without_way_back=true" in finding.remedy) == bool(begun_from)
    assert finding.details == (
        "schema  applied  newest             is that of",
        "auth    9        20180320172415321  between releases: 1 of 3.4.0's missing",
        "cce     12       -                  more than 3.4.0",
    )
    facts["without_way_back"] = True
    assert outcome(facts, "start release").status == (WARNING if begun_from else REFUSED)


def test_a_finished_server_is_ok():
    facts = changed("state", "target")
    facts["release"] = "3.4.0"
    assert outcome(facts, "start release").found == "every schema, image and contact detail is at 3.4.0 already"


def test_a_staging_server_that_reaches_real_people_is_refused():
    facts = changed("staging", True)
    found = outcome(facts, "real people")
    assert found.status == REFUSED
    assert (
        "MAIL_HOST is mail.example.org for notification; fulfillment.transfer_properties sends orders to"
        " ftp.example.org" in found.found
    )
    facts["live"]["database"]["transfer_hosts"] = []
    assert outcome(facts, "real people").status == REFUSED
    facts["mail_hosts"] = ["mail.example.org"]
    assert outcome(facts, "real people").status == OK
    facts["rendered"]["mail_hosts"], facts["mail_hosts"] = {}, []
    assert outcome(facts, "real people").status == OK


# -- a run that was cut off ----------------------------------------------------------------------------------------

# How a run that was cut off leaves the facts, by the step behind which it was cut.
CUT_OFF = {
    "maintenance_on": {"services/auth/restart_policy": "no"},
    "stop": {"services/auth/status": "missing", "services/auth/running_image": None, "services/auth/stale": False},
    "set_versions": {"services/auth/image": "openlmis/auth:4.0.0", "edits": [], "services/auth/status": "missing"},
    "start": {
        "release": None,
        "state": "between",
        "services/auth/status": "exited",
        "histories/auth/out_of_order": ["1"],
    },
    "migrations": {
        "release": None,
        "state": "between",
        "histories/auth/failed": ["1"],
        "database/duplicate_program_orderables": 1,
    },
    "copy": {"release": "3.4.0", "state": "between", "database/users_without_details": 300},
    "maintenance_off": {"release": "3.4.0", "state": "target", "database/users_without_details": 0, "edits": []},
}


@pytest.mark.parametrize("step", CUT_OFF)
def test_a_run_that_was_cut_off_is_not_refused_for_what_it_did_itself(step):
    facts = copy.deepcopy(FACTS)
    # A resumed check asks nothing of what its own steps have changed.
    del facts["live"]
    for path, value in CUT_OFF[step].items():
        *parents, last = path.split("/")
        place = facts
        for part in parents:
            place = place[part]
        place[last] = value
    assert refused(facts, resumed=True) == []


def test_a_resumed_run_is_held_to_the_invariants():
    assert [finding.check for finding in checks.findings(FACTS, True)] == [
        name for name in checks.CHECKS if name in checks.INVARIANTS
    ]
    facts = changed("services/auth/status", "exited")
    facts["release"] = None
    facts["rendered"]["profiles"]["cce"] = []
    assert refused(facts, resumed=True) == ["production profile"]


# -- the page that lists them --------------------------------------------------------------------------------------


def rows_of_the_page():
    page = (
        next(parent for parent in pathlib.Path(__file__).resolve().parents if (parent / "galaxy.yml").exists())
        / "docs"
        / "checks.md"
    )
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return page.parent.parent, [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_every_check_and_no_other():
    _root, rows = rows_of_the_page()
    named = [name for row in rows for name in re.findall(r"^`([^`]+)`", row[1])]
    assert named == list(checks.CHECKS)


def test_the_page_has_every_trap():
    _root, rows = rows_of_the_page()
    traps = {int(number) for row in rows for number in re.findall(r"\d+", re.match(r"[\d, ]*", row[0])[0])}
    assert traps == set(range(1, 21))


def test_every_test_that_the_page_names_is_there():
    root, rows = rows_of_the_page()
    named = [test for row in rows for test in re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", row[-1])]
    assert len(named) >= len(checks.CHECKS)
    files = {path.name: path.read_text(encoding="utf-8") for path in (root / "tests").rglob("test_*.py")}
    assert [one for one in named if one[0] not in files or f"def {one[1]}" not in files[one[0]]] == []


# -- the server's state --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("20.10.24+dfsg1", (20, 10, 24)), ("2.26.1-4", (2, 26, 1, 4)), ("29.0.1", (29, 0, 1)), ("", ())],
)
def test_versions(text, numbers):
    assert version_tuple(text) == numbers


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "start"),
        ({"release": None}, "between"),
        ({"release": "3.4.0"}, "between"),
    ],
)
def test_state(changes, state):
    assert server.state_of(dict(FACTS, **changes)) == state


def test_state_is_target_only_when_nothing_is_left():
    facts = copy.deepcopy(dict(FACTS, release="3.4.0", edits=[]))
    facts["database"]["users_without_details"] = 0
    for service in facts["services"].values():
        service["running_image"] = service["target_image"]
    assert server.state_of(facts) == "target"
    assert server.state_of(dict(facts, edits=[{"summary": "x"}])) == "between"
    facts["database"]["users_without_details"] = 1
    assert server.state_of(facts) == "between"
    facts["database"]["users_without_details"] = 0
    facts["services"]["auth"]["running_image"] = "openlmis/auth:3.2.0"
    assert server.state_of(facts) == "between"


KNOWN = {"3.4.0": {"auth": "2", "cce": "2"}, "3.3.0": {"auth": "0", "cce": "1"}, "3.3.1": {"auth": "1", "cce": "1"}}
FLYWAY = {
    "auth": {"versions": {"0": ["10"], "1": ["10", "30"], "2": ["10", "20", "30", "40"], "9": ["50"]}},
    "cce": {"versions": {"1": ["10"], "2": ["10", "20"]}},
}


@pytest.mark.parametrize(
    ("histories", "begun"),
    [
        ({"auth": ["10", "30", "40"], "cce": ["10"]}, "3.3.1"),
        ({"auth": ["10", "20"], "cce": ["10", "20"]}, "3.3.0"),
        ({"auth": ["10", "30"], "cce": ["10", "20", "777"]}, "3.3.1"),
        ({"auth": ["10", "50"], "cce": ["10"]}, None),
        ({"auth": ["20"], "cce": ["10"]}, None),
        ({"auth": ["10", "30"]}, "3.3.1"),
        ({}, None),
    ],
)
def test_where_an_upgrade_was_begun(histories, begun):
    assert server.begun_from(histories, KNOWN, FLYWAY) == begun
