# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that are nearly those of a playbook or role, and runs that would do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_listing import FIELDS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import mistyped
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

ROLE = {
    name: list(
        yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text())["argument_specs"]["main"][
            "options"
        ]
    )
    for name in ("alpamon", "audit")
}
PLAYBOOK = {
    name: list(yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())[0]["vars"]["__playbook_arguments"])
    for name in ("run", "schedule", "cancel", "rollout")
}
ROLLOUT = [*ROLE["alpamon"], *PLAYBOOK["rollout"]]
#: What each looks for, and with what it chooses hosts or servers.
LOOKS: dict[str, tuple[list[str], str]] = {
    **{name: (PLAYBOOK[name], "alpacon_servers") for name in ("run", "schedule", "cancel")},
    "rollout": (ROLLOUT, "alpamon_hosts"),
    "role alpamon": (ROLLOUT, ""),
    "role audit": (ROLE["audit"], ""),
}


@pytest.mark.parametrize(
    ("name", "playbook", "meant"),
    [
        ("alpacon_sheduled_at", "schedule", "alpacon_scheduled_at"),
        ("alpamon_versoin", "role alpamon", "alpamon_version"),
        ("alpcon_servers", "run", "alpacon_servers"),
        ("alpacon-servers", "cancel", "alpacon_servers"),
        ("alpacon_servers_", "run", "alpacon_servers"),
        ("ALPACON_SERVERS", "run", "alpacon_servers"),
        ("alpamon_hosts", "run", "alpacon_servers"),
        ("alpamon_limit", "rollout", "alpamon_hosts"),
        ("alpacon_state", "rollout", "alpamon_state"),
        ("alpmaon_serail", "rollout", "alpamon_serial"),
        ("alpcon_token", "role audit", "alpacon_token"),
    ],
)
def test_a_slip_anywhere_in_the_name_is_told(name: str, playbook: str, meant: str) -> None:
    known, chooses = LOOKS[playbook]
    assert mistyped([name], known, chooses) == [f"There is no variable {name}. Did you mean {meant}?"]


@pytest.mark.parametrize(
    ("name", "playbook", "meant"),
    [
        ("alpacon_user", "run", "alpacon_username"),
        ("alpacon_environment", "run", "alpacon_env"),
        ("alpamon_repository", "rollout", "alpamon_repository_key or alpamon_repository_url"),
    ],
)
def test_a_short_form_that_was_given_is_told(name: str, playbook: str, meant: str) -> None:
    known, chooses = LOOKS[playbook]
    assert mistyped([], known, chooses, [name]) == [f"There is no variable {name}. Did you mean {meant}?"]
    assert mistyped([name], known, chooses) == []


def test_what_is_no_short_form_is_left_alone() -> None:
    own = ["alpacon_ru", "alpacon_team_contacts", "alpacon_line_of_today", "alpacon_identity", "alpacon_groups"]
    known, chooses = LOOKS["run"]
    assert mistyped(own, known, chooses, own) == []


@pytest.mark.parametrize("looks", LOOKS)
def test_no_false_alarm(looks: str) -> None:
    known, chooses = LOOKS[looks]
    inventory = [f"{prefix}{field}" for field in FIELDS for prefix in ("alpacon_", "alpacon2_", "srv_")]
    collection = {name for own, _chooses in LOOKS.values() for name in own}
    own = [form.format(name) for name in known for form in ("my_{}", "{}_b", "__{}")]
    own += ["alpacon_dev", "alpacon_id", "alpacon_groups", "alpamon_owner", "audit_contact", "alpacon_region"]
    own += ["falcon_hosts", "beacon_servers", "servers", "hosts", "line", "limit", "auditd_rules", "audit_log"]
    own += ["alpacon_tokens", "alpacon_server_id", "alpacon_workspace", "alpacon_workspaces", "alpacon_result"]
    magic = ["inventory_hostname", "ansible_play_hosts_all", "ansible_limit", "ansible_host", "groups", "hostvars"]
    theirs = collection - {"alpacon_servers", "alpamon_hosts"}
    assert mistyped([*own, *inventory, *magic, *left_by_the_collection(), *theirs], known, chooses) == []


def left_by_the_collection() -> set[str]:
    """The variables that the roles have, and those that tasks of the roles and playbooks set."""
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
    tasks = [task for file in files for task in _tasks(yaml.safe_load(file.read_text(encoding="utf-8")) or [])]
    facts = {name for task in tasks for name in task.get("ansible.builtin.set_fact", {})}
    assert {"alpamon_server_id", "rollout_chosen"} <= facts
    own = {
        name for file in ROOT.glob("roles/*/vars/main.yml") for name in yaml.safe_load(file.read_text(encoding="utf-8"))
    }
    return facts | own | {task["register"] for task in tasks if "register" in task}


def _tasks(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for block in ("tasks", "block", "rescue", "always"):
            yield from _tasks(entry.get(block) or [])
