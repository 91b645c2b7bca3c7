# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The commands of some servers, with as few requests as possible."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Callable

from .client import Client
from .commands import COMMANDS_PATH, Match, list_commands
from .errors import ApiError, IncompleteList
from .lists import LATEST_DUE_FIRST, NEWEST_FIRST, PAGE_SIZE, Page
from .records import Command, last_moment, readable

_LATEST_SCHEDULE_FIRST = "-scheduled_at"
#: What to say where no answer tells the workspace's clock, or a proxy's clock contradicts it.
NO_CLOCK = (
    "reuse_within: the workspace's clock is not known, since no answer states it, or commands ended later than the Date"
    " of the answer. So no command is reused. If a proxy sets the Date, correct its clock."
)
#: A time that lies so far ahead is to come by every clock, and stays so while a list is read.
_CERTAIN_FUTURE = timedelta(minutes=5)
#: How long the agent lets a command run, unless it is told otherwise.
_LONGEST_RUN = timedelta(minutes=30)


def commands_of(
    client: Client, server_ids: Sequence[str], ordering: str, ends: Callable[[Command], bool]
) -> list[Command]:
    """The commands of some servers, with as few requests as possible; each comes once, in no certain order.

    One server is asked for by itself. For more, the whole list is read as long as that costs no more requests
    than asking for each of them; then each is asked for.

    Args:
        ordering: in which they are read; where rows tie in it over pages, they are read in one without ties instead.
        ends: whether nothing from this command on is wanted.

    Raises:
        IncompleteList: not all of them came.
    """
    commands = _walk_whole_list(client, server_ids, ordering, ends)
    if commands is not None:
        return commands
    return [command for server_id in server_ids for command in _walk_one(client, server_id, ordering, ends)]


def pending_of(client: Client, server_ids: Sequence[str]) -> list[Command]:
    """The commands of some servers that may still be pending, and others; as for :func:`commands_of`.

    The list of a server is read up to where :class:`_EndOfPending` says so.
    """
    commands = _walk_whole_list(client, server_ids)
    if commands is not None:
        return commands
    return [
        command
        for server_id in server_ids
        for command in _walk_one(client, server_id, _LATEST_SCHEDULE_FIRST, _EndOfPending(client))
    ]


def scheduled_for(client: Client, server_ids: Sequence[str], time: datetime) -> list[Command]:
    """The commands of some servers that are scheduled for that very time, and others; as for :func:`commands_of`."""
    wanted = frozenset(server_ids)
    if len(wanted) > 1 and _certain_future(client, time):
        commands = _walk_future(client, wanted, time)
        if commands is not None:
            return commands
    return commands_of(
        client,
        server_ids,
        _LATEST_SCHEDULE_FIRST,
        lambda command: command.latest_schedule is not None and last_moment(command.latest_schedule) < time,
    )


def ended_within(client: Client, server_ids: Sequence[str], seconds: float) -> Iterator[Command]:
    """The commands of some servers that ended no longer ago, by the workspace's clock; as for :func:`commands_of`.

    One that waited or ran for more than half an hour after it was due must have been due no longer than half an hour
    before that. In lists of 2024, which do not say when a command was due, that is when it was submitted.
    None is given where no answer tells that clock.
    """

    def since() -> datetime:
        # The first answer tells the offset between both clocks.
        return client.clock.now() - timedelta(seconds=seconds)

    def is_older(command: Command) -> bool:
        due = command.scheduled_at or command.added_at
        return not client.clock.is_known or (due is not None and due < since() - _LONGEST_RUN)

    commands = commands_of(client, server_ids, LATEST_DUE_FIRST, is_older)
    earliest = since()
    return (command for command in commands if client.clock.is_known and command.end and command.end >= earliest)


def latest_ended(
    client: Client,
    matches: Iterable[Match],
    seconds: float,
    accept: Callable[[Command], Command | None],
) -> dict[Match, Command]:
    """For each match, with its server and line, the accepted command that ended last; as for :func:`ended_within`.

    Args:
        accept: returns a command that counts, with what else should be known of it, or None.
    """
    by_line: dict[tuple[str | None, str], list[Match]] = {}
    for match in matches:
        by_line.setdefault((match.server_id, (match.line or "").strip()), []).append(match)
    latest: dict[Match, Command] = {}
    ids = list(dict.fromkeys(str(server_id) for server_id, _line in by_line))
    for command in ended_within(client, ids, seconds):
        alike = by_line.get((command.server.id, command.line.strip()), ())
        fitting = [match for match in alike if match.matches(command)]
        accepted = accept(command) if fitting else None
        if accepted is None:
            continue
        for match in fitting:
            if match not in latest or end_of(latest[match]) < end_of(accepted):
                latest[match] = accepted
    return latest


