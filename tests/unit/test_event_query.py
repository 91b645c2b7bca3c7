# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queries that tell automation controller which servers a task touched, over results of tasks.

The controller takes a query by the full name of a module and runs it over the result of every task and of every item of
a loop, failed ones included. An error of one query costs the counts of the whole job. Each answer needs facts that tell
one node from another; a null among them has the node left out.
"""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.herdops.alpacon.tests.unit.event_query import AUDIT, touched
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

GROUP = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]
#: Modules that only read, or that are about no server.
UNTOUCHING = {"alpacon_command_info", "alpacon_registration_info", "alpacon_registration_token", "alpacon_server_info"}


def test_modules_that_touch_servers_have_a_query_and_no_others() -> None:
    assert set(AUDIT) == {f"herdops.alpacon.{name}" for name in set(GROUP["alpacon"]) - UNTOUCHING}
    assert set(GROUP["alpacon"]) > UNTOUCHING
    assert all(set(entry) == {"query"} for entry in AUDIT.values())


def test_all_queries_class_a_server_alike() -> None:
    classes = {re.search(r"facts: (\{infra.*?\})", entry["query"]) for entry in AUDIT.values()}
    assert len({found[1] for found in classes if found}) == 1


@pytest.mark.parametrize("name", AUDIT)
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
