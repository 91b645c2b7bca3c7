# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command, except for state=scheduled and payloads."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from system.support import (
    AGENTS,
    FakeClock,
    TaskResult,
    command_options,
    count_methods,
    in_every_dialect,
    request_paths,
    run,
)
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import completion, fleet, progress
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, LIST, NO_COMMAND, Row

FINISHED = ("success", "failed", "cancelled", "denied", "rejected", "expired")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a fleet poll only when every command has ended, so that requests can be counted."""

    def over(workspace: Workspace) -> None:
        for command in workspace.commands():
            workspace.wait_for_command(command["id"], *FINISHED)

    def make(workspace: Workspace) -> None:
        waits = partial(Fleet, sleep=lambda _seconds: over(workspace))
        monkeypatch.setattr(command_task, "Fleet", waits)

    return make


# One server


@in_every_dialect
def test_one_command_on_one_server(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="echo hello; exit 0")
    assert (ran.changed, ran.failed, ran["summary"], ran.warnings) == (True, False, {"success": 1}, [])
    [command] = ran.commands
    assert command.items() <= ran.result.items()
    assert (command["rc"], command["stdout"], command["stdout_lines"], command["stderr"]) == (0, "hello", ["hello"], "")
    assert (command["outcome"], command["status"], command["success"], command["ran"]) == ("success",) * 2 + (True,) * 2
    assert command["server"] == {"id": workspace.server_ids()["web-01"], "name": "web-01"}
    assert command["start"] <= command["end"]
    [made] = workspace.commands()
    assert (made["id"], made["run_count"]) == (command["id"], 1)


@pytest.mark.parametrize(("status", "says"), [("denied", "verification denied it"), ("expired", "nobody approved it")])
def test_a_command_that_never_ran_is_reported(workspace: Workspace, status: str, says: str) -> None:
    workspace.settings(holds=[{"line": "^echo", "status": status}])
    ran = run(workspace, servers=["web-01"], line="echo hello")
    assert (ran["outcome"], ran["status"], ran["ran"], ran["rc"], ran["stdout"]) == (status, status, False, None, "")
    assert ran["msg"].startswith("Never ran: ")
    assert says in ran["msg"]


@in_every_dialect
def test_a_failing_line(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="echo out; echo err >&2; exit 3")
    assert (ran.changed, ran.failed, ran["outcome"]) == (True, True, "failed")
    assert ran["stdout_lines"] == ["out", "err"]
    stated = workspace.dialect == "current"
    assert (ran["rc"], ran.result.get("rc_assumed")) == ((3, None) if stated else (1, True))


def test_a_value_that_a_workspace_strips_is_warned_about(current: Workspace) -> None:
    env = {"PAD": "  s3cret-value  ", "NEXT": "fine", "KEY": "END\n"}
    ran = run(current, servers=["web-01"], line='printf "[%s]" "$PAD$KEY"', env=env)
    [warning] = ran.warnings
    assert "as these have: PAD, KEY. Use script or argv" in warning
    assert "s3cret" not in f"{ran.result}{ran.warnings}"
    finished = run(current, state="finished", ids=[ran["id"]], env=env)
    assert finished.warnings == []
    warnings: list[str] = []
    options = command_options(current, servers=["web-01"], line="true", env=env)
    run_command(options, Run(warn=warnings.append, no_log=True, check_mode=True))
    assert "as these have: 2 of them. Use" in warnings[0]


def test_env_is_refused_by_workspaces_without_it(old: Workspace, published: Workspace) -> None:
    # One has a command that shows it; the other has none, and a server shows it.
    run(old, servers=["web-01"], line="true")
    states: tuple[Row, ...] = ({}, {"state": "scheduled", "scheduled_at": FAR})
    for workspace, submitted in ((old, 1), (published, 0)):
        for state in states:
            with pytest.raises(UsageError, match=r"^env: this workspace does not pass variables on to servers, so "):
                run(workspace, servers=["web-01"], line='echo "$DIR"/*', env={"DIR": "/srv"}, **state)
        assert len(workspace.commands()) == submitted


def test_a_purpose_that_may_be_ignored_is_warned_about(old: Workspace) -> None:
    ran = run(old, servers=["web-01"], line="true", purpose="tests")
    assert ran["rc"] == 0
    [warning] = ran.warnings
    assert warning.startswith("purpose: ")


# output_limit


def test_the_end_of_an_output_is_kept(current: Workspace) -> None:
    ran = run(current, servers=["web-01"], line="seq 1 1000; exit 3", output_limit=8)
    assert (ran["stdout"], ran["rc"], ran["output_complete"]) == ("999\n1000", 3, False)
    assert "output_limit cut 3884 characters off the start of its output." in ran["msg"]


# Requests


@pytest.mark.parametrize(("server", "reads"), [("", 1), ("web-01", 2)], ids=["id", "name"])
def test_requests_of_one_command(workspace: Workspace, patient: Any, server: str, reads: int) -> None:
    patient(workspace)
    ran = run(workspace, servers=[server or workspace.server_ids()["web-01"]], line="echo hello")
    assert (ran["stdout"], ran["requests"]) == ("hello", 1 + reads)
    assert count_methods(workspace) == {"POST": 1, "GET": reads}


# Many servers


@pytest.mark.parametrize(("hosts", "lists"), [(1, 2), (2, 1)])
def test_hosts_of_one_task_read_the_list_of_servers_once(
    current: Workspace, tmp_path: Path, hosts: int, lists: int
) -> None:
    for name in ("web-01", "web-02"):
        options = command_options(current, servers=[name], line="true")
        assert run_command(options, Run(RunContext(folder=tmp_path), hosts=hosts, check_mode=True))["changed"]
    assert len(request_paths(current)) == lists


def test_check_mode_writes_nothing(workspace: Workspace) -> None:
    ran = run(workspace, check_mode=True, servers=["web-01", "web-02"], line="true")
    assert (ran.changed, ran.failed) == (True, False)
    assert [command["msg"] for command in ran.commands] == ["Would be submitted."] * 2
    assert workspace.counters()["writes"] == 0
    assert workspace.commands() == []


# reuse_within


@in_every_dialect
def test_a_command_that_succeeded_recently_is_reused(workspace: Workspace) -> None:
    workspace.settings(date_header=True)
    given: dict[str, Any] = {"servers": ["web-01"], "line": "echo hello", "reuse_within": "1h"}
    first, again, predicted = run(workspace, **given), run(workspace, **given), run(workspace, check_mode=True, **given)
    assert (again.changed, again.failed) == (False, False)
    assert (again["id"], again["stdout"], again["rc"]) == (first["id"], "hello", 0)
    assert "within reuse_within" in again["msg"]
    assert len(workspace.commands()) == 1
    assert predicted.commands == again.commands
    before = {"server": "web-02", "line": "echo hello", "status": "success", "added_at": -60}
    workspace.add_commands([{**before, **row} for row in ({"added_at": -7200}, {"status": "failed"}, {"line": "echo"})])
    assert run(workspace, check_mode=True, **{**given, "servers": ["web-02"]}).changed, "none of these is the same"


@pytest.mark.parametrize("lean_rows", [False, True])
@pytest.mark.parametrize(
    ("code", "success_codes", "reused"), [(3, [0, 3], True), (4, [0, 3], False), (1, [1], True), (1, [0], False)]
)
def test_success_codes_decide_about_reuse(
    current: Workspace, lean_rows: bool, code: int, success_codes: list[int], reused: bool
) -> None:
    current.settings(lean_rows=lean_rows)
    row = {"server": "web-01", "line": "true", "status": "failed", "exit_code": code, "added_at": -60}
    [command_id] = current.add_commands([row])
    given: Row = {"servers": ["web-01"], "line": "true", "reuse_within": "1h", "success_codes": success_codes}
    ran = run(current, check_mode=True, **given)
    assert (ran.changed, ran["rc"]) == ((False, code) if reused else (True, None))
    asked = [path for path in request_paths(current) if path.endswith(f"/{command_id}/")]
    assert bool(asked) is (lean_rows and success_codes != [0]), "its code is read where the list does not say it"


# state=finished


@in_every_dialect
def test_commands_of_an_earlier_task_are_awaited(workspace: Workspace) -> None:
    earlier = run(workspace, servers=["web-01", "web-02"], line="sleep 0.3; echo $HOSTNAME", wait=False)
    assert [(command["outcome"], command["rc"]) for command in earlier.commands] == [("pending", None)] * 2
    assert (earlier.failed, earlier.changed) == (False, True)
    ids = [command["id"] for command in earlier.commands]
    ran = run(workspace, state="finished", ids=ids)
    assert [command["id"] for command in ran.commands] == ids
    assert [command["stdout"] for command in ran.commands] == ["web-01", "web-02"]
    assert [command["server"]["id"] for command in ran.commands] == [
        workspace.server_ids()[name] for name in ("web-01", "web-02")
    ]
    assert (ran.changed, ran.failed) == (False, False)


def test_a_cancel_on_timeout_is_a_change(workspace: Workspace) -> None:
    [waits] = run(workspace, state="scheduled", servers=["web-01"], line="echo late", scheduled_at=FAR).commands
    ran = run(workspace, state="finished", ids=[waits["id"]], wait_timeout="1s", cancel_on_timeout=True)
    assert (ran["outcome"], ran.changed, ran["commands"][0]["changed"]) == ("timed_out", True, True)
    assert count_methods(workspace)["DELETE"] == 1


@in_every_dialect
@pytest.mark.parametrize("code", [0, 3])
def test_a_command_runs_after_its_parent_or_never(workspace: Workspace, code: int) -> None:
    [parent] = run(workspace, servers=["web-01"], line=f"sleep 1; exit {code}", wait=False).commands
    child = run(workspace, servers=["web-02"], line="echo child", run_after=[parent["id"]])
    assert child["outcome"] == ("parent_failed" if code else "success")
    first, *more = workspace.commands()
    assert all(not row["run_count"] or row["delivered_at"] >= first["handled_at"] for row in more)
    assert sum(row["run_count"] for row in more) == (0 if code else 1)


def test_a_parent_is_not_cancelled_when_its_child_times_out(published: Workspace) -> None:
    [parent] = run(published, state="scheduled", servers=["web-01"], line="echo parent", scheduled_at=FAR).commands
    limits: dict[str, Any] = {"wait_timeout": "1s", "cancel_on_timeout": True}
    child = run(published, servers=["web-02"], line="echo child", run_after=[parent["id"]], **limits)
    assert child["outcome"] == "not_tried"
    assert [row["status"] for row in published.commands()] == ["scheduled"]


LATER: Row = {"servers": ["web-01"], "state": "scheduled", "scheduled_at": FAR}
#: Options, and the number of command lists, command reads, submits, cancels and server lists.
COSTS: list[tuple[Row, tuple[int, int, int, int, int]]] = [
    ({"state": "finished", "ids": ["{ran}"]}, (0, 1, 0, 0, 0)),
    ({"state": "finished", "ids": ["{ran}", "{other}"]}, (1, 0, 0, 0, 0)),
    ({"servers": list(AGENTS), "line": "echo", "wait": False}, (0, 0, 3, 0, 1)),
    ({**LATER, "line": "x"}, (2, 0, 1, 0, 1)),
    ({**LATER, "line": "y"}, (1, 0, 0, 0, 1)),
    ({"servers": ["{server}"], "line": "x", "state": "cancelled"}, (1, 0, 0, 0, 0)),
    ({"servers": ["{server}"], "line": "uptime", "reuse_within": "1h"}, (1, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("given", "counts"), COSTS)
def test_requests_of_other_tasks(workspace: Workspace, given: Row, counts: tuple[int, ...]) -> None:
    ran, other = workspace.add_commands([{"line": "uptime", "status": "success", "result": "up"}] * 2)
    workspace.submit("web-01", "y", scheduled_at=FAR)
    known = {"ran": ran, "other": other, "server": workspace.server_ids()["web-01"]}
    filled: dict[str, Any] = {
        name: [text.format_map(known) for text in value] if name in ("ids", "servers") else value
        for name, value in given.items()
    }
    workspace.reset_counters()
    run(workspace, **filled)
    made = {name: count["total"] for name, count in workspace.counters()["routes"].items()}
    routes = (f"GET {LIST}", f"GET {LIST}{{id}}/", f"POST {LIST}", f"DELETE {LIST}{{id}}/", "GET /api/servers/servers/")
    expected = dict(zip(routes, counts, strict=True))
    assert made == {name: count for name, count in expected.items() if count}


def test_check_mode_awaits_and_writes_nothing(workspace: Workspace) -> None:
    workspace.settings(offline_mode="queue")
    [waits] = workspace.add_commands([{"status": "scheduled", "scheduled_at": FAR}])
    ran = run(workspace, check_mode=True, state="finished", ids=[waits], wait_timeout="1s", cancel_on_timeout=True)
    assert (ran.changed, ran["outcome"]) == (False, "timed_out")
    assert workspace.counters()["writes"] == 0
    assert workspace.commands()[0]["status"] == "scheduled"


@pytest.mark.parametrize(("own", "shows_at"), [(True, 20), (True, None), (False, 20)])
def test_a_parent_of_the_same_run_may_show_late(
    current: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool, shows_at: int | None
) -> None:
    clock, this = FakeClock(), Run(RunContext(folder=tmp_path))
    monkeypatch.setattr(command_task, "time", clock)
    [parent] = current.add_commands([{"server": "web-01", "line": "true", "status": "success"}])
    assert this.submitted_commands
    this.submitted_commands.add({"id": parent if own else NO_COMMAND})
    current.fault("status", method="GET", path=f"{parent}/$", status=404, body='{"code": "command_not_found"}')
    if shows_at:
        clock.at(shows_at, current.clear_faults)
    options = command_options(current, servers=["web-02"], line="true", run_after=[parent])
    if own and shows_at:
        assert run_command(options, this)["outcome"] == "success"
    else:
        with pytest.raises(UsageError, match=f"there is no command {parent}"):
            run_command(options, this)
        assert (sum(clock.slept) >= 30) is own


# state=cancelled


@pytest.fixture(params=["mark", "delete"])
def modal(request: pytest.FixtureRequest, workspace: Workspace) -> Workspace:
    """Return a workspace that keeps cancelled commands, or deletes them."""
    workspace.settings(cancel_mode=request.param)
    return workspace


def cancel(workspace: Workspace, **given: Any) -> TaskResult:
    return run(workspace, state="cancelled", **given)


def waiting(workspace: Workspace, server: str = "web-01", line: str = "reboot", at: str = FAR) -> str:
    return workspace.submit(server, line, scheduled_at=at)


def delivered(workspace: Workspace, status: str) -> str:
    """Add a command that was delivered to a server without an agent."""
    workspace.add_servers("bare-01", connected=True)
    [command_id] = workspace.add_commands([{"server": "bare-01", "line": "reboot", "status": status}])
    return command_id


def statuses(workspace: Workspace) -> list[str]:
    """Return the status of every command that has not been cancelled or deleted."""
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
    # Workspaces that delete cancelled commands need a second cancel.
    assert count_methods(modal)["DELETE"] <= 2


def test_an_unknown_id_is_named_while_a_task_waits_for_it(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "REPORT_EVERY", 0.1)
    monkeypatch.setattr(progress, "REPORT_EVERY", 0.1)
    monkeypatch.setattr(completion, "PACING", replace(PACING, patience=0.5))
    printed: list[str] = []
    options = command_options(current, state="finished", ids=[NO_COMMAND])
    assert run_command(options, Run(RunContext(report=printed.append)))["outcome"] == "unknown"
    assert [NO_COMMAND in line for line in printed] == [True]


@in_every_dialect
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_missing_command_is_no_failure(workspace: Workspace, check_mode: bool) -> None:
    ran = cancel(workspace, check_mode=check_mode, ids=[NO_COMMAND])
    assert (ran.changed, ran.failed, ran["outcome"], ran["id"]) == (False, False, "cancelled", NO_COMMAND)
    assert ran["msg"] == "There is no such command, or it is gone."
    assert count_methods(workspace)["DELETE"] == (0 if check_mode else 1)


@pytest.mark.parametrize(
    ("fault", "changed", "outcome", "msg"),
    [
        ({}, True, "cancelled", "Cancelled."),
        ({"status": 409, "body": '{"code": "EVENT_COMMAND_ALREADY_SENT"}'}, False, "sent", "Too late to cancel"),
        ({"status": 403, "body": '{"code": "FORBIDDEN"}'}, False, "refused", "Not cancelled. The token is not allowed"),
    ],
    ids=["let go", "sent", "refused"],
)
def test_a_command_that_reads_do_not_show_is_cancelled(
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
def test_a_delivered_command_cannot_be_cancelled(workspace: Workspace, given: Row, fail_if_sent: bool) -> None:
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
    assert second["msg"] == "There is nothing to cancel."


@pytest.mark.parametrize("given", [{}, {"scheduled_at": FAR}], ids=["any", "at a time"])
def test_names_are_not_looked_up_if_nothing_waits(modal: Workspace, given: Row) -> None:
    names = [f"app-{number:03d}" for number in range(150)]
    modal.add_servers(*names)
    waiting(modal, line="reboot -f")
    modal.reset_counters()
    ran = cancel(modal, servers=[*names, "nowhere"], line="reboot", **given)
    assert (ran.changed, ran.failed, ran["requests"]) == (False, False, 1)
    assert [command["server"]["name"] for command in ran.commands] == [*names, "nowhere"]
    assert {command["msg"] for command in ran.commands} == {"There is nothing to cancel."}
    # A command that matches waits on another server than those: the name may be misspelt.
    waiting(modal)
    with pytest.raises(UsageError, match=r"no server is named web-1\. Did you mean web-0"):
        cancel(modal, servers=["web-1", "app-000"], line="reboot", **given)
    assert cancel(modal, servers=names[:2], line="reboot", **given).changed is False


@pytest.mark.parametrize(
    ("servers", "problem"),
    [
        (["web-*", "web-01"], "Patterns are not allowed here"),
        (["web-01", "web-01"], "web-01 and web-01 are the same server"),
    ],
)
def test_servers_that_are_no_names_are_refused_though_nothing_waits(
    current: Workspace, servers: list[str], problem: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)):
        cancel(current, servers=servers, line="reboot")


@in_every_dialect
def test_only_commands_at_that_time_are_cancelled(workspace: Workspace) -> None:
    meant, other = waiting(workspace), waiting(workspace, at="2998-01-01T00:00:00Z")
    ran = cancel(workspace, servers=["web-01"], line="reboot", scheduled_at="2999-01-01T01:00:00+01:00")
    assert [command["id"] for command in ran.commands] == [meant]
    assert [row["id"] for row in workspace.commands() if row["status"] == "scheduled"] == [other]


@pytest.mark.parametrize("status", ["stuck", "success"])
def test_a_stuck_or_finished_command_is_not_cancelled(current: Workspace, status: str) -> None:
    command_id = delivered(current, status)
    by_line = cancel(current, servers=["bare-01"], line="reboot")
    assert (by_line.changed, by_line.failed, by_line["msg"]) == (False, False, "There is nothing to cancel.")
    by_id = cancel(current, ids=[command_id])
    assert (by_id.changed, by_id.failed, by_id["outcome"]) == (False, True, "sent")
    assert count_methods(current)["DELETE"] == 0


@in_every_dialect
@pytest.mark.parametrize("by", ["id", "line"])
def test_check_mode_cancels_nothing(workspace: Workspace, by: str) -> None:
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


def test_a_refused_cancel_affects_only_its_command(workspace: Workspace) -> None:
    first, second = waiting(workspace), waiting(workspace, server="web-02")
    workspace.fault("status", method="DELETE", path=first, status=403, body='{"code": "FORBIDDEN"}')
    ran = cancel(workspace, ids=[first, second], diff_mode=True)
    assert (ran.failed, ran.changed) == (True, True)
    assert [command["changed"] for command in ran.commands] == [False, True]
    assert [command["outcome"] for command in ran.commands] == ["refused", "cancelled"]
    assert ran.commands[0]["msg"].startswith("Not cancelled. The token is not allowed to do this")
    assert (ran.commands[0]["ran"], ran.commands[0]["error"]["code"]) == (False, "forbidden")
    assert ran["diff"] == {"before": f"web-02: reboot at {FAR}\n", "after": ""}


def test_a_lost_cancel_is_unknown(workspace: Workspace, moved: FakeClock) -> None:
    command_id = waiting(workspace)
    workspace.fault("lose_before", method="DELETE")
    ran = cancel(workspace, ids=[command_id], diff_mode=True)
    assert (ran.failed, ran.changed, ran["outcome"], ran["ran"]) == (True, False, "unknown", None)
    assert "diff" not in ran.result


def test_an_unreadable_command_affects_only_itself(workspace: Workspace) -> None:
    ids = [waiting(workspace, server=server) for server in ("web-01", "web-02", "web-03")]
    workspace.fault("status", method="GET", path=f"{ids[1]}/$", status=403, body='{"code": "forbidden"}')
    ran = cancel(workspace, ids=ids)
    assert [(command["id"], command["outcome"], command["changed"]) for command in ran.commands] == [
        (ids[0], "cancelled", True),
        (ids[1], "unknown", False),
        (ids[2], "cancelled", True),
    ]
    assert ran.failed
    assert "could not be read, and was not cancelled. The token is not allowed to do this" in ran.commands[1]["msg"]
    assert statuses(workspace) == ["scheduled"]


def test_the_cost_is_reported_before_the_first_submit(current: Workspace) -> None:
    reports: list[tuple[str, int]] = []

    def report(text: str) -> None:
        reports.append((text, len(current.commands())))

    given: Row = {"servers": list(AGENTS), "line": "true", "requests_per_hour": 15}
    schedule: Row = {"state": "scheduled", "scheduled_at": FAR, "wait": False}
    for check_mode in (True, False):
        for more in ({}, schedule, {"reuse_within": "1h"}):
            run_command(
                command_options(current, **given, **more), Run(RunContext(report=report), check_mode=check_mode)
            )
    text = "alpacon: about 4 requests are expected for 3 commands; the token has 15 an hour"
    assert reports == [(text, 0)]
