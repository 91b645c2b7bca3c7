# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The checks of an audit: what each asks, of whom, and what an answer must be like."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .numbers import Number

#: How the answer of a check is read: an output that is compared, lines that tell problems, results of another tool.
OUTPUT, PROBLEMS, RESULTS = KINDS = ("output", "problems", "results")


@dataclass(frozen=True)
class Check:
    """A question to servers, and what counts as a good answer. See M(herdops.alpacon.alpacon_audit).

    Attributes:
        parameters: their values, by the names that they have in the shell.
        functions: code that goes before the line and before O(applies_if).
        facts: names of what its answer may tell beside its outcome.
        results: how the output of another tool is read.
    """

    name: str
    line: str
    title: str
    rationale: str
    remedy: str
    references: tuple[str, ...]
    set: str | None
    severity: str
    shell: str
    username: str | None
    groupname: str | None
    applies_if: str | None
    functions: str
    timeout: int
    kind: str
    rc: tuple[int, ...]
    contains: tuple[str, ...]
    matches: tuple[re.Pattern[str], ...]
    absent: tuple[re.Pattern[str], ...]
    unanswered: tuple[re.Pattern[str], ...]
    number: Number | None
    message: str | None
    facts: tuple[str, ...]
    when: tuple[str, ...]
    # Not part of the hash: mappings have none.
    parameters: Mapping[str, Any] = field(hash=False)
    results: Mapping[str, Any] | None = field(hash=False)

    def applies_to(self, groups: Collection[str]) -> bool:
        """Whether a host in these groups is asked."""
        needed = [name for name in self.when if not name.startswith("!")]
        excluded = [name[1:] for name in self.when if name.startswith("!")]
        return (not needed or any(name in groups for name in needed)) and not any(name in groups for name in excluded)

    def with_parameters(self, values: Mapping[str, Any]) -> Check:
        """This check with these values in place of those of its parameters that have the same names."""
        own = {name: values[name] for name in self.parameters if name in values}
        return replace(self, parameters={**self.parameters, **own}) if own else self

    @property
    def bounds(self) -> dict[str, float]:
        """Between what the number must be, by the names of the options."""
        return self.number.bounds(self.parameters) if self.number else {}

    @property
    def expected(self) -> list[str]:
        """What a good answer is like, in words."""
        if self.kind == PROBLEMS:
            return ["no problem is found"]
        if self.kind == RESULTS:
            return ["every result is good"]
        return [
            f"exit code {' or '.join(str(code) for code in self.rc)}",
            *(f"output contains {text}" for text in self.contains),
            *(f"output matches {pattern.pattern}" for pattern in self.matches),
            *(f"output does not match {pattern.pattern}" for pattern in self.absent),
            *(self.number.expected(self.bounds) if self.number else ()),
        ]
