# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What stands on the page of a report: checks with their findings, the rows of the grid, figures and filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import escape

from ..outcomes import FAILED, OUTCOMES, PASSED, SEVERITIES, UNKNOWN
from ..verdict import FAIL, INCONCLUSIVE, PASS, answered, fails, is_covered, passed_share
from .text import duration, inline, line, moment, output, parsed, plain

#: Bytes of output in one file: of findings, and of what passed.
_FINDINGS_BUDGET = 2_500_000
_PASSED_BUDGET = 1_500_000


@dataclass
class Finding:
    """What one or several servers answered to a check, word for word the same, and did not pass with."""

    outcome: str
    severity: str
    message: str
    output: str | None
    is_cut: bool
    is_complete: bool
    answers: list[FindingAnswer] = field(default_factory=list)


@dataclass(frozen=True)
class FindingAnswer:
    """The result of one server and check that did not pass."""

    number: int
    server: int
    host: str
    detail: str
    command: str


@dataclass
class CheckSection:
    """A check with its findings, the worst first."""

    number: int
    given: Mapping[str, Any]
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, int, int]:
        """What puts the check with the worst findings first."""
        return (-max((_rank(finding) for finding in self.findings), default=-1), -self.counts[FAILED], self.number)


@dataclass(frozen=True)
class GridCell:
    """A result in the grid."""

    number: int
    outcome: str
    severity: str


@dataclass
class GridRow:
    """A row of the grid: a cell for each check, and nothing where it does not apply."""

    number: int
    host: str
    cells: list[GridCell | None]
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def rank(self) -> tuple[list[int], int]:
        """What puts the server with the worst findings first."""
        return ([-self.failed[severity] for severity in (*reversed(SEVERITIES), UNKNOWN)], self.number)


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity) + (len(SEVERITIES) if finding.outcome == FAILED else 0)


def arrange(report: Mapping[str, Any]) -> tuple[list[CheckSection], list[GridRow], dict[str, Any]]:
    """The checks with their findings, the rows of the grid, and the data that the script works with."""
    checks = [CheckSection(number, check) for number, check in enumerate(report["checks"])]
    servers = [
        GridRow(number, line(server["host"]), [None] * len(checks)) for number, server in enumerate(report["servers"])
    ]
    check_numbers = {check["name"]: number for number, check in enumerate(report["checks"])}
    server_numbers = {server["host"]: number for number, server in enumerate(report["servers"])}
    findings = _Findings()
    texts = _Texts()
    rows = []
    for number, result in enumerate(report["results"]):
        server, check = servers[server_numbers[result["host"]]], checks[check_numbers[result["check"]]]
        outcome, severity = result["outcome"], result["severity"]
        server.cells[check.number] = GridCell(number, outcome, severity)
        check.counts[outcome] += 1
        if outcome != PASSED:
            server.failed[severity if outcome == FAILED else UNKNOWN] += 1
            findings.add(
                check, FindingAnswer(number, server.number, server.host, _detail(result), _command(result)), result
            )
        rows.append(_row(server.number, check.number, result, texts))
    for check in checks:
        check.findings.sort(key=lambda finding: (-_rank(finding), -len(finding.answers)))
    data = {
        "servers": [_server_data(server) for server in report["servers"]],
        "checks": [_check_data(check.given) for check in checks],
        "results": rows,
        "texts": texts.all,
    }
    return checks, servers, data


class _Findings:
    """Puts answers that are the same into one finding, and keeps to the budget for their output."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Finding] = {}
        self._left = _FINDINGS_BUDGET

    def add(self, check: CheckSection, answer: FindingAnswer, result: Mapping[str, Any]) -> None:
        """Add a server's answer to the findings of a check."""
        same = (result["outcome"], result["severity"], result["message"], result["output"], result["output_truncated"])
        key = (check.number, *same, result["output_complete"])
        if key not in self._known:
            self._known[key] = self._finding(result)
            check.findings.append(self._known[key])
        self._known[key].answers.append(answer)

    def _finding(self, result: Mapping[str, Any]) -> Finding:
        text, is_cut = output(result["output"])
        self._left -= len(escape(text).encode())
        return Finding(
            outcome=result["outcome"],
            severity=result["severity"],
            message=line(result["message"]),
            output=text if self._left >= 0 else None,
            is_cut=is_cut or result["output_truncated"],
            # Where there was no answer, there is nothing to complete.
            is_complete=result["output_complete"] or (result["outcome"] == UNKNOWN and not text),
        )


