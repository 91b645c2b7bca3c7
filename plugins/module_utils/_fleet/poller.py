# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out which commands are over, in as few requests as possible."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable, Optional

from .._api.client import Client
from .._api.commands import COMMANDS_PATH, find_command
from .._api.errors import AlpaconError
from .._api.lists import NEWEST_FIRST
from .._api.outputs import Output, fetch_output, limit_output, parse_output
from .._api.records import IN_PROGRESS, Command, parse_row_id, parse_time
from .._payload.frames import SKIPPED, make_end_check, unpack_output
from .jobs import Job, Limits, Outcome, get_outcome
from .pacing import PACING
from .sharing import NOT_LISTED, Shared

#: Calls a function for each of these jobs, several at a time.
ForEach = Callable[[Callable[[Job], Optional[AlpaconError]], Iterable[Job]], Iterable[Optional[AlpaconError]]]


class Poller:
    """Answers which of some commands are over, by the list, one by one, or by what another worker saw of them.

    Args:
        shared: what the workers of the run share, each of which awaits one command; None where there is one worker.
        wait_timeout: seconds from the submit of a command until its wait ends.
    """

    def __init__(self, client: Client, shared: Shared | None, wait_timeout: float) -> None:
        self._client = client
        self._shared_poller = SharedPoller(client, shared, wait_timeout) if shared else None
        #: How many requests it took to read the list, when it was read last.
        self.pages = 1

    def poll(self, jobs: Sequence[Job], for_each: ForEach, newest_only: bool = False) -> None:
        """Note in each of these jobs how its command is.

        The list shows a hundred commands a request, newest first; it is read as long as that costs no more
        than asking for each command that has not been seen in it.

        Args:
            newest_only: read no further than commands have ended.

        Raises:
            AlpaconError: nothing could be seen of any of them.
        """
        if self._shared_poller and polls_for_others(jobs):
            self._shared_poller.poll(jobs[0])
            return
        unseen = {job.id: job for job in jobs if job.listed}
        several = len(unseen) > 1
        if several and not self._poll_list(unseen, newest_only):
            return
        singly = [job for job in jobs if not (several and job.listed)]
        failures = [error for error in for_each(self._try_poll, singly) if error]
        if failures and len(failures) == len(jobs):
            raise failures[0]

    def count_awaited(self) -> int:
        """Return the number of commands that the workers of the run await."""
        with contextlib.suppress(OSError):
            return len(self._shared_poller.shared.awaited_ids()) if self._shared_poller else 0
        return 0

    def expect(self, job: Job) -> None:
        """Ask the other workers to look for this command as well."""
        if self._shared_poller and job.id:
            self._shared_poller.shared.add_awaited(job.id)

    def forget(self, jobs: Sequence[Job]) -> None:
        """Ask them no longer."""
        if self._shared_poller and polls_for_others(jobs):
            self._shared_poller.shared.remove_awaited(str(jobs[0].id))

    def _try_poll(self, job: Job) -> AlpaconError | None:
        return try_poll_job(self._client, job)

    def _poll_list(self, unseen: dict[str | None, Job], newest_only: bool) -> bool:
        """Look for these jobs in the list and take out those that were seen; whether it was read to its end."""
        servers = {job.server.id for job in unseen.values()}
        only = {"server": next(iter(servers))} if len(servers) == 1 and None not in servers else {}
        pages = self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, **only})
        number = 1
        for number, page in enumerate(pages, start=1):
            seen = [(job, row) for row in page.rows if (job := unseen.pop(parse_row_id(row), None))]
            for job, row in seen:
                _note_row(self._client, job, row)
            if _is_older(page.rows, unseen.values()):
                late = True
                break
            if number >= len(unseen):
                late = False
                break
            if newest_only and not any(job.known.finished for job, _row in seen):
                return False
        else:
            late = True
        self.pages = number
        now = time.monotonic()
        for job in unseen.values():
            if late and now - (job.missing_since or now) < PACING.list_lag:
                job.missing_since = job.missing_since or now  # the list lags, say
            else:
                job.listed = False  # too far down, or gone: from now on it is asked for by its id
        return True


