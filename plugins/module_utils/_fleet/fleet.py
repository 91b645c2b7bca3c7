# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Submit commands to many servers and await them: the only place with threads and clocks."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from .._api.agent_output import shortened, why_never_began
from .._api.client import Client
from .._api.commands import CANCELLED, COMMANDS_PATH, NEWEST_FIRST, SENT, cancel, find_command, submit
from .._api.errors import AlpaconError, ApiError, ConnectionFailed, LostAnswer, RunIsOver, unforeseen
from .._api.lists import PAGE_SIZE
from .._api.lost_submits import Requester, find_submitted, requester_of
from .._api.outputs import Output, output_of_row, read_output
from .._api.records import NEVER_RAN, RAN, Command, Server, iso, parse_time, row_id
from .jobs import Job, Limits, digest_of
from .outcomes import NOT_ACCEPTED, Outcome, outcome_of
from .presence import Presence, may_be_restarted, offline, waits_for, was_restarted
from .run import Attempt, Run
from .sharing import Shared

#: How many requests are under way at once.
THREADS = 16

#: Pause before the first look at a command, in seconds.
_FIRST_LOOK = 0.1
#: The pause while a command is not as old as that, in seconds; later it grows with the age by so much of it.
#: So the looks come just after 0.1 and 0.4 s, and after each of the first seconds.
_YOUNG = ((0.2, 0.3), (1.0, 0.65))
_OLDER, _GROWTH = 1.0, 0.08
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.15, 10.0
#: After a look that took several requests, the pause is at least so long for each of them, in seconds.
_PAUSE_A_PAGE = 0.3
#: While more commands than this are awaited, so many glances at the newest ones go before each look at all of them:
#: older ones mostly end first.
_WORTH_A_GLANCE, _GLANCES = 4 * PAGE_SIZE, 3
#: While commands are still being submitted and nothing waits for a free place, looks are this far apart, in seconds;
#: with max_errors more often.
_PAUSE_WHILE_SUBMITTING, _PAUSE_BEFORE_TOO_MANY = 20.0, 5.0
#: Workers poll often only while so many commands are awaited, since a poll is to serve several of them.
_POLL_FOR = 8
#: A worker looks for itself when no other one has polled for so long, in seconds.
_POLLER_PATIENCE = 15.0
#: Lines about the progress are this far apart, in seconds.
_TELL_EVERY = 5.0
#: So many servers are named in a line about them.
_NAMED_SERVERS = 5
_NO_BUDGET = "Not tried: the request budget is used up for longer than wait_timeout."
#: No wait ends by a look that is older than this, in seconds.
_LOOK_IS_OLD = 1.0
#: Pause after a look that failed, in seconds.
_PAUSE_AFTER_FAILURE = 5.0
#: Reads may lag behind writes. For so long a command that the workspace does not show is expected to become visible:
#: one that was submitted or seen, and one of which only the id is known; and for so long in lists, in seconds.
_VISIBLE_PATIENCE, _STRANGER_PATIENCE, _LIST_PATIENCE = 30.0, 10.0, 5.0


