# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as CSV, for spreadsheets: a row for each result, and one for each server without results."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from unicodedata import category

from .fixes import own_checks, remedy_of
from .text import line, plain, waiver_words

COLUMNS = (
    *("host", "server", "workspace", "os", "ip", "owner", "groups"),
    *("check", "set", "title", "severity", "outcome", "message", "value", "remedy", "references", "waiver"),
    *("command", "ended_at", "reused"),
)

_OF_RESULT = ("check", "severity", "outcome", "message", "value", "command", "ended_at")

#: Where a spreadsheet may take what follows for a formula: in some countries, a semicolon is what separates cells.
_FORMULA = re.compile(r'(?:^|(?<=;))(?=[ "]*[=+\-@\uff0b\uff0d\uff1d\uff20])')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.csv row by row."""
    yield _row(COLUMNS)
    servers = {
        server["host"]: {**server, "server": server["name"], "groups": ", ".join(server["groups"])}
        for server in report["servers"]
    }
    own = own_checks(report)
    checks = {check["name"]: check for check in report["checks"]}
    for server in servers.values():
        if not server["reached"]:
            cells = {"outcome": "not_reached", "message": line(server["reason"])}
            yield _row({**server, **cells}.get(name, "") for name in COLUMNS)
    for result in report["results"]:
        check = checks[result["check"]]
        cells = {
            **servers[result["host"]],
            **{name: check[name] for name in ("set", "title")},
            "remedy": remedy_of(own, result["host"], check),
            **{name: result[name] for name in _OF_RESULT},
            "references": "; ".join(check["references"]),
            "waiver": waiver_words(result["waiver"]),
            "reused": "yes" if result["reused"] else "no",
        }
        yield _row(cells[name] for name in COLUMNS)


def _row(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([safe(cell) for cell in cells])
    return text.getvalue()


def safe(cell: Any) -> str:
    """Return the text of a cell: one visible line that no spreadsheet takes for a formula."""
    return "" if cell is None else _safe(str(cell))


# Most cells are those of the row before.
@functools.lru_cache(maxsize=4096)
def _safe(cell: str) -> str:
    shown = "".join(character for character in plain(cell) if category(character) != "Cf")
    text = " ".join(shown.split())
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)
