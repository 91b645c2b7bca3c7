# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Reports of earlier audits, read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .shape import ReportError, check, raised
from .text import parsed

#: What takes room, and only the newest of earlier reports has to have.
_ROWS = ("servers", "checks", "results", "waivers")


def read_report(path: Path) -> dict[str, Any]:
    """Read a report that was written as JSON, by this version or an earlier one.

    Raises:
        ReportError: there is no such file, or it is no report that this version reads.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(path, f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(path, f"it is not JSON: {error}") from error
    problem = check(report)
    if problem:
        raise ReportError(path, problem)
    return raised(report)


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
                    warn(f"compare_to: {error} It is left out.")
        elif path.exists():
            yield read_report(path)
        else:
            warn(f"compare_to: there is no {path}, so the report shows no trend from it.")


def _files(folder: Path) -> list[Path]:
    files = [*folder.glob("*.json"), *folder.glob("*/audit.json")]
    return sorted(file for file in files if file.is_file())


def _age(report: dict[str, Any]) -> tuple[float, str]:
    at = parsed(report["finished_at"])
    return (at.timestamp() if at else 0.0, report["finished_at"])
