# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as JSON: the report itself, a line for each record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def render(report: Mapping[str, Any]) -> str:
    """The text of audit.json."""
    entries = (f"{json.dumps(key)}: {_value(value)}" for key, value in report.items())
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _value(value: Any) -> str:
    # With all but ASCII escaped, half a surrogate pair in an output breaks no reader.
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]"