def end_of(command: Command) -> datetime:
    """When a command ended, so that those are the first of which nobody knows."""
    return command.end or datetime.min.replace(tzinfo=timezone.utc)


def _walk_whole_list(
    client: Client,
    server_ids: Sequence[str],
    ordering: str = NEWEST_FIRST,
    ends: Callable[[Command], bool] | None = None,
) -> list[Command] | None:
    """The commands of several servers out of the whole list, or None where each is to be asked for."""
    wanted = frozenset(server_ids)
    if len(wanted) < 2:
        return None
    try:
        return _walk_all(client, wanted, ordering, ends)
    except IncompleteList:
        return _walk_all_or_none(client, wanted)


def _walk_all(
    client: Client,
    wanted: frozenset[str],
    ordering: str = NEWEST_FIRST,
    ends: Callable[[Command], bool] | None = None,
) -> list[Command] | None:
    """The commands of the wanted servers out of the whole list, or None where that costs too many requests."""
    commands: list[Command] = []
    pages = client.pages(COMMANDS_PATH, {"ordering": ordering}, whole=True)
    for number, page in enumerate(pages, start=1):
        for command in _commands_on(client, page):
            if ends and ends(command):
                return commands
            if command.server.id in wanted:
                commands.append(command)
        left = (page.count or 0) - number * PAGE_SIZE
        too_many = number >= len(wanted) if ends else number + left // PAGE_SIZE >= len(wanted)
        if left > 0 and too_many:
            return None
    return commands


def _commands_on(client: Client, page: Page) -> list[Command]:
    """Return the commands of a page, and let the clock know what has happened to them."""
    commands, now = list(readable(page.rows)), time.time()
    past = [moment for command in commands for moment in (command.added_at, command.handled_at) if moment]
    if past:
        client.clock.read_past(max(past), now)
    return commands


def _walk_all_or_none(client: Client, wanted: frozenset[str]) -> list[Command] | None:
    """The commands of the wanted servers by age, in which no rows tie, or None also where not all came."""
    try:
        return _walk_all(client, wanted)
    except IncompleteList:
        return None


def _certain_future(client: Client, time: datetime) -> bool:
    return time > client.clock.now() + _CERTAIN_FUTURE


def _walk_future(client: Client, wanted: frozenset[str], time: datetime) -> list[Command] | None:
    """The commands whose time is to come, or None where that time is not, or the workspace ignores that filter."""
    commands: list[Command] = []
    pages = client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, "is_scheduled": "true"}, whole=True)
    try:
        for page in pages:
            rows = list(readable(page.rows))
            earliest = client.clock.now() - _CERTAIN_FUTURE
            # The first answer tells the offset between both clocks, if any does.
            if not client.clock.is_known or not _certain_future(client, time):
                return None
            if any(not row.scheduled_at or row.scheduled_at < earliest for row in rows):
                return None
            commands += [row for row in rows if row.server.id in wanted]
            if (page.count or 0) > len(wanted) * PAGE_SIZE:
                return None
    except IncompleteList:
        return None
    return commands


def _walk_one(client: Client, server_id: str, ordering: str, ends: Callable[[Command], bool]) -> list[Command]:
    try:
        commands = _read_until(client, server_id, ordering, ends)
    except IncompleteList:
        commands = list(list_commands(client, server=server_id))
    except ApiError as error:
        # So workspaces of 2024 say that there is no such server, as others do by an empty list.
        if error.status == 400 and error.text.startswith("server: "):
            return []
        raise
    return [command for command in commands if command.server.id == server_id]


def _read_until(client: Client, server_id: str, ordering: str, ends: Callable[[Command], bool]) -> list[Command]:
    commands: list[Command] = []
    query = {"ordering": ordering, "server": server_id}
    for page in client.pages(COMMANDS_PATH, query, whole=True):
        for command in _commands_on(client, page):
            if ends(command):
                return commands
            commands.append(command)
    return commands


class _EndOfPending:
    """Tells the stretch of a server's list, latest schedule first, behind which nothing can be pending any more.

    What a server has not been sent yet is younger than what it has been sent, but for commands that are held
    or wait for another: those are looked for among the last day and the last hundred.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._rows = 0

    def __call__(self, command: Command) -> bool:
        due, since = command.latest_schedule, self._client.clock.now() - timedelta(days=1)
        over = not command.pending and due is not None and due < since
        self._rows = self._rows + 1 if over else 0
        return self._rows > PAGE_SIZE
