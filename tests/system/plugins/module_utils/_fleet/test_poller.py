# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers of a run that look for each other: who looks when, what is handed on, and what becomes of the rest.

Each worker is a fleet with one command; they share a folder, as the processes of a run do.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system.conftest import Connect
from system.plays import run_playbook
from system.support import FakeClock, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import SharedPoller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.tests.unit.support import LIST

#: More than a request shows.
DEEP = 150


class Workers:
    """Workers whose time is the test's."""

    def __init__(self, workspace: Workspace, client: Client, clock: FakeClock, folder: Path) -> None:
        self.workspace, self.client, self.clock = workspace, client, clock
        self.shared = SharedState(folder, workspace.url, workspace.token)
        self._folder = folder
        self._polled_at: dict[str | None, float] = {}

    def fleet(self, **limits: Any) -> Fleet:
        """A worker."""
        return Fleet(self.client, Limits(**limits), sleep=self.clock.sleep, shared=self.shared)

    def job(self, command_id: str) -> Job:
        """A command that a worker awaits from now on, as the others know."""
        self.shared.add_awaited(command_id)
        job = Job(Server(None), command=Command(command_id, Server(None), "make all", "system", "running"))
        job.awaited_since = self.clock.monotonic()
        return job

    def poll(self, job: Job, after: float = 2.0, **limits: Any) -> list[str]:
        """Poll as the worker of a command, a while later. Return the paths that it requested."""
        self.clock.sleep(after)
        before = len(request_paths(self.workspace))
        poller = SharedPoller(self.client, self.shared, Limits(**limits).wait_timeout)
        poller._polled_at = self._polled_at.get(job.id, 0.0)
        poller.poll(job)
        self._polled_at[job.id] = self.clock.monotonic()
        return request_paths(self.workspace)[before:]

    def let_wait(self, job: Job, seconds: float) -> None:
        """Make the others believe that a command has been awaited for so long."""
        [file] = self._folder.glob(f"alpacon-*/awaited/{job.id}")
        then = time.time() - seconds
        os.utime(file, (then, then))

    def end(self, *jobs: Job) -> None:
        """Let commands end well."""
        for job in jobs:
            self.workspace.change_command(job.known.id, status="success", result="done", exit_code=0)

    def running(self, count: int) -> list[Job]:
        """Commands that go on, each with its worker."""
        made = self.workspace.add_many_commands(count, line="make all", status="running", added_at=-60)
        return [self.job(command_id) for command_id in made]

    def far_and_near(self) -> list[Job]:
        """Two commands that go on, with many of others between them in the list."""
        far, near = self.running(2)
        self.workspace.change_command(far.known.id, added_at=-7200)
        self.workspace.add_many_commands(DEEP, line="true", status="success", added_at=-1800)
        return [far, near]


@pytest.fixture
def workers(current: Workspace, connect: Connect, clock: FakeClock, tmp_path: Path) -> Workers:
    return Workers(current, connect(current, sleep=clock.sleep), clock, tmp_path)


def detail(job: Job) -> str:
    return f"{LIST}{job.id}/"


# A poller that hangs


@pytest.mark.parametrize(("wait_timeout", "at_most"), [(1800, 60), (10, 12)])
def test_a_poller_that_hangs_holds_nobody_up(workers: Workers, wait_timeout: float, at_most: float) -> None:
    mine, _other = workers.running(2)
    workers.clock.at(5, lambda: workers.end(mine))
    with workers.shared.try_lock("poll"):
        workers.fleet(wait_timeout=wait_timeout).run([mine])
    assert mine.outcome == "success"
    assert sum(workers.clock.slept) < at_most
    assert {path.partition("?")[0] for path in request_paths(workers.workspace)} == {detail(mine)}


def test_who_hears_nothing_of_a_poller_for_35_seconds_polls_alone(workers: Workers) -> None:
    mine, _other = workers.running(2)
    with workers.shared.try_lock("poll"):
        assert workers.poll(mine, after=34.2) == []
        assert workers.poll(mine, after=0.9) == [detail(mine)]


