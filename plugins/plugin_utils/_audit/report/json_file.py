# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as JSON: the report itself, a line for each record."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class Rows:
    """Rows of a document that are made while it is written; each may be iterated over once."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self.rows = rows
        # No text of the document has it.
        self.mark = str(uuid.uuid4())


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.json, in pieces: the report itself, a line for each record."""
    comma = "{\n"
    for key, value in report.items():
        yield f"{comma}{json.dumps(key)}: "
        comma = ",\n"
        # With all but ASCII escaped, half a surrogate pair in an output breaks no reader.
        yield from _listed(value) if isinstance(value, list) and value else [json.dumps(value)]
    yield "\n}\n"


def streamed(document: Mapping[str, Any]) -> Iterator[str]:
    """The text of a document, in pieces, with a line for each of its :class:`Rows`."""
    later: dict[str, Rows] = {}

    def note(value: Any) -> str:
        if not isinstance(value, Rows):
            raise TypeError(f"{type(value)} is not JSON")
        later[value.mark] = value
        return value.mark

    text = json.dumps(document, default=note)
    for mark, rows in later.items():
        before, text = text.split(f'"{mark}"')
        yield before
        yield from _listed(rows.rows)
    yield f"{text}\n"


def _listed(rows: Iterable[Any]) -> Iterator[str]:
    comma = "[\n"
    for row in rows:
        yield comma + json.dumps(row)
        comma = ",\n"
    yield "[]" if comma == "[\n" else "\n]"
