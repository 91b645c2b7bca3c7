# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The argument spec and the states of M(herdops.alpacon.alpacon_command); state=scheduled has a module of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from .._api import commands
from .._api.client import Client
from .._api.commands import CANCELLED, GONE, SENT
from .._api.errors import AlpaconError, LostResponse
from .._api.lost_submits import OwnCommands
from .._api.records import IN_PROGRESS, SHELLS, Command, Server, is_same_time, to_iso
from .._fleet.jobs import Job, Outcome, get_outcome
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .._options.secrets import collect_secrets
from .command_options import CONTENT, CommandOptions
from .command_query import find_by_ids
from .command_task import CommandTask, await_parents
from .scheduled import recently_submitted, scheduled, with_schedule

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
#: The module's spec where it runs on another host, which has no file of the controller.
SHIPPED_SPEC: dict[str, dict[str, Any]] = {**SPEC, CONTENT: {"type": "str", "no_log": True}}

_WHAT = ("line", "script", "argv")
RULES: dict[str, Any] = {
    "mutually_exclusive": [
        ("ids", *_WHAT),
        ("ids", "servers"),
        ("ids", "scheduled_at"),
        *(("ids", "line", name) for name in ("stdin", "chdir", "executable", "creates", "removes")),
    ],
    "required_one_of": [("servers", "ids")],
    "required_if": [
        ("state", "executed", _WHAT, True),
        ("state", "scheduled", _WHAT, True),
        ("state", "scheduled", ("scheduled_at",)),
        ("state", "finished", ("ids",)),
        ("state", "cancelled", ("ids", *_WHAT), True),
    ],
    "required_by": {"executable": "script"},
}

#: The number of servers that the warning about skipped ones names.
_NAMED_SKIPPED = 10
_TRIMMED = (
    "env: workspaces may take off blanks and line breaks at both ends of a value, and these have some: {names}."
    " Use script or argv, with which each value arrives as it is."
)


