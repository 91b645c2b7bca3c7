# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters for listing commands, each checked again on every row, and a circuit breaker for reading them by ID."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import islice
from typing import Any, Callable, TypeVar

from .._api.client import Client
from .._api.commands import find_command, list_commands
from .._api.errors import AlpaconError, ApiError, IncompleteList, UsageError, did_you_mean
from .._api.lists import NEWEST_FIRST
from .._api.records import STATUSES, Command, Server, parse_status
from .._api.settings import Warn
from .._fleet.sharing import find_servers
from .._options import values

ORDERINGS = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")
_API_FILTERS = ("shell", "requested_by", "requested_by_isnull", "is_scheduled", "search")
#: The resolution of the workspace's clock.
_CLOCK_STEP = timedelta(seconds=1)
#: Consecutive failures after which the rest is not read.
_MAX_FAILURES = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """Filters; those that are None match every command.

    Servers ignore filters that they do not know, so :meth:`accepts` decides over every row.

    Attributes:
        since, until: when commands were submitted: a time, or an age that :meth:`at` makes a time of.
        now: the time by the workspace's clock, once it is known.
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
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None
    now: datetime | None = None

    @classmethod
    def from_options(cls, client: Client, options: Mapping[str, Any], warn: Warn) -> Query:
        """Check the options of M(herdops.alpacon.alpacon_command_info) and resolve the server's name."""
        since, until = (
            values.parse_timestamp_or_age(name, options[name]) if options.get(name) else None
            for name in ("since", "until")
        )
        _check_span(since, until)
        named = options.get("server")
        [server] = find_servers(client, [named], "server") if named else [Server(None)]
        names = (*_API_FILTERS, "ordering", "success", "line")
        given = {name: options[name] for name in names if options.get(name) not in (None, "")}
        return cls(server.id, server.name, statuses=parse_statuses(options, warn), since=since, until=until, **given)

    def at(self, now: datetime) -> Query:
        """Return this query with times in place of ages, by the workspace's clock."""
        since, until = (now - when if isinstance(when, timedelta) else when for when in (self.since, self.until))
        _check_span(since, until)
        return replace(self, since=since, until=until, now=now)

    @property
    def parameters(self) -> dict[str, str]:
        filters = {"server": self.server_id, **{name: getattr(self, name) for name in _API_FILTERS}}
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in filters.items()
            if value is not None
        }

    def accepts(self, command: Command) -> bool:
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

    def is_past(self, command: Command) -> bool:
        """Return True if, in this order, no command after this one is accepted."""
        since, added = self.since, command.added_at
        return self.ordering == NEWEST_FIRST and added is not None and isinstance(since, datetime) and added < since

    def _accepts_success(self, command: Command) -> bool:
        return command.is_handled and command.ran is not False and self.success == command.succeeded

    def _accepts_requester(self, command: Command) -> bool:
        if not command.states_requester:
            return True
        if self.requested_by_isnull not in (None, command.requested_by is None):
            return False
        return self.requested_by is None or self.requested_by.lower() == (command.requested_by or "").lower()

    def _accepts_time(self, command: Command) -> bool:
        added = command.added_at
        if added is None:
            return self.since is None and self.until is None
        is_early = isinstance(self.since, datetime) and added < self.since
        return not is_early and not (isinstance(self.until, datetime) and added > self.until)

    def _accepts_schedule(self, command: Command) -> bool:
        if self.is_scheduled is None:
            return True
        if command.scheduled_at is None:
            return self.is_scheduled == (command.status == "scheduled")
        now = self.now or datetime.now(timezone.utc)
        # The workspace's clock is somewhat later: a command that may be due is only left out of those to come.
        due = now if self.is_scheduled else now + _CLOCK_STEP
        return self.is_scheduled == (command.was_scheduled and command.scheduled_at > due)


def _check_span(since: datetime | timedelta | None, until: datetime | timedelta | None) -> None:
    if (isinstance(since, datetime) and isinstance(until, datetime) and since > until) or (
        isinstance(since, timedelta) and isinstance(until, timedelta) and since < until
    ):
        raise UsageError("since", "it is later than until", "Swap them.")


def _may_match(search: str, command: Command) -> bool:
    """Return False if the row shows all fields that the API searches, and a word stands in none of them."""
    fields = (command.server.name, command.server.id, command.line, command.result, command.requested_by_name)
    text = "\n".join(field for field in fields if field).lower()
    words = [word.strip("\"'") for word in re.split(r"[\s,]+", search.lower())]
    # The user name of the requester may have matched, and rows only show the full name.
    hidden = command.server.name is None or command.requested_by is not None
    return hidden or all(word in text for word in words)


def parse_statuses(options: Mapping[str, Any], warn: Warn) -> frozenset[str]:
    """Return the statuses, and warn of unknown ones; a newer API may have them."""
    statuses = frozenset(parse_status(str(status)) for status in options.get("status") or ())
    for status in sorted(statuses - STATUSES - {"unknown"}):
        known = did_you_mean(status, STATUSES, f"Those that are known are {', '.join(sorted(STATUSES))}.")
        warn(f"status: no command is known to have the status {status}. {known}")
    return statuses


