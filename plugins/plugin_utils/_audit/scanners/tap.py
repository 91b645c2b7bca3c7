# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results in the Test Anything Protocol, versions 12 to 14."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..verdict import FAILED, NOT_APPLICABLE, PASSED
from .results import NamedResult, ScannerError, missing

_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(.*))?\s*$")
_POINT = re.compile(r"(not )?ok\b\s*(\d{1,9})?(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\S*\s*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"bail out!\s*(.*)$", re.IGNORECASE)
#: How long a test took, which some runners write behind its name.
_DURATION = re.compile(r"\s# time=\S+(?:\s*\{)?")
_YAML, _YAML_ENDS = "  ---", "  ..."
#: So many lines that explain a test are kept.
_MOST_LINES = 20


@dataclass
class _Part:
    """Tests with a plan of their own: those of one file may follow those of another."""

    planned: int | None = None
    seen: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether all tests of the plan came."""
        return self.planned is not None and self.seen >= self.planned


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the tests of an output, and a result for planned tests that did not come."""
    results: list[NamedResult] = []
    parts = [_Part()]
    bailed_out = ""
    explained, in_yaml = 0, False
    for line in output.splitlines():
        plan, point, bail_out = _PLAN.match(line), _POINT.match(line), _BAIL_OUT.match(line)
        in_yaml = (in_yaml or line.rstrip() == _YAML) and line.rstrip() != _YAML_ENDS and not (plan or point)
        if bail_out:
            bailed_out = f"The run was given up: {bail_out[1] or 'it does not say why'}."
            break
        if plan:
            _last(parts, parts[-1].planned is None).planned = int(plan[1])
            results += [] if int(plan[1]) else [_all_skipped(plan[2] or "")]
        elif point:
            _last(parts, not parts[-1].is_over).seen += 1
            results.append(_test(point, len(results) + 1))
            explained = 0
        elif results and explained < _MOST_LINES and (text := _explanation(line, in_yaml)):
            results[-1] = replace(results[-1], message=f"{results[-1].message}\n{text}".strip("\n"))
            explained += 1
    if not results and parts[0].planned is None:
        raise ScannerError(bailed_out or "The output has neither a plan nor a test of TAP.")
    return [*results, *_gaps(parts, bailed_out)]


def _last(parts: list[_Part], goes_on: bool) -> _Part:
    """Return the part that a line belongs to: the last one if that goes on, else a new one."""
    parts += [] if goes_on else [_Part()]
    return parts[-1]


def _test(point: re.Match[str], number: int) -> NamedResult:
    text = _DURATION.sub("", point[3])
    directive = _DIRECTIVE.search(text)
    described = re.sub(r"^\s*-\s+", "", text[: directive.start()] if directive else text).strip()
    name = re.sub(r"\\(.)", r"\1", described) or f"test {point[2] or number}"
    skipped = directive is not None and directive[1].casefold() == "skip"
    # A test that is to be done and does not hold yet counts as little as a skipped one.
    if directive and (point[1] or skipped):
        message = f"{'Skipped' if skipped else 'To be done'}{': ' if directive[2] else '.'}{directive[2]}"
        return NamedResult(name, NOT_APPLICABLE, message=message)
    return NamedResult(name, FAILED if point[1] else PASSED)


def _explanation(line: str, in_yaml: bool) -> str:
    """Return the text of a comment below a test, or of a line of its YAML."""
    if line.startswith("#"):
        said = line[1:].removeprefix(" ").rstrip()
        return "" if said.startswith("Subtest: ") else said
    stripped = line.strip()
    return stripped if in_yaml and stripped != _YAML.strip() and not stripped.endswith("|") else ""


def _all_skipped(reason: str) -> NamedResult:
    said = re.sub(r"(?i)^skip\S*\s*", "", reason)
    return NamedResult("all tests", NOT_APPLICABLE, message=f"All tests are skipped{': ' if said else '.'}{said}")


def _gaps(parts: Sequence[_Part], bailed_out: str) -> Iterator[NamedResult]:
    planned = sum(part.planned or 0 for part in parts)
    if bailed_out:
        yield missing(bailed_out)
    elif all(part.planned is None for part in parts):
        yield missing("There is no plan, so tests may be missing.")
    elif any(part.seen != part.planned for part in parts):
        came = min(sum(min(part.seen, part.planned or 0) for part in parts), planned)
        yield missing(f"{planned} tests were planned, and {came} of them came.")
