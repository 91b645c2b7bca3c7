# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state=scheduled: one pending command, however often and by however many it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from system.conftest import Connect
from system.support import (
    Clock,
    Outcome,
    Reply,
    ScriptedServer,
    body_for,
    command_options,
    in_every_dialect,
    methods,
    paths,
    run,
)
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import TimeHasPassed, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import iso
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import submitting
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import scheduled as _scheduled
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR

Serve = Callable[..., ScriptedServer]

LATER = "2998-06-01T03:00:00Z"


def schedule(workspace: Workspace, **given: Any) -> Outcome:
    return run(
        workspace, **{"state": "scheduled", "servers": ["web-01"], "line": "reboot", "scheduled_at": FAR, **given}
    )


def pending(workspace: Workspace, line: str = "reboot") -> list[str]:
    return [row["id"] for row in workspace.commands(line=line) if row["status"] in ("scheduled", "queued")]


def truth_of(workspace: Workspace, command_id: str) -> datetime:
    return datetime.fromisoformat(workspace.commands(id=command_id)[0]["scheduled_at"])


@in_every_dialect
def test_the_first_run_schedules_and_the_second_finds_it(workspace: Workspace) -> None:
    first = schedule(workspace)
    assert (first.changed, first.failed, first["outcome"]) == (True, False, "pending")
    assert (first["ran"], first["rc"]) == (False, None)
    workspace.reset_counters()
    second = schedule(workspace)
    assert (second.changed, second.failed) == (False, False)
    assert second["id"] == first["id"]
    assert second["msg"] == "Already scheduled."
    assert workspace.counters()["writes"] == 0
    assert pending(workspace) == [first["id"]]
    assert truth_of(workspace, first["id"]) == datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "spelling", ["2999-01-01T09:00:00+09:00", "2998-12-31 19:00:00-05:00", "2999-01-01T00:00:00.0Z"]
)
def test_the_same_moment_in_another_zone_is_the_same(workspace: Workspace, spelling: str) -> None:
    schedule(workspace)
    assert not schedule(workspace, scheduled_at=spelling).changed


@in_every_dialect
@pytest.mark.parametrize(
    "other",
    [
        {"line": "reboot -f"},
        {"servers": ["web-02"]},
        {"username": "root"},
        {"shell": "osquery"},
        {"scheduled_at": LATER},
    ],
)
def test_another_schedule_is_another_command(workspace: Workspace, other: dict[str, Any]) -> None:
    schedule(workspace, username="admin" if "username" in other else None)
    assert schedule(workspace, **other).changed
    assert len(workspace.commands()) == 2


def test_a_line_with_blanks_at_its_ends_is_found_again(workspace: Workspace) -> None:
    assert schedule(workspace, line="  reboot \n").changed
    assert not schedule(workspace, line="  reboot \n").changed


def test_several_servers_are_scheduled_one_by_one(workspace: Workspace) -> None:
    schedule(workspace, servers=["web-02"])
    both = schedule(workspace, servers=["web-01", "web-02"])
    assert [command["changed"] for command in both.commands] == [True, False]
    assert len(pending(workspace)) == 2
    again = schedule(workspace, servers=["web-01", "web-02"])
    assert not again.changed


@in_every_dialect
def test_it_is_found_among_many(workspace: Workspace) -> None:
    first = schedule(workspace)
    workspace.add_many_commands(300, server="web-01", line="true", status="success", added_at=-60)
    workspace.add_many_commands(150, server="web-01", line="true", status="scheduled", scheduled_at=FAR)
    again = schedule(workspace)
    assert (again.changed, again["id"]) == (False, first["id"])


# Times that pass while the submits are under way


