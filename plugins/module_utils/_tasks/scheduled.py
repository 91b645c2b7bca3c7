# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""V(state=scheduled): one pending command a server, whoever else schedules the same."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from .._api.client import Client
from .._api.commands import CANCELLED, GONE, SENT, fetch_rc, find_command, list_pending, list_scheduled_for
from .._api.errors import AlpaconError, UsageError
from .._api.records import Command, Server, is_same_time, parse_commands, to_iso
from .._fleet.jobs import Job, Outcome, get_outcome
from .._fleet.journal import hash_line
from .command_task import NAMED_SERVERS, VISIBLE_PAUSES, CommandTask, Progress, check_parents, fetch_outputs

_LATELY = timedelta(seconds=30)
#: Outcomes of what is not scheduled now as it was ordered.
_NOT_SCHEDULED = frozenset(
    (
        Outcome.REFUSED,
        Outcome.OFFLINE,
        Outcome.DENIED,
        Outcome.REJECTED,
        Outcome.UNKNOWN,
        Outcome.SENT,
        Outcome.NOT_TRIED,
    )
)


@dataclass
class ExistingCommands:
    """The commands of one server that are the same as the one to schedule, but perhaps for the time."""

    pending: list[Command] = field(default_factory=list)
    ran: list[Command] = field(default_factory=list)
    refused: list[Command] = field(default_factory=list)
    other_times: list[Command] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)


def scheduled(task: CommandTask) -> Progress:
    options, servers = task.options, task.servers()
    if not task.run.check_mode:
        task.lock_servers(servers)
    times: dict[str, datetime] = {}
    existing, _unlisted = _visible_existing(task, servers, {}, times)
    jobs = [_scheduled_job(task, server, existing[str(server.id)]) for server in servers]
    progress = Progress(jobs, ok_outcomes=(frozenset(Outcome) - _NOT_SCHEDULED) | options.limits.ok_outcomes)
    missing = [job for job in jobs if job.command is None]
    _check_time(task, missing)
    if missing:
        task.check_env()
        check_parents(task)
    fleet = task.fleet(wait=False)
    for job in fleet.skip_offline(missing) if task.run.check_mode else missing:
        job.changed = task.run.check_mode
        job.msg = f"{'Would be s' if task.run.check_mode else 'S'}cheduled for {to_iso(options.scheduled_at)}."
        job.body = options.body(job.server)
    fetch_outputs(fleet, [job for job in jobs if job.command and job.command.finished])
    olds = {
        str(job.server.id): existing[str(job.server.id)].other_times if options.reschedule else [] for job in missing
    }
    accepted: dict[str, Command] = {}
    gone: dict[str, list[Command]] = {}

    def follow_up(job: Job) -> None:
        key = str(job.server.id)
        accepted[key] = job.known
        if _came_too_late(job.known, options.time):
            _take_back_late(task, job)
        gone[key] = _withdraw_old(task, job, olds[key])

    if not task.run.check_mode:
        fleet.run(missing, [command_id for same in existing.values() for command_id in same.seen], follow_up)
        made = [job for job in missing if job.command and job.outcome not in _NOT_SCHEDULED]
        _settle_races(task, made, times, progress)
    for job in missing:
        key = str(job.server.id)
        if task.run.check_mode:
            gone[key] = olds[key] if job.changed else []
        elif olds[key] and job.command is None:
            job.msg = f"{job.msg} {_still_scheduled(olds[key])}"
        _note_change(task, job, accepted.get(key), gone.get(key, []), progress)
    return progress


def _note_change(
    task: CommandTask, job: Job, new: Command | None, cancelled: Sequence[Command], progress: Progress
) -> None:
    """Add to the diff what was cancelled for a server, and its new command if that still stands."""
    line = task.options.line
    progress.before += [schedule_line(task, job.server, line, command.scheduled_at) for command in cancelled]
    if job.changed and job.command is new:
        progress.after.append(schedule_line(task, job.server, line, task.options.scheduled_at))
    job.changed = job.changed or bool(cancelled)


def schedule_line(task: CommandTask, server: Server, line: str, time: datetime | None) -> str:
    # By its UUID alone, a server has no name until something was submitted to it.
    name = server.name or task.run.own_server or server.id
    # Rows of 2024 do not state the time.
    return f"{name}: {line} at {to_iso(time)}" if time else f"{name}: {line}"


