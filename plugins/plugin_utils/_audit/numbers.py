# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Numbers in outputs, and between what they must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import gt, lt, ne
from typing import Any

PICKS = ("first", "last", "min", "max", "sum", "count")

_LONGEST_NUMBER = 40


#: The options that say between what a number must be, each with words for it.
BOUNDS = {"at_most": "at most", "at_least": "at least", "equals": "exactly"}


@dataclass(frozen=True)
class Number:
    """A number in the output, and between what it must be.

    Attributes:
        at_most, at_least, equals: numbers, or names of parameters that hold them.
    """

    extract: re.Pattern[str]
    pick: str
    at_most: float | str | None
    at_least: float | str | None
    equals: float | str | None
    unit: str = ""

    def find(self, output: str) -> float | int | None:
        """The number, or None where there is none."""
        found = [match.group(match.re.groups) for match in self.extract.finditer(output)]
        if self.pick == "count":
            return len(found)
        numbers = [_number(text) for text in found if text is not None and _is_number(text)]
        return _PICKERS[self.pick](numbers) if numbers else None

    def place(self, value: float, output: str) -> int | None:
        """Where a number stands first that was found; None for a count and a sum, which stand nowhere."""
        for match in self.extract.finditer(output):
            text = match.group(match.re.groups)
            if text is not None and _is_number(text) and _number(text) == value:
                return match.start()
        return None

    def bounds(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        """Between what it must be, by the names of the options, with these values of parameters."""
        given = {name: getattr(self, name) for name in BOUNDS}
        values = {name: parameters[bound] if isinstance(bound, str) else bound for name, bound in given.items()}
        return {name: value for name, value in values.items() if value is not None}

    def problem(self, value: float, bounds: Mapping[str, float]) -> str:
        """What is wrong with a number, or an empty string."""
        for name, bound in bounds.items():
            if _BREAKS[name](value, bound):
                return f"It is {self.shown(value)}, and must be {BOUNDS[name]} {self.shown(bound)}."
        return ""

    def shown(self, value: float) -> str:
        """A value with its unit."""
        return f"{shown(value)}{'' if self.unit in ('', '%') else ' '}{self.unit}"

    def expected(self, bounds: Mapping[str, float]) -> list[str]:
        """What it must be, in words."""
        what = "count of matches" if self.pick == "count" else f"{self.pick} number"
        return [f"{what} is {BOUNDS[name]} {self.shown(bound)}" for name, bound in bounds.items()]


_BREAKS: dict[str, Callable[[float, float], bool]] = {"at_most": gt, "at_least": lt, "equals": ne}

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
