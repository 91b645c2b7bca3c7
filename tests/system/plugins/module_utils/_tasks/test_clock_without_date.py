# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workspaces whose answers have no Date, as those that were recorded, or that of a proxy, or times in whole seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from system.auditing import HELLO, audit, hosts
from system.conftest import Connect
from system.registering import register
from system.support import Clock, Outcome, body_for, in_every_dialect, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, LIST

HOURS = 7200
LINE = "echo hello"
PROXY = 10


def by_this_clock(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0).isoformat()


def schedule(workspace: Workspace, **given: Any) -> Outcome:
    return run(workspace, **{"state": "scheduled", "servers": ["web-01"], "line": LINE, **given})


def lose_one(workspace: Workspace, connect: Connect, clock: Clock, *, taught: bool) -> tuple[Job, str]:
    """A job whose answer is lost, perhaps after another submit of the same task, and the id of its command."""
    client = connect(workspace, sleep=clock.sleep)
    if taught:
        submit(client, body_for(workspace, line="true"))
    workspace.fault("lose_after", method="POST", path=LIST, times=1)
    job = Job(Server(None), body=body_for(workspace, line=LINE))
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    [made] = workspace.commands(line=LINE)
    return job, made["id"]


# Scheduled times


@in_every_dialect
def test_what_is_past_by_a_clock_that_only_its_own_row_tells_is_not_told_as_scheduled(workspace: Workspace) -> None:
    workspace.settings(date_header=False, clock_skew=HOURS)
    ran = schedule(workspace, scheduled_at=by_this_clock(3600), diff_mode=True)
    [made] = workspace.commands(line=LINE)
    assert (ran.failed, ran.changed, ran["outcome"], ran["id"]) == (True, True, "sent", made["id"])
    assert "Scheduled for" not in ran["msg"]
    assert "had passed by the workspace's clock" in ran["msg"]
    assert "So it runs at once, or has run." in ran["msg"]
    assert ran["ran"] is not False, "the agent has it"
    assert "diff" not in ran.result, "nothing is scheduled"
    assert workspace.wait_for_command(made["id"])["run_count"] == 1


def test_it_is_withdrawn_where_it_still_waits(current: Workspace) -> None:
    current.add_servers("off-01", connected=False)
    current.settings(date_header=False, clock_skew=HOURS)
    ran = schedule(current, servers=["off-01"], scheduled_at=by_this_clock(3600))
    [made] = current.commands(line=LINE)
    assert (ran.failed, ran.changed, ran["outcome"], ran["ran"]) == (True, False, "refused", False)
    assert "The command was withdrawn before it ran." in ran["msg"]
    assert made["status"] == "cancelled"


def test_where_it_can_neither_be_withdrawn_nor_seen_nobody_says_that_it_never_ran(current: Workspace) -> None:
    current.add_servers("off-01", connected=False)
    current.settings(date_header=False, clock_skew=HOURS)
    current.fault("status", method="DELETE", status=403, body='{"code": "forbidden", "detail": "Not for this token."}')
    ran = schedule(current, servers=["off-01"], scheduled_at=by_this_clock(3600))
    assert (ran.failed, ran.changed, ran["outcome"], ran["ran"]) == (True, True, "sent", None)
    assert "Not for this token." in ran["msg"]


def test_what_was_scheduled_before_stays_where_the_new_time_has_passed(current: Workspace) -> None:
    current.settings(date_header=False, clock_skew=HOURS)
    before = schedule(current, scheduled_at=FAR)
    moved = schedule(current, scheduled_at=by_this_clock(3600), reschedule=True)
    assert (moved.failed, moved["outcome"]) == (True, "sent")
    assert f"Scheduled now: {before['id']} at {FAR}" in moved["msg"]
    assert [row["status"] for row in current.commands(id=before["id"])] == ["scheduled"]


def test_a_time_to_come_is_scheduled_whatever_the_clock(old: Workspace) -> None:
    old.settings(clock_skew=HOURS)
    ran = schedule(old, scheduled_at=by_this_clock(2 * HOURS))
    assert (ran.failed, ran["outcome"]) == (False, "pending")
    assert ran["msg"].startswith("Scheduled for ")