def _existing(task: CommandTask, servers: Sequence[Server], times: dict[str, datetime]) -> dict[str, ExistingCommands]:
    """Return the commands that each server has already.

    Args:
        times: for which time commands are scheduled, by ID; those that are seen for another time are added.
    """
    client, options, gone = task.client, task.options, task.gone()
    found = {str(server.id): ExistingCommands() for server in servers}
    # What ran at a time that is past may lie behind all that could be withdrawn.
    rows = (
        list_pending(client, list(found))
        if options.reschedule and options.time > client.clock.now()
        else list_scheduled_for(client, list(found), options.time)
    )
    for row in filter(options.match().matches, rows):
        existing = found[str(row.server.id)]
        existing.seen.add(row.id)
        if row.status == "cancelled" or row.id in gone:
            existing.cancelled.add(row.id)
            continue
        command = replace(row, scheduled_at=times[row.id]) if row.id in times else with_schedule(client, row)
        if command is None or command.scheduled_at is None:
            continue
        if not is_same_time(command.scheduled_at, options.scheduled_at):
            times[command.id] = command.scheduled_at
            if command.pending and command.was_scheduled:
                existing.other_times.append(command)
        elif command.pending:
            existing.pending.append(command)
        elif command.ran is not False:
            existing.ran.append(command)
        elif command.status in ("denied", "rejected"):
            existing.refused.append(command)
    return found


def with_schedule(client: Client, command: Command) -> Command | None:
    """A command with its scheduled_at, which list rows of 2024 leave out; None if it is gone."""
    return command if command.scheduled_at else find_command(client, command.id)


def _scheduled_job(task: CommandTask, server: Server, existing: ExistingCommands) -> Job:
    job = Job(server)
    if existing.pending:
        job.command = min(existing.pending, key=_age)
        job.finish(Outcome.PENDING, "Already scheduled.")
    elif existing.ran:
        job.command = fetch_rc(task.client, min(existing.ran, key=_age))
        outcome = get_outcome(job.command, task.options.limits.success_codes) or Outcome.PENDING
        job.finish(outcome, "It already ran at that time.")
    elif existing.refused:
        job.command = max(existing.refused, key=_age)
        job.finish(Outcome(job.command.status))
    return job


def _age(command: Command) -> tuple[datetime, str]:
    return command.added_at or datetime.max.replace(tzinfo=timezone.utc), command.id


def _check_time(task: CommandTask, missing: Sequence[Job]) -> None:
    if missing and task.options.time <= task.client.clock.now():
        names = ", ".join(str(job.server) for job in missing[:NAMED_SERVERS])
        by = "" if task.client.clock.is_known else " by this machine's clock, since the workspace tells no time"
        raise UsageError(
            "scheduled_at",
            f"{to_iso(task.options.scheduled_at)} is in the past{by}, and no such command was carried out then on"
            f" {names}",
            "Give a time to come, or use state=executed to run it now.",
        )


def _came_too_late(command: Command, time: datetime) -> bool:
    """Whether the workspace took a command when its time had passed, by its own clock: then it runs at once."""
    due = time if is_same_time(command.scheduled_at, time) else command.scheduled_at or time
    return command.added_at is not None and command.added_at >= due


def _take_back_late(task: CommandTask, job: Job) -> None:
    """Withdraw what came too late, and where that is too late as well, say that it runs at once."""
    late = job.known
    error: AlpaconError | None = None
    try:
        done = task.cancel(late.id)
    except AlpaconError as failure:
        done, error = "", failure
    why = (
        f"{to_iso(task.options.scheduled_at)} had passed by the workspace's clock when it took the command, at"
        f" {to_iso(late.added_at)}."
    )
    if done in (CANCELLED, GONE):
        job.command, job.changed = late.with_status("cancelled"), False
        job.finish(Outcome.REFUSED, f"Not scheduled: {why} The command was withdrawn before it ran.")
        return
    job.command = late.with_status("unknown")
    with contextlib.suppress(AlpaconError):
        seen = find_command(task.client, late.id)
        # A list may lag behind, and show as waiting what was delivered.
        job.command = seen if seen and not seen.pending else job.command
    job.finish(
        Outcome.SENT, f"Not scheduled: {why} So it runs at once, or has run.{f' {error}' if error else ''}", error
    )


def _withdraw_old(task: CommandTask, job: Job, old: list[Command]) -> list[Command]:
    """Cancel what is scheduled for other times, and give what is gone; where that fails, take the new command back."""
    if not old:
        return []
    if job.outcome in _NOT_SCHEDULED:
        job.msg = f"{job.msg} {_still_scheduled(old)}"
        return []
    new, own = job.known, job.changed
    for place, command in enumerate(old):
        error: AlpaconError | None = None
        try:
            done = task.cancel(command.id)
        except AlpaconError as failure:
            done, error = "", failure
        if done in (CANCELLED, GONE):
            job.changed = True
            continue
        taken_back = own and _is_taken_back(task, new)
        left = [*old[place if error else place + 1 :], *([] if taken_back else [new])]
        why = f"could not be cancelled. {error}" if error else "was delivered to the server already."
        job.command = command if taken_back else new
        job.changed = place > 0 or (own and not taken_back)
        outcome = Outcome.REFUSED if error else Outcome.SENT
        job.finish(outcome, f"Not rescheduled: command {command.id} {why} {_still_scheduled(left)}", error)
        return old[:place]
    return old


