# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state=cancelled: what waits is withdrawn, once, and what was delivered is said to be too late."""

from __future__ import annotations

from typing import Any

import pytest
from system.support import FakeClock, TaskResult, count_methods, in_every_dialect, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, NO_COMMAND, Row


@pytest.fixture(params=["mark", "delete"])
def modal(request: pytest.FixtureRequest, workspace: Workspace) -> Workspace:
    """A workspace that keeps what is cancelled, or deletes it."""
    workspace.settings(cancel_mode=request.param)
    return workspace


def cancel(workspace: Workspace, **given: Any) -> TaskResult:
    return run(workspace, state="cancelled", **given)


def waiting(workspace: Workspace, server: str = "web-01", line: str = "reboot", at: str = FAR) -> str:
    return workspace.submit(server, line, scheduled_at=at)


def delivered(workspace: Workspace, status: str) -> str:
    """A command that a server without an agent has been sent."""
    workspace.add_servers("bare-01", connected=True)
    [command_id] = workspace.add_commands([{"server": "bare-01", "line": "reboot", "status": status}])
    return command_id


def statuses(workspace: Workspace) -> list[str]:
    """The status of every command that has not been cancelled or deleted."""
    return [row["status"] for row in workspace.commands() if row["status"] != "cancelled"]


@in_every_dialect
def test_a_command_is_cancelled_by_its_id_once(modal: Workspace) -> None:
    command_id = waiting(modal)
    first = cancel(modal, ids=[command_id])
    assert (first.changed, first.failed, first["outcome"], first["id"]) == (True, False, "cancelled", command_id)
    assert (first["ran"], first["line"]) == (False, "reboot")
    assert statuses(modal) == []
    second = cancel(modal, ids=[command_id])
    assert (second.changed, second.failed, second["outcome"]) == (False, False, "cancelled")
    # What reads do not show may be there all the same; where it is shown as cancelled, that is known.
    assert count_methods(modal)["DELETE"] <= 2


@in_every_dialect
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_command_that_is_not_there_is_no_failure(workspace: Workspace, check_mode: bool) -> None:
    ran = cancel(workspace, check_mode=check_mode, ids=[NO_COMMAND])
    assert (ran.changed, ran.failed, ran["outcome"], ran["id"]) == (False, False, "cancelled", NO_COMMAND)
    assert ran["msg"] == "There is no such command (any more)."
    assert count_methods(workspace)["DELETE"] == (0 if check_mode else 1)


@pytest.mark.parametrize(
    ("fault", "changed", "outcome", "msg"),
    [
        ({}, True, "cancelled", "Cancelled."),
        ({"status": 409, "body": '{"code": "EVENT_COMMAND_ALREADY_SENT"}'}, False, "sent", "Too late to cancel"),
        ({"status": 403, "body": '{"code": "FORBIDDEN"}'}, False, "refused", "Not cancelled. The token may not"),
    ],
    ids=["let go", "sent", "refused"],
)
def test_a_command_that_reads_do_not_show_is_cancelled_all_the_same(
    current: Workspace, fault: Row, changed: bool, outcome: str, msg: str
) -> None:
    command_id = waiting(current)
    current.fault("status", method="GET", path=f"{command_id}/$", status=404, body='{"code": "not_found"}')
    if fault:
        current.fault("status", method="DELETE", **fault)
    ran = cancel(current, ids=[command_id])
    assert (ran.changed, ran["outcome"], ran["id"]) == (changed, outcome, command_id)
    assert ran["msg"].startswith(msg)


@pytest.mark.parametrize("given", [{}, {"servers": ["bare-01"], "line": "reboot"}], ids=["id", "line"])
@pytest.mark.parametrize("fail_if_sent", [True, False])
def test_what_was_delivered_cannot_be_cancelled(workspace: Workspace, given: Row, fail_if_sent: bool) -> None:
    command_id = delivered(workspace, "running")
    ran = cancel(workspace, fail_if_sent=fail_if_sent, **(given or {"ids": [command_id]}))
    assert (ran.changed, ran.failed, ran["outcome"], ran["id"]) == (False, fail_if_sent, "sent", command_id)
    assert "Too late to cancel: it was delivered" in ran["msg"]
    assert statuses(workspace) == ["running"]


