# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role audit offers what the module alpacon_audit does."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

SPECS = yaml.safe_load((ROOT / "roles/audit/meta/argument_specs.yml").read_text(encoding="utf-8"))
OPTIONS = SPECS["argument_specs"]["main"]["options"]
DEFAULTS = yaml.safe_load((ROOT / "roles/audit/defaults/main.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["audit_formats", "audit_fail_on", "audit_unknown_severity"])
def test_choices_and_defaults_are_those_of_the_module(name: str) -> None:
    option = SPEC[name.removeprefix("audit_")]
    assert OPTIONS[name]["choices"] == option["choices"]
    assert OPTIONS[name]["default"] == DEFAULTS[name] == option["default"]


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_a_default_is_documented(name: str) -> None:
    assert OPTIONS[name].get("default", "") == DEFAULTS[name]