@pytest.mark.parametrize("reschedule", [False, True])
def test_what_waits_for_the_budget_until_its_time_has_passed_is_not_submitted(
    current: Workspace, tmp_path: Path, reschedule: bool
) -> None:
    servers = ["web-01", "web-02"]
    before = schedule(current, servers=servers).commands if reschedule else []
    current.settings(throttle="3/5s")  # the names, the list, and one of two submits
    soon = iso(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)) or ""
    given = {"state": "scheduled", "line": "reboot", "scheduled_at": soon, "reschedule": reschedule}
    journal = tmp_path / "run.ids"
    result = run_command(command_options(current, servers=servers, **given), Run(journal_file=journal))
    assert (result["failed"], result["summary"]) == (True, {"pending": 1, "not_tried": 1})
    [late] = [command for command in result["commands"] if command["outcome"] == "not_tried"]
    name = late["server"]["name"]
    assert (late["id"], late["ran"], late["changed"]) == (None, False, False)
    assert late["msg"].startswith(f"Not tried: {soon} passed before it could be submitted.")
    assert f"{name}: Not tried" in result["msg"]
    assert not journal.exists()
    there = [row["id"] for row in current.commands(server=name)]
    assert there == [command["id"] for command in before if command["server"]["name"] == name]
    assert all(command_id in late["msg"] for command_id in there), "what is scheduled there now is named"


def test_the_time_is_looked_at_before_each_repetition(
    current: Workspace, serve: Serve, connect: Connect, clock: Clock
) -> None:
    server = serve([Reply({"code": "api_rate_limited"}, 429, {"Retry-After": "30"})])
    body = body_for(current, scheduled_at=iso(datetime.now(UTC) + timedelta(seconds=45)))
    with pytest.raises(TimeHasPassed, match="passed before it could be submitted"):
        submit(connect(server, sleep=clock.sleep), body)
    assert [request.method for request in server.requests] == ["POST", "POST"]


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
    assert workspace.counters()["writes"] == 0


@pytest.mark.parametrize("own_server", ["", "web-01 of the play"])
def test_a_server_whose_name_nobody_has_told_is_in_the_diff_as_it_was_given(
    current: Workspace, own_server: str
) -> None:
    server = current.server_ids()["web-01"]
    options = command_options(current, state="scheduled", servers=[server], line="reboot", scheduled_at=FAR)
    result = run_command(options, Run(check_mode=True, diff_mode=True, own_server=own_server))
    assert result["diff"]["after"] == f"{own_server or server}: reboot at {FAR}\n"


def test_check_mode_of_a_reschedule_writes_nothing(workspace: Workspace) -> None:
    schedule(workspace)
    workspace.reset_counters()
    ran = schedule(workspace, check_mode=True, diff_mode=True, scheduled_at=LATER, reschedule=True)
    assert ran.changed
    assert ran["diff"] == {
        "before": "web-01: reboot at 2999-01-01T00:00:00Z\n",
        "after": "web-01: reboot at 2998-06-01T03:00:00Z\n",
    }
    assert workspace.counters()["writes"] == 0


# What ran already


def ran_at(workspace: Workspace, **row: Any) -> tuple[str, str]:
    """A command that ran at a time gone by, and that time."""
    time = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    fields = {"server": "web-01", "line": "reboot", "status": "success", "added_at": -7200}
    fields |= {"scheduled_at": iso(time), "delivered_at": iso(time)}
    [command_id] = workspace.add_commands([{**fields, **row}])
    return command_id, str(iso(time))


@in_every_dialect
@pytest.mark.parametrize("status", ["success", "failed", "running", "delivered"])
def test_what_ran_at_that_time_is_not_scheduled_again(workspace: Workspace, status: str) -> None:
    command_id, time = ran_at(workspace, status=status)
    again = schedule(workspace, scheduled_at=time)
    assert (again.changed, again.failed) == (False, False)
    assert again["id"] == command_id
    assert workspace.counters()["writes"] == 0
    assert len(workspace.commands()) == 1


@in_every_dialect
def test_a_schedule_that_an_agent_carried_out_is_not_scheduled_again(workspace: Workspace) -> None:
    time = str(iso(datetime.now(UTC) + timedelta(seconds=1)))
    first = schedule(workspace, line="echo done", scheduled_at=time)
    assert first.changed
    workspace.wait_for_command(first["id"])
    again = schedule(workspace, line="echo done", scheduled_at=time)
    assert (again.changed, again.failed, again["id"]) == (False, False, first["id"])
    assert again["outcome"] == "success"
    assert "already ran at that time" in again["msg"]
    [made] = workspace.commands()
    assert made["run_count"] == 1


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_time_gone_by_is_an_error_where_nothing_ran_then(workspace: Workspace, check_mode: bool) -> None:
    ran_at(workspace, line="another line")
    with pytest.raises(UsageError, match=r"is in the past.*on web-01.*state=executed") as caught:
        schedule(workspace, check_mode=check_mode, scheduled_at="2020-01-01T00:00:00Z")
    assert caught.value.option == "scheduled_at"
    assert workspace.counters()["writes"] == 0


