# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Poll commands in as few requests as possible."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Callable

from .._api.client import Client
from .._api.commands import COMMANDS_PATH, find_command
from .._api.errors import AlpaconError, ApiError
from .._api.lists import NEWEST_FIRST, PAGE_SIZE
from .._api.records import IN_PROGRESS, Command, parse_row_id, parse_time
from .jobs import Job, Limits
from .pacing import Pacing
from .sharing import NOT_LISTED, SharedState

#: Calls a function for each job in threads, as :meth:`ThreadPoolExecutor.map` does.
ForEach = Callable[[Callable[[Job], Any], Iterable[Job]], Iterable[Any]]
#: Digest at the end of the line of a payload, whose label is the same for all commands of a module.
_DIGEST = re.compile(r" sha256:[0-9a-f]{64}$")


class Poller:
    """Updates jobs from the list of commands, by their IDs, or from the polls of another worker.

    Args:
        shared: state that the workers of a run share; None to poll alone.
        limits: of the task; after its timeout, a job is polled without the other workers.
    """

    def __init__(self, shared: SharedState | None, limits: Limits, pacing: Pacing) -> None:
        self._pacing = pacing
        self._shared_poller = SharedPoller(shared, limits, pacing) if shared else None
        #: Number of pages that the last poll of the list read.
        self.pages = 1

    def poll(self, jobs: Sequence[Job], client: Client, for_each: ForEach, newest_only: bool = False) -> None:
        """Update these jobs with as few requests as possible.

        The list returns a hundred commands per page, newest first. After as many pages as commands are still
        missing, each of these is read by its ID instead.

        Args:
            newest_only: stop after the first page unless nearly all of its commands have ended.

        Raises:
            AlpaconError: no job could be read.
        """
        if self._shared_poller:
            self._shared_poller.poll(jobs[0], client)
            return
        unseen = {job.id: job for job in jobs if job.listed}
        uses_list = len(unseen) > 1
        if uses_list and not self._poll_list(unseen, client, newest_only):
            return
        unlisted = [job for job in jobs if not (uses_list and job.listed)]
        # Without another thread, a single command does not keep the process from exiting.
        call_each = for_each if len(unlisted) > 1 else map
        failures = [error for error in call_each(partial(try_poll_job, client), unlisted) if error]
        if failures and len(failures) == len(jobs):
            # A refusal of one command does not end the wait for the others.
            raise min(failures, key=lambda error: isinstance(error, ApiError) and error.stated)

    @property
    def has_read(self) -> bool:
        """Return True if the last poll read the commands, and not only what another worker had written."""
        return self._shared_poller is None or self._shared_poller.has_read

    def has_found_end(self, jobs: Sequence[Job]) -> bool:
        """Return True if the last poll found that a command, of this or another worker, had ended."""
        found = self._shared_poller.finished if self._shared_poller else 0
        return found > 0 or any(job.submitted.finished or job.ended_at for job in jobs)

    def count_awaited(self) -> int:
        """Return the number of commands that the workers of the run await; 0 without other workers."""
        with contextlib.suppress(OSError):
            return len(self._shared_poller.shared.awaited_ids()) if self._shared_poller else 0
        return 0

    def get_pause(self, job: Job, awaited: int, other_requests: int = 0) -> float:
        """Return the pause until the next poll of a job, or until it reads what other workers wrote.

        Args:
            awaited: number of commands that the task awaits.
            other_requests: number of requests of a poll besides those for commands.
        """
        age = time.monotonic() - job.awaited_since
        if self._shared_poller and self._shared_poller.depends_on_others and awaited == 1:
            return self._pacing.get_check_pause(age)
        pages = max(self.pages, awaited // PAGE_SIZE) + other_requests
        return self._pacing.get_pause(age, awaited, pages, job.expected)

    def begin(self, jobs: Sequence[Job]) -> None:
        """Begin a task with these jobs. Workers share only the polls of single commands."""
        if len(jobs) != 1:
            self._shared_poller = None

    def add(self, job: Job) -> None:
        """Ask the other workers to poll a command too, and expect it to take as long as the last one of its kind."""
        if self._shared_poller and job.id:
            self._shared_poller.shared.add_awaited(job.id)
            seconds = self._shared_poller.shared.read_duration(_get_kind(job))
            if seconds:
                job.expected = seconds + min(0.03 * seconds, 1.0) + 0.05

    def remove(self, job: Job) -> None:
        """Ask the other workers to poll a command no more."""
        if self._shared_poller and job.id:
            self._shared_poller.shared.remove_awaited(job.id)

    def end(self, jobs: Sequence[Job]) -> None:
        """End the task: ask for no more polls, and let later commands of a kind expect the durations of these."""
        if self._shared_poller is None:
            return
        shared = self._shared_poller.shared
        for job, command in ((job, job.command) for job in jobs if job.command):
            shared.remove_awaited(command.id)
            added, ended = command.added_at, command.handled_at
            if added and ended and job.body and command.finished:
                # The workspace may have set its clock back.
                shared.write_duration(_get_kind(job), max(0.0, (ended - added).total_seconds()))

    def _poll_list(self, unseen: dict[str | None, Job], client: Client, newest_only: bool) -> bool:
        """Update jobs from the list and remove them from C(unseen). Return False to leave the rest to a later poll."""
        servers = {job.server.id for job in unseen.values()}
        only = {"server": next(iter(servers))} if len(servers) == 1 and None not in servers else {}
        number, is_complete = 1, True
        for number, page in enumerate(client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, **only}), start=1):
            seen = [(job, row) for row in page.rows if (job := unseen.pop(parse_row_id(row), None))]
            for job, row in seen:
                _update_from_row(client, job, row)
            if _is_past(page.rows, unseen.values()):
                break
            if number >= len(unseen):
                is_complete = False
                break
            if newest_only and sum(job.submitted.finished for job, _row in seen) < 0.95 * len(page.rows):
                return False
        self.pages = number
        now = time.monotonic()
        for job in unseen.values():
            if is_complete and now - (job.missing_since or now) < self._pacing.list_lag:
                job.error, job.missing_since = None, job.missing_since or now
            else:
                job.listed = False  # too far down the list, or deleted
        return True


