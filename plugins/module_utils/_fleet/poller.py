# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Poll commands in as few requests as possible, and collect the outputs of those that ended."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Callable, Optional

from .._api.client import Client
from .._api.commands import COMMANDS_PATH, find_command
from .._api.errors import AlpaconError
from .._api.lists import NEWEST_FIRST, PAGE_SIZE
from .._api.outputs import Output, fetch_output, limit_output, parse_output
from .._api.records import IN_PROGRESS, Command, parse_row_id, parse_time
from .._payload.frames import SKIPPED, make_end_check, unpack_output
from .jobs import Job, Limits, Outcome, get_outcome
from .pacing import Pacing
from .sharing import NOT_LISTED, SharedState

#: Calls a function for each job in threads, as :meth:`ThreadPoolExecutor.map` does.
ForEach = Callable[[Callable[[Job], Optional[AlpaconError]], Iterable[Job]], Iterable[Optional[AlpaconError]]]
#: Digest at the end of the line of a payload, whose label is the same for all runs of a module.
_DIGEST = re.compile(r" sha256:[0-9a-f]{64}$")


class Poller:
    """Updates jobs from the list of commands, by their IDs, or from the polls of another worker.

    Args:
        shared: state that the workers of a run share; None to poll alone.
        wait_timeout: seconds after which a job is polled without the other workers.
    """

    def __init__(self, client: Client, shared: SharedState | None, wait_timeout: float, pacing: Pacing) -> None:
        self._client = client
        self._pacing = pacing
        self._shared_poller = SharedPoller(client, shared, wait_timeout, pacing) if shared else None
        #: Number of pages that the last poll of the list read.
        self.pages = 1

    def poll(self, jobs: Sequence[Job], for_each: ForEach, newest_only: bool = False) -> None:
        """Update these jobs with as few requests as possible.

        The list returns a hundred commands per page, newest first. After as many pages as commands are still
        missing, each of these is read by its ID instead.

        Args:
            newest_only: stop after the first page unless nearly all of its commands have ended.

        Raises:
            AlpaconError: no job could be read.
        """
        if self._shared_poller and _is_shared(jobs):
            self._shared_poller.poll(jobs[0])
            return
        unseen = {job.id: job for job in jobs if job.listed}
        uses_list = len(unseen) > 1
        if uses_list and not self._poll_list(unseen, newest_only):
            return
        unlisted = [job for job in jobs if not (uses_list and job.listed)]
        failures = [error for error in for_each(partial(try_poll_job, self._client), unlisted) if error]
        if failures and len(failures) == len(jobs):
            raise failures[0]

    def has_found_end(self, jobs: Sequence[Job]) -> bool:
        """Return True if the last poll found that a command, of this or another worker, had ended."""
        found = self._shared_poller.finished if self._shared_poller else 0
        return found > 0 or any(job.known.finished or job.ended_at for job in jobs)

    def count_awaited(self) -> int:
        """Return the number of commands that the workers of the run await; 0 without other workers."""
        with contextlib.suppress(OSError):
            return len(self._shared_poller.shared.awaited_ids()) if self._shared_poller else 0
        return 0

    def add_awaited(self, job: Job) -> None:
        """Ask the other workers to poll this command as well."""
        if self._shared_poller and job.id:
            self._shared_poller.shared.add_awaited(job.id)

    def get_pause(self, job: Job, awaited: int) -> float:
        """Return the pause until the next poll of a job, or until it reads what other workers wrote.

        Args:
            awaited: number of commands that the task awaits.
        """
        age = time.monotonic() - job.awaited_since
        if self._shared_poller and self._shared_poller.depends_on_others and awaited == 1:
            return self._pacing.get_check_pause(age)
        return self._pacing.get_pause(age, awaited, max(self.pages, awaited // PAGE_SIZE), job.expected)

    def expect(self, job: Job) -> None:
        """Expect a command to take as long as the last one of its kind did."""
        if self._shared_poller and (seconds := self._shared_poller.shared.read_duration(_get_kind(job))):
            job.expected = seconds + min(0.03 * seconds, 1.0) + 0.05

    def note_duration(self, job: Job) -> None:
        """Let later commands of this kind expect the duration of a command that ended."""
        added, ended = job.known.added_at, job.known.handled_at
        if self._shared_poller and added and ended and job.body:
            # The workspace may have set its clock back.
            self._shared_poller.shared.write_duration(_get_kind(job), max(0.0, (ended - added).total_seconds()))

    def remove_awaited(self, jobs: Sequence[Job]) -> None:
        if self._shared_poller and _is_shared(jobs):
            self._shared_poller.shared.remove_awaited(str(jobs[0].id))

    def _poll_list(self, unseen: dict[str | None, Job], newest_only: bool) -> bool:
        """Update jobs from the list and remove them from C(unseen). Return False to leave the rest to a later poll."""
        servers = {job.server.id for job in unseen.values()}
        only = {"server": next(iter(servers))} if len(servers) == 1 and None not in servers else {}
        number, is_complete = 1, True
        for number, page in enumerate(self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, **only}), start=1):
            seen = [(job, row) for row in page.rows if (job := unseen.pop(parse_row_id(row), None))]
            for job, row in seen:
                _update_from_row(self._client, job, row)
            if _is_past(page.rows, unseen.values()):
                break
            if number >= len(unseen):
                is_complete = False
                break
            if newest_only and sum(job.known.finished for job, _row in seen) < 0.95 * len(page.rows):
                return False
        self.pages = number
        now = time.monotonic()
        for job in unseen.values():
            if is_complete and now - (job.missing_since or now) < self._pacing.list_lag:
                job.missing_since = job.missing_since or now
            else:
                job.listed = False  # too far down the list, or deleted
        return True


