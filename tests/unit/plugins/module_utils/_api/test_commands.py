# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the commands API: submits, comparisons, and how far lists are read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    Match,
    find_latest_ended,
    list_server_commands,
    list_waiting_on,
    submit,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, IncompleteList, TimeHasPassed
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lists import NEWEST_FIRST, PAGE_SIZE, Page
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import ApiResponse
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
    old_row,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(("ahead", "is_sent"), [(1, True), (0, False), (-1, False)])
def test_a_command_that_is_due_already_is_not_submitted(ahead: int, is_sent: bool) -> None:
    def write(_method: str, _path: str, _body: Row, before_each: Callable[[], None]) -> ApiResponse:
        before_each()
        return ApiResponse(201, current_row(added_at=None), 0.0, 0.0)

    client: Any = SimpleNamespace(write=write, clock=SimpleNamespace(now=lambda: NOW))
    body = {"scheduled_at": (NOW + timedelta(microseconds=ahead)).isoformat()}
    with contextlib.nullcontext() if is_sent else pytest.raises(TimeHasPassed):
        assert submit(client, body).line == "uptime"


# Matches


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        (Match(), True),
        (Match(SERVER, "uptime", "system", "root", "root"), True),
        (Match(line=" uptime "), True),
        (Match(OTHER_SERVER), False),
        (Match(line="uptime -s"), False),
        (Match(shell="osquery"), False),
        (Match(username="bob"), False),
        (Match(groupname="wheel"), False),
    ],
)
@pytest.mark.parametrize("row", [current_row(), old_row("Queued")])
def test_fields_that_a_match_compares(match: Match, matches: bool, row: Row) -> None:
    assert match.matches(Command.from_row(row)) is matches


def test_a_row_without_a_username_matches_any() -> None:
    row = old_row("Queued", username=None, groupname=None)
    assert Match(SERVER, "uptime", "system", "root", "root").matches(Command.from_row(row))


# Lists

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


class Listing:
    """Return the same rows for any query, like a client with a clock; incomplete for several servers if it is torn."""

    def __init__(self, rows: list[Row], is_torn: bool = False) -> None:
        self.clock = self
        self.is_known = True
        #: The query of each page.
        self.asked: list[Mapping[str, Any]] = []
        self._rows = rows
        self._is_torn = is_torn

    def now(self) -> datetime:
        return NOW

    def observe_past(self, moment: datetime, local: float) -> None:
        pass

    def pages(self, _path: str, query: Mapping[str, Any], whole: bool) -> Iterator[Page]:
        assert whole
        for first in range(0, len(self._rows), PAGE_SIZE):
            self.asked.append(query)
            yield Page(self._rows[first : first + PAGE_SIZE], len(self._rows))
            if self._is_torn and "server" not in query:
                raise IncompleteList("/", 1, 2)


def listing(*rows: Row) -> Any:
    return Listing(list(rows))


def over(due: datetime, end: datetime = NOW, **fields: Any) -> Row:
    """Return the row of a command that was due at a time and has ended."""
    times = {name: due.isoformat() for name in ("added_at", "scheduled_at", "delivered_at", "acked_at")}
    return current_row(status="success", success=True, handled_at=end.isoformat(), **{**times, **fields})


def never(_command: Command) -> bool:
    return False


@pytest.mark.parametrize(("count", "pages"), [(150, 2), (200, 2), (201, 2 + 2 * 3)])
def test_the_list_of_all_is_read_if_it_has_no_more_pages_than_servers(count: int, pages: int) -> None:
    client = listing(*[current_row()] * count)
    list_server_commands(client, [SERVER, OTHER_SERVER], NEWEST_FIRST, never)
    assert len(client.asked) == pages
    assert client.asked[-1].get("server") == (OTHER_SERVER if count > 200 else None)


def test_the_list_of_one_server_is_read_to_its_end_condition() -> None:
    client = listing(current_row(), *[current_row(id=NO_COMMAND)] * 200)
    commands = list_server_commands(client, [SERVER], NEWEST_FIRST, lambda command: command.id == NO_COMMAND)
    assert [command.id for command in commands] == [COMMAND]
    assert client.asked == [{"ordering": NEWEST_FIRST, "server": SERVER}]


