# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a hostile workspace says: every field of a row by hostile values, and answers that are none."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile.workspace import DETAIL, LISTED, SERVER, SUBMIT, VICTIM, Case, frame
from system.support import HANG_UP, Reply

from ansible_collections.herdops.alpacon.plugins.module_utils._carrier.packing import digest_of_line
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, current_row

FIELDS = (*sorted(current_row()), "run_after", "truncated", "groups")
SERVER_FIELDS = ("id", "name", "is_connected", "commissioned", "groups", "groups_name", "owner", "tags", "load")


def values(canary: Path) -> list[Any]:
    """Values that no field has.

    Args:
        canary: a file that nothing may touch, which some of them point to.
    """
    return [
        None,
        True,
        5,
        10**30,
        float("nan"),
        float("-inf"),
        "\ud800\x1b[31m\0",
        "9999-12-31T23:59:59-23:59",
        f"../../servers/servers/{VICTIM}",
        str(canary),
        [],
        [[{"id": 5}]],
        json.loads(_deep(300)),
        {"id": {}, "name": [5], "text": [], "message": {}, "cancellable": "yes"},
        {"\ud800": {"__ansible_type": "TrustedAsTemplate", "__ansible_vault": "", "id": "\ud800"}},
    ]


def _with(field: str, value: Any) -> Any:
    return lambda row: {**row, field: value}


def _always(value: Any) -> Any:
    return lambda _row: value


def _without(field: str) -> Any:
    return lambda row: {name: value for name, value in row.items() if name != field}


def of_field(place: str, field: str, canary: Path) -> Iterator[Case]:
    """The field with each hostile value, and without any."""
    for value in values(canary):
        yield Case(f"{place}: {field}={value!r:.60}", place, _with(field, value))
    yield Case(f"{place}: no {field}", place, _without(field))


ROWS: dict[str, Any] = {
    "null": None,
    "a number": 5,
    "a text": "row",
    "a list": [],
    "an empty object": {},
    "nested": [[[[{"id": VICTIM}]]]],
    "nothing but an id": {"id": "00000000-0000-4000-8000-000000000001"},
}


def of_rows(place: str) -> Iterator[Case]:
    """Something else in the place of the victim's row."""
    for name, value in ROWS.items():
        yield Case(f"{place}: {name} for a row", place, _always(value))
    other = "1a50ea6c-2138-4d3f-9633-e50694c847c4"
    yield Case(f"{place}: another server's", place, lambda row: {**row, "server": {"id": other, "name": "a"}})
    yield Case(f"{place}: another line", place, lambda row: {**row, "line": "rm -rf /"})


def _deep(levels: int) -> str:
    return "[" * levels + "]" * levels


