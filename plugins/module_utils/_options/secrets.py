# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep secrets out of results, and controls of terminals out of messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._api.errors import AlpaconError, UsageError, clean, clean_line
from .._api.records import STATUSES
from .._api.settings import MIN_SECRET_LENGTH, REDACTED
from .connection import CONNECTION

#: Options whose whole values are secrets.
_SECRETS = ("token", "key", "registration_token")
#: Options that say where something is to run, and nothing of what.
_WHERE = frozenset((*CONNECTION, "servers", "server", "hosts", "ids", "run_after"))
#: What a result says in words and forms of its own, which may equal a value of O(env) by chance.
_OWN_WORDS = ("id", "server", "outcome", "start", "end", "delta")


def collect_secrets(options: Mapping[str, Any]) -> set[str]:
    """The texts that no result and no log may show, by the values of these options.

    The values of O(env) count whole and by line, with blanks around them and without, and as JSON, Python and shells
    write them.
    """
    hidden = {text for name in _SECRETS for text in _texts(options.get(name))}
    env = options.get("env")
    for value in _texts(env.values() if isinstance(env, Mapping) else env):
        for text in (value, *value.splitlines()):
            for form in (text, text.strip()):
                hidden |= {form, *_escaped(form)}
    return {text for text in hidden if len(text.strip()) >= MIN_SECRET_LENGTH}


def without_value(error: AlpaconError) -> AlpaconError:
    """The error of a task with C(no_log), without the value of an option that says what is to run."""
    if isinstance(error, UsageError) and error.option not in _WHERE:
        return UsageError(error.option, "what is wrong with it is not shown, since the task has no_log.", error.remedy)
    return error


def mask_secrets(value: Any, hidden: set[str]) -> Any:
    """A result with asterisks wherever one of these texts stands in it."""
    if isinstance(value, str):
        return _hide_in_text(value, hidden)
    if isinstance(value, Mapping):
        return {key: mask_secrets(item, hidden) for key, item in value.items()}
    return [mask_secrets(item, hidden) for item in value] if isinstance(value, (list, tuple)) else value


def _hide_in_text(text: str, hidden: set[str]) -> str:
    """A text with asterisks in the place of all that these texts cover, also where two of them overlap."""
    shown, end = [], 0
    for start, stop in sorted(_places(text, hidden)):
        if start >= end:
            shown += [text[end:start], REDACTED]
        end = max(end, stop)
    return "".join((*shown, text[end:])) if shown else text


def _places(text: str, hidden: set[str]) -> Iterator[tuple[int, int]]:
    for secret in hidden:
        start = text.find(secret)
        while start >= 0:
            yield start, start + len(secret)
            start = text.find(secret, start + 1)


def sanitize_result(result: Mapping[str, Any], hidden: set[str]) -> dict[str, Any]:
    """A task's result without secrets, whose messages no terminal obeys; outputs keep each of their bytes.

    The list of its commands is changed itself, one after the other, so that no more than one of them is held twice.
    """
    commands = result.get("commands")
    if not isinstance(commands, list):
        return _presentable(result, hidden)
    for place, command in enumerate(commands):
        commands[place] = _presentable(command, hidden)
    return {**_presentable({**result, "commands": None}, hidden), "commands": commands}


def _presentable(row: Mapping[str, Any], hidden: set[str]) -> dict[str, Any]:
    shown = mask_secrets(row, hidden)
    shown.update({key: row[key] for key in _OWN_WORDS if key in row})
    if row.get("status") in STATUSES:
        shown["status"] = row["status"]
    cleaned: dict[str, Any] = _with_clean_messages(shown)
    return cleaned


def _with_clean_messages(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_clean_messages(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    cleaned = {key: _with_clean_messages(item) for key, item in value.items()}
    for key in ("msg", "message", "error_phase"):
        if isinstance(cleaned.get(key), str):
            cleaned[key] = clean(cleaned[key])
    server = cleaned.get("server")
    if isinstance(server, dict) and isinstance(server.get("name"), str):
        cleaned["server"] = {**server, "name": clean_line(server["name"])}
    if isinstance(cleaned.get("warnings"), list):
        # Those of a module that ran elsewhere are objects of ansible-core.
        texts = cleaned["warnings"]
        cleaned["warnings"] = [clean_line(text) if isinstance(text, str) else text for text in texts]
    return cleaned


def _texts(value: Any) -> Iterator[str]:
    """The texts in an option, in whatever shape it is given."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, (str, int, float)):
        yield str(value)
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


#: What the echo of some shells makes of backslashes.
_ECHOED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def _escaped(text: str) -> Iterator[str]:
    """The text as languages and shells write it, and as they show it."""
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
    yield from re.sub(r"\\([abfnrtv\\])", lambda found: _ECHOED[found[1]], text).splitlines()
