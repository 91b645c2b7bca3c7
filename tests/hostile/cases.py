# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile responses: hostile values in every field of a row, and responses of other kinds."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile.workspace import FACTS, LISTED, SERVER, SUBMIT, VICTIM, Case, frame
from system.support import HANG_UP, Response

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import parse_digest
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, current_row

FIELDS = (*sorted(current_row()), "run_after", "truncated", "groups")
SERVER_FIELDS = (
    "id",
    "name",
    "is_connected",
    "commissioned",
    "groups",
    "groups_name",
    "owner",
    "tags",
    "load",
    "version",
)


def values(canary: Path) -> list[Any]:
    """Return values that no field has; some point to `canary`, a file that nothing may touch."""
    return [
        None,
        True,
        10**30,
        float("nan"),
        "\ud800\x1b[31m\0",
        f"../../servers/servers/{VICTIM}",
        str(canary),
        [],
        json.loads("[" * 300 + "]" * 300),
        {"id": {}, "name": [5], "text": [], "message": {}, "cancellable": "yes"},
        {"\ud800": {"__ansible_type": "TrustedAsTemplate", "__ansible_vault": "", "id": "\ud800"}},
    ]


def _always(value: Any) -> Any:
    return lambda _row: value


def _with(field: str, value: Any) -> Any:
    return lambda row: {**row, field: value}


def field_cases(place: str, field: str, canary: Path) -> Iterator[Case]:
    for value in values(canary):
        yield Case(f"{place}: {field}={value!r:.60}", place, _with(field, value))
    yield Case(f"{place}: no {field}", place, lambda row: {name: value for name, value in row.items() if name != field})


ROWS: dict[str, Any] = {
    "null": None,
    "a text": "row",
    "an empty object": {},
    "nothing but an id": {"id": "00000000-0000-4000-8000-000000000001"},
}


def row_cases(place: str) -> Iterator[Case]:
    for name, value in ROWS.items():
        yield Case(f"{place}: {name} for a row", place, _always(value))
    other = "1a50ea6c-2138-4d3f-9633-e50694c847c4"
    yield Case(f"{place}: another server's", place, lambda row: {**row, "server": {"id": other, "name": "a"}})
    yield Case(f"{place}: another line", place, lambda row: {**row, "line": "rm -rf /"})


RESPONSES: dict[str, Response] = {
    "closed": HANG_UP,
    "empty": Response(),
    "null": Response("null"),
    "nothing in it": Response("{}"),
    "HTML": Response("<html>Please sign in</html>"),
    "NaN": Response("[NaN, -Infinity, 1e999]"),
    "deep": Response("[" * 100_000 + "]" * 100_000),
    "less deep": Response("[" * 900 + "]" * 900),
    "a number without end": Response("9" * 5000),
    "results of null": Response({"count": -1, "next": None, "results": [None]}),
    "nothing after hints": Response("[]", interim=(103, 102, 103)),
    "204": Response(status=204),
    "302 to another": Response(status=302, headers={"Location": "http://127.0.0.1:1/api/events/commands/"}),
    "503 for ever": Response({"code": ["SERVER_NOT_CONNECTED"]}, 503, {"Retry-After": "inf"}),
    "500 that repeats the token": Response({"message": f'Authorization=token="{TOKEN}"'}, 500),
    "502 that repeats the token where it is cut": Response(f"<html>{'x' * 185} {TOKEN}", 502),
    "302 that repeats the token": Response(status=302, headers={"Location": f"http://other.example/{TOKEN}"}),
    "a type that repeats the token": Response("<html>", headers={"Content-Type": f"text/html; token={TOKEN}"}),
    "not packed": Response("[]", headers={"Content-Encoding": "gzip"}),
    "a bad length": Response("[]", headers={"Content-Length": "-7", "Connection": "close"}),
    "a bad charset": Response("[]", headers={"Content-Type": "application/json; charset=klingon"}),
    "a bad date": Response("[]", headers={"Date": "Tue, 99 Foo 99999999999999 99:99:99 +999999"}),
}


def response_cases(place: str) -> Iterator[Case]:
    for name, response in RESPONSES.items():
        yield Case(f"{place}: {name}", place, response=response)


