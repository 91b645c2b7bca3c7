# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the queries that tell automation controller which servers a task touched.

The controller runs the query of a module over the result of every task and loop item, failed ones included. An error in
one query loses the counts of the whole job. Each row needs facts that tell one node from another.
"""

from __future__ import annotations

import re

import jq
import pytest
import yaml
from system.audits import HELLO, audit, hosts
from system.registrations import new_agent, register
from system.support import AGENTS, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_action import SPEC, run_server_action
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

QUERIES = yaml.safe_load((ROOT / "extensions/audit/event_query.yml").read_text(encoding="utf-8"))
GROUP = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["alpacon"]
CLASSES = {"infra_type", "infra_bucket", "device_type"}
#: Modules that only read, or that concern no server.
WITHOUT_QUERY = {
    *("alpacon_agent_policy", "alpacon_command_info", "alpacon_registration_info", "alpacon_registration_token"),
    "alpacon_server_info",
}


def touched(module: str, result: Row) -> dict[str, str]:
    """Return the names of the touched servers by ID."""
    found: dict[str, str] = {}
    for node in jq.compile(QUERIES[f"herdops.alpacon.{module}"]["query"]).input_value(result).all():
        assert set(node) == {"name", "canonical_facts", "facts"}
        assert set(node["facts"]) == CLASSES
        assert all(re.fullmatch("[a-z_]+", value) for value in node["facts"].values())
        [(fact, server_id)] = node["canonical_facts"].items()
        assert fact == "alpacon_server_id"
        assert isinstance(server_id, str)
        assert isinstance(node["name"], str)
        found[server_id] = node["name"]
    return found


def test_every_module_that_touches_servers_has_a_query() -> None:
    touching = {f"herdops.alpacon.{name}" for name in set(GROUP) - WITHOUT_QUERY}
    assert set(QUERIES) == touching, "correct extensions/audit/event_query.yml, or WITHOUT_QUERY here"


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize(
    "result",
    [
        {},
        {"failed": True, "msg": "no token"},
        {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"},
        {"censored": "the output has been hidden", "changed": True},
        {"changed": True, "commands": None, "servers": None, "id": None},
        {"changed": True, "commands": [], "servers": []},
        {"changed": True, "msg": "All items completed", "results": [{"changed": True, "id": "x"}]},
    ],
    ids=["empty", "failed", "skipped", "censored", "null", "none", "loop"],
)
def test_results_without_a_server(name: str, result: Row) -> None:
    assert touched(name.rpartition(".")[2], result) == {}


def test_servers_that_commands_were_submitted_to(workspace: Workspace) -> None:
    ids = workspace.server_ids()
    done = run(workspace, servers=["web-01", "web-02"], line="exit 3", max_concurrency="1", max_errors="0")
    assert done.failed
    assert touched("alpacon_command", done.result) == {ids["web-01"]: "web-01"}


def test_check_mode_touches_nothing(workspace: Workspace) -> None:
    done = run(workspace, check_mode=True, servers=["web-01"], line="true")
    assert touched("alpacon_command", done.result) == {}
    assert touched("alpacon_audit", audit(workspace, HELLO, check_mode=True).result) == {}


def test_servers_of_an_audit(workspace: Workspace) -> None:
    ids = workspace.server_ids()
    first = audit(workspace, HELLO, of=hosts("web-01", "off-01"), reuse_within="1h")
    assert touched("alpacon_audit", first.result) == {ids["web-01"]: "web-01"}
    second = audit(workspace, HELLO, of=hosts(*AGENTS), reuse_within="1h")
    assert touched("alpacon_audit", second.result) == {ids[name]: name for name in AGENTS if name != "web-01"}


def test_servers_of_an_action(current: Workspace) -> None:
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    options = {**defaults, "url": current.url, "token": current.token, "action": "update_information"}
    current.disconnect("web-02")
    done = run_server_action({**options, "servers": ["web-01", "web-02"]}, Run())
    assert touched("alpacon_server_action", done) == {current.server_ids()["web-01"]: "web-01"}


def test_servers_that_were_registered_and_unregistered(current: Workspace) -> None:
    agent = new_agent(current)
    assert touched("alpacon_registration", register(current, **agent.options).result) == {}
    gone = register(current, state="unregistered", **agent.options)
    assert list(touched("alpacon_registration", gone.result)) == [agent.id]
    token = current.add_registration_token(groups=["Operations"])["key"]
    made = register(current, registration_token=token, name="web", platform="debian")
    assert touched("alpacon_registration", made.result) == {made["id"]: made["name"]}
    predicted = register(current, check_mode=True, registration_token=token, name="web", platform="debian")
    assert touched("alpacon_registration", predicted.result) == {}
