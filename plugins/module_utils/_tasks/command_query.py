# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List commands by filters, or read them by ID, with a circuit breaker."""

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
from .._api.records import STATUSES, Command, Server, parse_status, to_iso
from .._api.settings import Warn
from .._fleet.sharing import find_servers
from .._options import values

ORDERINGS = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")
#: The clocks of the controller and the workspace may differ.
_MAX_CLOCK_OFFSET = timedelta(minutes=5)
_API_FILTERS = ("shell", "requested_by", "requested_by_isnull", "is_scheduled", "search")

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """Filters for commands; None matches every command.

    A workspace ignores filters that it does not know, so :meth:`accepts` decides about every command.

    Attributes:
        since, until: The range of submit times; :meth:`at` converts ages to times.
        now: The time by the workspace's clock; None before the first response.
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
        since, until = (
            values.parse_timestamp_or_age(name, options[name]) if options.get(name) else None
            for name in ("since", "until")
        )
        _check_span(since, until)
        server_name = options.get("server")
        [server] = find_servers(client, [server_name], "server") if server_name else [Server(None)]
        others = (*_API_FILTERS, "ordering", "success", "line")
        filters = {name: options[name] for name in others if options.get(name) not in (None, "")}
        return cls(server.id, server.name, statuses=parse_statuses(options, warn), since=since, until=until, **filters)

    def at(self, now: datetime) -> Query:
        since, until = (now - when if isinstance(when, timedelta) else when for when in (self.since, self.until))
        _check_span(since, until)
        if since is not None and since > now + _MAX_CLOCK_OFFSET:
            raise UsageError(
                "since", f"{to_iso(since)} is in the future", "Give a time in the past, or an age such as 2h."
            )
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
            and (self.success is None or (command.is_handled and command.ran is not False))
            and self.success in (None, command.succeeded)
            and self._accepts_requester(command)
            and self._accepts_time(command)
            and self._accepts_schedule(command)
            and (self.search is None or _may_match(self.search, command))
        )

    def ends_at(self, command: Command) -> bool:
        """Return True if this command and all later ones of the list are older than ``since``."""
        since, added = self.since, command.added_at
        return self.ordering == NEWEST_FIRST and added is not None and isinstance(since, datetime) and added < since

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
        # The workspace's clock has whole seconds: a command due within the next second is accepted both ways.
        due = now if self.is_scheduled else now + timedelta(seconds=1)
        return self.is_scheduled == (command.was_scheduled and command.scheduled_at > due)


def _check_span(since: datetime | timedelta | None, until: datetime | timedelta | None) -> None:
    if (isinstance(since, datetime) and isinstance(until, datetime) and since > until) or (
        isinstance(since, timedelta) and isinstance(until, timedelta) and since < until
    ):
        raise UsageError("since", "it is later than until", "Swap them.")


def _may_match(search: str, command: Command) -> bool:
    """Return False if no field of a row has one of the words, unless the API searches a field that rows hide."""
    fields = (command.server.name, command.server.id, command.line, command.result, command.requested_by_name)
    text = "\n".join(field for field in fields if field).lower()
    words = [word.strip("\"'") for word in re.split(r"[\s,]+", search.lower())]
    # The API searches the user name of the requester, and rows show the full name.
    is_hidden = command.server.name is None or command.requested_by is not None
    return is_hidden or all(word in text for word in words)


def parse_statuses(options: Mapping[str, Any], warn: Warn) -> frozenset[str]:
    """Return the statuses, and warn of unknown ones, which a newer API may have."""
    statuses = frozenset(parse_status(str(status)) for status in options.get("status") or ())
    for status in sorted(statuses - STATUSES - {"unknown"}):
        remedy = did_you_mean(status, STATUSES, f"Known statuses are {', '.join(sorted(STATUSES))}.")
        warn(f"status: {status} is not a known status. {remedy}")
    return statuses


def find_commands(client: Client, query: Query, limit: int) -> list[Command]:
    """List the commands that a query accepts, in its order; ``limit`` 0 is no limit.

    If rows tie in this order across pages, they are read in an order without ties and sorted here.
    """
    by_age = query.ordering.lstrip("-") == "added_at"
    try:
        found = list(islice(_list_accepted(client, query, query.ordering), limit or None))
    except IncompleteList:
        if by_age:
            raise
        return sort_commands(_list_accepted(client, query, NEWEST_FIRST), query.ordering)[: limit or None]
    # Rows of pages that were read again come late.
    return sort_commands(found, query.ordering) if by_age else found


def find_latest(
    client: Client, query: Query, servers: Sequence[Server]
) -> tuple[dict[str, Command], dict[str, Command]]:
    """Find the newest command of each server in one pass over the list.

    Returns:
        By server ID, the commands that the query accepts, and those that differ only in their status.
    """
    unseen = {str(server.id) for server in servers}
    names = {server.id: server.name for server in servers if server.name}
    parameters = {"server": next(iter(unseen))} if len(unseen) == 1 else {}
    found: dict[str, Command] = {}
    other_status: dict[str, Command] = {}
    for command in list_commands(client, NEWEST_FIRST, **parameters):
        query = query if query.now else query.at(client.clock.now())
        if query.ends_at(command):
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
            other_status.setdefault(server_id, command)
    return found, other_status


def _list_accepted(client: Client, query: Query, ordering: str) -> Iterator[Command]:
    for command in list_commands(client, ordering, **query.parameters):
        # The first response states the time of the workspace.
        query = query if query.now else query.at(client.clock.now())
        if query.ends_at(command):
            return
        if query.accepts(command):
            yield _add_name(command, query.server_name)


def _add_name(command: Command, name: str | None) -> Command:
    return command if command.server.name or not name else replace(command, server=replace(command.server, name=name))


def sort_commands(commands: Iterable[Command], ordering: str) -> list[Command]:
    """Sort as the workspace's database does: a missing time counts as the latest."""

    def key(command: Command) -> tuple[bool, Any]:
        value = getattr(command, ordering.lstrip("-"))
        return value is None, value or datetime.min.replace(tzinfo=timezone.utc)

    ordered = sorted(commands, key=key)
    return ordered[::-1] if ordering.startswith("-") else ordered


