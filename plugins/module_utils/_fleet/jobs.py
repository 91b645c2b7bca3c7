# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Jobs: commands on their way to their outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._api.errors import AlpaconError
from .._api.lost_submits import FoundSubmit, LostSubmit
from .._api.outputs import Output
from .._api.records import Command, Server
from .journal import Position
from .outcomes import FINE, Outcome
from .pacing import FIRST_LOOK


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
        first_look: seconds from the submit of a command until it is looked at first.
        queued_too_long: seconds after which the server of a command that was not handed over is asked whether it is
            connected.
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
    first_look: float = FIRST_LOOK
    queued_too_long: float = 1.0

    @property
    def fine(self) -> frozenset[Outcome]:
        """Outcomes that are no failure."""
        return FINE | {Outcome.OFFLINE} if self.offline == "skip" else FINE


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
    since: float = 0.0
    due: float = 0.0
    #: How many seconds after its submit it may be over; until then nobody makes a request for it alone.
    expected: float = 0.0
    #: When it was looked at last, and whether the list is worth reading for it.
    looked: float = 0.0
    listed: bool = True
    #: Since when the workspace does not show it; 0 while it does.
    missing: float = 0.0
    #: Since when the workspace reports an error with it; 0 while it never did.
    erring: float = 0.0
    #: Whether the user was told that it waits for a server that is offline.
    announced: bool = False
    #: Whether its server was asked for a last time, when its time was up.
    asked_last: bool = False

    def end(self, outcome: Outcome, msg: str | None = None, error: AlpaconError | None = None) -> None:
        """Say how it ended; what is not given here stays as it is."""
        self.outcome = outcome
        if msg is not None:
            self.msg = msg
        if error is not None:
            self.error = error

    def remark(self, note: str) -> None:
        """Add what a user should know however it ends, once."""
        if note not in self.note:
            self.note = f"{self.note} {note}".lstrip()

    def see(self, command: Command) -> None:
        """Note how the workspace shows its command."""
        self.command, self.error, self.missing = command, None, 0.0
        self.learn(command.server)

    def learn(self, server: Server) -> None:
        """Add what a record says of its server to what is known of that."""
        self.server = fuller(self.server, server)

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


def digest_of(body: Mapping[str, Any]) -> str:
    """What tells a submit from all that are not the same."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def fuller(first: Server, second: Server) -> Server:
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
