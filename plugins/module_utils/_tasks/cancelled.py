# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""V(state=cancelled): withdraw commands by their ids, or all that match."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .._api.client import Client
from .._api.commands import CANCELLED, SENT, find_command
from .._api.commands_of_servers import pending_of, scheduled_for
from .._api.errors import AlpaconError, LostAnswer
from .._api.records import UNDER_WAY, Command, Server, is_same_time
from .._fleet.jobs import Job
from .._fleet.outcomes import Outcome
from .circuit_breaker import OneByOne
from .command_options import Order
from .command_task import CommandTask, Progress, placeholder
from .scheduled import schedule_line, submitted_lately, with_schedule


def cancelled(task: CommandTask) -> Progress:
    order = task.order
    jobs = _jobs_by_id(task.client, order.ids) if order.ids else _jobs_by_match(task)
    fine = (Outcome.CANCELLED,) if order.fail_if_sent else (Outcome.CANCELLED, Outcome.SENT)
    progress = Progress(jobs, fine=frozenset(fine))
    for job in jobs:
        command = job.command
        if command is None or job.outcome:
            continue
        if command.pending:
            _cancel_job(task, job)
            if job.changed:
                progress.before.append(schedule_line(task, job.server, command.line, command.scheduled_at))
        elif not command.line:
            _cancel_unseen(task, job)
        elif command.ran is False:
            job.end(Outcome.CANCELLED, f"Will not run: it is {command.status} already.")
        else:
            job.end(Outcome.SENT, Outcome.SENT.sentence)
    return progress


def _jobs_by_id(client: Client, ids: Sequence[str]) -> list[Job]:
    each = OneByOne()
    jobs = [_job_by_id(client, command_id, each) for command_id in ids]
    errors = [job.error for job in jobs if job.error]
    if len(errors) == len(jobs):
        raise errors[0]
    return jobs


def _job_by_id(client: Client, command_id: str, each: OneByOne) -> Job:
    # It may not be visible yet; a request to cancel does not lag.
    job = Job(Server(None), command=placeholder(command_id))
    try:
        command = each.read(partial(find_command, client, command_id))
    except AlpaconError as error:
        job.end(Outcome.UNKNOWN, f"It could not be read, and was not cancelled. {error}", error)
        return job
    return Job(command.server, command=command) if command else job


def _jobs_by_match(task: CommandTask) -> list[Job]:
    """A job for each matching command that waits, or is under way; one without a command for a server that has none."""
    client, order = task.client, task.order
    servers = {str(server.id): server for server in task.servers()}
    found: dict[str, list[Job]] = {server_id: [] for server_id in servers}
    rows = (
        pending_of(client, list(servers))
        if order.scheduled_at is None
        else scheduled_for(client, list(servers), order.scheduled_at)
    )
    # Lists may lag behind what this run has submitted and withdrawn.
    seen = task.gone()
    lately = [row for row in submitted_lately(task) if str(row.server.id) in servers]
    for row in filter(order.match().matches, (*rows, *lately)):
        if row.id in seen:
            continue
        seen.add(row.id)
        command = _meant_by(client, order, row)
        if command:
            server_id = str(row.server.id)
            found[server_id].append(Job(servers[server_id], command=command))
    nothing = "Nothing waits to be cancelled."
    return [
        job
        for server_id, server in servers.items()
        for job in found[server_id] or [Job(server, outcome=Outcome.CANCELLED, msg=nothing)]
    ]


def _meant_by(client: Client, order: Order, row: Command) -> Command | None:
    """The command, if a request to cancel means it: pending or under way, or at the very time that is given."""
    if order.scheduled_at is None:
        return row if row.pending or (row.status in UNDER_WAY and row.status != "stuck") else None
    command = with_schedule(client, row)
    if command is None or not is_same_time(command.scheduled_at, order.scheduled_at) or command.status == "cancelled":
        return None
    return command


def _cancel_unseen(task: CommandTask, job: Job) -> None:
    if task.run.check_mode:
        job.command = job.known.with_status("cancelled")
        job.end(Outcome.CANCELLED, "There is no such command (any more).")
        return
    _cancel_job(task, job)
    if job.outcome == Outcome.CANCELLED and not job.changed:
        job.msg = "There is no such command (any more)."


def _cancel_job(task: CommandTask, job: Job) -> None:
    if task.run.check_mode:
        job.changed = True
        job.end(Outcome.CANCELLED, "Would be cancelled.")
        return
    try:
        done = task.cancel(job.known.id)
    except LostAnswer as error:
        job.end(Outcome.UNKNOWN, f"Not known to be cancelled. {error}", error)
        return
    except AlpaconError as error:
        job.end(Outcome.REFUSED, f"Not cancelled. {error}", error)
        return
    if done == SENT:
        job.end(Outcome.SENT, Outcome.SENT.sentence)
        return
    job.command = job.known.with_status("cancelled")
    job.changed = done == CANCELLED
    job.end(Outcome.CANCELLED, "Cancelled." if job.changed else "Gone already.")
