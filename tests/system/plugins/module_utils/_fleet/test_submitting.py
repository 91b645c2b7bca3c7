# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submits whose response is lost: one POST and at most one command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from system.conftest import Connect
from system.support import (
    FakeClock,
    count_methods,
    in_every_dialect,
    make_body,
    request_paths,
)
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits, SubmitRecord, get_digest
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import SubmittedCommands
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.submitting import Submitter
from ansible_collections.herdops.alpacon.tests.unit.support import (
    FAR,
    LIST,
    Row,
)

LINE = "echo once"


def later(workspace: Workspace, server: str = "web-01") -> Row:
    """Return the body of a submit that is scheduled for a far time."""
    return make_body(workspace, server, line=LINE, scheduled_at=FAR)


@in_every_dialect
@pytest.mark.parametrize("fault", [{"kind": "lose_after"}, {"kind": "status_after", "status": 413}], ids=str)
def test_the_command_of_a_lost_submit_is_found(
    workspace: Workspace, connect: Connect, clock: FakeClock, fault: Row
) -> None:
    client = connect(workspace, sleep=clock.sleep)
    # Responses of 2024 have no Date, so an earlier submit sets the clock.
    submit(client, make_body(workspace, line="true"))
    before = count_methods(workspace)["POST"]
    job = Job(Server(None), body=later(workspace))
    workspace.fault(method="POST", path=LIST, times=1, **fault)
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    [command] = workspace.commands(line=LINE)
    assert (job.outcome, job.id, job.changed) == ("pending", command["id"], True)
    assert "it was found in the workspace" in job.note
    assert count_methods(workspace)["POST"] - before == 1


@pytest.mark.parametrize("shown", [True, False], ids=["an id that is known", "an id that never came"])
def test_a_retry_adopts_the_command_of_an_earlier_attempt(
    current: Workspace, connect: Connect, clock: FakeClock, shown: bool
) -> None:
    client = connect(current, sleep=clock.sleep)
    body = later(current)
    sent_at = clock.time()
    command = submit(client, body)
    earlier_submits = {get_digest(body): SubmitRecord(sent_at, command.id if shown else None)}
    job = Job(Server(None), body=body)
    Fleet(client, Limits(wait=False), sleep=clock.sleep, run=Run(earlier_submits=earlier_submits)).run([job])
    assert (job.outcome, job.id, job.changed) == ("pending", command.id, True)
    assert job.submitted.status == "scheduled"
    assert "it was not submitted again" in job.note
    assert ("it was found in the workspace" in job.note) is not shown
    assert count_methods(current)["POST"] == 1


def test_a_retry_does_not_repeat_a_lost_submit(current: Workspace, connect: Connect, clock: FakeClock) -> None:
    body = later(current)
    job = Job(Server(None), body=body)
    run = Run(earlier_submits={get_digest(body): SubmitRecord(clock.time())})
    Fleet(connect(current, sleep=clock.sleep), Limits(wait=False), sleep=clock.sleep, run=run).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert job.msg.startswith("An earlier attempt of this task sent it.")
    assert count_methods(current)["POST"] == 0


@pytest.mark.parametrize(("kind", "wait_timeout", "searched"), [("lose_before", 300, 30), ("status", 3, 3)])
def test_a_lost_submit_without_a_command_is_unknown(
    current: Workspace, connect: Connect, clock: FakeClock, kind: str, wait_timeout: float, searched: float
) -> None:
    client = connect(current, sleep=clock.sleep)
    job = Job(Server(None), body=later(current))
    current.fault(kind, method="POST", path=LIST, times=1, status=502)
    Fleet(client, Limits(wait=False, wait_timeout=wait_timeout), sleep=clock.sleep).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert "The workspace shows no such command" in job.msg
    assert "An earlier attempt" not in job.msg
    assert searched <= clock.passed < 2 * searched, "the search lasts as long as lists may lag"
    assert count_methods(current)["POST"] == 1
    assert current.commands() == []


def test_the_reason_of_a_workspace_leads_the_message(current: Workspace, connect: Connect, clock: FakeClock) -> None:
    job = Job(Server(None), body=later(current))
    current.fault("status", method="POST", path=LIST, status=503, body='{"detail": "The workspace is read-only."}')
    Fleet(connect(current, sleep=clock.sleep), Limits(wait=False), sleep=clock.sleep).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert job.msg.startswith("The workspace is read-only.")
    assert "The workspace shows no such command." in job.msg
    assert count_methods(current)["POST"] == 1


@pytest.mark.parametrize("is_late", [True, False])
def test_a_lost_submit_is_searched_for_once_more_at_the_end_of_the_task(
    current: Workspace, connect: Connect, clock: FakeClock, is_late: bool
) -> None:
    servers = current.add_servers("bare-1", "bare-2", connected=True)
    lost, other = (Job(Server(None), body=make_body(current, server["id"], line=LINE)) for server in servers)
    current.fault("lose_before", method="POST", path=LIST, times=1)
    current.fault("html", method="GET", path=LIST)
    clock.at(45, current.clear_faults)
    if is_late:
        clock.at(60, lambda: current.submit("bare-1", LINE))
    clock.at(70, lambda: [current.change_command(row["id"], status="success") for row in current.commands(line=LINE)])
    limits = Limits(max_concurrency=1, wait_timeout=40)
    # The workspace does not use the fake clock, so exclude older commands by their IDs instead of their times.
    Fleet(connect(current, sleep=clock.sleep), limits, sleep=clock.sleep).run([lost, other], existing_ids=[])
    assert (lost.outcome, other.outcome) == ("unknown", "success")
    assert lost.id == (current.commands(server="bare-1")[0]["id"] if is_late else None)
    assert ("Await it with state=finished" if is_late else "The workspace shows no such command.") in lost.msg


