# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Earlier reports: read them, and say what has changed since."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError

from ..verdict import FAILED, NOT_APPLICABLE, OUTCOMES, PASSED, SEVERITIES, UNKNOWN, WAIVED, coverage_of, passed_share
from .text import parsed

#: The version of the report's shape. It grows where a reader of an older one would misread a report.
SCHEMA = 2
#: What a summary counts.
FIGURES = ("servers", "checks", "questions", *OUTCOMES, "not_reached", "not_asked")


#: The lists of a trend, in words.
CHANGES = {
    "newly_failed": "Newly failed",
    "newly_fixed": "Newly fixed",
    "still_failing": "Still failing",
    "newly_waived": "Failed before, waived now",
    "no_longer_applicable": "Failed before, not applicable now",
    "no_longer_known": "Failed before, not known now",
    "new_servers": "New servers",
    "gone_servers": "Servers gone",
    "new_checks": "New checks",
    "gone_checks": "Checks gone",
}


class ReportError(AlpaconError):
    """A file that cannot be read as a report: which one, and what is wrong with it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is not a report of an audit: {problem}. Give the audit.json that an audit wrote.")


def _problem(report: Any) -> str:
    """Say what is wrong with the shape of a report, or nothing."""
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        return f"it is no JSON object with schema {SCHEMA}"
    try:
        compare({**report, "servers": [], "checks": [], "results": []}, [report])
        parsed(report["finished_at"] + "")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"something in it is missing or damaged ({error!r})"
    return ""


#: What takes room, and only the newest of earlier reports has to have.
_ROWS = ("servers", "checks", "results", "waivers")


def read_report(path: Path) -> dict[str, Any]:
    """Read a report that was written as JSON.

    Raises:
        ReportError: there is no such file, or it is no report that this version reads.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(path, f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(path, f"it is not JSON: {error}") from error
    if problem := _problem(report):
        raise ReportError(path, problem)
    return dict(report)


def read_past(paths: Sequence[Path], warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """Read earlier reports, the oldest first; all but the newest are without their rows.

    Args:
        paths: files, and folders of which each ``.json`` counts, and each ``audit.json`` one folder deeper.
        warn: is told of a path that is not there, and of a file in a folder that is no report.

    Raises:
        ReportError: a file that is named is no report.
    """
    known: dict[tuple[str, str], dict[str, Any]] = {}
    newest: dict[str, Any] | None = None
    for report in _reports(paths, warn):
        if newest is None or _age(report) > _age(newest):
            newest = report
        # The same report may be in two places.
        known[report["finished_at"], str(report.get("workspace"))] = {**report, **{name: [] for name in _ROWS}}
    if newest is None:
        return []
    return [*sorted(known.values(), key=_age)[:-1], newest]


def _reports(paths: Sequence[Path], warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    for path in paths:
        if path.is_dir():
            for file in _files(path):
                try:
                    yield read_report(file)
                except ReportError as error:
                    warn(f"{error} It is left out.")
        elif path.exists():
            yield read_report(path)
        else:
            warn(f"There is no earlier report {path}, so the report shows no trend from it.")


def _files(folder: Path) -> list[Path]:
    files = [*folder.glob("*.json"), *folder.glob("*/audit.json")]
    return sorted(file for file in files if file.is_file())


def _age(report: dict[str, Any]) -> tuple[float, str]:
    at = parsed(report["finished_at"])
    return (at.timestamp() if at else 0.0, report["finished_at"])


Pair = tuple[str, str]


def compare(report: Mapping[str, Any], past: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare a report with earlier ones; the result is its key ``trend``, see the schema."""
    *_older, previous = past
    now, before = _by_pair(report), _by_pair(previous)
    failed = _pairs(now, FAILED)
    failed_before = _pairs(before, FAILED)
    fixed, waived, gone = (failed_before & _pairs(now, outcome) for outcome in (PASSED, WAIVED, NOT_APPLICABLE))
    return {
        "since": previous["finished_at"],
        "verdict": previous.get("verdict"),
        "coverage": coverage_of(previous["summary"]),
        "history": [_point(one) for one in (*past, report)],
        "change": _change(report["summary"], previous["summary"]),
        "newly_failed": _named(failed - failed_before, now),
        "newly_fixed": _named(fixed, before),
        "still_failing": _named(failed & failed_before, now),
        "newly_waived": _named(waived, before),
        "no_longer_applicable": _named(gone, before),
        "no_longer_known": _named(failed_before - failed - fixed - waived - gone, before),
        **_came_and_went("servers", "host", report, previous),
        **_came_and_went("checks", "name", report, previous),
    }


def _point(report: Mapping[str, Any]) -> dict[str, Any]:
    summary = report["summary"]
    kept = ("score", "servers", "not_reached", PASSED, FAILED, UNKNOWN, "failed_by_severity")
    return {
        "finished_at": report["finished_at"],
        "verdict": report.get("verdict"),
        "coverage": coverage_of(summary),
        "passed_share": passed_share(summary),
        **{name: summary[name] for name in kept},
    }


def _by_pair(report: Mapping[str, Any]) -> dict[Pair, Mapping[str, Any]]:
    return {(result["host"], result["check"]): result for result in report["results"]}


def _pairs(results: Mapping[Pair, Mapping[str, Any]], outcome: str) -> set[Pair]:
    return {pair for pair, result in results.items() if result["outcome"] == outcome}


def _change(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    by_severity = {
        severity: now["failed_by_severity"].get(severity, 0) - before["failed_by_severity"].get(severity, 0)
        for severity in SEVERITIES
    }
    return {
        **{name: now[name] - before[name] for name in FIGURES},
        "passed_share": round(passed_share(now) - passed_share(before), 1),
        "coverage": round(coverage_of(now) - coverage_of(before), 1),
        "score": round(now["score"] - before["score"], 1),
        "failed_by_severity": by_severity,
    }


def _named(pairs: Iterable[Pair], results: Mapping[Pair, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the pairs with their severities, the worst first."""
    rows = [{"host": host, "check": name, "severity": results[host, name]["severity"]} for host, name in pairs]
    return sorted(rows, key=lambda row: (-SEVERITIES.index(row["severity"]), row["check"], row["host"]))


def _came_and_went(kind: str, key: str, report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, list[str]]:
    now, before = ({row[key] for row in one[kind]} for one in (report, previous))
    return {f"new_{kind}": sorted(now - before), f"gone_{kind}": sorted(before - now)}
