# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers of a run that poll for each other.

Each worker awaits one command. The workers share a folder, as the processes of a run do.
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
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import SharedPoller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.tests.unit.support import LIST

#: More rows than a page of the list has.
DEEP = 150


class Workers:
    """Workers with a fake clock."""

    def __init__(self, workspace: Workspace, client: Client, clock: FakeClock, folder: Path) -> None:
        self.workspace, self.client, self.clock = workspace, client, clock
        self.shared = SharedState(folder, workspace.url, workspace.token)
        self._folder = folder
        self._polled_at: dict[str | None, float] = {}

    def fleet(self, **limits: Any) -> Fleet:
        """Return the fleet of a worker."""
        return Fleet(self.client, Limits(**limits), sleep=self.clock.sleep, shared=self.shared)

    def job(self, command_id: str) -> Job:
        """Return a job that a worker awaits from now on."""
        self.shared.add_awaited(command_id)
        job = Job(Server(None), command=Command(command_id, Server(None), "make all", "system", "running"))
        job.awaited_since = self.clock.monotonic()
        return job

    def poll(self, job: Job, after: float = 2.0, **limits: Any) -> list[str]:
        """Poll as the worker of a job, some seconds later. Return the paths of the requests."""
        self.clock.sleep(after)
        before = len(request_paths(self.workspace))
        poller = SharedPoller(self.shared, Limits(**limits), PACING)
        poller._polled_at = self._polled_at.get(job.id, 0.0)
        poller.poll(job, self.client)
        self._polled_at[job.id] = self.clock.monotonic()
        return request_paths(self.workspace)[before:]

    def set_awaited_for(self, job: Job, seconds: float) -> None:
        """Change the time since when a command is awaited."""
        [file] = self._folder.glob(f"alpacon-*/awaited/{job.id}")
        then = time.time() - seconds
        os.utime(file, (then, then))

    def end(self, *jobs: Job) -> None:
        for job in jobs:
            self.workspace.change_command(job.submitted.id, status="success", result="done", exit_code=0)

    def running(self, count: int) -> list[Job]:
        """Return jobs of running commands, each with its worker."""
        made = self.workspace.add_many_commands(count, line="make all", status="running", added_at=-60)
        return [self.job(command_id) for command_id in made]

    def make_far_and_near(self) -> list[Job]:
        """Return jobs of two running commands, with many others between them in the list."""
        far, near = self.running(2)
        self.workspace.change_command(far.submitted.id, added_at=-7200)
        self.workspace.add_many_commands(DEEP, line="true", status="success", added_at=-1800)
        return [far, near]


@pytest.fixture
def workers(current: Workspace, connect: Connect, clock: FakeClock, tmp_path: Path) -> Workers:
    return Workers(current, connect(current, sleep=clock.sleep), clock, tmp_path)


def detail(job: Job) -> str:
    return f"{LIST}{job.id}/"


# A poller that hangs


@pytest.mark.parametrize(("wait_timeout", "at_most"), [(1800, 60), (10, 12)])
def test_a_worker_that_hangs_in_a_poll_delays_no_other(workers: Workers, wait_timeout: float, at_most: float) -> None:
    mine, _other = workers.running(2)
    workers.clock.at(5, lambda: workers.end(mine))
    with workers.shared.try_lock("poll"):
        workers.fleet(wait_timeout=wait_timeout).run([mine])
    assert mine.outcome == "success"
    assert sum(workers.clock.slept) < at_most
    assert {path.partition("?")[0] for path in request_paths(workers.workspace)} == {detail(mine)}


def test_a_worker_polls_alone_after_35_seconds_without_a_poll(workers: Workers) -> None:
    mine, _other = workers.running(2)
    with workers.shared.try_lock("poll"):
        assert workers.poll(mine, after=34.2) == []
        assert workers.poll(mine, after=0.9) == [detail(mine)]


def test_a_removed_folder_delays_no_worker(workers: Workers, tmp_path: Path) -> None:
    mine, _other = workers.running(2)
    workers.clock.at(5, lambda: workers.end(mine))
    shutil.rmtree(tmp_path)
    workers.fleet().run([mine])
    assert mine.outcome == "success"
    assert sum(workers.clock.slept) < 20
    assert set(request_paths(workers.workspace)) == {detail(mine)}


# Shared polls


@pytest.mark.slow
def test_twenty_hosts_cost_little_more_than_one_task_for_all(current: Workspace, tmp_path: Path) -> None:
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
    # On a busy machine, some servers are read.
    asked = routes.pop("GET /api/servers/servers/{id}/", 0)
    assert routes["GET /api/servers/servers/"] == 1
    assert counters["requests"] - asked <= 1.3 * len(hosts) + 2, counters


def test_a_poll_serves_the_workers_that_waited_before_it_began(workers: Workers) -> None:
    mine, other = workers.running(2)
    assert len(workers.poll(mine)) == 1
    assert workers.poll(other, after=0.7) == []


def test_a_poll_does_not_serve_workers_that_came_later(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
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
    ("awaited", "ended", "pause"),
    [(40, 14, 0.2), (40, 13, 0.6), (9, 4, 0.2), (9, 3, 0.45)],
)
def test_pauses_shrink_if_a_third_of_the_commands_has_ended(
    workers: Workers, awaited: int, ended: int, pause: float
) -> None:
    jobs = workers.running(awaited)
    workers.shared.write_poll(workers.clock.monotonic() - 9, 0.3)
    workers.end(*jobs[:ended])
    assert len(workers.poll(jobs[-1])) == 1
    assert workers.shared.read_poll()[1] == pytest.approx(pause)


# Shared rows


def test_a_held_command_is_polled_again(workers: Workers) -> None:
    mine, held = workers.running(2)
    workers.workspace.change_command(held.submitted.id, status="awaiting_approval")
    workers.poll(mine)
    workers.poll(held, wait_for_approval=True)
    assert held.submitted.status == "awaiting_approval"
    assert str(held.id) in workers.shared.awaited_ids()
    workers.end(held)
    workers.poll(mine, after=9.0)
    assert workers.poll(held) == []
    assert held.submitted.status == "success"


# Far down the list


def test_a_command_far_down_the_list_is_polled_by_its_own_worker(workers: Workers) -> None:
    far, near = workers.make_far_and_near()
    assert len(workers.poll(near)) == 1, "no more pages than missing commands"
    assert workers.shared.pop_row(str(far.id)) is None, "the list may lag"
    workers.set_awaited_for(far, 10)
    assert len(workers.poll(near, after=9.0)) == 1
    workers.end(far)
    assert workers.poll(far) == [detail(far)]
    assert far.submitted.status == "success"
    assert str(far.id) not in workers.shared.awaited_ids()


def test_the_polling_worker_reads_its_own_command_by_id(workers: Workers) -> None:
    far, _near = workers.make_far_and_near()
    workers.end(far)
    assert [path.partition("?")[0] for path in workers.poll(far)] == [LIST, detail(far)]
    assert far.submitted.status == "success"


# The quota


def test_all_workers_wait_for_the_quota(workers: Workers) -> None:
    workers.shared.pause.extend(time.monotonic() + 0.3)
    began = time.monotonic()
    with Run().open_client(workers.client.settings, workers.shared) as client:
        client.get(LIST)
    assert time.monotonic() >= began + 0.3
