# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit each job at most once, and find the commands of submits whose answers were lost."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterable, Sequence

from .._api.client import Client
from .._api.commands import find_command, submit
from .._api.errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostResponse,
    TimeHasPassed,
    WorkspaceDown,
    wrap_unexpected,
)
from .._api.lost_submits import LostSubmit, Requester, fetch_requester, find_submitted
from .._api.records import NEVER_RAN, Command, to_iso
from .jobs import DECLINED, NOT_ACCEPTED, Job, Limits, Outcome, get_digest, merge_servers
from .journal import Position, hash_line
from .pacing import PACING
from .run import EarlierSubmit, Run

_NAMED_COMMANDS = 10
_EARLIER = "An earlier attempt of this task has submitted it; it was not submitted again."


class Submitter:
    """Submits the jobs of a task, and records each submit in the run and its journal. Threads may share it."""

    def __init__(self, client: Client, run: Run) -> None:
        self._client = client
        self._run = run
        self._earlier_submits: dict[str, EarlierSubmit] = {} if run.earlier_submits is None else run.earlier_submits
        self._submitted = run.submitted_commands
        self.journal = run.open_journal()
        #: The line of each job in the journal, by the job's identity.
        self._positions: dict[int, Position] = {}
        #: IDs of commands that no lost submit has made.
        self._known: set[str] = set()
        self._knows_older = False
        self._requester: Requester | None = None
        self._requester_lock = threading.Lock()

    def exclude(self, ids: Iterable[str], all_older: bool = False) -> None:
        """Exclude commands from the search for lost submits.

        Args:
            all_older: these are all equal commands that exist so far.
        """
        self._known.update(ids)
        self._knows_older = self._knows_older or all_older

    def submit(self, job: Job) -> None:
        """Submit a job, or continue with what an earlier attempt of the task has submitted.

        If the job has neither a command nor an outcome then, its submit is lost: see :meth:`adopt_lost`.

        Raises:
            RunIsOver: the run has ended without this worker, and nothing was submitted.
        """
        digest = get_digest(job.body)
        earlier = self._earlier_submits.get(digest)
        if earlier and not earlier.may_repeat:
            self._continue(job, earlier)
            return
        self._run.check_not_over()
        own = self._earlier_submits[digest] = EarlierSubmit(time.time())
        self._add_to_journal(job)
        try:
            job.command = submit(self._client, job.body, self._known)
        except LostResponse as error:
            job.lost, job.error = LostSubmit(job.body, own.sent_at), error
        except (ApiError, ConnectionFailed, TimeHasPassed) as error:
            self._refuse(job, error)
        if job.command:
            self._record(job, job.command, own)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Remove jobs from the journal that the task returns. A later attempt knows those that have not ended."""
        if self.journal:
            self.journal.remove([self._positions[id(job)] for job in jobs if id(job) in self._positions])
        for job in jobs:
            earlier = self._earlier_submits.get(get_digest(job.body)) if job.body else None
            if earlier:
                earlier.may_repeat = _may_submit_again(job)

    def _add_to_journal(self, job: Job) -> None:
        position = self.journal and self.journal.add_submit(str(job.body["server"]), str(job.body["line"]))
        if position:
            self._positions[id(job)] = position

    def _refuse(self, job: Job, error: ApiError | ConnectionFailed | TimeHasPassed) -> None:
        if isinstance(error, TimeHasPassed):
            job.finish(Outcome.NOT_TRIED, f"Not tried: {error} Give a later time, or fewer servers.", error)
        elif lacks_budget(error):
            job.finish(Outcome.NOT_TRIED, no_budget(error), error)
        elif isinstance(error, WorkspaceDown):
            job.finish(Outcome.NOT_TRIED, f"Not tried: {error}", error)
        elif isinstance(error, ApiError) and error.code == "server_not_connected":
            disabled = f"Never ran: {job.server} counts as connected, so it is most likely disabled."
            why = disabled if job.server.is_connected else Outcome.OFFLINE.sentence
            job.finish(Outcome.OFFLINE, f"{why} {error}", error)
        else:
            job.finish(Outcome.REFUSED, str(error), error)
            # Servers of 2024 refuse these by their access list, with this status.
            is_acl = isinstance(error, ApiError) and error.status == 400 and error.code == "api_token_acl_not_allowed"
            if is_acl and "\n" in str(job.body["line"]).strip():
                job.add_note("This workspace lets no line with a line break through, whatever the access list says.")
        position = self._positions.pop(id(job), None)
        if self.journal and position:
            self.journal.remove([position])

    def _record(self, job: Job, command: Command, submitted: EarlierSubmit) -> None:
        submitted.command_id = command.id
        self._known.add(command.id)
        if self.journal and id(job) in self._positions:
            self.journal.add_id(self._positions[id(job)], command.id)
        if self._submitted:
            # Lists may not show it to other tasks of the run yet.
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
        _note_others(job, command.surplus)

    def _continue(self, job: Job, earlier: EarlierSubmit) -> None:
        self._add_to_journal(job)
        if earlier.command_id is None:
            job.lost = LostSubmit(job.body, earlier.sent_at)
            return
        job.command = Command(earlier.command_id, job.server, str(job.body["line"]), job.body["shell"], "unknown")
        with contextlib.suppress(AlpaconError):
            job.command = find_command(self._client, earlier.command_id) or job.command
        self._record(job, job.command, earlier)
        job.add_note(_EARLIER)

    def adopt_lost(self, jobs: Sequence[Job]) -> None:
        """Search once for the commands of lost submits, and give jobs those that are certain.

        Raises:
            AlpaconError: the workspace could not be searched.
        """
        known = frozenset(self._known.union(self._submitted.read_rows() if self._submitted else ()))
        lost = [job.lost for job in jobs if job.lost]
        found = find_submitted(self._client, lost, known, self._get_requester, self._knows_older)
        for job, matches in zip(jobs, found):
            job.found = matches
            if matches.command:
                self._adopt(job, matches.command)

    def _adopt(self, job: Job, command: Command) -> None:
        job.command = command.with_status("running") if command.hides_rc else command
        job.add_note("The answer to its submit was lost; it was found in the workspace.")
        if isinstance(job.error, LostResponse):
            _note_others(job, [command_id for command_id in job.error.others if command_id != command.id])
        else:
            job.add_note(_EARLIER)
        job.error = None
        self._record(job, job.command, self._earlier_submits[get_digest(job.body)])

    def _get_requester(self) -> Requester:
        with self._requester_lock:
            self._requester = self._requester or fetch_requester(self._client)
            return self._requester


def lacks_budget(error: AlpaconError | None) -> bool:
    """Return True if the request budget is used up for longer than submits may wait for it."""
    return isinstance(error, ApiError) and error.status == 429


def no_budget(error: AlpaconError | None) -> str:
    return f"Not tried: the request budget is used up for longer than wait_timeout allows. {error}"


def _note_others(job: Job, ids: Sequence[str]) -> None:
    """Name commands that nobody asked for: they may run as well."""
    if ids:
        job.add_note(f"The answer to its submit named commands that were not asked for: {', '.join(ids)}.")


def _may_submit_again(job: Job) -> bool:
    """Return True if the command has certainly ended, or was never accepted, and nobody declined it."""
    if job.command is None:
        return job.outcome in NOT_ACCEPTED
    if job.command.status in DECLINED:
        return False
    return (job.command.is_handled or job.command.status in NEVER_RAN) and job.outcome != Outcome.UNKNOWN


class LostSubmitFinder:
    """Searches for the commands of jobs whose submits got no answer, until each is found or unknown."""

    def __init__(self, submitter: Submitter, limits: Limits, no_log: bool) -> None:
        self._submitter = submitter
        self._no_log = no_log
        #: The wait while the workspace cannot be searched.
        self._wait = limits.wait_timeout if limits.wait else min(limits.wait_timeout, PACING.search_longest)
        self.jobs: list[Job] = []
        #: Monotonic seconds.
        self.next_search = math.inf
        self._failures = 0

    def add(self, job: Job) -> None:
        job.awaited_since = time.monotonic()
        # While searches fail, another lost submit makes none of them come sooner.
        if not (self.jobs and self._failures):
            self.next_search = job.awaited_since
        self.jobs.append(job)

    def search(self) -> list[Job]:
        """Search once for all of them; return those that have a command or an outcome now."""
        began, failure = time.monotonic(), None
        try:
            self._submitter.adopt_lost(self.jobs)
        except AlpaconError as error:
            failure = error
        except Exception as error:
            failure = wrap_unexpected(error, self._no_log)
        self._failures = self._failures + 1 if failure else 0
        for job in self.jobs:
            if job.command is None and self._is_hopeless(job, began, failure):
                _mark_unknown(job, failure)
        decided = [job for job in self.jobs if job.command or job.outcome]
        self.jobs = [job for job in self.jobs if not (job.command or job.outcome)]
        self.next_search = self._get_next_search(began)
        return decided

    def _is_hopeless(self, job: Job, now: float, failure: AlpaconError | None) -> bool:
        if failure:
            return now >= job.awaited_since + self._wait
        return bool(job.found and job.found.candidates) or now >= self._get_end(job)

    def _get_end(self, job: Job) -> float:
        """Return the end of the search for a command that is not listed."""
        # A gateway that finds a request too large has hardly passed it on.
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
    """Report a lost submit: several commands may be it, it is not there, or the workspace could not be searched."""
    ids = [command.id for command in (job.found.candidates or job.found.others)] if job.found else []
    if ids:
        saw = f"Any of these may be it: {', '.join(ids[:_NAMED_COMMANDS])}. Compare their times and requesters."
    elif failure:
        saw = f"The workspace could not be asked for it. Look for it there before you run the task again. {failure}"
    else:
        saw = "No such command was seen in the workspace so far. Look there again before you run the task again."
    if failure:
        job.found = None
    why = job.error or "An earlier attempt of this task has sent it."
    job.finish(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {saw} {why}")
    job.changed = True
