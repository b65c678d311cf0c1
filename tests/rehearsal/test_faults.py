# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of the fault campaign: one upgrade that is killed twice and gone on with, and then rolled back."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import sys
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from faults.catalogue import all_faults, kills
from faults.scene import LEFT_OUT, ROLLBACK, UPGRADE, Scene
from stack.ansible import Run
from stack.deployment import newest_migrations, running
from stack.people import personal
from stack.releases import CHECKOUT, RELEASES
from stack.saved import Picture, picture
from stack.world import expected_contact_details

sys.path.insert(0, str(CHECKOUT / ".cache" / "collections"))
from ansible_collections.openlmis.operations.plugins.module_utils.run.step import PLANS

TARGET = RELEASES["3.4.0"]
# The work on the host dies and the playbook sees it, or the playbook dies and the host goes on. The campaign has every
# step both ways, and test_gate.py a kill in the wait.
KILLED = {"start": "remote", "maintenance_off": "playbook"}


@dataclasses.dataclass
class Story:
    """One server that had a bad night."""

    scene: Scene
    killed: dict[str, Run]
    finished: Run
    after: Picture
    rolled_back: Run
    restored: Picture
    reports: dict[str, tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Killed in step after step, finished, rolled back."""
    folder = tmp_path_factory.mktemp("faults")
    faults = {fault.name: fault for fault in kills()}
    with running("3.3.1", folder / "rehearsal", without=LEFT_OUT) as server:
        scene = Scene(server, folder / "logs")
        killed, reports = {}, {}
        with scene.row("sample"):
            for step, who in KILLED.items():
                fault = faults["kill %s during %s" % (who, step)]
                killed[step] = scene.strike(fault)
                if who != "playbook":
                    reports[step] = server.report()
                fault.fix(scene)
            finished = scene.start(UPGRADE).end()
            reports["finished"] = server.report()
            after = picture(server)
            assert server.contact_details() == expected_contact_details(server.users())
            journal = json.loads((server.state_dir / "journal.json").read_text())
            assert journal["finished"], journal
            for name in server.components():
                assert max(server.migrations(name), key=int) == newest_migrations()[name][TARGET[name]], name
            # The playbook was killed while the gate opened, and the smoke test has written since: for all the rollback
            # knows, a user has.
            rolled_back = scene.start(ROLLBACK, "-e", "openlmis_rollback_discard_changes=true").end()
            reports["rolled back"] = server.report()
            yield Story(scene, killed, finished, after, rolled_back, picture(server), reports)


def test_the_campaign_knows_the_steps() -> None:
    assert {fault.moment.step for fault in all_faults() if fault.moment} == set(PLANS["upgrade"])


@pytest.mark.parametrize("step", list(KILLED))
def test_a_run_that_is_killed_in_a_step_says_how_to_go_on(story: Story, step: str) -> None:
    run = story.killed[step]
    if KILLED[step] == "playbook":
        assert run.code == -9
    else:
        assert run.code == 2, run.text[-3000:]
        for word in ("Found ", "Go on ", "Roll back "):
            assert "\n" + word in run.text


def test_in_the_end_it_is_finished(story: Story) -> None:
    assert story.finished.code == 0, story.finished.text[-4000:]
    assert story.after.answers == {**{name: TARGET[name] for name in story.scene.server.components()}, "login": "200"}
    assert set(story.after.gate.values()) == {""}


def test_no_run_made_a_second_of_anything(story: Story) -> None:
    assert story.scene.prepared.roles == story.after.roles
    assert story.finished.text.count("0 kept as they were") == 1


def test_the_way_back_leads_to_where_it_began(story: Story) -> None:
    assert story.rolled_back.code == 0, story.rolled_back.text[-4000:]
    assert story.scene.prepared.differences(story.restored) == []


@pytest.mark.parametrize("step", [step for step, who in KILLED.items() if who != "playbook"])
def test_a_failed_run_has_a_report_that_says_where_it_stopped(story: Story, step: str) -> None:
    report, page = story.reports[step]
    assert (report["outcome"], report["failure"]["step"], report["finished"]) == ("failed", step, None)
    assert report["steps"][-1]["failed"]
    assert report["failure"]["finding"] in html.unescape(page)
    for command in report["commands"].values():
        assert command in html.unescape(page)
        assert command in story.killed[step].text
    assert re.search(r"(?m)^%s .* FAILED$" % step, story.killed[step].text)


def test_the_report_of_a_run_that_was_gone_on_with_has_every_attempt(story: Story) -> None:
    report, page = story.reports["finished"]
    assert report["outcome"] == "upgraded"
    ended = [one for one in report["steps"] if one["finished"]]
    assert len({one["attempt"] for one in report["steps"]}) == len(KILLED) + 1
    assert len(ended) < len(report["steps"])
    assert len(report["offline"]["windows"]) == 1
    assert report["rows"]["fewer"] == []
    assert (
        report["contact_details"]["source"]
        == report["contact_details"]["copied"] + report["contact_details"]["unchanged"]
    )
    ElementTree.fromstring(page.partition("\n")[2])


def test_the_report_of_a_rollback_has_both_ways(story: Story) -> None:
    report, page = story.reports["rolled back"]
    assert (report["outcome"], report["releases"]["now"]) == ("rolled back", "3.3.1")
    assert {one["phase"] for one in report["steps"]} == {"upgrade", "rollback"}
    assert [window["to"] is None for window in report["offline"]["windows"]] == [False, False]
    assert report["restored"]["rows"] == report["backup"]["rows"]
    assert {one["component"]: one["after"] for one in report["versions"]}["auth"] == "3.2.0"
    assert report["commands"] == {"resume": None, "rollback": None}
    ElementTree.fromstring(page.partition("\n")[2])


def test_no_report_has_a_user_s_address_or_name(story: Story) -> None:
    written = "".join(
        html.unescape(page) + json.dumps(report, ensure_ascii=False) for report, page in story.reports.values()
    )
    told = personal(story.scene.server.users())
    assert len(told) > 300
    assert [one for one in told if one in written] == []