def check_order(commands: Sequence[Command], ordering: str) -> str:
    """Return the reason why commands are not, or might not be, in this order; an empty text if they are."""
    times = [getattr(command, ordering.lstrip("-")) for command in commands]
    stated = [time for time in times if time is not None]
    if stated != sorted(stated, reverse=ordering.startswith("-")):
        return f"this workspace ignores {ordering}, and sorts the commands in its own way"
    # Commands that have not ended may lack the other times.
    has_time = ordering.lstrip("-") == "scheduled_at" or any(command.finished for command in commands)
    if len(commands) > 1 and not stated and has_time:
        return f"the commands might not be sorted by {ordering}, since this workspace's list does not state these times"
    return ""


def find_by_ids(client: Client, ids: Sequence[str]) -> list[Command | AlpaconError | None]:
    """Return the command for each ID, None if there is none, or its error; raise the error if all have one."""
    results: list[Command | AlpaconError | None] = []
    breaker = CircuitBreaker()
    for command_id in ids:
        try:
            results.append(breaker.call(partial(find_command, client, command_id)))
        except AlpaconError as error:
            results.append(error)
    errors = [result for result in results if isinstance(result, AlpaconError)]
    if len(errors) == len(ids):
        raise errors[0]
    return results


class CircuitBreaker:
    """Stop after two consecutive failures, since each may take as long as a timeout."""

    def __init__(self) -> None:
        self._errors: list[AlpaconError] = []

    def call(self, read: Callable[[], T]) -> T:
        """Return the result of a read, or raise the last error without one."""
        if len(self._errors) >= 2:
            raise self._errors[-1]
        try:
            result = read()
        except AlpaconError as error:
            # A refusal concerns one command alone.
            refused = isinstance(error, ApiError) and error.status < 500 and error.status not in (401, 408, 429)
            self._errors = [] if refused else [*self._errors, error]
            raise
        self._errors = []
        return result
