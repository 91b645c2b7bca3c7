# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide when jobs end: by the status of the command, a timeout, the state of the server, or a cancel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._api.client import Client
from .._api.commands import CANCELLED, SENT, cancel
from .._api.errors import AlpaconError, LostResponse
from .._api.outputs import fetch_newest_chunk
from .._api.records import IN_PROGRESS, Command, Server, to_iso
from .._api.servers import query_servers
from .jobs import Job, Limits, Outcome, get_outcome, merge_servers
from .pacing import PACING
from .poller import poll_job


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

    def __init__(self, client: Client, queued: float, queued_each: float = 0.0) -> None:
        self._client = client
        self._queued = queued
        self._queued_each = queued_each
        #: By command ID: the next read of its server in monotonic seconds, and the pause before that read.
        self._next_reads: dict[str, tuple[float, float]] = {}
        #: By command ID.
        self._restarts: dict[str, _Restart] = {}
        self._expired: set[str] = set()

    def refresh(self, jobs: Sequence[Job]) -> None:
        """Read the servers of these jobs. If that fails, the jobs do not change."""
        ids = list(dict.fromkeys(job.server.id for job in jobs if job.server.id))
        try:
            found = query_servers(self._client, ids)[0] if ids else {}
        except AlpaconError:
            return
        for job in jobs:
            servers = found.get(str(job.server.id))
            if servers:
                job.server = merge_servers(servers[0], job.server)

    def refresh_due(self, jobs: Sequence[Job], now: float, wait_timeout: float) -> list[Job]:
        """Read the servers of commands that make no progress, and once more at their timeout. Return these jobs."""
        due = []
        queued = self._queued + self._queued_each * len(jobs)
        for job in jobs:
            command = job.known
            expires_now = now >= job.awaited_since + wait_timeout and command.id not in self._expired
            if expires_now:
                self._expired.add(command.id)
            if (expires_now and _depends_on_server(command)) or self._is_due(command, job.awaited_since, now, queued):
                due.append(job)
                first = PACING.ask_again if command.status == "queued" else PACING.ask_again_longest
                _next, pause = self._next_reads.get(command.id, (now, first / 2))
                pause = min(2 * pause, PACING.ask_again_longest)
                self._next_reads[command.id] = now + pause, pause
        self.refresh(due)
        return due

    def _is_due(self, command: Command, awaited_since: float, now: float, queued: float) -> bool:
        if command.id in self._next_reads:
            return now >= self._next_reads[command.id][0]
        wait = queued if command.status == "queued" else PACING.running
        return _depends_on_server(command) and now >= awaited_since + wait

    def is_lost_by_restart(self, job: Job, now: float) -> bool:
        """Return True if a command made no progress for :attr:`Pacing.patience` seconds after a restart."""
        try:
            poll_job(self._client, job)
            command = job.known
            if job.missing_since or not was_restarted(job):
                return False
            progress = command.status, fetch_newest_chunk(self._client, command)
        except AlpaconError:
            return False
        restart = self._restarts.get(command.id)
        if restart is None or restart.started_at != job.server.started_at:
            self._restarts[command.id] = _Restart(job.server.started_at, now, progress)
            self._next_reads[command.id] = now + PACING.patience, PACING.ask_again
            return False
        restart.survived = restart.survived or restart.progress != progress
        return not restart.survived and now >= restart.seen_at + PACING.patience


def _depends_on_server(command: Command) -> bool:
    return command.status == "queued" or command.status in IN_PROGRESS


def is_queued_offline(job: Job) -> bool:
    return job.known.status == "queued" and job.server.is_connected is False


def is_running_offline(job: Job) -> bool:
    return job.known.status in IN_PROGRESS and job.server.is_connected is False


def was_restarted(job: Job, since: datetime | None = None) -> bool:
    """Return True if the agent reported a start after a time: by default, the delivery of the command.

    Agents report their start late, so the command may still run; see :meth:`ServerStates.is_lost_by_restart`.
    """
    since = since or job.known.acked_at or job.known.delivered_at
    if job.known.status not in IN_PROGRESS or not since or not job.server.started_at:
        return False
    return job.server.started_at > since


