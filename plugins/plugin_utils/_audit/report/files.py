# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The files of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import csv_file, html_page, json_file, junit, markdown

#: format -> the file's name and what renders it, in pieces.
FILES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Iterable[str]]]] = {
    "json": ("audit.json", json_file.render),
    "junit": ("audit.xml", junit.render),
    "markdown": ("audit.md", markdown.render),
    "html": ("audit.html", html_page.render),
    "csv": ("audit.csv", csv_file.render),
}
