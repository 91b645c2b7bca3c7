# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Select results by check, hosts and groups, and parse the entries of waivers and attestations that do."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

from ...module_utils._api.errors import UsageError, did_you_mean
from ...module_utils._options.values import validate_dictionary

SELECTION: dict[str, dict[str, Any]] = {
    "check": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
}
#: In some zone, the next day of UTC has begun.
ZONES = timedelta(days=1)
#: A day, or a time of that day.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.,Z+-]*)?")


@dataclass
class ResultSelection:
    """The results of checks on hosts.

    Attributes:
        matched: the number of results of the audit that the entry is about.
    """

    check: str
    hosts: Sequence[str]
    groups: Sequence[str]
    matched: int = field(default=0, kw_only=True)

    def covers(self, check: str, host: str, groups: frozenset[str]) -> bool:
        has_host = any(_matches(host, pattern) for pattern in self.hosts)
        return (has_host or not groups.isdisjoint(self.groups)) and _matches(check, self.check)

    @property
    def selection(self) -> dict[str, Any]:
        return {"check": self.check, "hosts": list(self.hosts), "groups": list(self.groups)}


def _matches(name: str, pattern: str) -> bool:
    # Names may have brackets.
    return name == pattern or fnmatchcase(name, pattern)


def join_entries(option: str, joined: dict[str, Any], value: Any) -> None:
    """Add the entries of a host's variable to the entries of other hosts, without duplicates.

    Args:
        joined: the entries of other hosts, by their repr().
        value: the variable of the host.
    """
    entries = [] if value is None else value
    if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UsageError(option, "it is not a list of dictionaries", "Give a list, each element with check.")
    joined.update({repr(entry): entry for entry in entries})


def validate_entry(option: str, spec: dict[str, dict[str, Any]], row: Any) -> dict[str, Any]:
    """Return the keys of an entry, or raise UsageError if a text is empty or no hosts are selected."""
    options = validate_dictionary(option, spec, row)
    for key in spec:
        if isinstance(options[key], str) and spec[key]["type"] == "str" and not options[key].strip():
            remedy = "Give a text." if spec[key].get("required") else "Give a text, or leave it out."
            raise UsageError(f"{option}: {key}", "it is empty", remedy)
    options.update(hosts=options["hosts"] or (), groups=options["groups"] or ())
    if not options["hosts"] and not options["groups"]:
        raise UsageError(option, "it has neither hosts nor groups", "Name hosts, or groups such as all.")
    return options


def parse_day(option: str, value: Any, meaning: str) -> date:
    text = str(value).strip()
    try:
        # Releases of Python differ in the other formats that they read.
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text[:10])
    except ValueError:
        raise UsageError(option, f"'{value}' is not a date", f"Give the {meaning}, such as 2027-01-31.") from None


def find_unknown_names(
    kind: str,
    entries: Sequence[ResultSelection],
    checks: Collection[str],
    hosts: Collection[str],
    groups: Collection[str],
) -> list[str]:
    """Return a warning for each name in entries that does not exist, at most ten.

    Args:
        kind: an entry, in words.
    """
    existing = {"check": checks, "host": hosts, "group": groups}
    used: dict[tuple[str, str], None] = {}
    for entry in entries:
        # Names of a check's results are not known yet.
        names = {"check": [entry.check.partition("/")[0]], "host": entry.hosts, "group": entry.groups}
        used.update({(noun, name): None for noun in names for name in names[noun]})
    unknown = [(noun, name) for noun, name in used if not any(_matches(one, name) for one in existing[noun])]
    return [
        f"{kind} names the {noun} {name}, which does not exist."
        f" {did_you_mean(name, existing[noun], 'Correct it or remove it.')}"
        for noun, name in unknown[:10]
    ]


def find_unknown_rules(kind: str, entries: Sequence[ResultSelection], rules: Collection[str]) -> list[str]:
    """Return a warning for each rule in entries that its scanner did not report anywhere, at most ten.

    Args:
        rules: the names of the rules that were reported, as C(CHECK/NAME).
    """
    scanners = {rule.partition("/")[0] for rule in rules}
    names = dict.fromkeys(entry.check for entry in entries if not entry.matched and "/" in entry.check)
    unknown = [
        name
        for name in names
        if any(_matches(scanner, name.partition("/")[0]) for scanner in scanners)
        and not any(_matches(rule, name) for rule in rules)
    ]
    return [
        f"{kind} names the rule {name}, which no server reported."
        f" {did_you_mean(name, rules, 'Correct it or remove it.')}"
        for name in unknown[:10]
    ]
