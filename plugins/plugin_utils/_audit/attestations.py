# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate attestations, in which a person states the outcome of a rule without a check, and apply them to results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ...module_utils._api.errors import UsageError
from .report.text import describe_attestation
from .result_selection import SELECTION, ZONES, ResultSelection, parse_day, validate_entry
from .scanners.results import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN

ATTESTATION: dict[str, dict[str, Any]] = {
    **SELECTION,
    "outcome": {"type": "str", "required": True, "choices": [PASSED, FAILED, NOT_APPLICABLE]},
    "checked_by": {"type": "str", "required": True},
    "checked_on": {"type": "raw", "required": True},
    "until": {"type": "raw", "required": True},
    "proof": {"type": "str", "required": True},
    "note": {"type": "str"},
}
#: Of attestations of one day, the first of these outcomes counts.
_WORST_FIRST = (FAILED, PASSED, NOT_APPLICABLE)


@dataclass
class Attestation(ResultSelection):
    """The outcome of rules that a person checked.

    Attributes:
        checked_on: the first day.
        until: the last day.
        proof: the place of the evidence.
        pending: the first day is in the future.
    """

    outcome: str
    checked_by: str
    checked_on: date
    until: date
    proof: str
    note: str | None
    expired: bool
    pending: bool

    def to_row(self) -> dict[str, Any]:
        return {**self.selection, **self.summary, "pending": self.pending, "matched": self.matched}

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "checked_by": self.checked_by,
            "checked_on": self.checked_on.isoformat(),
            "until": self.until.isoformat(),
            "expired": self.expired,
            "proof": self.proof,
            "note": self.note,
        }


def read_attestations(rows: Sequence[Any] | None, today: date) -> list[Attestation]:
    attestations = []
    for number, row in enumerate(rows or (), start=1):
        option = f"attestations, attestation {number}"
        options = validate_entry(option, ATTESTATION, row)
        checked_on = parse_day(f"{option}: checked_on", options["checked_on"], "day of the check")
        until = parse_day(f"{option}: until", options["until"], "last day")
        if checked_on > until:
            problem = f"{checked_on.isoformat()} is after until, {until.isoformat()}"
            remedy = "Give the day of the check as checked_on, and the last day as until."
            raise UsageError(f"{option}: checked_on", problem, remedy)
        options.update(checked_on=checked_on, until=until)
        attestations.append(Attestation(**options, expired=today > until, pending=checked_on > today + ZONES))
    return attestations


def describe_invalid(attestations: Sequence[Attestation]) -> list[str]:
    """Return a warning for each attestation that has expired or is not valid yet, at most ten."""
    return [
        f"The attestation of {one.check} by {one.checked_by} expired on {one.until.isoformat()}."
        " Check again and renew it, or remove it."
        if one.expired
        else f"The attestation of {one.check} by {one.checked_by} is not valid before {one.checked_on.isoformat()}."
        for one in attestations
        if one.expired or one.pending
    ][:10]


def apply_attestations(attestations: Sequence[Attestation], row: dict[str, Any], groups: frozenset[str]) -> None:
    """Set the outcome of a result that has no automatic check from the newest attestation that covers it.

    If it has expired, add that to the message.
    """
    if row["outcome"] != UNKNOWN or not row["manual"]:
        return
    covering = [one for one in attestations if one.covers(row["check"], row["host"], groups)]
    for one in covering:
        one.matched += 1
    begun = [one for one in covering if not one.pending]
    if not begun:
        return
    # An earlier one is out of date, even if the newest has expired.
    newest = max(begun, key=lambda one: (one.checked_on, -_WORST_FIRST.index(one.outcome), one.until))
    row["attestation"] = newest.summary
    if newest.expired:
        row["message"] = f"{row['message']} {describe_attestation(newest.summary)}."
    else:
        row["outcome"] = newest.outcome
        row["message"] = newest.note or f"A person checked it: {newest.outcome.replace('_', ' ')}."
