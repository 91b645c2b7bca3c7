# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the report of an audit in several formats, and read an earlier report.

``docs/audit-report.schema.json`` describes a report.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....module_utils._api.errors import AlpaconError
from ..private_files import open_private
from ..scanners.results import SEVERITIES, UNKNOWN, VERDICTS
from .comparison import COUNTS, compare_reports
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
#: The keys of each result that a comparison with a later report needs.
_COMPARED = ("host", "check", "outcome", "severity", "attestation")


def write_report(
    report: Mapping[str, Any],
    folder: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
) -> list[Path]:
    """Write a report into a folder and return the paths of its files, which only the owner may read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = [folder / FILES[name][0] for name in formats]
    for path, name in zip(paths, formats, strict=True):
        with open_private(path) as file:
            file.writelines(piece.encode() for piece in FILES[name][1](report))
    return paths


class ReportError(AlpaconError):
    """Report that a file is not a report of this schema."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is not a report of an audit: {problem}. Give the audit.json that an audit wrote.")


def read_previous(path: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Read an earlier report, without what no comparison needs. If there is no such file, warn and return None."""
    try:
        report = _load(path)
    except FileNotFoundError:
        warn(f"There is no earlier report {path}, so the report shows no trend.")
        return None
    except OSError as error:
        raise ReportError(path, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(path, f"it is not JSON: {error}") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ReportError(path, f"it is not a JSON object with schema {SCHEMA}")
    if not isinstance(report.get("finished_at"), str):
        raise ReportError(path, "it has no text at finished_at")
    try:
        # Refuse a damaged report before the audit, not when its own report is written.
        _check_values(report)
        compare_reports({**report, "servers": [], "checks": [], "results": []}, report)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(path, f"something in it is missing or damaged ({error!r:.200})") from error
    return report


def _load(path: Path) -> Any:
    try:
        # Some programs write a mark at the beginning of a file.
        with path.open(encoding="utf-8-sig") as file:
            return _parse_lines(file)
    except ValueError:
        # The file is damaged, or another program formatted it.
        return json.loads(path.read_text(encoding="utf-8-sig"))


def _parse_lines(lines: Iterable[str]) -> dict[str, Any]:
    """Parse a report that has one line for each record, as ``render_json`` writes it."""
    report: dict[str, Any] = {}
    rows: list[Any] | None = None
    text = ""
    for line in lines:
        text = line.strip().removesuffix(",")
        if text.endswith(": ["):
            rows = report[json.loads(text.removesuffix(": ["))] = []
        elif text == "]":
            rows = None
        elif rows is not None:
            row = json.loads(text)
            rows.append(_shorten(row) if rows is report.get("results") else row)
        elif text not in ("{", "}"):
            report.update(json.loads(f"{{{text}}}"))
    if text != "}":
        raise ValueError("the last line does not end the report")
    return report


def _shorten(row: Any) -> Any:
    """Return a result with the keys that a comparison needs, or as it is if it is damaged."""
    if not isinstance(row, dict) or "outcome" not in row:
        return row
    keys = (*_COMPARED, "message") if row["outcome"] == UNKNOWN else _COMPARED
    # Most values occur thousands of times.
    return {key: sys.intern(row[key]) if isinstance(row[key], str) else row[key] for key in keys if key in row}


def _check_values(report: Mapping[str, Any]) -> None:
    """Raise ValueError if a name is no text, the verdict or fail_on not one of an audit, or a figure impossible."""
    rows = {"servers": ("host",), "checks": ("name",), "results": ("host", "check", "outcome", "severity")}
    for kind, keys in rows.items():
        for row in report[kind]:
            if not all(isinstance(row[key], str) for key in keys):
                raise ValueError(f"{kind}: {', '.join(keys)}")
    summary = report["summary"]
    counts = [*(summary[name] for name in COUNTS), *summary["failed_by_severity"].values()]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError(f"counts: {', '.join(COUNTS)}")
    if not all(0 <= share <= 100 for share in (report["coverage"], summary["score"])):
        raise ValueError("coverage and score")
    if report["verdict"] not in VERDICTS:
        raise ValueError(f"verdict {report['verdict']!r}")
    if report["fail_on"] not in (*SEVERITIES, None):
        raise ValueError(f"fail_on {report['fail_on']!r}")