def run_command(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task; nothing was written if it raises :class:`AlpaconError`."""
    settings = parse_settings(options, run.warn)
    checked = CommandOptions.from_options(options)
    if checked.trimmed:
        names = f"{len(checked.trimmed)} of them" if run.no_log else ", ".join(checked.trimmed)
        run.warn(_TRIMMED.format(names=names))
    shared = run.shared(settings) if run.hosts > 1 else None
    with run.client(settings, shared) as client:
        client.deadline = time.monotonic() + checked.limits.wait_timeout
        task = CommandTask(client, checked, run, shared, collect_secrets(options))
        _STATES[checked.state](task)
        if checked.limits.offline == "skip":
            _warn_of_skipped(task)
        return task.result()


def _warn_of_skipped(task: CommandTask) -> None:
    # A server that is given by its UUID has no name.
    own = task.run.own_server
    names = [str(job.server.name or own or job.server) for job in task.jobs if job.outcome == Outcome.OFFLINE]
    if names:
        more = f" and {len(names) - _NAMED_SKIPPED} more" if len(names) > _NAMED_SKIPPED else ""
        count = "1 server is" if len(names) == 1 else f"{len(names)} servers are"
        task.run.warn(f"offline: {count} offline and skipped: {', '.join(names[:_NAMED_SKIPPED])}{more}.")


def executed(task: CommandTask) -> None:
    """Submit the command and await it, except on servers where it succeeded recently enough."""
    options, servers = task.options, task.resolve_servers()
    # The workspace's clock is known to a second only, and zero must not become a second.
    reused = _find_reusable(task, servers, options.reuse_within) if options.reuse_within else {}
    task.jobs = [reused.get(server.id) or Job(server) for server in servers]
    task.ok = options.limits.ok_outcomes
    fresh = [job for job in task.jobs if not job.outcome]
    if fresh:
        task.check_env()
    for job in fresh:
        job.body = options.body(job.server)
    fleet = task.fleet()
    for job in reused.values():
        fleet.fetch_output(job)
    if task.run.check_mode:
        for job in fleet.skip_offline(fresh):
            job.changed, job.msg = True, "Would be submitted."
        return
    task.lock_servers([job.server for job in fresh])
    if await_parents(task, fresh):
        fleet.run(fresh)
    # Workspaces of 2024 ignore fields that they do not know. A payload without its variables runs nothing, and says so.
    names = ("work_session", "purpose") if options.has_payload else ("env", "work_session", "purpose")
    newer = [name for name in names if name in options.extra]
    if newer and any(job.command and job.output and not job.command.may_have_chunks for job in fresh):
        task.run.warn(f"{', '.join(newer)}: this workspace may not know it, and may have ignored it.")


def _find_reusable(task: CommandTask, servers: Sequence[Server], seconds: float) -> dict[str | None, Job]:
    """Return a finished job for each server that has a matching command which succeeded recently enough."""
    client, options = task.client, task.options
    codes, own = options.limits.success_codes, OwnCommands(client)

    def succeeded(command: Command) -> Command | None:
        # Somebody else may have submitted anything as a payload with this digest.
        if options.has_payload and not own.include(command, options.match(command.server.id)):
            return None
        known = commands.fetch_rc(client, command) if codes - {0} else command
        return known if get_outcome(known, codes) == Outcome.SUCCESS else None

    matches = {options.match(server.id): server for server in servers}
    latest = commands.find_latest_ended(client, list(matches), seconds, succeeded)
    if not client.clock.is_known:
        task.run.warn(commands.CLOCK_UNKNOWN)
    return {
        match.server_id: Job(
            matches[match],
            command=command,
            outcome=get_outcome(command, codes),
            msg=f"Taken from a command that ended at {to_iso(command.end)}, within reuse_within.",
        )
        for match, command in latest.items()
    }


def finished(task: CommandTask) -> None:
    """Await commands by their IDs."""
    task.jobs = [_unread_job(command_id) for command_id in task.options.ids]
    cancels = task.options.limits.cancel_on_timeout and not task.run.check_mode
    task.fleet(cancel_on_timeout=cancels).run(task.jobs)


def _unread_job(command_id: str) -> Job:
    return Job(Server(None), command=Command(command_id, Server(None), line="", shell="", status="unknown"))


def cancelled(task: CommandTask) -> None:
    """Cancel commands by their IDs, or all that match."""
    options = task.options
    task.jobs = _jobs_by_id(task.client, options.ids) if options.ids else _jobs_by_match(task)
    task.ok = frozenset((Outcome.CANCELLED,) if options.fail_if_sent else (Outcome.CANCELLED, Outcome.SENT))
    for job in task.jobs:
        command = job.command
        if command is None or job.outcome:
            continue
        if command.pending or not command.line:
            _cancel_job(task, job)
            if job.changed and command.pending:
                task.before.append(task.diff_line(job.server, command.line, command.scheduled_at))
        elif command.ran is False:
            job.finish(Outcome.CANCELLED, f"Will not run: it is {command.status} already.")
        else:
            job.finish(Outcome.SENT, Outcome.SENT.sentence)


def _jobs_by_id(client: Client, ids: Sequence[str]) -> list[Job]:
    jobs = [_unread_job(command_id) for command_id in ids]
    for job, found in zip(jobs, find_by_ids(client, ids)):
        if isinstance(found, AlpaconError):
            job.finish(Outcome.UNKNOWN, f"It could not be read, and was not cancelled. {found}", found)
        elif found:
            # Another one may not be visible yet; a request to cancel does not lag.
            job.update(found)
    return jobs


def _jobs_by_match(task: CommandTask) -> list[Job]:
    """Return a job for each matching command, and a finished one for each server that has none."""
    client, options = task.client, task.options
    servers = {str(server.id): server for server in task.resolve_servers()}
    found: dict[str, list[Job]] = {server_id: [] for server_id in servers}
    rows = (
        commands.list_pending(client, list(servers))
        if options.scheduled_at is None
        else commands.list_scheduled_for(client, list(servers), options.scheduled_at)
    )
    # Lists may lag behind what this run has submitted and cancelled.
    seen = task.cancelled_ids()
    recent = [row for row in recently_submitted(task) if str(row.server.id) in servers]
    for row in filter(options.match().matches, (*rows, *recent)):
        command = None if row.id in seen else _to_cancel(task, row)
        seen.add(row.id)
        if command:
            found[str(row.server.id)].append(Job(servers[str(row.server.id)], command=command))
    nothing = "Nothing waits to be cancelled."
    return [
        job
        for server_id, server in servers.items()
        for job in found[server_id] or [Job(server, outcome=Outcome.CANCELLED, msg=nothing)]
    ]


def _to_cancel(task: CommandTask, row: Command) -> Command | None:
    """Return the command if it is under way, or scheduled for exactly the time that is given."""
    due = task.options.scheduled_at
    if due is None:
        return row if row.pending or (row.status in IN_PROGRESS and row.status != "stuck") else None
    command = with_schedule(task.client, row)
    is_due = command is not None and is_same_time(command.scheduled_at, due) and command.status != "cancelled"
    return command if is_due else None


def _cancel_job(task: CommandTask, job: Job) -> None:
    gone = "Gone already." if job.known.line else "There is no such command (any more)."
    if task.run.check_mode and job.known.line:
        job.changed = True
        job.finish(Outcome.CANCELLED, "Would be cancelled.")
        return
    try:
        done = GONE if task.run.check_mode else task.cancel(job.known.id)
    except AlpaconError as error:
        if isinstance(error, LostResponse):
            job.finish(Outcome.UNKNOWN, f"Not known to be cancelled. {error}", error)
        else:
            job.finish(Outcome.REFUSED, f"Not cancelled. {error}", error)
        return
    if done == SENT:
        job.finish(Outcome.SENT, Outcome.SENT.sentence)
        return
    job.command, job.changed = job.known.with_status("cancelled"), done == CANCELLED
    job.finish(Outcome.CANCELLED, "Cancelled." if job.changed else gone)


_STATES: dict[str, Callable[[CommandTask], None]] = {
    "executed": executed,
    "scheduled": scheduled,
    "finished": finished,
    "cancelled": cancelled,
}
