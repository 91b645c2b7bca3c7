# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as Markdown: a summary, as CI systems show it beside a job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..verdict import FAIL, FAILED, SEVERITIES, UNKNOWN, WAIVED, answered, failing, passed_share
from .fixes import SHOWN_FIXES, fixes
from .past import CHANGES
from .text import counted, found_words, line, moment, unasked_words, verdict_words

#: Rows of a table; CI systems refuse summaries that are too large.
_ROWS = 200

_SPECIAL = re.compile(r"([\\`*_{}\[\]~$])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
#: Where a mention or a reference would begin, which a blank of no width ends; entities are resolved before.
_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)")
_LINKS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.md line by line."""
    for text in _lines(report):
        yield f"{text}\n"


def escape(value: Any, limit: int = 200) -> str:
    """Return text on one line that Markdown takes for nothing but text."""
    text = _SPECIAL.sub(r"\\\1", _MENTION.sub("\u200b", line(value, limit)).translate(_ENTITIES))
    return _LINKS.sub(lambda match: f"&#{ord(match[0])};", text)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    summary = report["summary"]
    yield f"# {escape(report['title'])}"
    yield ""
    started, finished = (escape(moment(report[key])) for key in ("started_at", "finished_at"))
    yield f"Workspace {escape(report['workspace'])}, {started} to {finished}"
    yield ""
    yield f"**Verdict: {verdict_words(report)}.** {escape(answered(report), 2000)}"
    if report["verdict"] == FAIL:
        yield f"{counted(len(failing(report)), 'finding')} of severity {report['fail_on']} or worse."
    if report["refusal"]:
        yield escape(report["refusal"], 400)
    yield ""
    yield f"**{passed_share(summary):g}% passed**, score {summary['score']:g}%:"
    yield f"{counted(summary['servers'], 'server')}, {counted(summary['checks'], 'check')}."
    yield ""
    yield from _fixes(report)
    by_severity = summary["failed_by_severity"]
    yield f"| passed | failed | {' | '.join(reversed(SEVERITIES))} | unknown | waived | not applicable |"
    yield "|" + " ---: |" * (5 + len(SEVERITIES))
    counts = [str(by_severity.get(severity, 0)) for severity in reversed(SEVERITIES)]
    others = " | ".join(str(summary[name]) for name in ("unknown", "waived", "not_applicable"))
    yield f"| {summary['passed']} | {summary['failed']} | {' | '.join(counts)} | {others} |"
    yield ""
    yield from _unasked(report)
    if report.get("trend"):
        yield from _trend(report["trend"])
    workspaces = {server["host"]: server["workspace"] for server in report["servers"]}
    for title, outcome in (("Failed", FAILED), ("Unknown", UNKNOWN), ("Waived", WAIVED)):
        rows = [result for result in report["results"] if result["outcome"] == outcome]
        if rows or outcome == FAILED:
            yield from _table(title, rows, workspaces if len(set(workspaces.values())) > 1 else {})
    yield f"{counted(summary['commands'], 'command')} run with {counted(summary['requests'], 'request')},"
    yield f"{counted(summary['reused'], 'answer')} reused."


def _fixes(report: Mapping[str, Any]) -> Iterator[str]:
    found = fixes(report)
    if not found:
        return
    yield "## Fix these first"
    yield ""
    for number, fix in enumerate(found[:SHOWN_FIXES], 1):
        remedy = f": {escape(fix.remedy, 400)}" if fix.remedy else ""
        yield f"{number}. {fix.severity}: **{escape(fix.message, 300)}** {escape(fix.where)}{remedy}"
    if len(found) > SHOWN_FIXES:
        yield f"{SHOWN_FIXES + 1}. and {counted(len(found) - SHOWN_FIXES, 'check')} more"
    yield ""


def _unasked(report: Mapping[str, Any]) -> Iterator[str]:
    """List the servers without results, each once."""
    rows = [(server["host"], words) for server in report["servers"] if (words := unasked_words(server))]
    if rows:
        yield "## Servers without results"
        yield ""
        yield from (f"- {escape(host)}: {escape(words)}" for host, words in rows[:_ROWS])
        if len(rows) > _ROWS:
            yield f"- and {len(rows) - _ROWS} more"
        yield ""


def _trend(trend: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Since {escape(moment(trend['since']))}"
    yield ""
    verdict = f"{escape(trend['verdict'])}, with " if trend["verdict"] else ""
    yield f"- Then: {verdict}{trend['coverage']:g}% of the questions answered"
    yield f"- Share answered: {trend['change']['coverage']:+} points"
    yield f"- Share passed: {trend['change']['passed_share']:+} points"
    yield f"- Score: {trend['change']['score']:+} points"
    yield from (f"- {title}: {len(trend[key])}" for key, title in CHANGES.items() if trend[key])
    yield ""


def _table(title: str, results: Sequence[Mapping[str, Any]], workspaces: Mapping[str, str]) -> Iterator[str]:
    """Make a table of results, with a column for the workspaces of their hosts, where these are given."""
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
        cells = (result["severity"], result["check"], result["host"], *place, found_words(result))
        yield f"| {' | '.join(escape(cell) for cell in cells)} |"
    yield ""
    if len(results) > _ROWS:
        yield f"{len(results) - _ROWS} more are in the other files of this report."
        yield ""
