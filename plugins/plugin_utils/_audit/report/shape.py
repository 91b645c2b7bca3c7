# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a report must have to be read, and reports of earlier versions as today's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError

from ..outcomes import FAILED, OUTCOMES, PASSED, SEVERITIES, UNKNOWN
from ..verdict import score_of

#: The version of the shape; it grows where a reader of an older one would misread a report.
SCHEMA = 2

#: The versions that are read.
_READ = (1, SCHEMA)

#: What a summary counts.
FIGURES = ("servers", "checks", "questions", *OUTCOMES, "not_reached", "not_asked")

_FIGURES_OF = {1: ("servers", "checks", PASSED, FAILED, UNKNOWN), SCHEMA: FIGURES}
_TEXTS = {"servers": ("host",), "checks": ("name", "severity"), "results": ("host", "check", "outcome", "severity")}
_CHOICES = {"outcome": OUTCOMES, "severity": SEVERITIES}

#: What a report of schema 1 does not say.
_REPORT: dict[str, Any] = {
    "ansible_core": None,
    "run_by": None,
    "content_digest": None,
    "results_digest": None,
    "waivers": [],
}
_SERVER: dict[str, Any] = {
    "os": None,
    "agent": None,
    "ip": None,
    "owner": None,
    "reached": True,
    "reason": "",
    "asked": True,
}
_CHECK: dict[str, Any] = {
    "of": None,
    "rationale": "",
    "references": [],
    "kind": "output",
    "applies_if": None,
    "parameters": {},
}


class ReportError(AlpaconError):
    """A file that cannot be read as a report: which one, and what is wrong with it."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path} is not a report of an audit: {problem}. Give the audit.json that an audit wrote.")


def raised(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as one of the current schema; what its own did not know is null, empty or 0."""
    if report["schema"] == SCHEMA:
        return dict(report)
    summary = report["summary"]
    by_pair = ((result["outcome"], result["severity"], 1) for result in report["results"])
    return {
        **_REPORT,
        **report,
        "schema": SCHEMA,
        "summary": {
            **dict.fromkeys(FIGURES, 0),
            "score": score_of(by_pair),
            "questions": sum(summary[outcome] for outcome in (PASSED, FAILED, UNKNOWN)),
            **summary,
        },
        "servers": [{**_SERVER, **server} for server in report["servers"]],
        "checks": [
            {**_CHECK, "title": check.get("description") or check["name"], **check} for check in report["checks"]
        ],
        "results": [{"waiver": None, **result} for result in report["results"]],
    }


def check(report: Any) -> str:
    """What is wrong with the shape of a report, or nothing."""
    if not isinstance(report, Mapping):
        return "it holds no JSON object"
    schema = report.get("schema")
    if not _is_count(schema) or schema not in _READ:
        return f"its schema is {schema!r}, and only {' and '.join(map(str, _READ))} are known"
    if not isinstance(report.get("finished_at"), str):
        return "finished_at is missing"
    return _wrong_summary(report.get("summary"), _FIGURES_OF[schema]) or next(
        (problem for name in _TEXTS if (problem := _wrong_list(name, report.get(name)))), ""
    )


def _wrong_summary(summary: Any, figures: tuple[str, ...]) -> str:
    if not isinstance(summary, Mapping):
        return "summary is missing"
    wrong = next((name for name in figures if not _is_count(summary.get(name))), None)
    if wrong:
        return f"summary.{wrong} is not a number"
    by_severity = summary.get("failed_by_severity")
    if not isinstance(by_severity, Mapping) or not all(map(_is_count, by_severity.values())):
        return "summary.failed_by_severity holds no numbers"
    return ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_list(name: str, rows: Any) -> str:
    if not isinstance(rows, list):
        return f"{name} is not a list"
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            return f"{name}[{number}] is not an object"
        for key in _TEXTS[name]:
            value = row.get(key)
            if not isinstance(value, str):
                return f"{name}[{number}].{key} is not a text"
            if value not in _CHOICES.get(key, (value,)):
                return f"{name}[{number}].{key} is {value!r}, not one of {', '.join(_CHOICES[key])}"
    return ""
