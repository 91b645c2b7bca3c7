# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of commands, and the circuit breaker."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, ApiError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, to_iso
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_query import (
    CircuitBreaker,
    Query,
    check_order,
    find_commands,
    sort_commands,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    current_row,
    old_row,
)

BOB = "9e2e4c06-8052-4d6b-92b7-9204081e4126"
ADDED = datetime(2026, 11, 24, 10, 30, 44, tzinfo=timezone.utc)
BEFORE = ADDED.replace(hour=9)
AFTER = ADDED.replace(hour=11)


@pytest.mark.parametrize(
    ("filters", "accepted"),
    [
        ({"server_id": OTHER_SERVER}, False),
        ({"shell": "osquery"}, False),
        ({"line": " uptime\n"}, True),
        ({"line": "upti"}, False),
        ({"statuses": frozenset(("failed",))}, False),
        ({"success": True}, True),
        ({"success": False}, False),
        ({"requested_by": BOB.upper()}, True),
        ({"requested_by": SERVER}, False),
        ({"requested_by_isnull": False}, True),
        ({"requested_by_isnull": True}, False),
        ({"since": ADDED}, True),
        ({"since": AFTER}, False),
        ({"until": ADDED}, True),
        ({"until": BEFORE}, False),
        ({"is_scheduled": False}, True),
        ({"is_scheduled": True}, False),
    ],
)
def test_every_filter_is_checked_on_every_row(filters: dict[str, Any], accepted: bool) -> None:
    row = current_row(status="success", success=True, exit_code=0)
    assert Query(**filters).accepts(Command.from_row(row)) is accepted


@pytest.mark.parametrize("status", ["denied", "running", "error"])
def test_success_selects_commands_that_ran(status: str) -> None:
    assert not Query(success=False).accepts(Command.from_row(current_row(status=status)))


def test_a_command_of_a_service_token_has_no_requester() -> None:
    command = Command.from_row(current_row(requested_by=None))
    assert Query(requested_by_isnull=True).accepts(command)
    assert not Query(requested_by_isnull=False).accepts(command)
    assert not Query(requested_by=BOB).accepts(command)


@pytest.mark.parametrize(
    ("row", "scheduled"),
    [
        (current_row(status="scheduled", scheduled_at="2999-01-01T00:00:00Z"), True),
        (current_row(status="queued"), False),
        (old_row("Scheduled", cancellable=True), True),
        (old_row("Queued", cancellable=True), False),
    ],
)
def test_is_scheduled_selects_commands_in_the_future(row: dict[str, Any], scheduled: bool) -> None:
    command = Command.from_row(row)
    assert Query(is_scheduled=True).accepts(command) is scheduled
    assert Query(is_scheduled=False).accepts(command) is not scheduled


@pytest.mark.parametrize(
    ("added", "at", "as_scheduled", "as_not"),
    [
        ("2026-11-24T10:30:44.7Z", "2026-11-24T10:30:44.7Z", False, True),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:30:44.7Z", True, True),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:30:45.1Z", True, False),
    ],
)
def test_a_command_due_this_second_is_accepted_both_ways(added: str, at: str, as_scheduled: bool, as_not: bool) -> None:
    command = Command.from_row(current_row(status="queued", added_at=added, scheduled_at=at))
    now = datetime(2026, 11, 24, 10, 30, 44, tzinfo=timezone.utc)
    assert Query(is_scheduled=True, now=now).accepts(command) is as_scheduled
    assert Query(is_scheduled=False, now=now).accepts(command) is as_not


@pytest.mark.parametrize(
    ("search", "row", "accepted"),
    [
        ("up,web", current_row(requested_by=None), True),
        ("web reboot", current_row(requested_by=None), False),
        # The search may match the user name, which rows do not show.
        ("reboot", current_row(), True),
        # The search may match the server name, which this row does not show.
        ("db", current_row(server=SERVER, requested_by=None), True),
    ],
)
def test_a_search_rejects_rows_without_its_words(search: str, row: dict[str, Any], accepted: bool) -> None:
    assert Query(search=search).accepts(Command.from_row(row)) is accepted


def test_the_parameters_of_the_api() -> None:
    query = Query(server_id=SERVER, requested_by="1", requested_by_isnull=True, is_scheduled=False, search="a b")
    assert query.parameters == {
        "server": SERVER,
        "requested_by": "1",
        "requested_by_isnull": "true",
        "is_scheduled": "false",
        "search": "a b",
    }
    assert Query(line="true", success=True, since=ADDED, statuses=frozenset(("failed",))).parameters == {}


