# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""How commands end."""

from __future__ import annotations

from collections.abc import Iterable

from .._api.records import NEVER_RAN, Command

#: Outcomes that are no failure.
FINE = frozenset(("success", "pending"))

#: Outcomes of what the workspace has not accepted.
NOT_ACCEPTED = frozenset(("refused", "not_tried", "offline"))

#: Outcome -> what it says.
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
    "offline": "Never ran: the server is offline.",
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
