# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet that is interrupted, or whose run ends, while it submits."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from system.conftest import Connect
from system.plays import read_journal_ids, wait_until
from system.support import Request, Response, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import RunIsOver
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.threads import THREADS
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, current_row

#: More than the threads send and queue at once.
MANY = 4 * THREADS


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def jobs() -> list[Job]:
    body = {"shell": "system", "line": "make all", "username": "", "groupname": "", "scheduled_at": None}
    return [Job(Server(uuid(number)), body={**body, "server": uuid(number)}) for number in range(MANY)]


def accepted(request: Request) -> Response:
    """Answer a submit as a workspace does; the command has the ID of its server."""
    server = {"id": request.body["server"], "name": "web"}
    return Response([current_row(id=request.body["server"], server=server, line=request.body["line"])], 201)


class Hanging:
    """A workspace whose responses hang until the test sets an event, and which records those that timed out."""

    def __init__(self, serve: Callable[..., ScriptedServer]) -> None:
        self.first, self.rest = threading.Event(), threading.Event()
        self.timed_out: list[str] = []
        self.server = serve(self._answer)
        self._taken = threading.Lock()

    def _answer(self, request: Request) -> Response:
        event = self.first if self._taken.acquire(blocking=False) else self.rest
        if not event.wait(20):
            self.timed_out.append(request.path)
        return accepted(request)

    def is_busy(self) -> bool:
        """Return True if every thread has sent a submit."""
        return len(self.server.requests) >= THREADS


@pytest.fixture
def hanging(serve: Callable[..., ScriptedServer]) -> Iterator[Hanging]:
    hangs = Hanging(serve)
    yield hangs
    hangs.first.set()
    hangs.rest.set()


def start_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def count_lines(journal: Path) -> int:
    return len([line for line in journal.read_text().splitlines() if line.strip()])


@pytest.fixture
def _handle_interrupts() -> Iterator[None]:
    # The workers of pytest-xdist ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_handle_interrupts")
def test_an_interrupt_neither_waits_for_requests_nor_sends_queued_ones(
    hanging: Hanging, connect: Connect, tmp_path: Path
) -> None:
    def interrupt() -> None:
        wait_until(hanging.is_busy)
        os.kill(os.getpid(), signal.SIGINT)

    journal = tmp_path / "run.ids"
    fleet = Fleet(connect(hanging.server), Limits(), run=Run(RunContext(journal_file=journal)))
    interrupts = start_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fleet.run(jobs())
    interrupts.join()
    assert hanging.timed_out == []
    assert count_lines(journal) == THREADS
    hanging.first.set()
    hanging.rest.set()
    for thread in threading.enumerate():
        if thread.name.startswith("alpacon"):
            thread.join()
    assert len(hanging.server.requests) == THREADS
    assert len(read_journal_ids(journal)) == THREADS, "late responses still add their IDs"


def test_the_end_of_the_run_stops_submits_and_keeps_the_ids(hanging: Hanging, connect: Connect, tmp_path: Path) -> None:
    over = threading.Event()

    def end() -> None:
        wait_until(hanging.is_busy)
        over.set()
        hanging.first.set()  # so that the next submit can start
        threading.Timer(0.5, hanging.rest.set).start()

    journal = tmp_path / "run.ids"
    fleet = Fleet(connect(hanging.server), Limits(), run=Run(RunContext(journal_file=journal, is_over=over.is_set)))
    ends = start_thread(end)
    with pytest.raises(RunIsOver):
        fleet.run(jobs())
    assert len(hanging.server.requests) == THREADS
    assert len(read_journal_ids(journal)) == THREADS
    ends.join()


def test_a_submit_that_waits_for_its_quota_is_not_sent_after_the_run(
    serve: Callable[..., ScriptedServer], connect: Connect
) -> None:
    throttle = Response({"code": "api_rate_limited"}, 429, headers={"Retry-After": "1"})
    server = serve([throttle, Response({}, 201)])
    run = Run(RunContext(is_over=lambda: bool(server.requests)))
    with run.open_client(connect(server).settings, None) as client, pytest.raises(RunIsOver):
        client.write("POST", LIST, {})
    assert len(server.requests) == 1


@pytest.mark.usefixtures("_handle_interrupts")
def test_a_poll_that_hangs_keeps_no_process_from_exiting(
    serve: Callable[..., ScriptedServer], connect: Connect
) -> None:
    is_polled, is_over = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def answer(request: Request) -> Response:
        if request.method == "POST":
            return accepted(request)
        is_polled.set()
        in_time.append(is_over.wait(20))
        return Response(current_row(id=uuid(0)))

    def interrupt() -> None:
        is_polled.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    interrupts = start_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        Fleet(connect(serve(answer)), Limits()).run(jobs()[:1])
    interrupts.join()
    # At its end, a process waits for the threads that are not daemons.
    wait_until(lambda: not [each for each in threading.enumerate() if each.name.startswith("alpacon_")])
    is_over.set()
    wait_until(lambda: in_time)
    # The interrupted fleet may have begun another poll.
    assert all(in_time), "the poll has ended first"
