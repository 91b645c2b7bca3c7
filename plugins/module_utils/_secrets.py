# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Keep secrets out of results, and controls of terminals out of messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._errors import clean, clean_line

#: A shorter value of O(env) is no secret, and hiding it would hide half of every output.
_SHORTEST_SECRET = 4
#: Options whose whole values are secrets.
_SECRETS = ("token", "key", "registration_token")
HIDDEN = "********"


def secrets(options: Mapping[str, Any]) -> set[str]:
    """The texts that no result and no log may show, by the values of these options.

    The values of O(env) count whole and by line, with blanks around them and without, and as JSON and Python write
    them.
    """
    hidden = {text for name in _SECRETS for text in _texts(options.get(name))}
    env = options.get("env")
    for value in _texts(env.values() if isinstance(env, Mapping) else env):
        for text in (value, *value.splitlines()):
            for form in (text, text.strip()):
                hidden |= {form, *_escaped(form)}
    return {text for text in hidden if len(text.strip()) >= _SHORTEST_SECRET}


def hide(value: Any, hidden: set[str]) -> Any:
    """A result with asterisks wherever one of these texts stands in it."""
    if isinstance(value, str):
        for text in sorted(hidden, key=len, reverse=True):
            value = value.replace(text, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {key: hide(item, hidden) for key, item in value.items()}
    return [hide(item, hidden) for item in value] if isinstance(value, (list, tuple)) else value


def presentable(result: Mapping[str, Any], hidden: set[str]) -> dict[str, Any]:
    """A task's result without secrets, whose messages no terminal obeys; outputs keep each of their bytes."""
    shown: dict[str, Any] = _with_clean_messages(hide(result, hidden))
    return shown


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
        cleaned["warnings"] = [clean_line(text) for text in cleaned["warnings"]]
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


def _escaped(text: str) -> Iterator[str]:
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
