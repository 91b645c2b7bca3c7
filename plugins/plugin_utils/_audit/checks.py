# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of an audit: what each asks, and what an answer must be like."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: How the answer of a check is read: an output that is compared, lines that tell problems, results of another tool.
OUTPUT, PROBLEMS, RESULTS = KINDS = ("output", "problems", "results")

#: How a number is compared, each with words for it.
OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "<=": (operator.le, "at most"),
    ">=": (operator.ge, "at least"),
    "==": (operator.eq, "exactly"),
}
_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?", re.ASCII)
#: A number with more digits is refused: nobody compares one, and Python converts some thousand at most.
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Number:
    """A limit for the first number in the output.

    Attributes:
        operator: one of :data:`OPERATORS`.
        bound: a number, or the name of the parameter that holds it.
    """

    operator: str
    bound: float | str

    @staticmethod
    def find(output: str) -> tuple[float | int, int] | None:
        """Return the first number and its position, or None if there is none."""
        found = _NUMBER.search(output)
        if found is None or len(found[0]) > _LONGEST_NUMBER:
            return None
        return (float(found[0]) if "." in found[0] else int(found[0])), found.start()


@dataclass(frozen=True)
class Check:
    """A question to servers, and what counts as a good answer. See M(herdops.alpacon.alpacon_audit).

    Attributes:
        parameters: their values, by the names that they have in the shell.
        results: how the output of another tool is read.
        functions: code that goes before the line and before O(applies_if).
        set: the check set of the library that it is from.
    """

    name: str
    line: str
    title: str
    rationale: str
    remedy: str
    references: tuple[str, ...]
    severity: str
    username: str | None
    applies_if: str | None
    # Not part of the hash: mappings have none.
    parameters: Mapping[str, Any] = field(hash=False)
    timeout: int
    kind: str
    matches: tuple[re.Pattern[str], ...]
    absent: tuple[re.Pattern[str], ...]
    number: Number | None
    results: Mapping[str, Any] | None = field(hash=False)
    functions: str = ""
    set: str | None = None

    def with_parameters(self, values: Mapping[str, Any]) -> Check:
        """This check with these values in place of those of its parameters that have the same names."""
        own = {name: values[name] for name in self.parameters if name in values}
        return replace(self, parameters={**self.parameters, **own}) if own else self

    def is_within(self, value: float) -> bool:
        """Return True if the number in the output is as it must be."""
        if self.number is None:
            return True
        compare, _words = OPERATORS[self.number.operator]
        return compare(value, self._bound)

    @property
    def limit(self) -> str:
        """The limit of the number, in words."""
        return f"{OPERATORS[self.number.operator][1]} {shown(self._bound)}" if self.number else ""

    @property
    def _bound(self) -> float:
        bound: Any = self.number.bound if self.number else 0.0
        value: float = self.parameters[bound] if isinstance(bound, str) else bound
        return value

    @property
    def expected(self) -> list[str]:
        """What a good answer is like, in words."""
        if self.kind == PROBLEMS:
            return ["no problem is found"]
        if self.kind == RESULTS:
            return ["every result is good"]
        return [
            "exit code 0",
            *(f"output matches {pattern.pattern}" for pattern in self.matches),
            *(f"output does not match {pattern.pattern}" for pattern in self.absent),
            *([f"first number is {self.limit}"] if self.number else ()),
        ]


def shown(number: float) -> str:
    """A number without a fraction that is zero."""
    return str(int(number)) if number == int(number) else str(number)
