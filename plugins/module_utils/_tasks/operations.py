# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a task means: executed, scheduled, finished or cancelled, and listing; options in, result out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from .._api import commands as _commands
from .._api import servers as _servers
from .._api.client import Client, Settings
from .._api.commands import LATEST_SCHEDULE_FIRST
from .._api.errors import AlpaconError, UsageError, clean_line
from .._api.records import UNDER_WAY, Command, Server, canonical_uuid, is_uuid, iso, readable
from .._fleet.fleet import FINE, OUTCOMES, Fleet, Job, digest_of, outcome_of
from .._fleet.run import ALONE, Claims, Run, Shared, Warn
from .._options import values as _values
from .._options.secrets import hide, secrets
from . import queries as _queries
from . import results as _results
from .orders import Order
from .queries import Query
from .results import describe

_NAMED_SERVERS = 5
#: Pauses between looks for what was submitted and is not listed yet, in seconds, and how old it is at the most.
_VISIBLE_PAUSES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 6.0, 6.0)
_LATELY = timedelta(seconds=30)
_ONCE = "A server gets the command of a task once, so nothing was submitted for this host."


@dataclass
class Report:
    """What a task has done so far, on the way to its result."""

    jobs: list[Job] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: Outcomes that are no failure in this state.
    fine: frozenset[str] = FINE


@dataclass(frozen=True)
class Task:
    """A task at work: what it orders, and with what it works."""

    client: Client
    order: Order
    check_mode: bool
    run: Run
    shared: Shared | None

    def servers(self) -> list[Server]:
        """The servers that it names."""
        return _servers.resolve(self.client, self.order.servers, "servers", self.shared, self.run.hosts)

    def claim(self, servers: Sequence[Server]) -> None:
        """Make sure that no other host of the task submits the same to one of these servers.

        Raises:
            UsageError: another host does.
        """
        if self.run.claims:
            refuse_shared(self.run.claims, self.order, self.client.settings.url, servers)

    def gone(self) -> set[str]:
        """The commands that this run has withdrawn, which lists may still show."""
        submitted = self.run.submitted
        return {command for command, row in submitted.read().items() if row.get("gone")} if submitted else set()

    def cancel(self, command_id: str) -> str:
        """Withdraw a command, see :func:`_commands.cancel`."""
        done = _commands.cancel(self.client, command_id)
        if done != _commands.SENT and self.run.submitted:
            self.run.submitted.add({"id": command_id, "gone": True})
        return done

    def fleet(self, **limits: Any) -> Fleet:
        """A fleet within the limits of the order, but for those that are given."""
        return Fleet(
            self.client,
            replace(self.order.limits, **limits),
            tell=self.run.tell if self.order.progress else None,
            announce=(lambda _text: None) if self.order.silent else self.run.tell,
            run=self.run,
            shared=self.shared,
        )


def claim_named(claims: Claims, options: Mapping[str, Any]) -> None:
    """As :meth:`Task.claim`, without a request, for what is submitted elsewhere: that it names the same is seen."""
    order = Order.from_options(options)
    servers = [Server(canonical_uuid(name)) if is_uuid(name) else Server(None, name) for name in order.servers]
    # A file of certificates is on the host that the module goes to.
    settings = Settings.from_options({**options, "ca_path": None})
    refuse_shared(claims, order, settings.url, servers)


def refuse_shared(claims: Claims, order: Order, url: str, servers: Sequence[Server]) -> None:
    """Raise :class:`UsageError` where another host of the task submits something of this."""
    # Another workspace may have a server of the same name or UUID.
    what = f"{url} {digest_of(order.body(Server(None)))}"
    # Under both, since of what is submitted elsewhere only one of them may be known.
    known = {key: server for server in servers for key in (server.id, server.name) if key}
    taken = claims.take([(key, what) for key in known])
    if taken:
        key, host = taken
        server = claims.own or str(known[key])
        raise UsageError("servers", f"{server} gets this for host {host} of the task", f"{_ONCE} {claims.remedy}")