def test_a_refusal_says_by_whose_clock(old: Workspace) -> None:
    with pytest.raises(UsageError, match="is in the past by this machine's clock, since the workspace tells no time"):
        schedule(old, scheduled_at=by_this_clock(-60))
    old.settings(date_header=True)
    with pytest.raises(UsageError, match="is in the past, and no such command"):
        schedule(old, scheduled_at=by_this_clock(-60))


@in_every_dialect
def test_what_ran_at_a_time_gone_by_is_found_without_a_clock(workspace: Workspace) -> None:
    workspace.settings(date_header=False, clock_skew=HOURS)
    row = {"line": LINE, "status": "success", "result": "hello", "added_at": -HOURS, "scheduled_at": -3600}
    row |= dict.fromkeys(("delivered_at", "acked_at", "handled_at"), -3600)
    made = workspace.add_commands([{**row, "server": name} for name in ("web-01", "web-02")])
    times = {detail["scheduled_at"] for detail in (workspace.commands(id=command)[0] for command in made)}
    # An hour ago by the workspace's clock, and in an hour by this one.
    due = datetime.fromisoformat(min(times)) + timedelta(seconds=HOURS)
    for command in made:
        workspace.change_command(command, scheduled_at=min(times))
    ids = workspace.server_ids()
    again = schedule(workspace, servers=[ids["web-01"], ids["web-02"]], scheduled_at=due.isoformat())
    assert (again.changed, again["summary"]) == (False, {"success": 2})


# Ages


@pytest.mark.parametrize("skew", [HOURS, 0, -HOURS])
def test_without_a_clock_nothing_is_reused_and_a_warning_says_so(old: Workspace, skew: int) -> None:
    old.settings(clock_skew=skew)
    first = run(old, servers=["web-01"], line=LINE)
    again = run(old, servers=["web-01"], line=LINE, reuse_within="5m")
    assert (again.changed, again["outcome"]) == (True, "success")
    assert again["id"] != first["id"]
    [warning] = again.warnings
    assert "reuse_within: the workspace's clock is not known" in warning
    old.settings(date_header=True)
    third = run(old, servers=["web-01"], line=LINE, reuse_within="5m")
    assert (third.changed, third["id"], third.warnings) == (False, again["id"], [])


@pytest.mark.parametrize("names", [["web-01"], ["web-01", "web-02"]])
def test_nothing_is_reused_while_commands_are_later_than_the_date_of_a_proxy(
    current: Workspace, names: list[str]
) -> None:
    current.settings(date_skew=-600)
    row = {"server": names[-1], "line": LINE, "status": "success", "result": "hello"}
    [old] = current.add_commands([{**row, **dict.fromkeys(("added_at", "scheduled_at", "handled_at"), -720)}])
    current.add_commands([{**row, "line": "true", "added_at": -1}])
    done = run(current, servers=names, line=LINE, reuse_within="5m")
    assert old not in [command["id"] for command in done.commands]
    assert len(done.warnings) == 1
    assert "reuse_within: the workspace's clock is not known" in done.warnings[0]


@pytest.mark.parametrize("names", [["web-01"], ["web-01", "web-02"]])
def test_nothing_more_is_read_once_it_is_seen_that_the_time_is_not_told(old: Workspace, names: list[str]) -> None:
    old.add_many_commands(500, line=LINE, status="success", servers=names)
    ran = run(old, check_mode=True, servers=names, line=LINE, reuse_within="1h")
    assert len(ran.warnings) == 1
    assert len([entry for entry in old.log() if entry["path"].startswith(LIST)]) == 1


def test_without_a_clock_no_answer_of_an_audit_is_reused(current: Workspace) -> None:
    current.settings(date_header=False)
    first = audit(current, HELLO, of=hosts("web-01"), reuse_within="1h")
    assert not first.warnings
    again = audit(current, HELLO, of=hosts("web-01"), reuse_within="1h")
    assert again.the_result["command"] != first.the_result["command"]
    assert any("the workspace's clock is not known" in warning for warning in again.warnings)
    assert not audit(current, HELLO, of=hosts("web-01")).warnings


