# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command_info: commands by id and by every filter, in every dialect."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Outcome, in_every_dialect, info, paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import client as _client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_query as _queries
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_query import Query
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, NO_COMMAND

HISTORY: list[dict[str, Any]] = [
    {"server": "web-01", "line": "uptime", "status": "success", "result": "up 1 day", "requested_by": "admin"},
    {"server": "web-01", "line": "false", "status": "failed", "result": "", "requested_by": "bob"},
    {"server": "web-02", "line": "uptime", "status": "success", "result": "up 2 days", "requested_by": None},
    {"server": "web-02", "line": "SELECT 1", "shell": "osquery", "status": "failed", "result": "no"},
    {"server": "web-03", "line": "uptime -s", "status": "scheduled", "scheduled_at": FAR, "requested_by": "bob"},
    {"server": "web-03", "line": "reboot", "status": "cancelled", "result": None},
]


@pytest.fixture
def history(workspace: Workspace) -> Workspace:
    """A workspace with a few commands, the first of HISTORY the newest, an hour apart."""
    workspace.add_commands([{"added_at": -3600 * (age + 1), **row} for age, row in enumerate(HISTORY)])
    return workspace


def numbers(workspace: Workspace, listed: Outcome) -> list[int]:
    """Which commands of HISTORY were listed."""
    ids = [row["id"] for row in workspace.commands()]
    return [ids.index(command["id"]) for command in listed.commands]


@in_every_dialect
def test_everything_newest_first(history: Workspace) -> None:
    listed = info(history)
    assert numbers(history, listed) == [0, 1, 2, 3, 4, 5]
    assert listed["changed"] is False
    assert listed["requests"] >= 1
    assert listed.warnings == []


@in_every_dialect
@pytest.mark.parametrize("ordering", ["-added_at", "scheduled_at"])
def test_the_name_that_the_task_gave_is_the_servers_where_rows_have_none(history: Workspace, ordering: str) -> None:
    commands = info(history, server="web-02", ordering=ordering).commands
    assert [command["server"] for command in commands] == [{"id": history.server_ids()["web-02"], "name": "web-02"}] * 2


@in_every_dialect
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"server": "web-02"}, [2, 3]),
        ({"shell": "osquery"}, [3]),
        ({"shell": "system"}, [0, 1, 2, 4, 5]),
        ({"requested_by": "{bob}"}, [1, 4]),
        ({"requested_by_isnull": True}, [2]),
        ({"requested_by_isnull": False}, [0, 1, 3, 4, 5]),
        ({"is_scheduled": True}, [4]),
        ({"is_scheduled": False}, [0, 1, 2, 3, 5]),
        ({"search": "uptime"}, [0, 2, 4]),
        ({"search": "web-03"}, [4, 5]),
        ({"search": "nothing like it"}, []),
        ({"status": ["failed", "Scheduled "]}, [1, 3, 4]),
        ({"status": ["completed"]}, [0, 2]),
        ({"success": True}, [0, 2]),
        ({"success": False}, [1, 3]),
        ({"line": "uptime"}, [0, 2]),
        ({"line": " uptime "}, [0, 2]),
        ({"since": "150m"}, [0, 1]),
        ({"until": "150m"}, [2, 3, 4, 5]),
        ({"since": "270m", "until": "90m"}, [1, 2, 3]),
        ({"limit": 2}, [0, 1]),
        ({"limit": 0}, [0, 1, 2, 3, 4, 5]),
        ({"limit": 10**20}, [0, 1, 2, 3, 4, 5]),
        ({"limit": 1, "line": "reboot"}, [5]),
        ({"ordering": "added_at"}, [5, 4, 3, 2, 1, 0]),
        ({"ordering": "-scheduled_at"}, [4, 0, 1, 2, 3, 5]),
        ({"server": "web-01", "success": False, "line": "false"}, [1]),
        ({"server": "web-01", "is_scheduled": True}, []),
    ],
)
def test_every_filter(history: Workspace, given: dict[str, Any], expected: list[int]) -> None:
    users = {user["username"]: user for user in history.state()["users"]}
    if "requested_by" in given:
        key = "number" if history.dialect == "published" else "id"
        given = {"requested_by": str(users["bob"][key])}
    assert numbers(history, info(history, **given)) == expected


