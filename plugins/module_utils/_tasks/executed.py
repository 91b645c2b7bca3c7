# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""V(state=executed): submit commands, or take those that others have lately run, and await them."""

from __future__ import annotations

from collections.abc import Sequence

from .._api.commands import with_rc
from .._api.commands_of_servers import NO_CLOCK, latest_ended
from .._api.records import Command, Server, iso
from .._fleet.jobs import Job
from .._fleet.outcomes import Outcome, outcome_of
from .command_options import Order
from .command_task import CommandTask, Progress, fetch_outputs
from .parents import await_parents


def executed(task: CommandTask) -> Progress:
    order, servers = task.order, task.servers()
    # What is known of the workspace's clock is up to a second early: no time at all must not become a second.
    reused = _reusable(task, servers, order.reuse_within) if order.reuse_within else {}
    jobs = [_reused_job(server, reused[server.id], order) if server.id in reused else Job(server) for server in servers]
    fresh = [job for job in jobs if not job.outcome]
    progress = Progress(jobs, fine=order.limits.fine)
    if fresh:
        task.check_env()
    for job in fresh:
        job.body = order.body(job.server)
    fleet = task.fleet()
    fetch_outputs(fleet, [job for job in jobs if job.outcome])
    if task.run.check_mode:
        for job in fleet.leave_aside(fresh):
            job.changed, job.msg = True, "Would be submitted."
    else:
        task.claim([job.server for job in fresh])
        if await_parents(task, fresh):
            fleet.run(fresh)
        progress.warnings += _unconfirmed(order, fresh)
    return progress


def _reused_job(server: Server, command: Command, order: Order) -> Job:
    msg = f"Taken from a command that ended at {iso(command.end)}, within reuse_within."
    return Job(server, command=command, outcome=outcome_of(command, order.limits.success_codes), msg=msg)


def _reusable(task: CommandTask, servers: Sequence[Server], seconds: float) -> dict[str | None, Command]:
    """For each server the latest matching command that succeeded recently enough."""
    client, order = task.client, task.order

    def succeeded(command: Command) -> Command | None:
        if not task.believes(command):
            return None
        known = with_rc(client, command) if order.limits.success_codes - {0} else command
        return known if outcome_of(known, order.limits.success_codes) == Outcome.SUCCESS else None

    matches = [order.match(server.id) for server in servers]
    latest = latest_ended(client, matches, seconds, succeeded)
    if not client.clock.is_known:
        task.run.warn(NO_CLOCK)
    return {match.server_id: command for match, command in latest.items()}


def _unconfirmed(order: Order, jobs: Sequence[Job]) -> list[str]:
    """Servers of 2024 ignore fields that they do not know."""
    newer = [name for name in ("env", "work_session", "purpose") if name in order.extra]
    if order.carries:
        newer = [name for name in newer if name != "env"]  # without it nothing runs, which each command tells
    old = any(job.command and job.output and not job.command.may_have_chunks for job in jobs)
    if newer and old:
        return [f"{', '.join(newer)}: this workspace answers like one that does not know it, and may have ignored it."]
    return []
