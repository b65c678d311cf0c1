# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import os

import pytest
import yaml
from ansible_collections.openlmis.operations.plugins.module_utils.run import registry, step
from ansible_collections.openlmis.operations.plugins.modules import run_step


@pytest.mark.parametrize("name", sorted(registry.STEPS))
def test_every_step_has_the_class_of_its_name(name):
    found = registry.step_class(name)
    assert issubclass(found, step.Step)
    assert found.name == name
    assert found.run is not step.Step.run or found.work is not step.Step.work


def test_no_class_is_left_out():
    for name in sorted(registry.STEPS):
        registry.step_class(name)
    found = set(every_subclass(step.Step))
    named = {one.name for one in found if one.__module__.startswith(f"{registry.__package__}.steps.")}
    assert named == set(registry.STEPS)


def every_subclass(parent):
    for one in parent.__subclasses__():
        yield one
        yield from every_subclass(one)


def test_a_step_is_in_one_way_or_both():
    assert set(step.PLANS[step.UPGRADE]) | set(step.PLANS[step.ROLLBACK]) <= set(registry.STEPS)


def test_every_file_of_a_step_is_sent_to_the_host():
    """Ansible sends what it finds imported, also where that is never run."""
    with open(registry.__file__, encoding="utf-8") as stream:
        imports = [node for node in ast.walk(ast.parse(stream.read())) if isinstance(node, ast.ImportFrom)]
    sent = {name.name for node in imports if node.module.endswith("run.steps") for name in node.names}
    there = {
        os.path.splitext(name)[0]
        for name in os.listdir(os.path.join(os.path.dirname(registry.__file__), "steps"))
        if name.endswith(".py")
    }
    assert sent == set(registry.STEPS.values()) == there - {"__init__"}


def test_the_steps_are_documented():
    options = yaml.safe_load(run_step.DOCUMENTATION)["options"]
    assert options["step"]["choices"] == sorted(registry.STEPS)
    assert set(options["phase"]["choices"]) == set(step.PLANS)
