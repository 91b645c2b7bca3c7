# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of any scanner that writes JSON: where in it they are, and what its words mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..results import MOST_RESULTS, UNKNOWN, NamedResult, ScannerError, severity_of

#: So many lines are tried as the beginning of the JSON.
_TRIED = 5
#: A line that begins as another document does. A line of a log may begin with a word in brackets.
_ANOTHER = re.compile(r"^[ \t]*(\{|\[\s*[{\"])", re.MULTILINE)


def read(output: str, options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the results at the path C(list)."""
    path = options.get("list") or ""
    rows = list(islice(_rows(read_json(output), path), MOST_RESULTS + 1))
    if not rows:
        raise ScannerError(f"The JSON has nothing at {path or 'its root'}.")
    return [_result(key, row, number, options) for number, (key, row) in enumerate(rows, start=1)]


def read_json(text: str) -> Any:
    """Return the JSON object or list in an output."""
    reason = "it has none"
    for start in islice(re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE), _TRIED):
        try:
            value, end = json.JSONDecoder().raw_decode(text, start.end() - 1)
        except ValueError as error:
            reason = str(error)
            continue
        if text[end:].partition("\n")[0].strip():
            continue
        if _ANOTHER.search(text, end):
            raise ScannerError("The output has more than one JSON document. Let the check print one.")
        return value
    raise ScannerError(f"The output is not JSON: {reason}.")


def entries(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ScannerError(f"The JSON has no list of {what}, each an object.")
    return value


def text_of(value: Any) -> str:
    """Return a value as a text: nothing for null, and JSON for a list or an object."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _rows(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the results at a path, and the key of each if they are the values of an object."""
    for found in _at(document, path):
        if isinstance(found, dict):
            yield from ((str(key), row) for key, row in found.items())
        elif isinstance(found, list):
            yield from (("", row) for row in found)


def _at(value: Any, path: str) -> Iterator[Any]:
    """Yield the values at a path of keys with dots between them; a list on the way stands for each of its entries."""
    if not path:
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _at(entry, path)
    elif isinstance(value, dict):
        key, _dot, rest = path.partition(".")
        if value.get(key) is not None:
            yield from _at(value[key], rest)


def _result(key: str, row: Any, number: int, options: Mapping[str, Any]) -> NamedResult:
    def texts(option: str) -> list[str]:
        path = options.get(option)
        wholes = _at(row, path) if path else ()
        return [text_of(one) for whole in wholes for one in (whole if isinstance(whole, list) else [whole])]

    def text(option: str) -> str:
        return "\n".join(filter(None, texts(option)))

    name = text("name") or key
    if not name:
        raise ScannerError(f"Result {number} has no name at {options.get('name') or 'its key'}.")
    word = text("outcome")
    outcome = options["words"].get(word.strip().casefold(), UNKNOWN)
    said = f"The scanner says {repr(word) if word else 'nothing at ' + options['outcome']}."
    return NamedResult(
        name,
        outcome,
        text("title"),
        text("rationale"),
        severity_of(text("severity")),
        text("remedy"),
        tuple(texts("references")),
        text("message") or (said if outcome == UNKNOWN else ""),
    )
