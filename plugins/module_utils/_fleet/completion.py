# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the wait for a command ends: by what the workspace says of it, by its time, or since it is taken back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
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
    """A restart of an agent that may have lost a command, and the progress of the command when that was seen first.

    Attributes:
        seen_at: monotonic seconds.
        survived: the command went on since, so that the new agent has it.
    """

    started_at: datetime | None
    seen_at: float
    progress: tuple[str, Any]
    survived: bool = False


class ServerStates:
    """Asks after the servers of commands that stay where they are, and seldom, since each answer is a request.

    Args:
        queued: a command that was not handed over for so long makes its server be asked, in seconds.
    """

    def __init__(self, client: Client, queued: float) -> None:
        self._client = client
        self._queued = queued
        #: Id of a command -> when its server is asked for next, in monotonic seconds, and the pause before that.
        self._asked: dict[str, tuple[float, float]] = {}
        #: Id of a command -> the restart of its server's agent.
        self._restarts: dict[str, _Restart] = {}

    def _is_due(self, command: Command, since: float, now: float) -> bool:
        """Whether the server of a command that is awaited since then is to be asked for now."""
        if command.id in self._asked:
            return now >= self._asked[command.id][0]
        if command.status == "queued":
            return now >= since + self._queued
        return command.status in IN_PROGRESS and now >= since + PACING.running

    def refresh(self, jobs: Sequence[Job]) -> None:
        """Ask how the servers of these jobs are."""
        states = self._states(str(job.server.id) for job in jobs)
        for job in jobs:
            job.server = merge_servers(states.get(str(job.server.id), job.server), job.server)

    def refresh_due(self, jobs: Sequence[Job], now: float, wait_timeout: float) -> list[Job]:
        """Ask how the servers of those jobs are whose commands stay where they are, and the first time their wait ends.

        Args:
            now: monotonic seconds.
            wait_timeout: seconds from the submit of a command until its wait ends.

        Returns:
            The jobs for which that was asked.
        """
        last = [job for job in jobs if now >= job.awaited_since + wait_timeout and not job.asked_last]
        for job in last:
            job.asked_last = True
        to_ask = {id(job) for job in last if _can_tell(job.known)}
        due = [job for job in jobs if id(job) in to_ask or self._is_due(job.known, job.awaited_since, now)]
        states = self._ask([job.known for job in due], now)
        for job in due:
            job.server = merge_servers(states.get(str(job.known.server.id), job.server), job.server)
        return due

    def is_lost_by_restart(self, job: Job, now: float) -> bool:
        """Look twice at a command whose agent was restarted; return True if it made no progress between both.

        Args:
            now: monotonic seconds.
        """
        try:
            poll_job(self._client, job)
            command = job.known
            if job.missing_since or not was_restarted(command, job.server):
                return False
            progress = command.status, fetch_newest_chunk(self._client, command)
        except AlpaconError:
            return False
        restart = self._restarts.get(command.id)
        if restart is None or restart.started_at != job.server.started_at:
            self._restarts[command.id] = _Restart(job.server.started_at, now, progress)
            self._asked[command.id] = now + PACING.patience, PACING.ask_again
            return False
        restart.survived = restart.survived or restart.progress != progress
        return not restart.survived and now >= restart.seen_at + PACING.patience

    def _ask(self, commands: Sequence[Command], now: float) -> dict[str, Server]:
        for command in commands:
            _due, pause = self._asked.get(command.id, (now, PACING.ask_again / 2))
            pause = min(2 * pause, PACING.ask_again_longest)
            self._asked[command.id] = now + pause, pause
        return self._states(command.server.id for command in commands if command.server.id)

    def _states(self, ids: Iterable[str]) -> dict[str, Server]:
        """Servers as they are now, by id; those that cannot be read are left out."""
        wanted = list(dict.fromkeys(ids))
        try:
            found = query_servers(self._client, wanted)[0] if wanted else {}
        except AlpaconError:
            return {}  # what is awaited goes on without
        return {server_id: servers[0] for server_id, servers in found.items() if servers}


def _can_tell(command: Command) -> bool:
    """Whether the server may say why a command stays where it is."""
    return command.status == "queued" or command.status in IN_PROGRESS


def waits_for(command: Command, server: Server) -> bool:
    """Whether a command waits for a server whose agent is not connected."""
    return command.status == "queued" and server.is_connected is False


def is_cut_off(command: Command, server: Server) -> bool:
    """Return True if the agent that has taken a command is not connected, so that its result cannot come yet."""
    return command.status in IN_PROGRESS and server.is_connected is False