class Fleet:
    """Submits and awaits jobs, within limits.

    Args:
        sleep: called with seconds to pause.
        tell: takes a line about the progress every few seconds; None for no such lines.
        announce: takes a line about what the user should know at once.
        run: the run that they are part of: what it has submitted, its journal, whether it still goes on.
        shared: what the workers of the run share; with it they poll for each other.
        hide: takes the secrets out of an output, before it is cut where half of one would be left.
    """

    def __init__(
        self,
        client: Client,
        limits: Limits,
        sleep: Callable[[float], None] = time.sleep,
        tell: Callable[[str], None] | None = None,
        announce: Callable[[str], None] = lambda _text: None,
        run: Run = Run(),  # noqa: B008 (frozen)
        shared: Shared | None = None,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._client = client
        self._limits = limits
        self.sleep = sleep
        self.tell = tell
        self.announce = announce
        self.presence = Presence(client)
        self._run = run
        self._attempts: dict[str, Attempt] = {} if run.attempts is None else run.attempts
        self._submitted = run.submitted
        self.journal = run.under_way
        self._shared = shared
        self._hide = hide
        self._pages = 1
        self._asking = threading.Lock()
        self._requester: Requester | None = None
        self._known: set[str] = set()
        self._errors = 0
        self._stopped = ""

    def run(self, jobs: Sequence[Job]) -> None:
        """Bring every job to its outcome. Errors of one job never lose another.

        Raises:
            RunIsOver: the run has ended without this worker; the journal has what is under way.
        """
        self._known.update(job.id for job in jobs if job.id)
        waiting = deque(job for job in jobs if job.command is None)
        awaited = [job for job in jobs if job.command is not None and not job.outcome]
        started = time.monotonic()
        for job in awaited:
            job.since, job.due = started, started
        if not self._limits.wait:
            self.learn_connected(waiting)
        self.pool = ThreadPoolExecutor(max_workers=max(1, min(THREADS, len(jobs))))
        round_ = _Round(self, waiting, awaited)
        try:
            round_.run()
        except RunIsOver:
            # What was sent still gets its id into the journal.
            self.pool.shutdown(wait=False, cancel_futures=True)
            wait_for(round_.under_way, timeout=self._client.settings.request_timeout)
            raise
        finally:
            # After an interrupt nobody waits for requests that hang.
            self.pool.shutdown(wait=False, cancel_futures=True)
            if self._shared and self._polls_for_others(jobs):
                self._shared.forget(str(jobs[0].id))
        # From here on the result names them, if there is still somebody who takes it.
        self._run.check()
        if self.journal:
            self.journal.strike([job.place for job in jobs if job.place])
        self._note_ends(jobs)

    def _note_ends(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            attempt = self._attempts.get(job.digest)
            if attempt:
                attempt.over = _is_over(job)

    def learn_connected(self, jobs: Sequence[Job]) -> None:
        """Ask which servers are connected, where that matters and nobody has said it."""
        if self._limits.offline == "wait":
            return
        unknown = [job for job in jobs if job.server.is_connected is None]
        states = self.presence.states(str(job.server.id) for job in unknown) if unknown else {}
        for job in unknown:
            job.server = _fuller(states.get(str(job.server.id), job.server), job.server)

    def know(self, ids: Iterable[str]) -> None:
        """Take these commands for others than those that are about to be submitted."""
        self._known.update(ids)

    def leave_aside(self, job: Job) -> bool:
        """Whether nothing is submitted since the server is known to be offline; the outcome is then that."""
        if self._limits.offline == "wait" or job.server.is_connected is not False:
            return False
        job.end(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} Nothing was submitted to {offline(job.server)}.")
        return True

    # What the threads do.

    def submit(self, job: Job) -> None:
        """Submit a job, once, and keep what is known of it; what an earlier attempt has submitted is picked up."""
        if self.leave_aside(job):
            return
        job.digest = digest_of(job.body)
        earlier = self._attempts.get(job.digest)
        if earlier and not earlier.over:
            self._pick_up(job, earlier)
            return
        self._run.check()
        attempt = self._attempts[job.digest] = Attempt(time.time())
        if self.journal:
            job.place = self.journal.intend(str(job.body["server"]), str(job.body["line"]))
        try:
            job.command = submit(self._client, job.body, self._known)
        except LostAnswer as error:
            self._adopt(job, attempt.sent_at, error)
        except (ApiError, ConnectionFailed) as error:
            self._refuse(job, error)
        if job.command:
            self._keep(job, job.command, attempt)

    def _refuse(self, job: Job, error: ApiError | ConnectionFailed) -> None:
        if _lacks_budget(error):
            job.end(Outcome.NOT_TRIED, f"{_NO_BUDGET} {error}", error)
        elif isinstance(error, ApiError) and error.code == "server_not_connected":
            disabled = f"Never ran: {job.server} counts as connected, so it is most likely disabled."
            why = disabled if job.server.is_connected else Outcome.OFFLINE.sentence
            job.end(Outcome.OFFLINE, f"{why} {error}", error)
        else:
            job.end(Outcome.REFUSED, str(error), error)
        if _is_old_acl(error) and "\n" in str(job.body["line"]).strip():
            job.note = "This workspace lets no line with a line break through, whatever the access list says."
        if self.journal and job.place:
            self.journal.strike([job.place])
            job.place = None

    def _keep(self, job: Job, command: Command, attempt: Attempt) -> None:
        """Remember a command that this job has submitted."""
        attempt.command_id = command.id
        self._known.add(command.id)
        if self.journal and job.place:
            self.journal.note(job.place, command.id)
        if self._submitted:
            self._submitted.add(_row_of(command))
        job.changed = True
        job.server = _fuller(job.server, command.server)
        _name_others(job, command.surplus)

    def _pick_up(self, job: Job, earlier: Attempt) -> None:
        """Look again for what an earlier attempt of the task has submitted, of which the end is not known."""
        if earlier.command_id is None:
            self._adopt(job, earlier.sent_at, None)
        else:
            job.command = Command(earlier.command_id, job.server, str(job.body["line"]), job.body["shell"], "unknown")
            with contextlib.suppress(AlpaconError):
                job.command = find_command(self._client, earlier.command_id) or job.command
            job.changed = True
        if job.command:
            if self.journal:
                job.place = self.journal.intend(str(job.body["server"]), str(job.body["line"]))
            self._keep(job, job.command, earlier)
            job.msg = "An earlier attempt of this task has submitted it; it was not submitted again."

    def _adopt(self, job: Job, sent_at: float, error: LostAnswer | None) -> None:
        known = frozenset(self._known.union(self._submitted.read() if self._submitted else ()))
        found, candidates = find_submitted(self._client, job.body, sent_at, known, self.sleep, self._whose)
        if found:
            _name_others(job, [command_id for command_id in (error.others if error else ()) if command_id != found.id])
            job.command = found.with_status("running") if found.hides_rc else found
            job.msg = "The answer to its submit was lost; it was found in the workspace."
            return
        seen = ", ".join(command.id for command in candidates)
        saw = f"Any of these may be it: {seen}." if seen else "No such command was seen in the workspace so far."
        why = error or "An earlier attempt of this task has sent it."
        job.end(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {saw} {why}", error)
        job.changed = True

    def _whose(self) -> Requester:
        """Who the token is, asked once."""
        with self._asking:
            if self._requester is None:
                self._requester = requester_of(self._client)
            return self._requester

    def fetch_output(self, job: Job) -> None:
        """Fetch what a finished command wrote."""
        try:
            job.output = read_output(self._client, job.known, self.sleep)
        except AlpaconError as error:
            job.output = Output(job.known.result or "", False, f"Its output could not be read: {error}")
        self.heed_output(job)

    def heed_output(self, job: Job) -> None:
        """Keep what is wanted of an output. What never began is a failure, whatever exit codes count as success."""
        if job.output is None:
            return
        if job.outcome == Outcome.SUCCESS and why_never_began(job.known, job.output.text):
            job.end(Outcome.FAILED)  # the exit code is the agent's
        whole = replace(job.output, text=self._hide(job.output.text))
        job.output = shortened(job.known, whole, self._limits.output_limit)
        if job.output is not whole:
            job.command = job.known.without_result()

    def withdraw(self, job: Job) -> None:
        """Take back a command whose time is up."""
        try:
            done = cancel(self._client, job.known.id)
        except AlpaconError as error:
            job.msg = f"{job.msg} It could not be cancelled: {error}"
            return
        if done == SENT:
            job.msg = f"{job.msg} It could not be cancelled: it was delivered already."
        elif done == CANCELLED or not job.missing:
            job.command = job.known.with_status("cancelled")
            job.end(Outcome.TIMED_OUT, "Not finished within wait_timeout, and cancelled before it was delivered.")

    def leave_out(self, job: Job) -> None:
        """Take back a command that waits for a server that is offline; where it is too late, it is awaited on."""
        try:
            done = cancel(self._client, job.known.id)
        except AlpaconError as error:
            job.note = f"{job.server} was offline, and the command could not be cancelled: {error}"
            return
        if done != SENT:
            job.command, job.changed = job.known.with_status("cancelled"), False
            where = f"It was cancelled before it was delivered to {offline(job.server)}."
            job.end(Outcome.OFFLINE, f"{Outcome.OFFLINE.sentence} {where}")

    # What the loop decides.

    def settle(self, job: Job) -> bool:
        """Give a job its outcome if its command allows one; whether its output is still to be fetched."""
        command, limits = job.known, self._limits
        if command.status == "awaiting_purpose":
            job.note = "The workspace asked what it is for, and goes on only when told so: give the option purpose."
        if command.status == "awaiting_approval" and not limits.wait_for_approval:
            job.end(Outcome.AWAITING_APPROVAL)
        elif not (limits.wait_for_approval and command.status == "error" and command.handled_at is None):
            # After an approval the API shows "error" for a moment, until the command is delivered.
            outcome = outcome_of(command, limits.success_codes)
            if outcome:
                job.end(outcome)
        return job.outcome is not None and command.finished

    def time_out(self, job: Job) -> bool:
        """End the wait of a job; whether its command is to be withdrawn."""
        if job.missing:
            self._give_up_on(job)
            return self._limits.cancel_on_timeout and bool(job.body) and job.known.pending
        status = job.known.status
        outcome = Outcome(status) if status in ("stuck", "error") else Outcome.TIMED_OUT
        last = (job.error and f" The last look failed: {job.error}") or ""
        waits = f" It waits for {offline(job.server)}." if waits_for(job.known, job.server) else ""
        job.end(outcome, f"{outcome.sentence} Last status: {status}.{waits}{last}")
        return self._limits.cancel_on_timeout and job.known.pending

    def is_restarted(self, job: Job) -> bool:
        """Whether a last look shows that no result can come: the agent was started after it took the command."""
        with contextlib.suppress(AlpaconError):
            self._look_at(job)
        return was_restarted(job.known, job.server)

    def give_up_restarted(self, job: Job) -> None:
        """End the wait for a command whose agent was restarted after taking it: it will never get a result."""
        started_at = iso(job.server.started_at)
        job.end(
            Outcome.UNKNOWN,
            f"No result can come any more: the agent of {job.server} was restarted at {started_at}, after it had"
            " taken the command, which may have run in part.",
        )

    def count(self, job: Job) -> None:
        """Note how a job ended, and stop submitting where too much goes wrong."""
        if job.outcome in self._limits.fine:
            return
        self._errors += 1
        if isinstance(job.error, ApiError) and job.error.refuses_token:
            self._stopped = f"Not tried: the workspace refuses the token. {job.error}"
        elif _lacks_budget(job.error):
            self._stopped = f"{_NO_BUDGET} {job.error}"
        elif self._limits.max_errors is not None and self._errors > self._limits.max_errors:
            self._stopped = f"Not tried: more than max_errors={self._limits.max_errors} commands ended badly before."

    def look(self, jobs: Sequence[Job], glance: bool = False) -> None:
        """Read where the commands of these jobs stand, with as few requests as possible.

        The list shows a hundred commands a request, newest first; it is read as long as that costs no more
        than asking for each command that has not been seen in it.

        Args:
            glance: read no further than commands have ended.
        """
        if self._shared and self._polls_for_others(jobs):
            try:
                self._look_with_others(self._shared, jobs[0])
            except OSError:
                self._look_at(jobs[0])  # the run's temporary folder is full, or gone
            return
        unseen = {job.id: job for job in jobs if job.listed}
        several = len(unseen) > 1
        if several and not self._look_in_list(unseen, glance):
            return
        singly = [job for job in jobs if not (several and job.listed)]
        failures = [error for error in self.pool.map(self._try_to_look_at, singly) if error]
        if failures and len(failures) == len(jobs):
            raise failures[0]

    def _try_to_look_at(self, job: Job) -> AlpaconError | None:
        """Look at one command; what fails costs this one only."""
        try:
            self._look_at(job)
        except AlpaconError as error:
            job.error = error
            return error
        return None

    def _look_in_list(self, unseen: dict[str | None, Job], glance: bool) -> bool:
        """Look for these jobs in the list and take out those that were seen; whether it was read to its end."""
        servers = {job.server.id for job in unseen.values()}
        only = {"server": next(iter(servers))} if len(servers) == 1 and None not in servers else {}
        pages = self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, **only})
        number = 1
        for number, page in enumerate(pages, start=1):
            seen = [(job, row) for row in page.rows if (job := unseen.pop(row_id(row), None))]
            for job, row in seen:
                self._note(job, Command.from_row(row), in_list=True)
            if _is_older(page.rows, unseen.values()):
                late = True
                break
            if number >= len(unseen):
                late = False
                break
            if glance and not any(job.known.finished for job, _row in seen):
                return False
        else:
            late = True
        self._pages = number
        now = time.monotonic()
        for job in unseen.values():
            if late and now - (job.missing or now) < _LIST_PATIENCE:
                job.missing = job.missing or now  # the list lags, say
            else:
                job.listed = False  # too far down, or gone: from now on it is asked for by its id
        return True

    def _polls_for_others(self, jobs: Sequence[Job]) -> bool:
        return len(jobs) == 1 and jobs[0].id is not None

    def _look_with_others(self, shared: Shared, job: Job) -> None:
        """Take what another worker has seen, or look for all of them."""
        row = shared.take(job.known.id)
        if row:
            self._note(job, Command.from_row(row), in_list=True)
            shared.expect(job.known.id)
        elif row is not None or not job.listed or self._is_left_alone(shared, job):
            job.listed = False
            self._look_at(job)
        elif self._needs_poll(shared, job):
            with shared.lock("poll") as mine:
                if mine and self._needs_poll(shared, job):
                    self._poll_for_all(shared, job)

    def _is_left_alone(self, shared: Shared, job: Job) -> bool:
        now = time.monotonic()
        forsaken = now - max(shared.polled_at(), job.since) > _POLLER_PATIENCE + _LONGEST_PAUSE
        return forsaken or now >= job.since + self._limits.wait_timeout

    @staticmethod
    def _needs_poll(shared: Shared, job: Job) -> bool:
        polled = shared.polled_at()
        gap = _SHORTEST_PAUSE if len(shared.expected()) >= _POLL_FOR else _POLL_FOR * _SHORTEST_PAUSE / 2
        return polled <= max(job.since, job.looked) and time.monotonic() - polled >= gap

    def _poll_for_all(self, shared: Shared, own: Job) -> None:
        began = time.monotonic()
        unseen = shared.expected() | {own.known.id}
        if len(unseen) == 1:
            self._look_at(own)
            return
        pages = self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST})
        for number, page in enumerate(pages, start=1):
            for row in page.rows:
                command_id = row_id(row)
                if command_id in unseen:
                    unseen.remove(command_id)
                    self._hand_out(shared, own, row)
            if number >= len(unseen):
                break
        if own.known.id in unseen:
            self._look_at(own)
        for command_id in unseen - {own.known.id}:
            if shared.expected_for(command_id) >= _LIST_PATIENCE:
                shared.offer(command_id, {})
        shared.note_poll(began)

    def _hand_out(self, shared: Shared, own: Job, row: Mapping[str, Any]) -> None:
        command = Command.from_row(row)
        if command.id == own.known.id:
            self._note(own, command, in_list=True)
        elif command.finished or command.status == "awaiting_approval":
            shared.offer(command.id, dict(row))

    def _note(self, job: Job, command: Command, in_list: bool) -> None:
        if in_list and command.hides_rc:
            self._try_to_look_at(job)  # the detail tells the exit code
            return
        job.command, job.error, job.missing = command, None, 0.0
        job.server = _fuller(job.server, command.server)

    def _look_at(self, job: Job) -> None:
        command = find_command(self._client, job.known.id)
        if command:
            self._note(job, command, in_list=False)
            return
        job.missing = job.missing or time.monotonic()

    def is_lost(self, job: Job) -> bool:
        """Whether the workspace has not shown a command for so long that it never will."""
        patience = _VISIBLE_PATIENCE if job.body or job.known.line else _STRANGER_PATIENCE
        return bool(job.missing) and time.monotonic() - job.missing >= patience

    def _give_up_on(self, job: Job) -> None:
        job.error = None
        job.end(
            Outcome.UNKNOWN,
            f"It was accepted as {job.id}, and the workspace does not show it: it was cancelled, or reads lag behind."
            if job.body or job.known.line
            else "The workspace does not show it: it was cancelled, the id is wrong, or the token may not see it.",
        )

    def check(self) -> None:
        """Raise :class:`RunIsOver` where nobody is left to work for."""
        self._run.check()

    def stop(self, why: str) -> None:
        """Submit no more."""
        self._stopped = self._stopped or why

    def allow_time(self) -> None:
        """Let requests wait for their budget as long as commands may take from now on."""
        self._client.deadline = time.monotonic() + self._limits.wait_timeout

    def expect(self, job: Job) -> None:
        """Ask the other workers to look for this command as well."""
        if self._shared and job.id:
            self._shared.expect(job.id)

    @property
    def pages(self) -> int:
        """How many requests the last look at the list took."""
        return self._pages

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
    waiting: deque[Job]
    awaited: list[Job]
    under_way: dict[Future[None], tuple[Job, str]] = field(default_factory=dict)
    ended: queue.SimpleQueue[Future[None]] = field(default_factory=queue.SimpleQueue)
    done: Counter[bool] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    glances: int = _GLANCES

    def __post_init__(self) -> None:
        self.last_look = self.last_told = self.began
        self.due = min((job.due for job in self.awaited), default=math.inf)

    def run(self) -> None:
        """Go on until every job has its outcome."""
        while self.waiting or self.under_way or self.awaited:
            self.fleet.check()
            self._tell()
            self._start_submits()
            self._collect(self._pause())
            if self.awaited and time.monotonic() >= self._next_look():
                self._look()

    @property
    def _free(self) -> int:
        limit = self.fleet.limits.max_concurrency
        submitting = self._submitting
        queue_room = 2 * THREADS - submitting
        return queue_room if limit is None else min(queue_room, limit - len(self.awaited) - submitting)

    @property
    def _submitting(self) -> int:
        return sum(1 for _job, what in self.under_way.values() if what == "submit")

    def _start(self, what: str, work: Callable[[Job], None], job: Job) -> None:
        future = self.fleet.pool.submit(work, job)
        self.under_way[future] = (job, what)
        future.add_done_callback(self.ended.put)

    def _start_submits(self) -> None:
        if not self.waiting:
            return
        if time.monotonic() > self.began + self.fleet.limits.wait_timeout:
            self.fleet.stop("Not tried: wait_timeout was over before its turn came.")
        if self.fleet.stopped:
            for job in self.waiting:
                job.end(Outcome.NOT_TRIED, self.fleet.stopped)
            self.waiting.clear()
        for _place in range(min(self._free, len(self.waiting))):
            self._start("submit", self.fleet.submit, self.waiting.popleft())
        if not self.waiting:
            self.fleet.allow_time()

    def _collect(self, pause: float) -> None:
        if not self.under_way:
            self.fleet.sleep(pause)
            return
        for future in self._await_ended(pause):
            job, what = self.under_way.pop(future)
            error = future.exception()
            if isinstance(error, RunIsOver):
                raise error
            if error:
                # Whatever it is, it must not take the ids of the other commands with it.
                _note_unforeseen(job, what, unforeseen(error))
                self.fleet.heed_output(job)
            if what == "submit":
                self._submitted(job)
                if not self.waiting and not self._submitting:
                    self.fleet.allow_time()
            elif what == "leave out" and job.outcome:
                self._over(job)
            elif what == "leave out":
                self.awaited.append(job)
                self.due = min(self.due, job.due)

    def _await_ended(self, seconds: float) -> Iterator[Future[None]]:
        """What has ended, as soon as something has, or nothing after so many seconds."""
        with contextlib.suppress(queue.Empty):
            yield self.ended.get(timeout=seconds)
            while True:
                yield self.ended.get_nowait()

    def _submitted(self, job: Job) -> None:
        if job.outcome:
            self._over(job)
        elif not self.fleet.limits.wait:
            job.end(Outcome.PENDING)
            self._over(job)
        else:
            job.since = time.monotonic()
            job.due = job.since + _FIRST_LOOK
            self.due = min(self.due, job.due)
            self.fleet.expect(job)
            self.awaited.append(job)
            if waits_for(job.known, job.server):
                self._announce([job])

    def _announce(self, away: Sequence[Job]) -> None:
        """Say at once which commands wait for servers that are offline."""
        fresh = [job for job in away if not job.announced]
        if not fresh:
            return
        for job in fresh:
            job.announced = True
        named = "; ".join(offline(job.server) for job in fresh[:_NAMED_SERVERS])
        more = f"; and {len(fresh) - _NAMED_SERVERS} more" if len(fresh) > _NAMED_SERVERS else ""
        self.fleet.announce(f"alpacon: {len(fresh)} {'waits' if len(fresh) == 1 else 'wait'} for {named}{more}")

    def _over(self, job: Job) -> None:
        self.fleet.count(job)
        self.done[job.outcome in self.fleet.limits.fine] += 1

    def _tell(self) -> None:
        now = time.monotonic()
        if self.fleet.tell is None or now < self.last_told + _TELL_EVERY:
            return
        first = self.last_told == self.began
        self.last_told = now
        to_submit = len(self.waiting) + self._submitting
        left = f"{to_submit} to submit, " if to_submit else ""
        away = sum(waits_for(job.known, job.server) for job in self.awaited)
        waiting = f", {away} of them waiting for a server that is offline" if away else ""
        self.fleet.tell(
            f"alpacon: {left}{len(self.awaited)} running{waiting}, {self.done[True]} done, {self.done[False]} failed"
            f" after {now - self.began:.0f} s"
        )
        if first and self.fleet.journal and self.fleet.journal.works:
            self.fleet.tell(f"alpacon: if this run is interrupted, the ids are in {self.fleet.journal.file}")

    def _next_look(self) -> float:
        limits = self.fleet.limits
        if self.waiting and (limits.max_concurrency is None or self._free > 0):
            pause = _PAUSE_WHILE_SUBMITTING if limits.max_errors is None else _PAUSE_BEFORE_TOO_MANY
            return max(self.due, self.last_look + pause)
        return self.due

    def _pause(self) -> float:
        if not self.awaited:
            return _TELL_EVERY if self.under_way else 0.0
        return min(_TELL_EVERY, max(0.0, self._next_look() - time.monotonic()))

    def _look(self) -> None:
        failure: AlpaconError | None = None
        began = time.monotonic()
        glance = self._may_glance() and self.glances > 0
        self.glances = self.glances - 1 if glance else _GLANCES
        try:
            self.fleet.look(self.awaited, glance)
        except AlpaconError as error:
            failure = error
        except Exception as error:
            failure = unforeseen(error)
        self.last_look = now = time.monotonic()
        pages = max(self.fleet.pages, len(self.awaited) // PAGE_SIZE)
        looks = 1 + _GLANCES if self._may_glance() else 1
        awaited, self.awaited = self.awaited, []
        for job in awaited:
            job.looked = began
            self._settle(job, failure)
            if not job.outcome:
                job.due = now + (_PAUSE_AFTER_FAILURE if failure else _pause_at(now - job.since, pages) / looks)
                # Its time is up only after a last look.
                job.due = min(job.due, max(now + _SHORTEST_PAUSE, self._ends(job)))
                self.awaited.append(job)
        if not failure and not glance:
            # After a glance most of what is known is older than that.
            self._ask_servers(now)
        self._end_waits()
        self.due = min((job.due for job in self.awaited), default=math.inf)
        if failure and isinstance(failure, ApiError) and failure.status in (401, 403):
            self._give_up(failure)

    def _ask_servers(self, now: float) -> None:
        """Look after the servers of commands that stay where they are."""
        presence = self.fleet.presence
        last = [job for job in self.awaited if now >= self._ends(job) and not job.asked_last]
        for job in last:
            job.asked_last = True
        to_ask = {id(job) for job in last if presence.can_tell(job.known)}
        due = [job for job in self.awaited if id(job) in to_ask or presence.is_due(job.known, job.since, now)]
        states = presence.ask([job.known for job in due], now) if due else {}
        for job in due:
            job.server = _fuller(states.get(str(job.known.server.id), job.server), job.server)
        suspects = [job for job in due if may_be_restarted(job.known, job.server)]
        restarted = [job for job, sure in zip(suspects, self.fleet.pool.map(self.fleet.is_restarted, suspects)) if sure]
        for job in restarted:
            self.fleet.give_up_restarted(job)
            self._over(job)
        away = [job for job in due if waits_for(job.known, job.server)]
        if self.fleet.limits.offline == "wait":
            self._announce(away)
            away = []
        for job in away:
            self._start("leave out", self.fleet.leave_out, job)
        gone = {id(job) for job in (*restarted, *away)}
        self.awaited = [job for job in self.awaited if id(job) not in gone]

    def _may_glance(self) -> bool:
        """Whether it is enough for a while to look at the newest commands."""
        if self.waiting or len(self.awaited) <= _WORTH_A_GLANCE:
            return False
        now = time.monotonic()
        return all(now < self._ends(job) for job in self.awaited)

    def _ends(self, job: Job) -> float:
        return job.since + self.fleet.limits.wait_timeout

    def _settle(self, job: Job, failure: AlpaconError | None) -> None:
        """Give a job its outcome if it has ended, or is lost."""
        try:
            if self.fleet.settle(job):
                job.output = output_of_row(job.known)
                if job.output is None:
                    self._start("output", self.fleet.fetch_output, job)
                self.fleet.heed_output(job)
            elif failure:
                job.error = failure
            elif self.fleet.is_lost(job):
                self.fleet.time_out(job)
        except Exception as error:
            self._lose(job, unforeseen(error))
            return
        if job.outcome:
            self._over(job)

    def _end_waits(self) -> None:
        """Wait no longer for what has had its time, and a last look."""
        now = time.monotonic()
        # Servers that took long to answer make a look old: another one comes first.
        is_old = now > self.last_look + _LOOK_IS_OLD
        awaited, self.awaited = self.awaited, []
        for job in awaited:
            if is_old or now < self._ends(job):
                self.awaited.append(job)
                continue
            try:
                withdraws = self.fleet.time_out(job)
            except Exception as error:
                self._lose(job, unforeseen(error))
                continue
            if withdraws:
                self._start("withdraw", self.fleet.withdraw, job)
            self._over(job)

    def _lose(self, job: Job, error: AlpaconError) -> None:
        job.end(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {error}", error)
        self._over(job)

    def _give_up(self, error: ApiError) -> None:
        for job in self.awaited:
            self._lose(job, error)
        self.awaited = []


def _row_of(command: Command) -> dict[str, Any]:
    """What other tasks of the run need to know of a command that they do not see yet."""
    return {
        "id": command.id,
        "server": {"id": command.server.id, "name": command.server.name},
        "shell": command.shell,
        "line": command.line,
        "username": command.username,
        "groupname": command.groupname,
        "added_at": iso(command.added_at),
        "scheduled_at": iso(command.scheduled_at),
        "run_after": list(command.run_after),
    }


def _name_others(job: Job, ids: Sequence[str]) -> None:
    """Tell of commands that nobody asked for: they may run as well."""
    if ids:
        job.note = f"The answer to its submit named commands that were not asked for: {', '.join(ids)}."


def _is_over(job: Job) -> bool:
    """Whether what a job has submitted has ended for certain, or was never accepted."""
    if job.command is None:
        return job.outcome in NOT_ACCEPTED
    return job.command.status in RAN | NEVER_RAN and job.outcome != Outcome.UNKNOWN


def _note_unforeseen(job: Job, what: str, error: AlpaconError) -> None:
    """Note what went wrong with something that was to be done for a job; what is known of its command stays so."""
    if job.command is None:
        job.end(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {error}", error)
    elif what == "output":
        job.output = Output(job.command.result or "", False, f"Its output could not be read: {error}")
    else:
        job.note = f"{job.note} {error}".strip()
        job.changed = job.changed or what == "submit"


def _is_old_acl(error: AlpaconError) -> bool:
    """Whether an access list refused a command as the servers of 2024 do, in words that come with HTTP 400."""
    return isinstance(error, ApiError) and error.status == 400 and error.code == "api_token_acl_not_allowed"


def _lacks_budget(error: AlpaconError | None) -> bool:
    return isinstance(error, ApiError) and error.status == 429


def _pause_at(age: float, pages: int = 1) -> float:
    """Pause until the next look: the older the command and the more a look costs, the longer."""
    pause = next((pause for young, pause in _YOUNG if age < young), max(_OLDER, age * _GROWTH))
    cost = 1 + math.log2(pages)
    return max(min(pause * cost, _LONGEST_PAUSE), _SHORTEST_PAUSE, (pages - 1) * _PAUSE_A_PAGE)


def _is_older(rows: Sequence[Mapping[str, Any]], jobs: Iterable[Job]) -> bool:
    """Whether all of these jobs, newest first, would have had to come before the end of these rows."""
    last = parse_time(rows[-1].get("added_at")) if rows else None
    added = [job.known.added_at for job in jobs]
    return last is not None and all(time is not None and time > last for time in added)


def _fuller(known: Server, seen: Server) -> Server:
    """What both say of a server together."""
    return Server(
        known.id or seen.id, known.name or seen.name, known.is_connected, known.commissioned, known.groups, known.fields
    )
