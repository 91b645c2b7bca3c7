# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read lists page by page, and check that all rows arrived.

A page shows the list at the time of its request. Meanwhile rows join and leave the list, or change places. So the next
page repeats some rows, or misses others. How that is noticed depends on the order of the list: see the readers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

from .errors import ApiError, IncompleteList, LostResponse

#: The most rows that the API gives on a page.
PAGE_SIZE = 100
#: Rows join at the front only.
NEWEST_FIRST = "-added_at"
#: The latest schedule first, then newest first. Rows join in front of all that was due before they joined; only that
#: part of the list is certain to be complete. Workspaces of 2024 ignore the schedule: newest first.
LATEST_DUE_FIRST = f"-scheduled_at,{NEWEST_FIRST}"
BY_ID = "id"
#: The most pages of a reading, times that it goes back, pages in a row without a new row, and rows in a count.
_MOST_PAGES, _MOST_STEPS_BACK, _MOST_STALE_PAGES, _MOST_ROWS = 5000, 5, 3, 10**9

_Get = Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Page:
    """The rows of one page that no earlier page had, and the list's own count of all rows."""

    rows: list[dict[str, Any]]
    count: int | None = None


def read_pages(get: _Get, path: str, params: Mapping[str, Any] | None, whole: bool) -> Iterator[Page]:
    """Read a list page by page. No row is repeated.

    Args:
        whole: whether all rows are needed, or all up to where the caller stops; :class:`IncompleteList` if some are
            missing or, in an order in which rows tie, may be.
    """
    query, known = dict(params or {}), set[Any]()
    for reader, size in _READINGS.get(query.get("ordering"), _TIES) if whole else _UNCHECKED:
        reading = reader(get, path, query, size, known)
        if (yield from reading.pages()):
            return
        known |= reading.seen
    raise reading.incomplete()


@dataclass(frozen=True)
class _Answer:
    """The response to the request of a page, and by how many rows the list has grown since the request before."""

    rows: list[Any]
    count: int | None = None
    has_next: bool = False
    growth: int = 0