def _is_taken_back(task: CommandTask, command: Command) -> bool:
    try:
        return task.cancel(command.id) != SENT
    except AlpaconError:
        return False


def _still_scheduled(commands: Sequence[Command]) -> str:
    """A sentence that says what is scheduled now."""
    told = ", ".join(f"{command.id} at {to_iso(command.scheduled_at) or 'its time'}" for command in commands)
    return f"Scheduled now: {told or 'nothing'}."


def _settle_races(task: CommandTask, jobs: Sequence[Job], times: dict[str, datetime], progress: Progress) -> None:
    """Where another run scheduled the same meanwhile, leave the earliest command alone and withdraw the others."""
    if not jobs:
        return
    own = {str(job.server.id): job.known for job in jobs}
    times.update({command.id: command.scheduled_at for command in own.values() if command.scheduled_at})
    try:
        existing, unseen = _visible_existing(task, [job.server for job in jobs], own, times)
    except AlpaconError as error:
        names = ", ".join(str(job.server) for job in jobs[:NAMED_SERVERS])
        progress.warnings.append(f"Whether another run scheduled the same on {names} could not be seen: {error}")
        return
    for job in jobs:
        if job.id in unseen:
            progress.warnings.append(
                f"{job.server}: {job.id} was accepted, and the workspace does not list it; whether another run"
                " scheduled the same could not be seen."
            )
            continue
        try:
            _settle_race(task, job, existing[str(job.server.id)], progress)
        except AlpaconError as error:
            progress.warnings.append(f"{job.server}: another run scheduled the same, and one of both stays. {error}")


def _settle_race(task: CommandTask, job: Job, existing: ExistingCommands, progress: Progress) -> None:
    own = job.known
    withdrawn = own.id in existing.cancelled
    others = [rival for rival in existing.pending if rival.id != own.id]
    left = sorted(others if withdrawn else [*others, own], key=_age)
    if not others:
        return
    for late in left[1:]:
        if task.cancel(late.id) == SENT:
            progress.warnings.append(
                f"{job.server}: {late.id} was scheduled twice and sent before it could be withdrawn."
            )
        else:
            withdrawn = withdrawn or late.id == own.id
    if withdrawn:
        job.command, job.changed = left[0], False
        job.msg = "Another run scheduled it first; the later command was withdrawn."


def _visible_existing(
    task: CommandTask, servers: Sequence[Server], own: Mapping[str, Command], times: dict[str, datetime]
) -> tuple[dict[str, ExistingCommands], set[str]]:
    """The commands of servers, once the workspace lists what this run has submitted: reads may lag behind writes.

    Args:
        own: the command that this task has just submitted to each server.
        times: see :func:`_existing`.

    Returns:
        The commands of each server, and the ids of what was submitted and is still not listed.
    """
    for pause in (*VISIBLE_PAUSES, None):
        existing = _existing(task, servers, times)
        unseen = _unseen(task, existing, own)
        if not unseen or pause is None:
            break
        time.sleep(pause)
    return existing, unseen


def _unseen(task: CommandTask, existing: Mapping[str, ExistingCommands], own: Mapping[str, Command]) -> set[str]:
    """What this run has submitted lately that counts here and is not listed."""
    unseen = set()
    for command in [*own.values(), *submitted_lately(task)]:
        known = existing.get(str(command.server.id))
        if known is None or command.id in known.seen:
            continue
        if not task.options.reschedule and not is_same_time(command.scheduled_at, task.options.scheduled_at):
            continue
        # An earlier one decides, whether this one stays listed or was withdrawn by the other run already.
        if not any(_age(rival) < _age(command) for rival in known.pending):
            unseen.add(command.id)
    return unseen


def submitted_lately(task: CommandTask) -> list[Command]:
    """What this run has scheduled of the same, so lately that lists need not show it yet."""
    if task.run.submitted is None:
        return []
    since = task.client.clock.now() - _LATELY
    line = task.options.line
    rows = [
        {**row, "line": line} if line and row.get("line") == hash_line(line) else row
        for row in task.run.submitted.read_rows().values()
        if not row.get("gone")
    ]
    return [
        command
        for command in parse_commands(rows)
        if task.options.match().matches(command) and command.was_scheduled and (command.added_at or since) > since
    ]
