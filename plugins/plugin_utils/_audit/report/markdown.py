# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as Markdown: a summary, as CI systems show it beside a job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..outcomes import FAILED, SEVERITIES, UNKNOWN
from ..verdict import FAIL, answered, fails, passed_share
from .text import counted, line, moment

#: Rows of a table; CI systems refuse summaries that are too large.
_ROWS = 200

_SPECIAL = re.compile(r"([\\`*_{}\[\]~$])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "@": "&#64;"})
_LINKS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)

_TREND = {
    "newly_failed": "Newly failed",
    "newly_fixed": "Newly fixed",
    "still_failing": "Still failing",
    "no_longer_known": "Failed before, no longer known",
    "new_servers": "New servers",
    "gone_servers": "Servers gone",
    "new_checks": "New checks",
    "gone_checks": "Checks gone",
}


def render(report: Mapping[str, Any]) -> str:
    """The text of audit.md."""
    return "\n".join(_lines(report))


def escape(value: Any, limit: int = 200) -> str:
    """Text on one line that Markdown takes for nothing but text."""
    text = _SPECIAL.sub(r"\\\1", line(value, limit).translate(_ENTITIES))
    return _LINKS.sub(lambda match: f"&#{ord(match[0])};", text)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    summary = report["summary"]
    yield f"# {escape(report['title'])}"
    yield ""
    yield f"Workspace {escape(report['workspace'])}, {moment(report['started_at'])} to {moment(report['finished_at'])}"
    yield ""
    yield f"**Verdict: {report['verdict']}.** {answered(report)}"
    if report["verdict"] == FAIL:
        failing = sum(fails(result, report["fail_on"]) for result in report["results"])
        yield f"{counted(failing, 'finding')} of severity {report['fail_on']} or worse."
    if report["refusal"]:
        yield escape(report["refusal"], 400)
    yield ""
    yield f"**{passed_share(summary):g}% passed**: {counted(summary['servers'], 'server')},"
    results = counted(summary["questions"], "result")
    yield f"{counted(summary['checks'], 'check')}, {results}, {summary['reused']} of them reused;"
    yield f"{counted(summary['commands'], 'command')} run with {counted(summary['requests'], 'request')}."
    yield ""
    by_severity = summary["failed_by_severity"]
    yield f"| passed | failed | {' | '.join(reversed(SEVERITIES))} | unknown |"
    yield "|" + " ---: |" * (3 + len(SEVERITIES))
    counts = [str(by_severity.get(severity, 0)) for severity in reversed(SEVERITIES)]
    yield f"| {summary['passed']} | {summary['failed']} | {' | '.join(counts)} | {summary['unknown']} |"
    yield ""
    if report.get("trend"):
        yield from _trend(report["trend"])
    workspaces = {server["host"]: server["workspace"] for server in report["servers"]}
    for title, outcome in (("Failed", FAILED), ("Unknown", UNKNOWN)):
        rows = [result for result in report["results"] if result["outcome"] == outcome]
        yield from _table(title, rows, workspaces if len(set(workspaces.values())) > 1 else {})


def _trend(trend: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Since {moment(trend['since'])}"
    yield ""
    verdict = f"{trend['verdict']}, with " if trend["verdict"] else ""
    yield f"- Then: {verdict}{trend['coverage']:g}% of the questions answered"
    yield f"- Share answered: {trend['change']['coverage']:+} points"
    yield f"- Share passed: {trend['change']['passed_share']:+} points"
    for key, title in _TREND.items():
        if trend[key]:
            yield f"- {title}: {len(trend[key])}"
    yield ""


def _table(title: str, results: Sequence[Mapping[str, Any]], workspaces: Mapping[str, str]) -> Iterator[str]:
    """The results; with a column for the workspaces of their hosts, where these are given."""
    yield f"## {title}"
    yield ""
    if not results:
        yield "Nothing."
        yield ""
        return
    worst_first = sorted(results, key=lambda result: -SEVERITIES.index(result["severity"]))
    heads = ["severity", "check", "host", *(["workspace"] if workspaces else []), "what was found"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for result in worst_first[:_ROWS]:
        place = [workspaces[result["host"]]] if workspaces else []
        cells = (result["severity"], result["check"], result["host"], *place, result["message"])
        yield f"| {' | '.join(escape(cell) for cell in cells)} |"
    yield ""
    if len(results) > _ROWS:
        yield f"{len(results) - _ROWS} more are in the other files of this report."
        yield ""
