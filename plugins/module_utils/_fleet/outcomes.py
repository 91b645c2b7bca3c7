# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""How commands end."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from .._api.records import NEVER_RAN, Command


class Outcome(str, Enum):
    """How a command ended; the value is the word that results have for it.

    Attributes:
        sentence: what it tells a user.
        is_fine: whether it is no failure, unless a task says otherwise.
    """

    sentence: str
    is_fine: bool

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

    def __new__(cls, word: str, sentence: str = "", is_fine: bool = False) -> Outcome:
        """Make one whose value is its word alone."""
        outcome = str.__new__(cls, word)
        outcome._value_ = word
        outcome.sentence = sentence
        outcome.is_fine = is_fine
        return outcome

    # The same as the word in sets and in texts too, on every Python.
    __hash__ = str.__hash__
    __str__ = str.__str__


#: Outcomes that are no failure.
FINE = frozenset(outcome for outcome in Outcome if outcome.is_fine)

#: Outcomes of what the workspace has not accepted.
NOT_ACCEPTED = frozenset((Outcome.REFUSED, Outcome.NOT_TRIED, Outcome.OFFLINE))

#: Outcomes, and statuses, of what somebody or something has said no to.
TURNED_DOWN = frozenset((Outcome.DENIED, Outcome.REJECTED))


def outcome_of(command: Command, success_codes: Iterable[int] = (0,)) -> Outcome | None:
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
