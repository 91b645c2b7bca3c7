# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that lists come whole or fail, however they change while they are read."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import lists as _lists
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, IncompleteList, LostResponse
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, page

Query = Mapping[str, Any]


class Workspace:
    """Answer requests for pages of a list by a function."""

    def __init__(self, answer: Callable[[Query], Any]) -> None:
        self.queries: list[Query] = []
        self._answer = answer

    @property
    def requests(self) -> int:
        return len(self.queries)

    def get(self, _path: str, query: Query) -> Any:
        self.queries.append(query)
        return self._answer(query)

    def pages(self, ordering: str | None = None, whole: bool = True) -> list[_lists.Page]:
        return list(_lists.read_pages(self.get, LIST, {"ordering": ordering} if ordering else None, whole))

    def ids(self, ordering: str | None = None) -> list[Any]:
        return [row.get("id") for page in self.pages(ordering) for row in page.rows]


def in_turn(*bodies: Any) -> Workspace:
    """Answer with these bodies, then with the last one for ever."""
    left = iter(bodies)
    return Workspace(lambda _query: next(left, bodies[-1]))


def gone() -> Any:
    raise ApiError("GET", LIST, 404, text="Invalid page.")


def paged(query: Query, ids: Sequence[Any]) -> Any:
    """Return the requested page of a list of IDs or rows."""
    size, number = query["page_size"], query.get("page", 1)
    rows = [row if isinstance(row, dict) else {"id": row} for row in ids[(number - 1) * size : number * size]]
    if not rows and number > 1:
        gone()
    return page(rows, number + 1 if number * size < len(ids) else None, len(ids))


def changing(ids: list[Any], change: Callable[[int], Any], size: int | None = None) -> Workspace:
    """Change a list before each numbered request, and answer perhaps in pages of another size."""
    numbers = itertools.count(1)

    def answer(query: Query) -> Any:
        change(next(numbers))
        return paged({**query, "page_size": size or query["page_size"]}, ids)

    return Workspace(answer)


# Forms of paging

FORMS: dict[str, Callable[[int], Any]] = {
    "number": lambda number: number,
    "number as text": str,
    "URL of another host": lambda number: f"http://internal:9000{LIST}?page={number}&page_size=7",
    "relative URL": lambda number: f"?page={number}",
}


@pytest.mark.parametrize(
    ("form", "end"), [*((form, None) for form in FORMS), *(("number", end) for end in (0, "", "0", "absent"))]
)
def test_every_form_of_paging(form: str, end: Any) -> None:
    numbers = itertools.count(1)

    def answer(_query: Query) -> Any:
        number = next(numbers)
        body = page([{"id": number}, {"id": -number}], FORMS[form](number + 1) if number < 3 else end)
        if body["next"] == "absent":
            del body["next"]
        return body

    workspace = Workspace(answer)
    assert workspace.ids("-added_at") == [1, -1, 2, -2, 3, -3]
    always = {"ordering": "-added_at", "page_size": 100}
    assert workspace.queries == [always, {**always, "page": 2}, {**always, "page": 3}]


def test_rows_without_an_id_are_all_different() -> None:
    chunk = {"seq": 0, "content": "x"}
    pages = in_turn(page([chunk, chunk], 2), page([chunk])).pages("seq")
    assert [row for page in pages for row in page.rows] == [chunk] * 3


def test_an_invalid_row_is_skipped() -> None:
    assert in_turn(page([{"id": "a"}, None, 5, "x", {"id": ["a"]}, {"id": "b"}])).ids() == ["a", ["a"], "b"]


@pytest.mark.parametrize("body", [{"status": "Good"}, {"results": None}, {"results": [7]}, [{"id": 1}], "words", None])
def test_a_body_without_a_list_is_an_error(body: Any) -> None:
    with pytest.raises(LostResponse, match="not a list"):
        in_turn(body).ids()


def test_a_missing_list_is_an_error() -> None:
    with pytest.raises(ApiError):
        Workspace(lambda _query: gone()).ids()


@pytest.mark.parametrize(("stated", "count"), [(0, 0), (10**9, 10**9), (True, None), ("5", None), (-1, None)])
def test_a_count_is_a_number(stated: Any, count: int | None) -> None:
    assert in_turn({"results": [{"id": "a"}], "count": stated}).pages(whole=False) == [
        _lists.Page([{"id": "a"}], count)
    ]


# Rows that tie, leave and join


@pytest.mark.parametrize(("ordering", "requests"), [("-added_at", 4), (_lists.LATEST_DUE_FIRST, 4), ("name", 2)])
def test_rows_that_tie_across_a_page_boundary_are_complete(ordering: str, requests: int) -> None:
    ids = list(range(150))
    workspace = changing(ids, lambda _number: ids.insert(99, ids.pop(100)))
    assert sorted(workspace.ids(ordering)) == list(range(150))
    assert workspace.requests == requests


