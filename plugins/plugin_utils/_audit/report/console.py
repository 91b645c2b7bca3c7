# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as a few lines for the output of a play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..results import UNKNOWN, answered
from .fixes import SHOWN_FIXES, fix_words, fixes
from .text import cost_words, counted, counts_words, first, folded, line, unasked, verdict_words

#: So many of each kind are shown: tens of lines in all, however many servers there are.
_REASONS = 5
_NAMED = 5


def overview(report: Mapping[str, Any], files: Sequence[str], to_submit: int = 0) -> Iterator[str]:
    """Summarise the audit in a few lines, for the output of a play.

    Args:
        to_submit: how many commands check mode left out.
    """
    summary = report["summary"]
    asked = f"{counted(summary['servers'], 'server')}, {counted(summary['checks'], 'check')}"
    yield f"{report['title']}: {asked}; {cost_words(summary)}"
    if to_submit:
        yield f"{counted(to_submit, 'command')} would be submitted"
    if report["verdict"]:
        yield f"Verdict: {verdict_words(report)}. {line(answered(report), 2000)}"
    to_fix = fixes(report)
    if to_fix:
        yield "Fix these first:"
    yield from (f"  {fix_words(fix)}" for fix in to_fix[:SHOWN_FIXES])
    if len(to_fix) > SHOWN_FIXES:
        yield f"  and {counted(len(to_fix) - SHOWN_FIXES, 'check')} more"
    yield from _without_answer(report)
    yield counts_words(summary)
    pages = [name for name in files if name.endswith(".html")] or list(files)
    yield from (f"Report: {name}" for name in pages[:1])


def _without_answer(report: Mapping[str, Any]) -> Iterator[str]:
    """Name the servers without answers of today by reason, and say why questions to others are open."""
    reasons = unasked(report)
    yield from (f"{words}: {first(hosts, _NAMED)}" for words, hosts in reasons[:_REASONS])
    if len(reasons) > _REASONS:
        yield f"{counted(sum(len(names) for _words, names in reasons[_REASONS:]), 'server')} more without results"
    unknown = Counter(
        line(result["message"], 160).removesuffix(".") for result in report["results"] if result["outcome"] == UNKNOWN
    )
    for message, count in unknown.most_common(_REASONS):
        yield f"Unknown, {counted(count, 'time')}: {message}"
    if len(unknown) > _REASONS:
        yield f"Unknown for {counted(len(unknown) - _REASONS, 'other reason')}"


def in_words(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each finding, and one for all that a host leaves open for the same reason."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        check = "" if finding["outcome"] == UNKNOWN else finding["check"]
        message = " ".join(filter(None, folded(finding["message"], 200))).removesuffix(".")
        alike.setdefault((finding["host"], finding["severity"], message, check), []).append(finding["check"])
    return [
        f"{host}: {names[0] if len(names) == 1 else counted(len(names), 'check')} ({severity}): {message}"
        for (host, severity, message, _check), names in alike.items()
    ]