class _Reader:
    """Read a list once, as its pages come, without any check.

    Attributes:
        seen: IDs of the rows of this reading.
        received: number of different rows; rows without an ID are all different.
        least: the smallest count that the list had meanwhile.
    """

    def __init__(self, get: _Get, path: str, query: Mapping[str, Any], size: int, known: set[Any]) -> None:
        self._get, self._path, self._query, self._size = get, path, query, size
        self._known = known
        self.seen: set[Any] = set()
        self.received = 0
        self._stale = 0
        self.least: int | None = None
        self._count: int | None = None

    def pages(self) -> Generator[Page, None, bool]:
        """Yield the pages, and return True if no row is missing."""
        end = 0
        for number in range(1, _MOST_PAGES + 1):
            answer = self._request(number, self._size)
            yield Page(self._add(answer.rows), answer.count)
            end += len(answer.rows)
            if self._is_last(answer, end):
                break
        return True

    def incomplete(self) -> IncompleteList:
        return IncompleteList(self._path, self.received, self.least)

    def _request(self, number: int, size: int) -> _Answer:
        """Request a page; one that does not exist any more has no rows."""
        query = {**self._query, "page_size": size, **({"page": number} if number > 1 else {})}
        try:
            rows, count, following = _parse_body(self._path, self._get(self._path, query))
        except ApiError as error:
            if error.status == 404 and number > 1:
                return _Answer([])
            raise
        growth = 0 if count is None or self._count is None else count - self._count
        if count is not None:
            self._count, self.least = count, count if self.least is None else min(self.least, count)
        return _Answer(rows, count, bool(rows) and _states_page(following, number + 1), growth)

    def _request_from(self, first: int) -> tuple[int, _Answer]:
        """Request the page that begins at this position, or a little before it, and ends last; return its start too."""
        size = max(range(self._size, 0, -1), key=lambda size: first // size * size + size)
        answer = self._request(first // size + 1, size)
        if answer.has_next and len(answer.rows) < size:
            # The workspace gives pages of another size, so its rows have other positions.
            raise self.incomplete()
        return first // size * size, answer

    def _count_repeated(self, rows: list[Any]) -> int:
        return sum(_get_id(row) in self.seen for row in rows)

    def _add(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Record rows, and return those that no reading had before."""
        fresh, before = [], self.received
        for row in rows:
            identity = _get_id(row)
            if identity in self.seen:
                continue
            self.received += 1
            if identity is not None:
                self.seen.add(identity)
            if isinstance(row, dict) and identity not in self._known:
                fresh.append(row)
        self._stale = 0 if self.received > before else self._stale + 1
        return fresh

    def _is_last(self, answer: _Answer, end: int) -> bool:
        """Return True if no page follows, or if one is stated in a list without end.

        That one has more rows than its count, or several pages in a row without a new row.
        """
        is_endless = self._stale == _MOST_STALE_PAGES or (answer.count is not None and end >= answer.count)
        return not answer.has_next or is_endless

    def _is_whole(self, last: _Answer) -> bool:
        """Return True if the list had an end, and no row is missing that it had all the time."""
        return not last.has_next and (self.least is None or self.received >= self.least)


#: Readers and page sizes.
_Readings = tuple[tuple[type[_Reader], int], ...]


class _CountingReader(_Reader):
    """Read a list in which rows join in front only, and check it by its count.

    Suppose that the newest command comes first, and that page 1 had the rows 1 to 100.

    - If 3 commands are submitted now, all rows move back. Page 2 begins with the rows 98 to 100, which are dropped.
    - If 3 of the rows 1 to 100 are deleted now, all others move forward. Page 2 begins with row 104; the rows 101 to
      103 are on page 1 now. No row joins behind, so the count shows it: it shrank by 3, and page 1 is requested again.

    So a row can only be missing if a page begins behind ``end``: the position up to which all rows arrived, less the
    rows by which the count shrank since. More repeated rows than joined are rows that changed places across a page
    boundary, so others may be missing: read the list again, in pages of another size.
    """

    def pages(self) -> Generator[Page, None, bool]:
        number, size, end, steps_back = 1, self._size, 0, 0
        for _request in range(_MOST_PAGES):
            answer = self._request(number, self._size)
            end, start = max(0, end + min(0, answer.growth)), (number - 1) * size
            if number > 1 and (start > end or not answer.rows):
                if steps_back == _MOST_STEPS_BACK:
                    return False
                number, steps_back = min(end // size + 1, number - 1), steps_back + 1
                continue
            if not steps_back and self._count_repeated(answer.rows) > max(0, answer.growth):
                return False
            yield Page(self._add(answer.rows), answer.count)
            end = start + len(answer.rows)
            if self._is_last(answer, end):
                return self._is_whole(answer)
            # A workspace may give pages of another size than requested.
            number, size = number + 1, len(answer.rows) if number == 1 else size
        raise self.incomplete()


class _OverlappingReader(_Reader):
    """Read a list in which rows join and leave anywhere but do not tie, such as a list by name.

    The count does not show how many rows left, since others may have joined. So request each page so that it begins
    with the last row of the page before: after the rows 1 to 100, the rows 100 to 198.

    - If its first row arrived before, it continues from there, so no row is missing in between. The same holds if any
      of its rows arrived before and the count did not shrink: servers of one name change places.
    - Otherwise rows left and all others moved forward. Go back as far as the count shrank, or else a page.

    More repeated rows than were requested again or joined are rows that changed places, such as servers of one name,
    so others may be missing: read the list again, in pages of another size.
    """

    def pages(self) -> Generator[Page, None, bool]:
        start = end = steps_back = 0
        for _request in range(_MOST_PAGES):
            start, answer = self._request_from(start)
            repeated = self._count_repeated(answer.rows)
            if start > 0 and (not repeated or (answer.growth < 0 and _get_id(answer.rows[0]) not in self.seen)):
                if steps_back == _MOST_STEPS_BACK:
                    return False
                start = max(0, start - (-answer.growth if answer.growth < 0 else PAGE_SIZE))
                steps_back += 1
                continue
            if not steps_back and repeated > end - start + max(0, answer.growth):
                return False
            yield Page(self._add(answer.rows), answer.count)
            end = start + len(answer.rows)
            if self._is_last(answer, end):
                return self._is_whole(answer)
            start = end - 1
        raise self.incomplete()


class _TieReader(_Reader):
    """Read a list in which rows tie, such as commands by the time of their end: many have none, or the same.

    For each page, the workspace gives rows that tie in another order. If the rows 98 to 103 tie, row 101 may come
    before row 98 when page 2 is requested, so that page 2 has row 98 again, and row 101 is missing. So request each
    page so that it begins with the last two rows of the page before. It continues the list if its first row arrived
    before and

    - does not tie with the last row of the page before, so that all rows that tie with that one are on this page, or
    - rows do not state by what they tie, but none joined, left or changed places since the page before.

    Otherwise rows may be missing, and the next reading would rarely be better: the caller may take another order.
    """

    def pages(self) -> Generator[Page, None, bool]:
        start = end = 0
        last: Any = None
        for _request in range(_MOST_PAGES):
            start, answer = self._request_from(start)
            if start > 0 and not self._continues(answer, last, end - start):
                return False
            yield Page(self._add(answer.rows), answer.count)
            end = start + len(answer.rows)
            if self._is_last(answer, end):
                return self._is_whole(answer)
            start, last = end - 2, answer.rows[-1]
        raise self.incomplete()

    def _continues(self, answer: _Answer, last: Any, requested_again: int) -> bool:
        first: Any = answer.rows[0] if answer.rows else None
        field = str(self._query["ordering"]).rpartition(",")[2].lstrip("-")
        if _get_id(first) not in self.seen:
            return False
        if all(isinstance(row, dict) and field in row for row in (first, last)):
            return bool(first[field] != last[field])
        return answer.growth == 0 and self._count_repeated(answer.rows) == requested_again


class _ReplacedReader(_TieReader):
    """Read a list in which rows join in front while as many leave behind, so that the count stays the same.

    More rows than were requested again have arrived before: so many joined in front. They are not among the rows of
    this reading, but in the count.
    """

    _joined = 0

    def _continues(self, answer: _Answer, last: Any, requested_again: int) -> bool:
        self._joined += max(0, self._count_repeated(answer.rows) - requested_again)
        return super()._continues(answer, last, requested_again)

    def _is_whole(self, last: _Answer) -> bool:
        return not last.has_next and (self.least is None or self.received + self._joined >= self.least)


# Two rows that change places across a page boundary are on one page of a reading with another page size.
_UNCHECKED: _Readings = ((_Reader, PAGE_SIZE),)
_TIES: _Readings = ((_TieReader, PAGE_SIZE),)
_COMMANDS: _Readings = ((_CountingReader, PAGE_SIZE), (_CountingReader, 97), (_ReplacedReader, PAGE_SIZE))
_CHUNKS: _Readings = ((_CountingReader, PAGE_SIZE), (_CountingReader, 97), (_CountingReader, 89))
_NAMES: _Readings = ((_OverlappingReader, PAGE_SIZE), (_OverlappingReader, 97), (_OverlappingReader, 89))
#: Order -> readings that are tried until one is whole; in any other order, rows tie. No chunk leaves the list by seq.
#: Without an order, lists are by name.
_READINGS: dict[Any, _Readings] = {
    **dict.fromkeys((NEWEST_FIRST, LATEST_DUE_FIRST), _COMMANDS),
    "seq": _CHUNKS,
    **dict.fromkeys((BY_ID, "added_at", "name", None), _NAMES),
}


def _get_id(row: Any) -> str | int | None:
    identity = row.get("id") if isinstance(row, dict) else None
    return identity if isinstance(identity, (str, int)) else None


def _parse_body(path: str, body: Any) -> tuple[list[Any], int | None, Any]:
    """Return the rows, the count of all rows and what the body states of the next page."""
    rows, count = (body.get("results"), body.get("count")) if isinstance(body, dict) else (None, None)
    # Single unreadable rows are skipped; a page of nothing else is no list.
    if isinstance(rows, list) and (not rows or any(isinstance(row, dict) for row in rows)):
        is_stated = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_ROWS
        return rows, count if is_stated else None, body.get("next")
    raise LostResponse(f"GET {path}: the answer is not a list. Check that url is the one of an Alpacon workspace.")


def _states_page(following: Any, number: int) -> bool:
    """Return True if ``next`` is this page's number, or a URL with it; of a URL, nothing else is used."""
    if isinstance(following, str):
        try:
            following = parse_qs(urlsplit(following).query).get("page", [following])[0]
        except ValueError:
            return False
    return following in (number, str(number))
