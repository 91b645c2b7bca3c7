# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role audit: what it offers, and its check sets."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

SPECS = yaml.safe_load((ROOT / "roles/audit/meta/argument_specs.yml").read_text(encoding="utf-8"))
OPTIONS = SPECS["argument_specs"]["main"]["options"]
DEFAULTS = yaml.safe_load((ROOT / "roles/audit/defaults/main.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["audit_formats", "audit_fail_on", "audit_unknown_severity"])
def test_choices_and_defaults_are_those_of_the_module(name: str) -> None:
    option = SPEC[name.removeprefix("audit_")]
    assert OPTIONS[name]["choices"] == option["choices"]
    assert OPTIONS[name]["default"] == DEFAULTS[name] == option["default"]


def test_the_defaults_are_documented() -> None:
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS
    head = (ROOT / "playbooks/audit.yml").read_text(encoding="utf-8").split("- name:")[0]
    assert "ansible-doc -t role herdops.alpacon.audit describes them" in head


def _check_sets() -> Row:
    sets: Row = yaml.safe_load((ROOT / "roles/audit/vars/main.yml").read_text())["audit_library"]
    return sets


@pytest.mark.parametrize("name", ["security", "capacity", "agent"])
def test_the_check_sets_are_sound(name: str) -> None:
    checks = _check_sets()[name]
    plain = [
        {**check, "absent": [], "number": {**check.get("number", {}), "at_least": 0, "at_most": 1}}
        if "{{" in str(check.get("absent", "")) + str(check.get("number", ""))
        else check
        for check in checks
    ]
    read = read_checks("checks", plain)
    assert all(check.set == name and check.title and check.remedy for check in read)
    assert all(not check.line.startswith(" ") and "\n" not in check.line for check in read)


def test_the_check_sets_take_few_commands() -> None:
    lines = {check["line"] for checks in _check_sets().values() for check in checks}
    assert len(lines) == 9
