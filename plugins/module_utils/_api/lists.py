# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read lists page by page in any form of paging, and check that all rows arrived.

Lists change while they are read:

- Rows that tie in the order change places between pages: some are repeated, and others are missing.
- Rows that are added in front shift the rest back: some are repeated.
- Rows that leave in front shift the rest forward: some are missing. If others join at the end, the count stays.

Newest first, no row joins at the end, so the count shows how many left: if it shrinks, read the page before again.
In any other order each page begins with the last row of the page before, which proves that there is no gap. If more
rows are repeated than joined, or fewer arrive than the count states, read the list again in pages of another size. In
an order in which rows tie, that rarely helps, so raise IncompleteList.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

from .errors import ApiError, IncompleteList, LostResponse

#: The most rows that the API gives on a page.
PAGE_SIZE = 100
#: The page size of each reading: two rows that tie across a page boundary are on one page in the next reading.
_SIZES = (PAGE_SIZE, 97, 89)
#: Rows join at the front only.
NEWEST_FIRST = "-added_at"
#: The latest schedule first, then newest first. Rows join in front of all that was due before they joined; only that
#: part of the list is certain to be complete. Servers of 2024 do not order by schedule, but by the rest: newest first.
LATEST_DUE_FIRST = f"-scheduled_at,{NEWEST_FIRST}"
_JOINED_IN_FRONT = (NEWEST_FIRST, LATEST_DUE_FIRST)
BY_ID = "id"
#: Orders in which no rows tie; without an order, lists are by name.
_WITHOUT_TIES = (*_JOINED_IN_FRONT, BY_ID, "added_at", "name", "seq", None)
#: The least number of rows to go back, each time that rows left during one reading.
_STEPS_BACK = (1, 100, 200, 400, 800)
#: The most pages in a row without a new row, pages of a reading, and rows in a count.
_STALE_PAGES, _MOST_PAGES, _MOST_ROWS = 3, 5000, 10**9
_GONE = object()

_Get = Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Page:
    """The rows of one page that no earlier page had, and the list's own count of all rows."""

    rows: list[dict[str, Any]]
    count: int | None = None


def read_pages(get: _Get, path: str, params: Mapping[str, Any] | None, whole: bool) -> Iterator[Page]:
    """Read a list page by page: page numbers, URLs, cursors or a bare list. No row is repeated.

    Args:
        whole: whether all rows are needed, or all up to where the caller stops; :class:`IncompleteList` if some are
            missing or, in an order in which rows tie, may be.
    """
    known: set[Any] = set()
    for size in _SIZES:
        reading = _Reading(get, path, {**(params or {}), "page_size": size}, known, whole)
        yield from reading.pages()
        if not whole or reading.is_whole:
            return
        if reading.ties or reading.never_ends:
            break
    raise IncompleteList(path, reading.received, reading.least)