def test_a_status_that_nobody_knows_is_warned_of(history: Workspace) -> None:
    listed = info(history, status=["canceld", "denied"])
    assert listed.commands == []
    assert listed.warnings == ["status: no command is known to have the status canceld. Did you mean cancelled?"]


@in_every_dialect
def test_what_never_ran_neither_succeeded_nor_failed(workspace: Workspace) -> None:
    fields = {"success": False, "result": "Cancelled due to prior commmand failure.", "exit_code": None}
    undelivered = {"delivered_at": None, "acked_at": None, "handled_at": -60}
    workspace.add_commands([{"line": "true", "status": "failed", "run_after": [NO_COMMAND], **fields, **undelivered}])
    assert info(workspace, success=False).commands == []
    assert [command["outcome"] for command in info(workspace).commands] == ["parent_failed"]


def test_a_server_by_its_id(history: Workspace) -> None:
    listed = info(history, server=history.server_ids()["web-03"].upper())
    assert numbers(history, listed) == [4, 5]
    assert listed["requests"] <= 2


@in_every_dialect
@pytest.mark.parametrize("field", ["delivered_at", "acked_at", "handled_at"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_ordering_is_obeyed_or_warned_about(workspace: Workspace, field: str, sign: str) -> None:
    # Handled in another order than added.
    rows = [
        {"line": f"echo {number}", "status": "success", "added_at": -3600 + number, field: -3000 - number * 10}
        for number in range(3)
    ]
    for row in rows:
        for name in ("delivered_at", "acked_at", "handled_at"):
            row.setdefault(name, row[field])
    workspace.add_commands(rows)
    listed = info(workspace, ordering=f"{sign}{field}")
    if workspace.dialect != "2024":
        assert numbers(workspace, listed) == ([2, 1, 0] if sign == "" else [0, 1, 2])
        # The published rows say when a command was over, and nothing of what came before.
        is_told = workspace.dialect == "current" or field == "handled_at"
        assert ["cannot be checked" in warning for warning in listed.warnings] == ([] if is_told else [True])
    elif field == "handled_at":
        assert len(listed.commands) == 3
        assert sign == "" or f"this workspace ignores {sign}{field}" in listed.warnings[0]


@in_every_dialect
def test_what_a_command_is_shown_with(workspace: Workspace) -> None:
    command_id = workspace.submit("web-01", "echo hello")
    workspace.wait_for_command(command_id)
    [command] = info(workspace, limit=1).commands
    assert (command["id"], command["stdout"], command["rc"], command["outcome"]) == (command_id, "hello", 0, "success")
    assert (command["shell"], command["username"], command["groupname"]) == ("system", "admin", "alpacon")
    assert command["requested_by"]["name"] == "admin"
    assert command["requested_by"]["id"]
    assert command["cancellable"] is False
    assert command["added_at"].endswith("Z")
    assert "changed" not in command
    assert command["run_after"] == []
    assert (command["scheduled_at"] is None) == (workspace.dialect == "2024")


def test_a_command_of_a_service_token_has_no_requester(workspace: Workspace) -> None:
    workspace.add_commands([{"requested_by": None, "status": "success"}])
    [command] = info(workspace).commands
    assert command["requested_by"] is None


def test_outputs_can_be_left_out(current: Workspace) -> None:
    current.add_commands([{"status": "success", "result": "", "chunks": ["hello\n"], "added_at": -3600}])
    [with_output] = info(current).commands
    assert (with_output["stdout"], with_output["output_complete"]) == ("hello", True)
    current.reset_counters()
    [without] = info(current, with_output=False).commands
    assert not {"stdout", "stdout_lines", "stderr", "stderr_lines", "output_complete"} & set(without)
    assert current.requests_made() == 1


def test_outputs_with_a_hole_are_marked(current: Workspace) -> None:
    chunks = [{"seq": 0, "content": "a"}, {"seq": 2, "content": "c"}]
    current.add_commands([{"status": "success", "result": "", "chunks": chunks, "added_at": -3600}])
    [command] = info(current).commands
    assert (command["stdout"], command["output_complete"]) == ("ac", False)


def test_the_end_of_each_output_is_kept(workspace: Workspace) -> None:
    workspace.add_commands([{"status": "success", "result": "hello\n", "added_at": -3600}])
    [command] = info(workspace, output_limit=2).commands
    assert (command["stdout"], command["stdout_lines"], command["output_complete"]) == ("lo", ["lo"], False)


@in_every_dialect
def test_limits_go_over_pages(workspace: Workspace) -> None:
    made = workspace.add_many_commands(230, line="echo {n}", status="success", result="x", added_at=-3600)
    assert [command["id"] for command in info(workspace, limit=150).commands] == made[:150]
    assert len(paths(workspace)) == 2
    assert [command["id"] for command in info(workspace, limit=0).commands] == made


def test_a_time_ends_the_reading(workspace: Workspace) -> None:
    workspace.add_many_commands(500, line="echo {n}", status="success", result="x", step=-60, added_at=-60)
    listed = info(workspace, since="30m", limit=0)
    assert 29 <= len(listed.commands) <= 30
    assert listed["requests"] == 1


# By id


@in_every_dialect
def test_commands_by_id_in_their_order(history: Workspace) -> None:
    ids = [row["id"] for row in history.commands()]
    listed = info(history, ids=[ids[3], ids[0].upper(), ids[3]])
    assert [command["id"] for command in listed.commands] == [ids[3], ids[0]]
    assert [command["stdout"] for command in listed.commands] == ["no", "up 1 day"]
    assert listed["requests"] == 2


@in_every_dialect
def test_what_is_scheduled_is_not_taken_for_finished(workspace: Workspace) -> None:
    command_id = workspace.submit("web-01", "reboot", scheduled_at=FAR)
    [command] = info(workspace, ids=[command_id]).commands
    assert (command["status"], command["outcome"], command["cancellable"]) == ("scheduled", "pending", True)
    assert (command["rc"], command["end"], command["success"], command["ran"]) == (None, None, None, False)
    assert command["scheduled_at"] == FAR


@in_every_dialect
def test_an_id_that_is_not_there_is_warned_about(history: Workspace) -> None:
    ids = [NO_COMMAND, history.commands()[0]["id"]]
    listed = info(history, ids=ids)
    assert [command["id"] for command in listed.commands] == ids[1:]
    assert listed.warnings == [f"ids: there is no command {NO_COMMAND}, or the token may not see it."]


# What cannot be read


@in_every_dialect
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [3, 0, 4]),
        ({"limit": 0}, [3, 0, 4]),
        ({"limit": 2}, [3, 0]),
        ({"ordering": "-added_at"}, [0, 3, 4]),
        ({"ordering": "added_at"}, [4, 3, 0]),
        ({"ordering": "-handled_at", "limit": 2}, [4, 0]),
        ({"ordering": "handled_at", "limit": 10**20}, [3, 0, 4]),
    ],
)
def test_ordering_and_limit_go_with_ids(history: Workspace, given: dict[str, Any], expected: list[int]) -> None:
    ids = [row["id"] for row in history.commands()]
    listed = info(history, ids=[ids[3], ids[0], ids[4]], **given)
    assert numbers(history, listed) == expected
    assert listed.warnings == []