def run_command(
    options: Mapping[str, Any],
    warn: Warn,
    check_mode: bool = False,
    diff_mode: bool = False,
    run: Run = ALONE,
) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_command).

    Args:
        options: the validated options of the task.
        run: the run that the task is part of.

    Returns:
        The result of the task, with ``failed`` where it failed.

    Raises:
        AlpaconError: nothing was written.
    """
    settings = Settings.from_options(options, warn)
    order = Order.from_options(options)
    shared = _shared(run, settings)
    with _client(settings, run, shared) as client:
        client.deadline = time.monotonic() + order.limits.wait_timeout
        report = _STATES[order.state](Task(client, order, check_mode, run, shared))
        _hide_secrets(report.jobs, secrets(options))
        result = _results.of_jobs(report.jobs, report.fine)
        result["requests"] = client.requests
    for warning in report.warnings:
        warn(warning)
    if diff_mode and (report.before or report.after):
        result["diff"] = {"before": _lines(report.before), "after": _lines(report.after)}
    return result


def _client(settings: Settings, run: Run, shared: Shared | None) -> Client:
    return Client(settings, pause=shared.pause if shared else None, tell=run.tell, before_write=run.check)


def _hide_secrets(jobs: Sequence[Job], hidden: set[str]) -> None:
    """Hide them before messages show the end of an output only, which may cut one in two."""
    for job in jobs:
        if job.output:
            job.output = replace(job.output, text=hide(job.output.text, hidden))


def _shared(run: Run, settings: Settings) -> Shared | None:
    if run.folder is None or run.hosts < 2:
        return None
    try:
        return Shared(run.folder, settings.url, settings.token)
    except OSError:
        return None  # the disk is full, say: then each worker looks for itself


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{clean_line(text)}\n" for text in texts)


# state: executed


def _executed(task: Task) -> Report:
    order, servers = task.order, task.servers()
    reused = _reusable(task.client, order, servers) if order.reuse_within is not None else {}
    jobs = [_reused_job(server, reused[server.id], order) if server.id in reused else Job(server) for server in servers]
    fresh = [job for job in jobs if not job.outcome]
    report = Report(jobs, fine=order.limits.fine)
    for job in fresh:
        job.body = order.body(job.server)
    fleet = task.fleet()
    if task.check_mode:
        fleet.learn_connected(fresh)
        for job in fresh:
            if not fleet.leave_aside(job):
                job.changed, job.msg = True, "Would be submitted."
    else:
        task.claim([job.server for job in fresh])
        if _await_parents(task, fresh):
            fleet.run(fresh)
        _fetch_outputs(fleet, [job for job in jobs if job.outcome == "success"])
        report.warnings += _unconfirmed(order, fresh)
    return report


def _await_parents(task: Task, jobs: Sequence[Job]) -> bool:
    """Await what the jobs are to run after, where the workspace may not; whether they may be submitted.

    Workspaces that give the status as an object deliver a command at once, whatever it is to run after.
    """
    ids = task.order.extra.get("run_after") if jobs else None
    parents = [_parent(task, command_id) for command_id in ids or ()]
    if all(parent.may_have_chunks for parent in parents):
        return True
    awaited = [Job(parent.server, command=parent) for parent in parents]
    # They are not this task's own: nothing is cancelled.
    limits = {
        "wait": True,
        "cancel_on_timeout": False,
        "offline": "wait",
        "max_errors": None,
        "success_codes": frozenset((0,)),
    }
    task.fleet(**limits).run(awaited)
    bad = next((job for job in awaited if job.outcome != "success"), None)
    for job in jobs if bad else ():
        ended = bad is not None and bad.known.finished
        job.outcome = "parent_failed" if ended else "not_tried"
        job.msg = f"{OUTCOMES[job.outcome]} It was to run after {bad and bad.id}, which is {bad and bad.outcome}."
    return bad is None


def _check_parents(task: Task) -> None:
    """Refuse to schedule behind a command that has not succeeded where the workspace may not wait for it."""
    for command_id in task.order.extra.get("run_after") or ():
        parent = _parent(task, command_id)
        if not parent.may_have_chunks and outcome_of(parent) != "success":
            raise UsageError(
                "run_after",
                f"{command_id} is {parent.status}, and this workspace does not hold what is scheduled back for it",
                "Await it with state=finished first, then schedule.",
            )


def _parent(task: Task, command_id: str) -> Command:
    submitted = task.run.submitted
    own = submitted is not None and command_id in submitted.read()
    # What this run has submitted may not be visible yet.
    for pause in (*_VISIBLE_PAUSES, None) if own else (None,):
        command = _commands.get_if_there(task.client, command_id)
        if command:
            return command
        if pause:
            time.sleep(pause)
    raise UsageError(
        "run_after", f"there is no command {command_id}, or the token may not see it", "Give ids of commands there are."
    )


def _reused_job(server: Server, command: Command, order: Order) -> Job:
    job = Job(server, command=command, outcome=outcome_of(command, order.limits.success_codes))
    job.msg = f"Taken from a command that ended at {iso(command.end)}, within reuse_within."
    return job


def _fetch_outputs(fleet: Fleet, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.output is None:
            fleet.fetch_output(job)


def _reusable(client: Client, order: Order, servers: Sequence[Server]) -> dict[str | None, Command]:
    """For each server the latest matching command that succeeded recently enough."""
    ids = [str(server.id) for server in servers]
    found: dict[str | None, Command] = {}
    for command in _commands.ended_within(client, ids, order.reuse_within or 0.0):
        if not order.match().matches(command):
            continue
        if order.limits.success_codes - {0}:
            command = _commands.with_rc(client, command)
        if outcome_of(command, order.limits.success_codes) != "success":
            continue
        known = found.get(command.server.id)
        if known is None or _end(known) < _end(command):
            found[command.server.id] = command
    return found


def _end(command: Command) -> datetime:
    return command.end or datetime.min.replace(tzinfo=timezone.utc)


def _unconfirmed(order: Order, jobs: Sequence[Job]) -> list[str]:
    """Servers of 2024 ignore fields that they do not know."""
    newer = [name for name in ("env", "work_session", "purpose") if name in order.extra]
    old = any(job.command and job.output and not job.command.may_have_chunks for job in jobs)
    if newer and old:
        return [f"{', '.join(newer)}: this workspace answers like one that does not know it, and may have ignored it."]
    return []


# state: finished


def _finished(task: Task) -> Report:
    jobs = [Job(Server(None), command=_placeholder(command_id)) for command_id in task.order.ids]
    cancels = task.order.limits.cancel_on_timeout and not task.check_mode
    task.fleet(cancel_on_timeout=cancels).run(jobs)
    return Report(jobs)


def _placeholder(command_id: str) -> Command:
    return Command(command_id, Server(None), line="", shell="", status="unknown")


# state: scheduled


@dataclass
class _Standing:
    """The commands of one server that are the same as the one to schedule, but perhaps for the time."""

    pending: list[Command] = field(default_factory=list)
    ran: list[Command] = field(default_factory=list)
    refused: list[Command] = field(default_factory=list)
    other_times: list[Command] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)


def _scheduled(task: Task) -> Report:
    order, servers = task.order, task.servers()
    if not task.check_mode:
        task.claim(servers)
    standing, _unlisted = _visible_standing(task, servers, {})
    jobs = [_scheduled_job(task, server, standing[str(server.id)]) for server in servers]
    bad = {"refused", "offline", "denied", "rejected", "unknown", "sent", "not_tried"} - order.limits.fine
    report = Report(jobs, fine=frozenset(OUTCOMES) - bad)
    missing = [job for job in jobs if job.command is None]
    _check_time(task, missing)
    if missing:
        _check_parents(task)
    fleet = task.fleet(wait=False)
    if task.check_mode:
        fleet.learn_connected(missing)
    for job in missing:
        if task.check_mode and fleet.leave_aside(job):
            continue
        old = standing[str(job.server.id)].other_times if order.reschedule else []
        report.before += [_schedule_line(job.server, order.line, command.scheduled_at) for command in old]
        report.after.append(_schedule_line(job.server, order.line, order.scheduled_at))
        job.changed = task.check_mode
        job.msg = f"{'Would be s' if task.check_mode else 'S'}cheduled for {iso(order.scheduled_at)}."
        job.body = order.body(job.server)
    _fetch_outputs(fleet, [job for job in jobs if job.command and job.command.finished])
    if not task.check_mode:
        fleet.know(command_id for one in standing.values() for command_id in one.seen)
        fleet.run(missing)
        _settle_races(task, [job for job in missing if job.command], report)
        for job in missing if order.reschedule else ():
            _withdraw_old(task, job, standing[str(job.server.id)].other_times)
    return report


def _schedule_line(server: Server, line: str, time: datetime | None) -> str:
    # Rows of 2024 do not state the time.
    return f"{server}: {line} at {iso(time)}" if time else f"{server}: {line}"


def _standing(task: Task, servers: Sequence[Server]) -> dict[str, _Standing]:
    """What stands on each server already."""
    client, order, gone = task.client, task.order, task.gone()
    found = {str(server.id): _Standing() for server in servers}
    rows = (
        _commands.walk(client, list(found), LATEST_SCHEDULE_FIRST)
        if order.reschedule
        else _commands.scheduled_for(client, list(found), order.time)
    )
    for row in filter(order.match().matches, rows):
        standing = found[str(row.server.id)]
        standing.seen.add(row.id)
        if row.status == "cancelled" or row.id in gone:
            standing.cancelled.add(row.id)
            continue
        command = _with_schedule(client, row)
        if command is None or command.scheduled_at is None:
            continue
        if command.scheduled_at != order.scheduled_at:
            if command.pending and _was_scheduled(command):
                standing.other_times.append(command)
        elif command.pending:
            standing.pending.append(command)
        elif command.ran is not False:
            standing.ran.append(command)
        elif command.status in ("denied", "rejected"):
            standing.refused.append(command)
    return found


def _with_schedule(client: Client, command: Command) -> Command | None:
    """The same command with its scheduled_at, which list rows of 2024 leave out; None if it is gone."""
    return command if command.scheduled_at else _commands.get_if_there(client, command.id)


def _was_scheduled(command: Command) -> bool:
    """Whether it was meant for later, and does not just wait for a server that is offline."""
    if not command.added_at or not command.scheduled_at:
        return True
    return command.scheduled_at > command.added_at + timedelta(seconds=1)


def _scheduled_job(task: Task, server: Server, standing: _Standing) -> Job:
    job = Job(server)
    if standing.pending:
        job.command, job.outcome = min(standing.pending, key=_age), "pending"
        job.msg = "Stands already."
    elif standing.ran:
        job.command = _commands.with_rc(task.client, min(standing.ran, key=_age))
        job.outcome = outcome_of(job.command, task.order.limits.success_codes) or "pending"
        job.msg = "Was carried out at that time already."
    elif standing.refused:
        job.command = max(standing.refused, key=_age)
        job.outcome = job.command.status
    return job


def _age(command: Command) -> tuple[datetime, str]:
    return command.added_at or datetime.max.replace(tzinfo=timezone.utc), command.id


def _check_time(task: Task, missing: Sequence[Job]) -> None:
    if missing and task.order.time <= _commands.client_now(task.client):
        names = ", ".join(str(job.server) for job in missing[:_NAMED_SERVERS])
        raise UsageError(
            "scheduled_at",
            f"{iso(task.order.scheduled_at)} is in the past, and no such command was carried out then on {names}",
            "Give a time to come, or use state=executed to run it now.",
        )


def _withdraw_old(task: Task, job: Job, old: Sequence[Command]) -> None:
    """Cancel what stands at other times, now that the new command does; where that fails, take the new one back."""
    if not old:
        return
    if job.outcome != "pending" or job.command is None:
        job.msg = f"{job.msg} {_stand(old)}"
        return
    new, own = job.command, job.changed
    for place, command in enumerate(old):
        error: AlpaconError | None = None
        try:
            done = task.cancel(command.id)
        except AlpaconError as failure:
            done, error = "", failure
        if done in (_commands.CANCELLED, _commands.GONE):
            job.changed = True
            continue
        taken_back = own and _is_taken_back(task, new)
        left = [*old[place if error else place + 1 :], *([] if taken_back else [new])]
        why = f"could not be cancelled. {error}" if error else "was delivered to the server already."
        job.outcome, job.error = ("refused", error) if error else ("sent", None)
        job.command = command if taken_back else new
        job.changed = place > 0 or (own and not taken_back)
        job.msg = f"Not rescheduled: command {command.id} {why} {_stand(left)}"
        return


def _is_taken_back(task: Task, command: Command) -> bool:
    try:
        return task.cancel(command.id) != _commands.SENT
    except AlpaconError:
        return False


def _stand(commands: Sequence[Command]) -> str:
    """What stands now, for a user."""
    told = ", ".join(f"{command.id} at {iso(command.scheduled_at) or 'its time'}" for command in commands)
    return f"Scheduled now: {told or 'nothing'}."


def _settle_races(task: Task, jobs: Sequence[Job], report: Report) -> None:
    """Where another run scheduled the same meanwhile, leave the earliest command alone and withdraw the others."""
    if not jobs:
        return
    own = {str(job.server.id): job.known for job in jobs}
    try:
        standing, unseen = _visible_standing(task, [job.server for job in jobs], own)
    except AlpaconError as error:
        names = ", ".join(str(job.server) for job in jobs[:_NAMED_SERVERS])
        report.warnings.append(f"Whether another run scheduled the same on {names} could not be seen: {error}")
        return
    for job in jobs:
        if job.id in unseen:
            report.warnings.append(
                f"{job.server}: {job.id} was accepted, and the workspace does not list it; whether another run"
                " scheduled the same could not be seen."
            )
            continue
        try:
            _settle_race(task, job, standing[str(job.server.id)], report)
        except AlpaconError as error:
            report.warnings.append(f"{job.server}: another run scheduled the same, and one of both stays. {error}")


def _settle_race(task: Task, job: Job, standing: _Standing, report: Report) -> None:
    own = job.known
    withdrawn = own.id in standing.cancelled
    others = [rival for rival in standing.pending if rival.id != own.id]
    stand = sorted(others if withdrawn else [*others, own], key=_age)
    if not others:
        return
    for late in stand[1:]:
        if task.cancel(late.id) == _commands.SENT:
            report.warnings.append(
                f"{job.server}: {late.id} was scheduled twice and sent before it could be withdrawn."
            )
        else:
            withdrawn = withdrawn or late.id == own.id
    if withdrawn:
        job.command, job.changed = stand[0], False
        job.msg = "Another run scheduled it first; the later command was withdrawn."


def _visible_standing(
    task: Task, servers: Sequence[Server], own: Mapping[str, Command]
) -> tuple[dict[str, _Standing], set[str]]:
    """What stands, as soon as the workspace lists what this run has submitted: reads may lag behind writes.

    Args:
        own: the command that this task has just submitted to each server.

    Returns:
        What stands on each server, and the ids of what was submitted and is still not listed.
    """
    for pause in (*_VISIBLE_PAUSES, None):
        standing = _standing(task, servers)
        unseen = _unseen(task, standing, own)
        if not unseen or pause is None:
            break
        time.sleep(pause)
    return standing, unseen


def _unseen(task: Task, standing: Mapping[str, _Standing], own: Mapping[str, Command]) -> set[str]:
    """What this run has submitted lately that counts here and is not listed."""
    unseen = set()
    for command in [*own.values(), *_submitted_lately(task)]:
        stands = standing.get(str(command.server.id))
        if stands is None or command.id in stands.seen:
            continue
        if not task.order.reschedule and command.scheduled_at != task.order.scheduled_at:
            continue
        # An earlier one decides, whether this one stays listed or was withdrawn by the other run already.
        if not any(_age(rival) < _age(command) for rival in stands.pending):
            unseen.add(command.id)
    return unseen


def _submitted_lately(task: Task) -> list[Command]:
    """What this run has scheduled of the same, so lately that lists need not show it yet."""
    if task.run.submitted is None:
        return []
    since = _commands.client_now(task.client) - _LATELY
    rows = [row for row in task.run.submitted.read().values() if not row.get("gone")]
    return [
        command
        for command in readable(rows)
        if task.order.match().matches(command) and _was_scheduled(command) and (command.added_at or since) > since
    ]


# state: cancelled


def _cancelled(task: Task) -> Report:
    order = task.order
    jobs = _jobs_by_id(task.client, order.ids) if order.ids else _jobs_by_match(task)
    report = Report(jobs, fine=FINE | {"cancelled"} | (frozenset() if order.fail_if_sent else {"sent"}))
    for job in jobs:
        command = job.command
        if command is None or job.outcome:
            continue
        if command.pending:
            report.before.append(_schedule_line(job.server, command.line, command.scheduled_at))
            _cancel_job(task, job)
        elif not command.line:
            _cancel_unseen(task, job)
        elif command.ran is False:
            job.outcome, job.msg = "cancelled", f"Will not run: it is {command.status} already."
        else:
            job.outcome, job.msg = "sent", OUTCOMES["sent"]
    return report


def _jobs_by_id(client: Client, ids: Sequence[str]) -> list[Job]:
    return [_job_by_id(client, command_id) for command_id in ids]


def _job_by_id(client: Client, command_id: str) -> Job:
    command = _commands.get_if_there(client, command_id)
    if command:
        return Job(command.server, command=command)
    # It may not be visible yet; a request to cancel does not lag.
    return Job(Server(None), command=_placeholder(command_id))


def _jobs_by_match(task: Task) -> list[Job]:
    """A job for each matching command that waits, or is under way; one without a command for a server that has none."""
    client, order = task.client, task.order
    servers = {str(server.id): server for server in task.servers()}
    found: dict[str, list[Job]] = {server_id: [] for server_id in servers}
    rows = (
        _commands.walk(client, list(servers), LATEST_SCHEDULE_FIRST)
        if order.scheduled_at is None
        else _commands.scheduled_for(client, list(servers), order.scheduled_at)
    )
    # Lists may lag behind what this run has submitted and withdrawn.
    seen = task.gone()
    lately = [row for row in _submitted_lately(task) if str(row.server.id) in servers]
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
        for job in found[server_id] or [Job(server, outcome="cancelled", msg=nothing)]
    ]


def _meant_by(client: Client, order: Order, row: Command) -> Command | None:
    """The command, if a request to cancel means it: pending or under way, or at the very time that is given."""
    if order.scheduled_at is None:
        return row if row.pending or (row.status in UNDER_WAY and row.status != "stuck") else None
    command = _with_schedule(client, row)
    if command is None or command.scheduled_at != order.scheduled_at or command.status == "cancelled":
        return None
    return command


def _cancel_unseen(task: Task, job: Job) -> None:
    if task.check_mode:
        job.command = job.known.with_status("cancelled")
        job.outcome, job.msg = "cancelled", "There is no such command (any more)."
        return
    _cancel_job(task, job)
    if job.outcome == "cancelled" and not job.changed:
        job.msg = "There is no such command (any more)."


def _cancel_job(task: Task, job: Job) -> None:
    if task.check_mode:
        job.changed, job.outcome, job.msg = True, "cancelled", "Would be cancelled."
        return
    try:
        done = task.cancel(job.known.id)
    except AlpaconError as error:
        job.outcome, job.error, job.msg = "unknown", error, f"Not known to be cancelled. {error}"
        return
    if done == _commands.SENT:
        job.outcome, job.msg = "sent", OUTCOMES["sent"]
        return
    job.command = job.known.with_status("cancelled")
    job.changed, job.outcome = done == _commands.CANCELLED, "cancelled"
    job.msg = "Cancelled." if job.changed else "Gone already."


_STATES: dict[str, Callable[[Task], Report]] = {
    "executed": _executed,
    "scheduled": _scheduled,
    "finished": _finished,
    "cancelled": _cancelled,
}


# Listing


def run_info(
    options: Mapping[str, Any],
    warn: Warn,
    check_mode: bool = False,
    diff_mode: bool = False,
    run: Run = ALONE,
) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_command_info); it only ever reads."""
    settings = Settings.from_options(options, warn)
    ids = _values.uuids("ids", options.get("ids"))
    if ids:
        _refuse_filters(options)
    if options["limit"] < 0:
        raise UsageError("limit", f"{options['limit']} is negative", "Give a number of commands, or 0 for all of them.")
    with Client(settings, tell=run.tell) as client:
        if ids:
            found = _by_ids(client, ids, warn)
        else:
            query = Query.from_options(client, options)
            found = list(_queries.find(client, query, options["limit"]))
            doubt = _queries.doubt_about_order(found, query.ordering)
            if doubt:
                warn(f"ordering: {doubt}.")
        commands = [_listed(client, command, options["with_output"]) for command in found]
        return {"commands": commands, "changed": False, "requests": client.requests}


