# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The checks of an audit: what each asks, of whom, and what an answer must be like."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from .numbers import Number


@dataclass(frozen=True)
class Check:
    """A question to servers, and what counts as a good answer. See M(herdops.alpacon.alpacon_audit)."""

    name: str
    line: str
    description: str
    remedy: str
    set: str | None
    severity: str
    shell: str
    username: str | None
    groupname: str | None
    rc: tuple[int, ...]
    contains: tuple[str, ...]
    matches: tuple[re.Pattern[str], ...]
    absent: tuple[re.Pattern[str], ...]
    unanswered: tuple[re.Pattern[str], ...]
    number: Number | None
    fact: str | None
    when: tuple[str, ...]

    def applies_to(self, groups: Collection[str]) -> bool:
        """Whether a host in these groups is asked."""
        needed = [name for name in self.when if not name.startswith("!")]
        excluded = [name[1:] for name in self.when if name.startswith("!")]
        return (not needed or any(name in groups for name in needed)) and not any(name in groups for name in excluded)

    @property
    def expected(self) -> list[str]:
        """What a good answer is like, in words."""
        return [
            f"exit code {' or '.join(str(code) for code in self.rc)}",
            *(f"output contains {text}" for text in self.contains),
            *(f"output matches {pattern.pattern}" for pattern in self.matches),
            *(f"output does not match {pattern.pattern}" for pattern in self.absent),
            *(self.number.expected if self.number else ()),
        ]
