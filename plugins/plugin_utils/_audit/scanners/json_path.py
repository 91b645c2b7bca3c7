# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of any scanner that writes JSON: where in it they are, and what its words mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..verdict import UNKNOWN
from .results import MOST_RESULTS, NamedResult, ScannerError, missing, severity_of

#: Options that say where in a result its texts are.
TEXTS = ("title", "rationale", "remedy", "message")
#: So many lines are tried as the beginning of the JSON.
_TRIED = 5
#: What follows a document on its last line, but for blanks.
_REST = re.compile(r"[ \t]*(\S?)")
#: A line that begins as an object does.
_LINE = re.compile(r"^[ \t]*(\{.*)$", re.MULTILINE)


def read(output: str, options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the results at the path C(list) of one document, or of many, each on a line of its own."""
    return read_beginning(output, options) or _results(read_json(output), options)


def read_beginning(output: str, options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the results of an output of many documents: one alone cannot be read unless it is whole."""
    lines, torn = _read_lines(output)
    found = _results(lines, options) if lines else []
    return [*found, missing(f"{torn} lines begin as JSON does, and are not JSON.")] if torn else found


def read_json(text: str) -> Any:
    """Return the first JSON object or list in an output."""
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


def _read_lines(text: str) -> tuple[list[Any], int]:
    """Return the objects of an output with one on each line, and how many lines are torn.

    There is no object if there is one such line, or the first is torn: then the output is one document.
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
    """Return a list of objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ScannerError(f"The JSON has no list of {what}, each an object.")
    return value


def text_of(value: Any) -> str:
    """Return a value as a text: nothing for null, and JSON for a list or an object."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _results(document: Any, options: Mapping[str, Any]) -> list[NamedResult]:
    path = options.get("list") or ""
    rows = list(islice(_rows(document, path), MOST_RESULTS + 1))
    if not rows:
        raise ScannerError(f"The JSON has nothing at {path or 'its root'}.")
    if len(rows) > MOST_RESULTS:
        raise ScannerError(f"The JSON has more than {MOST_RESULTS:,} results.")
    means = {word.casefold(): outcome for outcome, words in options["words"].items() for word in words}
    return [_result(key, row, number, options, means) for number, (key, row) in enumerate(rows, start=1)]


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


def _result(key: str, row: Any, number: int, options: Mapping[str, Any], means: Mapping[str, str]) -> NamedResult:
    name = _text(row, options.get("name")) or key
    if not name:
        raise ScannerError(f"Result {number} has no name at {options.get('name') or 'its key'}.")
    word = _text(row, options["outcome"])
    outcome = means.get(word.strip().casefold(), UNKNOWN)
    texts = {text: _text(row, options.get(text)) for text in TEXTS}
    if outcome == UNKNOWN and not texts["message"]:
        said = f"'{word}'" if word else f"nothing at {options['outcome']}"
        texts["message"] = f"The scanner says {said}."
    severity = severity_of(_text(row, options.get("severity")))
    return NamedResult(
        name, outcome, **texts, severity=severity, references=tuple(_texts(row, options.get("references")))
    )


def _texts(row: Any, path: str | None) -> list[str]:
    wholes = _at(row, path) if path else ()
    return [text_of(one) for whole in wholes for one in (whole if isinstance(whole, list) else [whole])]


def _text(row: Any, path: str | None) -> str:
    return "\n".join(filter(None, _texts(row, path)))
