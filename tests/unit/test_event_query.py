# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queries that tell automation controller which servers a task touched, over results of tasks."""

from __future__ import annotations

from typing import Any

import collection_tree
import jq
import yaml
from unit.support import info, run
from unit.test_server_info import list_servers
from workspace.client import Workspace

AUDIT = yaml.safe_load((collection_tree.ROOT / "extensions/audit/event_query.yml").read_text(encoding="utf-8"))
GROUP = yaml.safe_load((collection_tree.ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]


def touched(module: str, result: dict[str, Any]) -> dict[str, str]:
    """Id and name of each server that a result tells of."""
    nodes = jq.compile(AUDIT[f"herdops.alpacon.{module}"]["query"]).input_value(result).all()
    assert all(set(node) == {"name", "canonical_facts", "facts"} for node in nodes)
    assert all(node["facts"]["device_type"] == "Server" for node in nodes)
    return {node["canonical_facts"]["alpacon_server_id"]: node["name"] for node in nodes}


def test_modules_that_touch_servers_have_a_query() -> None:
    known = {name.rpartition(".")[2] for name in AUDIT}
    assert known == {"alpacon_command", "alpacon_command_info", "alpacon_server_info"}
    assert known <= set(GROUP["alpacon"])


def test_servers_that_commands_were_submitted_to(workspace: Workspace) -> None:
    ids = workspace.server_ids()
    done = run(workspace, servers=["web-01", "web-02"], line="exit 3", max_concurrency="1", max_errors="0")
    assert done.failed
    assert touched("alpacon_command", done.result) == {ids["web-01"]: "web-01"}
    assert touched("alpacon_command", {"failed": True, "msg": "no token"}) == {}
    listed = info(workspace)
    assert list(touched("alpacon_command_info", listed.result)) == [ids["web-01"]]


def test_servers_that_were_listed(workspace: Workspace) -> None:
    ids = {server_id: name for name, server_id in workspace.server_ids().items()}
    assert touched("alpacon_server_info", list_servers(workspace).result) == ids