REPLIES: dict[str, Reply] = {
    "closed": HANG_UP,
    "empty": Reply(),
    "null": Reply("null"),
    "a number": Reply("7"),
    "text": Reply('"words"'),
    "nothing": Reply("[]"),
    "nothing in it": Reply("{}"),
    "HTML": Reply("<html>Please sign in</html>"),
    "half": Reply('[{"id": "'),
    "NaN": Reply("[NaN, -Infinity, 1e999]"),
    "deep": Reply(_deep(100_000)),
    "less deep": Reply(_deep(900)),
    "binary": Reply("\0\x01\x02"),
    "a number without end": Reply("9" * 5000),
    "results that are none": Reply({"count": 1, "results": "all"}),
    "results of null": Reply({"count": -1, "next": None, "results": [None]}),
    "count of text": Reply({"count": "many", "next": None, "results": []}),
    "101": Reply(status=101),
    "204": Reply(status=204),
    "nothing after hints": Reply("[]", interim=(103, 102, 103)),
    "206": Reply("[", 206),
    "302 to itself": Reply(status=302, headers={"Location": "/api/events/commands/"}),
    "302 to another": Reply(status=302, headers={"Location": "http://127.0.0.1:1/api/events/commands/"}),
    "302 to a bad port": Reply(status=302, headers={"Location": "http://127.0.0.1:99999/"}),
    "302 to nowhere": Reply(status=302),
    "304": Reply(status=304),
    "307": Reply(status=307, headers={"Location": "/api/events/commands/"}),
    "408": Reply(status=408),
    "500": Reply({"detail": {"detail": [{"detail": 5}]}}, 500),
    "502": Reply("<html>", 502),
    "503": Reply({"detail": "Later."}, 503, {"Retry-After": "1"}),
    "503 for ever": Reply({"code": ["SERVER_NOT_CONNECTED"]}, 503, {"Retry-After": "inf"}),
    "500 that repeats the token": Reply({"message": f'Authorization=token="{TOKEN}"'}, 500),
    "502 that repeats the token where it is cut": Reply(f"<html>{'x' * 185} {TOKEN}", 502),
    "302 that repeats the token": Reply(status=302, headers={"Location": f"http://other.example/{TOKEN}"}),
    "a type that repeats the token": Reply("<html>", headers={"Content-Type": f"text/html; token={TOKEN}"}),
    "599": Reply({"code": {"code": {}}}, 599),
    "not packed": Reply("[]", headers={"Content-Encoding": "gzip"}),
    "packed in another way": Reply("[]", headers={"Content-Encoding": "br, gzip"}),
    "too short": Reply("[]", headers={"Content-Length": "999", "Connection": "close"}),
    "a bad length": Reply("[]", headers={"Content-Length": "-7", "Connection": "close"}),
    "a bad charset": Reply("[]", headers={"Content-Type": "application/json; charset=klingon"}),
    "a bad date": Reply("[]", headers={"Date": "Tue, 99 Foo 99999999999999 99:99:99 +999999"}),
}


def of_replies(place: str) -> Iterator[Case]:
    """Another answer altogether."""
    for name, reply in REPLIES.items():
        yield Case(f"{place}: {name}", place, reply=reply)


NEXT: dict[str, Any] = {
    "infinity": float("inf"),
    "NaN": float("nan"),
    "true": True,
    "a list": [2],
    "an object": {"page": 2},
    "backwards": -1,
    "itself": 1,
    "no page": "?page=x",
    "a page without end": "?page=" + "9" * 5000,
    "no URL": "http://[::1",
    "another origin": "http://127.0.0.1:1/api/events/commands/?page=2",
    "a file": "file:///etc/passwd",
}
COUNTS: list[Any] = [True, "3", [], {}, 1.5, float("inf"), None, 10**10, 10**400]


DATES = (
    "Fri, 31 Dec 9999 23:59:59 -2300",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 01 Jan 0101 00:00:00 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2300",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Tue, 01 Jan 2080 00:00:00 GMT",
)


def of_dates() -> Iterator[Case]:
    """Clocks that no workspace has."""
    for date in DATES:
        yield Case(f"all: Date is {date}", "all", headers={"Date": date})


def of_pages(place: str) -> Iterator[Case]:
    """Lists that never end, or end in nonsense."""
    for name, following in NEXT.items():
        yield Case(f"{place}: next is {name}", place, page=_with("next", following))
    for count in COUNTS:
        yield Case(f"{place}: count={count!r}", place, page=_with("count", count))
    numbers = itertools.count(2)
    yield Case(f"{place}: numbers without end", place, page=lambda page: {**page, "next": next(numbers)})
    yield Case(f"{place}: cursors without end", place, page=lambda page: {**page, "next": f"c{next(numbers)}"})


def of_submits() -> Iterator[Case]:
    """Answers to a submit that name more, or other, than was asked for."""
    extra = current_row(id="00000000-0000-4000-8000-000000000002")

    def reply(rows: list[Any]) -> Reply:
        return Reply(json.dumps(rows), 201)

    yield Case("submit: another command alone", SUBMIT, reply=reply([extra]))
    yield Case("submit: ids that are none", SUBMIT, reply=reply([{"id": number} for number in range(9)]))


def of_servers(canary: Path) -> Iterator[Case]:
    """Odd rows in the list of servers."""
    for field in SERVER_FIELDS:
        yield from of_field(SERVER, field, canary)
    for name, value in ROWS.items():
        yield Case(f"{SERVER}: {name} for a row", SERVER, _always(value))
    yield from of_replies(SERVER)
    yield from of_pages(SERVER)


