# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit commands to many servers and await them, within limits.

The servers have no agents, so only the test changes the status of their commands.
"""

from __future__ import annotations

import functools
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from system.conftest import Connect
from system.support import FakeClock, count_methods, nonzero_sleeps, rate_limit_fault, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import ApiResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import completion, poll_timer, submitting, threads
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import Poller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.push import MAX_SERVERS, Push
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.submitting import Submitter
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, LIST, Row

#: Fields of a command that its server has.
RUNNING = {"status": "running", "delivered_at": FAR}
FINISHED = ("success", "failed", "cancelled", "denied", "rejected", "expired")


class Stage:
    """A workspace with servers that do nothing, and a client with a fake clock."""

    def __init__(self, workspace: Workspace, client: Client, clock: FakeClock) -> None:
        self.workspace, self.client, self.clock = workspace, client, clock
        self.on_sleep: Callable[[], object] = lambda: None

    def jobs(self, count: int = 1, line: str = "make all", **fields: Any) -> list[Job]:
        """Return jobs for this many new servers."""
        servers = self.workspace.add_servers(*(f"bare-{number:03d}" for number in range(count)), connected=True)
        return [self.job(server["id"], server["name"], line, **fields) for server in servers]

    @staticmethod
    def job(server_id: str, name: str, line: str = "make all", **fields: Any) -> Job:
        body = {"server": server_id, "shell": "system", "line": line, "username": "", "groupname": ""}
        return Job(Server(server_id, name), body={**body, "scheduled_at": None, **fields})

    def run(self, jobs: list[Job], **limits: Any) -> Fleet:
        fleet = Fleet(self.client, Limits(**limits), sleep=self._sleep)
        fleet.run(jobs)
        return fleet

    def _sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.on_sleep()

    def unfinished(self) -> list[Row]:
        return [command for command in self.workspace.commands() if command["status"] not in FINISHED]

    def end(self, commands: list[Row] | None = None, **fields: Any) -> None:
        """End these commands; by default, all unfinished ones."""
        for command in self.unfinished() if commands is None else commands:
            fields = {"status": "success", "result": "done\n", **fields}
            self.workspace.change_command(command["id"], **fields)

    def end_at(self, seconds: float, **fields: Any) -> None:
        """End all commands at a time of the fake clock."""
        self.clock.at(seconds, functools.partial(self.end, **fields))


@pytest.fixture
def stage(workspace: Workspace, connect: Connect, clock: FakeClock) -> Stage:
    return Stage(workspace, connect(workspace, sleep=clock.sleep), clock)


def outcomes(jobs: list[Job]) -> Counter[str | None]:
    return Counter(job.outcome for job in jobs)


# Outcomes


def test_a_command_that_polls_no_longer_find_is_unknown(stage: Stage) -> None:
    [job] = stage.jobs(scheduled_at=FAR)
    stage.clock.at(2, lambda: stage.workspace.delete_command(str(job.id)))
    stage.run([job])
    assert job.outcome == "unknown"
    assert f"accepted as {job.id}" in job.msg
    assert 30 < stage.clock.passed < 60


def test_mixed_outcomes_are_assigned_to_their_jobs(stage: Stage) -> None:
    jobs = stage.jobs(6)
    statuses = ["success", "failed", "denied", "cancelled", "success", "expired"]
    by_server = {str(job.server.name): status for job, status in zip(jobs, statuses, strict=True)}

    def end() -> None:
        for command in stage.unfinished():
            stage.end([command], status=by_server[command["server"]])

    stage.clock.at(5, end)
    stage.run(jobs)
    assert [job.outcome for job in jobs] == statuses
    made = {command["server"]: command["id"] for command in stage.workspace.commands()}
    assert {job.server.name: job.id for job in jobs} == made
    assert count_methods(stage.workspace)["POST"] == 6


# Servers that are offline


@pytest.mark.parametrize(
    ("status", "code", "note"),
    [(409, "EVENT_COMMAND_ALREADY_SENT", ""), (403, "forbidden", "the first attempt to cancel the command failed")],
)
def test_an_offline_server_keeps_a_command_that_cannot_be_cancelled(
    stage: Stage, status: int, code: str, note: str
) -> None:
    [server] = stage.workspace.add_servers("off-01", connected=False)
    stage.workspace.settings(offline_mode="queue")
    stage.workspace.fault("status", method="DELETE", status=status, body=f'{{"code": "{code}"}}')
    job = stage.job(server["id"], "off-01")
    stage.end_at(10)
    stage.run([job], offline="fail")
    assert (job.outcome, job.changed, count_methods(stage.workspace)["DELETE"]) == ("success", True, 1)
    assert note in job.note
    assert bool(note) == bool(job.note)


# Approval


def test_a_held_command_ends_the_wait(stage: Stage) -> None:
    stage.workspace.settings(holds=[{"line": "make", "status": "awaiting_approval"}])
    jobs = stage.jobs(2)
    stage.run(jobs)
    assert outcomes(jobs) == {"awaiting_approval": 2}
    assert all(job.id and job.submitted.ran is False for job in jobs)
    assert count_methods(stage.workspace)["POST"] == 2
    assert stage.clock.passed < 60


@pytest.mark.parametrize("status", ["awaiting_approval", "verifying", "awaiting_purpose"])
def test_a_held_command_is_awaited_with_wait_for_approval(stage: Stage, status: str) -> None:
    stage.workspace.settings(holds=[{"line": "make", "status": status}])
    [job] = stage.jobs()
    if status == "awaiting_approval":
        # Between approval and delivery, the status is error for a moment.
        stage.clock.at(60, lambda: stage.workspace.change_command(str(job.id), status="error"))
    stage.end_at(120 if status == "awaiting_approval" else 50)
    stage.run([job], wait_for_approval=status == "awaiting_approval")
    assert job.outcome == "success"
    assert count_methods(stage.workspace)["POST"] == 1


# Timeouts


def test_commands_time_out_after_wait_timeout(stage: Stage) -> None:
    jobs = stage.jobs(3)
    stage.run(jobs, wait_timeout=100)
    assert outcomes(jobs) == {"timed_out": 3}
    assert all(job.id and job.submitted.status == "delivered" for job in jobs)
    assert all("Last status: delivered" in job.msg for job in jobs)
    assert 100 <= stage.clock.passed < 130
    assert len(nonzero_sleeps(stage.clock.slept)) < 80, "pauses grow"


def test_wait_timeout_counts_from_the_submit_of_each_command(stage: Stage) -> None:
    jobs = stage.jobs(3)
    for seconds in (15, 30, 45):
        stage.end_at(seconds)
    stage.run(jobs, wait_timeout=20, max_concurrency=1)
    assert [job.outcome for job in jobs] == ["success", "success", "success"]
    assert count_methods(stage.workspace)["POST"] == 3


def test_submits_wait_for_the_quota_until_wait_timeout(stage: Stage) -> None:
    jobs = stage.jobs(3)
    stage.workspace.fault("status", method="POST", after=1, **rate_limit_fault(10))
    stage.end_at(15)
    stage.run(jobs, wait_timeout=20, max_concurrency=1)
    assert [job.outcome for job in jobs] == ["success", "not_tried", "not_tried"]
    assert "the quota is used up for longer than wait_timeout allows" in jobs[1].msg
    assert sum(stage.clock.slept) < 20


def test_the_last_poll_is_at_the_timeout(stage: Stage) -> None:
    [job] = stage.jobs()
    stage.end_at(99.8)
    stage.run([job], wait_timeout=100)
    assert job.outcome == "success"
    assert sum(stage.clock.slept) <= 100.4, "polls are several seconds apart by then"


@pytest.mark.parametrize("kind", ["html", "lose_before", "status"])
def test_failing_polls_keep_wait_timeout(stage: Stage, kind: str) -> None:
    jobs = stage.jobs(2)
    stage.workspace.fault(kind, method="GET", status=502)
    stage.client._outage.accept()
    stage.run(jobs, wait_timeout=8)
    assert outcomes(jobs) == {"timed_out": 2}
    assert all(job.id and "The last poll failed: " in job.msg for job in jobs)
    assert stage.clock.passed < 14


def test_responses_that_trickle_keep_wait_timeout(stage: Stage, connect: Connect) -> None:
    stage.client = connect(stage.workspace, request_timeout=1)
    jobs = stage.jobs(2)
    stage.workspace.fault("slow", method="GET", dribble=True, delay=9)
    Fleet(stage.client, Limits(wait_timeout=1)).run(jobs)
    assert outcomes(jobs) == {"timed_out": 2}
    assert stage.workspace.faults()[0]["hits"] == 2, "the poll that wait_timeout interrupts, and the last one"


def test_an_output_that_cannot_be_read_keeps_wait_timeout(stage: Stage) -> None:
    [job] = stage.jobs()
    stage.workspace.fault("status", method="GET", path="/chunks/", status=502)
    stage.workspace.fault("status", method="GET", path="page_size=1$", status=502)
    stage.end_at(3, result="", chunks=["all of it"])
    stage.run([job], wait_timeout=8)
    assert job.output is not None
    assert (job.outcome, job.output.complete) == ("success", False)
    assert stage.clock.passed < 20


def test_reads_wait_for_the_quota_until_the_last_command_ends(stage: Stage) -> None:
    jobs = stage.jobs()
    stage.client = stage.client.until(quota=stage.clock.monotonic() + 10)
    stage.workspace.fault("status", method="POST", times=1, **rate_limit_fault(8))
    stage.workspace.fault("status", path="/chunks/", status=429, times=1, headers={"Retry-After": "2"})
    stage.end_at(15, result="", chunks=["all of it"])
    stage.run(jobs, wait_timeout=10)
    assert jobs[0].output is not None
    assert (jobs[0].outcome, jobs[0].output.text, jobs[0].output.note) == ("success", "all of it", "")


@pytest.mark.parametrize(("seconds", "requests"), [(0.2, 2), (2.1, 3), (20, 5), (60, 8), (600, 15)])
def test_requests_of_a_single_command(stage: Stage, seconds: float, requests: int) -> None:
    jobs = stage.jobs()
    stage.end_at(seconds)
    stage.run(jobs)
    assert outcomes(jobs) == {"success": 1}
    assert len(request_paths(stage.workspace)) <= requests


def test_polls_are_rarer_when_half_of_the_quota_is_used(
    workspace: Workspace, connect: Connect, clock: FakeClock
) -> None:
    requests: list[int] = []
    lines: list[str] = []
    for limit in (1000, 40):
        stage = Stage(workspace, connect(workspace, sleep=clock.sleep, requests_per_hour=limit), clock)
        jobs = [
            stage.job(server["id"], server["name"])
            for server in workspace.add_servers(*(f"{limit}-{number}" for number in range(5)), connected=True)
        ]
        stage.end_at(clock.passed + 300)
        context = RunContext(report=lines.append, is_first=lambda _key: not lines)
        Fleet(stage.client, Limits(), sleep=clock.sleep, run=Run(context)).run(jobs)
        assert outcomes(jobs) == {"success": 5}
        requests.append(stage.client.requests)
    assert requests[0] > 40 > requests[1]
    assert lines[0].startswith("alpacon: more than half of the 40 requests that the token has in an hour")
    assert sum("more than half" in line for line in lines) == 1


@pytest.mark.parametrize(("count", "seconds"), [(1, 5), (MAX_SERVERS + 1, 300)])
def test_rare_polls_delay_neither_a_timeout_nor_many_commands(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, seconds: int
) -> None:
    monkeypatch.setattr(Push, "get_pause", lambda _push, _job, _pause: 60.0)
    jobs = stage.jobs(count)
    stage.end_at(10)
    run = Run(RunContext(folder=tmp_path))
    Fleet(stage.client, Limits(wait_timeout=seconds), sleep=stage.clock.sleep, run=run).run(jobs)
    assert outcomes(jobs) == {"timed_out" if count == 1 else "success": count}
    assert stage.clock.passed < 40


def test_other_workers_look_for_no_command_that_has_ended(stage: Stage, tmp_path: Path) -> None:
    shared = SharedState(tmp_path, stage.workspace.url, stage.workspace.token)
    stage.on_sleep = stage.end
    Fleet(stage.client, Limits(), sleep=stage._sleep, shared=shared).run(stage.jobs(2))
    assert shared.awaited_ids() == set()


# Failed requests

#: Temporary failures of polls: status and page, from the workspace or a proxy.
TEMPORARY = [(502, ""), (403, "<html>blocked by firewall</html>"), (401, '{"message": "Forbidden"}')]


@pytest.mark.parametrize(("status", "page"), TEMPORARY)
def test_failed_polls_do_not_end_the_wait(stage: Stage, status: int, page: str) -> None:
    jobs = stage.jobs(2)
    stage.clock.at(3, lambda: stage.workspace.fault("status", method="GET", status=status, times=6, body=page))
    stage.end_at(20)
    stage.run(jobs)
    assert outcomes(jobs) == {"success": 2}
    assert [fault["hits"] for fault in stage.workspace.faults()] == [6]


def test_a_proxy_that_blocks_polls_is_named_at_the_timeout(stage: Stage) -> None:
    [job] = stage.jobs()
    stage.clock.at(3, lambda: stage.workspace.fault("status", method="GET", status=403, body=TEMPORARY[1][1]))
    stage.run([job], wait_timeout=60)
    assert (job.outcome, bool(job.id)) == ("timed_out", True)
    assert "The last poll failed: blocked by firewall" in job.msg
    assert stage.workspace.faults()[0]["hits"] <= 20


def test_a_page_of_a_proxy_does_not_stop_the_submits(stage: Stage) -> None:
    jobs = stage.jobs(5)
    stage.workspace.fault("status", method="POST", status=401, times=1, body=TEMPORARY[1][1])
    stage.on_sleep = stage.end
    stage.run(jobs, max_concurrency=1)
    assert outcomes(jobs) == {"unknown": 1, "success": 4}


def test_a_revoked_token_loses_no_ids(stage: Stage) -> None:
    jobs = stage.jobs(2)
    body = '{"code": "unauthorized"}'
    stage.clock.at(3, lambda: stage.workspace.fault("status", method="GET", status=401, body=body))
    stage.run(jobs)
    assert outcomes(jobs) == {"unknown": 2}
    assert {job.id for job in jobs} == {command["id"] for command in stage.workspace.commands()}
    assert all("Submitted, but its outcome cannot be read" in job.msg for job in jobs)
    assert all(f"await it with state=finished and id={job.id}." in job.msg for job in jobs)
    assert stage.clock.passed < 60


@pytest.mark.parametrize("workspace", ["2024"], indirect=True)
def test_an_outage_of_five_minutes_does_not_end_the_wait(stage: Stage) -> None:
    jobs = stage.jobs(2)
    stage.clock.at(3, stage.workspace.lose_database)
    stage.clock.at(300, stage.workspace.clear_faults)
    stage.end_at(301)
    stage.run(jobs)
    assert outcomes(jobs) == {"success": 2}


@pytest.mark.parametrize("workspace", ["2024"], indirect=True)
def test_nothing_is_submitted_after_an_outage_of_two_minutes(stage: Stage) -> None:
    stage.workspace.lose_database(after=1)
    stage.client.get(LIST)
    jobs = stage.jobs(60)
    stage.client._outage.record_failure(stage.clock.monotonic(), 1.0, AlpaconError("away"))
    stage.run(jobs)
    assert outcomes(jobs) == {"not_tried": 60}
    assert all(job.msg.startswith("Not tried: The workspace has been down for 12") for job in jobs)
    assert count_methods(stage.workspace)["GET"] <= 20 + threads.THREADS
    assert count_methods(stage.workspace)["POST"] == 0


# Too late for not_after


def test_submits_that_the_quota_delays_too_long_are_late(stage: Stage) -> None:
    jobs = stage.jobs(5)
    stage.workspace.fault("status", method="POST", **rate_limit_fault(600))
    stage.run(jobs, not_after=stage.clock.monotonic() + 60)
    assert [(job.outcome, job.ran, job.changed) for job in jobs] == [("late", False, False)] * 5
    assert "quota" in jobs[0].msg
    assert stage.workspace.commands() == []
    assert count_methods(stage.workspace)["POST"] <= len(jobs)


def test_without_a_delay_beyond_not_after_the_quota_is_awaited(stage: Stage) -> None:
    jobs = stage.jobs(2)
    stage.workspace.fault("status", method="POST", times=1, **rate_limit_fault(40))
    stage.end_at(50)
    stage.run(jobs, not_after=stage.clock.monotonic() + 60)
    assert outcomes(jobs) == {"success": 2}


@pytest.mark.parametrize("workspace", ["2024"], indirect=True)
def test_submits_that_an_outage_delays_too_long_are_late(stage: Stage) -> None:
    stage.workspace.lose_database(after=1)
    stage.client.get(LIST)
    jobs = stage.jobs(30)
    stage.client._outage.record_failure(stage.clock.monotonic(), 1.0, AlpaconError("away"))
    stage.run(jobs, not_after=stage.clock.monotonic() + 60)
    assert outcomes(jobs) == {"late": 30}
    assert count_methods(stage.workspace)["POST"] == 0


def offline_jobs(stage: Stage, count: int) -> list[Job]:
    servers = stage.workspace.add_servers(*(f"off-{number:03d}" for number in range(count)), connected=False)
    return [stage.job(server["id"], server["name"]) for server in servers]


@pytest.mark.parametrize("status", ["queued", "awaiting_approval"])
def test_a_cancel_at_not_after_costs_one_request(stage: Stage, status: str) -> None:
    jobs = offline_jobs(stage, 20)
    stage.clock.at(1, lambda: [stage.workspace.change_command(str(job.id), status=status) for job in jobs])
    stage.run(jobs, wait_for_approval=True, not_after=stage.clock.monotonic() + 60)
    assert [(job.outcome, job.ran) for job in jobs] == [("late", False)] * 20
    assert {row["status"] for row in stage.workspace.commands()} == {"cancelled"}
    counted = count_methods(stage.workspace)
    assert (counted["POST"], counted["DELETE"]) == (20, 20)
    # The usual polls, as without not_after.
    assert counted["GET"] <= 45
    assert 60 <= stage.clock.passed < 70


def test_what_was_delivered_before_the_cancel_is_awaited(stage: Stage) -> None:
    jobs = offline_jobs(stage, 2)
    stage.clock.at(59, lambda: stage.workspace.change_command(str(jobs[0].id), **RUNNING))
    stage.clock.at(300, lambda: stage.end(stage.unfinished()))
    stage.run(jobs, not_after=stage.clock.monotonic() + 60)
    assert [job.outcome for job in jobs] == ["success", "late"]
    assert count_methods(stage.workspace)["DELETE"] <= 2


def test_a_command_that_is_not_shown_at_not_after_is_cancelled(stage: Stage) -> None:
    jobs = offline_jobs(stage, 1)
    stage.clock.at(50, lambda: stage.workspace.fault("status", method="GET", status=404))
    stage.run(jobs, not_after=stage.clock.monotonic() + 60)
    assert [row["status"] for row in stage.workspace.commands()] == ["cancelled"]
    assert jobs[0].outcome == "late"


# Unexpected errors


def fail(*_arguments: Any, **_options: Any) -> None:
    raise RuntimeError("unexpected failure")


def test_an_unexpected_error_in_a_submit_affects_one_job(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = stage.jobs(3)
    monkeypatch.setattr(
        submitting,
        "submit",
        lambda client, body, known: (fail if body["server"] == jobs[1].server.id else submit)(client, body, known),
    )
    stage.end_at(5)
    stage.run(jobs)
    assert [job.outcome for job in jobs] == ["success", "unknown", "success"]
    assert "unexpected failure" in jobs[1].msg


def test_an_unexpected_error_after_a_submit_keeps_the_command(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Submitter.submit
    monkeypatch.setattr(Submitter, "submit", lambda *arguments: fail(accept(*arguments)))
    [job] = stage.jobs()
    stage.end_at(2)
    stage.run([job])
    assert (job.outcome, job.changed, job.id) == ("success", True, stage.workspace.commands()[0]["id"])
    assert "unexpected failure" in job.note


def test_an_unreadable_output_is_no_failure(stage: Stage) -> None:
    stage.workspace.fault("status", path="/chunks/", status=403)
    [job] = stage.jobs()
    stage.end_at(2, result="")
    stage.run([job])
    assert job.outcome == "success"
    assert job.output is not None
    assert (job.output.text, job.output.complete) == ("", False)
    assert re.search("could not be read.*HTTP 403", job.output.note)


@pytest.mark.parametrize(
    ("where", "name", "outcome"),
    [(completion, "finish_by_status", "unknown"), (completion, "time_out", "unknown"), (Poller, "poll", "timed_out")],
)
def test_an_unexpected_error_in_a_poll_keeps_all_ids(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, where: object, name: str, outcome: str
) -> None:
    jobs = stage.jobs(2)
    monkeypatch.setattr(where, name, fail)
    stage.run(jobs, wait_timeout=10)
    assert {job.id for job in jobs} == {command["id"] for command in stage.workspace.commands()}
    assert all(job.outcome == outcome and "unexpected failure" in job.msg for job in jobs)


# Limits


def test_at_most_max_concurrency_commands_are_unfinished(stage: Stage) -> None:
    jobs = stage.jobs(13)
    counts: list[int] = []

    def end_two() -> None:
        unfinished = stage.unfinished()
        counts.append(len(unfinished))
        stage.end(unfinished[:2])

    stage.on_sleep = end_two
    stage.run(jobs, max_concurrency=4)
    assert outcomes(jobs) == {"success": 13}
    assert max(counts) == 4


def test_max_concurrency_commands_are_submitted_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    all_threads, write = threading.Barrier(4), stage.client.write

    def write_together(*request: Any) -> ApiResponse:
        all_threads.wait(timeout=30)
        return write(*request)

    monkeypatch.setattr(stage.client, "write", write_together)
    jobs = stage.jobs(4)
    stage.end_at(1)
    stage.run(jobs, max_concurrency=4)
    assert outcomes(jobs) == {"success": 4}


@pytest.mark.parametrize(
    ("status", "code", "explained"),
    [(400, "api_token_acl_not_allowed", True), (403, "api_token_acl_not_allowed", False), (400, "invalid", False)],
)
def test_a_rejected_line_break_is_explained(stage: Stage, status: int, code: str, explained: bool) -> None:
    stage.workspace.fault("status", method="POST", status=status, body=f'{{"code": "{code}"}}')
    [job] = stage.jobs(line="echo a\necho b")
    stage.run([job])
    assert job.outcome == "refused"
    assert ("rejects multi-line commands" in job.note) is explained
    assert "script" not in job.note, "such a workspace passes no variables on, so scripts do not run either"


@pytest.mark.parametrize(("max_errors", "submits"), [(0, 1), (2, 3), (None, 12)])
def test_max_errors_stops_the_submits(stage: Stage, max_errors: int | None, submits: int) -> None:
    names = [f"off-{number:02d}" for number in range(12)]
    servers = stage.workspace.add_servers(*names, connected=False)
    stage.workspace.settings(offline_mode="refuse")
    jobs = [stage.job(server["id"], server["name"]) for server in servers]
    stage.run(jobs, max_concurrency=1, max_errors=max_errors)
    assert count_methods(stage.workspace)["POST"] == submits
    assert outcomes(jobs) == Counter({"offline": submits, "not_tried": 12 - submits}) + Counter()
    assert all("its agent is not connected" in job.msg for job in jobs[:submits])
    assert all(f"max_errors={max_errors}" in job.msg for job in jobs[submits:])


def test_failed_commands_count_for_max_errors(stage: Stage) -> None:
    jobs = stage.jobs(6)
    stage.on_sleep = lambda: stage.end(status="failed")
    stage.run(jobs, max_concurrency=2, max_errors=1)
    assert outcomes(jobs)["failed"] == count_methods(stage.workspace)["POST"] <= 3
    assert outcomes(jobs)["not_tried"] >= 3


@pytest.mark.parametrize("workspace", ["current", "2024"], indirect=True)
def test_a_refused_token_stops_the_submits(stage: Stage, connect: Connect) -> None:
    stage.client = connect(stage.workspace, token="alpat-wrong", sleep=stage.clock.sleep)
    jobs = stage.jobs(60)
    stage.run(jobs)
    counted = outcomes(jobs)
    assert set(counted) == {"refused", "not_tried"}
    assert counted["refused"] == count_methods(stage.workspace)["POST"] <= 40
    assert all(
        job.msg.startswith("Not tried: The ") and "Check " in job.msg for job in jobs if job.outcome != "refused"
    )
    assert stage.clock.slept == []


@pytest.mark.parametrize(("seconds", "outcome"), [(1500, "success"), (86400, "unknown")])
def test_polls_wait_for_the_quota_beyond_wait_timeout_but_no_day(stage: Stage, seconds: int, outcome: str) -> None:
    jobs = stage.jobs(2)
    used_up: Row = {"status": 429, "method": "GET", "times": 1, "headers": {"Retry-After": str(seconds)}}
    stage.clock.at(3, lambda: stage.workspace.fault("status", **used_up))
    stage.end_at(5)
    stage.run(jobs, wait_timeout=60)
    assert outcomes(jobs) == {outcome: 2}
    assert outcome == "success" or all(f"await it with state=finished and id={job.id}." in job.msg for job in jobs)


# Requests


def test_a_request_polls_a_hundred_commands(stage: Stage) -> None:
    jobs = stage.jobs(60)
    stage.end_at(14)
    stage.run(jobs)
    assert outcomes(jobs) == {"success": 60}
    reads = request_paths(stage.workspace)
    assert all(path.startswith(f"{LIST}?") and "page_size=100" in path for path in reads), (
        "no command is read by its ID"
    )
    assert len(reads) <= 60, "less than one a second, for sixty commands"


@pytest.mark.parametrize(("max_errors", "seconds"), [(None, 20), (0, 5)])
def test_polls_are_rare_while_commands_are_submitted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, max_errors: int | None, seconds: int
) -> None:
    clock, polled_at = stage.clock, [0.0]
    jobs = [stage.job(str(uuid.UUID(int=number)), f"web-{number}") for number in range(300)]

    def submit_slowly(_client: Client, body: Row, _known: Any) -> Command:
        clock.sleep(0.25)
        return Command(body["server"], Server(body["server"]), "make all", "system", "verifying", result="done")

    def poll(_poller: Poller, awaited: list[Job], **_arguments: Any) -> None:
        polled_at.append(clock.monotonic())
        for job in awaited if all(job.id for job in jobs) else ():
            job.update(job.submitted.with_status("success"))

    monkeypatch.setattr(threads, "THREADS", 1)
    monkeypatch.setattr(submitting, "submit", submit_slowly)
    monkeypatch.setattr(Poller, "poll", poll)
    polled_at[0] = clock.monotonic()
    stage.run(jobs, max_errors=max_errors)
    assert outcomes(jobs) == {"success": 300}
    assert seconds <= min(after - before for before, after in pairwise(polled_at[:4])) < seconds + 0.9


def test_one_command_is_read_by_its_id(stage: Stage) -> None:
    [job] = stage.jobs()
    stage.end_at(14)
    stage.run([job])
    assert set(request_paths(stage.workspace)) == {f"{LIST}{job.id}/"}


def test_commands_of_one_server_are_listed_for_that_server(stage: Stage) -> None:
    [first] = stage.jobs()
    jobs = [first, stage.job(str(first.server.id), "bare-000", line="echo two")]
    stage.end_at(5)
    stage.run(jobs)
    listed = [path for path in request_paths(stage.workspace) if path.startswith(f"{LIST}?")]
    assert listed
    assert all(f"server={first.server.id}" in path for path in listed)


def test_rows_without_an_exit_code_are_completed(stage: Stage) -> None:
    stage.workspace.settings(lean_rows=True)
    jobs = stage.jobs(3)
    stage.end_at(2, status="failed", exit_code=7)
    stage.run(jobs)
    assert [job.submitted.exit_code for job in jobs] == [7, 7, 7]
    assert {f"{LIST}{job.id}/" for job in jobs} <= set(request_paths(stage.workspace))


@pytest.fixture
def many(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Return jobs of 210 running commands, with 50 as the limit of a long list."""
    monkeypatch.setattr(poll_timer, "_LONG_LIST", 50)
    # Acknowledged after the agents started, so that no restart explains their silence.
    made = stage.workspace.add_many_commands(210, line="true", status="running", added_at=FAR, acked_at=FAR)
    return [Job(Server(None), command=Command(command_id, Server(None), "", "", "unknown")) for command_id in made]


def list_poll_pages(stage: Stage) -> list[int]:
    """Return the number of pages of the list that each poll has read."""
    numbers = [int(parse_qs(path).get("page", ["1"])[0]) for path in request_paths(stage.workspace)]
    return [number for number, following in zip(numbers, [*numbers[1:], 1], strict=True) if following == 1]


def test_most_polls_of_a_long_list_read_only_the_newest_page(stage: Stage, many: list[Job]) -> None:

    def end_after_eight_polls() -> None:
        if request_paths(stage.workspace) and len(list_poll_pages(stage)) >= 8:
            stage.end()

    stage.on_sleep = end_after_eight_polls
    stage.run(many)
    assert outcomes(many) == {"success": 210}
    assert list_poll_pages(stage)[:8] == [1, 1, 1, 3] * 2, "a poll of the newest page ends there if nothing has ended"


def test_a_long_list_is_read_to_its_end_before_the_timeout(stage: Stage, many: list[Job]) -> None:
    oldest = many[0].id
    stage.clock.at(18, lambda: stage.end([c for c in stage.workspace.commands() if c["id"] == oldest]))
    stage.run(many, wait_timeout=20)
    assert outcomes(many) == {"success": 1, "timed_out": 209}
