# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of any scanner that writes JSON: where in it they are, and what its words mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..verdict import UNKNOWN
from .json_text import read_json, read_json_lines, text_of
from .results import MOST_RESULTS, NamedResult, ScannerError, missing, severity_of

#: Options that say where in a result its texts are.
TEXTS = ("title", "rationale", "remedy", "message")


def read(output: str, options: Mapping[str, Any]) -> list[NamedResult]:
    """The results at the path ``list`` of an output, which may be one document or many, each on a line of its own.

    Raises:
        ScannerError: there are none, or one has no name.
    """
    return read_beginning(output, options) or _results(read_json(output), options)


def read_beginning(output: str, options: Mapping[str, Any]) -> list[NamedResult]:
    """The results of an output of many documents: one alone cannot be read unless it is whole."""
    lines, torn = read_json_lines(output)
    found = _results(lines, options) if lines else []
    return [*found, missing(f"{torn} of the lines begin as JSON does, and are none.")] if torn else found


def _results(document: Any, options: Mapping[str, Any]) -> list[NamedResult]:
    rows = list(_rows(document, options.get("list") or ""))
    if not rows:
        raise ScannerError(f"The JSON has nothing at {options.get('list') or 'its root'}.")
    means = {word.casefold(): outcome for outcome, words in options["words"].items() for word in words}
    return [_result(key, row, number, options, means) for number, (key, row) in enumerate(rows, start=1)]


def _rows(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The results at a path, and the key of each where they are the values of an object."""
    for count, (key, row) in enumerate(_items(document, path)):
        if count > MOST_RESULTS:
            raise ScannerError(f"The JSON has more than {MOST_RESULTS:,} results.")
        yield key, row


def _items(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    for found in _wholes(document, path):
        if isinstance(found, dict):
            yield from ((str(key), row) for key, row in found.items())
        elif isinstance(found, list):
            yield from (("", row) for row in found)


def at(value: Any, path: str) -> Iterator[Any]:
    """What is at a path of keys with dots between them; a list on the way stands for each of its entries."""
    for whole in _wholes(value, path):
        yield from whole if isinstance(whole, list) else [whole]


def _wholes(value: Any, path: str) -> Iterator[Any]:
    """What is at a path, a list at its end as the list that it is."""
    if not path:
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _wholes(entry, path)
    elif isinstance(value, dict):
        key, _dot, rest = path.partition(".")
        if value.get(key) is not None:
            yield from _wholes(value[key], rest)


def _result(key: str, row: Any, number: int, options: Mapping[str, Any], means: Mapping[str, str]) -> NamedResult:
    name = _text(row, options.get("name")) or key
    if not name:
        raise ScannerError(f"Result {number} has no name at {options.get('name') or 'its key'}.")
    word = _text(row, options["outcome"])
    outcome = means.get(word.strip().casefold(), UNKNOWN)
    texts = {text: _text(row, options.get(text)) for text in TEXTS}
    if outcome == UNKNOWN and not texts["message"]:
        texts["message"] = (
            f"The scanner says '{word}'." if word else f"The scanner says nothing at {options['outcome']}."
        )
    references = [text_of(found) for found in at(row, options["references"])] if options.get("references") else []
    severity = severity_of(_text(row, options.get("severity")))
    return NamedResult(name, outcome, **texts, severity=severity, references=tuple(references))


def _text(row: Any, path: str | None) -> str:
    return "\n".join(filter(None, map(text_of, at(row, path)))) if path else ""
