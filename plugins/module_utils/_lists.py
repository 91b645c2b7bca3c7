# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Lists of the API, page by page, and whether all of a list came.

What can go wrong while a list is read, since nothing holds it still:

- rows that tie in its order come in another order for each page, so that some come twice and others never;
- rows that are added in front shift the rest back, so that some come twice;
- rows that are deleted shift the rest forward, so that some never come.

So whoever needs all of a list has it checked: a page is read anew where the count shrinks, and the list is read
again, in pages of another size, where rows came twice that nothing explains, or fewer than its count says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

from ._errors import ApiError, IncompleteList, LostAnswer

#: Rows on a page, as many as the API gives.
PAGE_SIZE = 100

#: Sizes of the pages of each reading: where others end, two rows that tie stand on one page.
_SIZES = (PAGE_SIZE, 97, 89)
#: How often a list is read at the most until all of it has come.
READINGS = len(_SIZES)
#: How often one reading goes back since the list shrank.
_STEPS_BACK = 5
#: How many pages in a row may bring nothing new.
_STALE_PAGES = 3
#: A paging that goes on for longer than this never ends.
_MOST_PAGES = 5000
_GONE = object()


@dataclass(frozen=True)
class Page:
    """One page of a list.

    Attributes:
        rows: those that had not come before.
        count: how many rows the whole list has, where the server says so.
        doubtful: whether rows came twice that nothing explains, so that others up to here may be missing.
    """

    rows: list[dict[str, Any]]
    count: int | None = None
    doubtful: bool = False


def pages(
    get: Callable[[str, Mapping[str, Any]], Any],
    path: str,
    params: Mapping[str, Any] | None = None,
    whole: bool = False,
    readings: int = READINGS,
) -> Iterator[Page]:
    """Read a list page by page, whatever its paging: page numbers, URLs, cursors or a bare list. No row comes twice.

    Args:
        get: reads a path with query parameters and returns its JSON.
        whole: whether all rows are needed, or all up to where the caller stops.
        readings: how often the list is read at the most until all of it came.

    Raises:
        IncompleteList: not all rows came.
    """
    known: set[Any] = set()
    for size in _SIZES[:readings]:
        reading = _Reading(get, path, {**(params or {}), "page_size": size}, known, whole)
        yield from reading.pages()
        if not whole or reading.is_whole:
            return
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
        # In the first reading what was seen is what is known: one set of ids takes less memory than two.
        self._seen: set[Any] = set() if known else known
        self._nameless = 0
        self._count: int | None = None
        self._first: int | None = None
        #: The smallest count that the list had meanwhile.
        self.least: int | None = None
        # Of the pages that were not read anew: the highest, their rows, and those that had come before.
        self._furthest = self._received = self._twice = 0
        self._stale = self._steps_back = 0
        self._cursors: set[str] = set()
        self._broken = False

    @property
    def came(self) -> int:
        """How many different rows came."""
        return len(self._seen) + self._nameless

    @property
    def is_whole(self) -> bool:
        """Whether no row was missed that was there all the time."""
        return not self._broken and (self.least is None or self.came >= self.least)

    def pages(self) -> Iterator[Page]:
        """The pages; it ends early where it is certain that something was missed."""
        query: dict[str, Any] | None = self._query
        for _number in range(_MOST_PAGES):
            if query is None:
                return
            body = self._body(query)
            shrunk = self._note_count(body)
            if self._checked and self._has_missed():
                break
            if self._checked and shrunk:
                self._count = None
                self._steps_back += 1
                if "page" not in query or self._steps_back > _STEPS_BACK:
                    break
                query = {**query, "page": max(1, query["page"] - 1 - math.ceil(shrunk / query["page_size"]))}
                continue
            if body is _GONE:
                return
            rows, count = _rows_of(self._path, body)
            fresh = self._take(rows, query)
            yield Page(fresh, count, self._has_missed())
            query = self._following(query, body) if rows else None
        self._broken = True

    def _body(self, query: Mapping[str, Any]) -> Any:
        """The JSON of a page, or :data:`_GONE` where there is no such page any more."""
        try:
            return self._get(self._path, query)
        except ApiError as error:
            if error.status == 404 and "page" in query:
                return _GONE
            raise

    def _note_count(self, body: Any) -> int:
        """Take down how long the list is now; by how much it shrank since the page before."""
        if body is _GONE:
            return PAGE_SIZE
        _rows, count = _rows_of(self._path, body)
        before, self._count = self._count, count
        if count is None:
            return 0
        self._first = count if self._first is None else self._first
        self.least = count if self.least is None else min(self.least, count)
        return max(0, before - count) if before is not None else 0

    def _has_missed(self) -> bool:
        """Whether more rows came twice than were added in front."""
        if self._count is None or self._first is None or self._steps_back:
            return False
        return self._twice > self._count - self._first

    def _take(self, rows: list[Any], query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows that had not come before."""
        before, fresh = self.came, []
        for row in rows:
            identity = row.get("id") if isinstance(row, dict) else None
            if not isinstance(identity, (str, int)):
                self._nameless += 1
            else:
                is_known = identity in self._known
                self._seen.add(identity)
                self._known.add(identity)
                if is_known:
                    continue
            if isinstance(row, dict):
                fresh.append(row)
        number = query.get("page", 1)
        if number > self._furthest or "cursor" in query:
            new = self.came - before
            self._furthest = number
            self._received += len(rows)
            self._twice += len(rows) - new
            self._stale = 0 if new else self._stale + 1
        return fresh

    def _following(self, query: Mapping[str, Any], body: Any) -> dict[str, Any] | None:
        """The query of the next page, or None at the end."""
        following = _next_query(query, body)
        if following is None or self._stale >= _STALE_PAGES:
            return None
        if "cursor" in following:
            if following["cursor"] in self._cursors:
                return None
            self._cursors.add(following["cursor"])
        if self._count is not None and self._received >= self._count and not self._steps_back:
            # By its own count nothing can be left.
            self._broken = True
            return None
        return following


def _rows_of(path: str, body: Any) -> tuple[list[Any], int | None]:
    rows: Any = None
    count: Any = None
    if isinstance(body, list):
        rows, count = body, len(body)
    elif isinstance(body, dict):
        rows, count = body.get("results"), body.get("count")
    # Rows that cannot be read cost nothing but themselves; a page of nothing else is no list.
    if isinstance(rows, list) and (not rows or any(isinstance(row, dict) for row in rows)):
        return rows, count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
    raise LostAnswer(f"GET {path}: the answer is not a list. Check that url is the one of an Alpacon workspace.")


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
