# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide when jobs of commands end: by the status of the command, a timeout, the state of the server, or a cancel."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable, Protocol

from .._api.client import Client
from .._api.commands import CANCELLED, GONE, SENT, cancel
from .._api.errors import AlpaconError, ApiError, LostResponse
from .._api.outputs import fetch_newest_chunk
from .._api.records import IN_PROGRESS, Command, Server, to_iso
from .._api.servers import query_servers
from .held_sudo import HeldSudo
from .jobs import Job, Limits, Outcome, Settle, get_outcome, merge_servers
from .output_collector import OutputCollector
from .pacing import PACING, Pacing
from .poller import ForEach, poll_job

#: An agent may acknowledge commands this long before the start that the workspace states: it repeats the report of its
#: start for 31 s.
_LATE_REPORT = timedelta(seconds=40)


Poll = Callable[[Sequence[Job]], None]


class Rules(Protocol):
    """State how kinds of jobs differ: by what a poll reads, when a job is done, and what its end means.

    The fleet calls :meth:`read` and :meth:`settle_lost`, which send requests, in threads, and the others in its loop.

    Attributes:
        ends_with_command: whether no job ends later than its command, so that the listener knows its end.
        other_requests: number of requests of the last poll besides those for commands.
    """

    ends_with_command: bool
    other_requests: int

    def read(self, jobs: Sequence[Job], client: Client, poll: Poll, newest_only: bool) -> None:
        """Update jobs with the poll of their commands, and read whatever else decides about them.

        Args:
            newest_only: the poll leaves the status of most commands outdated.

        Raises:
            AlpaconError: the poll failed.
        """

    def complete(self, job: Job) -> Settle | None:
        """Finish a job if it is done. Return what remains to be done in a thread before it counts as finished."""

    def time_out(self, job: Job) -> Settle | None:
        """Finish a job that timed out. Return what remains to be done in a thread before it counts as finished."""

    def settle_lost(self, jobs: Sequence[Job], client: Client) -> None:
        """Finish jobs whose submits are lost if anything but a command shows that they are done."""

    def is_final(self, error: ApiError) -> bool:
        """Return True if no poll after this error can succeed."""


class CommandRules:
    """The rules of commands: a job is done with its command, and its output counts too.

    Args:
        outputs: collects the outputs of commands that ended.
        awaited: number of commands that the workers of the run await.
        has_output: returns True if the output of a running command shows progress.
        report_offline: prints a warning about commands that wait for offline servers.
        repair: returns for a job whose command ran nothing what is to be done before it is submitted again, or None.
        sudo: awaits the decision of a person about the sudo of a command; None to await none.
    """

    ends_with_command = True
    other_requests = 0

    def __init__(
        self,
        limits: Limits,
        outputs: OutputCollector,
        pacing: Pacing,
        awaited: int,
        for_each: ForEach,
        has_output: Callable[[Job], bool],
        report_offline: Callable[[Sequence[Job]], None],
        repair: Callable[[Job], Settle | None] | None = None,
        sudo: HeldSudo | None = None,
    ) -> None:
        self._limits = limits
        self._outputs = outputs
        self._repair = repair
        self._sudo = sudo
        self._states = ServerStates(limits, pacing.queued + pacing.queued_each * awaited, pacing.queued_each)
        self._for_each = for_each
        self._has_output = has_output
        self._report_offline = report_offline
        #: What the last poll found: jobs without a hope of a result, and jobs to cancel. Their commands' IDs.
        self._restarted: set[str] = set()
        self._to_cancel: set[str] = set()

    def read(self, jobs: Sequence[Job], client: Client, poll: Poll, newest_only: bool) -> None:
        self._restarted, self._to_cancel = set(), set()
        held = [job for job in jobs if job.held_since]
        if self._sudo and held:
            self._sudo.read(held, client)
            jobs = [job for job in jobs if not job.held_since]
        if jobs:
            poll(jobs)
        if newest_only:
            return
        now = time.monotonic()
        idle = [job for job in jobs if not (job.submitted.finished or self._has_output(job))]
        due = self._states.refresh_due(idle, client, now)
        suspects = [job for job in due if was_restarted(job, job.submitted.added_at)]
        lost = self._for_each(partial(self._states.is_lost_by_restart, client=client, now=now), suspects)
        self._restarted = {job.submitted.id for job, is_lost in zip(suspects, lost) if is_lost}
        queued = [job for job in due if is_queued_offline(job)]
        running = [job for job in due if is_running_offline(job) and job.submitted.id not in self._restarted]
        if self._limits.offline == "wait":
            self._report_offline([*queued, *running])
        else:
            self._report_offline(running)
            self._to_cancel = {job.submitted.id for job in queued}

    def complete(self, job: Job) -> Settle | None:
        if self._sudo and job.held_since:
            return self._sudo.complete(job)
        if finish_by_status(job, self._limits):
            repair = self._repair(job) if self._repair else None
            if repair:
                job.outcome = None
                return repair
            # The output may still change the outcome.
            is_collected = self._outputs.collect_from_row(job)
            if self._sudo and (not is_collected or self._sudo.may_be_held(job)):
                return partial(self._sudo.check, fetch=self._outputs.fetch)
            return None if is_collected else self._outputs.fetch
        if job.outcome:
            return None
        if job.missing_since and not job.error and time.monotonic() - job.missing_since >= PACING.patience:
            return self.time_out(job)
        if job.id in self._restarted:
            mark_restarted(job)
        return partial(cancel_offline, self._outputs.client) if job.id in self._to_cancel else None

    def time_out(self, job: Job) -> Settle | None:
        if self._sudo and job.held_since:
            self._sudo.time_out(job)
            return None
        if job.may_be_late and time.monotonic() >= self._limits.not_after:
            return partial(cancel_late, self._outputs.client)
        return partial(cancel_expired, self._outputs.client) if time_out(job, self._limits) else None

    def settle_lost(self, jobs: Sequence[Job], client: Client) -> None:
        pass

    def is_final(self, error: ApiError) -> bool:
        return ends_polls(error)


