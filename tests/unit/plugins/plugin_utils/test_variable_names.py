# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test suggestions for misspelt variables of playbooks and roles."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import FIELDS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import find_misspelt_names
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT


def options(role: str) -> list[str]:
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    return list(specs["main"]["options"])


def arguments(playbook: str) -> list[str]:
    [play] = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text())
    return list(play["vars"]["__playbook_arguments"])


ROLLOUT = [*options("alpamon"), "alpamon_hosts", "alpamon_serial", "alpamon_max_fail_percentage", "alpamon_groups"]
ROLLOUT += ["alpamon_become", "alpamon_results"]
#: The variables of each playbook and role, and the variable that selects hosts or servers.
KNOWN: dict[str, tuple[list[str], str]] = {
    **{name: (arguments(name), "alpacon_servers") for name in ("run", "schedule", "cancel")},
    "rollout": (ROLLOUT, "alpamon_hosts"),
    "audit": (options("audit"), ""),
}


@pytest.mark.parametrize(
    ("name", "playbook", "meant"),
    [
        ("alpacon_servres", "run", "alpacon_servers"),
        ("alpacon_scheduled_att", "schedule", "alpacon_scheduled_at"),
        ("alpacon_evn", "run", "alpacon_env"),
        ("alpacon_host", "run", "alpacon_servers"),
        ("alpamon_versoin", "rollout", "alpamon_version"),
        ("alpcon_servers", "run", "alpacon_servers"),
        ("alpacon-servers", "cancel", "alpacon_servers"),
        ("alpacon_servers_", "run", "alpacon_servers"),
        ("ALPACON_SERVERS", "run", "alpacon_servers"),
        ("alpamon_hosts", "run", "alpacon_servers"),
        ("alpamon_limit", "rollout", "alpamon_hosts"),
        ("alpacon_state", "rollout", "alpamon_state"),
        ("alpmaon_serail", "rollout", "alpamon_serial"),
        ("alpcon_token", "audit", "alpacon_token"),
    ],
)
def test_a_misspelt_name_is_found(name: str, playbook: str, meant: str) -> None:
    known, selection = KNOWN[playbook]
    assert find_misspelt_names([name], known, selection) == [f"There is no variable {name}. Did you mean {meant}?"]


@pytest.mark.parametrize(
    ("name", "playbook", "meant"),
    [
        ("alpacon_user", "run", "alpacon_username"),
        ("alpacon_environment", "run", "alpacon_env"),
        (
            "alpamon_repository",
            "rollout",
            "alpamon_manage_repository or alpamon_repository_key or alpamon_repository_url",
        ),
    ],
)
def test_abbreviations_of_extra_variables(name: str, playbook: str, meant: str) -> None:
    known, selection = KNOWN[playbook]
    assert find_misspelt_names([], known, selection, [name]) == [f"There is no variable {name}. Did you mean {meant}?"]
    assert find_misspelt_names([name], known, selection) == []


def test_names_that_are_no_abbreviations() -> None:
    own = ["alpacon_ru", "alpacon_team_contacts", "alpacon_line_of_today", "alpacon_identity", "alpacon_groups"]
    known, selection = KNOWN["run"]
    assert find_misspelt_names(own, known, selection, own) == []


@pytest.mark.parametrize("playbook", KNOWN)
def test_other_variables_are_not_misspelt(playbook: str) -> None:
    known, selection = KNOWN[playbook]
    inventory = [f"{prefix}{field}" for field in FIELDS for prefix in ("alpacon_", "alpacon2_", "srv_")]
    of_others = {name for names, _chooses in KNOWN.values() for name in names} - {"alpacon_servers", "alpamon_hosts"}
    own = [form.format(name) for name in known for form in ("my_{}", "{}_b", "__{}")]
    own += ["alpacon_dev", "alpacon_id", "alpacon_groups", "alpamon_owner", "audit_contact", "alpacon_region"]
    own += ["falcon_hosts", "beacon_servers", "servers", "hosts", "line", "limit", "auditd_rules", "audit_log"]
    settings = ["alpacon_token", "alpacon_tokens", "alpacon_url", "alpacon_ca_path", "alpacon_request_timeout"]
    results = ["alpacon_server_id", "alpacon_workspace", "alpacon_workspaces", "alpacon_result", "audit_result"]
    results += ["alpamon_server_id", "alpamon_server_name", "alpamon_installed_version", "alpamon_connected"]
    results += ["alpamon_orphans", "alpamon_duplicates"]
    magic = ["inventory_hostname", "ansible_play_hosts_all", "ansible_limit", "ansible_host", "groups", "hostvars"]
    assert find_misspelt_names([*own, *inventory, *of_others, *settings, *results, *magic], known, selection) == []
