# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shapes of exchanges: routes, statuses and, for each field of the JSON, its path, type and format.

A shape has no values, except the codes of errors.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_ROUTE_WORD = re.compile(r"-|_?[a-z][a-z_-]{0,30}")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_URL = re.compile(r"(https?|wss?)://\S+")
#: Objects whose keys users choose.
_MAPS = frozenset({"tags", "labels", "env", "metadata", "annotations"})


@dataclass
class Shape:
    """The shape of the bodies that one route sent with one status.

    Attributes:
        objects: number of objects by path.
        fields: number of values by path, and the types of each.
    """

    objects: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    media_types: set[str] = field(default_factory=set)

    def add(self, value: Any, is_error: bool) -> None:
        self._add(value, "", is_error)

    def is_optional(self, path: str) -> bool:
        """Return True if some of the objects do not have this field."""
        return self.fields[path].total() < self.objects[get_parent(path)]

    def _add(self, value: Any, path: str, is_error: bool) -> None:
        self.fields[path][describe_type(value, path, is_error)] += 1
        if isinstance(value, list):
            for item in value:
                self._add(item, f"{path}[]", is_error)
        elif isinstance(value, dict):
            self.objects[path] += 1
            is_map = path.rpartition(".")[2] in _MAPS
            for key, item in value.items():
                name = key if _KEY.fullmatch(key) and not is_map else "*"
                self._add(item, f"{path}.{name}" if path else name, is_error)


def get_parent(path: str) -> str:
    """Return the path of the object or list that has this field."""
    return path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]


def describe_type(value: Any, path: str, is_error: bool) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return _describe_text(value, is_error and path.rpartition(".")[2] == "code")
    names = {bool: "boolean", int: "integer", float: "number", list: "list"}
    return names.get(type(value), "object")


def _describe_text(text: str, is_code: bool) -> str:
    if is_code and _CODE.fullmatch(text):
        return f"code {text}"
    for name, pattern in (("UUID", _UUID), ("URL", _URL)):
        if pattern.fullmatch(text):
            return name
    if time := _TIME.fullmatch(text):
        return "time with zone" if time[2] else "time without zone"
    return "string" if text else "empty string"


class Recording:
    """The shapes of all exchanges, by route and status."""

    def __init__(self) -> None:
        self.routes: dict[str, dict[int, Shape]] = defaultdict(lambda: defaultdict(Shape))
        self._lock = threading.Lock()

    def add(self, method: str, url: str, status: int, media_type: str, content: bytes) -> None:
        """Add an exchange.

        Args:
            media_type: header Content-Type of the response, with its parameters or without.
        """
        try:
            value, is_json = json.loads(content), True
        except (RecursionError, ValueError):
            value, is_json = None, False
        with self._lock:
            shape = self.routes[get_route(method, url)][status]
            if content:
                shape.media_types.add(media_type.partition(";")[0].strip().lower())
            if is_json:
                shape.add(value, status >= 400)

    def describe(self) -> dict[str, Any]:
        """Return the shapes as JSON data."""
        return {
            route: {
                str(status): {path: sorted(types) for path, types in sorted(shape.fields.items())}
                for status, shape in sorted(statuses.items())
            }
            for route, statuses in sorted(self.routes.items())
        }


def get_route(method: str, url: str) -> str:
    """Return the method and the path, with {id} in place of what is not a word of the API."""
    words = urlsplit(url).path.split("/")
    return f"{method} " + "/".join(word if not word or _ROUTE_WORD.fullmatch(word) else "{id}" for word in words)