# Lost answers


@in_every_dialect
@pytest.mark.parametrize("skew", [HOURS, 0, -HOURS])
def test_a_lost_command_is_taken_by_the_clock_that_another_submit_told(
    workspace: Workspace, connect: Connect, clock: Clock, skew: int
) -> None:
    workspace.settings(date_header=False, clock_skew=skew)
    job, made = lose_one(workspace, connect, clock, taught=True)
    assert (job.outcome, job.id) == ("pending", made)


def test_the_clock_of_a_proxy_does_not_count_where_another_submit_told_the_time(
    current: Workspace, connect: Connect, clock: Clock
) -> None:
    current.settings(date_skew=PROXY)
    job, made = lose_one(current, connect, clock, taught=True)
    assert (job.outcome, job.id) == ("pending", made)


def test_by_the_clock_of_a_proxy_a_lost_command_is_named(current: Workspace, connect: Connect, clock: Clock) -> None:
    current.settings(date_skew=PROXY)
    job, made = lose_one(current, connect, clock, taught=False)
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert f"Any of these may be it: {made}." in job.msg


@pytest.mark.parametrize("skew", [HOURS, 0, -HOURS])
def test_without_a_clock_a_lost_command_is_named(old: Workspace, connect: Connect, clock: Clock, skew: int) -> None:
    old.settings(clock_skew=skew)
    [older] = old.add_commands([{"server": "web-01", "line": "true", "added_at": -60, "status": "success"}])
    job, made = lose_one(old, connect, clock, taught=False)
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert f"Any of these may be it: {made}." in job.msg
    assert older not in job.msg, "another line"


def test_without_a_clock_only_the_newest_are_looked_at(old: Workspace, connect: Connect, clock: Clock) -> None:
    rows = {"server": "web-01", "status": "success", "username": "admin", "requested_by": "admin"}
    [older] = old.add_commands([{**rows, "line": LINE, "added_at": -9000}])
    old.add_many_commands(150, **rows, line="true", added_at=-60)
    old.fault("lose_before", method="POST", path=LIST, times=1)
    job = Job(Server(None), body=body_for(old, line=LINE))
    Fleet(connect(old, sleep=clock.sleep), Limits(wait=False), sleep=clock.sleep).run([job])
    assert job.outcome == "unknown"
    assert older not in job.msg


def test_ten_of_those_that_may_be_it_are_named(old: Workspace, connect: Connect, clock: Clock) -> None:
    row = {"server": "web-01", "status": "success", "username": "admin", "requested_by": "admin", "line": LINE}
    made = old.add_commands([{**row, "added_at": -age} for age in range(15, 0, -1)])
    old.fault("lose_before", method="POST", path=LIST, times=1)
    job = Job(Server(None), body=body_for(old, line=LINE))
    Fleet(connect(old, sleep=clock.sleep), Limits(wait=False), sleep=clock.sleep).run([job])
    assert f"Any of these may be it: {', '.join(reversed(made[-10:]))}." in job.msg


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
def test_a_lost_command_is_taken_though_times_are_cut_to_seconds(
    published: Workspace, connect: Connect, clock: Clock, part: float
) -> None:
    assert published.state()["switches"]["whole_seconds"]
    time.sleep((part - time.time()) % 1.0)
    job, made = lose_one(published, connect, clock, taught=False)
    assert (job.outcome, job.id) == ("pending", made)


# Registrations


def test_without_a_clock_no_record_is_deleted_as_that_of_a_lost_registration(
    running: Callable[[str], Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no tags are listed, only its age tells that a record was made by a registration whose answer was lost."""
    workspace = running("published")
    workspace.reset()
    workspace.settings(date_header=False, clock_skew=HOURS)
    workspace.add_servers("web-abcdef", commissioned=False, connected=False, version=None)
    key = workspace.add_registration_token()["key"]
    workspace.fault("lose_before", method="POST", path="/register/", times=1)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    done = register(workspace, registration_token=key, name="web", platform="debian", token=workspace.token)
    assert done.failed
    assert "It may have made one of these records: web-abcdef" in done["msg"]
    assert "web-abcdef" in workspace.server_ids()