def may_be_restarted(command: Command, server: Server) -> bool:
    """Return True if the agent started after a command that is under way was added: reason for a closer look."""
    if command.status not in IN_PROGRESS or not command.added_at or not server.started_at:
        return False
    return server.started_at > command.added_at


def was_restarted(command: Command, server: Server) -> bool:
    """Return True if the agent reported its start after the command was acknowledged, or delivered and no more.

    The report may be late, so this is no proof; see :meth:`ServerStates.is_lost_by_restart`.
    """
    taken_at = command.acked_at or command.delivered_at
    if command.status not in IN_PROGRESS or not taken_at or not server.started_at:
        return False
    return server.started_at > taken_at


def describe_offline(server: Server) -> str:
    """A server that is offline, and when it was not, in words."""
    last_seen = to_iso(server.last_connectivity)
    return f"{server}, offline, last connected at {last_seen}" if last_seen else f"{server}, which is offline"


def complete(job: Job, limits: Limits) -> bool:
    """Give a job its outcome if its command allows one; whether its output is still to be fetched."""
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
    """Whether an error is perhaps what the API shows after an approval, until the command is delivered."""
    command = job.known
    if limits.wait_for_approval:
        return command.handled_at is None
    # Who awaits a command by its id may have been told to, once it is approved.
    job.error_since = job.error_since or time.monotonic()
    is_waiting = not (job.body or command.handled_at or command.delivered_at)
    return is_waiting and time.monotonic() - job.error_since < PACING.patience


def is_missing_too_long(job: Job, now: float) -> bool:
    """Whether the workspace has not shown a command for so long, by monotonic seconds, that it never will."""
    return bool(job.missing_since) and now - job.missing_since >= PACING.patience


def time_out(job: Job, limits: Limits) -> bool:
    """End the wait of a job; whether its command is to be withdrawn."""
    if job.missing_since:
        withdraws = limits.cancel_on_timeout and bool(job.body) and job.known.pending
        _time_out_missing(job, withdraws)
        return withdraws
    status = job.known.status
    outcome = Outcome(status) if status in ("stuck", "error") else Outcome.TIMED_OUT
    last = (job.error and f" The last poll failed: {job.error}") or ""
    waits = f" It waits for {describe_offline(job.server)}." if waits_for(job.known, job.server) else ""
    if was_restarted(job.known, job.server):
        waits = f" The agent of {job.server} was restarted at {to_iso(job.server.started_at)}; a result may never come."
    job.finish(outcome, f"{outcome.sentence} Last status: {status}.{waits}{last}")
    return limits.cancel_on_timeout and job.known.pending


def _time_out_missing(job: Job, withdraws: bool) -> None:
    job.error = None
    if withdraws:
        # More is known once it is cancelled.
        job.finish(Outcome.UNKNOWN, f"It was accepted as {job.id}, and the workspace does not show it.")
        return
    job.finish(
        Outcome.UNKNOWN,
        f"It was accepted as {job.id}, and the workspace does not show it: it was cancelled, or reads lag behind."
        if job.body or job.known.line
        else "The workspace does not show it: it was cancelled, the id is wrong, or the token may not see it.",
    )


def mark_unknown(job: Job, error: AlpaconError) -> None:
    """End the wait of a job whose command cannot be read."""
    way_on = f"Once that is mended, await it with state=finished and id={job.id}."
    job.finish(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {error} {way_on}", error)


def mark_restarted(job: Job) -> None:
    """End the wait for a command that a restart of its agent has most likely ended."""
    taken = "the agent had taken it" if job.known.acked_at else "it was delivered and before the agent took it"
    job.finish(
        Outcome.UNKNOWN,
        f"No result is expected: the agent of {job.server} was restarted at {to_iso(job.server.started_at)}, after"
        f" {taken}, and nothing came since. It may have run in part. If it reports after all, state=finished with"
        f" id={job.id} returns its result.",
    )


def skip_offline(job: Job, limits: Limits) -> bool:
    """Whether nothing is to be submitted since the server is known to be offline; the outcome is then that."""
    if limits.offline == "wait" or job.server.is_connected is not False:
        return False
    job.finish(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} Nothing was submitted to {describe_offline(job.server)}.")
    return True


def cancel_offline(client: Client, job: Job) -> None:
    """Take back a command that waits for a server that is offline; where it is too late, it is awaited on."""
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
    """Take back a command whose time is up."""
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