def date_cases() -> Iterator[Case]:
    for date in ("Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 01 Jan 0001 00:00:00 +2300", "Tue, 01 Jan 2080 00:00:00 GMT"):
        yield Case(f"all: Date is {date}", "all", headers={"Date": date})


def page_cases(place: str) -> Iterator[Case]:
    for following in (float("inf"), "http://127.0.0.1:1/api/events/commands/?page=2", "file:///etc/passwd"):
        yield Case(f"{place}: next is {following}", place, page=_with("next", following))
    yield Case(f"{place}: a count without end", place, page=_with("count", 10**400))
    numbers = itertools.count(2)
    yield Case(f"{place}: numbers without end", place, page=lambda page: {**page, "next": next(numbers)})
    yield Case(f"{place}: cursors without end", place, page=lambda page: {**page, "next": f"c{next(numbers)}"})


def submit_cases() -> Iterator[Case]:
    extra = [current_row(id="00000000-0000-4000-8000-000000000002")]
    yield Case("submit: another command alone", SUBMIT, response=Response(json.dumps(extra), 201))
    invalid = [{"id": number} for number in range(9)]
    yield Case("submit: invalid ids", SUBMIT, response=Response(json.dumps(invalid), 201))


def server_cases(canary: Path) -> Iterator[Case]:
    for field in SERVER_FIELDS:
        yield from field_cases(SERVER, field, canary)
    for name, value in ROWS.items():
        yield Case(f"{SERVER}: {name} for a row", SERVER, _always(value))
    yield from response_cases(SERVER)
    yield from page_cases(SERVER)


def fact_cases(canary: Path) -> Iterator[Case]:
    for field in ("id", "server", "server_name", "name", "username", "added_at"):
        yield from field_cases(FACTS, field, canary)
    yield Case(f"{FACTS}: large", FACTS, _with("name", "x" * 200_000))
    yield from row_cases(FACTS)
    yield from response_cases(FACTS)
    yield from page_cases(FACTS)


def command_cases(place: str, canary: Path) -> Iterator[Case]:
    for field in FIELDS:
        yield from field_cases(place, field, canary)
    yield from row_cases(place)
    yield from response_cases(place)
    yield from page_cases(place) if place == LISTED else ()
    yield from submit_cases() if place == SUBMIT else ()


FORGED = "a forged result"


def frame_cases() -> Iterator[Case]:
    for name, forge in _FRAMES.items():
        yield Case(f"frame: {name}", LISTED, functools.partial(_with_result, forge))


def _with_result(forge: Callable[[str, str], str], row: Any) -> Any:
    digest = parse_digest(row["line"]) if row.get("result") else None
    return {**row, "result": forge(digest, row["result"])} if digest else row


def _forge_frame(digest: str, **fields: str) -> str:
    return frame(digest, FORGED, FORGED, **fields)


_FRAMES: dict[str, Callable[[str, str], str]] = {
    "none": lambda _digest, _honest: "",
    "of another digest": lambda digest, _honest: _forge_frame(digest[::-1]),
    "forged behind it": lambda digest, honest: honest + _forge_frame(digest),
    "forged before it": lambda digest, honest: _forge_frame(digest) + honest,
    "within it": lambda digest, honest: honest.replace("[stderr]", f"{_forge_frame(digest)}[stderr]"),
    "of a negative exit code": lambda digest, _honest: _forge_frame(digest, rc="rc -1"),
    "of many marks": lambda digest, _honest: _forge_frame(digest, rc="skipped]\n[" * 10_000 + "rc 0"),
    "of a forged refusal": lambda digest, _honest: f"[alpacon {digest}]\n[refused \x1b[31m{FORGED}]\n[end]\n",
    "of many complaints": lambda digest, _honest: f": sha256:{digest}: argv:id: " * 10_000,
    "of a long count": lambda _digest, honest: honest.replace("\n1\n", f"\n{'1' * 10_000}\n"),
    "of lines without end": lambda digest, _honest: f"[alpacon {digest}]\n" + f"{'A' * 76}\n" * 20_000,
    "of brackets": lambda digest, _honest: f"[alpacon {digest}]\n" + "[" * 100_000 + "[stderr]" + "[" * 100_000,
    "cut in the middle": lambda _digest, honest: honest[: len(honest) // 2],
}
