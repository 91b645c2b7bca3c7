# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of the API, page by page, and whether all of a list came.

What can go wrong while a list is read, since nothing holds it still:

- rows that tie in its order come in another order for each page, so that some come twice and others never;
- rows that are added in front shift the rest back, so that some come twice;
- rows that leave in front shift the rest forward, so that some never come; where others join behind them, the count
  does not tell.

So whoever needs all of a list has it checked. Newest first, no row joins behind another, and the count tells what left:
where it shrinks, the page before is read again. In any other order a page begins with the last row of the page before,
which shows that nothing is missing between them. A list is read again, in pages of another size, where rows came twice
that nothing explains, or fewer than its count says; in an order in which rows tie that would help little, and it fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

from .errors import ApiError, IncompleteList, LostResponse

#: Rows on a page, as many as the API gives.
PAGE_SIZE = 100

#: Sizes of the pages of each reading: where others end, two rows that tie stand on one page.
_SIZES = (PAGE_SIZE, 97, 89)
#: The order in which rows join at the front only.
NEWEST_FIRST = "-added_at"
#: The latest schedule first, and newest first where that is the same. What joins is due from then on, so it joins in
#: front of all that was due before; of that alone such a list is certain to come whole.
#: Servers of 2024 do not order by schedule, and take the rest of it: newest first.
LATEST_DUE_FIRST = f"-scheduled_at,{NEWEST_FIRST}"
_JOINED_IN_FRONT = (NEWEST_FIRST, LATEST_DUE_FIRST)
#: Orders in which rows do not tie; lists of which none is asked for come by name.
_WITHOUT_TIES = (*_JOINED_IN_FRONT, "added_at", "name", "seq", None)
#: By how many rows one reading goes back at the least, each time that rows left.
_STEPS_BACK = (1, 100, 200, 400, 800)
#: How many pages in a row may bring nothing new.
_STALE_PAGES = 3
#: A paging that goes on for longer than this never ends.
_MOST_PAGES = 5000
#: A count beyond this is none.
_MOST_ROWS = 10**9
_GONE = object()


@dataclass(frozen=True)
class Page:
    """One page of a list.

    Attributes:
        rows: those that had not come before.
        count: how many rows the whole list has, where the server says so.
    """

    rows: list[dict[str, Any]]
    count: int | None = None


def read_pages(
    get: Callable[[str, Mapping[str, Any]], Any],
    path: str,
    params: Mapping[str, Any] | None,
    whole: bool,
) -> Iterator[Page]:
    """Read a list page by page, whatever its paging: page numbers, URLs, cursors or a bare list. No row comes twice.

    Args:
        get: reads a path with query parameters and returns its JSON.
        whole: whether all rows are needed, or all up to where the caller stops.

    Raises:
        IncompleteList: not all rows came, or in an order in which rows tie that is not certain.
    """
    known: set[Any] = set()
    for size in _SIZES:
        reading = _Reading(get, path, {**(params or {}), "page_size": size}, known, whole)
        yield from reading.pages()
        if not whole or reading.is_whole:
            return
        if reading.ties or reading.never_ends:
            break
    raise IncompleteList(path, reading.came, reading.least)


