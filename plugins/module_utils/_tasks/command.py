# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument spec and states of M(herdops.alpacon.alpacon_command), except V(state=scheduled)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Callable

from .._api import commands
from .._api.client import Client
from .._api.commands import CANCELLED, GONE, SENT
from .._api.errors import AlpaconError, LostResponse, UsageError, join_first
from .._api.lost_submits import OwnCommands
from .._api.records import IN_PROGRESS, SHELLS, Command, Server, is_same_time, is_uuid, normalize_uuid, to_iso
from .._api.servers import may_be_name
from .._fleet.jobs import Job, Outcome, get_outcome
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .._options.secrets import collect_secrets
from .._payload.packing import REFUSED_RC
from .command_options import CONTENT, CommandOptions
from .command_query import find_by_ids
from .command_task import CommandTask, await_parents
from .output_files import OutputFiles
from .scheduled import fetch_schedule, list_recently_submitted, schedule_commands

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
    "verified": {"type": "bool", "default": False},
    "verified_folder": {"type": "str"},
    "reuse_days": {"type": "int"},
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
    "not_after": {"type": "str"},
    "reschedule": {"type": "bool", "default": False},
    "reuse_within": {"type": "str"},
    "fail_if_sent": {"type": "bool", "default": True},
    "offline": {"type": "str", "default": "wait", "choices": ["wait", "fail", "skip"]},
    "max_concurrency": {"type": "str"},
    "max_errors": {"type": "str"},
    "progress": {"type": "str", "choices": ["true", "false", "output"]},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
    "output_limit": {"type": "int"},
    "output_dir": {"type": "str"},
    **WAIT,
}
#: Arguments of the module on another host, which cannot read the script on the controller.
INTERNAL = (CONTENT,)

_TO_RUN = ("line", "script", "argv")
RULES: dict[str, Any] = {
    "mutually_exclusive": [
        ("ids", *_TO_RUN),
        ("ids", "servers"),
        ("ids", "scheduled_at"),
        *product(("ids", "line"), ("stdin", "chdir", "executable", "creates", "removes")),
    ],
    "required_one_of": [("servers", "ids")],
    "required_if": [
        ("state", "executed", _TO_RUN, True),
        ("state", "scheduled", _TO_RUN, True),
        ("state", "scheduled", ("scheduled_at",)),
        ("state", "finished", ("ids",)),
        ("state", "cancelled", ("ids", *_TO_RUN), True),
    ],
    "required_by": {"executable": "script"},
}

_MAX_SKIPPED = 10