class SharedPoller:
    """Polls for workers that await one command each: one worker reads the list and writes the rows for the others."""

    def __init__(self, client: Client, shared: SharedState, wait_timeout: float, pacing: Pacing) -> None:
        self._client = client
        self.shared = shared
        self._wait_timeout = wait_timeout
        self._pacing = pacing
        #: Monotonic seconds.
        self._polled_at = 0.0
        #: True if another worker may write the row of the command before this one polls again.
        self.depends_on_others = False
        #: Number of commands that the last poll found to have ended.
        self.finished = 0

    def poll(self, job: Job) -> None:
        """Update a job from the row that another worker wrote, or poll for all workers if a poll is due.

        Raises:
            AlpaconError: the command could not be read.
        """
        began = time.monotonic()
        self.depends_on_others, self.finished = False, 0
        try:
            row = self.shared.pop_row(job.known.id)
            if row is None and job.listed and not self._must_poll_alone(job):
                self._poll_if_due(job)
                # Another worker may have written that the command was delivered.
                status = self.shared.read_status(job.known.id) if job.known.status == "queued" else ""
                if status:
                    job.command = job.known.with_status(status)
            elif row is None or row == NOT_LISTED:
                job.listed = False
                poll_job(self._client, job)
            else:
                _update_from_row(self._client, job, row)
                self.shared.add_awaited(job.known.id)
        except OSError:
            poll_job(self._client, job)  # the temporary folder is full or was removed
        finally:
            self._polled_at = began

    def _must_poll_alone(self, job: Job) -> bool:
        """Return True if the other workers have stopped polling, or this job has timed out."""
        now = time.monotonic()
        polled, _pause = self.shared.read_poll()
        pause = self._pacing.get_pause_alone(now - job.awaited_since) / len(self.shared.awaited_ids() | {job.known.id})
        longest = max(self._pacing.patience, 2 * pause)
        return now - max(polled, job.awaited_since) > longest or now >= job.awaited_since + self._wait_timeout

    def _poll_if_due(self, job: Job) -> None:
        self.depends_on_others = True
        if self._is_due(job):
            with self.shared.try_lock("poll") as is_locked:
                if is_locked and self._is_due(job):
                    self._poll_for_all(job)
                    self.depends_on_others = len(self.shared.awaited_ids()) > 1

    def _is_due(self, job: Job) -> bool:
        """Return True if a poll is due for this job: the younger it is and the more are awaited, the sooner."""
        polled, pause = self.shared.read_poll()
        awaited = len(self.shared.awaited_ids() | {job.known.id})
        if job.ended_at:
            return time.monotonic() - polled >= self._get_longest_pause(awaited) / 2
        alone = self._pacing.get_pause_alone(max(0.0, polled - job.awaited_since), job.expected)
        pause = max(min(pause, self._get_longest_pause(awaited)), alone / awaited)
        return polled <= max(job.awaited_since, self._polled_at) and time.monotonic() - polled >= pause

    def _get_longest_pause(self, awaited: int) -> float:
        return self._pacing.shared_each * max(10, awaited)

    def _poll_for_all(self, own: Job) -> None:
        began = time.monotonic()
        unseen = self.shared.awaited_ids() | {own.known.id}
        if len(unseen) == 1:
            poll_job(self._client, own)
            return
        awaited = len(unseen)
        pages = self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST})
        for number, page in enumerate(pages, start=1):
            for row in page.rows:
                command_id = parse_row_id(row)
                if command_id in unseen:
                    unseen.remove(command_id)
                    self.finished += self._share_row(own, row)
            if number >= len(unseen):
                break
        if own.known.id in unseen:
            poll_job(self._client, own)
        for command_id in unseen - {own.known.id}:
            if self.shared.is_awaited_for(command_id, self._pacing.list_lag):
                self.shared.write_row(command_id, NOT_LISTED)
        # Poll sooner if at least a third of the commands had ended, later if not.
        factor = 0.5 if self.finished >= 1 + awaited // 3 else 2.0
        pause = max(self.shared.read_poll()[1] * factor, self._pacing.shortest)
        self.shared.write_poll(began, min(pause, self._get_longest_pause(awaited)))

    def _share_row(self, own: Job, row: Mapping[str, Any]) -> bool:
        """Write a row for the worker that awaits its command. Return True if the command has ended."""
        command = Command.from_row(row)
        if command.id == own.known.id:
            _update_from_row(self._client, own, row)
        elif command.finished or command.status == "awaiting_approval":
            self.shared.write_row(command.id, dict(row))
        elif command.status in IN_PROGRESS:
            self.shared.write_status(command.id, command.status)
        return command.finished