def test_a_slow_search_delays_no_poll_of_other_commands(
    current: Workspace, connect: Connect, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = current.add_servers("bare-1", "bare-2", connected=True)
    jobs = [Job(Server(None), body=make_body(current, server["id"], line=LINE)) for server in servers]
    current.fault("lose_after", method="POST", path=LIST, times=1)
    adopt = Submitter.adopt_lost
    # Outcomes of the jobs while each search goes on.
    outcomes: list[set[str | None]] = []

    def search(submitter: Submitter, lost: Sequence[Job]) -> None:
        for _check in range(0 if outcomes else 200):
            for row in current.commands(line=LINE):
                current.change_command(row["id"], status="success")
            time.sleep(0.05)
            if any(job.outcome for job in jobs):
                break
        outcomes.append({job.outcome for job in jobs})
        adopt(submitter, lost)

    monkeypatch.setattr(Submitter, "adopt_lost", search)
    Fleet(connect(current, sleep=clock.sleep), Limits(), sleep=clock.sleep).run(jobs, existing_ids=[])
    assert outcomes[0] == {None, "success"}
    assert [job.outcome for job in jobs] == ["success"] * 2
    assert count_methods(current)["POST"] == 2


def outage(workspace: Workspace, clock: FakeClock, seconds: float) -> list[Job]:
    """Lose the responses of six submits, and return 502 to reads for a while."""
    workspace.add_servers(*(f"away-{number}" for number in range(6)))
    servers = [f"away-{number}" for number in range(6)]
    workspace.fault("lose_after", method="POST", path=LIST, times=6)
    workspace.fault("status", method="GET", status=502)

    clock.at(clock.passed + seconds, workspace.clear_faults)
    return [Job(Server(None, server), body=later(workspace, server)) for server in servers]


def test_an_outage_of_a_minute_loses_no_ids(current: Workspace, connect: Connect, clock: FakeClock) -> None:
    client = connect(current, sleep=clock.sleep)
    client.get(LIST)
    jobs = outage(current, clock, 60)
    before = client.requests
    # The workspace does not use the fake clock, so exclude older commands by their IDs instead of their times.
    Fleet(client, Limits(wait=False, wait_timeout=300), sleep=clock.sleep).run(jobs, existing_ids=[])
    assert {job.id for job in jobs} == {row["id"] for row in current.commands(line=LINE)}
    assert len({job.id for job in jobs}) == 6
    assert count_methods(current)["POST"] == 6
    assert client.requests - before - 6 <= 20


def test_an_outage_that_does_not_end_leaves_submits_unknown(
    current: Workspace, connect: Connect, clock: FakeClock
) -> None:
    client = connect(current, sleep=clock.sleep)
    jobs = outage(current, clock, 9999)
    Fleet(client, Limits(wait_timeout=300), sleep=clock.sleep).run(jobs)
    assert 300 <= clock.passed < 330
    for job in jobs:
        assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
        assert "The search for it failed." in job.msg
        assert "The workspace shows no such command" not in job.msg
    assert client.requests - 6 <= 20


def test_an_equal_command_of_another_requester_is_not_adopted(
    workspace: Workspace, connect: Connect, clock: FakeClock
) -> None:
    client = connect(workspace, sleep=clock.sleep)
    job = Job(Server(None), body=later(workspace))
    # Another user submits the same in the same second, and the own submit is lost.
    row = {"server": "web-01", "line": LINE, "scheduled_at": FAR, "requested_by": "carol", "added_at": 1}
    theirs = workspace.add_commands([row])
    workspace.fault("lose_before", method="POST", path=LIST, times=1)
    client.get(LIST)
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    assert (job.outcome, job.id) == ("unknown", None)
    assert [row["id"] for row in workspace.commands()] == theirs
    assert request_paths(workspace).count("/api/iam/users/-/") == 1


def test_ten_possible_commands_of_a_lost_submit_are_named(
    current: Workspace, connect: Connect, clock: FakeClock, tmp_path: Path
) -> None:
    client = connect(current, sleep=clock.sleep)
    job = Job(Server(None), body=later(current))
    earlier_submits = {get_digest(job.body): SubmitRecord(clock.time())}
    client.get(LIST)
    ours, *made = [current.submit("web-01", LINE, scheduled_at=FAR) for _command in range(12)]
    SubmittedCommands(tmp_path / "alpacon-submitted").add({"id": ours})
    run = Run(RunContext(folder=tmp_path), earlier_submits=earlier_submits)
    Fleet(client, Limits(wait=False), sleep=clock.sleep, run=run).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert "One of these may be it: " in job.msg
    assert ours not in job.msg
    assert sum(command_id in job.msg for command_id in made) == 10
    assert len(current.commands()) == 12