def find_commands(client: Client, query: Query, limit: int) -> list[Command]:
    """List the commands that a query accepts, in its order; at most ``limit`` of them unless that is 0.

    If rows tie in that order across pages, they are read in an order without ties and sorted here.
    """
    by_age = query.ordering.lstrip("-") == "added_at"
    try:
        found = list(islice(_list_accepted(client, query, query.ordering), limit or None))
    except IncompleteList:
        if by_age:
            raise
        return sort_commands(_list_accepted(client, query, NEWEST_FIRST), query.ordering)[: limit or None]
    # Rows of pages that had to be read again come late.
    return sort_commands(found, query.ordering) if by_age else found


def find_latest(
    client: Client, query: Query, servers: Sequence[Server]
) -> tuple[dict[str, Command], dict[str, Command]]:
    """Find the newest command of each server in one pass over the list.

    Returns:
        By the IDs of servers, those that the query accepts, and those that only differ in their status.
    """
    unseen = {str(server.id) for server in servers}
    names = {server.id: server.name for server in servers if server.name}
    parameters = {"server": next(iter(unseen))} if len(unseen) == 1 else {}
    found: dict[str, Command] = {}
    of_other_status: dict[str, Command] = {}
    for command in list_commands(client, NEWEST_FIRST, **parameters):
        query = query if query.now else query.at(client.clock.now())
        if query.is_past(command):
            break
        server_id = command.server.id
        if server_id not in unseen:
            continue
        if query.accepts(command):
            unseen.remove(server_id)
            found[server_id] = _add_name(command, names.get(server_id))
            if not unseen:
                break
        elif replace(query, statuses=frozenset()).accepts(command):
            of_other_status.setdefault(server_id, command)
    return found, of_other_status


def _list_accepted(client: Client, query: Query, ordering: str) -> Iterator[Command]:
    for command in list_commands(client, ordering, **query.parameters):
        # Only a response states the time of the workspace.
        query = query if query.now else query.at(client.clock.now())
        if query.is_past(command):
            return
        if query.accepts(command):
            yield _add_name(command, query.server_name)


def _add_name(command: Command, name: str | None) -> Command:
    """Add the name of the server, which rows of some workspaces leave out."""
    return command if command.server.name or not name else replace(command, server=replace(command.server, name=name))


def sort_commands(commands: Iterable[Command], ordering: str) -> list[Command]:
    """Sort as the workspace's database does: what is not stated counts as the largest."""

    def key(command: Command) -> tuple[bool, Any]:
        value = getattr(command, ordering.lstrip("-"))
        return value is None, value or datetime.min.replace(tzinfo=timezone.utc)

    ordered = sorted(commands, key=key)
    return ordered[::-1] if ordering.startswith("-") else ordered


def check_order(commands: Sequence[Command], ordering: str) -> str:
    """Return why the commands are not, or may not be, in this order; an empty text if they are."""
    times = [getattr(command, ordering.lstrip("-")) for command in commands]
    stated = [time for time in times if time is not None]
    if stated != sorted(stated, reverse=ordering.startswith("-")):
        return f"this workspace ignores {ordering}; the commands come in an order of its own"
    # Every command has a schedule; the other times are missing until it gets there.
    must_be_stated = ordering.lstrip("-") == "scheduled_at" or any(command.finished for command in commands)
    if len(commands) > 1 and not stated and must_be_stated:
        return f"whether the commands come by {ordering} cannot be checked, since this workspace's list does not say it"
    return ""


def find_by_ids(client: Client, ids: Sequence[str]) -> list[Command | AlpaconError | None]:
    """Return for each ID the command, None if there is none, or the error; raise it if all have one."""
    found: list[Command | AlpaconError | None] = []
    breaker = CircuitBreaker()
    for command_id in ids:
        try:
            found.append(breaker.call(partial(find_command, client, command_id)))
        except AlpaconError as error:
            found.append(error)
    errors = [each for each in found if isinstance(each, AlpaconError)]
    if len(errors) == len(ids):
        raise errors[0]
    return found


class CircuitBreaker:
    """Stop after consecutive failures: each of the rest would wait as long as those did."""

    def __init__(self) -> None:
        self._errors: list[AlpaconError] = []

    def call(self, read: Callable[[], T]) -> T:
        """Return what is read.

        Raises:
            AlpaconError: it cannot be read, or the last ones could not, so that it was not tried.
        """
        if len(self._errors) >= _MAX_FAILURES:
            raise self._errors[-1]
        try:
            result = read()
        except AlpaconError as error:
            # A refusal says nothing of the others.
            refused = isinstance(error, ApiError) and error.status < 500 and error.status not in (401, 408, 429)
            self._errors = [] if refused else [*self._errors, error]
            raise
        self._errors = []
        return result
