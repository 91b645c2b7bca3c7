# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What changed since an earlier report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, PASSED, SEVERITIES, UNKNOWN, WAIVED
from ..verdict import VERDICTS, coverage_of, passed_share
from .shape import FIGURES

Pair = tuple[str, str]


def compare(report: Mapping[str, Any], past: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What changed since the last of earlier reports, as the key ``trend`` of the report: see its schema."""
    *_older, previous = past
    now, before = _by_pair(report), _by_pair(previous)
    failed = _pairs(now, FAILED)
    failed_before = _pairs(before, FAILED)
    fixed, waived, gone = (failed_before & _pairs(now, outcome) for outcome in (PASSED, WAIVED, NOT_APPLICABLE))
    return {
        "since": previous["finished_at"],
        # Reports were once written without a verdict; the coverage is in their counts.
        "verdict": _verdict(previous),
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


def _verdict(report: Mapping[str, Any]) -> str | None:
    return report["verdict"] if report.get("verdict") in VERDICTS else None


def _point(report: Mapping[str, Any]) -> dict[str, Any]:
    summary = report["summary"]
    kept = ("score", "servers", "not_reached", PASSED, FAILED, UNKNOWN, "failed_by_severity")
    return {
        "finished_at": report["finished_at"],
        "verdict": _verdict(report),
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
    """The pairs with their severities, the worst first."""
    rows = [{"host": host, "check": name, "severity": results[host, name]["severity"]} for host, name in pairs]
    return sorted(rows, key=lambda row: (-SEVERITIES.index(row["severity"]), row["check"], row["host"]))


def _came_and_went(kind: str, key: str, report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, list[str]]:
    now, before = ({row[key] for row in one[kind]} for one in (report, previous))
    return {f"new_{kind}": sorted(now - before), f"gone_{kind}": sorted(before - now)}
