# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What to fix first, and what hosts have differently."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..verdict import FAILED, NOT_APPLICABLE, SEVERITIES, UNKNOWN, WAIVED, WEIGHTS
from .text import counted, folded, line

#: So many checks are named as what to mend first.
SHOWN_FIXES = 10


@dataclass
class Fix:
    """A check that failed somewhere.

    Attributes:
        messages: what was found, and how often.
        asked: on how many servers it could have failed.
    """

    check: str
    remedy: str
    severity: str = SEVERITIES[0]
    hosts: list[str] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    @property
    def message(self) -> str:
        """Return what was found most often, for people."""
        return " ".join(filter(None, folded(self.messages.most_common(1)[0][0], 120))).removesuffix(".")

    @property
    def where(self) -> str:
        """On how many servers, in words, or on which one."""
        if self.asked == 1 or (len(self.hosts) == 1 and self.asked > 1):
            return f"on {line(self.hosts[0], 80)}"
        words = f"on {len(self.hosts):,} of {counted(self.asked, 'server')}"
        return words if len(self.messages) == 1 else f"{words}, with {len(self.messages):,} different answers"

    @property
    def weight(self) -> float:
        """How much it matters: ten times as many servers count about four times as much."""
        return WEIGHTS[self.severity] * (1 + math.log2(len(self.hosts)))


def fixes(report: Mapping[str, Any]) -> list[Fix]:
    """All checks that failed, what matters most first."""
    known = {check["name"]: Fix(check["name"], "") for check in report["checks"]}
    differences = Differences(report)
    for result in report["results"]:
        fix = known[result["check"]]
        if result["outcome"] != NOT_APPLICABLE:
            fix.asked += 1
        if result["outcome"] == FAILED:
            fix.hosts.append(result["host"])
            fix.messages[result["message"]] += 1
            fix.severity = max(fix.severity, result["severity"], key=SEVERITIES.index)
    found = [fix for fix in known.values() if fix.hosts]
    for fix in found:
        remedies: dict[str, list[str]] = {}
        for host in fix.hosts:
            remedies.setdefault(differences.text(host, fix.check, "remedy"), []).append(host)
        fix.remedy = line(together(remedies), 400)
    return sorted(found, key=lambda fix: (-fix.weight, -SEVERITIES.index(fix.severity), -len(fix.hosts)))


#: Texts that are shown with the hosts that they are for, where these differ.
_TEXTS = ("remedy", "line")
#: So many hosts are named.
_NAMED = 10


class Differences:
    """The checks of a report as each of its hosts has them."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._checks = {check["name"]: check for check in report["checks"]}
        self._of_hosts = {server["host"]: server.get("differs") or {} for server in report["servers"]}
        self._differing = {name for own in self._of_hosts.values() for name in own}

    def differs(self, name: str) -> bool:
        """Whether a check, or the one that it is part of, is not the same for all hosts."""
        return name in self._differing or self._checks[name].get("of") in self._differing

    def text(self, host: str, name: str, key: str) -> str:
        """A text of a check for a host."""
        check = self._checks[name]
        found: str = check[key]
        if not self.differs(name):
            return found
        whole = self._checks.get(check.get("of") or "")
        # What a result of another tool does not say itself is from the check whose output it is in.
        place = whole["name"] if whole and found == whole[key] else name
        own: str = self._of_hosts[host].get(place, {}).get(key, found)
        return own

    def words(self, host: str, name: str) -> str:
        """What else is different of a check on a host, in words; nothing where nothing is."""
        own, check = self._of_hosts[host].get(name, {}), self._checks[name]
        said = [f"{key} {own[key] or 'none'}" for key in ("severity", "username") if key in own]
        parameters, expected = own.get("parameters", {}), own.get("expected", ())
        said += [f"{key} {value}" for key, value in parameters.items() if value != check["parameters"].get(key)]
        said += [text for text in expected if text not in check["expected"]]
        return "; ".join(said)


def together(hosts_of: Mapping[str, Sequence[str]]) -> str:
    """Texts, each with the hosts that it is for where there are several."""
    if len(hosts_of) < 2:
        return "".join(hosts_of)
    return "\n".join(f"On {_named(hosts)}: {text or '-'}" for text, hosts in hosts_of.items())


def _named(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _NAMED:,} more" if len(hosts) > _NAMED else ""
    return f"{', '.join(hosts[:_NAMED])}{more}"


def of_all_hosts(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report whose checks say what is true of all hosts: the worst severity of the results, and texts with hosts."""
    differences = Differences(report)
    parts = {check["name"] for check in report["checks"] if check.get("of")}
    worst: dict[str, str] = {}
    texts: dict[tuple[str, str], dict[str, list[str]]] = {}
    for result in report["results"]:
        name, severity = result["check"], result["severity"]
        # An unknown result has the severity of having no answer, and other tools may name one only where a rule fails.
        counts = result["outcome"] in (FAILED, WAIVED) if name in parts else result["outcome"] != UNKNOWN
        if counts:
            worst[name] = max(worst.get(name, severity), severity, key=SEVERITIES.index)
        for key in _TEXTS if differences.differs(name) else ():
            own = differences.text(result["host"], name, key)
            texts.setdefault((name, key), {}).setdefault(own, []).append(result["host"])
    checks = [
        {
            **check,
            "severity": worst.get(check["name"], check["severity"]),
            **{key: together(texts[check["name"], key]) for key in _TEXTS if (check["name"], key) in texts},
        }
        for check in report["checks"]
    ]
    return {**report, "checks": checks}
