# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report file of Lynis: keys and values, among them each test that was run and what is to be improved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .results import NamedResult, ScannerError, merged, missing

#: Lists of findings, and how bad one of each is; Lynis itself says no more about it.
_FINDINGS = {"warning[]": "high", "suggestion[]": "low"}


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """The tests of a report: those with a warning or a suggestion failed, others that were run passed.

    Raises:
        ScannerError: it is no such report.
    """
    found: list[NamedResult] = []
    lists: dict[str, list[str]] = {"tests_executed": [], "tests_skipped": []}
    finished = False
    for line in output.splitlines():
        key, _equals, value = line.partition("=")
        if key in _FINDINGS:
            found.append(_finding(key, value.split("|")))
        elif key in lists:
            lists[key] += [test for test in value.split("|") if test]
        elif key == "finish":
            finished = value.strip() == "true"
    if not lists["tests_executed"] and not found:
        raise ScannerError("The output is not a report of Lynis: it names no test that was executed.")
    findings = {result.name: result for result in merged(found)}
    results = [*findings.values(), *_others(PASSED, lists["tests_executed"], findings)]
    results += _others(NOT_APPLICABLE, lists["tests_skipped"], {result.name for result in results})
    return results if finished else [*results, missing("The report has no line finish=true, so Lynis was interrupted.")]


def read_beginning(output: str, options: Mapping[str, Any]) -> list[NamedResult]:
    """The tests with a warning or a suggestion: others may still get one."""
    return [result for result in read(output, options) if result.outcome == FAILED]


def _others(outcome: str, tests: Iterable[str], told: Iterable[str]) -> list[NamedResult]:
    message = "" if outcome == PASSED else "Lynis skipped it."
    return [_named(test, outcome, message) for test in dict.fromkeys(tests) if test not in told]


def _finding(key: str, fields: list[str]) -> NamedResult:
    test, said, details, solution = (field if field != "-" else "" for field in [*fields, "", "", "", ""][:4])
    message = f"{said} ({details})" if details else said
    return _named(test or "unnamed", FAILED if said else UNKNOWN, message, _FINDINGS[key], solution)


def _named(test: str, outcome: str, message: str, severity: str | None = None, solution: str = "") -> NamedResult:
    return NamedResult(
        test,
        outcome,
        f"Lynis finds nothing to improve in its test {test}",
        severity=severity,
        remedy=solution.removeprefix("text:"),
        references=(f"Lynis {test}",),
        message=message,
    )
