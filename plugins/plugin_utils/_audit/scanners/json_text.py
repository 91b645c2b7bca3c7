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

from .results import MOST_RESULTS, ScannerError

#: So many lines are tried as the beginning of the JSON.
_TRIED = 5
#: What stands on the line behind it, but for blanks.
_REST = re.compile(r"[ \t]*(\S?)")
#: A line that begins as an object does.
_LINE = re.compile(r"^[ \t]*(\{.*)$", re.MULTILINE)


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
    raise ScannerError(f"The output is not JSON: {reason}.")


def read_json_lines(text: str) -> tuple[list[Any], int]:
    """The objects of an output that has one on each line, and how many lines begin as one and are none.

    Returns:
        No object where there is one such line, or the first is none that is whole: then the output is one document.

    Raises:
        ScannerError: there are more than anybody reads.
    """
    objects: list[Any] = []
    seen = 0
    for seen, line in enumerate(_LINE.finditer(text), start=1):
        try:
            objects.append(json.loads(line[1]))
        except ValueError:
            if not objects:
                return [], 0
        if seen > MOST_RESULTS:
            raise ScannerError(f"The output has more than {MOST_RESULTS:,} lines of JSON.")
    return (objects, seen - len(objects)) if seen > 1 else ([], 0)


def entries(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects.

    Args:
        what: what it is a list of, for the error.

    Raises:
        ScannerError: it is not a list, or has something else in it.
    """
    if not isinstance(value, list):
        raise ScannerError(f"The JSON has no list of {what}.")
    for number, entry in enumerate(value, start=1):
        if not isinstance(entry, dict):
            raise ScannerError(f"Number {number} of the list of {what} is not an object.")
    return value


def text_of(value: Any) -> str:
    """A value as a text; nothing for null, and JSON for what is no single value."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
