# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit commands to many servers at once and await them, within limits, and report the progress."""

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
from .completion import ServerStates, describe_offline, is_cut_off, waits_for_server, was_restarted
from .jobs import Job, Limits, Outcome
from .journal import Journal
from .pacing import PACING, Pacing
from .poller import OutputCollector, Poller
from .run import Run
from .sharing import SharedState
from .submitting import LostSubmitFinder, Submitter, lacks_budget, no_budget

#: Seconds between two lines about the progress.
REPORT_EVERY = 5.0
#: Most requests at once.
THREADS = 16
#: Servers that a message names.
_NAMED_SERVERS = 5
#: A list of more commands is long: its newest page is read more often than the rest.
_LONG_LIST = 4 * PAGE_SIZE
#: Time that results may wait for the request budget, which is one of an hour, in seconds.
_BUDGET_PERIOD = 3600.0


class ProgressReporter:
    """Prints the progress of a task every few seconds, and at once which commands wait for offline servers.

    Args:
        report: prints a line about the progress; None for no such lines.
        alert: prints a line about offline servers.
        journal: file that an interrupted run leaves behind.
    """

    def __init__(
        self, report: Callable[[str], None] | None, alert: Callable[[str], None], journal: Journal | None
    ) -> None:
        self._report = report
        self._alert = alert
        self._journal = journal
        self._began: float
        self._reported_at: float
        #: IDs of the commands that were reported to wait.
        self._waiting: set[str | None] = set()

    def begin(self, began: float) -> None:
        self._began = self._reported_at = began

    def report(self, to_submit: int, awaited: Sequence[Job], done: Counter[bool], lost: int = 0) -> None:
        """Print the progress if the last line is old enough.

        Args:
            done: number of finished jobs, by whether they are no failures.
            lost: number of jobs whose submits are lost.
        """
        now = time.monotonic()
        if self._report is None or now < self._reported_at + REPORT_EVERY:
            return
        first = self._reported_at == self._began
        self._reported_at = now
        left = f"{to_submit} to submit, " if to_submit else ""
        left += f"{lost} looked for since their answers were lost, " if lost else ""
        offline = sum(map(waits_for_server, awaited))
        waiting = f", {offline} of them waiting for a server that is offline" if offline else ""
        self._report(
            f"alpacon: {left}{len(awaited)} running{waiting}, {done[True]} done, {done[False]} failed"
            f" after {now - self._began:.0f} s"
        )
        if first and self._journal and self._journal.works:
            self._report(f"alpacon: if this run is interrupted, the ids are in {self._journal.file}")

    def report_offline(self, jobs: Sequence[Job]) -> None:
        """Name the commands that wait for offline servers, or for results of them, each once."""
        fresh = [job for job in jobs if job.id not in self._waiting]
        if not fresh:
            return
        self._waiting.update(job.id for job in fresh)
        named = "; ".join(f"{describe_offline(job.server)} (command {job.id})" for job in fresh[:_NAMED_SERVERS])
        more = f"; and {len(fresh) - _NAMED_SERVERS} more" if len(fresh) > _NAMED_SERVERS else ""
        self._alert(f"alpacon: {len(fresh)} {'waits' if len(fresh) == 1 else 'wait'} for {named}{more}")


class _Step(enum.Enum):
    """Work of a thread for a job."""

    SUBMIT = enum.auto()
    FOLLOW_UP = enum.auto()
    FETCH_OUTPUT = enum.auto()
    CANCEL_EXPIRED = enum.auto()
    CANCEL_OFFLINE = enum.auto()


