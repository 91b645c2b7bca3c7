# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Submit commands to many servers and await them: the only place with threads and clocks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Callable

from . import _commands
from ._client import Client
from ._commands import Output
from ._errors import AlpaconError, ApiError, ConnectionFailed, LostAnswer
from ._model import NEVER_RAN, Command, Server

#: How many requests are under way at once.
THREADS = 16

#: Pause before the first look at a command, in seconds.
_FIRST_LOOK = 0.1
#: The pause grows with the age of a command: by so much of it while it is young, and later.
_YOUNG, _GROWTH_YOUNG, _GROWTH = 10.0, 0.25, 0.08
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.15, 10.0
#: While commands are still being submitted and nothing waits for a free place, looks are this far apart, in seconds.
_PAUSE_WHILE_SUBMITTING = 5.0
#: Pause after a look that failed, in seconds.
_PAUSE_AFTER_FAILURE = 5.0


@dataclass(frozen=True)
class Limits:
    """How long to wait, and how much may go on or go wrong at once.

    Attributes:
        wait: whether to await what was submitted.
        wait_timeout: seconds from the submit of a command until its wait ends.
        wait_for_approval: whether to go on waiting for a command that is held for a human.
        cancel_on_timeout: whether to withdraw what has not been delivered by then.
        max_concurrency: how many commands may be unfinished at once; None for no limit.
        max_errors: how many may end badly before no more are submitted; None for no limit.
        success_codes: exit codes that count as success.
    """

    wait: bool = True
    wait_timeout: float = 1800.0
    wait_for_approval: bool = False
    cancel_on_timeout: bool = False
    max_concurrency: int | None = None
    max_errors: int | None = None
    success_codes: frozenset[int] = frozenset((0,))


@dataclass
class Job:
    """One command on its way: what to submit, or which command to await, and what came of it.

    Attributes:
        body: what to submit; empty for a command that exists already.
        outcome: how it ended, see :data:`OUTCOMES`; empty while it goes on.
        msg: what a user should know beside the outcome.
    """

    server: Server
    body: Mapping[str, Any] = field(default_factory=dict)
    command: Command | None = None
    outcome: str = ""
    msg: str = ""
    error: AlpaconError | None = None
    output: Output | None = None
    changed: bool = False
    #: Monotonic times: since when it is awaited, and when it is to be looked at.
    since: float = 0.0
    due: float = 0.0

    @property
    def id(self) -> str | None:
        """Id of the command, as soon as there is one."""
        return self.command.id if self.command else None

    @property
    def known(self) -> Command:
        """The command, of a job that has one."""
        if self.command is None:
            raise ValueError("this job has no command yet")
        return self.command


#: Outcome -> what it says. The first three are no failures.
OUTCOMES: dict[str, str] = {
    "success": "Succeeded.",
    "pending": "Accepted by the workspace, not finished yet.",
    "cancelled": "Never ran: it was cancelled.",
    "failed": "Failed.",
    "denied": "Never ran: the workspace's verification denied it. Submitting it again changes nothing.",
    "rejected": "Never ran: a reviewer rejected it. Do not submit it again; talk to the reviewer.",
    "expired": "Never ran: nobody approved it in time.",
    "parent_failed": "Never ran: a command that it was to run after failed.",
    "awaiting_approval": "Held for approval. Approve it in the workspace, then await its id with state=finished.",
    "stuck": "No result: the server took it and fell silent. It may have run, and a late answer may still come.",
    "error": "The workspace reports an error with it and cannot say whether it ran.",
    "timed_out": "Not finished within wait_timeout. It goes on; await it with state=finished and its id.",
    "refused": "Never ran: the workspace did not accept it.",
    "unknown": "Nobody can say whether it was accepted: the answer was lost. It was not sent again.",
    "sent": "Too late to cancel: it was delivered to the server already.",
    "not_tried": "Not tried.",
}


def outcome_of(command: Command, success_codes: Iterable[int] = (0,)) -> str:
    """How a command ended, or an empty string if it has not."""
    if not command.finished:
        return ""
    if command.parent_failed:
        return "parent_failed"
    if command.status in NEVER_RAN or command.status in ("error", "stuck"):
        return command.status
    if command.exit_code is None and command.status == "failed":
        return "failed"
    return "success" if command.rc in set(success_codes) else "failed"


