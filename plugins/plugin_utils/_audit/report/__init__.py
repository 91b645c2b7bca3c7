# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of an audit: written for people, CI systems and programs, and read again for a trend.

``docs/audit-report.schema.json`` describes its shape.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .formats import render_csv, render_json, render_junit, render_markdown
from .html_page import render_html
from .trend import ReportError, compare_reports, read_previous

__all__ = ["DEFAULT_FORMATS", "FILES", "FORMATS", "ReportError", "read_previous", "write_report"]


#: format -> the file's name and what renders it, in pieces.
FILES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Iterable[str]]]] = {
    "json": ("audit.json", render_json),
    "junit": ("audit.xml", render_junit),
    "markdown": ("audit.md", render_markdown),
    "html": ("audit.html", render_html),
    "csv": ("audit.csv", render_csv),
}
FORMATS = tuple(FILES)
#: What is written where nothing else is asked for.
DEFAULT_FORMATS = ("json", "junit", "markdown", "html")


def write_report(
    report: Mapping[str, Any],
    folder: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    previous: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a report into a folder and return the paths of its files, in the order of the formats.

    Each file replaces the earlier one at once, and only its owner may read it, since output can be confidential.

    Args:
        formats: of :data:`FORMATS`.
        previous: an earlier report; the report then says what changed since.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    if previous:
        report = {**report, "trend": compare_reports(report, previous)}
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = []
    for name in formats:
        file, render = FILES[name]
        _replace_file(folder / file, render(report))
        paths.append(folder / file)
    return paths


def _replace_file(path: Path, pieces: Iterable[str]) -> None:
    # mkstemp makes a file that only its owner may read.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
