# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as JSON: the report itself, a line for each record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.json, in pieces."""
    comma = "{\n"
    for key, value in report.items():
        yield f"{comma}{json.dumps(key)}: "
        comma = ",\n"
        # With all but ASCII escaped, half a surrogate pair in an output breaks no reader.
        if not isinstance(value, list) or not value:
            yield json.dumps(value)
            continue
        for number, row in enumerate(value):
            yield ("[\n" if not number else ",\n") + json.dumps(row)
        yield "\n]"
    yield "\n}\n"
