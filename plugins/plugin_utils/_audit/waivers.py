# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate waivers, which accept failed results until a date for a stated reason, and apply them to results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ...module_utils._api.errors import UsageError
from .report.text import describe_approval
from .result_selection import SELECTION, ZONES, ResultSelection, parse_day, validate_entry
from .scanners.results import FAILED, WAIVED

WAIVER: dict[str, dict[str, Any]] = {
    **SELECTION,
    "reason": {"type": "str", "required": True},
    "until": {"type": "raw", "required": True},
    "approved_by": {"type": "str"},
    "since": {"type": "raw"},
    "ticket": {"type": "str"},
}


@dataclass
class Waiver(ResultSelection):
    """Accepted failed results.

    Attributes:
        until: the last day.
        since: the day on which the results were accepted.
    """

    reason: str
    until: date
    expired: bool
    approved_by: str | None = None
    since: date | None = None
    ticket: str | None = None

    def to_row(self) -> dict[str, Any]:
        return {**self.selection, **self.summary, "matched": self.matched}

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "until": self.until.isoformat(),
            "expired": self.expired,
            "approved_by": self.approved_by,
            "since": self.since and self.since.isoformat(),
            "ticket": self.ticket,
        }

    @property
    def full_reason(self) -> str:
        """Return the reason, and who accepted the results."""
        approval = describe_approval(self.summary)
        return f"{self.reason.removesuffix('.')} ({approval})" if approval else self.reason


def read_waivers(rows: Sequence[Any] | None, today: date) -> list[Waiver]:
    waivers = []
    for number, row in enumerate(rows or (), start=1):
        option = f"waivers, waiver {number}"
        options = validate_entry(option, WAIVER, row)
        options["until"] = until = parse_day(f"{option}: until", options["until"], "last day")
        if options["since"] is not None:
            options["since"] = since = parse_day(f"{option}: since", options["since"], "day of the approval")
            _check_since(f"{option}: since", since, until, today)
        waivers.append(Waiver(**options, expired=today > until))
    return waivers


def _check_since(option: str, since: date, until: date, today: date) -> None:
    if since > until:
        problem = f"{since.isoformat()} is after until, {until.isoformat()}"
        raise UsageError(option, problem, "Give the day of the approval as since, and the last day as until.")
    if since > today + ZONES:
        problem = f"{since.isoformat()} is in the future"
        raise UsageError(option, problem, "Give the day of the approval, or leave it out until there is one.")


def describe_expired(waivers: Sequence[Waiver]) -> list[str]:
    """Return a warning for each waiver that has expired, at most ten."""
    return [
        f"The waiver of {waiver.check} expired on {waiver.until.isoformat()}: {waiver.full_reason.removesuffix('.')}."
        " Extend it or remove it."
        for waiver in waivers
        if waiver.expired
    ][:10]


def apply_waivers(waivers: Sequence[Waiver], row: dict[str, Any], groups: frozenset[str]) -> None:
    """Waive a failed result if a waiver covers it. If the waiver has expired, add that to the message."""
    if row["outcome"] != FAILED:
        return
    covering = [waiver for waiver in waivers if waiver.covers(row["check"], row["host"], groups)]
    if not covering:
        return
    for waiver in covering:
        waiver.matched += 1
    last = max(covering, key=lambda waiver: waiver.until)
    row["waiver"] = last.summary
    if last.expired:
        end = "" if row["message"].endswith((".", "!", "?", "\u2026")) else "."
        row["message"] = f"{row['message']}{end} Its waiver expired on {last.until.isoformat()}: {last.full_reason}"
    else:
        row["outcome"] = WAIVED
