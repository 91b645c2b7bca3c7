# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state=scheduled: one pending command, however many tasks and runs schedule it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from system.support import (
    FakeClock,
    TaskResult,
    command_options,
    count_methods,
    in_every_dialect,
    rate_limit_fault,
    request_paths,
    run,
)
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import to_iso
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import submitting
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import scheduled as _scheduled
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

LATER = "2998-06-01T03:00:00Z"


def schedule(workspace: Workspace, **given: Any) -> TaskResult:
    return run(
        workspace, **{"state": "scheduled", "servers": ["web-01"], "line": "reboot", "scheduled_at": FAR, **given}
    )


def pending(workspace: Workspace, line: str = "reboot") -> list[str]:
    return [row["id"] for row in workspace.commands(line=line) if row["status"] in ("scheduled", "queued")]


@in_every_dialect
def test_the_first_run_schedules_and_the_second_finds_it(workspace: Workspace) -> None:
    first = schedule(workspace)
    assert (first.changed, first.failed, first["outcome"]) == (True, False, "pending")
    assert (first["ran"], first["rc"]) == (False, None)
    workspace.reset_counters()
    second = schedule(workspace, scheduled_at="2999-01-01T09:00:00+09:00")
    assert (second.changed, second.failed, second["id"]) == (False, False, first["id"])
    assert second["msg"] == "Already scheduled."
    assert workspace.counters()["writes"] == 0
    assert pending(workspace) == [first["id"]]
    [made] = workspace.commands()
    assert datetime.fromisoformat(made["scheduled_at"]) == datetime(2999, 1, 1, tzinfo=UTC)


# Times that pass while the submits are under way


def test_a_command_whose_time_passes_during_a_rate_limit_is_not_submitted(
    current: Workspace, tmp_path: Path, moved: FakeClock
) -> None:
    servers = ["web-01", "web-02"]
    before = schedule(current, servers=servers).commands
    current.fault("status", method="POST", after=1, **rate_limit_fault(30))
    soon = str(to_iso(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)))
    given = {"state": "scheduled", "line": "reboot", "scheduled_at": soon, "reschedule": True}
    journal = tmp_path / "run.ids"
    result = run_command(command_options(current, servers=servers, **given), Run(RunContext(journal_file=journal)))
    assert (result["failed"], result["summary"]) == (True, {"pending": 1, "not_tried": 1})
    [late] = [command for command in result["commands"] if command["outcome"] == "not_tried"]
    assert (late["id"], late["ran"], late["changed"]) == (None, False, False)
    assert late["msg"].startswith(f"Not tried: {soon} passed before it could be submitted.")
    assert not journal.exists()
    [stands] = [command["id"] for command in before if command["server"]["id"] == late["server"]["id"]]
    assert [row["id"] for row in current.commands(server=late["server"]["name"])] == [stands]
    assert stands in late["msg"]
    assert moved.passed >= 20


# Check and diff mode


def test_check_mode_writes_nothing(workspace: Workspace) -> None:
    first = schedule(workspace, check_mode=True, diff_mode=True)
    assert first.changed
    assert first["msg"].startswith("Would be scheduled for 2999-01-01T00:00:00Z")
    assert first["diff"] == {"before": "", "after": "web-01: reboot at 2999-01-01T00:00:00Z\n"}
    assert workspace.counters()["writes"] == 0
    schedule(workspace)
    workspace.reset_counters()
    second = schedule(workspace, check_mode=True, diff_mode=True)
    assert (second.changed, second.result.get("diff")) == (False, None)
    moved = schedule(workspace, check_mode=True, diff_mode=True, scheduled_at=LATER, reschedule=True)
    assert moved.changed
    assert moved["diff"] == {"before": f"web-01: reboot at {FAR}\n", "after": f"web-01: reboot at {LATER}\n"}
    assert workspace.counters()["writes"] == 0


# Commands that ran already


def ran_at(workspace: Workspace, **row: Any) -> tuple[str, str]:
    """Return the ID of a command that ran in the past, and its time."""
    time = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    fields = {"server": "web-01", "line": "reboot", "status": "success", "added_at": -7200}
    fields |= {"scheduled_at": to_iso(time), "delivered_at": to_iso(time)}
    [command_id] = workspace.add_commands([{**fields, **row}])
    return command_id, str(to_iso(time))


@in_every_dialect
@pytest.mark.parametrize("status", ["success", "running"])
def test_a_command_that_ran_at_that_time_is_not_scheduled_again(workspace: Workspace, status: str) -> None:
    command_id, time = ran_at(workspace, status=status)
    again = schedule(workspace, scheduled_at=time)
    assert (again.changed, again.failed) == (False, False)
    assert again["id"] == command_id
    assert workspace.counters()["writes"] == 0


def test_a_past_time_is_an_error_if_nothing_ran_then(workspace: Workspace) -> None:
    ran_at(workspace, line="another line")
    with pytest.raises(UsageError, match=r"is in the past.*on web-01.*state=executed") as caught:
        schedule(workspace, check_mode=True, scheduled_at="2020-01-01T00:00:00Z")
    assert caught.value.option == "scheduled_at"
    assert workspace.counters()["writes"] == 0


