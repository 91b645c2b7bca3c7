# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""How the wait for a command ends: by what the workspace says of it, by its time, or since it is taken back."""

from __future__ import annotations

import time

from .._api.client import Client
from .._api.commands import CANCELLED, SENT, cancel
from .._api.errors import AlpaconError, LostAnswer
from .._api.records import iso
from .jobs import Job, Limits
from .outcomes import Outcome, outcome_of
from .server_state import offline, waits_for, was_restarted

#: Reads may lag behind writes: for so long a command that the workspace does not show is expected to become visible,
#: one that was submitted or seen, and one of which only the id is known, in seconds.
_VISIBLE_PATIENCE, _STRANGER_PATIENCE = 30.0, 10.0
#: For so long an error may be the moment between an approval and the delivery, in seconds.
_ERROR_PATIENCE = 60.0


def settle(job: Job, limits: Limits) -> bool:
    """Give a job its outcome if its command allows one; whether its output is still to be fetched."""
    command = job.known
    if command.status == "awaiting_purpose":
        job.remark("The workspace asked what it is for, and goes on only when told so: give the option purpose.")
    if command.status == "awaiting_approval" and not limits.wait_for_approval:
        job.end(Outcome.AWAITING_APPROVAL)
    elif not (command.status == "error" and _may_pass(job, limits)):
        outcome = outcome_of(command, limits.success_codes)
        if outcome:
            job.end(outcome)
    return job.outcome is not None and command.finished


def _may_pass(job: Job, limits: Limits) -> bool:
    """Whether an error is perhaps what the API shows after an approval, until the command is delivered."""
    command = job.known
    if limits.wait_for_approval:
        return command.handled_at is None
    # Who awaits a command by its id may have been told to, once it is approved.
    job.erring = job.erring or time.monotonic()
    is_waiting = not (job.body or command.handled_at or command.delivered_at)
    return is_waiting and time.monotonic() - job.erring < _ERROR_PATIENCE


def is_lost(job: Job, now: float) -> bool:
    """Whether the workspace has not shown a command for so long, by monotonic seconds, that it never will."""
    patience = _VISIBLE_PATIENCE if job.body or job.known.line else _STRANGER_PATIENCE
    return bool(job.missing) and now - job.missing >= patience


def time_out(job: Job, limits: Limits) -> bool:
    """End the wait of a job; whether its command is to be withdrawn."""
    if job.missing:
        withdraws = limits.cancel_on_timeout and bool(job.body) and job.known.pending
        _give_up_unseen(job, withdraws)
        return withdraws
    status = job.known.status
    outcome = Outcome(status) if status in ("stuck", "error") else Outcome.TIMED_OUT
    last = (job.error and f" The last look failed: {job.error}") or ""
    waits = f" It waits for {offline(job.server)}." if waits_for(job.known, job.server) else ""
    if was_restarted(job.known, job.server):
        waits = f" The agent of {job.server} was restarted at {iso(job.server.started_at)}; a result may never come."
    job.end(outcome, f"{outcome.sentence} Last status: {status}.{waits}{last}")
    return limits.cancel_on_timeout and job.known.pending


def _give_up_unseen(job: Job, withdraws: bool) -> None:
    job.error = None
    if withdraws:
        # More is known once it is cancelled.
        job.end(Outcome.UNKNOWN, f"It was accepted as {job.id}, and the workspace does not show it.")
        return
    job.end(
        Outcome.UNKNOWN,
        f"It was accepted as {job.id}, and the workspace does not show it: it was cancelled, or reads lag behind."
        if job.body or job.known.line
        else "The workspace does not show it: it was cancelled, the id is wrong, or the token may not see it.",
    )


def lose(job: Job, error: AlpaconError) -> None:
    """End the wait of a job whose command cannot be read."""
    way_on = f"Once that is mended, await it with state=finished and id={job.id}."
    job.end(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {error} {way_on}", error)


def give_up_restarted(job: Job) -> None:
    """End the wait for a command that a restart of its agent has most likely ended."""
    taken = "the agent had taken it" if job.known.acked_at else "it was delivered and before the agent took it"
    job.end(
        Outcome.UNKNOWN,
        f"No result is expected: the agent of {job.server} was restarted at {iso(job.server.started_at)}, after"
        f" {taken}, and nothing came since. It may have run in part. If it reports after all, state=finished with"
        f" id={job.id} returns its result.",
    )


def leave_aside(job: Job, limits: Limits) -> bool:
    """Whether nothing is to be submitted since the server is known to be offline; the outcome is then that."""
    if limits.offline == "wait" or job.server.is_connected is not False:
        return False
    job.end(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} Nothing was submitted to {offline(job.server)}.")
    return True


def leave_out(client: Client, job: Job) -> None:
    """Take back a command that waits for a server that is offline; where it is too late, it is awaited on."""
    try:
        done = cancel(client, job.known.id)
    except AlpaconError as error:
        job.remark(f"{job.server} was offline, and the first try to cancel the command failed: {error}")
        return
    if done != SENT:
        job.command, job.changed = job.known.with_status("cancelled"), False
        where = f"It was cancelled before it was delivered to {offline(job.server)}."
        job.end(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} {where}")


def withdraw(client: Client, job: Job) -> None:
    """Take back a command whose time is up."""
    try:
        done = cancel(client, job.known.id)
    except LostAnswer as error:
        job.msg = f"{job.msg} It may have been cancelled: {error}"
        return
    except AlpaconError as error:
        job.msg = f"{job.msg} It could not be cancelled: {error}"
        return
    if done == SENT:
        job.msg = f"{job.msg} It could not be cancelled: it was delivered already."
    elif done == CANCELLED or not job.missing:
        job.command = job.known.with_status("cancelled")
        # Audits count by this what they submitted, which a command that was there before is not.
        job.changed = job.changed or (done == CANCELLED and not job.body)
        job.end(Outcome.TIMED_OUT, "Not finished within wait_timeout, and cancelled before it was delivered.")
    else:
        job.msg = f"{job.msg} It was cancelled, or reads lag behind."
