# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as Markdown: a summary, as CI systems show it beside a job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..results import FAIL, FAILED, SEVERITIES, UNKNOWN, WAIVED, answered, failing, passed_share
from .fixes import SHOWN_FIXES, fix_words, fixes
from .past import CHANGES, COUNTS
from .text import cost_words, counted, counts_words, first, found_words, line, moment, unasked, verdict_words

#: Rows of a table; CI systems refuse summaries that are too large.
_ROWS = 200

_SPECIAL = re.compile(r"([\\`*_{}\[\]~$])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
#: Where a mention or a reference would begin, which a blank of no width ends; entities are resolved before.
_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)")
_LINKS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.md block by block."""
    for block in _blocks(report):
        yield f"{block}\n\n"


def escape(value: Any, limit: int = 200) -> str:
    """Return text on one line that Markdown takes for nothing but text."""
    text = _SPECIAL.sub(r"\\\1", _MENTION.sub("\u200b", line(value, limit)).translate(_ENTITIES))
    return _LINKS.sub(lambda match: f"&#{ord(match[0])};", text)


def _blocks(report: Mapping[str, Any]) -> Iterator[str]:
    summary = report["summary"]
    yield f"# {escape(report['title'])}"
    started, finished = (escape(moment(report[key])) for key in ("started_at", "finished_at"))
    yield f"Workspace {escape(report['workspace'])}, {started} to {finished}"
    verdict = [f"**Verdict: {verdict_words(report)}.** {escape(answered(report), 2000)}"]
    if report["verdict"] == FAIL:
        verdict.append(f"{counted(len(failing(report)), 'finding')} of severity {report['fail_on']} or worse.")
    yield "\n".join([*verdict, *([escape(report["refusal"], 400)] if report["refusal"] else [])])
    size = f"{counted(summary['servers'], 'server')}, {counted(summary['checks'], 'check')}"
    yield f"**{passed_share(summary):g}% passed**, score {summary['score']:g}%: {size}; {counts_words(summary)}."
    found = fixes(report)
    if found:
        yield "## Fix these first"
        most = [escape(fix_words(fix, 400), 1000) for fix in found[:SHOWN_FIXES]]
        more = len(found) - SHOWN_FIXES
        most += [f"and {counted(more, 'check')} more"] if more > 0 else []
        yield "\n".join(f"{number}. {words}" for number, words in enumerate(most, 1))
    reasons = unasked(report)
    if reasons:
        yield "## Servers without new answers"
        yield "\n".join(f"- {escape(words)}: {escape(first(hosts, _ROWS), 5000)}" for words, hosts in reasons[:_ROWS])
    if report.get("trend"):
        yield from _trend(report["trend"])
    for title, outcome in (("Failed", FAILED), ("Unknown", UNKNOWN), ("Waived", WAIVED)):
        rows = [result for result in report["results"] if result["outcome"] == outcome]
        if rows or outcome == FAILED:
            yield from _table(title, rows)
    yield f"{cost_words(summary)}, with {counted(summary['requests'], 'request')}."


def _trend(trend: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Since {escape(moment(trend['since']))}"
    rows = [f"Then: {escape(trend['verdict'])}, with {trend['coverage']:g}% of the questions answered"]
    for key, title in (("coverage", "Share answered"), ("passed_share", "Share passed"), ("score", "Score")):
        rows.append(f"{title}: {trend['change'][key]:+} points")
    rows += [f"{title}: {len(trend[key])}" for key, title in CHANGES.items() if trend[key]]
    rows += [f"{title}: {trend[key]}" for key, title in COUNTS.items() if trend[key]]
    yield "\n".join(f"- {words}" for words in rows)


def _table(title: str, results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"## {title}"
    rows = ["| severity | check | host | what was found |", "| --- | --- | --- | --- |"]
    for result in sorted(results, key=lambda result: -SEVERITIES.index(result["severity"]))[:_ROWS]:
        cells = (result["severity"], result["check"], result["host"], found_words(result))
        rows.append(f"| {' | '.join(escape(cell) for cell in cells)} |")
    yield "\n".join(rows) if results else "Nothing."
    if len(results) > _ROWS:
        yield f"{len(results) - _ROWS} more are in the other files of this report."
