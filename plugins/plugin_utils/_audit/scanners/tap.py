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
#: What prove writes below the tests of a file that all passed, and at the end.
_FILE_PASSED = re.compile(r"ok(?:\s+\d+ ms\b.*)?\s*$")
_RUN_FAILED = re.compile(r"^Result: (?:FAIL|NOTESTS)$", re.MULTILINE)
#: What YAML about a test is between.
_YAML, _YAML_ENDS = "  ---", "  ..."
#: So many lines of what explains a test are kept.
_MOST_LINES = 20


@dataclass
class _Part:
    """Tests with a plan of their own: those of one file may stand below those of another.

    Attributes:
        planned: how many it has, as far as that is known yet.
        seen: how many came.
    """

    planned: int | None = None
    seen: int = 0

    @property
    def is_over(self) -> bool:
        """Whether all came."""
        return self.planned is not None and self.seen >= self.planned


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """The tests of an output, and what is missing of those it plans.

    Raises:
        ScannerError: there is neither a plan nor a test.
    """
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
        elif parts[-1].is_over and _FILE_PASSED.match(line):
            continue
        elif point:
            _last(parts, not parts[-1].is_over).seen += 1
            results.append(_test(point, len(results) + 1))
            explained = 0
        elif results and explained < _MOST_LINES and (text := _explanation(line, in_yaml)):
            results[-1] = replace(results[-1], message=f"{results[-1].message}\n{text}".strip("\n"))
            explained += 1
    if not results and parts[0].planned is None:
        raise ScannerError(bailed_out or "The output has neither a plan nor a test of TAP.")
    fails_alone = all(one.outcome != FAILED for one in results) and bool(_RUN_FAILED.search(output))
    return [*results, *_gaps(parts, bailed_out, fails_alone)]


def _last(parts: list[_Part], goes_on: bool) -> _Part:
    """The part that a line belongs to: the last one if that goes on, else a new one."""
    parts += [] if goes_on else [_Part()]
    return parts[-1]


def _test(point: re.Match[str], number: int) -> NamedResult:
    text = _DURATION.sub("", point[3])
    directive = _DIRECTIVE.search(text)
    described = re.sub(r"^\s*-\s+", "", text[: directive.start()] if directive else text).strip()
    name = re.sub(r"\\(.)", r"\1", described) or f"test {point[2] or number}"
    if directive and (point[1] or directive[1].casefold() == "skip"):
        # One that is to be done and does not hold yet counts as little as one that is skipped.
        skipped = directive[1].casefold() == "skip"
        message = f"{'Skipped' if skipped else 'To be done'}{': ' if directive[2] else '.'}{directive[2]}"
        return NamedResult(name, NOT_APPLICABLE, message=message)
    return NamedResult(name, FAILED if point[1] else PASSED)


def _explanation(line: str, in_yaml: bool) -> str:
    """What a line below a test says about it: a comment, or a line of its YAML."""
    if line.startswith("#"):
        said = line[1:].removeprefix(" ").rstrip()
        return "" if said.startswith("Subtest: ") else said
    stripped = line.strip()
    return stripped if in_yaml and stripped != _YAML.strip() and not stripped.endswith("|") else ""


def _all_skipped(reason: str) -> NamedResult:
    said = re.sub(r"(?i)^skip\S*\s*", "", reason)
    return NamedResult("all tests", NOT_APPLICABLE, message=f"All tests are skipped{': ' if said else '.'}{said}")


def _gaps(parts: Sequence[_Part], bailed_out: str, fails_alone: bool) -> Iterator[NamedResult]:
    """What says that tests are missing.

    Args:
        fails_alone: whether prove says that the run failed, where no test did.
    """
    planned = sum(part.planned or 0 for part in parts)
    kept = sum(min(part.seen, part.planned or 0) for part in parts)
    if bailed_out:
        yield missing(bailed_out)
    elif all(part.planned is None for part in parts):
        yield missing("There is no plan, so tests may be missing.")
    elif any(part.seen != part.planned for part in parts):
        came = kept if kept < planned else sum(part.seen for part in parts)
        yield missing(f"{planned} tests were planned, and {came} came.")
    elif fails_alone:
        yield missing("prove says that the run failed, and no test did.")