def test_rows_in_random_order_are_an_error() -> None:
    draw = random.Random(1)
    workspace = Workspace(lambda query: paged(query, draw.sample(range(300), 300)))
    with pytest.raises(IncompleteList, match=r"\d+ of 300 rows.* moved .* or tie .* Run the task again") as caught:
        workspace.ids()
    assert caught.value.count == 300
    assert caught.value.received < 300
    assert workspace.requests <= 3 * 4


@pytest.mark.parametrize("ordering", ["-added_at", _lists.LATEST_DUE_FIRST, "name", _lists.BY_ID])
@pytest.mark.parametrize("deleted", [1, 30, 150])
def test_rows_behind_those_that_are_deleted_come_once(deleted: int, ordering: str) -> None:
    ids = list(range(500))

    def delete(number: int) -> None:
        if number == 3:
            del ids[10 : 10 + deleted]

    workspace = changing(ids, delete)
    came = workspace.ids(ordering)
    assert set(came) >= set(ids)
    assert len(came) == len(set(came))
    assert workspace.requests == (6 if ordering in ("name", "id") and deleted == 1 else 7)


def test_a_page_that_is_gone_does_not_end_the_list() -> None:
    ids = list(range(101))
    workspace = changing(ids, lambda number: number == 2 and ids.pop(50))
    assert set(workspace.ids("-added_at")) >= set(ids)
    assert workspace.requests == 3


@pytest.mark.parametrize("ordering", ["-added_at", "name"])
def test_a_row_that_leaves_does_not_stand_for_one_that_changed_places(ordering: str) -> None:
    ids = list(range(250))

    def change(number: int) -> None:
        if number == 2:
            ids.insert(98, ids.pop(100))
        if number == 3:
            ids.pop(0)

    assert set(changing(ids, change).ids(ordering)) >= set(ids)


def test_a_renamed_row_does_not_hide_that_others_left() -> None:
    ids = list(range(250))
    stayed = set(range(10, 250))

    def change(number: int) -> None:
        if number == 2:
            ids.insert(150, ids.pop(5))
            del ids[:5]

    assert set(changing(ids, change).ids("name")) >= stayed


