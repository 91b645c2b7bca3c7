# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit each job at most once, and find the commands of submits whose responses were lost."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import Callable

from .._api.client import Client
from .._api.commands import find_command, submit
from .._api.errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostResponse,
    ServerIsOffline,
    TimeHasPassed,
    WorkspaceDown,
)
from .._api.lost_submits import LostSubmit, fetch_requester, find_submitted
from .._api.records import NEVER_RAN, Command, to_iso
from .jobs import DECLINED, NOT_ACCEPTED, Job, Limits, Outcome, SubmitRecord, get_digest, merge_servers
from .journal import Journal, hash_line
from .pacing import PACING
from .run import Run

_NAMED_COMMANDS = 10
#: The workspace runs no verified scripts, on any server.
_NO_LANE = "file_exec_assessor_disabled"
_LATE = f"{Outcome.LATE.sentence} Nothing was submitted after that time."
_EARLIER = "An earlier attempt of this task submitted it; it was not submitted again."


class Submitter:
    """Submits the jobs of a task, and records each submit in the run and its journal. Threads may share a submitter.

    Args:
        post: submits a body; by default :func:`.commands.submit`.
        prepare: does what a submit needs before it; its errors mean that nothing was submitted. None if nothing.
        not_after: monotonic seconds from which nothing is submitted.

    Attributes:
        follow_up: called with each job whose command was accepted; None to do nothing then.
    """

    def __init__(
        self,
        client: Client,
        run: Run,
        post: Callable[..., Command] | None = None,
        prepare: Callable[[Client, Job], None] | None = None,
        not_after: float = math.inf,
    ) -> None:
        self._client = client
        self._not_after = not_after
        self._post = post or submit
        self._prepare = prepare
        self._run = run
        self.follow_up: Callable[[Job], None] | None = None
        self._earlier_submits: dict[str, SubmitRecord] = {} if run.earlier_submits is None else run.earlier_submits
        self._submitted = run.submitted_commands
        self._report = run.context.report_command
        context = run.context
        self.journal = Journal(context.journal_file, context.alert) if context.journal_file else None
        #: IDs of commands that do not come from a lost submit.
        self._excluded: set[str] = set()
        self._excludes_all_older = False
        self._fetch_requester = cache(partial(fetch_requester, client))

    def exclude(self, ids: Iterable[str], all_older: bool = False) -> None:
        """Exclude commands from the search for lost submits.

        Args:
            all_older: True if the IDs include all equal commands that exist already.
        """
        self._excluded.update(ids)
        self._excludes_all_older = self._excludes_all_older or all_older

    def submit(self, job: Job) -> None:
        """Submit a job, or adopt the submit of an earlier attempt of the task.

        If the job has neither a command nor an outcome afterwards, its submit is lost: see :meth:`adopt_lost`.

        Raises:
            RunIsOver: the run ended before this worker, and nothing was submitted.
        """
        digest = get_digest(job.body)
        earlier = self._earlier_submits.get(digest)
        if earlier and not earlier.may_repeat:
            self._adopt_earlier(job, earlier)
            return
        self._run.check_not_over()
        if self._prepare and not self._is_too_late():
            try:
                self._prepare(self._client, job)
            except AlpaconError as error:
                self._refuse(job, error)
                return
            self._run.check_not_over()
        if self._is_too_late():
            job.finish(Outcome.LATE, _LATE)
            return
        record = self._earlier_submits[digest] = SubmitRecord(time.time())
        self._begin(job, record)
        try:
            job.command = self._post(self._client, job.body, self._excluded)
            job.is_answered = True
        except LostResponse as error:
            job.lost, job.error = LostSubmit(job.body, record.sent_at), error
        except (ApiError, ConnectionFailed, TimeHasPassed) as error:
            self._refuse(job, error)
        if job.command:
            self._save_command(job)
            if self.follow_up:
                self.follow_up(job)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Remove jobs from the journal, and set whether a later attempt of the task may repeat them."""
        records = [job.record for job in jobs if job.record]
        if self.journal:
            self.journal.remove([record.position for record in records if record.position])
            for record in records:
                record.position = None
        for job in jobs:
            # A job without a record was not submitted, and an earlier submit of the same stays as it is.
            if job.record:
                job.record.may_repeat = _may_submit_again(job)

    def _begin(self, job: Job, record: SubmitRecord) -> None:
        job.record = record
        if self.journal:
            record.position = self.journal.add_submit(str(job.body["server"]), str(job.body["line"]))

    def _is_too_late(self, error: AlpaconError | None = None) -> bool:
        """Return True if C(not_after) keeps commands from being submitted, given the error of the last attempt."""
        if lacks_quota(error):
            # The client waits for the quota no longer than until this.
            return self._client.deadlines.submits == self._not_after
        return time.monotonic() >= self._not_after

    def _refuse(self, job: Job, error: AlpaconError) -> None:
        if (lacks_quota(error) or isinstance(error, WorkspaceDown)) and self._is_too_late(error):
            # Without the error, the other jobs are late too, rather than not tried.
            job.finish(Outcome.LATE, f"{_LATE} {error}")
        elif isinstance(error, TimeHasPassed):
            job.finish(Outcome.NOT_TRIED, f"Not tried: {error} Give a later time, or fewer servers.", error)
        elif lacks_quota(error):
            job.finish(Outcome.NOT_TRIED, describe_used_up_quota(error), error)
        elif isinstance(error, WorkspaceDown):
            job.finish(Outcome.NOT_TRIED, f"Not tried: {error}", error)
        elif isinstance(error, ServerIsOffline):
            job.finish(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} {error}", error)
        elif isinstance(error, ApiError) and error.code == "server_not_connected":
            disabled = f"Never ran: {job.server} is connected, so it is most likely disabled."
            why = disabled if job.server.is_connected else Outcome.OFFLINE.sentence
            job.finish(Outcome.OFFLINE, f"{why} {error}", error)
        else:
            job.finish(Outcome.REFUSED, str(error), error)
            # In the 2024 dialect, an access list rejects lines with line breaks with this status.
            is_acl = isinstance(error, ApiError) and error.status == 400 and error.code == "api_token_acl_not_allowed"
            if is_acl and "\n" in str(job.body["line"]).strip():
                job.add_note(
                    "This workspace rejects multi-line commands, whatever its access list. Join them with ; or &&."
                )
        if self.journal and job.record and job.record.position:
            self.journal.remove([job.record.position])
            job.record.position = None

    def _save_command(self, job: Job) -> None:
        command = job.submitted
        self._excluded.add(command.id)
        if job.record:
            job.record.command_id = command.id
            if self.journal and job.record.position:
                self.journal.add_id(job.record.position, command.id)
        if self._submitted:
            # Lists that lag might not contain it yet for other tasks of the run.
            self._submitted.add(
                {
                    "id": command.id,
                    "server": {"id": command.server.id, "name": command.server.name},
                    "shell": command.shell,
                    "line": hash_line(command.line) if self._run.no_log else command.line,
                    "username": command.username,
                    "groupname": command.groupname,
                    "added_at": to_iso(command.added_at),
                    "scheduled_at": to_iso(command.scheduled_at),
                    "run_after": list(command.run_after),
                }
            )
        job.changed = True
        job.server = merge_servers(job.server, command.server)
        _note_surplus(job, command.surplus)
        if self._report:
            self._report(f"alpacon: command {command.id} was submitted to {job.server}")

    def _adopt_earlier(self, job: Job, earlier: SubmitRecord) -> None:
        self._begin(job, earlier)
        if earlier.command_id is None:
            job.lost = LostSubmit(job.body, earlier.sent_at)
            return
        job.command = Command(earlier.command_id, job.server, str(job.body["line"]), job.body["shell"], "unknown")
        with contextlib.suppress(AlpaconError):
            job.command = find_command(self._client, earlier.command_id) or job.command
        self._save_command(job)
        job.add_note(_EARLIER)
        if self.follow_up:
            self.follow_up(job)

    def adopt_lost(self, jobs: Sequence[Job]) -> None:
        """Search once for the commands of lost submits, and set the command of each job where it is certain.

        Raises:
            AlpaconError: the workspace could not be searched.
        """
        excluded = frozenset(self._excluded.union(self._submitted.read_rows() if self._submitted else ()))
        lost = [job.lost for job in jobs if job.lost]
        found = find_submitted(self._client, lost, excluded, self._fetch_requester, self._excludes_all_older)
        for job, matches in zip(jobs, found):
            job.found = matches
            if matches.command:
                self._adopt(job, matches.command)

    def _adopt(self, job: Job, command: Command) -> None:
        job.command = command.with_status("running") if command.hides_rc else command
        job.add_note("The response to its submit was lost; it was found in the workspace.")
        if isinstance(job.error, LostResponse):
            _note_surplus(job, [command_id for command_id in job.error.others if command_id != command.id])
        else:
            job.add_note(_EARLIER)
        job.error = None
        self._save_command(job)


def lacks_quota(error: AlpaconError | None) -> bool:
    return isinstance(error, ApiError) and error.status == 429


def describe_used_up_quota(error: AlpaconError | None) -> str:
    return f"Not tried: the quota is used up for longer than wait_timeout allows. {error}"


def describe_stop(job: Job, failures: int, limits: Limits) -> str:
    """Return why no further job may be submitted after a failed one; an empty text if it may.

    Args:
        failures: number of failed jobs.
    """
    concerns_all = isinstance(job.error, ApiError) and (job.error.refuses_token or job.error.code == _NO_LANE)
    if isinstance(job.error, WorkspaceDown) or concerns_all:
        return f"Not tried: {job.error}"
    if lacks_quota(job.error):
        return describe_used_up_quota(job.error)
    if limits.max_errors is not None and failures > limits.max_errors:
        return f"Not tried: more than max_errors={limits.max_errors} commands failed before."
    return ""


def _note_surplus(job: Job, ids: Sequence[str]) -> None:
    if ids:
        job.add_note(f"The response to its submit names other commands, which may run too: {', '.join(ids)}.")


def _may_submit_again(job: Job) -> bool:
    """Return True if the command was never accepted, or has certainly ended without being declined."""
    if job.command is None:
        return job.outcome in NOT_ACCEPTED
    if job.command.status in DECLINED or job.outcome in DECLINED:
        return False
    return (job.command.is_handled or job.command.status in NEVER_RAN) and job.outcome != Outcome.UNKNOWN


class LostSubmitFinder:
    """Searches the workspace for the commands of lost submits, until each is certain or its job is unknown.

    A search is in vain while several commands may be the one, while none is shown yet, or while the workspace fails.

    Attributes:
        jobs: those that are searched for; their C(awaited_since) is the start of the search.
        next_search: monotonic seconds.
    """

    def __init__(self, submitter: Submitter, limits: Limits) -> None:
        self._submitter = submitter
        #: Seconds to continue while searches fail.
        self._wait = limits.wait_timeout if limits.wait else min(limits.wait_timeout, PACING.search_longest)
        self.jobs: list[Job] = []
        #: Monotonic seconds.
        self.next_search = math.inf
        self._searched_at = 0.0
        self._failures = 0
        self._unknown: list[Job] = []

    def add(self, job: Job) -> None:
        job.awaited_since = time.monotonic()
        # While searches fail, another lost submit does not make the next search earlier.
        if not (self.jobs and self._failures):
            self.next_search = job.awaited_since
        self.jobs.append(job)

    def begin(self) -> list[Job]:
        """Begin a search, and return its jobs."""
        self._searched_at = time.monotonic()
        return list(self.jobs)

    def search(self, jobs: Sequence[Job], settle: Callable[[Sequence[Job]], None]) -> None:
        """Search once for these jobs, in a thread.

        Args:
            settle: finishes jobs that it finds to be done without their commands.

        Raises:
            AlpaconError: the workspace could not be searched.
        """
        try:
            self._submitter.adopt_lost(jobs)
        finally:
            settle([job for job in jobs if not job.command])

    def end(self, jobs: Sequence[Job], failure: AlpaconError | None) -> list[Job]:
        """End the search for these jobs. Return those that now have a command or an outcome."""
        self._failures = self._failures + 1 if failure else 0
        for job in jobs:
            if not (job.command or job.outcome) and self._is_unknown(job, self._searched_at, failure):
                _mark_unknown(job, failure)
                self._unknown.append(job)
        self.jobs = [job for job in self.jobs if not (job.command or job.outcome)]
        self.next_search = self._get_next_search(self._searched_at)
        return [job for job in jobs if job.command or job.outcome]

    def search_again(self) -> None:
        """Search once more, at the end of the task, for the commands that no search has found."""
        if not self._unknown or time.monotonic() < self._searched_at + PACING.list_lag:
            return
        try:
            self._submitter.adopt_lost(self._unknown)
        except Exception:
            return  # the jobs have the result of the search before
        for job in self._unknown:
            if job.command:
                msg = f"It was found at the end of the task. Await it with state=finished and id={job.id}."
                job.finish(Outcome.UNKNOWN, msg)
            else:
                _mark_unknown(job, None)

    def _is_unknown(self, job: Job, now: float, failure: AlpaconError | None) -> bool:
        """Return True if further searches cannot decide which command this submit made."""
        if failure:
            return now >= job.awaited_since + self._wait
        return bool(job.found and job.found.candidates) or now >= self._get_end(job)

    def _get_end(self, job: Job) -> float:
        """Return the monotonic time at which to stop the search for a command that is not listed."""
        # A gateway that answers 413 has most likely not forwarded the request.
        is_too_large = isinstance(job.error, LostResponse) and job.error.status == 413
        return job.awaited_since + min(PACING.list_lag if is_too_large else PACING.patience, self._wait)

    def _get_next_search(self, now: float) -> float:
        if not self.jobs:
            return math.inf
        if self._failures:
            last = min(job.awaited_since for job in self.jobs) + self._wait
            pause = min(PACING.search * 2.0**self._failures, PACING.search_longest, last - now)
        else:
            pause = min(min(max(now - job.awaited_since, PACING.search), self._get_end(job) - now) for job in self.jobs)
        return now + max(pause, PACING.search)


def _mark_unknown(job: Job, failure: AlpaconError | None) -> None:
    """Finish a job whose submit has several possible commands or none, or could not be searched for."""
    ids = [command.id for command in (job.found.candidates or job.found.others)] if job.found else []
    if ids:
        result = f"One of these may be it: {', '.join(ids[:_NAMED_COMMANDS])}. Compare their times and requesters."
    elif failure:
        result = f"The search for it failed. Search the workspace for it before you run the task again. {failure}"
    else:
        result = "The workspace shows no such command. Search it again before you run the task again."
    if failure:
        job.found = None
    why = job.error or "An earlier attempt of this task sent it."
    job.finish(Outcome.UNKNOWN, f"{why} {Outcome.UNKNOWN.sentence} {result}")
    job.changed = True
