# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit jobs, each once, and keep what is known of each."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

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
from .jobs import DECLINED, NOT_ACCEPTED, Job, Limits, Outcome, get_digest
from .journal import hash_line
from .pacing import PACING
from .run import EarlierSubmit, Run

#: So many of the commands that may be a lost one are named, the newest first.
_NAMED_COMMANDS = 10
_EARLIER = "An earlier attempt of this task has submitted it; it was not submitted again."
_NO_BUDGET = "Not tried: the request budget is used up for longer than wait_timeout allows."


class Submitter:
    """The submits of a task, and what the run and its journal know of them.

    Threads may share one.

    Args:
        run: the run that the task is part of.
    """

    def __init__(self, client: Client, run: Run) -> None:
        self._client = client
        self._run = run
        self._earlier_submits: dict[str, EarlierSubmit] = {} if run.earlier_submits is None else run.earlier_submits
        self._submitted = run.submitted
        self.journal = run.open_journal()
        self._known: set[str] = set()
        self._knows_older = False
        self._asking = threading.Lock()
        self._requester: Requester | None = None

    def exclude(self, ids: Iterable[str], all_older: bool = False) -> None:
        """Take these commands for others than those that are about to be submitted.

        Args:
            all_older: whether they are all of the same that are there so far.
        """
        self._known.update(ids)
        self._knows_older = self._knows_older or all_older

    def submit(self, job: Job) -> None:
        """Submit a job, once; what an earlier attempt of the task has submitted is picked up instead.

        A job that then has neither a command nor an outcome is lost: see :meth:`adopt_lost`.

        Raises:
            RunIsOver: the run has ended without this worker, and nothing was submitted.
        """
        job.digest = get_digest(job.body)
        earlier = self._earlier_submits.get(job.digest)
        if earlier and not earlier.over:
            self._pick_up(job, earlier)
            return
        self._run.check()
        earlier = self._earlier_submits[job.digest] = EarlierSubmit(time.time())
        self._intend(job)
        try:
            job.command = submit(self._client, job.body, self._known)
        except LostResponse as error:
            job.lost, job.error = LostSubmit(job.body, earlier.sent_at), error
        except (ApiError, ConnectionFailed, TimeHasPassed) as error:
            self._refuse(job, error)
        if job.command:
            self._keep(job, job.command, earlier)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Forget jobs of which the result of the task tells; what has not ended stays known to later attempts."""
        if self.journal:
            self.journal.remove([job.position for job in jobs if job.position])
        for job in jobs:
            earlier = self._earlier_submits.get(job.digest)
            if earlier:
                earlier.over = _is_over(job)

    def _intend(self, job: Job) -> None:
        if self.journal:
            job.position = self.journal.add_submit(str(job.body["server"]), str(job.body["line"]))

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
        if _is_old_acl(error) and "\n" in str(job.body["line"]).strip():
            job.add_note("This workspace lets no line with a line break through, whatever the access list says.")
        if self.journal and job.position:
            self.journal.remove([job.position])
            job.position = None

    def _keep(self, job: Job, command: Command, earlier: EarlierSubmit) -> None:
        """Remember a command that this job has submitted."""
        earlier.command_id = command.id
        self._known.add(command.id)
        if self.journal and job.position:
            self.journal.add_id(job.position, command.id)
        if self._submitted:
            self._submitted.add(_row_of(command, self._run.no_log))
        job.changed = True
        job.update_server(command.server)
        _name_others(job, command.surplus)

    def _pick_up(self, job: Job, earlier: EarlierSubmit) -> None:
        """Look again for what an earlier attempt of the task has submitted, of which the end is not known."""
        self._intend(job)
        if earlier.command_id is None:
            job.lost = LostSubmit(job.body, earlier.sent_at)
            return
        job.command = Command(earlier.command_id, job.server, str(job.body["line"]), job.body["shell"], "unknown")
        with contextlib.suppress(AlpaconError):
            job.command = find_command(self._client, earlier.command_id) or job.command
        self._keep(job, job.command, earlier)
        job.add_note(_EARLIER)

    def adopt_lost(self, jobs: Sequence[Job]) -> None:
        """Look once for the commands of jobs whose submits are lost, and adopt those that are certain.

        Raises:
            AlpaconError: the workspace could not be asked.
        """
        known = frozenset(self._known.union(self._submitted.read_rows() if self._submitted else ()))
        lost = [job.lost for job in jobs if job.lost]
        for job, found in zip(jobs, find_submitted(self._client, lost, known, self._whose, self._knows_older)):
            job.found = found
            if found.command:
                self._adopt(job, found.command)

    def _adopt(self, job: Job, command: Command) -> None:
        """Take a command for the one that a lost submit has made."""
        job.command = command.with_status("running") if command.hides_rc else command
        job.add_note("The answer to its submit was lost; it was found in the workspace.")
        if isinstance(job.error, LostResponse):
            _name_others(job, [command_id for command_id in job.error.others if command_id != command.id])
        else:
            job.add_note(_EARLIER)
        job.error = None
        self._keep(job, job.command, self._earlier_submits[job.digest])

    def mark_unknown(self, job: Job, failure: AlpaconError | None) -> None:
        """Report a lost submit as unknown: several commands may be it, it is not there, or that could not be seen.

        Args:
            failure: what kept the workspace from being asked; None if it was asked.
        """
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

    def _whose(self) -> Requester:
        """Who the token is, asked once."""
        with self._asking:
            if self._requester is None:
                self._requester = fetch_requester(self._client)
            return self._requester


def lacks_budget(error: AlpaconError | None) -> bool:
    """Whether the request budget is used up for longer than submits may wait for it."""
    return isinstance(error, ApiError) and error.status == 429


def no_budget(error: AlpaconError | None) -> str:
    """What to say of a job that was not tried for want of requests."""
    return f"{_NO_BUDGET} {error}"


def _is_old_acl(error: AlpaconError) -> bool:
    """Whether an access list refused a command as the servers of 2024 do, in words that come with HTTP 400."""
    return isinstance(error, ApiError) and error.status == 400 and error.code == "api_token_acl_not_allowed"


def _row_of(command: Command, no_log: bool) -> dict[str, Any]:
    """What other tasks of the run need to know of a command that they do not see yet."""
    return {
        "id": command.id,
        "server": {"id": command.server.id, "name": command.server.name},
        "shell": command.shell,
        "line": hash_line(command.line) if no_log else command.line,
        "username": command.username,
        "groupname": command.groupname,
        "added_at": to_iso(command.added_at),
        "scheduled_at": to_iso(command.scheduled_at),
        "run_after": list(command.run_after),
    }


def _name_others(job: Job, ids: Sequence[str]) -> None:
    """Tell of commands that nobody asked for: they may run as well."""
    if ids:
        job.add_note(f"The answer to its submit named commands that were not asked for: {', '.join(ids)}.")


def _is_over(job: Job) -> bool:
    """Whether what a job has submitted has ended for certain, or was never accepted, and was not turned down."""
    if job.command is None:
        return job.outcome in NOT_ACCEPTED
    if job.command.status in DECLINED:
        return False  # nobody is asked once more for what they have said no to
    return (job.command.is_handled or job.command.status in NEVER_RAN) and job.outcome != Outcome.UNKNOWN


class LostSubmitFinder:
    """The jobs of a fleet whose submits got no answer: commands that are under way, perhaps, with ids not yet known.

    Args:
        no_log: see :func:`._api.errors.wrap_unexpected`.
    """

    def __init__(self, submitter: Submitter, limits: Limits, no_log: bool) -> None:
        self._submitter = submitter
        self._no_log = no_log
        self._patience = limits.wait_timeout if limits.wait else min(limits.wait_timeout, PACING.search_longest)
        self.jobs: list[Job] = []
        #: When the next poll is due, in monotonic seconds.
        self.next_search = math.inf
        #: How many looks in a row have failed.
        self._failed = 0

    def add(self, job: Job) -> None:
        """Begin to look for the command of a job."""
        job.awaited_since = time.monotonic()
        # While looks fail, another lost submit makes none of them come sooner.
        if not (self.jobs and self._failed):
            self.next_search = job.awaited_since
        self.jobs.append(job)

    def search(self) -> list[Job]:
        """Look once for all of them; return those that have their command now, or are given up."""
        began, failure = time.monotonic(), None
        try:
            self._submitter.adopt_lost(self.jobs)
        except AlpaconError as error:
            failure = error
        except Exception as error:
            failure = wrap_unexpected(error, self._no_log)
        self._failed = self._failed + 1 if failure else 0
        for job in self.jobs:
            if job.command is None and self._is_hopeless(job, began, failure):
                self._submitter.mark_unknown(job, failure)
        decided = [job for job in self.jobs if job.command or job.outcome]
        self.jobs = [job for job in self.jobs if not (job.command or job.outcome)]
        self.next_search = self._get_next_search(began)
        return decided

    def _is_hopeless(self, job: Job, now: float, failure: AlpaconError | None) -> bool:
        if failure:
            return now >= job.awaited_since + self._patience
        return bool(job.found and job.found.candidates) or now >= self._ends(job)

    def _ends(self, job: Job) -> float:
        """Return when a job is given up whose command is not listed, in monotonic seconds."""
        too_large = isinstance(job.error, LostResponse) and job.error.status == 413
        return job.awaited_since + min(PACING.list_lag if too_large else PACING.patience, self._patience)

    def _get_next_search(self, now: float) -> float:
        if not self.jobs:
            return math.inf
        if self._failed:
            last = min(job.awaited_since for job in self.jobs) + self._patience
            return now + max(min(PACING.search * 2.0**self._failed, PACING.search_longest, last - now), PACING.search)
        pauses = [
            min(max(now - job.awaited_since, PACING.search), max(self._ends(job) - now, 0.0)) for job in self.jobs
        ]
        return now + max(min(pauses), PACING.search)
