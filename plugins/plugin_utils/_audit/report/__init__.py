# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the report of an audit in several formats, read an earlier report, and compare the two.

``docs/audit-report.schema.json`` describes a report.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....module_utils._api.errors import AlpaconError
from ..scanners.results import FAILED, OUTCOMES, PASSED, SEVERITIES, compute_passed_share
from .formats import render_csv, render_json, render_junit, render_markdown
from .html_page import render_html

#: The version of the schema. It grows if a program for the previous version would misread a report.
SCHEMA = 2
#: Format -> name of the file, and function that renders it in pieces.
FILES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Iterable[str]]]] = {
    "json": ("audit.json", render_json),
    "junit": ("audit.xml", render_junit),
    "markdown": ("audit.md", render_markdown),
    "html": ("audit.html", render_html),
    "csv": ("audit.csv", render_csv),
}
FORMATS = tuple(FILES)
DEFAULT_FORMATS = ("json", "junit", "markdown", "html")


def write_report(
    report: Mapping[str, Any],
    folder: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    previous: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a report into a folder and return the paths of its files, which only the owner may read.

    Args:
        previous: an earlier report, for the trend.
    """
    if previous:
        report = {**report, "trend": compare_reports(report, previous)}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = [folder / FILES[name][0] for name in formats]
    for path, name in zip(paths, formats, strict=True):
        # Outputs can be confidential: only the owner may read a file of mkstemp.
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(FILES[name][1](report))
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    return paths


class ReportError(AlpaconError):
    """Report that a file is not a report of this schema."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is not a report of an audit: {problem}. Give the audit.json that an audit wrote.")


def read_previous(path: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Read an earlier report. If there is no such file, warn and return None."""
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
        raise ReportError(path, f"it is not a JSON object with schema {SCHEMA}")
    if not isinstance(report.get("finished_at"), str):
        raise ReportError(path, "it has no text at finished_at")
    try:
        # Refuse a damaged report before the audit, not when its own report is written.
        compare_reports({**report, "servers": [], "checks": [], "results": []}, report)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(path, f"something in it is missing or damaged ({error!r})") from error
    return report


def compare_reports(report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    both = (report, previous)
    now, before = ({(row["host"], row["check"]): row for row in one["results"]} for one in both)
    failed, failed_before = ({pair for pair, row in rows.items() if row["outcome"] == FAILED} for rows in (now, before))
    fixed = {pair for pair in failed_before if pair in now and now[pair]["outcome"] == PASSED}
    hosts, hosts_before = ({server["host"] for server in one["servers"]} for one in both)
    checks, checks_before = ({check["name"] for check in one["checks"]} for one in both)
    return {
        "since": previous["finished_at"],
        "verdict": previous["verdict"],
        "coverage": previous["coverage"],
        "change": _compare_figures(report, previous),
        "newly_failed": _list_pairs(failed - failed_before, now),
        "newly_fixed": _list_pairs(fixed, before),
        "still_failing": _list_pairs(failed & failed_before, now),
        "no_longer_failed": _list_pairs(failed_before - failed - fixed, before),
        "new_servers": len(hosts - hosts_before),
        "gone_servers": len(hosts_before - hosts),
        "new_checks": len(checks - checks_before),
        "gone_checks": len(checks_before - checks),
    }


def _compare_figures(report: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    now, before = report["summary"], previous["summary"]
    failed, failed_before = now["failed_by_severity"], before["failed_by_severity"]
    return {
        **{name: now[name] - before[name] for name in ("servers", "checks", "questions", *OUTCOMES, "not_reached")},
        "passed_share": round(compute_passed_share(now) - compute_passed_share(before), 1),
        "coverage": round(report["coverage"] - previous["coverage"], 1),
        "score": round(now["score"] - before["score"], 1),
        "failed_by_severity": {severity: failed[severity] - failed_before[severity] for severity in SEVERITIES},
    }


def _list_pairs(
    pairs: Collection[tuple[str, str]], results: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Return pairs of host and check with their severities, the worst first."""
    rows = [{"host": host, "check": name, "severity": results[host, name]["severity"]} for host, name in pairs]
    return sorted(rows, key=lambda row: (-SEVERITIES.index(row["severity"]), row["check"], row["host"]))
