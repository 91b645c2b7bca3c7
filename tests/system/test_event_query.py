# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queries that tell automation controller which servers a task touched, over results of tasks.

The controller takes a query by the full name of a module and runs it over the result of every task and of every item of
a loop, failed ones included. An error of one query costs the counts of the whole job. Each answer needs facts that tell
one node from another; a null among them has the node left out.
"""

from __future__ import annotations

from system.audits import HELLO, audit, hosts
from system.registrations import new_agent, register
from system.support import AGENTS, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.event_query import touched


def test_servers_that_commands_were_submitted_to(workspace: Workspace) -> None:
    ids = workspace.server_ids()
    done = run(workspace, servers=["web-01", "web-02"], line="exit 3", max_concurrency="1", max_errors="0")
    assert done.failed
    assert touched("alpacon_command", done.result) == {ids["web-01"]: "web-01"}


def test_nothing_is_touched_by_a_prediction(workspace: Workspace) -> None:
    done = run(workspace, check_mode=True, servers=["web-01"], line="true")
    assert touched("alpacon_command", done.result) == {}
    assert touched("alpacon_audit", audit(workspace, HELLO, check_mode=True).result) == {}


def test_servers_that_an_audit_asked(workspace: Workspace) -> None:
    ids = workspace.server_ids()
    first = audit(workspace, HELLO, of=hosts("web-01", "off-01"), reuse_within="1h")
    assert touched("alpacon_audit", first.result) == {ids["web-01"]: "web-01"}
    second = audit(workspace, HELLO, of=hosts(*AGENTS), reuse_within="1h")
    assert touched("alpacon_audit", second.result) == {ids[name]: name for name in AGENTS if name != "web-01"}


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