def _refuse_filters(options: Mapping[str, Any]) -> None:
    for name in _queries.FILTERS:
        if options.get(name) not in (None, "", []):
            raise UsageError(name, "it does not go with ids", "Give either ids or filters.")


def _by_ids(client: Client, ids: Sequence[str], warn: Warn) -> list[Command]:
    found = []
    for command_id in ids:
        command = _commands.get_if_there(client, command_id)
        if command:
            found.append(command)
        else:
            warn(f"ids: there is no command {command_id}, or the token may not see it.")
    return found


_OUTPUT_KEYS = ("stdout", "stdout_lines", "stderr", "stderr_lines", "output_complete")


def _listed(client: Client, command: Command, with_output: bool) -> dict[str, Any]:
    output = _commands.output(client, command) if with_output and command.finished else None
    described = describe(command, output)
    if not with_output:
        for key in _OUTPUT_KEYS:
            described.pop(key)
    described.update(
        shell=command.shell,
        username=command.username,
        groupname=command.groupname,
        requested_by=_requester(command),
        cancellable=command.cancellable,
        added_at=iso(command.added_at),
        scheduled_at=iso(command.scheduled_at),
        delivered_at=iso(command.delivered_at),
        acked_at=iso(command.acked_at),
        handled_at=iso(command.handled_at),
        run_after=list(command.run_after),
    )
    return described


# Looking up


def run_lookup(terms: Sequence[str], options: Mapping[str, Any], warn: Warn) -> list[Any]:
    """What the lookup wants of each server's latest command, or None where it has none."""
    settings = Settings.from_options(options, warn)
    within = options.get("within")
    since_age = timedelta(seconds=_values.duration("within", within)) if within else None
    statuses = frozenset(str(status).strip().lower() for status in options.get("status") or ())
    query = Query(line=options.get("line"), statuses=statuses, since_age=since_age)
    with Client(settings) as client:
        servers = _servers.find(client, terms, "_terms")
        found = _queries.latest(client, query, servers)
        return [_wanted(client, found.get(str(server.id)), options["want"]) for server in servers]


def _requester(command: Command) -> dict[str, str | None] | None:
    if command.requested_by is None and command.requested_by_name is None:
        return None
    return {"id": command.requested_by, "name": command.requested_by_name}


def _wanted(client: Client, command: Command | None, want: str) -> Any:
    if command is None:
        return None
    if want == "id":
        return command.id
    described = _listed(client, command, with_output=True)
    return described if want == "record" else described["stdout"]