class SharedPoller:
    """Polls for workers that await one command each: one worker reads the list and writes the rows for the others."""

    def __init__(self, shared: SharedState, limits: Limits, pacing: Pacing) -> None:
        self.shared = shared
        self._limits = limits
        self._pacing = pacing
        #: Monotonic seconds.
        self._polled_at = 0.0
        #: True if another worker may write the row of the command before this one polls again.
        self.depends_on_others = False
        #: True if the last poll sent requests.
        self.has_read = False
        #: Number of commands that the last poll found to have ended.
        self.finished = 0

    def poll(self, job: Job, client: Client) -> None:
        """Update a job from the row that another worker wrote, or poll for all workers if a poll is due.

        Raises:
            AlpaconError: the command could not be read.
        """
        began, requests = time.monotonic(), client.requests
        self.depends_on_others, self.finished = False, 0
        try:
            row = self.shared.pop_row(job.submitted.id)
            if row is None and job.listed and not self._must_poll_alone(job):
                self._poll_if_due(job, client)
                # Another worker may have written that the command was delivered.
                status = self.shared.read_status(job.submitted.id) if job.submitted.status == "queued" else ""
                if status:
                    job.command = job.submitted.with_status(status)
            elif row is None or row == NOT_LISTED:
                job.listed = False
                poll_job(client, job)
            else:
                _update_from_row(client, job, row)
                self.shared.add_awaited(job.submitted.id)
        except OSError:
            poll_job(client, job)  # the temporary folder is full or was removed
        finally:
            self._polled_at, self.has_read = began, client.requests > requests

    def _must_poll_alone(self, job: Job) -> bool:
        """Return True if the other workers have stopped polling, or this job has timed out."""
        now = time.monotonic()
        polled, _pause = self.shared.read_poll()
        pause = self._pacing.get_pause_alone(now - job.awaited_since) / len(
            self.shared.awaited_ids() | {job.submitted.id}
        )
        longest = max(self._pacing.patience, 2 * pause)
        return now - max(polled, job.awaited_since) > longest or now >= self._limits.get_end(job)

    def _poll_if_due(self, job: Job, client: Client) -> None:
        self.depends_on_others = True
        if self._is_due(job):
            with self.shared.try_lock("poll") as is_locked:
                if is_locked and self._is_due(job):
                    self._poll_for_all(job, client)
                    self.depends_on_others = len(self.shared.awaited_ids()) > 1

    def _is_due(self, job: Job) -> bool:
        """Return True if a poll is due for this job: the younger it is and the more are awaited, the sooner."""
        polled, pause = self.shared.read_poll()
        awaited = len(self.shared.awaited_ids() | {job.submitted.id})
        if job.ended_at:
            return time.monotonic() - polled >= self._get_longest_pause(awaited) / 2
        alone = self._pacing.get_pause_alone(max(0.0, polled - job.awaited_since), job.expected)
        pause = max(min(pause, self._get_longest_pause(awaited)), alone / awaited)
        return polled <= max(job.awaited_since, self._polled_at) and time.monotonic() - polled >= pause

    def _get_longest_pause(self, awaited: int) -> float:
        return self._pacing.shared_each * max(10, awaited)

    def _poll_for_all(self, own: Job, client: Client) -> None:
        began = time.monotonic()
        unseen = self.shared.awaited_ids() | {own.submitted.id}
        if len(unseen) == 1:
            poll_job(client, own)
            return
        awaited = len(unseen)
        pages = client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST})
        for number, page in enumerate(pages, start=1):
            for row in page.rows:
                command_id = parse_row_id(row)
                if command_id in unseen:
                    unseen.remove(command_id)
                    self.finished += self._share_row(own, row, client)
            if number >= len(unseen):
                break
        if own.submitted.id in unseen:
            poll_job(client, own)
        for command_id in unseen - {own.submitted.id}:
            if self.shared.is_awaited_for(command_id, self._pacing.list_lag):
                self.shared.write_row(command_id, NOT_LISTED)
        # Poll sooner if at least a third of the commands had ended, later if not.
        factor = 0.5 if self.finished >= 1 + awaited // 3 else 2.0
        pause = max(self.shared.read_poll()[1] * factor, self._pacing.shortest)
        self.shared.write_poll(began, min(pause, self._get_longest_pause(awaited)))

    def _share_row(self, own: Job, row: Mapping[str, Any], client: Client) -> bool:
        """Write a row for the worker that awaits its command. Return True if the command has ended."""
        command = Command.from_row(row)
        if command.id == own.submitted.id:
            _update_from_row(client, own, row)
        elif command.finished or command.status == "awaiting_approval":
            self.shared.write_row(command.id, dict(row))
        elif command.status in IN_PROGRESS:
            self.shared.write_status(command.id, command.status)
        return command.finished


def _get_kind(job: Job) -> str:
    return _DIGEST.sub("", str(job.body.get("line")))


def poll_job(client: Client, job: Job) -> None:
    """Update a job by the ID of its command."""
    command = find_command(client, job.submitted.id)
    if command:
        job.update(command)
    else:
        job.error, job.missing_since = None, job.missing_since or time.monotonic()


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
    added = [job.submitted.added_at for job in jobs]
    return last is not None and all(time is not None and time > last for time in added)