@pytest.mark.parametrize(
    ("query", "past"),
    [(Query(since=AFTER), True), (Query(since=ADDED), False), (Query(since=AFTER, ordering="added_at"), False)],
)
def test_a_list_ends_at_the_first_command_that_is_too_old(query: Query, past: bool) -> None:
    assert query.ends_at(Command.from_row(current_row())) is past


@pytest.mark.parametrize(
    ("hours", "ordering", "ordered"),
    [
        ([3, 2, 1], "-added_at", True),
        ([1, 2, 3], "-added_at", False),
        ([3, 1], "added_at", False),
        ([3, 1], "-handled_at", True),
    ],
)
def test_check_order(hours: list[int], ordering: str, ordered: bool) -> None:
    commands = [Command.from_row(current_row(added_at=f"2026-11-24T0{hour}:00:00Z")) for hour in hours]
    assert (check_order(commands, ordering) == "") is ordered


def client_of(rows: Iterable[dict[str, Any]]) -> Any:
    """Return a client whose workspace lists these rows at the time AFTER."""
    return SimpleNamespace(rows=lambda _path, _query: iter(rows), clock=SimpleNamespace(now=lambda: AFTER))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"since": timedelta(hours=1)}, True),
        ({"since": timedelta(minutes=59)}, False),
        ({"until": timedelta(minutes=61)}, False),
        ({"since": timedelta(hours=2), "until": ADDED}, True),
        ({"since": ADDED, "until": timedelta(minutes=59)}, True),
    ],
)
def test_ages_are_measured_by_the_clock_of_the_workspace(filters: dict[str, Any], found: bool) -> None:
    assert bool(find_commands(client_of([current_row()]), Query(**filters), 0)) is found


def test_an_age_that_is_later_than_a_time_is_refused() -> None:
    with pytest.raises(UsageError, match="since: it is later than until"):
        find_commands(client_of([current_row()]), Query(since=timedelta(minutes=30), until=ADDED), 0)


def test_a_time_in_the_future_is_refused() -> None:
    with pytest.raises(UsageError, match="is in the future"):
        find_commands(client_of([current_row()]), Query(since=ADDED + timedelta(days=9999)), 0)


def test_a_time_may_be_ahead_of_the_clock_of_the_workspace() -> None:
    client = client_of([current_row()])
    assert find_commands(client, Query(since=client.clock.now() + timedelta(minutes=1)), 0) == []


def test_rows_of_pages_that_were_read_again_are_sorted() -> None:
    rows = [current_row(id=f"{hour}" * 8 + NO_COMMAND[8:], added_at=f"2026-11-24T0{hour}:00:00Z") for hour in (3, 1, 2)]
    commands = find_commands(client_of(rows), Query(), 0)
    assert [str(command.added_at)[12] for command in commands] == ["3", "2", "1"]


def test_rejected_rows_take_no_memory() -> None:
    rows = (current_row(id=f"{number:08d}{NO_COMMAND[8:]}", result="x" * 2_000) for number in range(2_000))
    tracemalloc.start()
    try:
        assert find_commands(client_of(rows), Query(line="nothing like it"), 0) == []
        assert tracemalloc.get_traced_memory()[1] < 400_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_missing_time_is_sorted_as_the_latest(sign: str) -> None:
    times = ["2026-11-24T01:00:00Z", None, "2026-11-24T03:00:00Z"]
    commands = [Command.from_row(current_row(delivered_at=time, acked_at=None)) for time in times]
    found = [to_iso(command.delivered_at) for command in sort_commands(commands, f"{sign}delivered_at")]
    assert found == ([times[0], times[2], None] if not sign else [None, times[2], times[0]])


# The circuit breaker


def count_reads(statuses: list[int]) -> int:
    """Count the reads through a circuit breaker; status 200 is a success, and 0 a failed connection."""
    reads: list[int] = []

    def read(status: int) -> int:
        reads.append(status)
        if status != 200:
            raise ApiError("GET", "/", status) if status else AlpaconError("no connection")
        return status

    breaker = CircuitBreaker()
    for status in statuses:
        with suppress(AlpaconError):
            breaker.call(partial(read, status))
    return len(reads)


@pytest.mark.parametrize("failure", [0, 401, 408, 429, 500, 503])
def test_two_consecutive_failures_stop_the_reads(failure: int) -> None:
    assert count_reads([failure, failure, 200, 200]) == 2
    assert count_reads([failure, 200, failure, failure, 200]) == 4


@pytest.mark.parametrize("refusal", [400, 403, 404, 499])
def test_a_refusal_does_not_stop_the_reads(refusal: int) -> None:
    assert count_reads([refusal, refusal, refusal, 200]) == 4
    assert count_reads([500, refusal, 500, 200]) == 4
