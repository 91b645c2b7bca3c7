# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of one command of a task (job), the outcomes it can have, and the limits of a task."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import AlpaconError
from .._api.lost_submits import FoundSubmit, LostSubmit
from .._api.outputs import Output
from .._api.quota import PERIOD as QUOTA_PERIOD
from .._api.records import NEVER_RAN, Command, Server
from .._payload.packing import NOT_AFTER
from .journal import Position


class Outcome(str, Enum):
    """Result of a job; the value is the C(outcome) that tasks return.

    Attributes:
        sentence: explanation for users.
        is_ok: False if the outcome is a failure; see also :attr:`Limits.ok_outcomes`.
    """

    sentence: str
    is_ok: bool

    SUCCESS = "success", "Succeeded.", True
    PENDING = "pending", "Accepted by the workspace, not finished yet.", True
    CANCELLED = "cancelled", "Never ran: it was cancelled."
    FAILED = "failed", "Failed."
    DENIED = "denied", "Never ran: the workspace's verification denied it. Submitting it again changes nothing."
    REJECTED = "rejected", "Never ran: a reviewer rejected it. Do not submit it again; talk to the reviewer."
    EXPIRED = "expired", "Never ran: nobody approved it in time."
    PARENT_FAILED = "parent_failed", "Never ran: a command in its run_after failed."
    AWAITING_APPROVAL = (
        "awaiting_approval",
        "Held for approval. Approve it in the workspace, then await it with state=finished and its id.",
    )
    STUCK = (
        "stuck",
        "No result: the server received it and then stopped reporting. It may have run, and may still report a result.",
    )
    ERROR = "error", "The workspace reports an error with it and cannot say whether it ran."
    TIMED_OUT = (
        "timed_out",
        "Not finished within wait_timeout. It continues; await it with state=finished and its id.",
    )
    LATE = "late", "Never ran: it was too late for not_after."
    OFFLINE = "offline", "Never ran: the server is offline."
    REFUSED = "refused", "Never ran: the workspace did not accept it."
    UNKNOWN = "unknown", "It may have been accepted, and was not sent again."
    SENT = "sent", "Too late to cancel: it was delivered to the server already."
    NOT_TRIED = "not_tried", "Not tried."

    def __new__(cls, word: str, sentence: str = "", is_ok: bool = False) -> Outcome:
        outcome = str.__new__(cls, word)
        outcome._value_ = word
        outcome.sentence = sentence
        outcome.is_ok = is_ok
        return outcome

    def explain(self, command_id: str | None) -> str:
        """Return the sentence with the ID of the command."""
        return self.sentence.replace("its id", f"id={command_id}") if command_id else self.sentence

    # In sets and texts, equal to the plain word on every version of Python.
    __hash__ = str.__hash__
    __str__ = str.__str__


OK_OUTCOMES = frozenset(outcome for outcome in Outcome if outcome.is_ok)

#: Outcomes of jobs whose submit the workspace did not accept.
NOT_ACCEPTED = frozenset((Outcome.REFUSED, Outcome.NOT_TRIED, Outcome.OFFLINE))

#: Outcomes and statuses of commands that a reviewer or a policy declined.
DECLINED = frozenset((Outcome.DENIED, Outcome.REJECTED))

#: Outcomes of commands that have ended or never ran. With any other outcome, the command may still run.
CLOSED = frozenset(Outcome) - {
    Outcome.PENDING,
    Outcome.AWAITING_APPROVAL,
    Outcome.STUCK,
    Outcome.ERROR,
    Outcome.TIMED_OUT,
    Outcome.UNKNOWN,
    *DECLINED,
}


#: Failures after which the command can be submitted again: it has ended or never ran, and nobody declined it.
LEFT = CLOSED - OK_OUTCOMES - {Outcome.SENT}

#: Failures after which the command may still run: await it instead of submitting it again.
UNCERTAIN = frozenset(Outcome) - CLOSED - DECLINED - OK_OUTCOMES


def list_servers(jobs: Iterable[Job], outcomes: frozenset[Outcome]) -> list[str]:
    """Return the servers of jobs with one of these outcomes as values for the option servers, each once."""
    names = (job.server.id or job.server.name for job in jobs if job.outcome in outcomes)
    return list(dict.fromkeys(name for name in names if name))


def get_outcome(command: Command, success_codes: Iterable[int] = (0,)) -> Outcome | None:
    """Return the outcome of a finished command, or None if it is unfinished."""
    if not command.finished:
        return None
    if command.parent_failed:
        return Outcome.PARENT_FAILED
    if command.status in NEVER_RAN or command.status in ("error", "stuck"):
        return Outcome(command.status)
    is_failed = command.status == "failed" or (command.success is False and command.status != "success")
    if is_failed and (command.error_phase or not command.exit_code):
        return Outcome.FAILED  # an exit code that contradicts the status is not the exit code of the line
    rc = 0 if command.rc is None and command.succeeded else command.rc
    return Outcome.SUCCESS if rc in set(success_codes) else Outcome.FAILED


