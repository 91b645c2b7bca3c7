# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finish jobs: by the status of their command, by their time, by the state of their server, or by a cancel."""

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
        progress: of the command when the restart was seen first.
        survived: True if the command went on since, so that the new agent has it.
    """

    started_at: datetime | None
    seen_at: float
    progress: tuple[str, Any]
    survived: bool = False


class ServerStates:
    """Reads the servers of commands that make no progress, and seldom, since each server may cost a request.

    Args:
        queued: seconds that a command is queued before its server is read.
    """

    def __init__(self, client: Client, queued: float) -> None:
        self._client = client
        self._queued = queued
        #: By the ID of a command: when its server is read next, in monotonic seconds, and the pause before that.
        self._next_reads: dict[str, tuple[float, float]] = {}
        #: By the ID of a command.
        self._restarts: dict[str, _Restart] = {}
        #: IDs of the commands whose time is up.
        self._expired: set[str] = set()

    def refresh(self, jobs: Sequence[Job]) -> None:
        """Read the servers of these jobs; a server that cannot be read stays as it is."""
        ids = list(dict.fromkeys(job.server.id for job in jobs if job.server.id))
        try:
            found = query_servers(self._client, ids)[0] if ids else {}
        except AlpaconError:
            return
        for job in jobs:
            for server in found.get(str(job.server.id), ())[:1]:
                job.server = merge_servers(server, job.server)

    def refresh_due(self, jobs: Sequence[Job], now: float, wait_timeout: float) -> list[Job]:
        """Read the servers of commands that make no progress, once more when their time is up. Return these jobs."""
        due = []
        for job in jobs:
            command = job.known
            is_last = now >= job.awaited_since + wait_timeout and command.id not in self._expired
            if is_last:
                self._expired.add(command.id)
            if (is_last and _may_be_offline(command)) or self._is_due(command, job.awaited_since, now):
                due.append(job)
                _next, pause = self._next_reads.get(command.id, (now, PACING.ask_again / 2))
                pause = min(2 * pause, PACING.ask_again_longest)
                self._next_reads[command.id] = now + pause, pause
        self.refresh(due)
        return due

    def _is_due(self, command: Command, awaited_since: float, now: float) -> bool:
        if command.id in self._next_reads:
            return now >= self._next_reads[command.id][0]
        wait = self._queued if command.status == "queued" else PACING.running
        return _may_be_offline(command) and now >= awaited_since + wait

    def is_lost_by_restart(self, job: Job, now: float) -> bool:
        """Return True if a command made no progress between two calls after a restart of its agent."""
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


def _may_be_offline(command: Command) -> bool:
    """Return True if the state of the server may explain why a command makes no progress."""
    return command.status == "queued" or command.status in IN_PROGRESS


def waits_for_server(job: Job) -> bool:
    """Return True if a command waits for a server whose agent is not connected."""
    return job.known.status == "queued" and job.server.is_connected is False


def is_cut_off(job: Job) -> bool:
    """Return True if the agent that has taken a command is not connected, so that its result cannot come yet."""
    return job.known.status in IN_PROGRESS and job.server.is_connected is False


def was_restarted(job: Job, since: datetime | None = None) -> bool:
    """Return True if the agent reported its start after it took the command, or after another time.

    The report may be late, so this is no proof; see :meth:`ServerStates.is_lost_by_restart`.
    """
    since = since or job.known.acked_at or job.known.delivered_at
    if job.known.status not in IN_PROGRESS or not since or not job.server.started_at:
        return False
    return job.server.started_at > since


def describe_offline(server: Server) -> str:
    last_seen = to_iso(server.last_connectivity)
    return f"{server}, offline, last connected at {last_seen}" if last_seen else f"{server}, which is offline"


def complete(job: Job, limits: Limits) -> bool:
    """Give a job its outcome if its command has one. Return True if the command ended, so that it has an output."""
    command = job.known
    if command.status == "awaiting_purpose":
        job.add_note("The workspace asked what it is for, and goes on only when told so: give the option purpose.")
    if command.status == "awaiting_approval" and not limits.wait_for_approval:
        job.finish(Outcome.AWAITING_APPROVAL)
    elif not (command.status == "error" and _may_pass(job, limits)):
        outcome = get_outcome(command, limits.success_codes)
        if outcome:
            job.finish(outcome)
    return job.outcome is not None and command.finished


def _may_pass(job: Job, limits: Limits) -> bool:
    """Return True if an error may be the moment between an approval and the delivery."""
    command = job.known
    if limits.wait_for_approval:
        return command.handled_at is None
    # A command is often awaited by its ID as soon as it is approved.
    is_undelivered = not (job.body or command.handled_at or command.delivered_at)
    return is_undelivered and time.monotonic() - job.awaited_since < PACING.patience


def is_missing_too_long(job: Job, now: float) -> bool:
    """Return True if the workspace has not shown a command for so long that it never will."""
    return bool(job.missing_since) and now - job.missing_since >= PACING.patience


def time_out(job: Job, limits: Limits) -> bool:
    """Finish a job whose time is up. Return True if its command is to be cancelled."""
    if job.missing_since:
        return _time_out_missing(job, limits)
    status = job.known.status
    outcome = Outcome(status) if status in ("stuck", "error") else Outcome.TIMED_OUT
    last = (job.error and f" The last poll failed: {job.error}") or ""
    waits = f" It waits for {describe_offline(job.server)}." if waits_for_server(job) else ""
    if was_restarted(job):
        waits = f" The agent of {job.server} was restarted at {to_iso(job.server.started_at)}; a result may never come."
    job.finish(outcome, f"{outcome.sentence} Last status: {status}.{waits}{last}")
    return limits.cancel_on_timeout and job.known.pending


def _time_out_missing(job: Job, limits: Limits) -> bool:
    job.error = None
    cancels = limits.cancel_on_timeout and bool(job.body) and job.known.pending
    if cancels:
        msg = f"It was accepted as {job.id}, and the workspace does not show it."  # the cancel tells more
    elif job.body or job.known.line:
        msg = f"It was accepted as {job.id}, and the workspace does not show it: it was cancelled, or reads lag behind."
    else:
        msg = "The workspace does not show it: it was cancelled, the id is wrong, or the token may not see it."
    job.finish(Outcome.UNKNOWN, msg)
    return cancels


def mark_unknown(job: Job, error: AlpaconError) -> None:
    """Finish a job whose command cannot be read."""
    remedy = f"Once that is mended, await it with state=finished and id={job.id}."
    job.finish(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {error} {remedy}", error)


def mark_restarted(job: Job) -> None:
    """Finish a job whose command was most likely lost by a restart of its agent."""
    taken = "the agent had taken it" if job.known.acked_at else "it was delivered and before the agent took it"
    job.finish(
        Outcome.UNKNOWN,
        f"No result is expected: the agent of {job.server} was restarted at {to_iso(job.server.started_at)}, after"
        f" {taken}, and nothing came since. It may have run in part. If it reports after all, state=finished with"
        f" id={job.id} returns its result.",
    )


def skip_offline(job: Job, limits: Limits) -> bool:
    """Finish a job whose server is offline, if nothing is to be submitted then. Return True if so."""
    if limits.offline == "wait" or job.server.is_connected is not False:
        return False
    job.finish(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} Nothing was submitted to {describe_offline(job.server)}.")
    return True


def cancel_offline(client: Client, job: Job) -> None:
    """Cancel a command that waits for a server that is offline. If it was delivered, the job goes on."""
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
    """Cancel a command whose time is up."""
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
        # Audits count by this what they submitted, which a command that was there before is not.
        job.changed = job.changed or (done == CANCELLED and not job.body)
        job.finish(Outcome.TIMED_OUT, "Not finished within wait_timeout, and cancelled before it was delivered.")
    else:
        job.msg = f"{job.msg} It was cancelled, or reads lag behind."
