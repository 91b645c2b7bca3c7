# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit commands to many servers in threads, poll them until they end, and report the progress."""

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
from .._api.errors import AlpaconError, ApiError, RunIsOver, wrap_unexpected
from .._api.lists import PAGE_SIZE
from . import completion
from .completion import ServerStates, describe_offline, is_queued_offline, is_running_offline, was_restarted
from .follow import Follower
from .jobs import Job, Limits, Outcome
from .journal import Journal
from .pacing import PACING, Pacing
from .poller import OutputCollector, Poller
from .push import MAX_SERVERS, Push
from .run import Run
from .sharing import SharedState
from .submitting import LostSubmitFinder, Submitter, describe_stop

#: Seconds between two progress lines.
REPORT_EVERY = 5.0
#: Maximum number of concurrent requests.
THREADS = 16
#: Maximum number of servers in a message.
_NAMED_SERVERS = 5
#: With more commands than this, most polls read only the newest page.
_LONG_LIST = 4 * PAGE_SIZE
#: Seconds that reads may wait for the quota, which the API renews every hour.
_QUOTA_PERIOD = 3600.0


class ProgressReporter:
    """Prints the progress of a task every few seconds, and a warning as soon as commands wait for offline servers."""

    def __init__(
        self, report: Callable[[str], None] | None, alert: Callable[[str], None], journal: Journal | None
    ) -> None:
        self._report = report
        self._alert = alert
        self._journal = journal
        self._began = self._reported_at = time.monotonic()
        #: IDs of the commands that :meth:`report_offline` has named.
        self._reported_ids: set[str | None] = set()

    def report(self, to_submit: int, awaited: Sequence[Job], finished: Counter[bool], lost: int = 0) -> None:
        """Print a progress line if the previous one is old enough.

        Args:
            finished: number of finished jobs: successes by True, failures by False.
            lost: number of jobs whose submits got no response.
        """
        now = time.monotonic()
        if self._report is None or now < self._reported_at + REPORT_EVERY:
            return
        first = self._reported_at == self._began
        self._reported_at = now
        left = f"{to_submit} to submit, " if to_submit else ""
        left += f"{lost} searched for after a lost response, " if lost else ""
        offline = sum(map(is_queued_offline, awaited))
        waiting = f", {offline} of them waiting for a server that is offline" if offline else ""
        self._report(
            f"alpacon: {left}{len(awaited)} running{waiting}, {finished[True]} done, {finished[False]} failed"
            f" after {now - self._began:.0f} s"
        )
        if first and self._journal and self._journal.works:
            self._report(f"alpacon: if this run is interrupted, the IDs are in {self._journal.file}")

    def report_offline(self, jobs: Sequence[Job]) -> None:
        """Print a warning that names each command once that waits for an offline server."""
        fresh = [job for job in jobs if job.id not in self._reported_ids]
        if not fresh:
            return
        self._reported_ids.update(job.id for job in fresh)
        named = "; ".join(f"{describe_offline(job.server)} (command {job.id})" for job in fresh[:_NAMED_SERVERS])
        more = f"; and {len(fresh) - _NAMED_SERVERS} more" if len(fresh) > _NAMED_SERVERS else ""
        self._alert(f"alpacon: {len(fresh)} {'waits' if len(fresh) == 1 else 'wait'} for {named}{more}")


class _Step(enum.Enum):
    """Kinds of work that a thread does for a job."""

    SUBMIT = enum.auto()
    FOLLOW_UP = enum.auto()
    FETCH_OUTPUT = enum.auto()
    CANCEL_EXPIRED = enum.auto()
    CANCEL_OFFLINE = enum.auto()
    FOLLOW = enum.auto()


