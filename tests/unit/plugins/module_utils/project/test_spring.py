# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.openlmis.operations.plugins.module_utils.project import spring

URL = "jdbc:postgresql://db:5432/open_lmis"


@pytest.mark.parametrize(
    ("environment", "command", "expected"),
    [
        ({"spring_profiles_active": "production"}, "", ["production"]),
        ({"spring_profiles_active": "", "SPRING_PROFILES_ACTIVE": "production"}, "", []),
        ({"SPRING_PROFILES_ACTIVE": "production"}, "", ["production"]),
        ({"spring.profiles.active": "a", "SPRING_PROFILES_ACTIVE": "b"}, "", ["a"]),
        (
            {
                "spring_profiles_active": "production",
                "JAVA_OPTS": "-Xmx1g -Dspring.profiles.active=demo-data,refresh-db",
            },
            "",
            ["demo-data", "refresh-db"],
        ),
        (
            {"JAVA_TOOL_OPTIONS": "-Dspring.profiles.active=a", "JAVA_OPTS": "-Dspring.profiles.active=production"},
            "",
            ["production"],
        ),
        ({"JAVA_TOOL_OPTIONS": "-Dspring.profiles.active=production"}, "", ["production"]),
        (
            {"JAVA_OPTS": "-Dspring.profiles.active=production", "_JAVA_OPTIONS": "-Dspring.profiles.active=a"},
            "",
            ["a"],
        ),
        (
            {
                "SPRING_APPLICATION_JSON": '{"spring": {"profiles": {"active": "production"}}}',
                "JAVA_OPTS": "-Dspring.profiles.active=a",
            },
            "",
            ["production"],
        ),
        ({"SPRING_APPLICATION_JSON": '{"spring.profiles.active": "production"}'}, "", ["production"]),
        ({"SPRING_APPLICATION_JSON": "no JSON"}, "", []),
        (
            {"spring_profiles_active": "a"},
            ["java", "-jar", "x.jar", "--spring.profiles.active=production"],
            ["production"],
        ),
        ({}, ["sh", "-c", "java -Dspring.profiles.active=production -jar x.jar"], ["production"]),
        ({"JAVA_OPTS": "-Dname='unbalanced"}, "", []),
        ({}, "", []),
    ],
)
def test_profiles_are_those_that_spring_takes(environment, command, expected):
    assert spring.profiles(spring.Given(environment, spring.words_of(None, command))) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DATABASE_URL": URL, "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p"}, (URL, "u", "p")),
        ({"DATABASE_URL": "x", "SPRING_DATASOURCE_URL": URL, "SPRING_DATASOURCE_USERNAME": "u"}, (URL, "u", "")),
        ({"JAVA_OPTS": "-DDATABASE_URL=%s -Dspring.datasource.password=p" % URL}, (URL, "", "p")),
        ({"SPRING_APPLICATION_JSON": json.dumps({"spring": {"datasource": {"url": URL}}})}, (URL, "", "")),
        ({}, ("", "", "")),
    ],
)
def test_the_database_is_the_one_that_spring_takes(environment, expected):
    assert spring.data_source(spring.Given(environment)) == expected