class Fleet:
    """Brings jobs to their outcome, within limits. It has all the state of that, and the threads.

    Args:
        sleep: called with seconds to pause.
        report: prints a line about the progress every few seconds; None for no such lines.
        report_offline: prints a line about offline servers.
        shared: state of the workers of the run, with which they poll for each other.
        hide: removes secrets from an output, before it is cut.
    """

    def __init__(
        self,
        client: Client,
        limits: Limits,
        sleep: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] | None = None,
        report_offline: Callable[[str], None] = lambda _text: None,
        run: Run = Run(),  # noqa: B008 (frozen)
        shared: SharedState | None = None,
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
        self._server_states = ServerStates(client, pacing.queued + pacing.queued_each * self._poller.count_awaited())
        self._outputs = OutputCollector(client, limits, hide, sleep)
        self._progress = ProgressReporter(report, report_offline, self._submitter.journal)
        self._pool: ThreadPoolExecutor
        self._waiting: deque[Job] = deque()
        self._awaited: list[Job] = []
        self._in_threads: dict[Future[None], tuple[Job, _Step]] = {}
        self._follow_up: Callable[[Job], None] | None = None
        self._ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        #: Number of finished jobs, by whether they are no failures.
        self._done: Counter[bool] = Counter()
        #: The last poll and the next one, in monotonic seconds.
        self._polled_at: float
        self._next_poll = math.inf
        self._newest_polls_left = pacing.newest_polls
        #: Reason why no more is submitted.
        self._stopped = ""

    def run(
        self,
        jobs: Sequence[Job],
        others: Iterable[str] | None = None,
        follow_up: Callable[[Job], None] | None = None,
    ) -> None:
        """Bring every job to its outcome, once for each fleet. Errors of one job never lose another.

        Args:
            others: IDs of all equal commands that the servers have already, if they are known.
            follow_up: called in a thread with each job as soon as its command is accepted; may finish it.

        Raises:
            RunIsOver: the run has ended without this worker; the journal has the commands that go on.
        """
        self._begin(jobs, others)
        self._follow_up = follow_up
        try:
            while self._waiting or self._in_threads or self._awaited or self._lost.jobs:
                self._run.check_not_over()
                self._run.context.report_journal()
                to_submit = len(self._waiting) + self._count(_Step.SUBMIT)
                self._progress.report(to_submit, self._awaited, self._done, len(self._lost.jobs))
                for job in self._next_to_submit():
                    self._start(_Step.SUBMIT, self._submitter.submit, job)
                self._collect(self._get_pause())
                if time.monotonic() >= self._lost.next_search:
                    for job in self._lost.search():
                        self._accept(job)
                if self._awaited and time.monotonic() >= self._get_next_poll():
                    self._poll()
        except RunIsOver:
            # What was sent still gets its id into the journal.
            self._pool.shutdown(wait=False, cancel_futures=True)
            wait_for(self._in_threads, timeout=self._client.settings.request_timeout)
            raise
        finally:
            # After an interrupt nobody waits for requests that hang.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._poller.remove_awaited(jobs)
        # From here on the result names them, if there is still somebody who takes it.
        self._run.check_not_over()
        self._submitter.finish(jobs)

    def skip_offline(self, jobs: Sequence[Job]) -> list[Job]:
        """Finish the jobs whose offline servers would get no submit; return the others."""
        self._refresh_servers(jobs)
        return [job for job in jobs if not completion.skip_offline(job, self._limits)]

    def fetch_output(self, job: Job) -> None:
        """Fetch the output of a finished command."""
        self._outputs.fetch(job)

    def _begin(self, jobs: Sequence[Job], others: Iterable[str] | None) -> None:
        if others is not None:
            self._submitter.exclude(others, all_older=True)
        self._submitter.exclude(job.id for job in jobs if job.id)
        self._waiting.extend(job for job in jobs if job.command is None)
        self._awaited = [job for job in jobs if job.command is not None and not job.outcome]
        if not self._limits.wait:
            self._refresh_servers(self._waiting)
        began = self._polled_at = time.monotonic()
        self._client.submit_deadline = began + self._limits.wait_timeout
        self._client.awaited_ids = lambda: [job.known.id for job in self._awaited]
        self._progress.begin(began)
        for job in self._awaited:
            job.awaited_since = job.next_poll = self._next_poll = began
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="alpacon")

    def _refresh_servers(self, jobs: Iterable[Job]) -> None:
        """Read which servers are connected, if that matters and is not known."""
        if self._limits.offline != "wait":
            self._server_states.refresh([job for job in jobs if job.server.is_connected is None])

    # Submits, and other work in threads

    def _start(self, step: _Step, work: Callable[[Job], None], job: Job) -> None:
        future = self._pool.submit(work, job)
        self._in_threads[future] = (job, step)
        future.add_done_callback(self._ended.put)

    def _count(self, *steps: _Step) -> int:
        return sum(1 for _job, step in self._in_threads.values() if step in steps)

    def _count_free(self) -> int:
        """Return the number of jobs that may be submitted now."""
        limit = self._limits.max_concurrency
        submitting = self._count(_Step.SUBMIT, _Step.FOLLOW_UP)
        queue_room = 2 * THREADS - submitting
        if limit is None:
            return queue_room
        running = len(self._awaited) + len(self._lost.jobs) + submitting + self._count(_Step.FETCH_OUTPUT)
        return min(queue_room, limit - running)

    def _next_to_submit(self) -> Iterator[Job]:
        """Yield the jobs whose turn it is, each to be started before the next one is asked for."""
        while self._waiting and not self._stopped and self._count_free() > 0:
            job = self._waiting.popleft()
            if completion.skip_offline(job, self._limits):
                self._count_finished(job)
            else:
                self._extend_deadline()
                yield job
        if self._stopped:
            for job in self._waiting:
                job.finish(Outcome.NOT_TRIED, self._stopped)
            self._waiting.clear()

    def _extend_deadline(self) -> None:
        """Let reads wait for the request budget until the results of new commands are there."""
        self._client.deadline = time.monotonic() + self._limits.wait_timeout + _BUDGET_PERIOD

    def _collect(self, pause: float) -> None:
        """Continue with the jobs whose threads have ended, as soon as there is one."""
        if not self._in_threads:
            if self._awaited or self._lost.jobs:
                self._sleep(pause)
            return
        for future in self._await_ended(pause):
            job, step = self._in_threads.pop(future)
            error = future.exception()
            if isinstance(error, RunIsOver):
                raise error
            if error:
                # Whatever it is, it must not take the ids of the other commands with it.
                self._handle_unexpected(job, step, wrap_unexpected(error, self._run.no_log))
            if step is _Step.SUBMIT:
                self._accept(job)
            elif step is _Step.FOLLOW_UP:
                self._await(job)
            elif step is _Step.FETCH_OUTPUT or (step is _Step.CANCEL_OFFLINE and job.outcome):
                self._count_finished(job)
            elif step is _Step.CANCEL_OFFLINE:
                self._add_awaited(job)

    def _handle_unexpected(self, job: Job, step: _Step, error: AlpaconError) -> None:
        """Add an unexpected error to a job; what is known of its command stays."""
        if job.command is None:
            job.finish(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {error}", error)
        elif step is _Step.FETCH_OUTPUT:
            self._outputs.mark_unreadable(job, error)
        else:
            job.add_note(str(error))
            job.changed = job.changed or step is _Step.SUBMIT

    def _await_ended(self, seconds: float) -> Iterator[Future[None]]:
        """Yield all threads that have ended, as soon as there is one, or none after so many seconds."""
        with contextlib.suppress(queue.Empty):
            yield self._ended.get(timeout=seconds)
            while True:
                yield self._ended.get_nowait()

    def _accept(self, job: Job) -> None:
        """Follow up an accepted command before it is awaited."""
        if self._follow_up and job.command:
            self._start(_Step.FOLLOW_UP, self._follow_up, job)
        else:
            self._await(job)

    def _await(self, job: Job) -> None:
        """Await the command of a job, or search for it if its submit is lost."""
        self._extend_deadline()
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
        self._poller.add_awaited(job)
        self._add_awaited(job)
        if waits_for_server(job):
            self._progress.report_offline([job])

    def _add_awaited(self, job: Job) -> None:
        self._awaited.append(job)
        self._next_poll = min(self._next_poll, job.next_poll)

    def _count_finished(self, job: Job) -> None:
        """Count a job that has its outcome, and stop submitting if too much fails."""
        is_ok = job.outcome in self._limits.ok_outcomes
        self._done[is_ok] += 1
        if is_ok:
            return
        max_errors = self._limits.max_errors
        error = job.error.cause if isinstance(job.error, WorkspaceDown) else job.error
        if isinstance(error, ApiError) and error.refuses_token:
            self._stopped = f"Not tried: the workspace refuses the token. {error}"
        elif isinstance(job.error, WorkspaceDown):
            self._stopped = f"Not tried: {job.error}"
        elif lacks_budget(job.error):
            self._stopped = no_budget(job.error)
        elif max_errors is not None and self._done[False] > max_errors:
            self._stopped = f"Not tried: more than max_errors={max_errors} commands ended badly before."

    # Polls

    def _get_next_poll(self) -> float:
        if self._waiting and (self._limits.max_concurrency is None or self._count_free() > 0):
            pause = self._pacing.submitting if self._limits.max_errors is None else self._pacing.failing
            return max(self._next_poll, self._polled_at + pause)
        return self._next_poll

    def _get_pause(self) -> float:
        if not (self._awaited or self._lost.jobs):
            return REPORT_EVERY if self._in_threads else 0.0
        following = min(self._get_next_poll() if self._awaited else math.inf, self._lost.next_search)
        return min(REPORT_EVERY, max(0.0, following - time.monotonic()))

    def _poll(self) -> None:
        """Poll the awaited commands, and finish the jobs of those that ended."""
        newest_only = self._may_poll_newest() and self._newest_polls_left > 0
        self._newest_polls_left = self._newest_polls_left - 1 if newest_only else self._pacing.newest_polls
        failure = self._try_poll(newest_only)
        self._polled_at = time.monotonic()
        self._complete_all(failure)
        if not failure and not newest_only:
            # After a poll of the newest, most of what is known is older than that.
            self._check_servers(self._polled_at)
        self._time_out_all()
        self._next_poll = min((job.next_poll for job in self._awaited), default=math.inf)
        if isinstance(failure, ApiError) and _is_final(failure):
            for job in self._awaited:
                self._mark_unknown(job, failure)
            self._awaited = []

    def _may_poll_newest(self) -> bool:
        """Return True if it is enough for a while to poll the newest commands."""
        if self._waiting or len(self._awaited) <= _LONG_LIST:
            return False
        now = time.monotonic()
        return all(now < self._get_end(job) for job in self._awaited)

    def _get_end(self, job: Job) -> float:
        return job.awaited_since + self._limits.wait_timeout

    def _try_poll(self, newest_only: bool) -> AlpaconError | None:
        try:
            self._poller.poll(self._awaited, self._pool.map, newest_only)
        except AlpaconError as error:
            return error
        except Exception as error:
            return wrap_unexpected(error, self._run.no_log)
        return None

    def _complete_all(self, failure: AlpaconError | None) -> None:
        """Finish the jobs that ended, and schedule the next poll of the others."""
        now = self._polled_at
        pages = max(self._poller.pages, len(self._awaited) // PAGE_SIZE)
        polls = 1 + self._pacing.newest_polls if self._may_poll_newest() else 1
        shared = self._poller.count_awaited() > 1
        awaited, self._awaited = self._awaited, []
        for job in awaited:
            self._complete(job, failure)
            if not job.outcome:
                pause = self._pacing.get_pause(now - job.awaited_since, pages, shared) / polls
                job.next_poll = now + (self._pacing.failing if failure else pause)
                # Its time is up only after a last poll.
                job.next_poll = min(job.next_poll, max(now + self._pacing.shortest, self._get_end(job)))
                self._awaited.append(job)

    def _complete(self, job: Job, failure: AlpaconError | None) -> None:
        """Finish a job if its command has ended or is missing for too long."""
        try:
            if completion.complete(job, self._limits):
                if not self._outputs.collect_from_row(job):
                    # The output may change the outcome.
                    self._start(_Step.FETCH_OUTPUT, self._outputs.fetch, job)
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

    def _check_servers(self, now: float) -> None:
        """Read the servers of commands that make no progress, and finish the jobs that they explain."""
        due = self._server_states.refresh_due(self._awaited, now, self._limits.wait_timeout)
        suspects = [job for job in due if was_restarted(job, job.known.added_at)]
        is_lost = partial(self._server_states.is_lost_by_restart, now=now)
        restarted = [job for job, lost in zip(suspects, self._pool.map(is_lost, suspects)) if lost]
        for job in restarted:
            completion.mark_restarted(job)
            self._count_finished(job)
        offline = [job for job in due if waits_for_server(job)]
        cut_off = [job for job in due if not job.outcome and is_cut_off(job)]
        if self._limits.offline == "wait":
            cut_off, offline = [*offline, *cut_off], []
        self._progress.report_offline(cut_off)
        for job in offline:
            self._start(_Step.CANCEL_OFFLINE, partial(completion.cancel_offline, self._client), job)
        gone = {id(job) for job in (*restarted, *offline)}
        self._awaited = [job for job in self._awaited if id(job) not in gone]

    def _time_out_all(self) -> None:
        """Finish the jobs whose time was up before the last poll."""
        awaited, self._awaited = self._awaited, []
        for job in awaited:
            if self._polled_at < self._get_end(job):
                self._awaited.append(job)
                continue
            try:
                cancels = completion.time_out(job, self._limits)
            except Exception as error:
                self._mark_unknown(job, wrap_unexpected(error, self._run.no_log))
                continue
            if cancels:
                self._start(_Step.CANCEL_EXPIRED, partial(completion.cancel_expired, self._client), job)
            self._count_finished(job)


def _is_final(failure: ApiError) -> bool:
    """Return True if no later poll can succeed in time: the token is refused, or its budget used up for too long."""
    # A page of a proxy passes, as other failures do.
    return (failure.status in (401, 403) and failure.stated) or failure.status == 429
