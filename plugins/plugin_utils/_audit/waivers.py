# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate waivers, which accept failed results until a date for a stated reason, and apply them to results."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

from ...module_utils._api.errors import UsageError, did_you_mean
from ...module_utils._options.values import validate_dictionary
from .report.text import describe_approval
from .scanners.results import FAILED, WAIVED

WAIVER: dict[str, dict[str, Any]] = {
    "check": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
    "reason": {"type": "str", "required": True},
    "until": {"type": "raw", "required": True},
    "approved_by": {"type": "str"},
    "since": {"type": "raw"},
    "ticket": {"type": "str"},
}
_TEXTS = ("check", "reason", "approved_by", "ticket")
#: A day, or a time of that day.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.,Z+-]*)?")
#: In some zone, the next day of UTC has begun.
_ZONES = timedelta(days=1)


@dataclass
class Waiver:
    """Accepted failed results.

    Attributes:
        until: the last day.
        since: the day on which the results were accepted.
    """

    check: str
    hosts: Sequence[str]
    groups: Sequence[str]
    reason: str
    until: date
    expired: bool
    approved_by: str | None = None
    since: date | None = None
    ticket: str | None = None
    matched: int = 0

    def covers(self, check: str, host: str, groups: frozenset[str]) -> bool:
        has_host = any(_matches(host, pattern) for pattern in self.hosts)
        return (has_host or not groups.isdisjoint(self.groups)) and _matches(check, self.check)

    def to_row(self) -> dict[str, Any]:
        selection = {"check": self.check, "hosts": list(self.hosts), "groups": list(self.groups)}
        return {**selection, **self.summary, "matched": self.matched}

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


def _matches(name: str, pattern: str) -> bool:
    # Names may have brackets.
    return name == pattern or fnmatchcase(name, pattern)


def add_waivers(joined: dict[str, Any], value: Any) -> None:
    """Add the waivers of a host to the waivers of other hosts, without duplicates.

    Args:
        joined: the waivers of other hosts, by their repr().
        value: the variable of the host.
    """
    waivers = [] if value is None else value
    if not isinstance(waivers, (list, tuple)) or not all(isinstance(waiver, Mapping) for waiver in waivers):
        raise UsageError("waivers", "it is not a list of dictionaries", "Give a list, each element with check.")
    joined.update({repr(waiver): waiver for waiver in waivers})


def read_waivers(rows: Sequence[Any] | None, today: date) -> list[Waiver]:
    waivers = []
    for number, row in enumerate(rows or (), start=1):
        option = f"waivers, waiver {number}"
        options = validate_dictionary(option, WAIVER, row)
        for key in _TEXTS:
            if options[key] is not None and not options[key].strip():
                remedy = "Give a text." if WAIVER[key].get("required") else "Give a text, or leave it out."
                raise UsageError(f"{option}: {key}", "it is empty", remedy)
        hosts, groups = options["hosts"] or (), options["groups"] or ()
        if not hosts and not groups:
            raise UsageError(option, "it has neither hosts nor groups", "Name hosts, or groups such as all.")
        until = _parse_day(f"{option}: until", options["until"], "last day")
        since = options["since"]
        if since is not None:
            since = _parse_day(f"{option}: since", since, "day of the approval")
            _check_since(f"{option}: since", since, until, today)
        approval = {"approved_by": options["approved_by"], "since": since, "ticket": options["ticket"]}
        is_expired = today > until
        waivers.append(Waiver(options["check"], hosts, groups, options["reason"], until, is_expired, **approval))
    return waivers


def _parse_day(option: str, value: Any, meaning: str) -> date:
    text = str(value).strip()
    try:
        # Releases of Python differ in the other formats that they read.
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text[:10])
    except ValueError:
        raise UsageError(option, f"'{value}' is not a date", f"Give the {meaning}, such as 2027-01-31.") from None


def _check_since(option: str, since: date, until: date, today: date) -> None:
    if since > until:
        problem = f"{since.isoformat()} is after until, {until.isoformat()}"
        raise UsageError(option, problem, "Give the day of the approval as since, and the last day as until.")
    if since > today + _ZONES:
        problem = f"{since.isoformat()} is in the future"
        raise UsageError(option, problem, "Give the day of the approval, or leave it out until there is one.")


def find_unknown_names(
    waivers: Sequence[Waiver], checks: Collection[str], hosts: Collection[str], groups: Collection[str]
) -> list[str]:
    """Return a warning for each name in waivers that does not exist, at most ten."""
    existing = {"check": checks, "host": hosts, "group": groups}
    used: dict[tuple[str, str], None] = {}
    for waiver in waivers:
        # Names of a check's results are not known yet.
        names = {"check": [waiver.check.partition("/")[0]], "host": waiver.hosts, "group": waiver.groups}
        used.update({(kind, name): None for kind in names for name in names[kind]})
    unknown = [(kind, name) for kind, name in used if not any(_matches(one, name) for one in existing[kind])]
    return [
        f"A waiver names the {kind} {name}, which does not exist."
        f" {did_you_mean(name, existing[kind], 'Correct it or remove it.')}"
        for kind, name in unknown[:10]
    ]


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
        row["message"] = f"{row['message']} Its waiver expired on {last.until.isoformat()}: {last.full_reason}"
    else:
        row["outcome"] = WAIVED
