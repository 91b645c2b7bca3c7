# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists come whole or the failure is told, whatever happens to them while they are read."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from unit.conftest import Connect
from unit.support import LIST, Reply, Request, ScriptedServer, page
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils import _lists
from ansible_collections.herdops.alpacon.plugins.module_utils._client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._errors import IncompleteList

Serve = Callable[..., ScriptedServer]


def paged(request: Request, ids: Sequence[int]) -> Reply:
    """The page of a list that a request asks for."""
    size, number = int(request.query["page_size"]), int(request.query.get("page", 1))
    rows = [{"id": row_id} for row_id in ids[(number - 1) * size : number * size]]
    if not rows and number > 1:
        return Reply({"detail": "Invalid page."}, 404)
    return Reply(page(rows, number + 1 if number * size < len(ids) else None, len(ids)))


def ids_of(client: Client) -> list[Any]:
    return [row["id"] for row in client.rows(LIST)]


def test_two_rows_that_tie_over_a_page_both_come(serve: Serve, connect: Connect) -> None:
    turns = itertools.count()

    def answer(request: Request) -> Reply:
        twins = [99, 100] if next(turns) % 2 else [100, 99]
        return paged(request, [*range(99), *twins, *range(101, 150)])

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


@pytest.mark.parametrize("deleted", [1, 30, 150])
def test_rows_behind_those_that_are_deleted_come(serve: Serve, connect: Connect, deleted: int) -> None:
    ids = list(range(500))

    def answer(request: Request) -> Reply:
        if request.query.get("page") == "3" and len(ids) == 500:
            del ids[10 : 10 + deleted]
        return paged(request, ids)

    client = connect(serve(answer))
    assert set(ids_of(client)) >= set(ids)
    assert client.requests <= 5 + 4


def test_rows_that_are_added_in_front_cost_nothing(serve: Serve, connect: Connect) -> None:
    ids = list(range(500))
    fresh = itertools.count(1000)

    def answer(request: Request) -> Reply:
        if "page" in request.query:
            ids[:0] = [next(fresh) for _number in range(7)]
        return paged(request, ids)

    client = connect(serve(answer))
    assert ids_of(client) == list(range(500))
    assert client.requests == 6


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
    assert client.requests <= 150


def test_cursors_that_come_again_end_the_list(serve: Serve, connect: Connect) -> None:
    client = connect(serve(endless(lambda number: "ab"[number % 2], fresh=True, count=None)))
    ids_of(client)
    assert client.requests == 3


@pytest.mark.parametrize(
    "following", ["Infinity", "-Infinity", "NaN", "1e400", "-7", "[2]", '{"page": 2}', "true", '"http://[?page=2"']
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