def _is_shared(jobs: Sequence[Job]) -> bool:
    """Return True if these jobs are polled together with those of other workers: only single commands are."""
    return len(jobs) == 1 and jobs[0].id is not None


def _get_kind(job: Job) -> str:
    return _DIGEST.sub("", str(job.body.get("line")))


def poll_job(client: Client, job: Job) -> None:
    """Update a job by the ID of its command."""
    command = find_command(client, job.known.id)
    if command:
        job.update(command)
    else:
        job.missing_since = job.missing_since or time.monotonic()


def try_poll_job(client: Client, job: Job) -> AlpaconError | None:
    """Update a job by the ID of its command. If that fails, add the error to the job and return it."""
    try:
        poll_job(client, job)
    except AlpaconError as error:
        job.error = error
        return error
    return None


def _update_from_row(client: Client, job: Job, row: Mapping[str, Any]) -> None:
    command = Command.from_row(row)
    if command.hides_rc:
        try_poll_job(client, job)  # only the detail has the exit code
    else:
        job.update(command)


def _is_past(rows: Sequence[Mapping[str, Any]], jobs: Iterable[Job]) -> bool:
    """Return True if all of these jobs are newer than the last row, so that no later page contains them."""
    last = parse_time(rows[-1].get("added_at")) if rows else None
    added = [job.known.added_at for job in jobs]
    return last is not None and all(time is not None and time > last for time in added)


class OutputCollector:
    """Reads the outputs of finished commands, unpacks them, and cuts them to the limit.

    Args:
        hide: removes secrets from an output before it is cut.
        on_output: called with each output as the workspace has it.
    """

    def __init__(
        self,
        client: Client,
        limits: Limits,
        hide: Callable[[str], str],
        sleep: Callable[[float], None],
        on_output: Callable[[Job, str], None] = lambda _job, _text: None,
    ) -> None:
        self._client = client
        self._limits = limits
        self._hide = hide
        self._sleep = sleep
        self._on_output = on_output

    def collect_from_row(self, job: Job) -> bool:
        """Set the output from the row of the command. Return False if the row does not have all of it."""
        output = parse_output(job.known)
        if output:
            self._set_output(job, output)
        return output is not None

    def fetch(self, job: Job) -> None:
        """Read the whole output of a command."""
        try:
            is_complete = make_end_check(job.known, job.body.get("line"))
            self._set_output(job, fetch_output(self._client, job.known, self._sleep, is_complete))
        except AlpaconError as error:
            self.mark_unreadable(job, error)

    def mark_unreadable(self, job: Job, error: AlpaconError) -> None:
        """Set the output from the row, and note that the rest could not be read."""
        self._set_output(job, Output(job.known.result or "", False, f"Its output could not be read: {error}"))

    def _set_output(self, job: Job, output: Output) -> None:
        self._on_output(job, output.text)
        job.command, output = unpack_output(job.known, output, job.body.get("line"))
        if job.outcome in (Outcome.SUCCESS, Outcome.FAILED):
            # A payload writes its exit code into its output.
            job.outcome = get_outcome(job.command, self._limits.success_codes) or job.outcome
        # A payload that ran nothing was skipped or refused, whatever success_codes are.
        if output.mark == SKIPPED:
            job.changed = False
            job.finish(Outcome.SUCCESS, output.text)
        if output.refused:
            job.finish(Outcome.FAILED)
        if job.outcome == Outcome.SUCCESS and output.doubt:
            job.finish(Outcome.UNKNOWN, f"The workspace says that it succeeded, and {output.doubt}.")
        whole = replace(output, text=self._hide(output.text), stderr=self._hide(output.stderr))
        job.output = limit_output(job.known, whole, self._limits.output_limit)
        if job.output is not whole:
            job.command = job.known.without_result()
