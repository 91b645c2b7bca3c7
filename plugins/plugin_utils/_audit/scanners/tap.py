# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results in the Test Anything Protocol, versions 12 to 14."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, PASSED
from .results import NamedResult, ScannerError, missing

_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(.*))?\s*$")
_POINT = re.compile(r"(not )?ok\b\s*(\d{1,9})?(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\S*\s*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"bail out!\s*(.*)$", re.IGNORECASE)
#: So many lines of what explains a test are kept.
_MOST_LINES = 20


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """The tests of an output, and what is missing of those it plans.

    Raises:
        ScannerError: there is neither a plan nor a test.
    """
    results: list[NamedResult] = []
    planned: int | None = None
    bailed_out = ""
    explained = 0
    for line in output.splitlines():
        plan, point, bail_out = _PLAN.match(line), _POINT.match(line), _BAIL_OUT.match(line)
        if bail_out:
            bailed_out = f"The run was given up: {bail_out[1] or 'it does not say why'}."
            break
        if plan and planned is None:
            planned = int(plan[1])
            if not planned:
                return [*results, _all_skipped(plan[2] or "")]
        elif point:
            results.append(_test(point, len(results) + 1))
            explained = 0
        elif results and explained < _MOST_LINES and (text := _explanation(line)):
            results[-1] = replace(results[-1], message=f"{results[-1].message}\n{text}".strip("\n"))
            explained += 1
    if not results and planned is None:
        raise ScannerError(bailed_out or "The output has neither a plan nor a test of TAP.")
    return [*results, *_gaps(len(results), planned, bailed_out)]


def _test(point: re.Match[str], number: int) -> NamedResult:
    text = point[3]
    directive = _DIRECTIVE.search(text)
    described = re.sub(r"^\s*-\s+", "", text[: directive.start()] if directive else text).strip()
    name = re.sub(r"\\(.)", r"\1", described) or f"test {point[2] or number}"
    if directive and (point[1] or directive[1].casefold() == "skip"):
        # One that is to be done and does not hold yet counts as little as one that is skipped.
        skipped = directive[1].casefold() == "skip"
        message = f"{'Skipped' if skipped else 'To be done'}{': ' if directive[2] else '.'}{directive[2]}"
        return NamedResult(name, NOT_APPLICABLE, message=message)
    return NamedResult(name, FAILED if point[1] else PASSED)


def _explanation(line: str) -> str:
    """What a line below a test says about it: a comment, or a line of its YAML."""
    if line.startswith("#"):
        return line[1:].removeprefix(" ").rstrip()
    stripped = line.strip()
    is_yaml = re.match(r"  (?! {2}(?:not )?ok\b| {2}1\.\.)", line)
    return stripped if is_yaml and stripped not in ("---", "...") and not stripped.endswith("|") else ""


def _all_skipped(reason: str) -> NamedResult:
    said = re.sub(r"(?i)^skip\S*\s*", "", reason)
    return NamedResult("all tests", NOT_APPLICABLE, message=f"All tests are skipped{': ' if said else '.'}{said}")


def _gaps(seen: int, planned: int | None, bailed_out: str) -> Iterator[NamedResult]:
    if bailed_out:
        yield missing(bailed_out)
    elif planned is None:
        yield missing("There is no plan, so tests may be missing.")
    elif planned != seen:
        yield missing(f"{planned} tests were planned, and {seen} came.")