def test_a_folder_that_is_gone_holds_nobody_up(workers: Workers, tmp_path: Path) -> None:
    mine, _other = workers.running(2)
    workers.clock.at(5, lambda: workers.end(mine))
    shutil.rmtree(tmp_path)
    workers.fleet().run([mine])
    assert mine.outcome == "success"
    assert sum(workers.clock.slept) < 20
    assert set(request_paths(workers.workspace)) == {detail(mine)}


# Who polls


@pytest.mark.slow
def test_twenty_hosts_cost_hardly_more_than_one_task_for_all(current: Workspace, tmp_path: Path) -> None:
    hosts = [f"many-{number:02d}" for number in range(20)]
    current.add_servers(*hosts, connected=True)
    current.settings(instant=True)
    task = {"herdops.alpacon.alpacon_command": {"line": "uptime"}}
    play = run_playbook(
        current, tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": [task]}], hosts, "--forks=20"
    )
    assert play.code == 0, play.log
    counters = current.counters()
    routes = {route: counted["total"] for route, counted in counters["routes"].items()}
    # Where the machine is busy, some servers are asked whether they are connected.
    asked = routes.pop("GET /api/servers/servers/{id}/", 0)
    assert routes["GET /api/servers/servers/"] == 1
    assert counters["requests"] - asked <= 1.3 * len(hosts) + 2, counters


def test_a_poll_serves_everybody_who_waited_before_it_began(workers: Workers) -> None:
    mine, other = workers.running(2)
    assert len(workers.poll(mine)) == 1
    assert workers.poll(other, after=0.7) == []


def test_a_poll_does_not_serve_who_came_while_it_was_under_way(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = workers.running(2)
    pages = workers.client.pages

    def slowly(*arguments: Any, **named: Any) -> Iterator[Any]:
        other.awaited_since = workers.clock.monotonic() + 1
        workers.clock.sleep(3)
        yield from pages(*arguments, **named)

    monkeypatch.setattr(workers.client, "pages", slowly)
    workers.poll(mine)
    assert len(workers.poll(other, after=0.0)) == 1


@pytest.mark.parametrize(
    ("awaited", "over", "gap"),
    [(40, 14, 0.2), (40, 13, 0.6), (9, 4, 0.2), (9, 3, 0.45)],
)
def test_a_poll_was_worth_it_where_it_showed_a_third_to_be_over(
    workers: Workers, awaited: int, over: int, gap: float
) -> None:
    jobs = workers.running(awaited)
    workers.shared.write_poll(workers.clock.monotonic() - 9, 0.3)
    workers.end(*jobs[:over])
    assert len(workers.poll(jobs[-1])) == 1
    assert workers.shared.read_poll()[1] == pytest.approx(gap)


# What is handed on


def test_a_command_whose_hold_was_seen_is_looked_for_again(workers: Workers) -> None:
    mine, held = workers.running(2)
    workers.workspace.change_command(held.known.id, status="awaiting_approval")
    workers.poll(mine)
    workers.poll(held, wait_for_approval=True)
    assert held.known.status == "awaiting_approval"
    assert str(held.id) in workers.shared.awaited_ids()
    workers.end(held)
    workers.poll(mine)
    assert workers.poll(held) == []
    assert held.known.status == "success"


# Far down the list


def test_a_command_far_down_the_list_is_left_to_its_own_worker(workers: Workers) -> None:
    far, near = workers.far_and_near()
    assert len(workers.poll(near)) == 1, "no more pages than commands that are missing"
    assert workers.shared.pop_row(str(far.id)) is None, "the list may lag"
    workers.let_wait(far, 10)
    assert len(workers.poll(near)) == 1
    workers.end(far)
    assert workers.poll(far) == [detail(far)]
    assert far.known.status == "success"
    assert str(far.id) not in workers.shared.awaited_ids()


def test_who_polls_and_is_far_down_the_list_asks_for_its_own(workers: Workers) -> None:
    far, _near = workers.far_and_near()
    workers.end(far)
    assert [path.partition("?")[0] for path in workers.poll(far)] == [LIST, detail(far)]
    assert far.known.status == "success"


# Several commands of one worker


# The budget


def test_a_budget_that_is_used_up_holds_every_worker_back(workers: Workers) -> None:
    workers.shared.pause.extend(time.monotonic() + 0.3)
    began = time.monotonic()
    with Run().open_client(workers.client.settings, workers.shared) as client:
        client.get(LIST)
    assert time.monotonic() >= began + 0.3
