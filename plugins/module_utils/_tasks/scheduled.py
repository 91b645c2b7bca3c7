# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""V(state=scheduled) of M(herdops.alpacon.alpacon_command): one command per server, however many runs schedule it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from .._api.client import Client
from .._api.commands import CANCELLED, GONE, SENT, fetch_rc, find_command, list_waiting_on
from .._api.errors import AlpaconError, UsageError
from .._api.records import Command, Server, is_same_time, parse_commands, to_iso
from .._fleet.jobs import DECLINED, NOT_ACCEPTED, Job, Outcome, get_outcome
from .._fleet.journal import hash_line
from .._fleet.pacing import PACING
from .command_results import group_alike
from .command_task import MAX_NAMED, CommandTask, check_parents

_HELD = "It is held for approval: approve it in the workspace before it is due."
_KEEPS = "It keeps the not_after that it was scheduled with, if any; to change that, cancel it first."
_NOT_SCHEDULED = frozenset((*NOT_ACCEPTED, *DECLINED, Outcome.UNKNOWN, Outcome.SENT, Outcome.LATE))


@dataclass
class ServerSchedule:
    """The matching commands of one server.

    Attributes:
        cancelled_ids: Cancelled commands, according to lists or this run.
        listed_ids: All commands in lists.
    """

    pending: list[Command] = field(default_factory=list)
    ran: list[Command] = field(default_factory=list)
    refused: list[Command] = field(default_factory=list)
    other_times: list[Command] = field(default_factory=list)
    cancelled_ids: set[str] = field(default_factory=set)
    listed_ids: set[str] = field(default_factory=set)
    new: Command | None = None
    replaced: list[Command] = field(default_factory=list)


def schedule_commands(task: CommandTask) -> None:
    """Schedule the command on each server that has none for that time."""
    options, servers, check_mode = task.options, task.resolve_servers(), task.run.check_mode
    task.record_needs(servers)
    if not check_mode:
        task.lock_servers(servers)
    times: dict[str, datetime] = {}
    schedules, _unlisted = _read_schedules(task, servers, times, {})
    task.jobs = [_make_job(task, server, schedules[str(server.id)]) for server in servers]
    task.ok_outcomes = (frozenset(Outcome) - _NOT_SCHEDULED) | options.limits.ok_outcomes
    missing = [job for job in task.jobs if job.command is None]
    if missing:
        _check_time(task, missing)
        task.check_env()
        check_parents(task)
    task.fetch_outputs(job for job in task.jobs if job.command and job.command.finished)
    if check_mode:
        for job in task.skip_offline(missing):
            job.changed, job.msg = True, task.predict_submit(job.server)
            schedules[str(job.server.id)].replaced = schedules[str(job.server.id)].other_times
    else:
        task.report_cost(missing)
        _submit(task, missing, schedules)
        accepted = [job for job in missing if job.command and job.outcome not in _NOT_SCHEDULED]
        if accepted:
            _resolve_races(task, accepted, times)
    for job in missing:
        schedule = schedules[str(job.server.id)]
        task.before += [task.diff_line(job.server, options.line, old.scheduled_at) for old in schedule.replaced]
        if job.changed and job.command is schedule.new:
            task.after.append(task.diff_line(job.server, options.line, options.time))
        job.changed = job.changed or bool(schedule.replaced)


def _submit(task: CommandTask, jobs: Sequence[Job], schedules: Mapping[str, ServerSchedule]) -> None:
    """Submit the new commands. Once a server's is accepted, cancel its commands for other times."""

    def follow_up(job: Job) -> None:
        schedule = schedules[str(job.server.id)]
        schedule.new = job.submitted
        _cancel_late(task, job)
        schedule.replaced = _cancel_other_times(task, job, schedule.other_times)

    for job in jobs:
        job.msg = f"Scheduled for {to_iso(task.options.time)}."
    listed = [command_id for schedule in schedules.values() for command_id in schedule.listed_ids]
    task.make_fleet(wait=False).run(jobs, listed, follow_up)
    for job in jobs:
        old = schedules[str(job.server.id)].other_times
        if old and job.command is None:
            job.msg = f"{job.msg} {_describe_schedule(old)}"


def _make_job(task: CommandTask, server: Server, schedule: ServerSchedule) -> Job:
    if schedule.pending:
        command = min(schedule.pending, key=_age)
        job = Job(server, command=command, outcome=Outcome.PENDING, msg="Already scheduled.")
        if task.options.not_after:
            job.add_note(_KEEPS)
        if command.status == "awaiting_approval":
            job.add_note(_HELD)
        return job
    if schedule.ran:
        command = fetch_rc(task.client, min(schedule.ran, key=_age))
        outcome = get_outcome(command, task.options.limits.success_codes) or Outcome.PENDING
        return Job(server, command=command, outcome=outcome, msg="It already ran at that time.")
    if schedule.refused:
        command = max(schedule.refused, key=_age)
        return Job(server, command=command, outcome=Outcome(command.status))
    return Job(server, task.options.make_body(server, task.client.clock.now()))


