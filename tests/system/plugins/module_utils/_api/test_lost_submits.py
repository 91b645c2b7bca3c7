# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command of a submit whose answer was lost is found again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Reply, ScriptedServer, body_for, in_every_dialect, paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import (
    LostSubmit,
    find_submitted,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    SERVER,
    Row,
    current_row,
    page,
)

Serve = Callable[..., ScriptedServer]


def find(client: Client, body: Row, known: frozenset[str] = frozenset(), sent_at: float | None = None) -> Any:
    [seen] = find_submitted(client, [LostSubmit(body, time.time() if sent_at is None else sent_at)], known)
    return seen.command and seen.command.id, [command.id for command in seen.candidates]


@pytest.fixture
def warm(workspace: Workspace, connect: Connect) -> Client:
    """A client that knows the clock of the workspace."""
    client = connect(workspace)
    # No answer of 2024 has a Date.
    submit(client, body_for(workspace, line="true"))
    return client


@in_every_dialect
def test_the_command_of_a_lost_answer_is_found(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    made = workspace.submit("web-01", "echo hello")
    workspace.submit("web-01", "echo other")
    workspace.submit("web-02", "echo hello")
    assert find(warm, body_for(workspace), sent_at=sent_at) == (made, [made])


@in_every_dialect
@pytest.mark.parametrize("line", ["  echo hello\n", "echo hello", "\techo hello  "])
def test_it_is_found_though_the_workspace_trims_lines(workspace: Workspace, warm: Client, line: str) -> None:
    sent_at = time.time()
    made = workspace.submit("web-01", line)
    assert find(warm, body_for(workspace, line=line), sent_at=sent_at)[0] == made


@in_every_dialect
def test_it_is_found_by_the_commands_after_which_it_runs(workspace: Workspace, warm: Client) -> None:
    first, second = (workspace.submit("web-01", "true") for _number in range(2))
    sent_at = time.time()
    made = workspace.submit("web-01", "echo hello", run_after=[first])
    workspace.submit("web-01", "echo hello", run_after=[second])
    assert find(warm, body_for(workspace, run_after=[first]), sent_at=sent_at) == (made, [made])


@in_every_dialect
def test_an_older_command_that_is_the_same_is_not_taken_for_it(workspace: Workspace, warm: Client) -> None:
    [older] = workspace.add_commands([{"server": "web-01", "line": "echo hello", "username": "admin", "added_at": -5}])
    assert find(warm, body_for(workspace)) == (None, [])
    sent_at = time.time()
    made = workspace.submit("web-01", "echo hello")
    assert find(warm, body_for(workspace), sent_at=sent_at)[0] == made != older


@in_every_dialect
def test_of_two_that_may_be_it_none_is_taken(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    made = {workspace.submit("web-01", "echo hello") for _number in range(2)}
    found, candidates = find(warm, body_for(workspace), sent_at=sent_at)
    assert (found, set(candidates)) == (None, made)


@in_every_dialect
def test_commands_that_are_known_are_not_it(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    known, made = (workspace.submit("web-01", "echo hello") for _number in range(2))
    assert find(warm, body_for(workspace), frozenset((known,)), sent_at) == (made, [made])
    assert find(warm, body_for(workspace), frozenset((known, made)), sent_at) == (None, [])


def test_what_several_submits_have_made_is_found_in_one_page(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    made = [workspace.submit(server, "echo hello") for server in ("web-01", "web-02")]
    lost = [LostSubmit(body_for(workspace, server), sent_at) for server in ("web-01", "web-02")]
    found = find_submitted(warm, lost, frozenset())
    assert [seen.command and seen.command.id for seen in found] == made
    assert len([path for path in paths(workspace) if "ordering=" in path]) == 1


def test_where_nobody_says_whose_token_it_is_nothing_is_taken(serve: Serve, connect: Connect) -> None:
    row = current_row(requested_by=None)
    server = serve([Reply(page([row])), Reply(row), Reply({"code": "forbidden"}, 403)])
    body = {"server": SERVER, "line": "uptime", "shell": "system"}
    assert find(connect(server), body, sent_at=0.0) == (None, [COMMAND])


@in_every_dialect
def test_another_user_or_shell_is_another_command(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    workspace.submit("web-01", "echo hello", username="root")
    workspace.submit("web-01", "echo hello", shell="osquery")
    assert find(warm, body_for(workspace, username="admin"), sent_at=sent_at) == (None, [])
