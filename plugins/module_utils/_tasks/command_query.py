# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which commands are wanted: filters that the server applies, each checked again on every row, and our own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Callable, TypeVar

from .._api.client import Client
from .._api.commands import list_commands
from .._api.errors import AlpaconError, ApiError, IncompleteList, UsageError, did_you_mean
from .._api.lists import NEWEST_FIRST
from .._api.records import STATUSES, Command, Server, parse_status
from .._api.settings import Warn
from .._fleet.sharing import resolve_servers
from .._options import values

ORDERINGS = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")
#: Answers state the time of the workspace in steps of this.
_CLOCK_STEP = timedelta(seconds=1)
#: Options that narrow a listing: those that the API knows, and ours.
FILTERS = (
    "server",
    "shell",
    "requested_by",
    "requested_by_isnull",
    "is_scheduled",
    "search",
    "status",
    "success",
    "line",
    "since",
    "until",
)


@dataclass(frozen=True)
class Query:
    """What to look for. What is None is not asked for.

    Servers ignore filters that they do not know, so :meth:`accepts` decides over every row.

    Attributes:
        server_name: the name of that server, if it is known.
        since: when commands were submitted at the earliest.
        since_age: how long ago that is at the most, in place of ``since``; see :meth:`at`.
        until: when commands were submitted at the latest.
        until_age: how long ago that is at least, in place of ``until``.
        now: the time by the workspace's clock, if that is known.
    """

    server_id: str | None = None
    server_name: str | None = None
    shell: str | None = None
    requested_by: str | None = None
    requested_by_isnull: bool | None = None
    is_scheduled: bool | None = None
    search: str | None = None
    ordering: str = NEWEST_FIRST
    statuses: frozenset[str] = frozenset()
    success: bool | None = None
    line: str | None = None
    since: datetime | None = None
    since_age: timedelta | None = None
    until: datetime | None = None
    until_age: timedelta | None = None
    now: datetime | None = None

    @classmethod
    def from_options(cls, client: Client, options: Mapping[str, Any]) -> Query:
        """Check the options of M(herdops.alpacon.alpacon_command_info) and resolve the server's name."""
        since, since_age = _moment_or_age(options, "since")
        until, until_age = _moment_or_age(options, "until")
        _check_span(since, until)
        if since_age is not None and until_age is not None and since_age < until_age:
            raise _swapped()
        named = options.get("server")
        [server] = resolve_servers(client, [named], "server") if named else [Server(None)]
        return cls(
            server_id=server.id,
            server_name=server.name,
            shell=options.get("shell") or None,
            requested_by=options.get("requested_by") or None,
            requested_by_isnull=options.get("requested_by_isnull"),
            is_scheduled=options.get("is_scheduled"),
            search=options.get("search") or None,
            ordering=options.get("ordering") or NEWEST_FIRST,
            statuses=statuses(options),
            success=options.get("success"),
            line=options.get("line") or None,
            since=since,
            since_age=since_age,
            until=until,
            until_age=until_age,
        )

    def at(self, now: datetime) -> Query:
        """This query with times in place of ages.

        Args:
            now: the time by the workspace's clock.
        """
        since = self.since if self.since_age is None else now - self.since_age
        until = self.until if self.until_age is None else now - self.until_age
        _check_span(since, until)
        return replace(self, since=since, until=until, now=now)

    @property
    def parameters(self) -> dict[str, str]:
        """What of it the API filters, as query parameters."""
        asked = {
            "server": self.server_id,
            "shell": self.shell,
            "requested_by": self.requested_by,
            "requested_by_isnull": self.requested_by_isnull,
            "is_scheduled": self.is_scheduled,
            "search": self.search,
        }
        return {name: _parameter(value) for name, value in asked.items() if value is not None}

    def accepts(self, command: Command) -> bool:
        """Whether a command is wanted, as far as its row says."""
        return (
            self.server_id in (None, command.server.id)
            and self.shell in (None, command.shell)
            and (self.line is None or self.line.strip() == command.line.strip())
            and (not self.statuses or command.status in self.statuses)
            and (self.success is None or self._accepts_success(command))
            and self._accepts_requester(command)
            and self._accepts_time(command)
            and self._accepts_schedule(command)
            and (self.search is None or _may_match(self.search, command))
        )

    def _accepts_success(self, command: Command) -> bool:
        return command.is_handled and command.ran is not False and self.success == command.succeeded

    def _accepts_requester(self, command: Command) -> bool:
        if not command.states_requester:
            return True
        if self.requested_by_isnull is not None and self.requested_by_isnull != (command.requested_by is None):
            return False
        return self.requested_by is None or self.requested_by.lower() == (command.requested_by or "").lower()

    def _accepts_time(self, command: Command) -> bool:
        added = command.added_at
        if added is None:
            return self.since is None and self.until is None
        return (self.since is None or added >= self.since) and (self.until is None or added <= self.until)

    def is_past(self, command: Command) -> bool:
        """Whether, in this order, nothing after this command can be wanted."""
        return bool(self.since and self.ordering == NEWEST_FIRST and command.added_at and command.added_at < self.since)

    def _accepts_schedule(self, command: Command) -> bool:
        if self.is_scheduled is None:
            return True
        if command.scheduled_at is None:
            return self.is_scheduled == (command.status == "scheduled")
        now = self.now or datetime.now(timezone.utc)
        # By its clock it is somewhat later: what may be due already is only dropped from what is to come.
        due = now if self.is_scheduled else now + _CLOCK_STEP
        return self.is_scheduled == (command.was_scheduled and command.scheduled_at > due)


