# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet that is interrupted, or whose run is over, while it submits."""

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
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import THREADS, Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, current_row

#: More than are on their way and queued at once.
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
    """A workspace that answers a submit only when it is let go, or after so long that somebody waited for it."""

    def __init__(self, serve: Callable[..., ScriptedServer]) -> None:
        self.first, self.rest = threading.Event(), threading.Event()
        self.waited_for: list[str] = []
        self.server = serve(self._answer)
        self._taken = threading.Lock()

    def _answer(self, request: Request) -> Response:
        event = self.first if self._taken.acquire(blocking=False) else self.rest
        if not event.wait(20):
            self.waited_for.append(request.path)
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


def beside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def lines_of(journal: Path) -> int:
    return len([line for line in journal.read_text().splitlines() if line.strip()])


@pytest.fixture
def _heeds_interrupts() -> Iterator[None]:
    # Processes that run tests beside others ignore them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_interrupts")
def test_an_interrupt_awaits_no_request_and_sends_nothing_that_is_queued(
    hanging: Hanging, connect: Connect, tmp_path: Path
) -> None:
    def interrupt() -> None:
        wait_until(hanging.is_busy)
        os.kill(os.getpid(), signal.SIGINT)

    journal = tmp_path / "run.ids"
    fleet = Fleet(connect(hanging.server), Limits(), run=Run(RunContext(journal_file=journal)))
    interrupts = beside(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fleet.run(jobs())
    interrupts.join()
    assert hanging.waited_for == []
    assert lines_of(journal) == THREADS
    hanging.first.set()
    hanging.rest.set()
    for thread in threading.enumerate():
        if thread.name.startswith("alpacon"):
            thread.join()
    assert len(hanging.server.requests) == THREADS
    assert len(read_journal_ids(journal)) == THREADS, "answers that come late still leave their ids"


def test_a_run_that_is_over_sends_nothing_more_and_keeps_the_ids_of_what_it_sent(
    hanging: Hanging, connect: Connect, tmp_path: Path
) -> None:
    over = threading.Event()

    def end() -> None:
        wait_until(hanging.is_busy)
        over.set()
        hanging.first.set()  # so that the next one gets its turn
        threading.Timer(0.5, hanging.rest.set).start()

    journal = tmp_path / "run.ids"
    fleet = Fleet(connect(hanging.server), Limits(), run=Run(RunContext(journal_file=journal, is_over=over.is_set)))
    ends = beside(end)
    with pytest.raises(RunIsOver):
        fleet.run(jobs())
    assert len(hanging.server.requests) == THREADS
    assert len(read_journal_ids(journal)) == THREADS
    ends.join()


def test_a_submit_that_waited_for_its_budget_is_not_sent_once_the_run_is_over(
    serve: Callable[..., ScriptedServer], connect: Connect
) -> None:
    throttle = Response({"code": "api_rate_limited"}, 429, headers={"Retry-After": "1"})
    server = serve([throttle, Response({}, 201)])
    run = Run(RunContext(is_over=lambda: bool(server.requests)))
    with run.open_client(connect(server).settings, None) as client, pytest.raises(RunIsOver):
        client.write("POST", LIST, {})
    assert len(server.requests) == 1
