# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as JSON: the report itself, a line for each record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.json, in pieces: the report itself, a line for each record."""
    comma = "{\n"
    for key, value in report.items():
        yield f"{comma}{json.dumps(key)}: "
        comma = ",\n"
        # With all but ASCII escaped, half a surrogate pair in an output breaks no reader.
        yield from _listed(value) if isinstance(value, list) and value else [json.dumps(value)]
    yield "\n}\n"


def _listed(rows: Sequence[Any]) -> Iterator[str]:
    comma = "[\n"
    for row in rows:
        yield comma + json.dumps(row)
        comma = ",\n"
    yield "\n]"
