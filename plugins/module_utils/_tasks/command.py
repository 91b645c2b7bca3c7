# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task of M(herdops.alpacon.alpacon_command) means."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Callable

from .._api.client import Client
from .._api.commands import (
    CANCELLED,
    CLOCK_UNKNOWN,
    SENT,
    fetch_rc,
    find_command,
    find_latest_ended,
    list_pending,
    list_scheduled_for,
)
from .._api.errors import AlpaconError, LostResponse, clean_line
from .._api.records import IN_PROGRESS, SHELLS, Command, Server, is_same_time, to_iso
from .._fleet.jobs import Job, Outcome, get_outcome
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .._options.secrets import collect_secrets
from . import command_options, command_results
from .command_options import CommandOptions
from .command_query import CircuitBreaker
from .command_task import CommandTask, Progress, await_parents, fetch_outputs, placeholder
from .scheduled import schedule_line, scheduled, submitted_lately, with_schedule


def executed(task: CommandTask) -> Progress:
    options, servers = task.options, task.servers()
    # What is known of the workspace's clock is up to a second early: no time at all must not become a second.
    reused = _reusable(task, servers, options.reuse_within) if options.reuse_within else {}
    jobs = [
        _reused_job(server, reused[server.id], options) if server.id in reused else Job(server) for server in servers
    ]
    fresh = [job for job in jobs if not job.outcome]
    progress = Progress(jobs, ok_outcomes=options.limits.ok_outcomes)
    if fresh:
        task.check_env()
    for job in fresh:
        job.body = options.body(job.server)
    fleet = task.fleet()
    fetch_outputs(fleet, [job for job in jobs if job.outcome])
    if task.run.check_mode:
        for job in fleet.skip_offline(fresh):
            job.changed, job.msg = True, "Would be submitted."
    else:
        task.lock_servers([job.server for job in fresh])
        if await_parents(task, fresh):
            fleet.run(fresh)
        progress.warnings += _unconfirmed(options, fresh)
    return progress


def _reused_job(server: Server, command: Command, options: CommandOptions) -> Job:
    msg = f"Taken from a command that ended at {to_iso(command.end)}, within reuse_within."
    return Job(server, command=command, outcome=get_outcome(command, options.limits.success_codes), msg=msg)


def _reusable(task: CommandTask, servers: Sequence[Server], seconds: float) -> dict[str | None, Command]:
    """For each server the latest matching command that succeeded recently enough."""
    client, options = task.client, task.options

    def succeeded(command: Command) -> Command | None:
        if not task.believes(command):
            return None
        known = fetch_rc(client, command) if options.limits.success_codes - {0} else command
        return known if get_outcome(known, options.limits.success_codes) == Outcome.SUCCESS else None

    matches = [options.match(server.id) for server in servers]
    latest = find_latest_ended(client, matches, seconds, succeeded)
    if not client.clock.is_known:
        task.run.warn(CLOCK_UNKNOWN)
    return {match.server_id: command for match, command in latest.items()}


def _unconfirmed(options: CommandOptions, jobs: Sequence[Job]) -> list[str]:
    """Servers of 2024 ignore fields that they do not know."""
    newer = [name for name in ("env", "work_session", "purpose") if name in options.extra]
    if options.has_payload:
        newer = [name for name in newer if name != "env"]  # without it nothing runs, which each command tells
    old = any(job.command and job.output and not job.command.may_have_chunks for job in jobs)
    if newer and old:
        return [f"{', '.join(newer)}: this workspace answers like one that does not know it, and may have ignored it."]
    return []


def finished(task: CommandTask) -> Progress:
    jobs = [Job(Server(None), command=placeholder(command_id)) for command_id in task.options.ids]
    cancels = task.options.limits.cancel_on_timeout and not task.run.check_mode
    task.fleet(cancel_on_timeout=cancels).run(jobs)
    return Progress(jobs)