def _age(command: Command) -> tuple[datetime, str]:
    """Sort key: oldest first."""
    return command.added_at or datetime.max.replace(tzinfo=timezone.utc), command.id


def _check_time(task: CommandTask, missing: Sequence[Job]) -> None:
    if task.options.time <= task.client.clock.now():
        names = ", ".join(str(job.server) for job in missing[:MAX_NAMED])
        by = "" if task.client.clock.is_known else " by this machine's clock, since the workspace states no time"
        raise UsageError(
            "scheduled_at",
            f"{to_iso(task.options.time)} is in the past{by}, and no such command ran then on {names}",
            "Give a time in the future, or use state=executed to run it now.",
        )


def _try_cancel(task: CommandTask, command: Command) -> tuple[bool, AlpaconError | None]:
    """Return True if the command will not run; if the cancel failed, return the error too."""
    try:
        return task.cancel(command.id) in (CANCELLED, GONE), None
    except AlpaconError as error:
        return False, error


def _cancel_late(task: CommandTask, job: Job) -> None:
    """Cancel a new command whose time had passed by the workspace's clock, so that it would run at once."""
    late, due = job.submitted, task.options.time
    if late.scheduled_at and not is_same_time(late.scheduled_at, due):
        due = late.scheduled_at
    if late.added_at is None or late.added_at < due:
        return
    done, error = _try_cancel(task, late)
    why = (
        f"{to_iso(task.options.time)} had passed by the workspace's clock when the workspace accepted the command, at"
        f" {to_iso(late.added_at)}."
    )
    if done:
        job.command, job.changed = late.with_status("cancelled"), False
        job.finish(Outcome.REFUSED, f"Not scheduled: {why} The command was cancelled before it ran.")
        return
    job.command = late.with_status("unknown")
    with contextlib.suppress(AlpaconError):
        found = find_command(task.client, late.id)
        # A read may lag, and show a delivered command as pending.
        job.command = found if found and not found.pending else job.command
    job.finish(
        Outcome.SENT, f"Not scheduled: {why} So it runs at once, or has run.{f' {error}' if error else ''}", error
    )


def _cancel_other_times(task: CommandTask, job: Job, old: list[Command]) -> list[Command]:
    """Cancel the commands for other times, or the new command if one of them cannot be cancelled.

    Returns:
        The cancelled commands for other times.
    """
    if old and job.outcome in _NOT_SCHEDULED:
        job.msg = f"{job.msg} {_describe_schedule(old)}"
        return []
    new, is_own = job.submitted, job.changed
    for number, command in enumerate(old):
        done, error = _try_cancel(task, command)
        if done:
            job.changed = True
            continue
        reverted = is_own and _try_cancel(task, new)[0]
        left = [*old[number if error else number + 1 :], *([] if reverted else [new])]
        why = f"could not be cancelled. {error}" if error else "was delivered to the server already."
        job.command = command if reverted else new
        job.changed = number > 0 or (is_own and not reverted)
        outcome = Outcome.REFUSED if error else Outcome.SENT
        job.finish(outcome, f"Not rescheduled: command {command.id} {why} {_describe_schedule(left)}", error)
        return old[:number]
    return old


def _describe_schedule(commands: Sequence[Command]) -> str:
    named = ", ".join(f"{command.id} at {to_iso(command.scheduled_at) or 'its time'}" for command in commands)
    return f"Scheduled now: {named or 'nothing'}."


def _resolve_races(task: CommandTask, jobs: Sequence[Job], times: dict[str, datetime]) -> None:
    """Keep only the earliest command on servers where another run scheduled the same meanwhile."""
    own = {str(job.server.id): job.submitted for job in jobs}
    try:
        schedules, unlisted = _read_schedules(task, [job.server for job in jobs], times, own)
    except AlpaconError as error:
        names = ", ".join(str(job.server) for job in jobs[:MAX_NAMED])
        task.run.warn(f"Another run may have scheduled the same command on {names}. {error}")
        return
    warnings = []
    for job in jobs:
        if job.id in unlisted:
            unlisted_id = f"since the workspace accepted {job.id} and does not list it."
            warnings.append((job, f"another run may have scheduled the same command, {unlisted_id}"))
            continue
        try:
            _resolve_race(task, job, schedules[str(job.server.id)])
        except AlpaconError as error:
            warnings.append((job, f"another run scheduled the same command, and both may remain. {error}"))
    for warning in group_alike((str(job.server), job.id, text) for job, text in warnings):
        task.run.warn(warning)


