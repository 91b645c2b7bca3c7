# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit commands to many servers at once and await them, within limits."""

from __future__ import annotations

import contextlib
import enum
import math
import queue
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import partial
from typing import Callable

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, RunIsOver, WorkspaceDown, wrap_unexpected
from .._api.lists import PAGE_SIZE
from . import completion
from .completion import ServerStates, describe_offline, is_cut_off, may_be_restarted, waits_for
from .jobs import Job, Limits, Outcome
from .journal import Journal
from .pacing import PACING, Pacing
from .poller import OutputCollector, Poller
from .run import Run
from .sharing import Shared
from .submitting import LostSubmitFinder, Submitter, lacks_budget, no_budget

#: Lines about the progress are this far apart, in seconds.
REPORT_EVERY = 5.0
#: So many servers are named in a line about them.
_NAMED_SERVERS = 5


class ProgressReporter:
    """Says how far a task is, every few seconds, and at once what the user should know at once.

    Args:
        report: takes a line about the progress; None for no such lines.
        report_offline: takes a line that the user is to see at once.
        journal: what an interrupted run leaves behind.
    """

    def __init__(
        self,
        report: Callable[[str], None] | None,
        report_offline: Callable[[str], None],
        journal: Journal | None,
    ) -> None:
        self._report = report
        self._report_offline = report_offline
        self._journal = journal
        self._began: float
        self._reported_at: float

    def begin(self, began: float) -> None:
        """Count the time from there, in monotonic seconds."""
        self._began = self._reported_at = began

    def report(self, to_submit: int, awaited: Sequence[Job], done: Counter[bool], lost: int = 0) -> None:
        """Say how far it is, where the last such line is old enough.

        Args:
            to_submit: how many commands are not submitted yet.
            awaited: those that are submitted and not over.
            done: how many are over, by whether that is no failure.
            lost: how many may have been submitted, and are looked for.
        """
        now = time.monotonic()
        if self._report is None or now < self._reported_at + REPORT_EVERY:
            return
        first = self._reported_at == self._began
        self._reported_at = now
        left = f"{to_submit} to submit, " if to_submit else ""
        left += f"{lost} looked for since their answers were lost, " if lost else ""
        away = sum(waits_for(job.known, job.server) for job in awaited)
        waiting = f", {away} of them waiting for a server that is offline" if away else ""
        self._report(
            f"alpacon: {left}{len(awaited)} running{waiting}, {done[True]} done, {done[False]} failed"
            f" after {now - self._began:.0f} s"
        )
        if first and self._journal and self._journal.works:
            self._report(f"alpacon: if this run is interrupted, the ids are in {self._journal.file}")

    def report_offline(self, jobs: Sequence[Job]) -> None:
        """Say at once which commands wait for servers that are offline, or for results of them, once of each."""
        fresh = [job for job in jobs if not job.offline_reported]
        if not fresh:
            return
        for job in fresh:
            job.offline_reported = True
        named = "; ".join(f"{describe_offline(job.server)} (command {job.id})" for job in fresh[:_NAMED_SERVERS])
        more = f"; and {len(fresh) - _NAMED_SERVERS} more" if len(fresh) > _NAMED_SERVERS else ""
        self._report_offline(f"alpacon: {len(fresh)} {'waits' if len(fresh) == 1 else 'wait'} for {named}{more}")


#: How many requests are under way at once.
THREADS = 16

#: A list of more commands is long: its newest page is read more often than the rest.
_LONG_LIST = 4 * PAGE_SIZE
#: So long after their time, results are still waited for if the request budget is used up, in seconds: it is one of an
#: hour.
_BUDGET_PERIOD = 3600.0


class _Act(enum.Enum):
    """What a thread does for a job."""

    SUBMIT = enum.auto()
    FOLLOW_UP = enum.auto()
    FETCH_OUTPUT = enum.auto()
    CANCEL_EXPIRED = enum.auto()
    CANCEL_OFFLINE = enum.auto()