def test_rows_of_other_servers_are_dropped_where_a_filter_is_ignored() -> None:
    client = listing(current_row(), current_row(id=NO_COMMAND, server={"id": OTHER_SERVER}))
    assert [command.id for command in list_server_commands(client, [SERVER], NEWEST_FIRST, never)] == [COMMAND]


@pytest.mark.parametrize(("count", "pages"), [(200, 2), (201, 1)])
def test_a_long_list_of_scheduled_commands_is_not_read(count: int, pages: int) -> None:
    time = NOW + DAY
    client = listing(*[current_row(status="scheduled", scheduled_at=time.isoformat())] * count)
    assert len(list_waiting_on(client, [SERVER, OTHER_SERVER], time)) == count
    assert sum("is_scheduled" in query for query in client.asked) == pages


def test_each_list_is_read_if_the_list_of_all_is_incomplete() -> None:
    time = NOW + DAY
    rows = [current_row(server=server, scheduled_at=time.isoformat()) for server in (SERVER, OTHER_SERVER)]
    client: Any = Listing(rows, is_torn=True)
    for commands in (
        list_server_commands(client, [SERVER, OTHER_SERVER], NEWEST_FIRST, never),
        list_waiting_on(client, [SERVER, OTHER_SERVER], time),
    ):
        assert [command.server.id for command in commands] == [SERVER, OTHER_SERVER]


@pytest.mark.parametrize(("later", "latest"), [(SECOND, NO_COMMAND), (0 * SECOND, COMMAND)])
def test_the_command_that_ended_last_is_found(later: timedelta, latest: str) -> None:
    client = listing(over(NOW, NOW - MINUTE), over(NOW - SECOND, NOW - MINUTE + later, id=NO_COMMAND))
    wanted = Match(SERVER, "uptime")
    found = find_latest_ended(client, [wanted], 3600, lambda command: command)
    assert found[wanted].id == latest


@pytest.mark.parametrize(
    ("ended", "waited", "is_found"),
    [
        (MINUTE, 30 * MINUTE, True),
        (MINUTE, 30 * MINUTE + SECOND, False),
        (MINUTE + SECOND, 2 * SECOND, False),
    ],
)
def test_the_search_for_ended_commands_goes_half_an_hour_further_back(
    ended: timedelta, waited: timedelta, is_found: bool
) -> None:
    row = over(NOW - MINUTE - waited, NOW - ended)
    assert bool(find_latest_ended(listing(row), [Match(SERVER, "uptime")], 60, lambda command: command)) is is_found


@pytest.mark.parametrize(("age", "count", "found"), [(DAY + SECOND, 100, 2), (DAY + SECOND, 101, 1), (DAY, 101, 2)])
def test_pending_commands_are_searched_among_the_last_day_and_the_last_hundred(
    age: timedelta, count: int, found: int
) -> None:
    client = listing(current_row(), *[over(NOW - age)] * count, current_row())
    assert sum(command.pending for command in list_waiting_on(client, [SERVER])) == found


def test_a_pending_command_among_ended_ones_prolongs_the_search() -> None:
    some = [*[over(NOW - DAY - SECOND)] * 60, current_row()]
    assert sum(command.pending for command in list_waiting_on(listing(*some, *some, *some), [SERVER])) == 3


def test_commands_for_a_time_are_read_up_to_the_first_that_is_certainly_earlier() -> None:
    times = [NOW.isoformat(), None, (NOW - SECOND).isoformat(), (NOW - 2 * SECOND).isoformat(), NOW.isoformat()]
    rows = [current_row(scheduled_at=time) for time in times]
    assert len(list_waiting_on(listing(*rows), [SERVER], NOW)) == 3


@pytest.mark.parametrize(
    ("status", "text", "is_unknown"),
    [(400, "server: Select a valid choice.", True), (400, "ordering: No.", False), (403, "server: No.", False)],
)
def test_a_server_that_the_workspace_of_2024_does_not_know_has_no_commands(
    status: int, text: str, is_unknown: bool
) -> None:
    def pages(*_query: Any, whole: bool) -> None:
        raise ApiError("GET", "/", status, text=text)

    client: Any = SimpleNamespace(pages=pages)
    with contextlib.nullcontext() if is_unknown else pytest.raises(ApiError):
        assert list_server_commands(client, [SERVER], NEWEST_FIRST, never) == []