def cancelled(task: CommandTask) -> Progress:
    options = task.options
    jobs = _jobs_by_id(task.client, options.ids) if options.ids else _jobs_by_match(task)
    fine = (Outcome.CANCELLED,) if options.fail_if_sent else (Outcome.CANCELLED, Outcome.SENT)
    progress = Progress(jobs, ok_outcomes=frozenset(fine))
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
            job.finish(Outcome.CANCELLED, f"Will not run: it is {command.status} already.")
        else:
            job.finish(Outcome.SENT, Outcome.SENT.sentence)
    return progress


def _jobs_by_id(client: Client, ids: Sequence[str]) -> list[Job]:
    each = CircuitBreaker()
    jobs = [_job_by_id(client, command_id, each) for command_id in ids]
    errors = [job.error for job in jobs if job.error]
    if len(errors) == len(jobs):
        raise errors[0]
    return jobs


def _job_by_id(client: Client, command_id: str, each: CircuitBreaker) -> Job:
    # It may not be visible yet; a request to cancel does not lag.
    job = Job(Server(None), command=placeholder(command_id))
    try:
        command = each.read(partial(find_command, client, command_id))
    except AlpaconError as error:
        job.finish(Outcome.UNKNOWN, f"It could not be read, and was not cancelled. {error}", error)
        return job
    return Job(command.server, command=command) if command else job


def _jobs_by_match(task: CommandTask) -> list[Job]:
    """A job for each matching command that waits, or is under way; one without a command for a server that has none."""
    client, options = task.client, task.options
    servers = {str(server.id): server for server in task.servers()}
    found: dict[str, list[Job]] = {server_id: [] for server_id in servers}
    rows = (
        list_pending(client, list(servers))
        if options.scheduled_at is None
        else list_scheduled_for(client, list(servers), options.scheduled_at)
    )
    # Lists may lag behind what this run has submitted and withdrawn.
    seen = task.gone()
    lately = [row for row in submitted_lately(task) if str(row.server.id) in servers]
    for row in filter(options.match().matches, (*rows, *lately)):
        if row.id in seen:
            continue
        seen.add(row.id)
        command = _meant_by(client, options, row)
        if command:
            server_id = str(row.server.id)
            found[server_id].append(Job(servers[server_id], command=command))
    nothing = "Nothing waits to be cancelled."
    return [
        job
        for server_id, server in servers.items()
        for job in found[server_id] or [Job(server, outcome=Outcome.CANCELLED, msg=nothing)]
    ]


def _meant_by(client: Client, options: CommandOptions, row: Command) -> Command | None:
    """The command, if a request to cancel means it: pending or under way, or at the very time that is given."""
    if options.scheduled_at is None:
        return row if row.pending or (row.status in IN_PROGRESS and row.status != "stuck") else None
    command = with_schedule(client, row)
    if command is None or not is_same_time(command.scheduled_at, options.scheduled_at) or command.status == "cancelled":
        return None
    return command


def _cancel_unseen(task: CommandTask, job: Job) -> None:
    if task.run.check_mode:
        job.command = job.known.with_status("cancelled")
        job.finish(Outcome.CANCELLED, "There is no such command (any more).")
        return
    _cancel_job(task, job)
    if job.outcome == Outcome.CANCELLED and not job.changed:
        job.msg = "There is no such command (any more)."


def _cancel_job(task: CommandTask, job: Job) -> None:
    if task.run.check_mode:
        job.changed = True
        job.finish(Outcome.CANCELLED, "Would be cancelled.")
        return
    try:
        done = task.cancel(job.known.id)
    except LostResponse as error:
        job.finish(Outcome.UNKNOWN, f"Not known to be cancelled. {error}", error)
        return
    except AlpaconError as error:
        job.finish(Outcome.REFUSED, f"Not cancelled. {error}", error)
        return
    if done == SENT:
        job.finish(Outcome.SENT, Outcome.SENT.sentence)
        return
    job.command = job.known.with_status("cancelled")
    job.changed = done == CANCELLED
    job.finish(Outcome.CANCELLED, "Cancelled." if job.changed else "Gone already.")