def test_a_command_that_never_ran_at_that_time_does_not_count(workspace: Workspace) -> None:
    row = {"server": "web-01", "line": "reboot", "status": "expired", "scheduled_at": FAR, "added_at": -5}
    [expired] = workspace.add_commands([row])
    before = schedule(workspace)
    run(workspace, state="cancelled", ids=[before["id"]])
    stands = schedule(workspace)
    assert [ran.changed for ran in (before, stands)] == [True, True]
    assert len({expired, before["id"], stands["id"]}) == 3
    after = workspace.submit("web-01", "reboot", scheduled_at=FAR)
    run(workspace, state="cancelled", ids=[after])
    again = schedule(workspace)
    assert (again.changed, again["id"], pending(workspace)) == (False, stands["id"], [stands["id"]])


@pytest.mark.parametrize("status", ["denied", "rejected"])
def test_a_command_refused_at_that_time_is_not_submitted_again(workspace: Workspace, status: str) -> None:
    row = {"server": "web-01", "line": "reboot", "status": status, "scheduled_at": FAR, "added_at": -5}
    [refused] = workspace.add_commands([row])
    ran = schedule(workspace)
    assert (ran.changed, ran.failed, ran["outcome"], ran["id"]) == (False, True, status, refused)
    assert workspace.counters()["writes"] == 0


# Reschedule


@in_every_dialect
def test_a_schedule_is_moved_once(workspace: Workspace) -> None:
    others = [workspace.submit("web-02", "reboot", scheduled_at=FAR), workspace.submit("web-01", "w", scheduled_at=FAR)]
    schedule(workspace)
    moved = schedule(workspace, scheduled_at=LATER, reschedule=True, diff_mode=True)
    assert (moved.changed, moved.failed) == (True, False)
    assert [row["id"] for row in workspace.commands() if row["status"] == "scheduled"] == [*others, moved["id"]]
    assert moved["diff"] == {"before": f"web-01: reboot at {FAR}\n", "after": f"web-01: reboot at {LATER}\n"}
    again = schedule(workspace, scheduled_at=LATER, reschedule=True)
    assert (again.changed, again["id"]) == (False, moved["id"])


SENT: dict[str, Any] = {"status": 409, "body": '{"code": "EVENT_COMMAND_ALREADY_SENT"}'}
FORBIDDEN: dict[str, Any] = {"status": 403, "body": '{"code": "FORBIDDEN"}'}


@pytest.mark.parametrize(
    ("fault", "stand", "changed"),
    [
        ({**FORBIDDEN, "times": 1}, 2, False),
        ({**FORBIDDEN, "times": 2}, 3, True),
        ({**SENT, "after": 1, "times": 1}, 1, True),
    ],
    ids=["the first is refused", "the new one as well", "the second is sent"],
)
def test_a_failed_reschedule_lists_what_is_scheduled(current: Workspace, fault: Row, stand: int, changed: bool) -> None:
    for at in (FAR, "2999-02-01T00:00:00Z"):
        schedule(current, scheduled_at=at)
    current.fault("status", method="DELETE", **fault)
    ran = schedule(current, scheduled_at=LATER, reschedule=True, diff_mode=True)
    tried = [path.rstrip("/").rpartition("/")[2] for path in request_paths(current, "DELETE")]
    failing, left = tried[fault.get("after", 0)], pending(current)
    assert (ran.failed, ran.changed, len(left)) == (True, changed, stand)
    assert ran["id"] == (tried[-1] if stand == 3 else failing)
    said, _colon, listed = ran["msg"].partition("Scheduled now: ")
    assert f"Not rescheduled: command {failing}" in said
    # What was delivered does not stand any more, whatever else this workspace says.
    assert {command for command in left if command in listed} == set(left) - ({failing} if "after" in fault else set())


# Races


def all_submit_at_once(workspace: Workspace, racers: int, tie: bool) -> Callable[..., Any]:
    """Return a submit that waits until every racer has read; with a tie, all get the same time."""
    barrier = threading.Barrier(racers)
    moment = datetime.now(UTC).replace(microsecond=0)

    def together(*arguments: Any) -> Any:
        barrier.wait(30)
        command = submit(*arguments)
        if not tie:
            return command
        workspace.change_command(command.id, added_at=to_iso(moment))
        barrier.wait(30)
        return replace(command, added_at=moment)

    return together