def test_five_of_the_servers_are_named_on_which_nothing_ran_then(current: Workspace) -> None:
    names = [f"db-{number}" for number in range(6)]
    current.add_servers(*names)
    with pytest.raises(UsageError, match=r"then on db-0, db-1, db-2, db-3, db-4\. Give"):
        schedule(current, servers=names, scheduled_at="2020-01-01T00:00:00Z")


@pytest.mark.parametrize("status", ["cancelled", "expired"])
def test_what_never_ran_at_that_time_does_not_count(workspace: Workspace, status: str) -> None:
    workspace.add_commands(
        [{"server": "web-01", "line": "reboot", "status": status, "scheduled_at": FAR, "added_at": -5}]
    )
    assert schedule(workspace).changed
    assert len(pending(workspace)) == 1


@pytest.mark.parametrize("status", ["denied", "rejected"])
def test_what_was_refused_at_that_time_is_not_asked_for_again(workspace: Workspace, status: str) -> None:
    row = {"server": "web-01", "line": "reboot", "status": status, "scheduled_at": FAR, "added_at": -5}
    [refused] = workspace.add_commands([row])
    ran = schedule(workspace)
    assert (ran.changed, ran.failed, ran["outcome"], ran["id"]) == (False, True, status, refused)
    assert workspace.counters()["writes"] == 0


@in_every_dialect
def test_what_was_cancelled_is_scheduled_anew(workspace: Workspace) -> None:
    first = schedule(workspace)
    run(workspace, state="cancelled", ids=[first["id"]])
    second = schedule(workspace)
    assert second.changed
    assert second["id"] != first["id"]
    assert pending(workspace) == [second["id"]]


@in_every_dialect
def test_what_stands_is_found_among_what_was_cancelled(workspace: Workspace) -> None:
    before, stands, after = (workspace.submit("web-01", "reboot", scheduled_at=FAR) for _number in range(3))
    run(workspace, state="cancelled", ids=[before, after])
    ran = schedule(workspace)
    assert (ran.changed, ran["id"]) == (False, stands)


# Reschedule


@in_every_dialect
@pytest.mark.parametrize(("before", "after"), [(FAR, LATER), (LATER, FAR)], ids=["sooner", "later"])
def test_a_schedule_is_moved_once(workspace: Workspace, before: str, after: str) -> None:
    first = schedule(workspace, scheduled_at=before)
    moved = schedule(workspace, scheduled_at=after, reschedule=True, diff_mode=True)
    assert (moved.changed, moved.failed) == (True, False)
    assert moved["id"] != first["id"]
    assert pending(workspace) == [moved["id"]]
    assert moved["diff"]["before"] == f"web-01: reboot at {before}\n"
    assert moved["diff"]["after"] == f"web-01: reboot at {after}\n"
    again = schedule(workspace, scheduled_at=after, reschedule=True)
    assert (again.changed, again["id"]) == (False, moved["id"])


@pytest.mark.parametrize("given", [{}, {"scheduled_at": LATER, "reschedule": True}])
def test_a_schedule_that_is_refused_is_in_no_diff(current: Workspace, given: dict[str, Any]) -> None:
    if given:
        schedule(current)
    current.fault("status", method="POST", **FORBIDDEN)
    ran = schedule(current, diff_mode=True, **given)
    assert (ran.changed, ran.failed, ran["outcome"]) == (False, True, "refused")
    assert "diff" not in ran.result


def test_without_reschedule_both_stand(workspace: Workspace) -> None:
    schedule(workspace)
    schedule(workspace, scheduled_at=LATER)
    assert len(pending(workspace)) == 2


def test_a_reschedule_leaves_other_commands_alone(workspace: Workspace) -> None:
    others = [
        workspace.submit("web-02", "reboot", scheduled_at=FAR),
        workspace.submit("web-01", "reboot -f", scheduled_at=FAR),
    ]
    schedule(workspace)
    schedule(workspace, scheduled_at=LATER, reschedule=True)
    statuses = [workspace.commands(id=command_id)[0]["status"] for command_id in others]
    assert statuses == ["scheduled", "scheduled"]


