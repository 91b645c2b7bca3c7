# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An earlier report: read it, and say what has changed since."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError

from ..results import FAILED, OUTCOMES, PASSED, SEVERITIES, compute_passed_share
from .text import parse_time

#: The version of the report's shape. It grows where a reader of an older one would misread a report.
SCHEMA = 2
#: Figures whose change a trend has.
_FIGURES = ("servers", "checks", "questions", *OUTCOMES, "not_reached")
#: The lists of a trend, in words.
CHANGES = {
    "newly_failed": "Newly failed",
    "newly_fixed": "Newly fixed",
    "still_failing": "Still failing",
    "no_longer_failed": "Failed before, now waived, unknown or not applicable",
}
#: The counts of a trend, in words.
COUNTS = {
    "new_servers": "New servers",
    "gone_servers": "Servers gone",
    "new_checks": "New checks",
    "gone_checks": "Checks gone",
}

_Results = dict[tuple[str, str], Mapping[str, Any]]


class ReportError(AlpaconError):
    """A file that cannot be read as a report: which one, and what is wrong with it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is not a report of an audit: {problem}. Give the audit.json that an audit wrote.")


def read_previous(path: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Read an earlier report. If there is no such file, warn and return None.

    Raises:
        ReportError: the file is no report that this version reads.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        warn(f"There is no earlier report {path}, so the report shows no trend.")
        return None
    except OSError as error:
        raise ReportError(path, f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(path, f"it is not JSON: {error}") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ReportError(path, f"it is no JSON object with schema {SCHEMA}")
    try:
        compare_reports({**report, "servers": [], "checks": [], "results": []}, report)
        parse_time(report["finished_at"] + "")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(path, f"something in it is missing or damaged ({error!r})") from error
    return report


def compare_reports(report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """Compare a report with an earlier one; the result is its key ``trend``, see the schema."""
    now, before = ({(row["host"], row["check"]): row for row in one["results"]} for one in (report, previous))
    failed, failed_before = ({pair for pair, row in one.items() if row["outcome"] == FAILED} for one in (now, before))
    fixed = {pair for pair in failed_before if pair in now and now[pair]["outcome"] == PASSED}
    return {
        "since": previous["finished_at"],
        "verdict": previous["verdict"],
        "coverage": previous["coverage"],
        "change": _compare_figures(report, previous),
        "newly_failed": _list_pairs(failed - failed_before, now),
        "newly_fixed": _list_pairs(fixed, before),
        "still_failing": _list_pairs(failed & failed_before, now),
        "no_longer_failed": _list_pairs(failed_before - failed - fixed, before),
        **_count_new_and_gone("servers", "host", report, previous),
        **_count_new_and_gone("checks", "name", report, previous),
    }


def _compare_figures(report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    now, before = report["summary"], previous["summary"]
    by_severity = {name: now["failed_by_severity"][name] - before["failed_by_severity"][name] for name in SEVERITIES}
    return {
        **{name: now[name] - before[name] for name in _FIGURES},
        "passed_share": round(compute_passed_share(now) - compute_passed_share(before), 1),
        "coverage": round(report["coverage"] - previous["coverage"], 1),
        "score": round(now["score"] - before["score"], 1),
        "failed_by_severity": by_severity,
    }


def _list_pairs(pairs: Iterable[tuple[str, str]], results: _Results) -> list[dict[str, str]]:
    """Return the pairs with their severities, the worst first."""
    rows = [{"host": host, "check": name, "severity": results[host, name]["severity"]} for host, name in pairs]
    return sorted(rows, key=lambda row: (-SEVERITIES.index(row["severity"]), row["check"], row["host"]))


def _count_new_and_gone(kind: str, key: str, report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, int]:
    now, before = ({row[key] for row in one[kind]} for one in (report, previous))
    return {f"new_{kind}": len(now - before), f"gone_{kind}": len(before - now)}
