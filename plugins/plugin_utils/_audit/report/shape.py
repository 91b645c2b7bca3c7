# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a report must have to be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError

from ..outcomes import OUTCOMES, SEVERITIES

#: The version of the shape; it grows where a reader of an older one would misread a report.
SCHEMA = 1

#: What a summary counts.
FIGURES = ("servers", "checks", *OUTCOMES)

_TEXTS = {"servers": ("host",), "checks": ("name", "severity"), "results": ("host", "check", "outcome", "severity")}
_CHOICES = {"outcome": OUTCOMES, "severity": SEVERITIES}


class ReportError(AlpaconError):
    """A file that cannot be read as a report: which one, and what is wrong with it."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path} is no report of an audit: {problem}. Give the audit.json that an audit wrote.")


def check(report: Any) -> str:
    """What is wrong with the shape of a report, or nothing."""
    if not isinstance(report, Mapping):
        return "it holds no JSON object"
    if report.get("schema") != SCHEMA:
        return f"its schema is {report.get('schema')!r}, and only {SCHEMA} is known"
    if not isinstance(report.get("finished_at"), str):
        return "finished_at is missing"
    return _wrong_summary(report.get("summary")) or next(
        (problem for name in _TEXTS if (problem := _wrong_list(name, report.get(name)))), ""
    )


def _wrong_summary(summary: Any) -> str:
    if not isinstance(summary, Mapping):
        return "summary is missing"
    wrong = next((name for name in FIGURES if not _is_count(summary.get(name))), None)
    if wrong:
        return f"summary.{wrong} is no number"
    by_severity = summary.get("failed_by_severity")
    if not isinstance(by_severity, Mapping) or not all(map(_is_count, by_severity.values())):
        return "summary.failed_by_severity holds no numbers"
    return ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_list(name: str, rows: Any) -> str:
    if not isinstance(rows, list):
        return f"{name} is no list"
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            return f"{name}[{number}] is no object"
        for key in _TEXTS[name]:
            value = row.get(key)
            if not isinstance(value, str):
                return f"{name}[{number}].{key} is no text"
            if value not in _CHOICES.get(key, (value,)):
                return f"{name}[{number}].{key} is {value!r}, not one of {', '.join(_CHOICES[key])}"
    return ""