def test_a_command_that_waits_for_an_offline_server_is_not_rescheduled(workspace: Workspace) -> None:
    workspace.settings(offline_mode="queue")
    workspace.disconnect("web-01")
    queued = workspace.submit("web-01", "reboot")
    ran = schedule(workspace, reschedule=True)
    assert ran.changed
    assert set(pending(workspace)) == {queued, ran["id"]}


@in_every_dialect
def test_an_old_schedule_that_is_delivered_meanwhile_is_a_failure(workspace: Workspace) -> None:
    schedule(workspace)
    body = '{"code": "EVENT_COMMAND_ALREADY_SENT"}'
    workspace.fault("status", method="DELETE", times=1, status=409, body=body)
    ran = schedule(workspace, scheduled_at=LATER, reschedule=True)
    assert (ran.failed, ran.changed, ran["outcome"]) == (True, False, "sent")
    assert "was delivered to the server already" in ran["msg"]


SENT: dict[str, Any] = {"status": 409, "body": '{"code": "EVENT_COMMAND_ALREADY_SENT"}'}
FORBIDDEN: dict[str, Any] = {"status": 403, "body": '{"code": "FORBIDDEN"}'}

#: Which of the requests to cancel fail (the first old one, the second, the new one) -> what stands then, and whether
#: anything has changed.
HALF_MOVED: dict[str, tuple[dict[str, Any], set[str], bool]] = {
    "the first is refused": ({**FORBIDDEN, "times": 1}, {"first", "second"}, False),
    "the first is refused, and the new one stays": ({**FORBIDDEN, "times": 2}, {"first", "second", "new"}, True),
    "the second is refused": ({**FORBIDDEN, "after": 1, "times": 1}, {"second"}, True),
    "the second is refused, and the new one stays": ({**FORBIDDEN, "after": 1}, {"second", "new"}, True),
    "the second is sent": ({**SENT, "after": 1, "times": 1}, {"second"}, True),
    "the second is sent, and the new one too": ({**SENT, "after": 1}, {"second", "new"}, True),
}


@pytest.mark.parametrize("case", HALF_MOVED)
def test_a_move_that_stops_half_way_says_what_stands(current: Workspace, case: str) -> None:
    fault, left, changed = HALF_MOVED[case]
    schedule(current)
    schedule(current, scheduled_at="2999-02-01T00:00:00Z")
    current.fault("status", method="DELETE", **fault)
    ran = schedule(current, scheduled_at=LATER, reschedule=True, diff_mode=True)
    tried = [path.rstrip("/").rpartition("/")[2] for path in paths(current, "DELETE")]
    names = {tried[0]: "first", tried[-1]: "new"}
    stand = {names.get(command, "second"): command for command in pending(current)}
    assert set(stand) == left
    failing = tried[fault.get("after", 0)]
    assert (ran.failed, ran.changed) == (True, changed)
    diff = ran.result.get("diff", {"before": "", "after": ""})
    assert len(diff["before"].splitlines()) == len({"first", "second"} - left), "what was cancelled"
    assert diff["after"] == (f"web-01: reboot at {LATER}\n" if "new" in left else "")
    assert ran["id"] == stand.get("new", failing)
    said, _colon, told = ran["msg"].partition("Scheduled now: ")
    assert f"Not rescheduled: command {failing}" in said
    # What was delivered does not stand any more, whatever else this workspace says.
    told_of = {name for name, command in stand.items() if command in told}
    assert told_of == {name for name, command in stand.items() if command != failing or fault["status"] == 403}


def test_move_of_many_cancels_each_old_command_once_its_new_one_is_accepted(old: Workspace) -> None:
    names = [f"many-{number:03d}" for number in range(110)]
    old.add_servers(*names, connected=True)
    schedule(old, servers=names)
    before = len(old.log())
    moved = schedule(old, servers=names, scheduled_at=LATER, reschedule=True)
    assert moved["summary"] == {"pending": 110}
    assert sorted(pending(old)) == sorted(command["id"] for command in moved.commands)
    sent = [entry["method"] for entry in old.log()[before:]]
    # Rows of 2024 do not state the schedule, so each old command is read once.
    assert sent.count("GET") <= 130
    assert (sent.count("POST"), sent.count("DELETE")) == (110, 110)
    assert [method for method in sent if method != "GET"].index("DELETE") < 70