class SharedPoller:
    """Looks of workers that await one command each: one of them reads the list for all.

    Args:
        wait_timeout: seconds from the submit of a command until its wait ends.
    """

    def __init__(self, client: Client, shared: Shared, wait_timeout: float) -> None:
        self._client = client
        self.shared = shared
        self._wait_timeout = wait_timeout

    def poll(self, job: Job) -> None:
        """Take what another worker has seen of the job's command, or look, for all of them where it is time to.

        Raises:
            AlpaconError: it could not be seen.
        """
        try:
            self._poll(job)
        except OSError:
            poll_job(self._client, job)  # the run's temporary folder is full, or gone

    def _poll(self, job: Job) -> None:
        row = self.shared.pop_row(job.known.id)
        if row is None and job.listed and not self._is_left_alone(job):
            self._poll_if_due(job)
            self._take_status(job)
        elif row is None or row == NOT_LISTED:
            job.listed = False
            poll_job(self._client, job)
        else:
            _note_row(self._client, job, row)
            self.shared.add_awaited(job.known.id)

    def _take_status(self, job: Job) -> None:
        """Note that the command was handed over since, where another worker has seen it."""
        status = self.shared.read_status(job.known.id) if job.known.status == "queued" else ""
        if status:
            job.command = job.known.with_status(status)

    def _is_left_alone(self, job: Job) -> bool:
        now = time.monotonic()
        forsaken = now - max(self.shared.read_poll()[0], job.awaited_since) > PACING.patience
        return forsaken or now >= job.awaited_since + self._wait_timeout

    def _poll_if_due(self, job: Job) -> None:
        if self._is_due(job):
            with self.shared.try_lock("poll") as mine:
                if mine and self._is_due(job):
                    self._poll_for_all(job)

    def _is_due(self, job: Job) -> bool:
        polled, gap = self.shared.read_poll()
        gap = min(gap, _longest_gap(len(self.shared.awaited_ids())))
        return polled <= max(job.awaited_since, job.polled_at) and time.monotonic() - polled >= gap

    def _poll_for_all(self, own: Job) -> None:
        """Look for the commands of all workers."""
        began = time.monotonic()
        unseen = self.shared.awaited_ids() | {own.known.id}
        if len(unseen) == 1:
            poll_job(self._client, own)
            return
        awaited, over = len(unseen), 0
        pages = self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST})
        for number, page in enumerate(pages, start=1):
            for row in page.rows:
                command_id = parse_row_id(row)
                if command_id in unseen:
                    unseen.remove(command_id)
                    over += self._hand_out(own, row)
            if number >= len(unseen):
                break
        if own.known.id in unseen:
            poll_job(self._client, own)
        for command_id in unseen - {own.known.id}:
            if self.shared.is_awaited_for(command_id, PACING.list_lag):
                self.shared.write_row(command_id, NOT_LISTED)
        self.shared.write_poll(began, self._next_gap(awaited, over))

    def _next_gap(self, awaited: int, over: int) -> float:
        """How long after a poll the next one is due: the more commands it showed to be over, the sooner."""
        factor = 0.5 if over >= 1 + awaited // 3 else 2.0
        return min(max(self.shared.read_poll()[1] * factor, PACING.shortest), _longest_gap(awaited))

    def _hand_out(self, own: Job, row: Mapping[str, Any]) -> bool:
        """Let the worker that awaits a command know what the list says of it; whether it is over."""
        command = Command.from_row(row)
        if command.id == own.known.id:
            _note_row(self._client, own, row)
        elif command.finished or command.status == "awaiting_approval":
            self.shared.write_row(command.id, dict(row))
        elif command.status in IN_PROGRESS:
            self.shared.write_status(command.id, command.status)
        return command.finished


