# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit commands to many servers in threads, poll them until they end, and report the progress."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Callable

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, RunIsOver, wrap_unexpected
from .._api.outputs import Output
from .._api.quota import PERIOD as QUOTA_PERIOD
from .._api.records import Command
from . import completion
from .completion import CommandRules, Rules, is_queued_offline
from .follow import Follower
from .held_sudo import HeldSudo
from .jobs import Job, Limits, Outcome, Settle
from .output_collector import OutputCollector
from .pacing import PACING, Pacing
from .poll_timer import PollTimer
from .poller import Poller
from .progress import REPORT_EVERY, ProgressReporter
from .push import MAX_SERVERS, Push
from .run import Run
from .sharing import SharedState
from .submitting import LostSubmitFinder, Submitter, describe_stop
from .threads import THREADS, Step, Threads, Work


class Fleet:
    """Submits and awaits the commands of jobs in one loop. Threads submit, poll and cancel; only the loop moves jobs.

    A job is in one place at a time: to submit, in a thread (:class:`.Threads`), searched for since the response to its
    submit was lost (:class:`.LostSubmitFinder`), awaited, or finished. A poll updates all awaited jobs in a thread; the
    loop then asks the :class:`.Rules` which of them are done, and the :class:`.PollTimer` when the next poll is due.

    Args:
        report: prints a progress line every few seconds; None to print none.
        report_offline: prints a warning about offline servers.
        shared: state that the workers of the run share, so that one polls for all; None to poll alone.
        hide: removes secrets from an output.
        follower: prints the output of running commands instead of the progress lines; None to print none.
        post, prepare, repair, sudo: see :class:`.Submitter`, and :class:`.CommandRules`.
        save: see :class:`.OutputCollector`.
        rules: those of the jobs; by default those of commands.
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
        post: Callable[..., Command] | None = None,
        prepare: Callable[[Client, Job], None] | None = None,
        repair: Callable[[Job], Settle | None] | None = None,
        sudo: HeldSudo | None = None,
        rules: Rules | None = None,
        save: Callable[[Job, Output], bool] | None = None,
    ) -> None:
        self._limits, self._run, self._follower = limits, run, follower
        began = time.monotonic()
        self._client = client.until(
            lambda error: self._progress.report_outage(self._awaited, error),
            quota=began + limits.wait_timeout + QUOTA_PERIOD,
            submits=min(began + limits.wait_timeout, limits.not_after),
        )
        self._submitter = Submitter(self._client, run, post, prepare, limits.not_after)
        self._lost = LostSubmitFinder(self._submitter, limits)
        self._progress = ProgressReporter(report, report_offline, run.context.report, self._submitter.journal)
        self._threads = Threads()
        self._poller = Poller(shared, limits, pacing)
        finish = follower.finish if follower else None
        outputs = OutputCollector(self._client, limits, hide, sleep, finish, run.no_log, save)
        self._rules = rules or CommandRules(
            limits,
            outputs,
            pacing,
            self._poller.count_awaited(),
            self._threads.for_each,
            follower.has_output if follower else lambda _job: False,
            self._progress.report_offline,
            repair,
            sudo,
        )
        push = self._open_push(shared or run.open_shared_state(client.settings))
        self._timer = PollTimer(self._client, limits, pacing, self._poller, push, run, sleep)
        self._to_submit: deque[Job] = deque()
        self._awaited: list[Job] = []
        #: Reason to submit no more jobs; empty while there is none.
        self._stop_reason = ""

    def _open_push(self, state: SharedState | None) -> Push | None:
        push = None
        if state and self._rules.ends_with_command:
            push = Push(state.folder, self._client.settings, self._run.context)
        if self._follower:
            self._follower.push = push
        return push

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
        self._begin(jobs, existing_ids, follow_up)
        try:
            while self._to_submit or self._awaited or self._lost.jobs or self._threads.are_busy:
                self._run.check_not_over()
                self._run.context.report_journal()
                self._report()
                for job in self._next_to_submit():
                    self._threads.start(Step.SUBMIT, partial(self._submitter.submit, job), [job])
                self._wait()
                if time.monotonic() >= self._get_next_search():
                    self._search()
                if time.monotonic() >= self._get_next_poll():
                    self._poll()
            self._lost.search_again()
        except RunIsOver:
            # Responses that arrive now still add their command IDs to the journal.
            self._threads.stop(self._client.settings.request_timeout)
            raise
        finally:
            # After an interrupt, do not wait for requests that hang.
            self._threads.stop()
            self._poller.end(jobs)
        # The result names the commands, so the journal need not, unless no process reads the result any more.
        self._run.check_not_over()
        self._submitter.finish(jobs)

    def _begin(
        self, jobs: Sequence[Job], existing_ids: Iterable[str] | None, follow_up: Callable[[Job], None] | None
    ) -> None:
        self._submitter.follow_up = follow_up
        if existing_ids is not None:
            self._submitter.exclude(existing_ids, all_older=True)
        self._submitter.exclude(job.id for job in jobs if job.id)
        self._poller.begin(jobs)
        if len(jobs) > MAX_SERVERS:
            self._timer.push = None
        for job in jobs:
            if job.outcome:
                self._count_finished(job)
            elif job.command:
                job.awaited_since = time.monotonic()
                self._add_awaited(job, 0.0)
        self._to_submit.extend(job for job in jobs if not (job.command or job.outcome))
        if not self._limits.wait:
            completion.refresh_unknown(self._to_submit, self._client, self._limits)

    # Submits

    def _next_to_submit(self) -> Iterator[Job]:
        """Yield the jobs to submit now. The caller starts each before it requests the next."""
        while self._to_submit and not self._stop_reason and self._count_room() > 0:
            job = self._to_submit.popleft()
            if completion.skip_offline(job, self._limits):
                self._count_finished(job)
            else:
                yield job
        if self._stop_reason:
            for job in self._to_submit:
                job.finish(Outcome.NOT_TRIED, self._stop_reason)
            self._to_submit.clear()

    def _count_room(self) -> int:
        """Return how many more commands may be submitted now."""
        submitting = self._threads.count(Step.SUBMIT)
        room = 2 * THREADS - submitting
        if self._limits.max_concurrency is None:
            return room
        unfinished = len(self._awaited) + len(self._lost.jobs) + submitting + self._threads.count(Step.SETTLE)
        return min(room, self._limits.max_concurrency - unfinished)

    def _get_next_search(self) -> float:
        return math.inf if self._threads.count(Step.SEARCH) else self._lost.next_search

    def _search(self) -> None:
        """Start a search for the commands of lost submits."""
        jobs = self._lost.begin()
        settle = partial(self._rules.settle_lost, client=self._client)
        self._threads.start(Step.SEARCH, partial(self._lost.search, jobs, settle), jobs)

    def _accept(self, job: Job) -> None:
        """Do what follows the command of a lost submit that was found, and await it."""
        if self._submitter.follow_up and job.command:
            self._threads.start(Step.SUBMIT, partial(self._submitter.follow_up, job), [job])
        else:
            self._await(job)

    def _await(self, job: Job) -> None:
        """Poll the command of a job from now on, or search for it if its submit is lost."""
        if job.lost and not (job.command or job.outcome):
            self._lost.add(job)
            return
        if not job.outcome and not self._limits.wait:
            job.finish(Outcome.PENDING)
        if job.outcome:
            self._count_finished(job)
            return
        job.awaited_since = job.awaited_since or time.monotonic()
        self._poller.add(job)
        self._add_awaited(job)
        if is_queued_offline(job):
            self._progress.report_offline([job])

    def _add_awaited(self, job: Job, pause: float | None = None) -> None:
        if self._follower:
            self._follower.begin(job)
        if job.held_since:
            # Its command has ended.
            self._submitter.finish([job])
            self._poller.remove(job)
        self._awaited.append(job)
        self._timer.add(job, pause)

    def _count_finished(self, job: Job) -> None:
        """Count a finished job, and stop submitting if its failure is one too many or concerns all jobs."""
        is_ok = job.outcome in self._limits.ok_outcomes
        self._progress.finished[is_ok] += 1
        if not is_ok:
            failures = self._progress.finished[False]
            self._stop_reason = describe_stop(job, failures, self._limits) or self._stop_reason

    # Threads

    def _wait(self) -> None:
        """Wait until a thread ends or something is due, and do what follows the threads that ended."""
        if self._threads.are_busy:
            for work, error in self._threads.take_ended(self._get_pause()):
                self._continue(work, error)
        elif self._awaited or self._lost.jobs:
            self._timer.wait(self._awaited, self._get_pause())

    def _get_pause(self) -> float:
        due = [self._get_next_poll(), self._get_next_search(), time.monotonic() + REPORT_EVERY]
        if self._follower:
            due.append(self._follower.get_next_read(self._awaited))
        return max(0.0, min(due) - time.monotonic())

    def _continue(self, work: Work, error: BaseException | None) -> None:
        if isinstance(error, RunIsOver):
            raise error
        failure = wrap_unexpected(error, self._run.no_log) if error else None
        if work.step is Step.POLL:
            self._end_poll(work.jobs, failure)
        elif work.step is Step.SEARCH:
            for job in self._lost.end(work.jobs, failure):
                self._accept(job)
        elif work.step is not Step.FOLLOW:
            [job] = work.jobs
            if failure:
                # An unexpected error must not lose the IDs of the other commands.
                self._handle_unexpected(job, work.step, failure)
            if work.step is Step.SUBMIT:
                self._await(job)
            elif job.submits_again:
                self._submit_again(job)
            elif job.outcome:
                self._count_finished(job)
            else:
                self._add_awaited(job)

    def _submit_again(self, job: Job) -> None:
        self._submitter.finish([job])
        job.command, job.output, job.awaited_since, job.submits_again = None, None, 0.0, False
        job.listed, job.missing_since, job.ended_at = True, 0.0, 0.0
        job.is_second, job.is_answered, job.expected = True, False, None
        self._to_submit.appendleft(job)

    def _handle_unexpected(self, job: Job, step: Step, error: AlpaconError) -> None:
        if job.command is None:
            job.finish(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {error}", error)
        else:
            job.add_note(str(error))
        job.changed = job.changed or step is Step.SUBMIT

    def _report(self) -> None:
        """Read the output of commands if reads are due, or print a progress line."""
        self._progress.report_missing(self._awaited)
        if self._follower and not self._follower.is_unsupported:
            for job in self._follower.take_due(self._awaited):
                client = self._limits.limit_reads(self._client, [job])
                self._threads.start(Step.FOLLOW, partial(self._follower.read, job, client), [job])
            return
        to_submit = len(self._to_submit) + self._threads.count(Step.SUBMIT)
        self._progress.report(to_submit, self._awaited, len(self._lost.jobs))

    # Polls

    def _get_next_poll(self) -> float:
        if not self._awaited or self._threads.count(Step.POLL):
            return math.inf
        waits_for_room = self._limits.max_concurrency is not None and self._count_room() <= 0
        return self._timer.get_next(bool(self._to_submit) and not waits_for_room)

    def _poll(self) -> None:
        """Start a poll of the awaited jobs."""
        jobs = list(self._awaited)
        client = self._limits.limit_reads(self._client, jobs)
        self._timer.begin(jobs, client, bool(self._to_submit))
        newest_only = self._timer.newest_only
        poll = partial(self._poller.poll, client=client, for_each=self._threads.for_each, newest_only=newest_only)
        self._threads.start(Step.POLL, partial(self._rules.read, jobs, client, poll, newest_only), jobs)

    def _end_poll(self, polled: Sequence[Job], failure: AlpaconError | None) -> None:
        """Finish the jobs that ended or had timed out when the poll began, and decide when to poll the others."""
        self._timer.end(polled, bool(failure))
        awaited, self._awaited = {id(job): job for job in self._awaited}, []
        for job in polled:
            job.error = failure or job.error
            settle = self._apply(self._rules.complete, job)
            if not (settle or job.outcome) and self._timer.began >= self._limits.get_end(job):
                settle = self._apply(self._rules.time_out, job)
            if settle:
                self._threads.start(Step.SETTLE, partial(settle, job), [job])
            elif job.outcome:
                self._count_finished(job)
            if settle or job.outcome:
                del awaited[id(job)]
        self._awaited = list(awaited.values())
        if isinstance(failure, ApiError) and self._rules.is_final(failure):
            for job in self._awaited:
                self._mark_unknown(job, failure)
                self._count_finished(job)
            self._awaited = []
        follows = self._follower is not None and not self._follower.is_unsupported
        self._timer.set_next(self._awaited, bool(self._to_submit), self._rules.other_requests, bool(failure), follows)

    def _apply(self, rule: Callable[[Job], Settle | None], job: Job) -> Settle | None:
        try:
            return rule(job)
        except Exception as error:
            self._mark_unknown(job, wrap_unexpected(error, self._run.no_log))
            return None

    def _mark_unknown(self, job: Job, error: AlpaconError) -> None:
        remedy = f"Once this is fixed, await it with state=finished and id={job.id}."
        job.finish(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {error} {remedy}", error)