# Races


def race(workspace: Workspace, racers: int) -> list[dict[str, Any]]:
    """What each of so many runs returns that schedule the same at once."""

    def one(_number: int) -> dict[str, Any]:
        options = command_options(workspace, state="scheduled", servers=["web-01"], line="reboot", scheduled_at=FAR)
        return run_command(options, Run())

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(one, range(racers)))


def all_submit_at_once(workspace: Workspace, racers: int, tie: bool) -> Callable[..., Any]:
    """Submits as soon as everybody is about to, and perhaps at the very same moment by the workspace's clock."""
    barrier = threading.Barrier(racers)
    moment = datetime.now(UTC).replace(microsecond=0)

    def together(*arguments: Any) -> Any:
        barrier.wait(30)  # everybody has looked by now, and nobody has submitted
        command = submit(*arguments)
        if not tie:
            return command
        workspace.change_command(command.id, added_at=iso(moment))
        barrier.wait(30)
        return replace(command, added_at=moment)

    return together


@in_every_dialect
@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("racers", [2, 4])
def test_runs_that_race_leave_one_pending_command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, racers: int, tie: bool
) -> None:

    monkeypatch.setattr(submitting, "submit", all_submit_at_once(workspace, racers, tie))
    results = race(workspace, racers)
    [left] = pending(workspace)
    assert {result["id"] for result in results} == {left}
    assert sum(result["changed"] for result in results) == 1
    assert not any(result.get("failed") for result in results)
    assert methods(workspace)["POST"] == racers


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (FORBIDDEN, "web-01: another run scheduled the same, and one of both stays."),
        (SENT, "was scheduled twice and sent before it could be withdrawn."),
    ],
    ids=["refused", "sent"],
)
def test_a_later_command_that_cannot_be_withdrawn_is_told_of(
    current: Workspace, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], told: str
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
    assert told in warning


def test_what_the_workspace_accepts_and_does_not_list_is_told_of(
    current: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scheduled, "time", clock)
    current.settings(read_lag=600)
    ran = schedule(current)
    assert (ran.changed, ran.failed, ran["id"]) == (True, False, pending(current)[0])
    [warning] = ran.warnings
    assert warning.startswith(f"web-01: {ran['id']} was accepted, and the workspace does not list it; ")
    assert clock.passed >= 30, "it has been looked for long enough"


def test_a_command_that_is_gone_when_its_time_is_asked_for_is_none(old: Workspace) -> None:
    first = schedule(old)
    old.fault("status", method="GET", path=f"{first['id']}/$", status=404, body='{"detail": "Not found."}')
    second = schedule(old)
    assert (second.changed, second["id"] != first["id"]) == (True, True)


def test_a_race_that_cannot_be_looked_into_is_warned_about(workspace: Workspace) -> None:
    workspace.fault("status", method="GET", path="/api/events/", after=1, status=403, body='{"code": "forbidden"}')
    ran = schedule(workspace)
    assert (ran.changed, ran.failed) == (True, False)
    assert ran["id"] == pending(workspace)[0]
    assert any("Whether another run scheduled the same" in warning for warning in ran.warnings)


# Refusals


@in_every_dialect
def test_a_lost_answer_schedules_once(workspace: Workspace) -> None:
    workspace.fault("lose_after", method="POST", times=1)
    ran = schedule(workspace)
    assert (ran.failed, ran["outcome"]) == (False, "pending")
    assert pending(workspace) == [ran["id"]]
    assert methods(workspace)["POST"] == 1


@in_every_dialect
@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
def test_what_stood_before_is_not_taken_for_what_was_lost(workspace: Workspace, fault: str) -> None:
    # Lists of 2024 do not say when a command is to run.
    first = schedule(workspace)
    workspace.fault(fault, method="POST", times=1)
    moved = schedule(workspace, scheduled_at=LATER, reschedule=True)
    [stands] = pending(workspace)
    assert moved["outcome"] == ("unknown" if fault == "lose_before" else "pending")
    assert (stands == first["id"]) == (fault == "lose_before")