def _moment_or_age(options: Mapping[str, Any], name: str) -> tuple[datetime | None, timedelta | None]:
    given = values.parse_timestamp_or_age(name, options[name]) if options.get(name) else None
    return (None, given) if isinstance(given, timedelta) else (given, None)


def _check_span(since: datetime | None, until: datetime | None) -> None:
    if since and until and since > until:
        raise _swapped()


def _swapped() -> UsageError:
    return UsageError("since", "it is later than until", "Swap them.")


def _parameter(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _may_match(search: str, command: Command) -> bool:
    """Whether a row can be a hit: each word stands in a field that the API searches, where the row shows them all."""
    fields = (command.server.name, command.server.id, command.line, command.result, command.requested_by_name)
    text = "\n".join(field for field in fields if field).lower()
    words = [word.strip("\"'") for word in re.split(r"[\s,]+", search.lower())]
    # A name of the requester that rows do not show (user name against full name) may be what matched.
    hidden = command.server.name is None or command.requested_by is not None
    return hidden or all(word in text for word in words)


def find(client: Client, query: Query, limit: int) -> list[Command]:
    """List the commands that a query wants, in its order; at most ``limit`` of them unless that is 0.

    Where rows tie in that order over pages, they are read in an order without ties and put in order here.
    """
    try:
        found = list(islice(_wanted(client, query, query.ordering), limit or None))
    except IncompleteList:
        if query.ordering.lstrip("-") == "added_at":
            raise
        return in_order(_wanted(client, query, NEWEST_FIRST), query.ordering)[: limit or None]
    # Rows of pages that had to be read again come late.
    return in_order(found, query.ordering) if query.ordering.lstrip("-") == "added_at" else found


def in_order(commands: Iterable[Command], ordering: str) -> list[Command]:
    """Commands as the workspace would order them."""
    ordered = sorted(commands, key=_place(ordering))
    return ordered[::-1] if ordering.startswith("-") else ordered


def _wanted(client: Client, query: Query, ordering: str) -> Iterator[Command]:
    for command in list_commands(client, ordering, **query.parameters):
        query = _dated(client, query)
        if query.is_past(command):
            return
        if query.accepts(command):
            yield _named(command, query.server_name)


def _named(command: Command, name: str | None) -> Command:
    """A command with the name of its server, which rows of some workspaces leave out."""
    return command if command.server.name or not name else replace(command, server=replace(command.server, name=name))


def _dated(client: Client, query: Query) -> Query:
    # Once, and only after an answer, which tells the offset between both clocks.
    return query if query.now else query.at(client.clock.now())


def _place(ordering: str) -> Callable[[Command], tuple[bool, Any]]:
    # As in the workspace's database, what is not stated counts as the largest.
    def place(command: Command) -> tuple[bool, Any]:
        value = getattr(command, ordering.lstrip("-"))
        return value is None, value or datetime.min.replace(tzinfo=timezone.utc)

    return place


def latest(client: Client, query: Query, servers: Sequence[Server]) -> tuple[dict[str, Command], dict[str, Command]]:
    """Find the newest command of each server in one pass over the list.

    Returns:
        By the ids of servers, those that the query wants, and those that it would want but for their status.
    """
    unseen = {str(server.id) for server in servers}
    names = {server.id: server.name for server in servers if server.name}
    parameters = {"server": next(iter(unseen))} if len(unseen) == 1 else {}
    found: dict[str, Command] = {}
    of_other_status: dict[str, Command] = {}
    for command in list_commands(client, NEWEST_FIRST, **parameters):
        query = _dated(client, query)
        if query.is_past(command):
            break
        server_id = command.server.id
        if server_id not in unseen:
            continue
        if query.accepts(command):
            unseen.remove(server_id)
            found[server_id] = _named(command, names.get(server_id))
            if not unseen:
                break
        elif replace(query, statuses=frozenset()).accepts(command):
            of_other_status.setdefault(server_id, command)
    return found, of_other_status


def statuses(options: Mapping[str, Any]) -> frozenset[str]:
    """The statuses that an option names, in whichever words."""
    return frozenset(parse_status(str(status)) for status in options.get("status") or ())


def warn_of_unknown_statuses(named: frozenset[str], warn: Warn) -> None:
    """A newer API may have more of them, so they are no error."""
    for status in sorted(named - STATUSES - {"unknown"}):
        known = did_you_mean(status, STATUSES, f"Those that are known are {', '.join(sorted(STATUSES))}.")
        warn(f"status: no command is known to have the status {status}. {known}")


def doubt_about_order(commands: Sequence[Command], ordering: str) -> str:
    """What is wrong with the order of commands, or cannot be checked in their rows; empty if they stand in it."""
    times = [getattr(command, ordering.lstrip("-")) for command in commands]
    stated = [time for time in times if time is not None]
    if stated != sorted(stated, reverse=ordering.startswith("-")):
        return f"this workspace ignores {ordering}; the commands come in an order of its own"
    # Every command has a schedule; the other times are missing where it is not so far yet.
    must_be_stated = ordering.lstrip("-") == "scheduled_at" or any(command.finished for command in commands)
    if len(commands) > 1 and not stated and must_be_stated:
        return f"whether the commands come by {ordering} cannot be checked, since this workspace's list does not say it"
    return ""


T = TypeVar("T")

#: After so many in a row that got no answer of their own, the rest would only wait as long as they did.
_HOPELESS = 2


class CircuitBreaker:
    """Reads, and asks no more where the workspace has stopped to answer."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._error = AlpaconError()

    def read(self, read: Callable[[], T]) -> T:
        """What is read.

        Raises:
            AlpaconError: it could not be read, or those before it could not, and it was not asked for.
        """
        if self._in_a_row >= _HOPELESS:
            raise self._error
        try:
            result = read()
        except AlpaconError as error:
            self._in_a_row = 0 if _is_refusal(error) else self._in_a_row + 1
            self._error = error
            raise
        self._in_a_row = 0
        return result


def _is_refusal(error: AlpaconError) -> bool:
    """Whether an answer refuses this one, and says nothing of the others."""
    return isinstance(error, ApiError) and error.status < 500 and error.status not in (401, 408, 429)