@dataclass(frozen=True)
class Limits:
    """Limits of a task, from the options of the same names.

    Attributes:
        wait_timeout: seconds from the submit of each command.
        max_concurrency: maximum number of unfinished commands; None for no limit.
        max_errors: submit no more commands after more failures than this; None for no limit.
        offline: C(wait), C(fail) or C(skip).
        output_limit: number of characters to return from the end of each output; None for all.
        not_after: when commands that still wait are cancelled, and no more are submitted, in monotonic seconds.
    """

    wait: bool = True
    wait_timeout: float = 1800.0
    wait_for_approval: bool = False
    cancel_on_timeout: bool = False
    max_concurrency: int | None = None
    max_errors: int | None = None
    success_codes: frozenset[int] = frozenset((0,))
    offline: str = "wait"
    output_limit: int | None = None
    not_after: float = math.inf

    def get_end(self, job: Job) -> float:
        """Return when a job times out or is to be cancelled, in monotonic seconds; never before it is awaited."""
        if not job.awaited_since:
            return math.inf
        end = job.awaited_since + self.wait_timeout
        return min(end, max(self.not_after, job.awaited_since)) if job.may_be_late or job.held_since else end

    def limit_reads(self, client: Client, jobs: Iterable[Job]) -> Client:
        """Return a client whose reads for these jobs end with the first timeout, or now if that has passed.

        They wait for the quota until it is renewed after the last timeout.
        """
        ends = [self.get_end(job) for job in jobs if job.awaited_since]
        if not ends:
            return client
        return client.until(reads=max(time.monotonic(), min(ends)), quota=max(ends) + QUOTA_PERIOD)

    @property
    def ok_outcomes(self) -> frozenset[Outcome]:
        return OK_OUTCOMES | {Outcome.OFFLINE} if self.offline == "skip" else OK_OUTCOMES


#: What remains to be done in a thread for a job, and may still change its outcome.
Settle = Callable[["Job"], None]


@dataclass
class SubmitRecord:
    """A submit by this or an earlier attempt of a task.

    Attributes:
        sent_at: local time in seconds since the epoch.
        may_repeat: True if the command was never accepted, or ended without being declined.
    """

    sent_at: float
    command_id: str | None = None
    may_repeat: bool = False
    position: Position | None = None


@dataclass
class Job:
    """One command of a task: the submit, the command as the last poll returned it, and the result.

    Attributes:
        outcome: None until the job is finished.
        note: sentences for users that apply to any outcome.
        changed: True if the task submitted or cancelled the command.
        record: the submit by this or an earlier attempt of the task; None if there is none.
        lost: the submit if its response was lost.
        found: commands that may come from the lost submit; None if the last search failed.
        awaited_since: monotonic seconds.
        expected: seconds from the submit after which it is expected to end; None if unknown.
        listed: False if the list does not contain the command, so that it is polled by its ID.
        adopted: True if another task submitted the command, so that this one does not cancel it.
        may_have_run: True if its output contradicts what the workspace states, that the agent refused to run it.
        submits_again: True if its command certainly ran nothing, and the fleet is to submit it once more.
        is_second: True once the fleet has done so.
        is_answered: True if the workspace answered its submit, so that no other command can come from it.
        held_since: monotonic seconds since its sudo awaits a person, after its command ended; 0 if it does not.
        was_cancelled_late: True if its cancel at not_after did not end it.
        ended_at: monotonic seconds since the workspace pushed the end of the command; 0 before.
        missing_since: monotonic seconds of the first poll that did not find it; 0 if the last poll did.
    """

    server: Server
    body: Mapping[str, Any] = field(default_factory=dict)
    command: Command | None = None
    outcome: Outcome | None = None
    msg: str = ""
    note: str = ""
    error: AlpaconError | None = None
    output: Output | None = None
    changed: bool = False
    record: SubmitRecord | None = None
    lost: LostSubmit | None = None
    found: FoundSubmit | None = None
    awaited_since: float = 0.0
    expected: float | None = None
    listed: bool = True
    missing_since: float = 0.0
    ended_at: float = 0.0
    adopted: bool = False
    may_have_run: bool = False
    submits_again: bool = False
    is_second: bool = False
    is_answered: bool = False
    held_since: float = 0.0
    was_cancelled_late: bool = False

    def finish(self, outcome: Outcome, msg: str | None = None, error: AlpaconError | None = None) -> None:
        self.outcome = outcome
        if msg is not None:
            self.msg = msg
        if error is not None:
            self.error = error

    def add_note(self, note: str) -> None:
        if note not in self.note:
            self.note = f"{self.note} {note}".lstrip()

    def update(self, command: Command) -> None:
        self.command, self.error, self.missing_since = command, None, 0.0
        self.server = merge_servers(self.server, command.server)

    @property
    def id(self) -> str | None:
        return self.command.id if self.command else None

    @property
    def may_be_late(self) -> bool:
        """Return True if its own command waits for its delivery, so that it is cancelled at not_after."""
        is_own = bool(self.body) and not (self.adopted or self.was_cancelled_late)
        return is_own and self.command is not None and self.command.pending

    @property
    def ran(self) -> bool | None:
        """Return True if the command has run, False if it has not, None if that is unknown."""
        if self.command is None:
            return None if self.outcome == Outcome.UNKNOWN else False
        if self.may_have_run:
            return None
        if self.outcome in (Outcome.TIMED_OUT, Outcome.UNKNOWN) and self.command.status != "cancelled":
            return self.command.ran or None  # it may have run since the last poll
        return self.command.ran

    @property
    def submitted(self) -> Command:
        """Return the command of a job that has one.

        Raises:
            ValueError: it has none yet.
        """
        if self.command is None:
            raise ValueError("this job has no command yet")
        return self.command


def get_digest(body: Mapping[str, Any]) -> str:
    """Return a digest of the fields of a submit, equal only for submits that are equal but for their not_after."""
    if NOT_AFTER in (body.get("env") or {}):
        # A duration gives another time on each host and in each attempt of a task.
        body = {**body, "env": {name: value for name, value in body["env"].items() if name != NOT_AFTER}}
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def merge_servers(first: Server, second: Server) -> Server:
    """Return the first record, completed by the ID and name of the second."""
    return replace(first, id=first.id or second.id, name=first.name or second.name)