class Fleet:
    """Submits and awaits the commands of jobs in one loop. Threads send the requests; only the loop changes state.

    Args:
        report: prints a progress line every few seconds; None to print none.
        report_offline: prints a warning about offline servers.
        shared: state that the workers of the run share, so that one polls for all; None to poll alone.
        hide: removes secrets from an output.
        follower: prints the output of running commands instead of the progress lines; None to print none.
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
        follower: Follower | None = None,
    ) -> None:
        self._client = client
        self._limits = limits
        self._follower = follower
        self._sleep = sleep
        self._pacing = pacing
        self._run = run
        self._submitter = Submitter(client, run)
        self._lost = LostSubmitFinder(self._submitter, limits, run.no_log)
        self._poller = Poller(client, shared, limits.wait_timeout, pacing)
        state = shared or run.open_shared_state(client.settings)
        self._push = Push(state.folder, client.settings, run.context) if state else None
        if follower:
            follower.push = self._push
        queued = pacing.queued + pacing.queued_each * self._poller.count_awaited()
        self._server_states = ServerStates(client, queued, pacing.queued_each)
        on_output = follower.finish if follower else lambda _job, _text: None
        self._outputs = OutputCollector(client, limits, hide, sleep, on_output)
        self._progress = ProgressReporter(report, report_offline, self._submitter.journal)
        self._pool: ThreadPoolExecutor
        self._to_submit: deque[Job] = deque()
        #: Jobs to poll.
        self._awaited: list[Job] = []
        self._is_alone: bool
        self._futures: dict[Future[None], tuple[Job, _Step]] = {}
        self._follow_up: Callable[[Job], None] | None = None
        self._finished_futures: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        #: Number of finished jobs: successes by True, failures by False.
        self._finished_counts: Counter[bool] = Counter()
        #: Monotonic seconds.
        self._polled_at: float
        self._next_poll = math.inf
        self._newest_polls_left = pacing.newest_polls
        #: Reason to submit no more jobs; empty while there is none.
        self._stop_reason = ""

    def run(
        self,
        jobs: Sequence[Job],
        existing_ids: Iterable[str] | None = None,
        follow_up: Callable[[Job], None] | None = None,
    ) -> None:
        """Submit and await all jobs until each has an outcome. An error of one job does not affect the others.

        A fleet runs once.

        Args:
            existing_ids: IDs of all commands that equal the command of a job; None if they were not listed.
            follow_up: called in a thread with each job whose command was accepted; it may finish the job.

        Raises:
            RunIsOver: the run ended before this worker; the journal has the IDs of the unfinished commands.
        """
        self._prepare(jobs, existing_ids)
        self._follow_up = follow_up
        try:
            while self._to_submit or self._futures or self._awaited or self._lost.jobs:
                self._run.check_not_over()
                self._run.context.report_journal()
                self._report()
                for job in self._next_to_submit():
                    self._start_thread(_Step.SUBMIT, self._submitter.submit, job)
                self._process_finished_threads(self._get_pause())
                if time.monotonic() >= self._lost.next_search:
                    for job in self._lost.search():
                        self._accept(job)
                if self._awaited and time.monotonic() >= self._get_next_poll():
                    self._poll()
        except RunIsOver:
            # Responses that arrive now still add their command IDs to the journal.
            self._pool.shutdown(wait=False, cancel_futures=True)
            wait_for(self._futures, timeout=self._client.settings.request_timeout)
            raise
        finally:
            # After an interrupt, do not wait for requests that hang.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._poller.remove_awaited(jobs)
        # The result names the commands, so the journal need not, unless no process reads the result any more.
        self._run.check_not_over()
        self._submitter.finish(jobs)

    def _report(self) -> None:
        """Read the output of commands if reads are due, or print a progress line."""
        if self._follower and not self._follower.is_unsupported:
            for job in self._follower.take_due(self._awaited):
                self._start_thread(_Step.FOLLOW, self._follower.read, job)
            return
        to_submit = len(self._to_submit) + self._count(_Step.SUBMIT)
        self._progress.report(to_submit, self._awaited, self._finished_counts, len(self._lost.jobs))

    def skip_offline(self, jobs: Sequence[Job]) -> list[Job]:
        """Finish the jobs whose servers are offline unless C(offline=wait). Return the other jobs."""
        self._refresh_servers(jobs)
        return [job for job in jobs if not completion.skip_offline(job, self._limits)]

    def fetch_output(self, job: Job) -> None:
        self._outputs.fetch(job)

    def _prepare(self, jobs: Sequence[Job], existing_ids: Iterable[str] | None) -> None:
        if existing_ids is not None:
            self._submitter.exclude(existing_ids, all_older=True)
        self._submitter.exclude(job.id for job in jobs if job.id)
        self._is_alone = len(jobs) == 1
        if len(jobs) > MAX_SERVERS:
            self._push = None
        self._to_submit.extend(job for job in jobs if job.command is None)
        self._awaited = [job for job in jobs if job.command is not None and not job.outcome]
        if not self._limits.wait:
            self._refresh_servers(self._to_submit)
        began = self._polled_at = time.monotonic()
        self._client.submit_deadline = began + self._limits.wait_timeout
        self._client.awaited_ids = lambda: [job.known.id for job in self._awaited]
        for job in self._awaited:
            job.awaited_since = job.next_poll = self._next_poll = began
            self._follow(job)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="alpacon")

    def _refresh_servers(self, jobs: Iterable[Job]) -> None:
        """Read the servers whose connection state is unknown, unless C(offline=wait)."""
        if self._limits.offline != "wait":
            self._server_states.refresh([job for job in jobs if job.server.is_connected is None])

    # Threads

    def _start_thread(self, step: _Step, work: Callable[[Job], None], job: Job) -> None:
        future = self._pool.submit(work, job)
        self._futures[future] = (job, step)
        future.add_done_callback(self._finished_futures.put)

    def _count(self, *steps: _Step) -> int:
        return sum(1 for _job, step in self._futures.values() if step in steps)

    def _count_submittable(self) -> int:
        limit = self._limits.max_concurrency
        submitting = self._count(_Step.SUBMIT, _Step.FOLLOW_UP)
        queue_room = 2 * THREADS - submitting
        if limit is None:
            return queue_room
        running = len(self._awaited) + len(self._lost.jobs) + submitting + self._count(_Step.FETCH_OUTPUT)
        return min(queue_room, limit - running)

    def _next_to_submit(self) -> Iterator[Job]:
        """Yield the jobs to submit now. The caller starts each before it requests the next."""
        while self._to_submit and not self._stop_reason and self._count_submittable() > 0:
            job = self._to_submit.popleft()
            if completion.skip_offline(job, self._limits):
                self._count_finished(job)
            else:
                self._extend_deadline()
                yield job
        if self._stop_reason:
            for job in self._to_submit:
                job.finish(Outcome.NOT_TRIED, self._stop_reason)
            self._to_submit.clear()

    def _extend_deadline(self) -> None:
        """Let reads wait for the quota until the newest command has ended."""
        self._client.deadline = time.monotonic() + self._limits.wait_timeout + _QUOTA_PERIOD

    def _process_finished_threads(self, pause: float) -> None:
        """Wait for a thread to end, and schedule the next step of each job whose thread has ended."""
        if not self._futures:
            if self._awaited or self._lost.jobs:
                self._wait(pause)
            return
        for future in self._await_ended(pause):
            job, step = self._futures.pop(future)
            error = future.exception()
            if isinstance(error, RunIsOver):
                raise error
            if error:
                # An unexpected error must not lose the IDs of the other commands.
                self._handle_unexpected(job, step, wrap_unexpected(error, self._run.no_log))
            if step is _Step.SUBMIT:
                self._accept(job)
            elif step is _Step.FOLLOW_UP:
                self._await(job)
            elif step is _Step.FETCH_OUTPUT or (step is _Step.CANCEL_OFFLINE and job.outcome):
                self._count_finished(job)
            elif step is _Step.CANCEL_OFFLINE:
                self._add_awaited(job)

    def _wait(self, seconds: float) -> None:
        """Sleep, or poll sooner if the workspace pushes the end of a command."""
        if self._push is None:
            self._sleep(seconds)
        elif self._push.wait(self._awaited, seconds, self._sleep):
            # Commands of a task often end together, and are read together.
            self._next_poll = self._polled_at + self._pacing.shared_each * len(self._awaited)

    def _handle_unexpected(self, job: Job, step: _Step, error: AlpaconError) -> None:
        if job.command is None:
            job.finish(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {error}", error)
        elif step is _Step.FETCH_OUTPUT:
            self._outputs.mark_unreadable(job, error)
        elif step is not _Step.FOLLOW:
            job.add_note(str(error))
            job.changed = job.changed or step is _Step.SUBMIT

    def _await_ended(self, seconds: float) -> Iterator[Future[None]]:
        """Wait up to some seconds for a thread to end, then yield all that have ended."""
        with contextlib.suppress(queue.Empty):
            yield self._finished_futures.get(timeout=seconds)
            while True:
                yield self._finished_futures.get_nowait()

    def _accept(self, job: Job) -> None:
        """Start the follow-up of an accepted command, or await it if there is none."""
        if self._follow_up and job.command:
            self._start_thread(_Step.FOLLOW_UP, self._follow_up, job)
        else:
            self._await(job)

    def _await(self, job: Job) -> None:
        """Poll the command of a job from now on, or search for it if its submit is lost."""
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
        if self._is_alone:
            self._poller.expect(job)
            self._poller.add_awaited(job)
        pause = self._lengthen(job, self._pacing.get_first_poll(job.expected))
        job.next_poll = min(now + pause, self._get_end(job))
        self._add_awaited(job)
        if is_queued_offline(job):
            self._progress.report_offline([job])

    def _follow(self, job: Job) -> None:
        if self._follower:
            self._follower.begin(job)

    def _add_awaited(self, job: Job) -> None:
        self._follow(job)
        self._awaited.append(job)
        self._next_poll = min(self._next_poll, job.next_poll)

    def _count_finished(self, job: Job) -> None:
        """Count a finished job, and stop submitting if its failure is one too many or concerns all jobs."""
        is_ok = job.outcome in self._limits.ok_outcomes
        self._finished_counts[is_ok] += 1
        if not is_ok:
            self._stop_reason = describe_stop(job, self._finished_counts[False], self._limits) or self._stop_reason

    # Polls

    def _get_next_poll(self) -> float:
        if self._to_submit and (self._limits.max_concurrency is None or self._count_submittable() > 0):
            pause = self._pacing.submitting if self._limits.max_errors is None else self._pacing.failing
            return max(self._next_poll, self._polled_at + pause)
        return self._next_poll

    def _get_pause(self) -> float:
        if not (self._awaited or self._lost.jobs):
            return REPORT_EVERY if self._futures else 0.0
        following = min(self._get_next_poll() if self._awaited else math.inf, self._lost.next_search)
        if self._follower:
            following = min(following, self._follower.get_next_read(self._awaited))
        return min(REPORT_EVERY, max(0.0, following - time.monotonic()))

    def _poll(self) -> None:
        """Poll the awaited commands, and finish the jobs that ended or timed out."""
        newest_only = self._may_poll_newest() and self._newest_polls_left > 0
        self._newest_polls_left = self._newest_polls_left - 1 if newest_only else self._pacing.newest_polls
        failure: AlpaconError | None = None
        try:
            self._poll_and_count(newest_only)
        except AlpaconError as error:
            failure = error
        except Exception as error:
            failure = wrap_unexpected(error, self._run.no_log)
        self._polled_at = time.monotonic()
        self._complete_all(failure)
        if not failure and not newest_only:
            # A poll of the newest page leaves the status of most commands outdated.
            self._check_servers(self._polled_at)
        self._time_out_all()
        self._next_poll = min((job.next_poll for job in self._awaited), default=math.inf)
        if isinstance(failure, ApiError) and _is_final(failure):
            for job in self._awaited:
                self._mark_unknown(job, failure)
            self._awaited = []

    def _poll_and_count(self, newest_only: bool) -> None:
        """Poll the awaited commands, and count a useless poll."""
        if self._push is None:
            self._poller.poll(self._awaited, self._pool.map, newest_only)
            return
        self._push.begin_poll()
        sent = self._client.requests
        self._poller.poll(self._awaited, self._pool.map, newest_only)
        self._push.count_missed()
        if self._client.requests > sent and not self._poller.has_found_end(self._awaited):
            self._push.add_useless(self._awaited, self._client.requests - sent)

    def _may_poll_newest(self) -> bool:
        if self._to_submit or len(self._awaited) <= _LONG_LIST:
            return False
        now = time.monotonic()
        return all(now < self._get_end(job) for job in self._awaited)

    def _get_end(self, job: Job) -> float:
        return job.awaited_since + self._limits.wait_timeout

    def _complete_all(self, failure: AlpaconError | None) -> None:
        """Finish the jobs that ended, and schedule the next poll of the rest."""
        now = self._polled_at
        polls = 1 + self._pacing.newest_polls if self._may_poll_newest() else 1
        awaited, self._awaited = self._awaited, []
        for job in awaited:
            self._complete(job, failure)
            if not job.outcome:
                pause = self._widen(self._poller.get_pause(job, len(awaited)), now - job.awaited_since) / polls
                job.next_poll = now + (self._pacing.failing if failure else self._lengthen(job, pause))
                # Poll once more at the timeout before the job times out.
                job.next_poll = min(job.next_poll, max(now + self._pacing.shortest, self._get_end(job)))
                self._awaited.append(job)

    def _lengthen(self, job: Job, pause: float) -> float:
        return self._push.get_pause(job, pause) if self._push else pause

    def _widen(self, pause: float, age: float) -> float:
        """Return a longer pause if less than half of the quota is left: at most the age of the command."""
        wide = self._client.get_quota_pause(self._poller.pages)
        if wide is None or wide <= pause:
            return pause
        if self._run.context.is_first("quota"):
            limit = self._client.settings.requests_per_hour
            self._run.context.report(
                f"alpacon: more than half of the {limit} requests that the token has in an hour (requests_per_hour)"
                " is used, and this run polls less often from now on"
            )
        return max(pause, min(age, wide))

    def _complete(self, job: Job, failure: AlpaconError | None) -> None:
        """Finish a job if its command has ended, or has been missing for longer than reads lag."""
        try:
            if completion.complete(job, self._limits):
                if self._is_alone:
                    self._poller.note_duration(job)
                if not self._outputs.collect_from_row(job):
                    # The output may still change the outcome, so the job is counted after the fetch.
                    self._start_thread(_Step.FETCH_OUTPUT, self._outputs.fetch, job)
                    return
            elif failure:
                job.error = failure
            elif job.missing_since and time.monotonic() - job.missing_since >= PACING.patience:
                completion.time_out(job, self._limits)
        except Exception as error:
            self._mark_unknown(job, wrap_unexpected(error, self._run.no_log))
            return
        if job.outcome:
            self._count_finished(job)

    def _mark_unknown(self, job: Job, error: AlpaconError) -> None:
        remedy = f"Once this is fixed, await it with state=finished and id={job.id}."
        job.finish(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {error} {remedy}", error)
        self._count_finished(job)

    def _check_servers(self, now: float) -> None:
        """Read the servers of commands that make no progress, and end the jobs of offline or restarted servers."""
        idle = [job for job in self._awaited if not (self._follower and self._follower.has_output(job))]
        due = self._server_states.refresh_due(idle, now, self._limits.wait_timeout)
        suspects = [job for job in due if was_restarted(job, job.known.added_at)]
        is_lost = partial(self._server_states.is_lost_by_restart, now=now)
        restarted = [job for job, lost in zip(suspects, self._pool.map(is_lost, suspects)) if lost]
        for job in restarted:
            completion.mark_restarted(job)
            self._count_finished(job)
        queued = [job for job in due if is_queued_offline(job)]
        running = [job for job in due if not job.outcome and is_running_offline(job)]
        is_awaited = self._limits.offline == "wait"
        self._progress.report_offline([*queued, *running] if is_awaited else running)
        to_cancel = [] if is_awaited else queued
        for job in to_cancel:
            self._start_thread(_Step.CANCEL_OFFLINE, partial(completion.cancel_offline, self._client), job)
        gone = {id(job) for job in (*restarted, *to_cancel)}
        self._awaited = [job for job in self._awaited if id(job) not in gone]

    def _time_out_all(self) -> None:
        """Finish the jobs that timed out before the last poll."""
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
                self._start_thread(_Step.CANCEL_EXPIRED, partial(completion.cancel_expired, self._client), job)
            self._count_finished(job)


def _is_final(failure: ApiError) -> bool:
    """Return True if no later poll can succeed: the API refuses the token, or its quota stays used up for too long."""
    # A 403 without an error code of the API is from a proxy, and may be temporary.
    return (failure.status in (401, 403) and failure.stated) or failure.status == 429
