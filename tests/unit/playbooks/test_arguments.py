# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that variables of the playbooks are options of the module."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT


@pytest.mark.parametrize("playbook", ["run", "schedule", "cancel"])
def test_each_variable_is_handed_to_the_option_of_its_name(playbook: str) -> None:
    [play] = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    module = "herdops.alpacon.alpacon_command"
    [task] = [task for part in play["tasks"] for task in part.get("block", ()) if module in task]
    given = {name: value for name, value in task[module].items() if name != "state"}
    assert set(given) <= set(COMMAND_SPEC)
    variables = {name: "alpacon_follow" if name == "progress" else f"alpacon_{name}" for name in given}
    assert set(variables.values()) == set(play["vars"]["__playbook_arguments"])
    assert all(variables[name] in value for name, value in given.items())