WAIT: dict[str, dict[str, Any]] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "30m"},
    "wait_for_approval": {"type": "bool", "default": False},
    "cancel_on_timeout": {"type": "bool", "default": False},
}

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "line": {"type": "str", "aliases": ["cmd"]},
    "script": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "stdin": {"type": "str"},
    "chdir": {"type": "str"},
    "executable": {"type": "str"},
    "creates": {"type": "str"},
    "removes": {"type": "str"},
    "state": {"type": "str", "default": "executed", "choices": ["executed", "scheduled", "finished", "cancelled"]},
    "ids": {"type": "list", "elements": "str", "aliases": ["id"]},
    "shell": {"type": "str", "default": "system", "choices": list(SHELLS)},
    "username": {"type": "str"},
    "groupname": {"type": "str"},
    "env": {"type": "dict"},
    "run_after": {"type": "list", "elements": "str"},
    "work_session": {"type": "str"},
    "purpose": {"type": "str"},
    "scheduled_at": {"type": "str"},
    "reschedule": {"type": "bool", "default": False},
    "reuse_within": {"type": "str"},
    "fail_if_sent": {"type": "bool", "default": True},
    "offline": {"type": "str", "default": "wait", "choices": ["wait", "fail", "skip"]},
    "max_concurrency": {"type": "str"},
    "max_errors": {"type": "str"},
    "progress": {"type": "bool"},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
    "output_limit": {"type": "int"},
    **WAIT,
}
#: What the module takes where it is shipped to another host: no file of the controller is there.
SHIPPED_SPEC: dict[str, dict[str, Any]] = {**SPEC, command_options.CONTENT: {"type": "str", "no_log": True}}


#: So many servers are named in a warning.
_NAMED_SERVERS = 10
_TRIMMED = (
    "env: workspaces may take off blanks and line breaks at both ends of a value, and these have some: {names}."
    " Use script or argv, with which each value arrives as it is."
)


def run_command(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_command).

    Args:
        options: the validated options of the task.
        run: the run that the task is part of.

    Returns:
        The result of the task, with ``failed`` where it failed.

    Raises:
        AlpaconError: nothing was written.
    """
    settings = parse_settings(options, run.warn)
    checked = CommandOptions.from_options(options)
    if checked.trimmed:
        names = f"{len(checked.trimmed)} of them" if run.no_log else ", ".join(checked.trimmed)
        run.warn(_TRIMMED.format(names=names))
    shared = run.shared(settings) if run.hosts > 1 else None
    with run.client(settings, shared) as client:
        client.deadline = time.monotonic() + checked.limits.wait_timeout
        progress = _STATES[checked.state](CommandTask(client, checked, run, shared, collect_secrets(options)))
        if checked.limits.offline == "skip":
            _warn_of_skipped(progress.jobs, run)
        result = command_results.of_jobs(progress.jobs, progress.ok_outcomes, run.no_log)
        result["requests"] = client.requests
    for warning in progress.warnings:
        run.warn(warning)
    if run.diff_mode and (progress.before or progress.after):
        result["diff"] = {"before": _lines(progress.before), "after": _lines(progress.after)}
    return result


def _warn_of_skipped(jobs: Sequence[Job], run: Run) -> None:
    """Name the servers that were skipped because they are offline."""
    # By its UUID alone, a server has no name.
    names = [str(job.server.name or run.own_server or job.server) for job in jobs if job.outcome == Outcome.OFFLINE]
    if names:
        more = f" and {len(names) - _NAMED_SERVERS} more" if len(names) > _NAMED_SERVERS else ""
        count = "1 server is" if len(names) == 1 else f"{len(names)} servers are"
        run.warn(f"offline: {count} offline and skipped: {', '.join(names[:_NAMED_SERVERS])}{more}.")


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{clean_line(text)}\n" for text in texts)


_STATES: dict[str, Callable[[CommandTask], Progress]] = {
    "executed": executed,
    "scheduled": scheduled,
    "finished": finished,
    "cancelled": cancelled,
}
