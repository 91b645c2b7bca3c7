# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.
"""What to mend first: the checks that failed, weighed by severity and by on how many servers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, SEVERITIES, WEIGHTS
from .differences import Differences, together
from .text import counted, line

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
        """What was found most often, for people."""
        return line(self.messages.most_common(1)[0][0], 180).removesuffix(".")

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
