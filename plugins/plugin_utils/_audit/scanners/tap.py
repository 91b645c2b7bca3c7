# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results in the Test Anything Protocol, versions 12 to 14."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..results import FAILED, MOST_OF_TEXT, MOST_RESULTS, NOT_APPLICABLE, PASSED, NamedResult, ScannerError, missing

_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(.*))?\s*$")
_POINT = re.compile(r"(not )?ok\b\s*(\d{1,9})?(?:\s*- )?(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\S*\s*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"bail out!\s*(.*)$", re.IGNORECASE)
#: Lines around the YAML that explains a test.
_YAML, _YAML_ENDS = "  ---", "  ..."


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the tests of an output, and a result for planned tests that did not come."""
    results: list[NamedResult] = []
    # Tests of one file may follow those of another, each with a plan.
    plans: list[int] = []
    tests, in_yaml, gap = 0, False, ""
    for line in output.splitlines():
        if bail_out := _BAIL_OUT.match(line):
            gap = f"The run was given up: {bail_out[1] or 'it does not say why'}."
            break
        if plan := _PLAN.match(line):
            plans.append(int(plan[1]))
            skipped = NamedResult("all tests", NOT_APPLICABLE, message=plan[2] or "There are no tests.")
            results += [] if plans[-1] else [skipped]
        elif point := _POINT.match(line):
            tests, in_yaml = tests + 1, False
            results.append(_test(point, tests))
        elif line.rstrip() in (_YAML, _YAML_ENDS):
            in_yaml = line.rstrip() == _YAML
        elif results and (line.startswith("#") or (in_yaml and not line.endswith("|"))):
            results[-1] = _explained(results[-1], line.removeprefix("#").strip())
    if not results and not plans:
        raise ScannerError(gap or "The output has neither a plan nor a test of TAP.")
    if not gap and not plans:
        gap = "There is no plan, so tests may be missing."
    elif not gap and tests != sum(plans):
        gap = f"{sum(plans)} tests were planned, and {tests} came."
    return [*results, missing(gap)] if gap else results


def _explained(test: NamedResult, line: str) -> NamedResult:
    is_full = len(test.message) > MOST_OF_TEXT
    return test if is_full else replace(test, message=f"{test.message}\n{line}".strip())


def _test(point: re.Match[str], number: int) -> NamedResult:
    if number > MOST_RESULTS:
        raise ScannerError(f"The output has more than {MOST_RESULTS:,} tests.")
    directive = _DIRECTIVE.search(point[3])
    described = point[3][: directive.start()] if directive else point[3]
    name = re.sub(r"\\(.)", r"\1", described.strip()) or f"test {point[2] or number}"
    # A test that is to be done and does not hold yet counts as little as a skipped one.
    if directive and (point[1] or directive[1].casefold() == "skip"):
        return NamedResult(name, NOT_APPLICABLE, message=f"{directive[1].upper()} {directive[2]}".strip())
    return NamedResult(name, FAILED if point[1] else PASSED)