@in_every_dialect
@pytest.mark.parametrize("tie", [False, True])
def test_runs_that_race_leave_one_pending_command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tie: bool
) -> None:
    monkeypatch.setattr(submitting, "submit", all_submit_at_once(workspace, 3, tie))
    options = command_options(workspace, state="scheduled", servers=["web-01"], line="reboot", scheduled_at=FAR)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _number: run_command(options, Run()), range(3)))
    [left] = pending(workspace)
    assert {result["id"] for result in results} == {left}
    assert sum(result["changed"] for result in results) == 1
    assert not any(result.get("failed") for result in results)
    assert count_methods(workspace)["POST"] == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FORBIDDEN, "web-01: another run scheduled the same command, and both may remain."),
        (SENT, "was scheduled twice and sent before it could be cancelled."),
    ],
    ids=["refused", "sent"],
)
def test_a_later_command_that_cannot_be_cancelled_is_reported(
    current: Workspace, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], words: str
) -> None:
    row = {"server": "web-01", "line": "reboot", "status": "scheduled", "scheduled_at": FAR, "added_at": -5}
    rival: list[str] = []

    def submit_second(*arguments: Any) -> Any:
        rival.extend(current.add_commands([row]))
        return submit(*arguments)

    monkeypatch.setattr(submitting, "submit", submit_second)
    current.fault("status", method="DELETE", **fault)
    ran = schedule(current)
    assert (ran.changed, ran.failed) == (True, False)
    assert pending(current) == [*rival, ran["id"]]
    [warning] = ran.warnings
    assert words in warning


def test_a_command_that_the_workspace_accepts_and_does_not_list_is_reported(
    current: Workspace, moved: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scheduled, "time", moved)
    current.settings(read_lag=600)
    ran = schedule(current)
    assert (ran.changed, ran.failed, ran["id"]) == (True, False, pending(current)[0])
    [warning] = ran.warnings
    assert warning == (
        f"web-01: another run may have scheduled the same command, since the workspace accepted {ran['id']}"
        " and does not list it."
    )
    assert moved.passed >= 30, "it was searched for long enough"
    [alike] = schedule(current, servers=["web-01", "web-02"], line="sync").warnings
    assert alike.startswith("web-01, web-02: another run may have scheduled the same command, ")


# Refusals


@in_every_dialect
@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
def test_an_older_command_is_not_mistaken_for_a_lost_submit(workspace: Workspace, moved: FakeClock, fault: str) -> None:
    # Lists of 2024 do not say when a command is to run.
    first = schedule(workspace)
    workspace.fault(fault, method="POST", times=1)
    later = schedule(workspace, scheduled_at=LATER, reschedule=True)
    [stands] = pending(workspace)
    assert count_methods(workspace)["POST"] == 2
    assert later["outcome"] == ("unknown" if fault == "lose_before" else "pending")
    assert (stands == first["id"]) == (fault == "lose_before")


def test_a_schedule_does_not_outrun_its_parent(published: Workspace) -> None:
    [parent] = run(published, servers=["web-01"], line="sleep 30", wait=False).commands
    with pytest.raises(UsageError, match=f"{parent['id']} is .+, and this workspace does not wait for it"):
        schedule(published, run_after=[parent["id"]])
    done = run(published, servers=["web-01"], line="true")
    assert schedule(published, run_after=[done["id"]])["outcome"] == "pending"


def test_nothing_is_scheduled_after_a_failed_command(workspace: Workspace) -> None:
    row = {"server": "web-01", "line": "true", "delivered_at": -9, "acked_at": -9, "handled_at": -8}
    failed, error = workspace.add_commands([{**row, "status": status} for status in ("failed", "error")])
    with pytest.raises(UsageError, match=f"{failed} is failed, and a command scheduled after it never runs"):
        schedule(workspace, run_after=[failed])
    assert pending(workspace) == []
    assert schedule(workspace, run_after=[error])["outcome"] == "pending", "it may yet succeed"


def test_the_old_command_stays_if_the_new_one_is_refused(workspace: Workspace) -> None:
    first = schedule(workspace)
    workspace.fault("status", method="POST", times=1, status=403, body='{"code": "FORBIDDEN"}')
    ran = schedule(workspace, scheduled_at=LATER, reschedule=True, diff_mode=True)
    assert (ran.failed, ran.changed, ran["outcome"], "diff" in ran.result) == (True, False, "refused", False)
    assert f"Scheduled now: {first['id']} at 2999-01-01T00:00:00Z." in ran["msg"]
    assert pending(workspace) == [first["id"]]


def test_a_command_that_ran_long_ago_is_found_also_with_reschedule(workspace: Workspace) -> None:
    then = (datetime.now(UTC) - timedelta(days=3)).replace(microsecond=0)
    made, _time = ran_at(workspace, scheduled_at=to_iso(then), added_at=to_iso(then))
    workspace.add_many_commands(140, server="web-01", line="true", status="success", added_at=-90000)
    for reschedule in (False, True):
        again = schedule(workspace, scheduled_at=to_iso(then), reschedule=reschedule)
        assert (again.changed, again["id"], again["msg"]) == (False, made, "It already ran at that time.")


def test_a_race_that_cannot_be_checked_is_warned_about(workspace: Workspace) -> None:
    workspace.fault("status", method="GET", path="/api/events/", after=1, status=403, body='{"code": "forbidden"}')
    ran = schedule(workspace)
    assert (ran.changed, ran.failed) == (True, False)
    assert ran["id"] == pending(workspace)[0]
    assert any("Another run may have scheduled the same command on web-01." in warning for warning in ran.warnings)