class _Reading:
    """One way through a list, from its first page to its last.

    Args:
        known: ids of the rows that came in this reading or in earlier ones.
        checked: whether it matters that nothing is missed.
    """

    def __init__(
        self,
        get: Callable[[str, Mapping[str, Any]], Any],
        path: str,
        query: dict[str, Any],
        known: set[Any],
        checked: bool,
    ) -> None:
        self._get = get
        self._path = path
        self._query = query
        self._known = known
        self._checked = checked
        ordering = query.get("ordering")
        self._joined_in_front = ordering in _JOINED_IN_FRONT
        #: Whether rows tie in its order.
        self.ties = ordering not in _WITHOUT_TIES
        #: Whether each page begins within the one before, as far as is known by now.
        self._overlaps = checked and not self._joined_in_front
        # In the first reading what was seen is what is known: one set of ids takes less memory than two.
        self._seen: set[Any] = set() if known else known
        self._nameless = 0
        self._count: int | None = None
        #: The smallest count that the list had meanwhile.
        self.least: int | None = None
        # Where in the list the page that is asked for begins, and the one before ended; and the furthest of these ends.
        self._start = self._end = self._furthest = 0
        # Rows that came twice without being asked for twice, and rows that joined.
        self._twice = self._grown = 0
        self._changed = False
        # In an order in which rows tie: its field, the last row, and whether pages met at rows that do not state it.
        self._field = str(ordering).lstrip("-")
        self._last: Any = None
        self._guessed = False
        self._stale = self._steps_back = 0
        self._cursors: set[str] = set()
        self._broken = False
        self.never_ends = False

    @property
    def came(self) -> int:
        """How many different rows came."""
        return len(self._seen) + self._nameless

    @property
    def is_whole(self) -> bool:
        """Whether no row was missed that was there all the time."""
        needed = self.least if self._excuses else self._count
        return not self._broken and (needed is None or self.came >= needed)

    @property
    def _excuses(self) -> bool:
        """Whether rows that joined meanwhile explain that some come twice, or do not come."""
        return self._joined_in_front or (self._overlaps and not self._guessed)

    def pages(self) -> Iterator[Page]:
        """The pages; it ends early where it is certain that something was missed, or not certain that nothing was."""
        query: dict[str, Any] | None = self._query
        for _number in range(_MOST_PAGES):
            if query is None:
                return
            body = self._body(query)
            rows, count = ([], None) if body is _GONE else _rows_of(self._path, body)
            shrunk = PAGE_SIZE if body is _GONE else self._note_count(count)
            if self._checked and self._has_missed():
                break
            if self._overlaps and not self._fits(query, rows, count):
                self._overlaps, self._start = False, self._end
            if self._checked and self._is_torn(rows, shrunk):
                query = self._further_in_front(query, shrunk)
                if query is None:
                    break
                continue
            if body is _GONE:
                return
            fresh = self._take(rows)
            if self._checked and self.ties and self._has_missed():
                break
            yield Page(fresh, count)
            query = self._following(query, body, len(rows)) if rows else None
        else:
            self.never_ends = True
        self._broken = True

    def _body(self, query: Mapping[str, Any]) -> Any:
        """The JSON of a page, or :data:`_GONE` where there is no such page any more."""
        try:
            return self._get(self._path, query)
        except ApiError as error:
            if error.status == 404 and "page" in query:
                return _GONE
            raise

    def _note_count(self, count: int | None) -> int:
        """Take down how long the list is now; by how much it shrank since the page before, less than 0 if it grew."""
        before, self._count = self._count, count
        if count is None:
            return 0
        self.least = count if self.least is None else min(self.least, count)
        growth = 0 if before is None else count - before
        self._grown += max(0, growth)
        self._changed = self._changed or growth != 0
        return -growth

    def _has_missed(self) -> bool:
        """Whether more rows came twice than are explained, so that others may be missing."""
        if self._guessed:
            return self._twice != 0 or self._changed
        if self.ties or self._count is None or self._steps_back:
            return False
        return self._twice > (self._grown if self._excuses else 0)

    def _fits(self, query: Mapping[str, Any], rows: list[Any], count: int | None) -> bool:
        """Whether a page has the size that was asked for, rather than one that the workspace gives all its pages."""
        size: int = query["page_size"]
        return len(rows) <= size if count is None else len(rows) == max(0, min(size, count - self._start))

    def _is_torn(self, rows: list[Any], shrunk: int) -> bool:
        """Whether rows may be missing between the page before and this one."""
        if self.ties:
            return self._start > 0 and not self._is_beyond_ties(rows)
        if 0 < self._start < self._end:
            return not any(_identity(row) in self._seen for row in rows)
        return shrunk > 0

    def _is_beyond_ties(self, rows: list[Any]) -> bool:
        """Whether this page begins in front of all rows that tie with the last one before, as far as rows tell."""
        first: Any = rows[0] if rows else None
        last = self._last
        if self._overlaps and _identity(first) not in self._seen:
            return False
        if self._overlaps and all(isinstance(row, dict) and self._field in row for row in (first, last)):
            return bool(first[self._field] != last[self._field])
        self._guessed = True
        return True

    def _further_in_front(self, query: Mapping[str, Any], shrunk: int) -> dict[str, Any] | None:
        """The query of a page that begins further in front, or None where there is none, or that helps no more."""
        if self.ties or "page" not in query or self._steps_back == len(_STEPS_BACK):
            return None
        # How many left is not known where others joined.
        first = max(0, self._start - max(shrunk, _STEPS_BACK[self._steps_back]))
        self._count = None
        self._steps_back += 1
        if self._overlaps:
            return self._beginning_by(first)
        size = max(1, self._start // max(1, query["page"] - 1))
        self._start = first // size * size
        return {**query, "page": first // size + 1}

    def _beginning_by(self, first: int) -> dict[str, Any]:
        """The query of the page that begins with this row, or one before it, and reaches furthest."""
        sizes = range(self._query["page_size"], 0, -1)
        size = max(sizes, key=lambda size: first // size * size + size)
        self._start = first // size * size
        return {**self._query, "page": first // size + 1, "page_size": size}

    def _take(self, rows: list[Any]) -> list[dict[str, Any]]:
        """The rows that had not come before."""
        before, fresh = self.came, []
        for row in rows:
            identity = _identity(row)
            if identity is None:
                self._nameless += 1
            else:
                is_known = identity in self._known
                self._seen.add(identity)
                self._known.add(identity)
                if is_known:
                    continue
            if isinstance(row, dict):
                fresh.append(row)
        new, asked_again = self.came - before, self._end - self._start
        self._end, self._last = self._start + len(rows), rows[-1] if rows else None
        if self._end > self._furthest:
            self._furthest = self._end
            self._twice += len(rows) - new - asked_again
            self._stale = 0 if new else self._stale + 1
        return fresh

    def _following(self, query: Mapping[str, Any], body: Any, length: int) -> dict[str, Any] | None:
        """The query of the next page, or None at the end."""
        following = _next_query(query, body)
        if following is None or self._stale >= _STALE_PAGES:
            return None
        if "cursor" in following:
            if following["cursor"] in self._cursors:
                return None
            self._cursors.add(following["cursor"])
        if self._count is not None and self._end >= self._count and not self._steps_back:
            # By its own count nothing can be left.
            self._broken = True
            return None
        is_next = following.get("page") == query.get("page", 1) + 1
        if self._overlaps and is_next and length == query["page_size"] and not self._nameless:
            return self._beginning_by(max(0, self._end - (2 if self.ties else 1)))
        self._overlaps, self._start = False, self._end
        return following


def _identity(row: Any) -> str | int | None:
    identity = row.get("id") if isinstance(row, dict) else None
    return identity if isinstance(identity, (str, int)) else None


def _rows_of(path: str, body: Any) -> tuple[list[Any], int | None]:
    rows: Any = None
    count: Any = None
    if isinstance(body, list):
        rows, count = body, len(body)
    elif isinstance(body, dict):
        rows, count = body.get("results"), body.get("count")
    # Rows that cannot be read cost nothing but themselves; a page of nothing else is no list.
    if isinstance(rows, list) and (not rows or any(isinstance(row, dict) for row in rows)):
        is_stated = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_ROWS
        return rows, count if is_stated else None
    raise LostResponse(f"GET {path}: the answer is not a list. Check that url is the one of an Alpacon workspace.")


def _next_query(query: Mapping[str, Any], body: Any) -> dict[str, Any] | None:
    """The query of the page after this one, or None at the end.

    ``next`` is a page number, a URL of which only ``page`` or ``cursor`` is read, a cursor, or null, 0 or absent;
    anything else ends the list.
    """
    following = body.get("next") if isinstance(body, dict) else None
    if isinstance(following, bool) or not isinstance(following, (int, float, str)) or not following:
        return None
    if isinstance(following, str) and not following.isdigit():
        try:
            following.encode("utf-8")  # what cannot be sent is no cursor
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
    # A server that points backwards would keep us reading for ever.
    return {**query, "page": page} if page > query.get("page", 1) else None