def run_command(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task; nothing was written if it raises :class:`AlpaconError`."""
    settings = parse_settings(options, run.warn)
    parsed = CommandOptions.from_options(options)
    if parsed.padded_variables:
        count = len(parsed.padded_variables)
        names = f"{count} of them" if run.no_log else ", ".join(parsed.padded_variables)
        run.warn(
            f"env: workspaces may strip blanks and line breaks at both ends of a value, as these have: {names}."
            " Use script or argv, which pass each value on unchanged."
        )
    if parsed.output_files:
        _prepare_files(parsed.output_files, run)
    shared = run.open_shared_state(settings) if run.hosts > 1 else None
    with run.open_client(settings, shared, parsed.limits.wait_timeout) as client:
        task = CommandTask(client, parsed, run, shared, collect_secrets(options))
        _STATES[parsed.state](task)
        if parsed.limits.offline == "skip":
            _warn_of_skipped(task)
        if parsed.output_files:
            parsed.output_files.warn_of_failures(run.warn)
        return task.result()


def _prepare_files(files: OutputFiles, run: Run) -> None:
    if run.no_log:
        remedy = "Leave it out, or no_log: the files would have the outputs that no_log hides."
        raise UsageError("output_dir", "it cannot be used with no_log", remedy)
    if not run.check_mode:
        files.prepare()


def _warn_of_skipped(task: CommandTask) -> None:
    # A server given by its UUID has no name.
    own = task.run.own_server
    names = [str(job.server.name or own or job.server) for job in task.jobs if job.outcome == Outcome.OFFLINE]
    if names:
        count = "1 server is" if len(names) == 1 else f"{len(names)} servers are"
        task.run.warn(f"offline: {count} offline and skipped: {join_first(names, _MAX_SKIPPED)}.")


def execute_commands(task: CommandTask) -> None:
    options, servers = task.options, task.resolve_servers()
    task.record_needs(servers)
    now = task.client.clock.now()
    # The workspace's clock has whole seconds, so that zero could reuse a command.
    reused = _find_reusable(task, servers, options.reuse_within) if options.reuse_within else {}
    task.set_jobs([reused.get(server.id) or Job(server, options.make_body(server, now)) for server in servers])
    task.ok_outcomes = options.limits.ok_outcomes
    to_submit = [job for job in task.jobs if not job.outcome]
    if to_submit:
        task.check_env()
    task.fetch_outputs(reused.values())
    if task.run.check_mode:
        for job in task.skip_offline(to_submit):
            job.changed, job.msg = True, task.predict_submit(job.server)
        return
    task.lock_servers([job.server for job in to_submit])
    if await_parents(task, to_submit):
        task.report_cost(to_submit)
        end = options.get_not_after(now)
        left = (end - task.client.clock.now()).total_seconds() if end else math.inf
        task.make_fleet(not_after=time.monotonic() + left).run(to_submit)
    # Workspaces of 2024 ignore unknown fields. A payload without its variables runs nothing, and reports that.
    names = ("work_session", "purpose") if options.has_payload else ("env", "work_session", "purpose")
    ignored = [name for name in names if name in options.extra]
    if ignored and any(job.command and job.output and not job.command.may_have_chunks for job in to_submit):
        task.run.warn(f"{', '.join(ignored)}: this workspace might not support it, and may have ignored it.")


def _find_reusable(task: CommandTask, servers: Sequence[Server], seconds: float) -> dict[str | None, Job]:
    """Return a finished job for each server where a matching command succeeded within so many seconds."""
    client, options = task.client, task.options
    codes, own = options.limits.success_codes, OwnCommands(client)

    def accept(command: Command) -> Command | None:
        # A line of another user with the same digest may have run anything.
        names_digest = options.has_payload or options.verified
        if names_digest and not own.include(command, options.match(command.server.id)):
            return None
        command = commands.fetch_rc(client, command) if codes - {0} else command
        # A payload that a server refused has this code too.
        accepted = codes - {REFUSED_RC} if options.has_payload else codes
        return command if get_outcome(command, accepted) == Outcome.SUCCESS else None

    matches = {options.match(server.id): server for server in servers}
    latest = commands.find_latest_ended(client, list(matches), seconds, accept)
    if not client.clock.is_known:
        task.run.warn(commands.CLOCK_UNKNOWN)
    return {
        match.server_id: Job(
            matches[match],
            command=command,
            outcome=get_outcome(command, codes),
            msg=f"Reused: this command ended at {to_iso(command.end)}, within reuse_within.",
        )
        for match, command in latest.items()
    }


def await_commands(task: CommandTask) -> None:
    task.set_jobs([_make_job(command_id) for command_id in task.options.ids])
    cancels = task.options.limits.cancel_on_timeout and not task.run.check_mode
    task.make_fleet(cancel_on_timeout=cancels).run(task.jobs)


def _make_job(command_id: str) -> Job:
    return Job(Server(None), command=Command(command_id, Server(None), line="", shell="", status="unknown"))


def cancel_commands(task: CommandTask) -> None:
    options = task.options
    task.jobs = _jobs_by_id(task.client, options.ids) if options.ids else _jobs_by_match(task)
    task.ok_outcomes = frozenset((Outcome.CANCELLED,) if options.fail_if_sent else (Outcome.CANCELLED, Outcome.SENT))
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
    jobs = [_make_job(command_id) for command_id in ids]
    # Keep commands that are not found: reads may lag, and cancels do not.
    for job, found in zip(jobs, find_by_ids(client, ids)):
        if isinstance(found, AlpaconError):
            job.finish(Outcome.UNKNOWN, f"It could not be read, and was not cancelled. {found}", found)
        elif found:
            job.update(found)
    return jobs


def _jobs_by_match(task: CommandTask) -> list[Job]:
    client, options, match = task.client, task.options, task.options.match()
    # Lists may lag behind the submits and cancels of this run.
    seen, recent = task.cancelled_ids(), list_recently_submitted(task)

    def accept(row: Command) -> bool:
        return row.id not in seen and match.matches(row) and _may_cancel(options, row)

    rows = commands.list_waiting(client, len(set(options.servers)), accept, options.scheduled_at)
    if rows == [] and not recent and _are_plain_names(options.servers):
        # Names cost a request for each hundred servers of the workspace.
        named = (Server(normalize_uuid(text)) if is_uuid(text) else Server(None, text) for text in options.servers)
        return list(map(_make_unneeded, named))
    servers = {str(server.id): server for server in task.resolve_servers()}
    if rows is None:
        rows = list(filter(accept, commands.list_waiting_of_each(client, list(servers), options.scheduled_at)))
    jobs: dict[str, list[Job]] = {server_id: [] for server_id in servers}
    for row in (*rows, *filter(accept, recent)):
        server_id = str(row.server.id)
        command = None if row.id in seen or server_id not in servers else _find_cancellable(task, row)
        seen.add(row.id)
        if command:
            jobs[server_id].append(Job(servers[server_id], command=command))
    found = [jobs[server_id] or [_make_unneeded(server)] for server_id, server in servers.items()]
    return [job for of_server in found for job in of_server]


def _are_plain_names(references: Sequence[str]) -> bool:
    return len(set(references)) == len(references) and all(map(may_be_name, references))


def _make_unneeded(server: Server) -> Job:
    return Job(server, outcome=Outcome.CANCELLED, msg="There is nothing to cancel.")


def _may_cancel(options: CommandOptions, row: Command) -> bool:
    """Return True if a command has not ended; with O(scheduled_at), if it may be due at that time."""
    if options.scheduled_at is None:
        return row.pending or (row.status in IN_PROGRESS and row.status != "stuck")
    is_due = row.scheduled_at is None or is_same_time(row.scheduled_at, options.scheduled_at)
    return is_due and row.status != "cancelled"


def _find_cancellable(task: CommandTask, row: Command) -> Command | None:
    """Return the command; with O(scheduled_at), None if it is not due at that time or is cancelled already."""
    due = task.options.scheduled_at
    if due is None:
        return row
    command = fetch_schedule(task.client, row)
    is_due = command is not None and is_same_time(command.scheduled_at, due) and command.status != "cancelled"
    return command if is_due else None


def _cancel_job(task: CommandTask, job: Job) -> None:
    if task.run.check_mode and job.submitted.line:
        job.changed = True
        job.finish(Outcome.CANCELLED, "Would be cancelled.")
        return
    try:
        done = GONE if task.run.check_mode else task.cancel(job.submitted.id)
    except AlpaconError as error:
        if isinstance(error, LostResponse):
            job.finish(Outcome.UNKNOWN, f"Possibly not cancelled. {error}", error)
        else:
            job.finish(Outcome.REFUSED, f"Not cancelled. {error}", error)
        return
    if done == SENT:
        job.finish(Outcome.SENT, Outcome.SENT.sentence)
        return
    gone = "Gone already." if job.submitted.line else "There is no such command, or it is gone."
    job.command, job.changed = job.submitted.with_status("cancelled"), done == CANCELLED
    job.finish(Outcome.CANCELLED, "Cancelled." if job.changed else gone)


_STATES: dict[str, Callable[[CommandTask], None]] = {
    "executed": execute_commands,
    "scheduled": schedule_commands,
    "finished": await_commands,
    "cancelled": cancel_commands,
}
