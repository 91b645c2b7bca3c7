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
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import JOINED_OPTIONS, PLAY_VARIABLES
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

_ARGUMENTS, _DEFAULTS = "roles/audit/meta/argument_specs.yml", "roles/audit/defaults/main.yml"
_FOLDER = "plugins/plugin_utils/_audit"
_OPTIONS, _SELECTION, _HOSTS = f"{_FOLDER}/options.py", f"{_FOLDER}/check_selection.py", f"{_FOLDER}/hosts.py"
JOINED_VARIABLES = [f"audit_{name}" for name in JOINED_OPTIONS]
_GUIDE = "docs/docsite/rst/audit.rst"
SPECS = yaml.safe_load((ROOT / _ARGUMENTS).read_text(encoding="utf-8"))
OPTIONS = SPECS["argument_specs"]["main"]["options"]
DEFAULTS = yaml.safe_load((ROOT / _DEFAULTS).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["audit_formats", "audit_fail_on"])
def test_choices_and_defaults_are_those_of_the_module(name: str) -> None:
    option = SPEC[name.removeprefix("audit_")]
    spec = f"SPEC in {_OPTIONS} and {_ARGUMENTS} differ"
    assert OPTIONS[name]["choices"] == option["choices"], spec
    assert OPTIONS[name]["default"] == option["default"], spec
    assert OPTIONS[name]["default"] == DEFAULTS[name], f"{_DEFAULTS} and {_ARGUMENTS} differ"


def test_the_defaults_are_documented() -> None:
    documented = {name: option["default"] for name, option in OPTIONS.items() if "default" in option}
    assert documented == DEFAULTS, f"{_DEFAULTS} and {_ARGUMENTS} differ"
    own = {f"audit_{name}" for name in HOST_OPTIONS}
    assert set(OPTIONS) - set(DEFAULTS) == own, f"{_ARGUMENTS} has no default of these, and {_SELECTION} differs"
    read = {*own, *PLAY_VARIABLES.values(), *JOINED_VARIABLES}
    assert read == set(OPTIONS), f"{_SELECTION} and {_HOSTS} read other variables than {_ARGUMENTS} documents"


def test_spec_and_guide_list_the_variables_of_hosts() -> None:
    [sentence] = [
        words for words in SPECS["argument_specs"]["main"]["description"] if "variables of each host" in words
    ]
    read = {*JOINED_VARIABLES, *(f"audit_{name}" for name in HOST_OPTIONS)}
    assert set(re.findall(r"O\((\w+)\)", sentence)) == read, f"correct the description in {_ARGUMENTS}"
    guide = (ROOT / _GUIDE).read_text(encoding="utf-8")
    [sentence] = re.findall(r"These variables may differ by group and host:(.*?)the parameters", guide, re.DOTALL)
    ordered = [*(f"audit_{name}" for name in HOST_OPTIONS), *JOINED_VARIABLES]
    assert re.findall(r"``(\w+)``", sentence) == ordered, f"correct {_GUIDE}"


def test_every_check_set_is_a_choice() -> None:
    library = load_check_sets(ROOT / "roles/audit/files/checks")
    choices = OPTIONS["audit_check_sets"]["choices"]
    assert set(library) <= set(choices), f"add it to the choices of audit_check_sets in {_ARGUMENTS}"
    assert all(check.set == name and check.title and check.remedy for name in library for check in library[name])
    parameters = {name for checks in library.values() for check in checks for name in check.parameters}
    guide = (ROOT / _GUIDE).read_text(encoding="utf-8")
    assert f" {sum(map(len, library.values()))} checks" in guide, f"correct the number of checks in {_GUIDE}"
    taken = {f"audit_{name}" for name in parameters} & set(OPTIONS)
    assert not taken, f"rename the parameter in roles/audit/files/checks: {_ARGUMENTS} has an option of that name"