def test_all_ids_that_are_given_are_listed(current: Workspace) -> None:
    ids = current.add_commands([{"line": "true"}] * 101)
    assert [command["id"] for command in info(current, ids=ids, with_output=False).commands] == ids


FORBIDDEN = {"status": 403, "body": '{"code": "rbac_object_permission_required"}'}


def test_an_output_that_cannot_be_read_costs_only_itself(current: Workspace) -> None:
    row = {"status": "success", "result": "", "chunks": ["hello\n"], "added_at": -3600}
    ids = current.add_commands([row, row, row])
    current.fault("status", method="GET", path=f"{ids[1]}/chunks/", **FORBIDDEN)
    listed = info(current, ordering="added_at")
    shown = {command["id"]: (command["stdout"], command["output_complete"]) for command in listed.commands}
    assert shown == {ids[0]: ("hello", True), ids[1]: ("", False), ids[2]: ("hello", True)}
    [warning] = listed.warnings
    assert warning.startswith(f"The output of command {ids[1]} could not be read. ")
    assert "rbac_object_permission_required" in warning


def test_an_id_that_cannot_be_read_costs_only_itself(history: Workspace) -> None:
    ids = [row["id"] for row in history.commands()][:3]
    history.fault("status", method="GET", path=f"{ids[1]}/$", **FORBIDDEN)
    listed = info(history, ids=ids, with_output=False)
    assert [command["id"] for command in listed.commands] == [ids[0], ids[2]]
    [warning] = listed.warnings
    assert warning.startswith(f"ids: command {ids[1]} could not be read, and is left out. ")
    history.fault("status", method="GET", path=f"{ids[2]}/$", status=403, body='{"detail": "Another reason."}')
    with pytest.raises(ApiError, match="rbac_object_permission_required"):
        info(history, ids=ids[1:])


