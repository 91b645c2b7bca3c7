# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command_info: commands by id and by every filter, in every dialect."""

from __future__ import annotations

from typing import Any

import pytest
from system.support import TaskResult, in_every_dialect, info, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
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


def numbers(workspace: Workspace, listed: TaskResult) -> list[int]:
    """Which commands of HISTORY were listed."""
    ids = [row["id"] for row in workspace.commands()]
    return [ids.index(command["id"]) for command in listed.commands]


@in_every_dialect
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"server": "web-02"}, [2, 3]),
        ({"requested_by": "{bob}"}, [1, 4]),
        ({"is_scheduled": True}, [4]),
        ({"is_scheduled": False}, [0, 1, 2, 3, 5]),
        ({"search": "uptime"}, [0, 2, 4]),
        ({"status": ["failed", "Scheduled "]}, [1, 3, 4]),
        ({"line": " uptime "}, [0, 2]),
        ({"since": "270m", "until": "90m"}, [1, 2, 3]),
        ({"limit": 1, "line": "reboot"}, [5]),
        ({"ordering": "-scheduled_at"}, [4, 0, 1, 2, 3, 5]),
    ],
)
def test_every_filter(history: Workspace, given: dict[str, Any], expected: list[int]) -> None:
    users = {user["username"]: user for user in history.state()["users"]}
    if "requested_by" in given:
        key = "number" if history.dialect == "published" else "id"
        given = {"requested_by": str(users["bob"][key])}
    listed = info(history, **given)
    assert numbers(history, listed) == expected
    assert listed["changed"] is False


def test_a_status_that_nobody_knows_is_warned_of(history: Workspace) -> None:
    listed = info(history, status=["canceld", "denied"])
    assert listed.commands == []
    assert listed.warnings == ["status: no command is known to have the status canceld. Did you mean cancelled?"]


@in_every_dialect
def test_what_a_command_is_shown_with(workspace: Workspace) -> None:
    command_id = workspace.submit("web-01", "echo hello")
    workspace.wait_for_command(command_id)
    [command] = info(workspace, limit=1).commands
    assert (command["id"], command["stdout"], command["rc"], command["outcome"]) == (command_id, "hello", 0, "success")
    assert (command["shell"], command["username"], command["groupname"]) == ("system", "admin", "alpacon")
    assert command["requested_by"]["name"] == "admin"
    assert (command["cancellable"], command["run_after"]) == (False, [])
    assert command["added_at"].endswith("Z")
    assert (command["scheduled_at"] is None) == (workspace.dialect == "2024")


def test_outputs_can_be_left_out(current: Workspace) -> None:
    current.add_commands([{"status": "success", "result": "", "chunks": ["hello\n"], "added_at": -3600}])
    [with_output] = info(current).commands
    assert (with_output["stdout"], with_output["output_complete"]) == ("hello", True)
    current.reset_counters()
    [without] = info(current, with_output=False).commands
    assert not {"stdout", "stdout_lines", "stderr", "stderr_lines", "output_complete"} & set(without)
    assert current.requests_made() == 1


def test_limits_go_over_pages(workspace: Workspace) -> None:
    made = workspace.add_many_commands(230, line="echo {n}", status="success", result="x", added_at=-3600)
    assert [command["id"] for command in info(workspace, limit=150).commands] == made[:150]
    assert len(request_paths(workspace)) == 2
    assert [command["id"] for command in info(workspace, limit=0).commands] == made


def test_an_id_that_is_not_there_is_warned_about(history: Workspace) -> None:
    ids = [NO_COMMAND, history.commands()[0]["id"]]
    listed = info(history, ids=ids)
    assert [command["id"] for command in listed.commands] == ids[1:]
    assert listed.warnings == [f"ids: there is no command {NO_COMMAND}, or the token may not see it."]


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


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"ids": ["x"]}, "ids"),
        ({"since": "1h", "until": "2h"}, "since"),
        ({"server": "web-99"}, "server"),
    ],
)
def test_what_is_refused(current: Workspace, given: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError) as caught:
        info(current, **given)
    assert caught.value.option == option
