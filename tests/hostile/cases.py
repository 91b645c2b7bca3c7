# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a hostile workspace says: every field of a row by hostile values, and answers that are none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostile.workspace import DETAIL, LISTED, SERVER, SUBMIT, VICTIM, Case
from system.support import HANG_UP, Reply

from ansible_collections.herdops.alpacon.tests.unit.support import current_row

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
    "204": Reply(status=204),
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