def ends_polls(error: ApiError) -> bool:
    """Return True if the API refuses the token, or its quota stays used up for too long."""
    # A 403 without an error code of the API is from a proxy or a workspace without its database, and may be temporary.
    is_refused = error.status in (401, 403) and error.stated and not error.is_unauthenticated
    return is_refused or error.status == 429


@dataclass
class _Restart:
    """A restart of an agent that may have lost a command.

    Attributes:
        seen_at: monotonic seconds.
        progress: status and newest output of the command when the restart was seen first.
        survived: True if the command made progress since.
    """

    started_at: datetime | None
    seen_at: float
    progress: tuple[str, Any]
    survived: bool = False


class ServerStates:
    """Reads the servers of commands that make no progress, at growing intervals: each server may cost a request.

    Args:
        queued: seconds that a command is queued before its server is read.
        queued_each: seconds to add for each command of the task.
    """

    def __init__(self, limits: Limits, queued: float, queued_each: float = 0.0) -> None:
        self._limits = limits
        self._queued = queued
        self._queued_each = queued_each
        #: By command ID: the next read of its server in monotonic seconds, and the pause before that read.
        self._next_reads: dict[str, tuple[float, float]] = {}
        #: By command ID.
        self._restarts: dict[str, _Restart] = {}
        self._expired: set[str] = set()

    def refresh_due(self, jobs: Sequence[Job], client: Client, now: float) -> list[Job]:
        """Read the servers of commands that make no progress, and once more at their timeout. Return these jobs."""
        due = []
        queued = self._queued + self._queued_each * len(jobs)
        for job in jobs:
            command = job.submitted
            expires_now = now >= self._limits.get_end(job) and command.id not in self._expired
            if expires_now:
                self._expired.add(command.id)
            if (expires_now and _depends_on_server(command)) or self._is_due(command, job.awaited_since, now, queued):
                due.append(job)
                first = PACING.ask_again if command.status == "queued" else PACING.ask_again_longest
                _next, pause = self._next_reads.get(command.id, (now, first / 2))
                pause = min(2 * pause, PACING.ask_again_longest)
                self._next_reads[command.id] = now + pause, pause
        _refresh_servers(due, client)
        return due

    def _is_due(self, command: Command, awaited_since: float, now: float, queued: float) -> bool:
        if command.id in self._next_reads:
            return now >= self._next_reads[command.id][0]
        wait = queued if command.status == "queued" else PACING.running
        return _depends_on_server(command) and now >= awaited_since + wait

    def is_lost_by_restart(self, job: Job, client: Client, now: float) -> bool:
        """Return True if a command made no progress for :attr:`Pacing.patience` seconds after a restart."""
        try:
            poll_job(client, job)
            command = job.submitted
            if job.missing_since or not _was_taken_by_earlier_agent(job):
                return False
            progress = command.status, fetch_newest_chunk(client, command)
        except AlpaconError:
            return False
        restart = self._restarts.get(command.id)
        if restart is None or restart.started_at != job.server.started_at:
            self._restarts[command.id] = _Restart(job.server.started_at, now, progress)
            self._next_reads[command.id] = now + PACING.patience, PACING.ask_again
            return False
        restart.survived = restart.survived or restart.progress != progress
        return not restart.survived and now >= restart.seen_at + PACING.patience


