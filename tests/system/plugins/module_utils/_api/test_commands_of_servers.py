# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of servers, in as few requests as possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Reply, Request, ScriptedServer, in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands_of_servers import (
    commands_of,
    pending_of,
    scheduled_for,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lists import NEWEST_FIRST
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, parse_time
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    FAR,
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    current_row,
    page,
)

Serve = Callable[..., ScriptedServer]


def walked(client: Client, workspace: Workspace, names: list[str], ends: Callable[[Any], bool]) -> list[Command]:
    ids = workspace.server_ids()
    return commands_of(client, [ids[name] for name in names], NEWEST_FIRST, ends)


@in_every_dialect
def test_one_server_is_asked_for_by_itself(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(60, line="true", status="success", servers=["web-01", "web-02", "web-03"])
    client = connect(workspace)
    commands = walked(client, workspace, ["web-02"], ends=lambda _command: False)
    assert [command.id for command in commands] == made[1::3]
    assert client.requests == 1


@in_every_dialect
def test_several_servers_are_read_from_the_whole_list(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(150, line="true", status="success", servers=["web-01", "web-02", "web-03"])
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01", "web-02", "web-03"], ends=lambda _command: False)
    assert [command.id for command in commands] == made
    assert client.requests == 2


@in_every_dialect
def test_a_long_list_is_left_for_those_of_the_servers(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(900, line="true", status="success", servers=["web-01", "web-02", "web-03"])
    last = parse_time(workspace.commands(id=made[269])[0]["added_at"])
    assert last is not None
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01", "web-02"], ends=lambda command: command.added_at < last)
    assert {command.id for command in commands} == {made[number] for number in range(270) if number % 3 < 2}
    assert client.requests == 2 + 2, "two pages of all, then one of each"


@in_every_dialect
def test_a_walk_ends_where_it_is_told(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(500, line="true", status="success", servers=["web-01"])
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01"], ends=lambda command: command.id == made[30])
    assert [command.id for command in commands] == made[:30]
    assert client.requests == 1


@in_every_dialect
def test_what_waits_is_found_behind_a_hundred_that_ran(workspace: Workspace, connect: Connect) -> None:
    workspace.add_many_commands(400, line="true", status="success", server="web-01", added_at=-100_000)
    soon = workspace.submit("web-01", "true", scheduled_at="2998-01-01T00:00:00Z")
    late = workspace.submit("web-01", "true", scheduled_at=FAR)
    client = connect(workspace)
    commands = pending_of(client, [workspace.server_ids()["web-01"]])
    assert [command.id for command in commands if command.pending] == [late, soon]
    assert client.requests <= 2, "the rest is older than a day"


@pytest.mark.parametrize(("count", "requests"), [(299, 3), (300, 1 + 3)])
def test_what_waits_on_several_servers_is_read_from_the_whole_list_where_that_is_short(
    current: Workspace, connect: Connect, count: int, requests: int
) -> None:
    names = ["web-01", "web-02", "web-03"]
    made = current.add_many_commands(count, line="true", status="scheduled", scheduled_at=FAR, servers=names)
    client, ids = connect(current), current.server_ids()
    commands = pending_of(client, [ids[name] for name in names])
    assert {command.id for command in commands} == set(made)
    assert client.requests == requests


@pytest.mark.parametrize(("count", "pages"), [(200, 2), (201, 1)])
def test_a_list_of_what_is_scheduled_is_left_at_once_where_it_is_long(
    current: Workspace, connect: Connect, count: int, pages: int
) -> None:
    names = ["web-01", "web-02", "web-03"]
    made = current.add_many_commands(count, line="true", status="scheduled", scheduled_at=FAR, servers=names)
    client, ids, time = connect(current), current.server_ids(), parse_time(FAR)
    assert time is not None
    commands = scheduled_for(client, [ids["web-01"], ids["web-02"]], time)
    assert {command.id for command in commands} == {made[number] for number in range(count) if number % 3 < 2}
    assert sum("is_scheduled=true" in entry["path"] for entry in current.log()) == pages


def test_rows_of_other_servers_are_dropped_where_a_filter_is_ignored(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Reply:
        return Reply(page([current_row(), current_row(id=NO_COMMAND, server={"id": OTHER_SERVER})]))

    commands = commands_of(connect(serve(answer)), [SERVER], NEWEST_FIRST, lambda _command: False)
    assert [command.id for command in commands] == [COMMAND]
