# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of goss, as its JSON or as the text that it prints without being asked for another format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .json_text import entries, read_json, text_of
from .results import NamedResult, ScannerError, missing, severity_of

#: What stands behind the name of a test that failed, in lines that say why.
_FAILED = (": doesn't match, ", ": expectations not found ", ": patterns not found: ")
#: The line that ends the tests, and the colours of all.
_COUNT = re.compile(r"Count: (\d{1,9}), Failed: (\d{1,9}), Skipped: (\d{1,9})")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SKIPPED = 2


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """The tests of an output, and what is missing of those that it counts.

    Raises:
        ScannerError: it is no output of goss.
    """
    if not re.search(r"^[ \t]*\{", output, re.MULTILINE):
        return list(_of_text(_COLOUR.sub("", output)))
    report = read_json(output)
    if not isinstance(report, dict):
        raise ScannerError("The JSON is not a report of goss.")
    rows = entries(report.get("results"), "results")
    summary = report.get("summary")
    counted = summary.get("test-count") if isinstance(summary, dict) else None
    gap = (
        [] if counted == len(rows) else [missing(f"goss counts {text_of(counted) or 'no'} tests, and has {len(rows)}.")]
    )
    return [*map(_of_row, rows), *gap]


def _of_row(row: Mapping[str, Any]) -> NamedResult:
    name = ": ".join(text_of(row.get(key)) for key in ("resource-type", "resource-id", "property"))
    meta = row.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    said = text_of(row.get("summary-line")) or text_of(row.get("human"))
    outcome = _outcome(row)
    return NamedResult(
        name,
        outcome,
        text_of(row.get("title")),
        text_of(meta.get("rationale") or meta.get("desc")),
        severity_of(meta.get("severity") or meta.get("sev") or ""),
        text_of(meta.get("remedy") or meta.get("fix")),
        message="" if outcome == PASSED else said,
    )


def _outcome(row: Mapping[str, Any]) -> str:
    if row.get("skipped") is True or row.get("result") == _SKIPPED:
        return NOT_APPLICABLE
    if row.get("err"):
        return UNKNOWN
    successful = row.get("successful")
    return {True: PASSED, False: FAILED}[successful] if isinstance(successful, bool) else UNKNOWN


def _of_text(text: str) -> Iterator[NamedResult]:
    """The tests that the text names: those that failed or were skipped, and one for all others."""
    counts = _COUNT.search(text)
    if not counts:
        raise ScannerError("The output is neither JSON of goss, nor does it end with the count of its tests.")
    counted, failed, skipped = (int(count) for count in counts.groups())
    found = list(_named(text[: counts.start()]))
    outcomes = [result.outcome for result in found]
    yield from found
    told = outcomes.count(FAILED) + outcomes.count(UNKNOWN), outcomes.count(NOT_APPLICABLE)
    if told != (failed, skipped):
        yield missing(f"goss counts {failed} failures and {skipped} skipped tests, and names {told[0]} and {told[1]}.")
    others = counted - failed - skipped
    if others > 0:
        yield NamedResult("other tests", PASSED, message=f"{others} tests passed, which this format does not name.")


def _named(text: str) -> Iterator[NamedResult]:
    title, found = "", None
    for line in text.partition("Failures/Skipped:")[2].splitlines():
        name, outcome = _test_in(line)
        if name:
            if found:
                yield found
            found = NamedResult(name, outcome, title, message=line)
        elif line.startswith("Title: "):
            title = line.removeprefix("Title: ")
        elif not line.strip():
            title = ""
        elif found and not line.startswith(("Meta:", "Total Duration:")):
            found = replace(found, message=f"{found.message}\n{line}")
    if found:
        yield found


def _test_in(line: str) -> tuple[str, str]:
    """The name of the test that a line is about, and what came of it; no name where it is about none."""
    if line[:1].isspace() or line.startswith(("Title: ", "Meta:")):
        return "", ""
    if line.endswith(": skipped"):
        return line.removesuffix(": skipped"), NOT_APPLICABLE
    if ": Error: " in line:
        return line.partition(": Error: ")[0], UNKNOWN
    if line.endswith(":") and ": " in line:
        return line[:-1], FAILED
    marker = next((one for one in _FAILED if one in line), None)
    return (line.partition(marker)[0], FAILED) if marker else ("", "")
