# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings that somebody accepts for a while, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import validate_dictionary

from .results import FAILED, WAIVED

#: So many names that the inventory does not have are told.
_NAMED = 10
WAIVER: dict[str, dict[str, Any]] = {
    "check": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
    "reason": {"type": "str", "required": True},
    "until": {"type": "raw", "required": True},
    "by": {"type": "str"},
}


@dataclass
class Waiver:
    """Failed results that count as waived up to a day.

    Attributes:
        check, hosts: patterns of names, as those of files.
        until: the last day.
        matched: how many failed results it is about.
    """

    check: str
    hosts: Sequence[str]
    groups: Sequence[str]
    reason: str
    until: date
    by: str | None
    expired: bool
    matched: int = 0

    def covers(self, check: str, host: str, groups: Collection[str]) -> bool:
        """Return True if the waiver is about a check on a host."""
        return self.means(host, groups) and _matches(check, self.check)

    def means(self, host: str, groups: Collection[str]) -> bool:
        """Return True if the waiver is about a host."""
        return any(group in groups for group in self.groups) or any(_matches(host, name) for name in self.hosts)

    @property
    def row(self) -> dict[str, Any]:
        """Return the waiver for the report."""
        return {
            "check": self.check,
            "hosts": list(self.hosts),
            "groups": list(self.groups),
            **self.words,
            "matched": self.matched,
        }

    @property
    def words(self) -> dict[str, Any]:
        """Return the part that a waived result has."""
        return {"reason": self.reason, "until": self.until.isoformat(), "by": self.by, "expired": self.expired}


def _matches(name: str, pattern: str) -> bool:
    """Return True if a name equals a pattern, brackets and all, or matches it."""
    return name == pattern or fnmatchcase(name, pattern)


def add_waivers(joined: dict[str, Any], given: Any) -> None:
    """Add the waivers of a host to those of others, each once.

    Raises:
        UsageError: they are not a list of dictionaries.
    """
    listed = [] if given is None else given
    if not isinstance(listed, (list, tuple)) or not all(isinstance(one, Mapping) for one in listed):
        raise UsageError("waivers", "it is not a list of dictionaries", "Give a list, each element with check.")
    joined.update({repr(one): one for one in listed})


def read_waivers(given: Sequence[Any] | None, today: date) -> list[Waiver]:
    """Read waivers as a task gives them.

    Raises:
        UsageError: which one, what is wrong, what would be right.
    """
    return [
        _read_waiver(f"waivers, waiver {number}", waiver, today) for number, waiver in enumerate(given or (), start=1)
    ]


def _read_waiver(option: str, given: Mapping[str, Any], today: date) -> Waiver:
    options = validate_dictionary(option, WAIVER, given)
    for key in ("check", "reason"):
        if not options[key].strip():
            raise UsageError(f"{option}: {key}", "it is empty", "Give a text.")
    if not options["hosts"] and not options["groups"]:
        remedy = "Name hosts, or groups such as all."
        raise UsageError(option, "it is about no host", remedy)
    until = _parse_day(f"{option}: until", options["until"])
    return Waiver(
        options["check"],
        options["hosts"] or (),
        options["groups"] or (),
        options["reason"],
        until,
        options["by"] or None,
        today > until,
    )


def _parse_day(option: str, value: Any) -> date:
    try:
        return date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        raise UsageError(option, f"'{value}' is not a date", "Give the last day, such as 2027-01-31.") from None


def find_unknown_names(
    waivers: Sequence[Waiver], checks: Collection[str], hosts: Collection[str], groups: Collection[str]
) -> list[str]:
    """Return a sentence for each check, host and group of a waiver that does not exist.

    Args:
        checks, hosts, groups: all names that there are; results of a check are known only after it ran.
    """
    known = {"check": checks, "host": hosts, "group": groups}
    named = dict.fromkeys(
        (kind, name)
        for waiver in waivers
        for kind, names in (
            ("check", [waiver.check.partition("/")[0]]),
            ("host", waiver.hosts),
            ("group", waiver.groups),
        )
        for name in names
    )
    unknown = [(kind, name) for kind, name in named if not any(_matches(one, name) for one in known[kind])]
    return [
        f"A waiver names the {kind} {name}, which does not exist."
        f" {did_you_mean(name, known[kind], 'Correct it or remove it.')}"
        for kind, name in unknown[:_NAMED]
    ]


def apply_waivers(waivers: Sequence[Waiver], row: dict[str, Any], groups: Collection[str]) -> None:
    """Waive a failed result if a waiver covers it; if that has expired, the message says so."""
    if row["outcome"] != FAILED or not waivers:
        return
    covering = [waiver for waiver in waivers if waiver.covers(row["check"], row["host"], groups)]
    for waiver in covering:
        waiver.matched += 1
    if not covering:
        return
    longest = max(covering, key=lambda waiver: waiver.until)
    row["waiver"] = longest.words
    if longest.expired:
        row["message"] = f"{row['message']} Its waiver expired on {longest.until.isoformat()}: {longest.reason}"
    else:
        row["outcome"] = WAIVED
