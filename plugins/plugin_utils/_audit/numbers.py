# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Numbers in outputs, and between what they must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PICKS = ("first", "last", "min", "max", "sum", "count")

_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Number:
    """A number in the output, and between what it must be."""

    extract: re.Pattern[str]
    pick: str
    at_most: float | None
    at_least: float | None
    equals: float | None

    def find(self, output: str) -> float | int | None:
        """The number, or None where there is none."""
        found = [match.group(match.re.groups) for match in self.extract.finditer(output)]
        if self.pick == "count":
            return len(found)
        numbers = [_number(text) for text in found if text is not None and _is_number(text)]
        return _PICKERS[self.pick](numbers) if numbers else None

    def problem(self, value: float) -> str:
        """What is wrong with a number, or an empty string."""
        if self.equals is not None and value != self.equals:
            return f"{shown(value)} is not {shown(self.equals)}."
        if self.at_most is not None and value > self.at_most:
            return f"{shown(value)} is more than {shown(self.at_most)}."
        if self.at_least is not None and value < self.at_least:
            return f"{shown(value)} is less than {shown(self.at_least)}."
        return ""

    @property
    def expected(self) -> list[str]:
        """What it must be, in words."""
        bounds = (("at most", self.at_most), ("at least", self.at_least), ("equal to", self.equals))
        what = "count of matches" if self.pick == "count" else f"{self.pick} number"
        return [f"{what} is {words} {shown(bound)}" for words, bound in bounds if bound is not None]


_PICKERS: dict[str, Callable[[list[Any]], Any]] = {
    "first": lambda numbers: numbers[0],
    "last": lambda numbers: numbers[-1],
    "min": min,
    "max": max,
    "sum": sum,
}


def _is_number(text: str) -> bool:
    # One with more digits is none that anybody compares, and Python reads no more than some thousand.
    return len(text) <= _LONGEST_NUMBER and re.fullmatch(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*", text, re.ASCII) is not None


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def shown(number: float) -> str:
    """A number without a fraction that is zero."""
    return str(int(number)) if number == int(number) else str(number)