class Fleet:
    """Brings jobs to their outcome, within limits: all state of that, and its threads.

    Args:
        sleep: called with seconds to pause.
        report: takes a line about the progress every few seconds; None for no such lines.
        report_offline: takes a line about what the user should know at once.
        run: the run that they are part of: what it has submitted, its journal, whether it still goes on.
        shared: what the workers of the run share; with it they poll for each other.
        hide: takes the secrets out of an output, before it is cut where half of one would be left.
    """

    def __init__(
        self,
        client: Client,
        limits: Limits,
        sleep: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] | None = None,
        report_offline: Callable[[str], None] = lambda _text: None,
        run: Run = Run(),  # noqa: B008 (frozen)
        shared: Shared | None = None,
        hide: Callable[[str], str] = str,
        pacing: Pacing = PACING,
    ) -> None:
        self._client = client
        self._limits = limits
        self._sleep = sleep
        self._pacing = pacing
        self._run = run
        self._submitter = Submitter(client, run)
        self._lost = LostSubmitFinder(self._submitter, limits, run.no_log)
        self._poller = Poller(client, shared, limits.wait_timeout)
        queued = pacing.queued + pacing.queued_each * self._poller.count_awaited()
        self._server_states = ServerStates(client, queued)
        self._outputs = OutputCollector(client, limits, hide, sleep)
        self._progress = ProgressReporter(report, report_offline, self._submitter.journal)
        self._pool: ThreadPoolExecutor
        #: When it began, and when it looked last, in monotonic seconds.
        self._began: float
        self._polled_at: float
        #: Who waits to be submitted, who is awaited, and what the threads are about.
        self._waiting: deque[Job] = deque()
        self._awaited: list[Job] = []
        self._under_way: dict[Future[None], tuple[Job, _Act]] = {}
        self._follow_up: Callable[[Job], None] | None = None
        self._ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        #: How many are over, by whether that is no failure.
        self._done: Counter[bool] = Counter()
        #: When the next poll is due, in monotonic seconds, and how many glances go before a look at all.
        self._due = math.inf
        self._newest_polls_left = pacing.newest_polls
        #: Why no more is submitted; empty while that goes on.
        self._stopped = ""

    def run(
        self,
        jobs: Sequence[Job],
        others: Iterable[str] | None = None,
        follow_up: Callable[[Job], None] | None = None,
    ) -> None:
        """Bring every job to its outcome, once for each fleet. Errors of one job never lose another.

        Args:
            others: ids of all the same commands that the servers have already, where somebody has looked.
            follow_up: called in a thread with each job as soon as its command is accepted; may give it an outcome.

        Raises:
            RunIsOver: the run has ended without this worker; the journal has what is under way.
        """
        self._begin(jobs, others)
        self._follow_up = follow_up
        try:
            while self._waiting or self._under_way or self._awaited or self._lost.jobs:
                self._run.check()
                self._run.context.name_journal()
                to_submit = len(self._waiting) + self._count(_Act.SUBMIT)
                self._progress.report(to_submit, self._awaited, self._done, len(self._lost.jobs))
                for job in self._next_to_submit():
                    self._start(_Act.SUBMIT, self._submitter.submit, job)
                self._collect(self._pause())
                if time.monotonic() >= self._lost.next_search:
                    for job in self._lost.search():
                        self._follow(job)
                if self._awaited and time.monotonic() >= self._get_next_poll():
                    self._poll()
        except RunIsOver:
            # What was sent still gets its id into the journal.
            self._pool.shutdown(wait=False, cancel_futures=True)
            wait_for(self._under_way, timeout=self._client.settings.request_timeout)
            raise
        finally:
            # After an interrupt nobody waits for requests that hang.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._poller.forget(jobs)
        # From here on the result names them, if there is still somebody who takes it.
        self._run.check()
        self._submitter.finish(jobs)

    def skip_offline(self, jobs: Sequence[Job]) -> list[Job]:
        """End the jobs to whose servers nothing would be submitted, since they are offline; the others."""
        self._refresh_servers(jobs)
        return [job for job in jobs if not completion.skip_offline(job, self._limits)]

    def fetch_output(self, job: Job) -> None:
        """Fetch what the finished command of a job wrote."""
        self._outputs.fetch(job)

    def _begin(self, jobs: Sequence[Job], others: Iterable[str] | None) -> None:
        if others is not None:
            self._submitter.exclude(others, all_older=True)
        self._submitter.exclude(job.id for job in jobs if job.id)
        self._waiting.extend(job for job in jobs if job.command is None)
        self._awaited = [job for job in jobs if job.command is not None and not job.outcome]
        if not self._limits.wait:
            self._refresh_servers(self._waiting)
        self._began = self._polled_at = time.monotonic()
        self._client.submit_deadline = self._began + self._limits.wait_timeout
        self._client.awaited_ids = lambda: [job.known.id for job in self._awaited]
        self._progress.begin(self._began)
        for job in self._awaited:
            job.awaited_since = job.next_poll = self._due = self._began
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="alpacon")

    def _refresh_servers(self, jobs: Iterable[Job]) -> None:
        """Ask which servers are connected, where that matters and nobody has said it."""
        if self._limits.offline != "wait":
            self._server_states.refresh([job for job in jobs if job.server.is_connected is None])

    # Submits, and what else is done in threads

    def _start(self, act: _Act, work: Callable[[Job], None], job: Job) -> None:
        future = self._pool.submit(work, job)
        self._under_way[future] = (job, act)
        future.add_done_callback(self._ended.put)

    def _count(self, act: _Act) -> int:
        return sum(1 for _job, other in self._under_way.values() if other is act)

    @property
    def _free(self) -> int:
        limit = self._limits.max_concurrency
        submitting = self._count(_Act.SUBMIT) + self._count(_Act.FOLLOW_UP)
        queue_room = 2 * THREADS - submitting
        if limit is None:
            return queue_room
        running = len(self._awaited) + len(self._lost.jobs) + submitting + self._count(_Act.FETCH_OUTPUT)
        return min(queue_room, limit - running)

    def _next_to_submit(self) -> Iterator[Job]:
        """The jobs whose turn it is, each to be started before the next one is asked for."""
        if not self._waiting:
            return
        while self._waiting and not self._stopped and self._free > 0:
            job = self._waiting.popleft()
            if completion.skip_offline(job, self._limits):
                self._count_finished(job)
            else:
                self._allow_time()
                yield job
        if self._stopped:
            for job in self._waiting:
                job.finish(Outcome.NOT_TRIED, self._stopped)
            self._waiting.clear()

    def _allow_time(self) -> None:
        """Let requests, but for submits, wait for their budget until results of commands can be read."""
        self._client.deadline = time.monotonic() + self._limits.wait_timeout + _BUDGET_PERIOD

    def _collect(self, pause: float) -> None:
        """Deal with what threads have done, as soon as one has done something."""
        if not self._under_way:
            if self._awaited or self._lost.jobs:
                self._sleep(pause)
            return
        for future in self._await_ended(pause):
            job, act = self._under_way.pop(future)
            error = future.exception()
            if isinstance(error, RunIsOver):
                raise error
            if error:
                # Whatever it is, it must not take the ids of the other commands with it.
                self._note_unforeseen(job, act, wrap_unexpected(error, self._run.no_log))
            if act is _Act.SUBMIT:
                self._follow(job)
            elif act is _Act.FOLLOW_UP:
                self._submitted(job)
                self._allow_time()
            elif act is _Act.FETCH_OUTPUT or (act is _Act.CANCEL_OFFLINE and job.outcome):
                self._count_finished(job)
            elif act is _Act.CANCEL_OFFLINE:
                self._await(job)

    def _note_unforeseen(self, job: Job, act: _Act, error: AlpaconError) -> None:
        """Note what went wrong with something that was to be done for a job; what is known of its command stays so."""
        if job.command is None:
            job.finish(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {error}", error)
        elif act is _Act.FETCH_OUTPUT:
            self._outputs.mark_unreadable(job, error)
        else:
            job.add_note(str(error))
            job.changed = job.changed or act is _Act.SUBMIT

    def _await_ended(self, seconds: float) -> Iterator[Future[None]]:
        """What has ended, as soon as something has, or nothing after so many seconds."""
        with contextlib.suppress(queue.Empty):
            yield self._ended.get(timeout=seconds)
            while True:
                yield self._ended.get_nowait()

    def _follow(self, job: Job) -> None:
        """Follow up a job whose command is accepted, before it is awaited."""
        if self._follow_up and job.command:
            self._start(_Act.FOLLOW_UP, self._follow_up, job)
        else:
            self._submitted(job)
            self._allow_time()

    def _submitted(self, job: Job) -> None:
        if job.lost and not (job.command or job.outcome):
            self._lost.add(job)
            return
        if not job.outcome and not self._limits.wait:
            job.finish(Outcome.PENDING)
        if job.outcome:
            self._count_finished(job)
            return
        now = time.monotonic()
        job.awaited_since = job.awaited_since or now
        job.next_poll = now + self._pacing.first_poll
        self._poller.expect(job)
        self._await(job)
        if waits_for(job.known, job.server):
            self._progress.report_offline([job])

    def _await(self, job: Job) -> None:
        self._awaited.append(job)
        self._due = min(self._due, job.next_poll)

    def _count_finished(self, job: Job) -> None:
        """Count a job that has its outcome, and submit no more where too much goes wrong."""
        ok = job.outcome in self._limits.ok_outcomes
        self._done[ok] += 1
        most = self._limits.max_errors
        if ok:
            return
        error = job.error.cause if isinstance(job.error, WorkspaceDown) else job.error
        if isinstance(error, ApiError) and error.refuses_token:
            self._stopped = f"Not tried: the workspace refuses the token. {error}"
        elif isinstance(job.error, WorkspaceDown):
            self._stopped = f"Not tried: {job.error}"
        elif lacks_budget(job.error):
            self._stopped = no_budget(job.error)
        elif most is not None and self._done[False] > most:
            self._stopped = f"Not tried: more than max_errors={most} commands ended badly before."

    # Looks

    def _get_next_poll(self) -> float:
        if self._waiting and (self._limits.max_concurrency is None or self._free > 0):
            pause = self._pacing.submitting if self._limits.max_errors is None else self._pacing.failing
            return max(self._due, self._polled_at + pause)
        return self._due

    def _pause(self) -> float:
        if not (self._awaited or self._lost.jobs):
            return REPORT_EVERY if self._under_way else 0.0
        due = min(self._get_next_poll() if self._awaited else math.inf, self._lost.next_search)
        return min(REPORT_EVERY, max(0.0, due - time.monotonic()))

    def _poll(self) -> None:
        """Look at what is awaited, and settle what is over."""
        began = time.monotonic()
        newest_only = self._may_poll_newest() and self._newest_polls_left > 0
        self._newest_polls_left = self._newest_polls_left - 1 if newest_only else self._pacing.newest_polls
        failure = self._try_poll(newest_only)
        self._polled_at = time.monotonic()
        self._complete_all(began, failure)
        if not failure and not newest_only:
            # After a poll of the newest, most of what is known is older than that.
            self._ask_servers(self._polled_at)
        self._time_out_all()
        self._due = min((job.next_poll for job in self._awaited), default=math.inf)
        if isinstance(failure, ApiError) and _is_final(failure):
            for job in self._awaited:
                self._mark_unknown(job, failure)
            self._awaited = []

    def _may_poll_newest(self) -> bool:
        """Whether it is enough for a while to look at the newest commands."""
        if self._waiting or len(self._awaited) <= _LONG_LIST:
            return False
        now = time.monotonic()
        return all(now < self._ends(job) for job in self._awaited)

    def _ends(self, job: Job) -> float:
        return job.awaited_since + self._limits.wait_timeout

    def _try_poll(self, newest_only: bool) -> AlpaconError | None:
        try:
            self._poller.poll(self._awaited, self._pool.map, newest_only)
        except AlpaconError as error:
            return error
        except Exception as error:
            return wrap_unexpected(error, self._run.no_log)
        return None

    def _complete_all(self, began: float, failure: AlpaconError | None) -> None:
        """Give those that are over their outcome, and the others the time of their next look."""
        now = self._polled_at
        pages = max(self._poller.pages, len(self._awaited) // PAGE_SIZE)
        polls = 1 + self._pacing.newest_polls if self._may_poll_newest() else 1
        shared = self._poller.count_awaited() > 1
        awaited, self._awaited = self._awaited, []
        for job in awaited:
            job.polled_at = began
            self._complete(job, failure)
            if not job.outcome:
                pause = self._pacing.get_pause(now - job.awaited_since, pages, shared) / polls
                job.next_poll = now + (self._pacing.failing if failure else pause)
                # Its time is up only after a last look.
                job.next_poll = min(job.next_poll, max(now + self._pacing.shortest, self._ends(job)))
                self._awaited.append(job)

    def _complete(self, job: Job, failure: AlpaconError | None) -> None:
        """Give a job its outcome if it has ended, or is lost."""
        try:
            if completion.complete(job, self._limits):
                if not self._outputs.collect_from_row(job):
                    # How it ended is known for certain only then.
                    self._start(_Act.FETCH_OUTPUT, self._outputs.fetch, job)
                    return
            elif failure:
                job.error = failure
            elif completion.is_missing_too_long(job, time.monotonic()):
                completion.time_out(job, self._limits)
        except Exception as error:
            self._mark_unknown(job, wrap_unexpected(error, self._run.no_log))
            return
        if job.outcome:
            self._count_finished(job)

    def _mark_unknown(self, job: Job, error: AlpaconError) -> None:
        completion.mark_unknown(job, error)
        self._count_finished(job)

    def _ask_servers(self, now: float) -> None:
        """Look after the servers of commands that stay where they are."""
        due = self._server_states.refresh_due(self._awaited, now, self._limits.wait_timeout)
        suspects = [job for job in due if may_be_restarted(job.known, job.server)]
        is_lost_by_restart = partial(self._server_states.is_lost_by_restart, now=now)
        restarted = [job for job, sure in zip(suspects, self._pool.map(is_lost_by_restart, suspects)) if sure]
        for job in restarted:
            completion.mark_restarted(job)
            self._count_finished(job)
        away = [job for job in due if waits_for(job.known, job.server)]
        cut_off = [job for job in due if not job.outcome and is_cut_off(job.known, job.server)]
        if self._limits.offline == "wait":
            cut_off, away = [*away, *cut_off], []
        self._progress.report_offline(cut_off)
        for job in away:
            self._start(_Act.CANCEL_OFFLINE, partial(completion.cancel_offline, self._client), job)
        gone = {id(job) for job in (*restarted, *away)}
        self._awaited = [job for job in self._awaited if id(job) not in gone]

    def _time_out_all(self) -> None:
        """Wait no longer for what has had its time, and a last look."""
        awaited, self._awaited = self._awaited, []
        for job in awaited:
            if self._polled_at < self._ends(job):
                self._awaited.append(job)
                continue
            try:
                withdraws = completion.time_out(job, self._limits)
            except Exception as error:
                self._mark_unknown(job, wrap_unexpected(error, self._run.no_log))
                continue
            if withdraws:
                self._start(_Act.CANCEL_EXPIRED, partial(completion.cancel_expired, self._client), job)
            self._count_finished(job)


def _is_final(failure: ApiError) -> bool:
    """Return True if no later look can succeed in time: the token is refused, or its budget used up for too long."""
    # A page of a proxy passes, as other failures do.
    return (failure.status in (401, 403) and failure.stated) or failure.status == 429