@in_every_dialect
def test_every_command_that_matches_is_cancelled_once(modal: Workspace) -> None:
    mine = {waiting(modal), waiting(modal, at="2998-01-01T00:00:00Z")}
    others = {waiting(modal, server="web-02"), waiting(modal, line="reboot -f")}
    first = cancel(modal, servers=["web-01", "web-03"], line="reboot")
    assert {command["id"] for command in first.commands} == {*mine, None}
    assert [command["changed"] for command in first.commands] == [True, True, False]
    left = {row["id"] for row in modal.commands() if row["status"] == "scheduled"}
    assert left == others
    second = cancel(modal, servers=["web-01"], line="reboot")
    assert (second.changed, second.failed, second["id"]) == (False, False, None)
    assert second["msg"] == "Nothing waits to be cancelled."


@in_every_dialect
def test_only_the_very_time_is_meant_where_one_is_given(workspace: Workspace) -> None:
    meant, other = waiting(workspace), waiting(workspace, at="2998-01-01T00:00:00Z")
    ran = cancel(workspace, servers=["web-01"], line="reboot", scheduled_at="2999-01-01T01:00:00+01:00")
    assert [command["id"] for command in ran.commands] == [meant]
    assert [row["id"] for row in workspace.commands() if row["status"] == "scheduled"] == [other]


@pytest.mark.parametrize("status", ["stuck", "success"])
def test_what_is_stuck_or_over_waits_no_more(current: Workspace, status: str) -> None:
    command_id = delivered(current, status)
    by_line = cancel(current, servers=["bare-01"], line="reboot")
    assert (by_line.changed, by_line.failed, by_line["msg"]) == (False, False, "Nothing waits to be cancelled.")
    by_id = cancel(current, ids=[command_id])
    assert (by_id.changed, by_id.failed, by_id["outcome"]) == (False, True, "sent")
    assert count_methods(current)["DELETE"] == 0


@in_every_dialect
@pytest.mark.parametrize("by", ["id", "line"])
def test_check_mode_writes_nothing(workspace: Workspace, by: str) -> None:
    command_id = waiting(workspace)
    workspace.reset_counters()
    given: Row = {"ids": [command_id]} if by == "id" else {"servers": ["web-01"], "line": "reboot"}
    ran = cancel(workspace, check_mode=True, diff_mode=True, **given)
    assert (ran.changed, ran.failed, ran["msg"]) == (True, False, "Would be cancelled.")
    time = " at 2999-01-01T00:00:00Z" if by == "id" or workspace.dialect != "2024" else ""
    assert ran["diff"]["before"].endswith(f": reboot{time}\n")
    assert ran["diff"]["after"] == ""
    assert workspace.counters()["writes"] == 0
    assert statuses(workspace) == ["scheduled"]
    cancel(workspace, **given)
    again = cancel(workspace, check_mode=True, diff_mode=True, **given)
    assert (again.changed, again.result.get("diff")) == (False, None)


def test_a_cancel_that_is_refused_is_a_failure_of_that_command_alone(workspace: Workspace) -> None:
    first, second = waiting(workspace), waiting(workspace, server="web-02")
    workspace.fault("status", method="DELETE", path=first, status=403, body='{"code": "FORBIDDEN"}')
    ran = cancel(workspace, ids=[first, second], diff_mode=True)
    assert (ran.failed, ran.changed) == (True, True)
    assert [command["changed"] for command in ran.commands] == [False, True]
    assert [command["outcome"] for command in ran.commands] == ["refused", "cancelled"]
    assert ran.commands[0]["msg"].startswith("Not cancelled. The token may not do this")
    assert (ran.commands[0]["ran"], ran.commands[0]["error"]["code"]) == (False, "forbidden")
    assert ran["diff"] == {"before": f"web-02: reboot at {FAR}\n", "after": ""}


def test_a_cancel_whose_answer_says_nothing_is_unknown(workspace: Workspace, moved: FakeClock) -> None:
    command_id = waiting(workspace)
    workspace.fault("lose_before", method="DELETE")
    ran = cancel(workspace, ids=[command_id], diff_mode=True)
    assert (ran.failed, ran.changed, ran["outcome"], ran["ran"]) == (True, False, "unknown", None)
    assert "diff" not in ran.result


def test_a_command_that_cannot_be_read_costs_only_itself(workspace: Workspace) -> None:
    ids = [waiting(workspace, server=server) for server in ("web-01", "web-02", "web-03")]
    workspace.fault("status", method="GET", path=f"{ids[1]}/$", status=403, body='{"code": "forbidden"}')
    ran = cancel(workspace, ids=ids)
    assert [(command["id"], command["outcome"], command["changed"]) for command in ran.commands] == [
        (ids[0], "cancelled", True),
        (ids[1], "unknown", False),
        (ids[2], "cancelled", True),
    ]
    assert ran.failed
    assert "could not be read, and was not cancelled. The token may not do this" in ran.commands[1]["msg"]
    assert statuses(workspace) == ["scheduled"]