def _refresh_servers(jobs: Sequence[Job], client: Client) -> None:
    """Read the servers of these jobs. If that fails, the jobs do not change."""
    ids = list(dict.fromkeys(job.server.id for job in jobs if job.server.id))
    try:
        found = query_servers(client, ids)[0] if ids else {}
    except AlpaconError:
        return
    for job in jobs:
        servers = found.get(str(job.server.id))
        if servers:
            job.server = merge_servers(servers[0], job.server)


def refresh_unknown(jobs: Iterable[Job], client: Client, limits: Limits) -> None:
    """Read the servers whose connection state is unknown, unless C(offline=wait)."""
    if limits.offline != "wait":
        _refresh_servers([job for job in jobs if job.server.is_connected is None], client)


def _depends_on_server(command: Command) -> bool:
    return command.status == "queued" or command.status in IN_PROGRESS


def is_queued_offline(job: Job) -> bool:
    return job.submitted.status == "queued" and job.server.is_connected is False


def is_running_offline(job: Job) -> bool:
    return job.submitted.status in IN_PROGRESS and job.server.is_connected is False


def was_restarted(job: Job, since: datetime | None = None) -> bool:
    """Return True if the agent reported a start after a time: by default, the delivery of the command.

    Agents report their start late, so the command may still run; see :meth:`ServerStates.is_lost_by_restart`.
    """
    since = since or job.submitted.acked_at or job.submitted.delivered_at
    if job.submitted.status not in IN_PROGRESS or not since or not job.server.started_at:
        return False
    return job.server.started_at > since


def _was_taken_by_earlier_agent(job: Job) -> bool:
    """Return True if the agent that started last cannot be the one that acknowledged the command."""
    acked_at = job.submitted.acked_at
    return was_restarted(job, acked_at + _LATE_REPORT if acked_at else None)


def describe_offline(server: Server) -> str:
    last_seen = to_iso(server.last_connectivity)
    return f"{server}, offline, last connected at {last_seen}" if last_seen else f"{server}, which is offline"


def finish_by_status(job: Job, limits: Limits) -> bool:
    """Finish a job by the status of its command. Return True if the command ended, so that its output can be read."""
    command = job.submitted
    if command.status == "awaiting_purpose":
        job.add_note("The workspace holds it until it has a purpose. Set the option purpose.")
    if command.status == "awaiting_approval" and not limits.wait_for_approval:
        job.finish(Outcome.AWAITING_APPROVAL, Outcome.AWAITING_APPROVAL.explain(job.id))
    elif not (command.status == "error" and _is_temporary_error(job, limits)):
        outcome = get_outcome(command, limits.success_codes)
        if outcome:
            job.finish(outcome)
    return job.outcome is not None and command.finished


def _is_temporary_error(job: Job, limits: Limits) -> bool:
    """Return True if the status may be C(error) only because the command is approved and not delivered yet."""
    command = job.submitted
    if limits.wait_for_approval:
        return command.handled_at is None
    # Users often await a command by its ID right after they approve it.
    is_undelivered = not (job.body or command.handled_at or command.delivered_at)
    return is_undelivered and time.monotonic() - job.awaited_since < PACING.patience


