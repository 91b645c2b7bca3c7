# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mask secrets in results, and escape terminal controls in messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._api.errors import AlpaconError, UsageError, clean, clean_line
from .._api.records import STATUSES
from .._api.settings import MIN_SECRET_LENGTH, REDACTED
from .connection import CONNECTION

#: Options that name the target of a task. Errors show their values despite no_log.
_TARGET_OPTIONS = frozenset((*CONNECTION, "servers", "server", "hosts", "groups", "ids", "run_after"))
#: Keys of results whose values the collection makes; one may equal a value of O(env) by chance.
_UNMASKED_KEYS = ("id", "server", "outcome", "start", "end", "delta")


def collect_secrets(options: Mapping[str, Any]) -> set[str]:
    """Return the texts that no result and no log may show.

    Each value of O(env) is a secret, and so is each of its lines: as given, stripped, and as JSON, Python and shells
    write it.
    """
    hidden = {text for name in ("token", "key", "registration_token") for text in _texts(options.get(name))}
    for value in _texts(options.get("env")):
        for line in (value, *value.splitlines()):
            for text in (line, line.strip()):
                hidden |= {text, *_escape(text)}
    return {text for text in hidden if len(text.strip()) >= MIN_SECRET_LENGTH}


def redact_error(error: AlpaconError) -> AlpaconError:
    """Return the error of a task with C(no_log) without the value of the wrong option."""
    if isinstance(error, UsageError) and error.option not in _TARGET_OPTIONS:
        return UsageError(error.option, "the problem is not shown, since the task has no_log.", error.remedy)
    return error


def mask_secrets(value: Any, hidden: set[str]) -> Any:
    """Replace secrets by asterisks wherever they occur in a result, also if they overlap."""
    # Many values of a large report; to ask whether they are a Mapping takes much longer.
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return _mask_text(value, hidden) if any(map(value.__contains__, hidden)) else value
    if isinstance(value, Mapping):
        return {key: mask_secrets(item, hidden) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_secrets(item, hidden) for item in value]
    return value


def _mask_text(value: str, hidden: set[str]) -> str:
    shown, end = [], 0
    for start, stop in sorted(_find_all(value, hidden)):
        if start >= end:
            shown += [value[end:start], REDACTED]
        end = max(end, stop)
    return "".join((*shown, value[end:]))


def mask_records(value: dict[str, Any], hidden: set[str]) -> None:
    """Mask secrets in a dictionary, in place, so that its long lists are never in memory twice."""
    for key, item in value.items():
        if isinstance(item, list):
            for number, row in enumerate(item):
                item[number] = mask_secrets(row, hidden)
        else:
            value[key] = mask_secrets(item, hidden)


class StreamMask:
    """Mask secrets in a text that arrives in parts, also where two parts divide a secret."""

    def __init__(self, hidden: set[str]) -> None:
        self._hidden = hidden
        self._longest = max(map(len, hidden), default=0)
        self._held = ""

    def add(self, text: str, is_end: bool = False) -> str:
        """Return the text so far, except for an end that may be the start of a secret."""
        text = self._held + text
        found = sorted(_find_all(text, self._hidden), reverse=True)
        cut = end = len(text) if is_end else self._find_start(text)
        for start, stop in found:
            if start < cut < stop:
                cut = start
        shown = str(mask_secrets(text[:cut], self._hidden))
        if len(text) - cut > 4 * self._longest:
            # Many secrets in a row that overlap: keep the one that reaches furthest.
            _stop, cut = max((stop, start) for start, stop in found if start < end < stop)
            shown += REDACTED
        self._held = text[cut:]
        return shown

    def drop(self) -> None:
        self._held = ""

    def _find_start(self, text: str) -> int:
        """Return where the text has an end that is the start of a secret, or its length."""
        first = len(text)
        for secret in self._hidden:
            begin, least = secret[:MIN_SECRET_LENGTH], max(0, len(text) - len(secret) + 1)
            place = text.find(begin, least)
            while 0 <= place < first and not secret.startswith(text[place:]):
                place = text.find(begin, place + 1)
            if place < 0:
                ends = range(max(least, len(text) - len(begin) + 1), len(text))
                place = next((end for end in ends if begin.startswith(text[end:])), first)
            first = min(first, place)
        return first


def _find_all(text: str, hidden: set[str]) -> Iterator[tuple[int, int]]:
    for secret in hidden:
        start = text.find(secret)
        while start >= 0:
            yield start, start + len(secret)
            start = text.find(secret, start + 1)


def sanitize_result(result: Mapping[str, Any], hidden: set[str]) -> dict[str, Any]:
    """Mask secrets in a result and escape terminal controls in its messages, but not in outputs.

    The list C(commands) is changed in place, so that all outputs are never in memory twice.
    """
    commands = result.get("commands")
    if not isinstance(commands, list):
        return _sanitize_row(result, hidden)
    for number, command in enumerate(commands):
        commands[number] = _sanitize_row(command, hidden)
    return {**_sanitize_row({**result, "commands": None}, hidden), "commands": commands}


def _sanitize_row(row: Mapping[str, Any], hidden: set[str]) -> dict[str, Any]:
    shown = mask_secrets(row, hidden)
    shown.update({key: row[key] for key in _UNMASKED_KEYS if key in row})
    if row.get("status") in STATUSES:
        shown["status"] = row["status"]
    return dict(_clean_messages(shown))


def _clean_messages(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean_messages(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    cleaned = {key: _clean_messages(item) for key, item in value.items()}
    for key in ("msg", "message", "error_phase"):
        if isinstance(cleaned.get(key), str):
            cleaned[key] = clean(cleaned[key])
    server = cleaned.get("server")
    if isinstance(server, dict) and isinstance(server.get("name"), str):
        cleaned["server"] = {**server, "name": clean_line(server["name"])}
    if isinstance(cleaned.get("warnings"), list):
        # A module on another host returns objects of ansible-core.
        cleaned["warnings"] = [clean_line(text) if isinstance(text, str) else text for text in cleaned["warnings"]]
    return cleaned


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, (str, int, float)):
        yield str(value)
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


#: Sequences that echo of some shells expands.
_ECHO_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def _escape(text: str) -> Iterator[str]:
    """Yield the text as JSON, Python, Go and shells write it."""
    yield ascii(text)[1:-1]
    yield repr(text)[1:-1]
    for written in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield written
        yield written.replace("/", "\\/")
        yield re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", written)  # Go
    for quote in ("'\\''", "'\"'\"'"):
        yield text.replace("'", quote)
    yield re.sub(r'([$`"\\])', r"\\\1", text)
    yield re.sub(r"([^\w@%+=:,./\n-])", r"\\\1", text)
    yield from re.sub(r"\\([abfnrtv\\])", lambda found: _ECHO_ESCAPES[found[1]], text).splitlines()
