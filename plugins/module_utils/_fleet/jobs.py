# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: commands on their way to their outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .._api.errors import AlpaconError
from .._api.lost_submits import FoundSubmit, LostSubmit
from .._api.outputs import Output
from .._api.records import NEVER_RAN, Command, Server
from .journal import Position


class Outcome(str, Enum):
    """How a command ended; the value is the word that results have for it.

    Attributes:
        sentence: what it tells a user.
        is_ok: whether it is no failure, unless a task says otherwise.
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
    PARENT_FAILED = "parent_failed", "Never ran: a command that it was to run after failed."
    AWAITING_APPROVAL = (
        "awaiting_approval",
        "Held for approval. Approve it in the workspace, then await its id with state=finished.",
    )
    STUCK = (
        "stuck",
        "No result: the server took it and fell silent. It may have run, and a late answer may still come.",
    )
    ERROR = "error", "The workspace reports an error with it and cannot say whether it ran."
    TIMED_OUT = (
        "timed_out",
        "Not finished within wait_timeout. It goes on; await it with state=finished and its id.",
    )
    OFFLINE = "offline", "Never ran: the server is offline."
    REFUSED = "refused", "Never ran: the workspace did not accept it."
    UNKNOWN = "unknown", "Nobody can say whether it was accepted: the answer was lost. It was not sent again."
    SENT = "sent", "Too late to cancel: it was delivered to the server already."
    NOT_TRIED = "not_tried", "Not tried."

    def __new__(cls, word: str, sentence: str = "", is_ok: bool = False) -> Outcome:
        """Make one whose value is its word alone."""
        outcome = str.__new__(cls, word)
        outcome._value_ = word
        outcome.sentence = sentence
        outcome.is_ok = is_ok
        return outcome

    # The same as the word in sets and in texts too, on every Python.
    __hash__ = str.__hash__
    __str__ = str.__str__


#: Outcomes that are no failure.
OK_OUTCOMES = frozenset(outcome for outcome in Outcome if outcome.is_ok)

#: Outcomes of what the workspace has not accepted.
NOT_ACCEPTED = frozenset((Outcome.REFUSED, Outcome.NOT_TRIED, Outcome.OFFLINE))

#: Outcomes, and statuses, of what somebody or something has said no to.
DECLINED = frozenset((Outcome.DENIED, Outcome.REJECTED))


def get_outcome(command: Command, success_codes: Iterable[int] = (0,)) -> Outcome | None:
    """How a command ended, or None if it has not."""
    if not command.finished:
        return None
    if command.parent_failed:
        return Outcome.PARENT_FAILED
    if command.status in NEVER_RAN or command.status in ("error", "stuck"):
        return Outcome(command.status)
    is_bad = command.status == "failed" or (command.success is False and command.status != "success")
    if is_bad and (command.error_phase or not command.exit_code):
        return Outcome.FAILED  # a code that speaks against it is not that of the line
    rc = 0 if command.rc is None and command.succeeded else command.rc
    return Outcome.SUCCESS if rc in set(success_codes) else Outcome.FAILED


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
        offline: what a server whose agent is not connected means: V(wait), V(fail) or V(skip).
        output_limit: how many characters of the end of each output are kept; None for all of it.
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

    @property
    def ok_outcomes(self) -> frozenset[Outcome]:
        """Outcomes that are no failure."""
        return OK_OUTCOMES | {Outcome.OFFLINE} if self.offline == "skip" else OK_OUTCOMES


@dataclass
class Job:
    """One command on its way: what to submit, or which command to await, and what came of it.

    Attributes:
        body: what to submit; empty for a command that exists already.
        outcome: how it ended; None while it goes on.
        msg: what a user should know beside the outcome.
        note: what a user should know however it ends.
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
    #: What tells its submit from others, and its line in the journal of the run.
    digest: str = ""
    position: Position | None = None
    #: The submit whose answer was lost, and what was found of it when the workspace could last be asked.
    lost: LostSubmit | None = None
    found: FoundSubmit | None = None
    #: Since when it is awaited and when it is to be looked at, in monotonic seconds.
    awaited_since: float = 0.0
    next_poll: float = 0.0
    #: When it was looked at last, and whether the list is worth reading for it.
    polled_at: float = 0.0
    listed: bool = True
    #: Since when the workspace does not show it; 0 while it does.
    missing_since: float = 0.0
    #: Since when the workspace reports an error with it; 0 while it never did.
    error_since: float = 0.0
    #: Whether the user was told that it waits for a server that is offline.
    offline_reported: bool = False
    #: Whether its server was asked for a last time, when its time was up.
    asked_last: bool = False

    def finish(self, outcome: Outcome, msg: str | None = None, error: AlpaconError | None = None) -> None:
        """Say how it ended; what is not given here stays as it is."""
        self.outcome = outcome
        if msg is not None:
            self.msg = msg
        if error is not None:
            self.error = error

    def add_note(self, note: str) -> None:
        """Add what a user should know however it ends, once."""
        if note not in self.note:
            self.note = f"{self.note} {note}".lstrip()

    def update(self, command: Command) -> None:
        """Note how the workspace shows its command."""
        self.command, self.error, self.missing_since = command, None, 0.0
        self.update_server(command.server)

    def update_server(self, server: Server) -> None:
        """Add what a record says of its server to what is known of that."""
        self.server = merge_servers(self.server, server)

    @property
    def never_seen(self) -> bool:
        """Return whether the workspace was asked for a lost submit, and has nothing that may be it."""
        return self.found is not None and not any(self.found)

    @property
    def id(self) -> str | None:
        """Id of the command, as soon as there is one."""
        return self.command.id if self.command else None

    @property
    def ran(self) -> bool | None:
        """Whether its command has run: True, False, or None where nobody can know."""
        if self.command is None:
            return None if self.outcome == Outcome.UNKNOWN else False
        if self.outcome in (Outcome.TIMED_OUT, Outcome.UNKNOWN) and self.command.status != "cancelled":
            return self.command.ran or None  # it may have run since the last look
        return self.command.ran

    @property
    def known(self) -> Command:
        """The command, of a job that has one."""
        if self.command is None:
            raise ValueError("this job has no command yet")
        return self.command


def get_digest(body: Mapping[str, Any]) -> str:
    """What tells a submit from all that are not the same."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def merge_servers(first: Server, second: Server) -> Server:
    """What two records say of a server together; where they differ, the first one counts."""
    if first.id and first.name:
        return first
    return Server(
        first.id or second.id,
        first.name or second.name,
        first.is_connected,
        first.commissioned,
        first.started_at,
        first.last_connectivity,
    )