def time_out(job: Job, limits: Limits) -> bool:
    """Finish a job that timed out. Return True if the caller has to cancel its command."""
    if job.missing_since:
        return _time_out_missing(job, limits)
    status = job.submitted.status
    outcome = Outcome(status) if status in ("stuck", "error") else Outcome.TIMED_OUT
    last = (job.error and f" The last poll failed: {job.error}") or ""
    waits = f" It waits for {describe_offline(job.server)}." if is_queued_offline(job) else ""
    if was_restarted(job):
        started = f"reported a start at {to_iso(job.server.started_at)}, after the command was delivered"
        waits = f" The agent of {job.server} {started}; a result might never come."
    job.finish(outcome, f"{outcome.explain(job.id)} Last status: {status}.{waits}{last}")
    return limits.cancel_on_timeout and job.submitted.pending and not job.adopted


def _time_out_missing(job: Job, limits: Limits) -> bool:
    job.error = None
    cancels = limits.cancel_on_timeout and bool(job.body) and job.submitted.pending and not job.adopted
    if cancels:
        msg = f"It was accepted as {job.id}, and the workspace does not show it."  # the cancel adds the rest
    elif job.body or job.submitted.line:
        msg = f"It was accepted as {job.id}, and the workspace does not show it: it was cancelled, or is not shown yet."
    else:
        msg = "The workspace does not show it: it was cancelled, the ID is wrong, or the token has no access to it."
    job.finish(Outcome.UNKNOWN, msg)
    return cancels


def mark_restarted(job: Job) -> None:
    """Finish a job whose command the restart of its agent has most likely ended."""
    delivery = "the agent acknowledged it" if job.submitted.acked_at else "it was delivered and not acknowledged"
    job.finish(
        Outcome.UNKNOWN,
        f"No result is expected: the agent of {job.server} was restarted at {to_iso(job.server.started_at)}, after"
        f" {delivery}, and has reported nothing since. It may have run in part. If a result arrives later,"
        f" state=finished with id={job.id} returns it.",
    )


def skip_offline(job: Job, limits: Limits) -> bool:
    """Finish a job whose server is offline, unless C(offline=wait). Return True if it is finished."""
    if limits.offline == "wait" or job.server.is_connected is not False:
        return False
    job.finish(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} Nothing was submitted to {describe_offline(job.server)}.")
    return True


def cancel_late(client: Client, job: Job) -> None:
    """Cancel a command that still waits at C(not_after), and finish its job. Go on awaiting it if it may have run."""
    try:
        done = cancel(client, job.submitted.id)
    except AlpaconError as error:
        reason = "It still waited at not_after, and might run later, since it could not be cancelled"
        job.finish(Outcome.TIMED_OUT, f"{reason}: {error}")
        return
    if done == SENT:
        job.add_note("It was delivered just before it was to be cancelled at not_after.")
    if done == SENT or (done == GONE and job.missing_since):
        job.was_cancelled_late = True
        return
    job.command, job.changed = job.submitted.with_status("cancelled"), False
    job.finish(Outcome.LATE, f"{Outcome.LATE.sentence} It was cancelled before it was delivered to {job.server}.")


def cancel_offline(client: Client, job: Job) -> None:
    """Cancel the command of an offline server and finish its job. If it was delivered meanwhile, change nothing."""
    try:
        done = cancel(client, job.submitted.id)
    except AlpaconError as error:
        job.add_note(f"{job.server} was offline, and the first attempt to cancel the command failed: {error}")
        return
    if done != SENT:
        job.command, job.changed = job.submitted.with_status("cancelled"), False
        where = f"It was cancelled before it was delivered to {describe_offline(job.server)}."
        job.finish(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} {where}")


def cancel_expired(client: Client, job: Job) -> None:
    """Cancel a command that timed out, and add the result to the message of its finished job."""
    try:
        done = cancel(client, job.submitted.id)
    except LostResponse as error:
        job.msg = f"{job.msg} It may have been cancelled: {error}"
        return
    except AlpaconError as error:
        job.msg = f"{job.msg} It could not be cancelled: {error}"
        return
    if done == SENT:
        job.msg = f"{job.msg} It could not be cancelled: it was delivered already."
    elif done == CANCELLED or not job.missing_since:
        job.command = job.submitted.with_status("cancelled")
        # Audits count their submits by changed, so the cancel of an own submit must not set it.
        job.changed = job.changed or (done == CANCELLED and not job.body)
        job.finish(Outcome.TIMED_OUT, "Not finished within wait_timeout, and cancelled before it was delivered.")
    else:
        job.msg = f"{job.msg} It was cancelled before, or is not shown yet."
