# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that all lists of options of the role alpamon agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.plan import KEPT_IF_UNSET, SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

ROLE = ROOT / "roles/alpamon"
ARGUMENTS, DEFAULTS = "roles/alpamon/meta/argument_specs.yml", "roles/alpamon/defaults/main.yml"
VARS = "roles/alpamon/vars/main.yml"
PLAN = "plugins/plugin_utils/_agent/plan.py"


def load(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_defaults_and_argument_specs_agree() -> None:
    documented = {name: option["default"] for name, option in OPTIONS.items() if "default" in option}
    # ansible-core shows the defaults of all options where it refuses one.
    secret = {"alpamon_registration_token": "{{ lookup('ansible.builtin.env', 'ALPACON_REGISTRATION_TOKEN') }}"}
    assert load("defaults/main.yml") == documented | secret, f"{DEFAULTS} and {ARGUMENTS} differ"
    without = {name.removeprefix("alpamon_") for name in OPTIONS.keys() - {*documented, *secret}}
    assert without == KEPT_IF_UNSET, f"{ARGUMENTS} has no default of these, and KEPT_IF_UNSET in {PLAN} differs"
    assert not secret.keys() & documented.keys()


def test_planner_and_argument_specs_agree() -> None:
    kept = ("type", "choices", "elements", "options")
    documented = {
        name.removeprefix("alpamon_"): {key: option[key] for key in kept if key in option}
        for name, option in OPTIONS.items()
    }
    settings = documented["settings"]["options"]
    documented["settings"]["options"] = {name: {"type": option["type"]} for name, option in settings.items()}
    planned = {name: {key: option[key] for key in kept if key in option} for name, option in SPEC.items()}
    different = {name for name in {*documented, *planned} if documented.get(name) != planned.get(name)}
    assert not different, f"{ARGUMENTS} and SPEC in {PLAN} differ"


def test_no_fact_of_a_host_is_taken_for_what_a_task_returns() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in ROLE.rglob("*.yml"))
    registered = set(re.findall(r"register: __alpamon_(\w+)", text))
    # These are read only behind their tasks. All others have a value in vars, which a fact does not replace.
    registered -= {"apt_output", "cached_packages", "gpg", "journal", "key_download"}
    without = {f"__alpamon_{name}" for name in (*registered, "gathered")} - set(load("vars/main.yml"))
    assert not without, f"give them a value in {VARS}"
    asked = re.findall(r"__alpamon_\w+ (?:\| default\(|is (?:not )?defined)", text)
    assert not asked, f"give it a value in {VARS}, and leave the question out of roles/alpamon"


def test_long_tasks_on_hosts_have_a_timeout_and_requests_have_none() -> None:
    long = {"ansible.builtin.apt", "ansible.builtin.dnf", "ansible.builtin.get_url", "herdops.alpacon.alpamon_info"}
    found = set()
    for path in (ROLE / "tasks").rglob("*.yml"):
        # install.yml includes the tasks of packages in a block with a timeout.
        inherited = 1800 if path.parent.name == "packages" else 0
        for task, timeout in list_tasks(yaml.safe_load(path.read_text(encoding="utf-8")), inherited):
            if long & task.keys():
                assert timeout, (path, task["name"])
                found |= long & task.keys()
            # A registration that is cut short would lose the key of the new server.
            if any(name.startswith("herdops.alpacon.alpacon_") for name in task):
                assert not timeout, (path, task["name"])
    assert found == long


def list_tasks(tasks: list[dict[str, Any]], inherited: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each task with its timeout, or that of its block."""
    for task in tasks:
        timeout = task.get("timeout", inherited)
        yield task, timeout
        for part in ("block", "rescue", "always"):
            yield from list_tasks(task.get(part, []), timeout)
