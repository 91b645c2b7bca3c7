# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""JSON of scanners, which may stand among other output."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

from .results import ScannerError

#: So many lines are tried as the beginning of the JSON.
_TRIED = 5
#: What stands on the line behind it, but for blanks.
_REST = re.compile(r"[ \t]*(\S?)")


def read_json(text: str) -> Any:
    """The first JSON object or list in an output.

    Raises:
        ScannerError: there is none.
    """
    reason = "it has none"
    for start in islice(re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE), _TRIED):
        try:
            value, end = json.JSONDecoder().raw_decode(text, start.end() - 1)
        except ValueError as error:
            reason = str(error)
            continue
        # A line of a log may begin as a list does.
        rest = _REST.match(text, end)
        if rest is None or not rest[1]:
            return value
    raise ScannerError(f"The output is no JSON: {reason}.")


def entries(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects.

    Args:
        what: what it is a list of, for the error.

    Raises:
        ScannerError: it is no list, or has something else in it.
    """
    if not isinstance(value, list):
        raise ScannerError(f"The JSON has no list of {what}.")
    for number, entry in enumerate(value, start=1):
        if not isinstance(entry, dict):
            raise ScannerError(f"Number {number} of the list of {what} is no object.")
    return value


def text_of(value: Any) -> str:
    """A value as a text; nothing for null, and JSON for what is no single value."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
