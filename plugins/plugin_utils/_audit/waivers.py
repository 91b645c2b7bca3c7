# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings that somebody accepts until a day, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import validate_dictionary

from .scanners.results import FAILED, WAIVED

WAIVER: dict[str, dict[str, Any]] = {
    "check": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
    "reason": {"type": "str", "required": True},
    "until": {"type": "raw", "required": True},
}


@dataclass
class Waiver:
    """Failed results that count as waived.

    Attributes:
        check, hosts: names, or patterns of them.
        until: the last day.
        matched: the number of failed results.
    """

    check: str
    hosts: Sequence[str]
    groups: Sequence[str]
    reason: str
    until: date
    expired: bool
    matched: int = 0

    def covers(self, check: str, host: str, groups: Collection[str]) -> bool:
        """Return True if the waiver is about a check on a host."""
        is_about_host = any(group in groups for group in self.groups) or any(
            _matches(host, name) for name in self.hosts
        )
        return is_about_host and _matches(check, self.check)

    def to_row(self) -> dict[str, Any]:
        """Return the waiver for the report."""
        selection = {"check": self.check, "hosts": list(self.hosts), "groups": list(self.groups)}
        return {**selection, **self.summary, "matched": self.matched}

    @property
    def summary(self) -> dict[str, Any]:
        """Return the waiver for a waived result."""
        return {"reason": self.reason, "until": self.until.isoformat(), "expired": self.expired}


def _matches(name: str, pattern: str) -> bool:
    """Return True if a name is the pattern, brackets and all, or matches it."""
    return name == pattern or fnmatchcase(name, pattern)


def add_waivers(joined: dict[str, Any], value: Any) -> None:
    """Add the waivers of a host to those of other hosts, each once."""
    waivers = [] if value is None else value
    if not isinstance(waivers, (list, tuple)) or not all(isinstance(one, Mapping) for one in waivers):
        raise UsageError("waivers", "it is not a list of dictionaries", "Give a list, each element with check.")
    joined.update({repr(one): one for one in waivers})


def read_waivers(value: Sequence[Any] | None, today: date) -> list[Waiver]:
    """Validate the option C(waivers)."""
    waivers = []
    for number, one in enumerate(value or (), start=1):
        option = f"waivers, waiver {number}"
        options = validate_dictionary(option, WAIVER, one)
        for key in ("check", "reason"):
            if not options[key].strip():
                raise UsageError(f"{option}: {key}", "it is empty", "Give a text.")
        hosts, groups = options["hosts"] or (), options["groups"] or ()
        if not hosts and not groups:
            raise UsageError(option, "it is about no host", "Name hosts, or groups such as all.")
        try:
            until = date.fromisoformat(str(options["until"]).strip()[:10])
        except ValueError:
            problem = f"'{options['until']}' is not a date"
            raise UsageError(f"{option}: until", problem, "Give the last day, such as 2027-01-31.") from None
        waivers.append(Waiver(options["check"], hosts, groups, options["reason"], until, expired=today > until))
    return waivers


def find_unknown_names(
    waivers: Sequence[Waiver], checks: Collection[str], hosts: Collection[str], groups: Collection[str]
) -> list[str]:
    """Return a sentence for each of ten checks, hosts and groups of waivers that do not exist."""
    known = {"check": checks, "host": hosts, "group": groups}
    named: dict[tuple[str, str], None] = {}
    for waiver in waivers:
        # The results of a check are known only after it ran.
        names = {"check": [waiver.check.partition("/")[0]], "host": waiver.hosts, "group": waiver.groups}
        named.update({(kind, name): None for kind in names for name in names[kind]})
    unknown = [(kind, name) for kind, name in named if not any(_matches(one, name) for one in known[kind])]
    return [
        f"A waiver names the {kind} {name}, which does not exist."
        f" {did_you_mean(name, known[kind], 'Correct it or remove it.')}"
        for kind, name in unknown[:10]
    ]


def apply_waivers(waivers: Sequence[Waiver], row: dict[str, Any], groups: Collection[str]) -> None:
    """Waive a failed result if a waiver covers it. If that has expired, the message says so."""
    if row["outcome"] != FAILED:
        return
    covering = [waiver for waiver in waivers if waiver.covers(row["check"], row["host"], groups)]
    for waiver in covering:
        waiver.matched += 1
    if not covering:
        return
    longest = max(covering, key=lambda waiver: waiver.until)
    row["waiver"] = longest.summary
    if longest.expired:
        row["message"] = f"{row['message']} Its waiver expired on {longest.until.isoformat()}: {longest.reason}"
    else:
        row["outcome"] = WAIVED
