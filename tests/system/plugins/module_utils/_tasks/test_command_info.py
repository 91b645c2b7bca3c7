# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command_info and the lookup, in every dialect."""

from __future__ import annotations

from typing import Any

import pytest
from system.support import TaskResult, in_every_dialect, info, lookup_options, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import run_lookup
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, LIST, NO_COMMAND

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
    """Return a workspace with the commands of HISTORY, newest first, an hour apart."""
    workspace.add_commands([{"added_at": -3600 * (age + 1), **row} for age, row in enumerate(HISTORY)])
    return workspace


def numbers(workspace: Workspace, listed: TaskResult) -> list[int]:
    """Return the positions in HISTORY of the commands that were listed."""
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


def test_an_unknown_status_is_warned_about(history: Workspace) -> None:
    listed = info(history, status=["canceld", "denied"])
    assert listed.commands == []
    assert listed.warnings == ["status: canceld is not a known status. Did you mean cancelled?"]


@in_every_dialect
def test_the_keys_of_a_command(workspace: Workspace) -> None:
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


def test_a_missing_id_is_warned_about(history: Workspace) -> None:
    ids = [NO_COMMAND, history.commands()[0]["id"]]
    listed = info(history, ids=ids)
    assert [command["id"] for command in listed.commands] == ids[1:]
    assert listed.warnings == [f"ids: there is no command {NO_COMMAND}, or the token has no access to it."]


FORBIDDEN = {"status": 403, "body": '{"code": "rbac_object_permission_required"}'}


def test_an_unreadable_output_affects_only_its_command(current: Workspace) -> None:
    row = {"status": "success", "result": "", "chunks": ["hello\n"], "added_at": -3600}
    ids = current.add_commands([row, row, row])
    current.fault("status", method="GET", path=f"{ids[1]}/chunks/", **FORBIDDEN)
    listed = info(current, ordering="added_at")
    shown = {command["id"]: (command["stdout"], command["output_complete"]) for command in listed.commands}
    assert shown == {ids[0]: ("hello", True), ids[1]: ("", False), ids[2]: ("hello", True)}
    [warning] = listed.warnings
    assert warning.startswith(f"The output of command {ids[1]} could not be read. ")
    assert "rbac_object_permission_required" in warning


def test_an_unreadable_id_affects_only_its_command(history: Workspace) -> None:
    ids = [row["id"] for row in history.commands()][:3]
    history.fault("status", method="GET", path=f"{ids[1]}/$", **FORBIDDEN)
    listed = info(history, ids=ids, with_output=False)
    assert [command["id"] for command in listed.commands] == [ids[0], ids[2]]
    [warning] = listed.warnings
    assert warning.startswith(f"ids: command {ids[1]} could not be read, and is missing from the result. ")


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"ids": ["x"]}, "ids"),
        ({"since": "1h", "until": "2h"}, "since"),
        ({"server": "web-99"}, "server"),
    ],
)
def test_refused_options(current: Workspace, given: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError) as caught:
        info(current, **given)
    assert caught.value.option == option


# The lookup


def look_up(workspace: Workspace, *terms: str, **given: Any) -> list[Any]:
    warnings: list[str] = []
    found = run_lookup(list(terms), lookup_options(workspace, **given), warnings.append)
    assert warnings == []
    return found


@pytest.fixture
def servers_history(workspace: Workspace) -> Workspace:
    """Add commands to two of three servers, newest first, an hour apart."""
    rows: list[dict[str, Any]] = [
        {"line": "uptime", "status": "running"},
        {"line": "uptime", "status": "success", "result": "new\n"},
        {"line": "false", "status": "failed", "result": "boom\n"},
        {"line": "uptime", "status": "success", "result": "old\n"},
    ]
    workspace.add_commands(
        [
            {"added_at": -3600 * age - 10, **row, "server": server}
            for age, row in enumerate(rows)
            for server in ("web-01", "web-02")
        ]
    )
    return workspace


def test_the_latest_output_of_each_server(servers_history: Workspace) -> None:
    server_id = servers_history.server_ids()["web-01"]
    assert look_up(servers_history, "web-02", "web-03", server_id, "web-01", line="uptime") == [
        "new",
        None,
        "new",
        "new",
    ]
    assert servers_history.counters()["writes"] == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "new"),
        ({"line": "date"}, None),
        ({"status": ["failed"]}, "boom"),
        ({"within": "30m"}, None),
        ({"within": "30m", "status": ["running"]}, ""),
    ],
)
def test_the_lookup_selects_a_command(servers_history: Workspace, given: dict[str, Any], expected: str | None) -> None:
    assert look_up(servers_history, "web-01", **given) == [expected]


def test_the_latest_of_another_status_is_named(servers_history: Workspace) -> None:
    options = lookup_options(servers_history, line="false")
    del options["default"]
    with pytest.raises(
        AlpaconError, match=r"web-01 has no such .* status success\. The latest .* is failed, 20.*default"
    ):
        run_lookup(["web-01"], options, pytest.fail)


@in_every_dialect
@pytest.mark.parametrize("want", ["id", "record"])
def test_the_lookup_returns_what_want_names(servers_history: Workspace, want: str) -> None:
    [found] = look_up(servers_history, "web-01", want=want)
    expected = next(
        row["id"] for row in servers_history.commands() if row["line"] == "uptime" and row["status"] == "success"
    )
    if want == "id":
        assert found == expected
    else:
        assert (found["id"], found["stdout"], found["rc"], found["outcome"]) == (expected, "new", 0, "success")
        assert found["requested_by"]["name"] == "admin"
        # Rows of some workspaces have the server's id only.
        assert found["server"] == {"id": servers_history.server_ids()["web-01"], "name": "web-01"}


@pytest.mark.parametrize("terms", [1, 40])
def test_the_list_is_read_once_for_all(workspace: Workspace, terms: int) -> None:
    names = [f"db-{number:02d}" for number in range(40)]
    workspace.add_servers(*names, connected=True)
    workspace.add_many_commands(300, line="true", status="success", result="x", servers=names)
    workspace.reset_counters()
    assert look_up(workspace, *names[:terms]) == ["x"] * terms
    assert [path.split("?")[0] for path in request_paths(workspace)][-2:] == ["/api/servers/servers/", LIST]
    assert ("server=" in request_paths(workspace)[-1]) is (terms == 1)
    assert workspace.requests_made() == 2