class _Texts:
    """Texts of what passed, each kept once, within a budget."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._places: dict[str, int] = {}
        self._left = _PASSED_BUDGET

    def place(self, text: str) -> int:
        """Where a text stands, or -1 if it has no room."""
        if text not in self._places:
            size = len(inline(text).encode())
            if size > self._left:
                return -1
            self._left -= size
            self._places[text] = len(self.all)
            self.all.append(text)
        return self._places[text]


def _row(server: int, check: int, result: Mapping[str, Any], texts: _Texts) -> list[Any]:
    """A result for the script, which finds the texts of what did not pass in the findings."""
    row = [server, check, OUTCOMES.index(result["outcome"]), SEVERITIES.index(result["severity"])]
    if result["outcome"] != PASSED:
        return row
    text, is_cut = output(result["output"])
    flags = (is_cut or result["output_truncated"]) + 2 * (not result["output_complete"])
    return [
        *row,
        texts.place(line(result["message"])),
        texts.place(text),
        flags,
        texts.place(_detail(result)),
        _command(result),
    ]


def _detail(result: Mapping[str, Any]) -> str:
    """How the answer was got: exit code, value, and when."""
    parts = []
    if result["rc"] is not None:
        parts.append(f"rc {result['rc']}")
    if result["value"] is not None:
        parts.append(f"value {line(result['value'], 40)}")
    if result["ended_at"]:
        parts.append(f"{'reused from' if result['reused'] else 'ran'} {moment(result['ended_at'])}")
    return ", ".join(parts)


def _command(result: Mapping[str, Any]) -> str:
    return line(result["command"] or "", 40)


def _server_data(server: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": line(server["host"]),
        "workspace": line(server["workspace"]),
        "id": line(server["id"] or "", 40),
        "name": line(server["name"] or ""),
        "groups": [line(group) for group in server["groups"]],
        "facts": {line(name, 80): line(value) for name, value in server["facts"].items()},
    }


def _check_data(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": line(check["name"]),
        "set": line(check["set"] or ""),
        "severity": SEVERITIES.index(check["severity"]),
        "line": plain(check["line"]),
        "username": line(check["username"] or ""),
        "description": plain(check["title"]),
        "remedy": plain(check["remedy"]),
        "expected": [line(expected) for expected in check["expected"]],
        "when": [line(group) for group in check["when"]],
    }


def choices_in(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: values and their words."""
    groups: Iterable[str] = (group for server in report["servers"] for group in server["groups"])
    sets = (check["set"] for check in report["checks"] if check["set"])
    worse = [(severity, f"{severity} or worse") for severity in SEVERITIES[-2:0:-1]]
    choices = {
        "outcome": [(outcome, outcome) for outcome in (FAILED, UNKNOWN, PASSED)],
        "severity": [(SEVERITIES[-1], SEVERITIES[-1]), *worse],
        "group": [(group, group) for group in sorted(set(map(line, groups)))],
        "set": [(name, name) for name in sorted(set(map(line, sets)))],
    }
    return {name: values for name, values in choices.items() if values}


def figures_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Headline figures beside those of the summary."""
    summary = report["summary"]
    by_severity = summary["failed_by_severity"]
    parts = [(severity, by_severity.get(severity, 0)) for severity in reversed(SEVERITIES)]
    segments = _bar([*parts, (UNKNOWN, summary[UNKNOWN]), (PASSED, summary[PASSED])])
    start, end = parsed(report["started_at"]), parsed(report["finished_at"])
    return {
        "total": summary["questions"],
        "share": f"{passed_share(summary):g}",
        "bar": segments,
        "spoken": ", ".join(f"{count} {name}" for name, count, _start, _width in segments) or "no results",
        "failing": len([result for result in report["results"] if fails(result, report["fail_on"])]),
        "answered": answered(report),
        "covered": is_covered(report),
        "tone": _tone(report),
        "took": duration((end - start).total_seconds()) if start and end else "",
        "window": duration(report["reuse_within"]) if report["reuse_within"] else "",
    }


def _tone(report: Mapping[str, Any]) -> str:
    """How the head of the page looks."""
    if report["verdict"] != PASS:
        return {FAIL: "bad", INCONCLUSIVE: "open"}[report["verdict"]]
    return "fair" if report["summary"]["failed"] or report["summary"]["unknown"] else "good"


def _bar(parts: Sequence[tuple[str, int]]) -> list[tuple[str, int, float, float]]:
    """Parts of a bar that is 100 wide: name, count, where it starts and how wide it is."""
    total = sum(count for _name, count in parts) or 1
    segments = []
    start = 0.0
    for name, count in parts:
        if count:
            width = count * 100 / total
            segments.append((name, count, round(start, 3), round(width, 3)))
            start += width
    return segments
