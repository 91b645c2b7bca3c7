# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as a few lines for the output of a play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..outcomes import FAILED, PASSED, UNKNOWN
from ..verdict import answered
from .text import counted

#: So many findings are shown.
_SHOWN = 10


def overview(report: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], files: Sequence[str]) -> list[str]:
    """A short table of the audit, for the output of a play."""
    summary = report["summary"]
    asked = f"{counted(summary['servers'], 'server')}, {counted(summary['checks'], 'check')}"
    cost = f"{counted(summary['commands'], 'command')} run, {counted(summary['reused'], 'answer')} reused"
    counts = {
        PASSED: summary[PASSED],
        UNKNOWN: summary[UNKNOWN],
        **{f"{FAILED}, {severity}": count for severity, count in summary["failed_by_severity"].items() if count},
    }
    lines = [f"{report['title']}: {asked}; {cost}", *(f"{name:<18}{count:>7}" for name, count in counts.items())]
    if report["verdict"]:
        lines.insert(1, f"Verdict: {report['verdict']}. {answered(report)}")
    named = in_words(findings)
    if named:
        lines += ["Worst findings:", *(f"  {words}" for words in named[:_SHOWN])]
    if len(named) > _SHOWN:
        lines.append(f"  and {len(named) - _SHOWN} more")
    pages = [name for name in files if name.endswith(".html")] or list(files)
    return [*lines, *(f"Report: {name}" for name in pages[:1])]


def in_words(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each finding, and one for all that a host leaves open for the same reason."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        check = "" if finding["outcome"] == UNKNOWN else finding["check"]
        message = finding["message"].removesuffix(".")
        alike.setdefault((finding["host"], finding["severity"], message, check), []).append(finding["check"])
    return [
        f"{host}: {names[0] if len(names) == 1 else counted(len(names), 'check')} ({severity}): {message}"
        for (host, severity, message, _check), names in alike.items()
    ]
