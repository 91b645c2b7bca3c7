# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send the requests of a fleet in threads, while its loop goes on."""

from __future__ import annotations

import contextlib
import enum
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Callable, TypeVar

from .jobs import Job

_Result = TypeVar("_Result")

#: Maximum number of concurrent requests.
THREADS = 16


class Step(enum.Enum):
    """Kinds of work that a thread does for jobs."""

    SUBMIT = enum.auto()
    #: Read the commands of all awaited jobs.
    POLL = enum.auto()
    #: Read the output of a job that ended, or cancel its command.
    SETTLE = enum.auto()
    #: Print the output of a running command.
    FOLLOW = enum.auto()
    #: Search for the commands of lost submits.
    SEARCH = enum.auto()


#: A poll uses threads of the pool, and could wait for itself in one of them. A search need not wait for submits.
_OUTSIDE_POOL = frozenset((Step.POLL, Step.SEARCH))


@dataclass(frozen=True)
class Work:
    step: Step
    jobs: Sequence[Job]


class Threads:
    """Threads that work for jobs. Only the loop of the fleet starts work and takes its end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="alpacon")
        self._running: dict[Future[None], Work] = {}
        self._ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        #: Calls a function for each job in threads.
        self.for_each = self._pool.map

    @property
    def are_busy(self) -> bool:
        return bool(self._running)

    def start(self, step: Step, function: Callable[[], None], jobs: Sequence[Job]) -> None:
        future = run_in_thread(function) if step in _OUTSIDE_POOL else self._pool.submit(function)
        self._running[future] = Work(step, jobs)
        future.add_done_callback(self._ended.put)

    def count(self, *steps: Step) -> int:
        return sum(work.step in steps for work in self._running.values())

    def take_ended(self, seconds: float) -> Iterator[tuple[Work, BaseException | None]]:
        """Wait up to some seconds for work to end, then yield all work that has ended, with its error."""
        with contextlib.suppress(queue.Empty):
            future = self._ended.get(timeout=seconds)
            while True:
                yield self._running.pop(future), future.exception()
                future = self._ended.get_nowait()

    def stop(self, patience: float = 0.0) -> None:
        """Start no more work, and wait up to some seconds for work that has begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait_for(self._running, timeout=patience)


def run_in_thread(function: Callable[[], _Result]) -> Future[_Result]:
    """Call a function in a thread that does not keep the process from exiting, unlike those of a pool."""
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="alpacon-thread", daemon=True).start()
    return future