def _longest_gap(awaited: int) -> float:
    """How long nobody polls at most, in seconds, while so many commands are awaited."""
    return PACING.shared_each * max(10, awaited)


def polls_for_others(jobs: Sequence[Job]) -> bool:
    """Whether a worker that awaits these looks for other workers as well: it has but one command."""
    return len(jobs) == 1 and jobs[0].id is not None


def poll_job(client: Client, job: Job) -> None:
    """Ask for the command of a job by its id, and note how it is, or since when the workspace does not show it."""
    command = find_command(client, job.known.id)
    if command:
        job.update(command)
        return
    job.missing_since = job.missing_since or time.monotonic()


def try_poll_job(client: Client, job: Job) -> AlpaconError | None:
    """Ask for the command of a job by its id; what fails is noted in the job, and returned."""
    try:
        poll_job(client, job)
    except AlpaconError as error:
        job.error = error
        return error
    return None


def _note_row(client: Client, job: Job, row: Mapping[str, Any]) -> None:
    """Note what the list says of the command of a job."""
    command = Command.from_row(row)
    if command.hides_rc:
        try_poll_job(client, job)  # the detail tells the exit code
    else:
        job.update(command)


def _is_older(rows: Sequence[Mapping[str, Any]], jobs: Iterable[Job]) -> bool:
    """Whether all of these jobs, newest first, would have had to come before the end of these rows."""
    last = parse_time(rows[-1].get("added_at")) if rows else None
    added = [job.known.added_at for job in jobs]
    return last is not None and all(time is not None and time > last for time in added)


class OutputCollector:
    """Gives jobs the outputs of their finished commands.

    Args:
        limits: of the task.
        hide: takes the secrets out of an output, before it is cut where half of one would be left.
        sleep: called with seconds to pause.
    """

    def __init__(
        self, client: Client, limits: Limits, hide: Callable[[str], str], sleep: Callable[[float], None]
    ) -> None:
        self._client = client
        self._limits = limits
        self._hide = hide
        self._sleep = sleep

    def collect_from_row(self, job: Job) -> bool:
        """Keep the output that the row of the job's command carries; whether it carries all of it."""
        output = parse_output(job.known)
        if output:
            self._keep(job, output)
        return output is not None

    def fetch(self, job: Job) -> None:
        """Keep the output of the job's command, from wherever the workspace has it."""
        try:
            is_whole = make_end_check(job.known, job.body.get("line"))
            self._keep(job, fetch_output(self._client, job.known, self._sleep, is_whole))
        except AlpaconError as error:
            self.mark_unreadable(job, error)

    def mark_unreadable(self, job: Job, error: AlpaconError) -> None:
        """Keep what the row has where the output could not be read."""
        self._keep(job, Output(job.known.result or "", False, f"Its output could not be read: {error}"))

    def _keep(self, job: Job, output: Output) -> None:
        output = self._unpacked(job, output)
        if output.refused:
            job.finish(Outcome.FAILED)  # whatever exit codes count as success: the code is the agent's
        if job.outcome == Outcome.SUCCESS and output.doubt:
            job.finish(Outcome.UNKNOWN, f"The workspace says that it succeeded, and {output.doubt}.")
        whole = replace(output, text=self._hide(output.text), stderr=self._hide(output.stderr))
        job.output = limit_output(job.known, whole, self._limits.output_limit)
        if job.output is not whole:
            job.command = job.known.without_result()

    def _unpacked(self, job: Job, output: Output) -> Output:
        """The streams of what was carried, apart; its exit code may be told by them alone."""
        job.command, output = unpack_output(job.known, output, job.body.get("line"))
        if job.outcome in (Outcome.SUCCESS, Outcome.FAILED):
            job.outcome = get_outcome(job.command, self._limits.success_codes) or job.outcome
        if output.mark == SKIPPED:
            job.changed = False
            job.finish(Outcome.SUCCESS, output.text)  # whatever exit codes count as success: nothing was to be run
        return output
