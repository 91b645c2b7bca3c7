# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that all lists of options of the role alpamon agree."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.plan import SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

ROLE = ROOT / "roles/alpamon"


def load(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_defaults_and_argument_specs_agree() -> None:
    documented = {name: option["default"] for name, option in OPTIONS.items() if "default" in option}
    # ansible-core shows the defaults of all options where it refuses one.
    secret = {"alpamon_registration_token": "{{ lookup('ansible.builtin.env', 'ALPACON_REGISTRATION_TOKEN') }}"}
    assert load("defaults/main.yml") == documented | secret
    assert not secret.keys() & documented.keys()


def test_planner_and_argument_specs_agree() -> None:
    kept = ("type", "choices", "elements", "options")
    documented = {
        name.removeprefix("alpamon_"): {key: option[key] for key in kept if key in option}
        for name, option in OPTIONS.items()
    }
    settings = documented["settings"]["options"]
    documented["settings"]["options"] = {name: {"type": option["type"]} for name, option in settings.items()}
    assert documented == {name: {key: option[key] for key in kept if key in option} for name, option in SPEC.items()}


def test_no_fact_of_a_host_is_taken_for_what_a_task_returns() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in ROLE.rglob("*.yml"))
    registered = set(re.findall(r"register: __alpamon_(\w+)", text))
    # These are read only behind their tasks. All others have a value in vars, which a fact does not replace.
    registered -= {"apt_output", "cached_packages", "gpg", "journal", "key_download"}
    assert {f"__alpamon_{name}" for name in (*registered, "gathered")} <= set(load("vars/main.yml"))
    assert re.findall(r"__alpamon_\w+ (?:\| default\(|is (?:not )?defined)", text) == []