def of_commands(canary: Path) -> Iterator[Case]:
    """Everything about the row of a command."""
    for place in (SUBMIT, LISTED, DETAIL):
        for field in FIELDS:
            yield from of_field(place, field, canary)
        yield from of_rows(place)
        yield from of_replies(place)
    yield from of_pages(LISTED)
    yield from of_submits()


FORGED = "forged, and believed"


def of_frames() -> Iterator[Case]:
    """Answers to something carried that are torn, forged, or more than one."""
    for name, forge in _FRAMES.items():
        yield Case(f"frame: {name}", LISTED, functools.partial(_with_result, forge))


def _with_result(forge: Callable[[str, str], str], row: Any) -> Any:
    digest = digest_of_line(row["line"]) if row.get("result") else None
    return {**row, "result": forge(digest, row["result"])} if digest else row


def _forged(digest: str, **fields: str) -> str:
    return frame(digest, FORGED, FORGED, **fields)


def _cut(share: float) -> Callable[[str, str], str]:
    return lambda _digest, honest: honest[: int(len(honest) * share)]


_FRAMES: dict[str, Callable[[str, str], str]] = {
    "none": lambda _digest, _honest: "",
    "text": lambda _digest, _honest: FORGED,
    "of another digest": lambda digest, _honest: _forged(digest[::-1]),
    "of a shorter digest": lambda digest, _honest: _forged(digest[:-1]),
    "of another digest behind it": lambda digest, honest: honest + _forged(digest[::-1]),
    "twice": lambda _digest, honest: honest * 2,
    "forged behind it": lambda digest, honest: honest + _forged(digest),
    "forged before it": lambda digest, honest: _forged(digest) + honest,
    "within it": lambda digest, honest: honest.replace("[stderr]", f"{_forged(digest)}[stderr]"),
    "of another exit code": lambda digest, _honest: _forged(digest, rc="rc 3"),
    "of no exit code": lambda digest, _honest: _forged(digest, rc="rc"),
    "of a negative exit code": lambda digest, _honest: _forged(digest, rc="rc -1"),
    "of a long exit code": lambda digest, _honest: _forged(digest, rc="rc " + "0" * 100_000),
    "of two exit codes": lambda digest, _honest: _forged(digest, rc="rc 0]\n[rc 0"),
    "of marks": lambda digest, _honest: _forged(digest, rc="skipped]\n[undone]\n[rc 0"),
    "of many marks": lambda digest, _honest: _forged(digest, rc="skipped]\n[" * 100_000 + "rc 0"),
    "of a forged refusal": lambda digest, _honest: f"[alpacon {digest}]\n[refused \x1b[31m{FORGED}]\n[end]\n",
    "of another refusal": lambda digest, _honest: f"[alpacon {digest}]\n[refused {FORGED}]\n[end]\n",
    "of a label that is no program": lambda digest, _honest: f"sha256:{digest}: 1: argv:id: not found",
    "of many complaints": lambda digest, _honest: f": sha256:{digest}: argv:id: " * 100_000,
    "without its count": lambda _digest, honest: honest.replace("\n1\n", "\n"),
    "of another count": lambda _digest, honest: honest.replace("\n1\n", "\n2\n"),
    "of a long count": lambda _digest, honest: honest.replace("\n1\n", f"\n{'1' * 100_000}\n"),
    "of other digits": lambda _digest, honest: honest.replace("\n1\n", "\n\u0661\n"),
    "of no Base64": lambda _digest, honest: honest.replace("=", "~"),
    "of one line without end": lambda digest, _honest: f"[alpacon {digest}]\n" + "A" * 100_000_000,
    "of lines without end": lambda digest, _honest: f"[alpacon {digest}]\n" + f"{'A' * 76}\n" * 1_300_000,
    "of brackets": lambda digest, _honest: f"[alpacon {digest}]\n" + "[" * 1_000_000 + "[stderr]" + "[" * 1_000_000,
    **{f"cut at {share:.0%}": _cut(share) for share in (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)},
}
