# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists come whole or the failure is told, whatever happens to them while they are read."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Reply, Request, ScriptedServer
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import lists as _lists
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import IncompleteList
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, page

Serve = Callable[..., ScriptedServer]


def paged(request: Request, ids: Sequence[Any]) -> Reply:
    """The page of a list that a request asks for; of ids, or of whole rows."""
    size, number = int(request.query["page_size"]), int(request.query.get("page", 1))
    rows = [row if isinstance(row, dict) else {"id": row} for row in ids[(number - 1) * size : number * size]]
    if not rows and number > 1:
        return Reply({"detail": "Invalid page."}, 404)
    return Reply(page(rows, number + 1 if number * size < len(ids) else None, len(ids)))


def ids_of(client: Client, ordering: str | None = None) -> list[Any]:
    return [row["id"] for row in client.rows(LIST, {"ordering": ordering} if ordering else {})]


@pytest.mark.parametrize(("ordering", "requests"), [("-added_at", 4), (_lists.LATEST_DUE_FIRST, 4), ("name", 2)])
def test_two_rows_that_tie_over_a_page_both_come(serve: Serve, connect: Connect, ordering: str, requests: int) -> None:
    turns = itertools.count()

    def answer(request: Request) -> Reply:
        twins = [99, 100] if next(turns) % 2 else [100, 99]
        return paged(request, [*range(99), *twins, *range(101, 150)])

    client = connect(serve(answer))
    assert sorted(ids_of(client, ordering)) == list(range(150))
    assert client.requests == requests


def test_three_rows_that_tie_over_a_page_all_come(serve: Serve, connect: Connect) -> None:
    turns = itertools.count()

    def answer(request: Request) -> Reply:
        tied = [100, 98, 99] if next(turns) % 2 else [98, 99, 100]
        return paged(request, [*range(98), *tied, *range(101, 150)])

    client = connect(serve(answer))
    assert sorted(ids_of(client)) == list(range(150))
    assert client.requests == 4


def test_rows_in_no_order_are_a_failure(serve: Serve, connect: Connect) -> None:
    draw = random.Random(1)
    client = connect(serve(lambda request: paged(request, draw.sample(range(300), 300))))
    with pytest.raises(
        IncompleteList, match=rf"^GET {LIST}: \d+ of 300 rows came, also when it was read again"
    ) as caught:
        ids_of(client)
    assert caught.value.count == 300
    assert caught.value.came < 300
    assert client.requests <= 3 * 4


@pytest.mark.parametrize("ordering", ["-added_at", _lists.LATEST_DUE_FIRST, "name"])
@pytest.mark.parametrize("deleted", [1, 30, 150])
def test_rows_behind_those_that_are_deleted_come(serve: Serve, connect: Connect, deleted: int, ordering: str) -> None:
    ids = list(range(500))

    def answer(request: Request) -> Reply:
        if request.query.get("page") == "3" and len(ids) == 500:
            del ids[10 : 10 + deleted]
        return paged(request, ids)

    client = connect(serve(answer))
    assert set(ids_of(client, ordering)) >= set(ids)
    assert client.requests == (6 if (ordering, deleted) == ("name", 1) else 7)


@pytest.mark.parametrize(("turn", "swapped"), list(enumerate((1, 2, 30, 150))))
@pytest.mark.parametrize(
    ("count", "number", "requests"), [(150, 2, (3, 5, 5, 5)), (500, 2, (7, 9, 9, 9)), (500, 4, (6, 6, 9, 12))]
)
def test_rows_behind_those_that_left_come_though_others_joined(
    serve: Serve, connect: Connect, turn: int, swapped: int, count: int, number: int, requests: tuple[int, ...]
) -> None:
    ids, pages = list(range(count)), itertools.count(1)

    def answer(request: Request) -> Reply:
        if next(pages) == number:
            ids[:swapped] = []
            ids.extend(range(1000, 1000 + swapped))
        return paged(request, ids)

    client = connect(serve(answer))
    assert set(ids_of(client, "name")) >= set(ids[:-swapped])
    assert client.requests == requests[turn]