class Fleet:
    """Submits and awaits jobs, within limits.

    Args:
        sleep: called with seconds to pause.
    """

    def __init__(self, client: Client, limits: Limits, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._limits = limits
        self.sleep = sleep
        self._known: set[str] = set()
        self._errors = 0
        self._stopped = ""

    def run(self, jobs: Sequence[Job]) -> None:
        """Bring every job to its outcome. Errors of one job never lose another."""
        self._known.update(job.id for job in jobs if job.id)
        if self._limits.wait:
            self._client.deadline = time.monotonic() + self._limits.wait_timeout
        waiting = deque(job for job in jobs if job.command is None)
        awaited = [job for job in jobs if job.command is not None and not job.outcome]
        started = time.monotonic()
        for job in awaited:
            job.since, job.due = started, started
        with ThreadPoolExecutor(max_workers=max(1, min(THREADS, len(jobs)))) as pool:
            _Round(self, pool, waiting, awaited).run()

    # What the threads do.

    def submit(self, job: Job) -> None:
        """Submit a job, once, and keep what is known of it."""
        sent_at = time.time()
        try:
            job.command = _commands.submit(self._client, job.body)
        except LostAnswer as error:
            self._adopt(job, sent_at, error)
        except (ApiError, ConnectionFailed) as error:
            job.outcome, job.error, job.msg = "refused", error, str(error)
        if job.command:
            self._known.add(job.command.id)
            job.changed = True
            job.server = _fuller(job.server, job.command.server)

    def _adopt(self, job: Job, sent_at: float, error: LostAnswer) -> None:
        found, candidates = _commands.find_submitted(
            self._client, job.body, sent_at, frozenset(self._known), self.sleep
        )
        if found:
            job.command = found
            job.msg = "The answer to its submit was lost; it was found in the workspace."
            return
        seen = ", ".join(command.id for command in candidates)
        saw = f"Any of these may be it: {seen}." if seen else "No such command was seen in the workspace so far."
        job.outcome, job.error, job.changed = "unknown", error, True
        job.msg = f"{OUTCOMES['unknown']} {saw} {error}"

    def fetch_output(self, job: Job) -> None:
        """Fetch what a finished command wrote."""
        try:
            job.output = _commands.output(self._client, job.known, self.sleep)
        except AlpaconError as error:
            job.output = Output(job.known.result or "", False, f"Its output could not be read: {error}")

    def withdraw(self, job: Job) -> None:
        """Take back a command whose time is up."""
        try:
            done = _commands.cancel(self._client, job.known.id)
        except AlpaconError as error:
            job.msg = f"{job.msg} It could not be cancelled: {error}"
            return
        if done == _commands.SENT:
            job.msg = f"{job.msg} It could not be cancelled: it was delivered already."
        else:
            job.command = job.known.with_status("cancelled")
            job.msg = "Not finished within wait_timeout, and cancelled before it was delivered."

    # What the loop decides.

    def settle(self, job: Job) -> bool:
        """Give a job its outcome if its command allows one; whether its output is still to be fetched."""
        command, limits = job.known, self._limits
        if command.status == "awaiting_approval" and not limits.wait_for_approval:
            job.outcome = command.status
        elif not (limits.wait_for_approval and command.status == "error" and command.handled_at is None):
            # After an approval the API shows "error" for a moment, until the command is delivered.
            job.outcome = outcome_of(command, limits.success_codes)
        return job.outcome != "" and command.finished

    def time_out(self, job: Job) -> bool:
        """End the wait of a job; whether its command is to be withdrawn."""
        status = job.known.status
        job.outcome = status if status in ("stuck", "error") else "timed_out"
        last = (job.error and f" The last look failed: {job.error}") or ""
        job.msg = f"{OUTCOMES[job.outcome]} Last status: {status}.{last}"
        return self._limits.cancel_on_timeout and job.known.pending

    def count(self, job: Job) -> None:
        """Note how a job ended, and stop submitting where too much goes wrong."""
        if job.outcome in ("success", "pending"):
            return
        self._errors += 1
        if isinstance(job.error, ApiError) and job.error.refuses_token:
            self._stopped = f"Not tried: the workspace refuses the token. {job.error}"
        elif self._limits.max_errors is not None and self._errors > self._limits.max_errors:
            self._stopped = f"Not tried: more than max_errors={self._limits.max_errors} commands ended badly before."

    def look(self, jobs: Sequence[Job]) -> None:
        """Read where the commands of these jobs stand, with as few requests as possible.

        The list shows a hundred commands a request, newest first; it is read as long as that costs no more
        than asking for each command that has not been seen in it.
        """
        unseen = {job.id: job for job in jobs}
        if len(unseen) > 1:
            self._look_in_list(unseen)
        for job in unseen.values():
            self._look_at(job)

    def _look_in_list(self, unseen: dict[str | None, Job]) -> None:
        servers = {job.server.id for job in unseen.values()}
        only = {"server": next(iter(servers))} if len(servers) == 1 and None not in servers else {}
        pages = self._client.pages(_commands.PATH, {"ordering": _commands.NEWEST_FIRST, **only})
        for number, page in enumerate(pages, start=1):
            for row in page.rows:
                job = unseen.pop(row.get("id"), None)
                if job:
                    self._note(job, Command.from_row(row), in_list=True)
            if number >= len(unseen):
                return

    def _note(self, job: Job, command: Command, in_list: bool) -> None:
        if in_list and command.status == "failed" and command.exit_code is None and command.may_have_chunks:
            self._look_at(job)  # today's servers know the exit code; this row leaves it out
            return
        job.command, job.error = command, None
        job.server = _fuller(job.server, command.server)

    def _look_at(self, job: Job) -> None:
        try:
            self._note(job, _commands.get(self._client, job.known.id), in_list=False)
        except ApiError as error:
            if error.status != 404:
                raise
            # Servers of 2024 delete what is cancelled.
            job.command = job.known.with_status("cancelled")
            was_there = job.body or job.known.line
            job.msg = (
                "Never ran: it is no longer in the workspace, so it was cancelled."
                if was_there
                else "There is no such command: it was cancelled, or the id is wrong."
            )

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits

    @property
    def stopped(self) -> str:
        """Why no more is submitted, or an empty string."""
        return self._stopped


@dataclass
class _Round:
    """The state of one run of a fleet: who waits to be submitted, what is under way, who is awaited."""

    fleet: Fleet
    pool: ThreadPoolExecutor
    waiting: deque[Job]
    awaited: list[Job]
    under_way: dict[Future[None], tuple[Job, str]] = field(default_factory=dict)
    last_look: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Go on until every job has its outcome."""
        while self.waiting or self.under_way or self.awaited:
            self._start_submits()
            self._collect(self._pause())
            self._end_overdue()
            if self.awaited and time.monotonic() >= self._next_look():
                self._look()

    @property
    def _free(self) -> int:
        limit = self.fleet.limits.max_concurrency
        submitting = sum(1 for _job, what in self.under_way.values() if what == "submit")
        queue_room = 2 * THREADS - submitting
        return queue_room if limit is None else min(queue_room, limit - len(self.awaited) - submitting)

    def _start(self, what: str, work: Callable[[Job], None], job: Job) -> None:
        self.under_way[self.pool.submit(work, job)] = (job, what)

    def _start_submits(self) -> None:
        if self.fleet.stopped:
            for job in self.waiting:
                job.outcome, job.msg = "not_tried", self.fleet.stopped
            self.waiting.clear()
        for _place in range(min(self._free, len(self.waiting))):
            self._start("submit", self.fleet.submit, self.waiting.popleft())

    def _collect(self, pause: float) -> None:
        if not self.under_way:
            self.fleet.sleep(pause)
            return
        done, _not_done = wait(self.under_way, timeout=pause, return_when=FIRST_COMPLETED)
        for future in done:
            job, what = self.under_way.pop(future)
            future.result()
            if what == "submit":
                self._submitted(job)

    def _submitted(self, job: Job) -> None:
        if job.outcome:
            self.fleet.count(job)
        elif not self.fleet.limits.wait:
            job.outcome = "pending"
        else:
            job.since = time.monotonic()
            job.due = job.since + _FIRST_LOOK
            self.awaited.append(job)

    def _next_look(self) -> float:
        due = min(job.due for job in self.awaited)
        if self.waiting and self._free > 0:
            due = max(due, self.last_look + _PAUSE_WHILE_SUBMITTING)
        return due

    def _pause(self) -> float:
        if not self.awaited:
            return _LONGEST_PAUSE if self.under_way else 0.0
        return max(0.0, self._next_look() - time.monotonic())

    def _look(self) -> None:
        failure: AlpaconError | None = None
        try:
            self.fleet.look(self.awaited)
        except AlpaconError as error:
            failure = error
        self.last_look = now = time.monotonic()
        awaited, self.awaited = self.awaited, []
        for job in awaited:
            if self.fleet.settle(job):
                self._start("output", self.fleet.fetch_output, job)
            if job.outcome:
                self.fleet.count(job)
                continue
            if failure:
                job.error = failure
            job.due = now + (_PAUSE_AFTER_FAILURE if failure else _pause_at(now - job.since))
            job.due = min(job.due, max(now + _SHORTEST_PAUSE, job.since + self.fleet.limits.wait_timeout))
            self.awaited.append(job)
        if failure and isinstance(failure, ApiError) and failure.status in (401, 403):
            self._give_up(failure)

    def _give_up(self, error: ApiError) -> None:
        for job in self.awaited:
            job.outcome, job.error = "unknown", error
            job.msg = f"Submitted, but its outcome cannot be read: {error}"
        self.awaited = []

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for job in list(self.awaited):
            ends = job.since + self.fleet.limits.wait_timeout
            # Its time is up only after a last look.
            if self.last_look < ends and now < ends + _PAUSE_AFTER_FAILURE:
                continue
            self.awaited.remove(job)
            if self.fleet.time_out(job):
                self._start("withdraw", self.fleet.withdraw, job)
            self.fleet.count(job)


def _pause_at(age: float) -> float:
    growth = _GROWTH_YOUNG if age < _YOUNG else _GROWTH
    return min(max(age * growth, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def _fuller(known: Server, seen: Server) -> Server:
    """What both say of a server together."""
    return Server(
        known.id or seen.id, known.name or seen.name, known.is_connected, known.commissioned, known.groups, known.fields
    )