def test_a_workspace_that_stops_to_answer_is_not_asked_for_every_command(
    current: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "_PAUSE", 0.01)
    row = {"status": "success", "result": "", "chunks": ["hello\n"], "added_at": -3600}
    ids = current.add_commands([row] * 8)
    current.fault("lose_before", method="GET", path="/chunks/", after=1)
    listed = info(current)
    assert len(listed.commands) == len(listed.warnings) + 1 == len(ids)
    asked = {path for path in paths(current) if "/chunks/" in path}
    assert len(asked) == 3, "the one that was answered, and two that were not"


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"ids": ["x"]}, "ids"),
        ({"ids": [NO_COMMAND], "server": "web-01"}, "server"),
        ({"ids": [NO_COMMAND], "success": False}, "success"),
        ({"ids": [NO_COMMAND], "is_scheduled": False}, "is_scheduled"),
        ({"ids": [NO_COMMAND], "status": ["failed"]}, "status"),
        ({"limit": -1}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"since": "1h", "until": "2h"}, "since"),
        ({"server": "web-99"}, "server"),
    ],
)
def test_what_is_refused(current: Workspace, given: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError) as caught:
        info(current, **given)
    assert caught.value.option == option


def test_a_value_that_the_workspace_refuses(current: Workspace) -> None:
    with pytest.raises(ApiError, match="requested_by"):
        info(current, requested_by="not an id")


# Many rows


def peak_of(client: Client, query: Query) -> tuple[int, int]:
    """Bytes at the peak of a listing, and how many commands it found."""
    tracemalloc.start()
    try:
        found = sum(1 for _command in _queries.find(client, query, 0))
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_grows_only_by_the_ids_of_what_is_dropped(current: Workspace, connect: Connect) -> None:
    client = connect(current)
    row = {"status": "success", "result": "x" * 200}
    current.add_many_commands(2_000, line="echo {n}", **row)
    _queries.find(client, Query(), 1)
    of_2_000, found = peak_of(client, Query(line="echo 7"))
    assert found == 1
    current.add_many_commands(6_000, line="date {n}", added_at=-2_000, **row)
    of_8_000, found = peak_of(client, Query(line="echo 7"))
    assert found == 1
    # An id takes up to 400 bytes, a row over 2,000.
    assert (of_8_000 - of_2_000) / 6_000 < 1_000


@pytest.mark.parametrize("ordering", ["scheduled_at", "-delivered_at"])
def test_an_order_that_rows_do_not_tell_is_doubted(old: Workspace, ordering: str) -> None:
    old.add_many_commands(3, line="true", status="success")
    [warning] = info(old, ordering=ordering).warnings
    assert f"whether the commands come by {ordering} cannot be checked" in warning


def test_commands_that_tie_all_come_and_in_order(current: Workspace) -> None:
    current.add_many_commands(150, line="true", status="scheduled", scheduled_at="2999-01-01T00:00:00Z")
    current.add_many_commands(30, line="true", status="scheduled", scheduled_at="2998-01-01T00:00:00Z", added_at=60)
    listed = info(current, ordering="-scheduled_at", limit=0).commands
    assert len({command["id"] for command in listed}) == 180
    assert [command["scheduled_at"][:4] for command in listed] == ["2999"] * 150 + ["2998"] * 30
    assert len(info(current, ordering="-scheduled_at", limit=160).commands) == 160


def test_of_commands_that_tie_those_without_a_time_come_last(current: Workspace) -> None:
    late = {"line": "true", "status": "success", "delivered_at": "2026-01-02T00:00:00Z"}
    never = {"line": "true", "status": "scheduled", "scheduled_at": FAR}
    last = current.add_commands([{**late, "added_at": -200}, {**never, "added_at": -100}])
    current.add_many_commands(120, **{**late, "delivered_at": "2026-01-01T00:00:00Z", "added_at": -300})
    listed = [command["id"] for command in info(current, ordering="delivered_at", limit=0).commands]
    assert (len(listed), listed[-2:]) == (122, last)