def _resolve_race(task: CommandTask, job: Job, schedule: ServerSchedule) -> None:
    """Cancel all pending commands of a server except the earliest."""
    own = job.submitted
    is_cancelled = own.id in schedule.cancelled_ids
    others = [command for command in schedule.pending if command.id != own.id]
    # The response to a submit does not state that.
    if any(command.status == "awaiting_approval" for command in schedule.pending):
        job.add_note(_HELD)
    if not others:
        return
    first, *later = sorted(others if is_cancelled else [*others, own], key=_age)
    for command in later:
        if task.cancel(command.id) == SENT:
            task.run.warn(f"{job.server}: {command.id} was scheduled twice and sent before it could be cancelled.")
        else:
            is_cancelled = is_cancelled or command.id == own.id
    if is_cancelled:
        job.command, job.changed = first, False
        job.msg = "Another run scheduled it first; the later command was cancelled."


def _read_schedules(
    task: CommandTask, servers: Sequence[Server], times: dict[str, datetime], own: Mapping[str, Command]
) -> tuple[dict[str, ServerSchedule], set[str]]:
    """Read lists until they have the commands that this run submitted, or time is up.

    Args:
        times: Times of commands by ID, since lists of 2024 do not state them; new ones are added.

    Returns:
        The commands by the ID of their server, and the IDs of submitted commands that lists do not have.
    """
    times.update({command.id: command.scheduled_at for command in own.values() if command.scheduled_at})
    for pause in (0.0, *PACING.get_read_pauses()):
        time.sleep(pause)
        schedules = _read_lists(task, servers, times)
        unlisted = _find_unlisted(task, schedules, own)
        if not unlisted:
            break
    return schedules, unlisted


def _read_lists(task: CommandTask, servers: Sequence[Server], times: dict[str, datetime]) -> dict[str, ServerSchedule]:
    client, options, cancelled_ids = task.client, task.options, task.cancelled_ids()
    schedules = {str(server.id): ServerSchedule() for server in servers}
    # The list of pending commands may end before a time in the past.
    due = None if options.reschedule and options.time > client.clock.now() else options.time
    for row in filter(options.match().matches, list_waiting_on(client, list(schedules), due)):
        schedule = schedules[str(row.server.id)]
        schedule.listed_ids.add(row.id)
        if row.status == "cancelled" or row.id in cancelled_ids:
            schedule.cancelled_ids.add(row.id)
            continue
        stated = times.get(row.id)
        command = replace(row, scheduled_at=stated) if stated else fetch_schedule(client, row)
        if command is None or command.scheduled_at is None:
            continue
        if not is_same_time(command.scheduled_at, options.time):
            times[command.id] = command.scheduled_at
            if options.reschedule and command.pending and command.was_scheduled:
                schedule.other_times.append(command)
        elif command.pending:
            schedule.pending.append(command)
        elif command.ran is not False:
            schedule.ran.append(command)
        elif command.status in DECLINED:
            schedule.refused.append(command)
    return schedules


def _find_unlisted(task: CommandTask, schedules: Mapping[str, ServerSchedule], own: Mapping[str, Command]) -> set[str]:
    unlisted, options = set(), task.options
    for command in [*own.values(), *list_recently_submitted(task)]:
        schedule = schedules.get(str(command.server.id))
        if schedule is None or command.id in schedule.listed_ids:
            continue
        is_relevant = options.reschedule or is_same_time(command.scheduled_at, options.time)
        # An earlier command wins, and its run may have cancelled this one already.
        if is_relevant and not any(_age(other) < _age(command) for other in schedule.pending):
            unlisted.add(command.id)
    return unlisted


def fetch_schedule(client: Client, command: Command) -> Command | None:
    """Return a command with its time, which lists of 2024 do not state; None if it is gone."""
    return command if command.scheduled_at else find_command(client, command.id)


def list_recently_submitted(task: CommandTask) -> list[Command]:
    """Return matching commands that this run scheduled, and that lists might lack."""
    # Lists have all older commands.
    since = task.client.clock.now() - timedelta(seconds=30)
    line = task.options.line
    rows = [
        {**row, "line": line} if line and row.get("line") == hash_line(line) else row
        for row in task.read_submitted().values()
        if not row.get("gone")
    ]
    return [
        command
        for command in parse_commands(rows)
        if task.options.match().matches(command) and command.was_scheduled and (command.added_at or since) > since
    ]