@dataclass
class _Reading:
    """Read a list once, from its first page to its last.

    Attributes:
        known: IDs of the rows of this reading or in earlier ones.
        least: the smallest count that the list had meanwhile.
    """

    get: _Get
    path: str
    query: dict[str, Any]
    known: set[Any]
    checked: bool
    least: int | None = None
    never_ends: bool = False
    _without_id: int = 0
    _count: int | None = None
    # Positions in the list: the start of the requested page, the end of the page before, and the furthest end.
    _start: int = 0
    _end: int = 0
    _furthest: int = 0
    # Rows that were repeated though they were requested once, and rows that joined.
    _repeated: int = 0
    _joined: int = 0
    _changed: bool = False
    # In an order in which rows tie: the last row, and whether rows at a page boundary do not state the field.
    _last: Any = None
    _unproven: bool = False
    _stale: int = 0
    _steps_back: int = 0
    _cursors: set[str] = field(default_factory=set)
    _broken: bool = False

    def __post_init__(self) -> None:
        ordering = self.query.get("ordering")
        self._joined_in_front = ordering in _JOINED_IN_FRONT
        self.ties = ordering not in _WITHOUT_TIES
        self._field = str(ordering).lstrip("-")
        # Whether each page begins within the page before; False once the workspace gives pages of another size.
        self._overlaps = self.checked and not self._joined_in_front
        # In the first reading both are equal: one set of IDs takes less memory than two.
        self._seen: set[Any] = set() if self.known else self.known

    @property
    def received(self) -> int:
        return len(self._seen) + self._without_id

    @property
    def is_whole(self) -> bool:
        """Return True if no row is missing that the list had during the whole reading."""
        needed = self.least if self._allows_repeats else self._count
        return not self._broken and (needed is None or self.received >= needed)

    @property
    def _allows_repeats(self) -> bool:
        """Return True if rows that joined can explain repeated and missing rows."""
        return self._joined_in_front or (self._overlaps and not self._unproven)

    def pages(self) -> Iterator[Page]:
        """Yield the pages; end early if rows are missing, or may be in an order in which rows tie."""
        query: dict[str, Any] | None = self.query
        for _number in range(_MOST_PAGES):
            if query is None:
                return
            body = self._get_body(query)
            rows, count = ([], None) if body is _GONE else _parse_rows(self.path, body)
            shrunk = PAGE_SIZE if body is _GONE else self._update_count(count)
            if self.checked and self._has_missed():
                break
            if self._overlaps and not self._has_size(query, rows, count):
                self._overlaps, self._start = False, self._end
            if self.checked and self._may_have_gap(rows, shrunk):
                query = self._step_back(query, shrunk)
                if query is None:
                    break
                continue
            if body is _GONE:
                return
            fresh = self._add_rows(rows)
            if self.checked and self.ties and self._has_missed():
                break
            yield Page(fresh, count)
            query = self._next_query(query, body, len(rows)) if rows else None
        else:
            self.never_ends = True
        self._broken = True

    def _get_body(self, query: Mapping[str, Any]) -> Any:
        """Return the JSON of a page, or :data:`_GONE` if the page does not exist any more."""
        try:
            return self.get(self.path, query)
        except ApiError as error:
            if error.status == 404 and "page" in query:
                return _GONE
            raise

    def _update_count(self, count: int | None) -> int:
        """Record the list's count and return by how much it shrank since the page before."""
        before, self._count = self._count, count
        if count is None:
            return 0
        self.least = count if self.least is None else min(self.least, count)
        growth = 0 if before is None else count - before
        self._joined += max(0, growth)
        self._changed = self._changed or growth != 0
        return -growth

    def _has_missed(self) -> bool:
        """Return True if more rows are repeated than joined, so that others may be missing."""
        if self._unproven:
            return self._repeated != 0 or self._changed
        if self.ties or self._count is None or self._steps_back:
            return False
        return self._repeated > (self._joined if self._allows_repeats else 0)

    def _has_size(self, query: Mapping[str, Any], rows: list[Any], count: int | None) -> bool:
        """Return True if the page has the requested size; some workspaces give all pages a size of their own."""
        size: int = query["page_size"]
        return len(rows) <= size if count is None else len(rows) == max(0, min(size, count - self._start))

    def _may_have_gap(self, rows: list[Any], shrunk: int) -> bool:
        """Return True if rows may be missing between the page before and this one."""
        if not self.ties:
            overlaps = 0 < self._start < self._end
            return not any(_get_id(row) in self._seen for row in rows) if overlaps else shrunk > 0
        if self._start == 0:
            return False
        # The page has to begin in front of all rows that tie with the last one of the page before.
        first: Any = rows[0] if rows else None
        last = self._last
        if self._overlaps and _get_id(first) not in self._seen:
            return True
        if self._overlaps and all(isinstance(row, dict) and self._field in row for row in (first, last)):
            return bool(first[self._field] == last[self._field])
        self._unproven = True
        return False

    def _step_back(self, query: Mapping[str, Any], shrunk: int) -> dict[str, Any] | None:
        """Return the query of an earlier page, or None if there is none or it would not help."""
        if self.ties or "page" not in query or self._steps_back == len(_STEPS_BACK):
            return None
        # If rows joined, the count does not show how many left.
        first = max(0, self._start - max(shrunk, _STEPS_BACK[self._steps_back]))
        self._count = None
        self._steps_back += 1
        if self._overlaps:
            return self._query_from(first)
        size = max(1, self._start // max(1, query["page"] - 1))
        self._start = first // size * size
        return {**query, "page": first // size + 1}

    def _query_from(self, first: int) -> dict[str, Any]:
        """Return the query of the page that begins at this position or before it, and ends last."""
        sizes = range(self.query["page_size"], 0, -1)
        size = max(sizes, key=lambda size: first // size * size + size)
        self._start = first // size * size
        return {**self.query, "page": first // size + 1, "page_size": size}

    def _add_rows(self, rows: list[Any]) -> list[dict[str, Any]]:
        before, fresh = self.received, []
        for row in rows:
            identity = _get_id(row)
            is_known = identity is not None and identity in self.known
            if identity is None:
                self._without_id += 1
            else:
                self._seen.add(identity)
                self.known.add(identity)
            if isinstance(row, dict) and not is_known:
                fresh.append(row)
        new, requested_again = self.received - before, self._end - self._start
        self._end, self._last = self._start + len(rows), rows[-1] if rows else None
        if self._end > self._furthest:
            self._furthest = self._end
            self._repeated += len(rows) - new - requested_again
            self._stale = 0 if new else self._stale + 1
        return fresh

    def _next_query(self, query: Mapping[str, Any], body: Any, length: int) -> dict[str, Any] | None:
        following = _parse_next(query, body)
        if following is None or self._stale >= _STALE_PAGES:
            return None
        if "cursor" in following:
            if following["cursor"] in self._cursors:
                return None
            self._cursors.add(following["cursor"])
        if self._count is not None and self._end >= self._count and not self._steps_back:
            # The list states another page, and a count that is reached already.
            self._broken = True
            return None
        is_next = following.get("page") == query.get("page", 1) + 1
        if self._overlaps and is_next and length == query["page_size"] and not self._without_id:
            return self._query_from(max(0, self._end - (2 if self.ties else 1)))
        self._overlaps, self._start = False, self._end
        return following


def _get_id(row: Any) -> str | int | None:
    identity = row.get("id") if isinstance(row, dict) else None
    return identity if isinstance(identity, (str, int)) else None


def _parse_rows(path: str, body: Any) -> tuple[list[Any], int | None]:
    if isinstance(body, list):
        body = {"results": body, "count": len(body)}
    rows, count = (body.get("results"), body.get("count")) if isinstance(body, dict) else (None, None)
    # Single unreadable rows are skipped; a page of nothing else is no list.
    if isinstance(rows, list) and (not rows or any(isinstance(row, dict) for row in rows)):
        is_stated = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_ROWS
        return rows, count if is_stated else None
    raise LostResponse(f"GET {path}: the answer is not a list. Check that url is the one of an Alpacon workspace.")


def _parse_next(query: Mapping[str, Any], body: Any) -> dict[str, Any] | None:
    """Return the query of the page after this one, or None at the end.

    ``next`` is a page number, a URL of which only ``page`` or ``cursor`` is read, or a cursor; anything else ends the
    list.
    """
    following = body.get("next") if isinstance(body, dict) else None
    if isinstance(following, bool) or not isinstance(following, (int, float, str)) or not following:
        return None
    if isinstance(following, str) and not following.isdigit():
        try:
            following.encode("utf-8")  # a cursor can be sent
            inside = parse_qs(urlsplit(following).query)
        except ValueError:
            return None
        if "page" not in inside:
            cursor = inside.get("cursor", [following])[0]
            return None if cursor == query.get("cursor") else {**query, "cursor": cursor}
        following = inside["page"][0]
    try:
        page = int(following)
    except (OverflowError, ValueError):
        return None
    # A server that points backwards would never end.
    return {**query, "page": page} if page > query.get("page", 1) else None