@pytest.mark.parametrize("ordering", ["-added_at", _lists.LATEST_DUE_FIRST])
@pytest.mark.parametrize(("gap", "comes"), [(1, True), (10, False)])
def test_a_list_with_a_row_that_joins_and_one_that_leaves_per_request(ordering: str, gap: int, comes: bool) -> None:
    """With a gap, rows tie: ten of them have the same time."""
    rows = [{"id": -number, "added_at": number // gap, "scheduled_at": None} for number in range(500, 0, -1)]
    stayed = {row["id"] for row in rows[:400]}

    def change(number: int) -> None:
        rows.insert(0, {"id": -500 - number, "added_at": (500 + number) // gap, "scheduled_at": None})
        rows.pop()

    workspace = changing(rows, change)
    with contextlib.nullcontext() if comes else pytest.raises(IncompleteList):
        assert set(workspace.ids(ordering)) >= stayed
    assert workspace.requests <= 12


def swap(draw: random.Random, ids: list[int], stayed: set[int], _page: int) -> None:
    """Replace up to two rows, and record which of the first ones are left."""
    for _swap in range(draw.randrange(3)):
        stayed.discard(ids.pop(draw.randrange(len(ids))))
        ids[:] = sorted({*ids, draw.randrange(10_000)})


def test_a_list_that_changes_all_the_time_is_complete_or_an_error() -> None:
    draw = random.Random(7)
    for _turn in range(40):
        ids = sorted(draw.sample(range(10_000), 450))
        stayed = set(ids)

        with contextlib.suppress(IncompleteList):
            assert stayed <= set(changing(ids, partial(swap, draw, ids, stayed)).ids("name"))


@pytest.mark.parametrize(
    ("count", "requests"), [(0, 1), (99, 1), (100, 1), (150, 2), (198, 2), (300, 4), (1000, 11), (5000, 57)]
)
def test_pages_that_overlap_cost_few_requests(count: int, requests: int) -> None:
    workspace = Workspace(lambda query: paged(query, range(count)))
    assert workspace.ids("name") == list(range(count))
    assert workspace.requests == requests
    for ordering in ("-added_at", _lists.LATEST_DUE_FIRST):
        newest_first = Workspace(lambda query: paged(query, range(count)))
        assert newest_first.ids(ordering) == list(range(count))
        assert newest_first.requests == max(1, -(-count // 100))


@pytest.mark.parametrize(("size", "count"), [(15, 30), (15, 250), (100, 150)])
def test_pages_of_another_size_are_complete_or_an_error(size: int, count: int) -> None:
    ids = list(range(count))
    workspace = changing(ids, lambda number: number == 4 and ids.pop(0), size)
    assert workspace.ids("-added_at") == list(range(count))
    assert workspace.requests <= -(-count // size) + 2
    for ordering in ("name", "-handled_at"):
        with pytest.raises(IncompleteList):
            changing(ids, lambda _number: None, size).ids(ordering)


@pytest.mark.parametrize("ordering", ["-added_at", _lists.LATEST_DUE_FIRST])
def test_rows_added_in_front_need_no_more_requests(ordering: str) -> None:
    ids = list(range(500))

    def add(number: int) -> None:
        ids[:0] = range(-7 * number, 7 - 7 * number) if number > 1 else ()

    workspace = changing(ids, add)
    assert workspace.ids(ordering) == list(range(500))
    assert workspace.requests == 6


@pytest.mark.parametrize(
    ("tied", "left", "comes"),
    [((), 0, True), ((98, 99), 0, False), ((97, 98), 0, True), ((99, 100), 0, True), ((), 3, False)],
)
def test_pages_are_complete_if_no_rows_tie_at_their_boundary(tied: tuple[int, ...], left: int, comes: bool) -> None:
    rows = [{"id": number, "scheduled_at": -tied[0] if number in tied else -number} for number in range(150)]
    workspace = Workspace(lambda query: paged(query, rows[left:] if "page" in query else rows))
    with contextlib.nullcontext() if comes else pytest.raises(IncompleteList):
        assert workspace.ids("-scheduled_at") == list(range(150))
    assert workspace.requests == 2


@pytest.mark.parametrize(
    ("change", "comes"),
    [
        (lambda _ids: None, True),
        (lambda ids: ids.insert(0, ids.pop(97)), True),
        (lambda ids: ids.insert(97, ids.pop(100)), False),
        (lambda ids: ids.append(250), False),
        (lambda ids: ids.pop(249), False),
    ],
)
def test_rows_that_do_not_state_by_what_they_tie(change: Callable[[list[int]], Any], comes: bool) -> None:
    ids = list(range(250))
    workspace = changing(ids, lambda number: number == 2 and change(ids))
    with contextlib.nullcontext() if comes else pytest.raises(IncompleteList):
        assert workspace.ids("-handled_at") == list(range(250))
    assert workspace.requests == (3 if comes else 2)


@pytest.mark.parametrize("ordering", ["-added_at", "name"])
def test_a_list_that_shrinks_all_the_time_is_an_error(ordering: str) -> None:
    ids = list(range(5000))
    workspace = changing(ids, lambda _page: ids.pop(0))
    with pytest.raises(IncompleteList):
        workspace.ids(ordering)
    assert workspace.requests < 100


# Paging without an end, and invalid next pages


@pytest.mark.parametrize("ordering", ["-added_at", "name", "-handled_at"])
def test_repeated_pages_of_a_list_that_grows_are_an_error(ordering: str) -> None:
    numbers = itertools.count(2)

    def answer(_query: Query) -> Any:
        number = next(numbers)
        return page([{"id": row} for row in range(100)], number, 1000 * number)

    workspace = Workspace(answer)
    with pytest.raises(IncompleteList):
        workspace.ids(ordering)
    assert workspace.requests <= 3 * 4


def endless(fresh: bool, count: int | None) -> Workspace:
    def answer(query: Query) -> Any:
        number = query.get("page", 1)
        rows = [{"id": f"{number if fresh else 1}-{row}"} for row in range(2)]
        return page(rows, number + 1, count)

    return Workspace(answer)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("ordering", ["-added_at", "name", "-handled_at"])
def test_pages_that_never_end(ordering: str, fresh: bool) -> None:
    workspace = endless(fresh, count=3)
    with pytest.raises(IncompleteList):
        workspace.ids(ordering)
    assert workspace.requests <= 3 * 4
    partly = endless(fresh, count=3)
    assert partly.pages(ordering, whole=False)
    assert partly.requests <= 4


@pytest.mark.parametrize(("fresh", "whole", "requests"), [(True, True, 50), (False, True, 5), (False, False, 4)])
def test_pages_that_never_end_and_have_no_count(
    monkeypatch: pytest.MonkeyPatch, fresh: bool, whole: bool, requests: int
) -> None:
    monkeypatch.setattr(_lists, "_MOST_PAGES", 50)
    workspace = endless(fresh, count=None)
    with pytest.raises(IncompleteList, match="has not ended after") if whole else contextlib.nullcontext():
        workspace.pages("-added_at", whole)
    assert workspace.requests == requests


@pytest.mark.parametrize("ordering", ["-added_at", "name", "-handled_at"])
def test_an_empty_page_is_the_last(ordering: str) -> None:
    assert in_turn({"count": 0, "next": 2, "results": []}).ids(ordering) == []
    workspace = in_turn({"count": 7, "next": 2, "results": []})
    with pytest.raises(IncompleteList, match="0 of 7 rows"):
        workspace.ids(ordering)
    assert workspace.requests <= 3


@pytest.mark.parametrize("following", [float("inf"), -7, "?page=1", "?page=x", [2], True, "http://[?page=2", "\ud800"])
@pytest.mark.parametrize("count", [2, 7])
def test_an_unreadable_next_page(following: Any, count: int) -> None:
    workspace = in_turn({"count": count, "next": following, "results": [{"id": "a"}, {"id": "b"}]})
    if count == 2:
        assert workspace.ids() == ["a", "b"]
    else:
        with pytest.raises(IncompleteList, match="2 of 7 rows"):
            workspace.ids()
    assert workspace.requests <= 3
