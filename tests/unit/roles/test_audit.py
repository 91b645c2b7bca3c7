# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the options and check sets of the role audit."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import (
    HOST_OPTIONS,
    load_check_sets,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import PLAY_VARIABLES, WAIVERS_VARIABLE
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

SPECS = yaml.safe_load((ROOT / "roles/audit/meta/argument_specs.yml").read_text(encoding="utf-8"))
OPTIONS = SPECS["argument_specs"]["main"]["options"]
DEFAULTS = yaml.safe_load((ROOT / "roles/audit/defaults/main.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["audit_formats", "audit_fail_on"])
def test_choices_and_defaults_are_those_of_the_module(name: str) -> None:
    option = SPEC[name.removeprefix("audit_")]
    assert OPTIONS[name]["choices"] == option["choices"]
    assert OPTIONS[name]["default"] == DEFAULTS[name] == option["default"]


def test_the_defaults_are_documented() -> None:
    assert {name: option["default"] for name, option in OPTIONS.items() if "default" in option} == DEFAULTS
    own = {f"audit_{name}" for name in HOST_OPTIONS}
    assert set(OPTIONS) - set(DEFAULTS) == own
    assert {*own, *PLAY_VARIABLES.values(), WAIVERS_VARIABLE} == set(OPTIONS)


def test_spec_and_guide_list_the_variables_of_hosts() -> None:
    [sentence] = [
        words for words in SPECS["argument_specs"]["main"]["description"] if "variables of each host" in words
    ]
    assert set(re.findall(r"O\((\w+)\)", sentence)) == {WAIVERS_VARIABLE, *(f"audit_{name}" for name in HOST_OPTIONS)}
    guide = (ROOT / "docs/docsite/rst/audit.rst").read_text(encoding="utf-8")
    [sentence] = re.findall(r"These variables may differ by group and host:(.*?)the parameters", guide, re.DOTALL)
    assert re.findall(r"``(\w+)``", sentence) == [*(f"audit_{name}" for name in HOST_OPTIONS), WAIVERS_VARIABLE]


def test_every_check_set_is_a_choice() -> None:
    library = load_check_sets(ROOT / "roles/audit/files/checks")
    assert set(library) <= set(OPTIONS["audit_check_sets"]["choices"])
    assert all(check.set == name and check.title and check.remedy for name in library for check in library[name])
    parameters = {name for checks in library.values() for check in checks for name in check.parameters}
    guide = (ROOT / "docs/docsite/rst/audit.rst").read_text(encoding="utf-8")
    assert f" {sum(map(len, library.values()))} checks" in guide
    # A parameter must not have the name of an option.
    assert not {f"audit_{name}" for name in parameters} & set(OPTIONS)