def describe_offline(server: Server) -> str:
    last_seen = to_iso(server.last_connectivity)
    return f"{server}, offline, last connected at {last_seen}" if last_seen else f"{server}, which is offline"


def complete(job: Job, limits: Limits) -> bool:
    """Finish a job by the status of its command. Return True if the command ended, so that its output can be read."""
    command = job.known
    if command.status == "awaiting_purpose":
        job.add_note("The workspace holds it until it has a purpose. Set the option purpose.")
    if command.status == "awaiting_approval" and not limits.wait_for_approval:
        job.finish(Outcome.AWAITING_APPROVAL)
    elif not (command.status == "error" and _is_temporary_error(job, limits)):
        outcome = get_outcome(command, limits.success_codes)
        if outcome:
            job.finish(outcome)
    return job.outcome is not None and command.finished


def _is_temporary_error(job: Job, limits: Limits) -> bool:
    """Return True if the status may be C(error) only because the command is approved and not delivered yet."""
    command = job.known
    if limits.wait_for_approval:
        return command.handled_at is None
    # Users often await a command by its ID right after they approve it.
    is_undelivered = not (job.body or command.handled_at or command.delivered_at)
    return is_undelivered and time.monotonic() - job.awaited_since < PACING.patience


def time_out(job: Job, limits: Limits) -> bool:
    """Finish a job that timed out. Return True if the caller has to cancel its command."""
    if job.missing_since:
        return _time_out_missing(job, limits)
    status = job.known.status
    outcome = Outcome(status) if status in ("stuck", "error") else Outcome.TIMED_OUT
    last = (job.error and f" The last poll failed: {job.error}") or ""
    waits = f" It waits for {describe_offline(job.server)}." if is_queued_offline(job) else ""
    if was_restarted(job):
        waits = f" The agent of {job.server} was restarted at {to_iso(job.server.started_at)}; a result may never come."
    job.finish(outcome, f"{outcome.sentence} Last status: {status}.{waits}{last}")
    return limits.cancel_on_timeout and job.known.pending


def _time_out_missing(job: Job, limits: Limits) -> bool:
    job.error = None
    cancels = limits.cancel_on_timeout and bool(job.body) and job.known.pending
    if cancels:
        msg = f"It was accepted as {job.id}, and the workspace does not show it."  # the cancel adds the rest
    elif job.body or job.known.line:
        msg = f"It was accepted as {job.id}, and the workspace does not show it: it was cancelled, or is not shown yet."
    else:
        msg = "The workspace does not show it: it was cancelled, the ID is wrong, or the token may not see it."
    job.finish(Outcome.UNKNOWN, msg)
    return cancels


def mark_restarted(job: Job) -> None:
    """Finish a job whose command the restart of its agent has most likely ended."""
    delivery = "the agent acknowledged it" if job.known.acked_at else "it was delivered and not acknowledged"
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


def cancel_offline(client: Client, job: Job) -> None:
    """Cancel the command of an offline server and finish its job. If it was delivered meanwhile, change nothing."""
    try:
        done = cancel(client, job.known.id)
    except AlpaconError as error:
        job.add_note(f"{job.server} was offline, and the first try to cancel the command failed: {error}")
        return
    if done != SENT:
        job.command, job.changed = job.known.with_status("cancelled"), False
        where = f"It was cancelled before it was delivered to {describe_offline(job.server)}."
        job.finish(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} {where}")


def cancel_expired(client: Client, job: Job) -> None:
    """Cancel a command that timed out, and add the result to the message of its finished job."""
    try:
        done = cancel(client, job.known.id)
    except LostResponse as error:
        job.msg = f"{job.msg} It may have been cancelled: {error}"
        return
    except AlpaconError as error:
        job.msg = f"{job.msg} It could not be cancelled: {error}"
        return
    if done == SENT:
        job.msg = f"{job.msg} It could not be cancelled: it was delivered already."
    elif done == CANCELLED or not job.missing_since:
        job.command = job.known.with_status("cancelled")
        # Audits count their submits by changed, so the cancel of an own submit must not set it.
        job.changed = job.changed or (done == CANCELLED and not job.body)
        job.finish(Outcome.TIMED_OUT, "Not finished within wait_timeout, and cancelled before it was delivered.")
    else:
        job.msg = f"{job.msg} It was cancelled before, or is not shown yet."