def test_what_is_scheduled_is_not_taken_for_what_was_to_run_at_once(old: Workspace) -> None:
    first = schedule(old)
    old.fault("lose_before", method="POST", times=1)
    ran = run(old, servers=["web-01"], line="reboot")
    assert ran["outcome"] == "unknown"
    assert first["id"] not in ran["msg"]


@pytest.mark.parametrize("dialect", ["published", "2024"])
def test_a_schedule_does_not_outrun_its_parent(running: Callable[[str], Workspace], dialect: str) -> None:
    workspace = running(dialect)
    workspace.reset()
    workspace.wait_connected("web-01")
    [parent] = run(workspace, servers=["web-01"], line="sleep 30", wait=False).commands
    with pytest.raises(UsageError, match=f"{parent['id']} is .+, and this workspace does not hold"):
        schedule(workspace, run_after=[parent["id"]])
    done = run(workspace, servers=["web-01"], line="true")
    assert schedule(workspace, run_after=[done["id"]])["outcome"] == "pending"


def test_nothing_is_scheduled_after_what_failed(workspace: Workspace) -> None:
    failed = run(workspace, servers=["web-01"], line="false")
    with pytest.raises(UsageError, match=f"{failed['id']} is failed, and what is scheduled after it never runs"):
        schedule(workspace, run_after=[failed["id"]])
    assert pending(workspace) == []


def test_what_is_in_error_may_yet_succeed(current: Workspace) -> None:
    [parent] = current.add_commands([{"server": "web-01", "line": "true", "status": "error"}])
    assert schedule(current, run_after=[parent])["outcome"] == "pending"


@in_every_dialect
def test_a_command_that_went_down_with_its_parent_hides_no_schedule(workspace: Workspace) -> None:
    first = schedule(workspace, servers=["web-01", "web-02"])
    fields = {
        "success": False,
        "result": "Cancelled due to prior commmand failure.",
        "scheduled_at": "2999-06-01T00:00:00Z",
    }
    workspace.add_commands([{"server": "web-03", "line": "true", "status": "failed", "handled_at": -60, **fields}])
    second = schedule(workspace, servers=["web-01", "web-02"])
    assert not second.changed
    assert [command["id"] for command in second.commands] == [command["id"] for command in first.commands]
    withdrawn = schedule(workspace, state="cancelled", servers=["web-01", "web-02"])
    assert [command["changed"] for command in withdrawn.commands] == [True, True]


@in_every_dialect
@pytest.mark.parametrize("account", [{"username": "root\n"}, {"groupname": " root "}])
def test_blanks_around_an_account_are_no_part_of_it(workspace: Workspace, account: dict[str, str]) -> None:
    first = schedule(workspace, **account)
    assert first.changed
    assert not schedule(workspace, **account).changed
    assert schedule(workspace, state="cancelled", **account).changed
    assert first["id"] not in pending(workspace)


@in_every_dialect
def test_what_ran_long_ago_is_found_also_to_reschedule(workspace: Workspace) -> None:
    then = (datetime.now(UTC) - timedelta(days=3)).replace(microsecond=0)
    ago = (then - datetime.now(UTC)).total_seconds()
    row = {"server": "web-01", "line": "reboot", "status": "success", "scheduled_at": iso(then), "added_at": ago - 60}
    [made] = workspace.add_commands([{**row, "delivered_at": ago, "acked_at": ago, "handled_at": ago + 1}])
    workspace.add_many_commands(140, server="web-01", line="true", status="success", added_at=-90000)
    for reschedule in (False, True):
        again = schedule(workspace, scheduled_at=iso(then), reschedule=reschedule)
        assert (again.changed, again["id"], again["msg"]) == (False, made, "It already ran at that time.")


def test_what_stands_is_kept_where_the_new_command_is_refused(workspace: Workspace) -> None:
    first = schedule(workspace)
    workspace.fault("status", method="POST", times=1, status=403, body='{"code": "FORBIDDEN"}')
    ran = schedule(workspace, scheduled_at=LATER, reschedule=True)
    assert (ran.failed, ran.changed, ran["outcome"]) == (True, False, "refused")
    assert f"Scheduled now: {first['id']} at 2999-01-01T00:00:00Z." in ran["msg"]
    assert pending(workspace) == [first["id"]]
