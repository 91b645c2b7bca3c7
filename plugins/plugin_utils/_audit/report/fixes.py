# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The checks to fix first, and the differences between hosts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..verdict import FAILED, NOT_APPLICABLE, SEVERITIES, WEIGHTS
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
        """Say on how many servers it failed, or name the only one."""
        if self.asked == 1 or (len(self.hosts) == 1 and self.asked > 1):
            return f"on {line(self.hosts[0], 80)}"
        words = f"on {len(self.hosts):,} of {counted(self.asked, 'server')}"
        return words if len(self.messages) == 1 else f"{words}, with {len(self.messages):,} different answers"

    @property
    def weight(self) -> float:
        """Return its weight: ten times as many servers count about four times as much."""
        return WEIGHTS[self.severity] * (1 + math.log2(len(self.hosts)))


def fixes(report: Mapping[str, Any]) -> list[Fix]:
    """Return all checks that failed, the most important first."""
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
        remedies = dict.fromkeys(differences.text(host, fix.check, "remedy") for host in fix.hosts)
        fix.remedy = line(" On other servers: ".join(filter(None, remedies)), 400)
    return sorted(found, key=lambda fix: (-fix.weight, -SEVERITIES.index(fix.severity), -len(fix.hosts)))


class Differences:
    """The checks of a report as each of its hosts has them."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._checks = {check["name"]: check for check in report["checks"]}
        self._of_hosts = {server["host"]: server.get("differs") or {} for server in report["servers"]}
        self._differing = {name for own in self._of_hosts.values() for name in own}

    def differs(self, name: str) -> bool:
        """Return True if a check, or the one that it is part of, is not the same for all hosts."""
        return name in self._differing or self._checks[name].get("of") in self._differing

    def text(self, host: str, name: str, key: str) -> str:
        """Return a text of a check for a host."""
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
        """Say what is different of a check on a host, or nothing."""
        if not self.differs(name):
            return ""
        own, check = self._of_hosts[host].get(name, {}), self._checks[name]
        said = [f"{key} {own[key] or 'none'}" for key in ("severity", "username") if key in own]
        parameters, expected = own.get("parameters", {}), own.get("expected", ())
        said += [f"{key} {value}" for key, value in parameters.items() if value != check["parameters"].get(key)]
        said += [text for text in expected if text not in check["expected"]]
        texts = {key: self.text(host, name, key) for key in ("remedy", "line")}
        return "; ".join([*said, *(f"{key} {text or 'none'}" for key, text in texts.items() if text != check[key])])