class Swapping:
    """A list of which rows leave and which others join before each page."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._ids = sorted(draw.sample(range(10_000), 450))
        self.stayed = set(self._ids)

    def __call__(self, request: Request) -> Reply:
        for _swap in range(self._draw.randrange(3)):
            self.stayed.discard(self._ids.pop(self._draw.randrange(len(self._ids))))
            self._ids = sorted({*self._ids, self._draw.randrange(10_000)})
        return paged(request, self._ids)


def test_rows_that_leave_and_join_all_the_time_come_or_fail(serve: Serve, connect: Connect) -> None:
    draw = random.Random(7)
    for _turn in range(40):
        workspace = Swapping(draw)
        with contextlib.suppress(IncompleteList):
            came = ids_of(connect(serve(workspace)), "name")
            assert workspace.stayed <= set(came)


def test_pages_that_overlap_cost_few_requests(serve: Serve, connect: Connect) -> None:
    asked = {}
    for count in (100, 150, 198, 300, 1000, 5000):
        client = connect(serve(lambda request, count=count: paged(request, range(count))))
        assert ids_of(client, "name") == list(range(count))
        asked[count] = client.requests
    assert asked == {100: 1, 150: 2, 198: 2, 300: 4, 1000: 11, 5000: 57}
    client = connect(serve(lambda request: paged(request, range(5000))))
    assert ids_of(client, "-added_at") == list(range(5000))
    assert client.requests == 50
    assert ids_of(client, _lists.LATEST_DUE_FIRST) == list(range(5000))
    assert client.requests == 100


@pytest.mark.parametrize("size", [15, 100])
@pytest.mark.parametrize("count", [30, 150, 250])
@pytest.mark.parametrize("ordering", ["name", "-handled_at"])
def test_pages_of_a_size_of_their_own_do_not_overlap(
    serve: Serve, connect: Connect, size: int, count: int, ordering: str
) -> None:
    def answer(request: Request) -> Reply:
        query = {**request.query, "page_size": str(size)}
        return paged(Request("GET", LIST, query, {}, None), range(count))

    client = connect(serve(answer))
    assert ids_of(client, ordering) == list(range(count))
    assert client.requests <= -(-count // size) + 1


def test_rows_that_join_excuse_nothing_where_pages_do_not_overlap(serve: Serve, connect: Connect) -> None:
    ids, pages = list(range(45)), itertools.count(1)

    def answer(request: Request) -> Reply:
        number = next(pages)
        if number == 2:
            # The row behind the first page moves into it.
            ids[:] = [*ids[1:], 100]
        elif number == 3:
            # Now two come twice, as many as join.
            ids[:0] = [-2, -1]
        return paged(Request("GET", LIST, {**request.query, "page_size": "15"}, {}, None), ids)

    assert set(ids_of(connect(serve(answer)), "name")) >= set(range(1, 45))


@pytest.mark.parametrize("ordering", ["-added_at", _lists.LATEST_DUE_FIRST])
def test_rows_that_are_added_in_front_cost_nothing(serve: Serve, connect: Connect, ordering: str) -> None:
    ids = list(range(500))
    fresh = itertools.count(1000)

    def answer(request: Request) -> Reply:
        if "page" in request.query:
            ids[:0] = [next(fresh) for _number in range(7)]
        return paged(request, ids)

    client = connect(serve(answer))
    assert ids_of(client, ordering) == list(range(500))
    assert client.requests == 6


@pytest.mark.parametrize("added", [1, 12])
def test_rows_that_tie_are_doubtful_whatever_is_added_behind(serve: Serve, connect: Connect, added: int) -> None:
    draw, ids = random.Random(3), list(range(108))

    def answer(request: Request) -> Reply:
        ids[:108] = draw.sample(range(108), 108)
        ids.extend(range(len(ids), len(ids) + added))
        return paged(request, ids)

    client = connect(serve(answer))
    with pytest.raises(IncompleteList):
        ids_of(client, "-scheduled_at")
    assert client.requests == 2, "reading again in the same order would help little"


@pytest.mark.parametrize("ordering", ["-scheduled_at", "scheduled_at"])
@pytest.mark.parametrize(
    ("tied", "left", "comes"),
    [((), 0, True), ((98, 99), 0, False), ((97, 98), 0, True), ((99, 100), 0, True), ((), 3, False)],
)
def test_rows_that_may_tie_come_where_pages_meet_at_some_that_do_not(
    serve: Serve, connect: Connect, ordering: str, tied: tuple[int, ...], left: int, comes: bool
) -> None:
    rows = [{"id": number, "scheduled_at": tied[0] if number in tied else number} for number in range(150)]
    if ordering.startswith("-"):
        rows = [{**row, "scheduled_at": -row["scheduled_at"]} for row in rows]

    def answer(request: Request) -> Reply:
        return paged(request, rows[left:] if "page" in request.query else rows)

    client = connect(serve(answer))
    with contextlib.nullcontext() if comes else pytest.raises(IncompleteList):
        assert ids_of(client, ordering) == list(range(150))
    assert client.requests == 2


@pytest.mark.parametrize("joined", [0, 1])
def test_rows_that_do_not_state_what_they_are_ordered_by_come_whole_where_nothing_changes(
    serve: Serve, connect: Connect, joined: int
) -> None:
    def answer(request: Request) -> Reply:
        return paged(request, range(150 + joined if "page" in request.query else 150))

    client = connect(serve(answer))
    with pytest.raises(IncompleteList) if joined else contextlib.nullcontext():
        assert ids_of(client, "-handled_at") == list(range(150))
    assert client.requests == 2


def test_a_list_that_shrinks_all_the_time_is_a_failure(serve: Serve, connect: Connect) -> None:
    ids = list(range(5000))

    def answer(request: Request) -> Reply:
        del ids[:1]
        return paged(request, ids)

    client = connect(serve(answer))
    with pytest.raises(IncompleteList):
        ids_of(client)
    assert client.requests < 100


def test_more_rows_than_anybody_remembers_come_once(serve: Serve, connect: Connect) -> None:
    ids = list(range(5000))

    def answer(request: Request) -> Reply:
        # Deleted far in front, so that the reading goes back to what came long ago.
        if request.query.get("page") == "45" and len(ids) == 5000:
            del ids[:2500]
        return paged(request, ids)

    came = ids_of(connect(serve(answer)))
    assert len(came) == len(set(came))
    assert set(came) >= set(range(2500, 5000))


# Paging that never ends, or leads nowhere


def endless(following: Callable[[int], Any], fresh: bool, count: int | None) -> Callable[[Request], Reply]:
    numbers = itertools.count(1)

    def answer(request: Request) -> Reply:
        number = next(numbers)
        rows = [{"id": f"{number if fresh else 1}-{row}"} for row in range(2)]
        return Reply(page(rows, following(number), count))

    return answer


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("form", ["numbers", "cursors", "two cursors"])
def test_pages_that_never_end(serve: Serve, connect: Connect, form: str, fresh: bool) -> None:
    following: dict[str, Callable[[int], Any]] = {
        "numbers": lambda number: number + 1,
        "cursors": lambda number: f"c{number}",
        "two cursors": lambda number: "ab"[number % 2],
    }
    client = connect(serve(endless(following[form], fresh, count=3)))
    with pytest.raises(IncompleteList):
        ids_of(client)
    assert client.requests <= 3 * 4
    client = connect(serve(endless(following[form], fresh, count=3)))
    assert list(client.pages(LIST))
    assert client.requests <= 4


@pytest.mark.parametrize("fresh", [True, False])
def test_pages_that_never_end_and_have_no_count(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    monkeypatch.setattr(_lists, "_MOST_PAGES", 50)
    client = connect(serve(endless(lambda number: f"c{number}", fresh, count=None)))
    if fresh:
        with pytest.raises(IncompleteList, match="its pages never end"):
            ids_of(client)
    else:
        assert ids_of(client) == ["1-0", "1-1"]
    assert client.requests == (50 if fresh else 1 + 3)


@pytest.mark.parametrize("count", [10**400, 10**9 + 1], ids=["10**400", "10**9 + 1"])
@pytest.mark.parametrize("ordering", ["name", "-added_at"])
def test_a_count_that_no_list_has_counts_as_none(serve: Serve, connect: Connect, count: int, ordering: str) -> None:
    counts = itertools.cycle([5, count, 3])

    def answer(request: Request) -> Reply:
        number = int(request.query.get("page", 1))
        return Reply(page([{"id": number}], number + 1 if number < 3 else None, next(counts)))

    assert ids_of(connect(serve(answer)), ordering) == [1, 2, 3]


@pytest.mark.parametrize(("stated", "count"), [(0, 0), (10**9, 10**9), (True, None), ("5", None), (-1, None)])
def test_a_count_is_a_number(serve: Serve, connect: Connect, stated: Any, count: int | None) -> None:
    [only] = connect(serve([Reply({"results": [{"id": "a"}], "count": stated})])).pages(LIST)
    assert (only.rows, only.count) == ([{"id": "a"}], count)


def test_cursors_that_come_again_end_the_list(serve: Serve, connect: Connect) -> None:
    client = connect(serve(endless(lambda number: "ab"[number % 2], fresh=True, count=None)))
    ids_of(client)
    assert client.requests == 3


@pytest.mark.parametrize(
    "following",
    [
        "Infinity",
        "-Infinity",
        "NaN",
        "1e400",
        "-7",
        "[2]",
        '{"page": 2}',
        "true",
        '"http://[?page=2"',
        r'"\ud800"',
        r'"?cursor=\udfff"',
    ],
)
@pytest.mark.parametrize("count", [2, 7])
def test_a_next_page_that_cannot_be_read(serve: Serve, connect: Connect, following: str, count: int) -> None:
    body = f'{{"count": {count}, "next": {following}, "results": [{{"id": "a"}}, {{"id": "b"}}]}}'
    client = connect(serve([Reply(body)]))
    if count == 2:
        assert ids_of(client) == ["a", "b"]
    else:
        with pytest.raises(IncompleteList, match="2 of 7 rows came"):
            ids_of(client)
    assert client.requests <= 3


def test_a_page_number_beyond_the_end(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Reply:
        if "page" in request.query:
            return Reply({"detail": "Invalid page."}, 404)
        return Reply(page([{"id": "a"}], 10**30, 2))

    client = connect(serve(answer))
    with pytest.raises(IncompleteList):
        ids_of(client)
    assert client.requests <= 3 * 7


def test_a_row_that_is_no_row_costs_only_itself(serve: Serve, connect: Connect) -> None:
    rows: list[Any] = [{"id": "a"}, None, 5, "x", {"id": ["a"]}, {"id": "b"}]
    assert [row["id"] for row in connect(serve([Reply(page(rows))])).rows(LIST)] == ["a", ["a"], "b"]


# The stand-in's own ties


def test_ties_of_the_stand_in_lose_rows_in_an_order_that_has_them(current: Workspace, connect: Connect) -> None:
    current.add_many_commands(300, line="true", status="scheduled", scheduled_at="2999-01-01T00:00:00Z")
    client = connect(current)
    tied = [row["id"] for page in client.pages(LIST, {"ordering": "-scheduled_at"}) for row in page.rows]
    assert len(tied) < 300
    whole = [row["id"] for row in client.rows(LIST, {"ordering": "-added_at"})]
    assert len(whole) == len(set(whole)) == 300
    current.settings(ties="stable")
    stable = [row["id"] for page in client.pages(LIST, {"ordering": "-scheduled_at"}) for row in page.rows]
    assert len(stable) == 300
