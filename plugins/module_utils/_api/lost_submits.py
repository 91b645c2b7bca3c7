# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the commands of submits whose responses were lost, and identify the requester that a token stands for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Callable, NamedTuple

from .client import Client, get_or_none
from .commands import COMMANDS_PATH, Match, find_command
from .errors import AlpaconError, ApiError, LostResponse
from .lists import NEWEST_FIRST, PAGE_SIZE
from .records import Command, is_same_time, is_uuid, last_moment, parse_commands, parse_time

WHOAMI, MYSELF = "/api/auth/whoami/", "/api/iam/users/-/"
#: A Date is cut to whole seconds, and the workspace may store the command this much later, in seconds.
_CLOCK_SLACK = 3.0
#: Commands that are older than the submit by at most this much are shown to the user: the Date may come from a
#: proxy with another clock.
_SHOWN_SLACK = timedelta(seconds=60)


class LostSubmit(NamedTuple):
    """Describe a submit whose response was lost: its body, and its local time in seconds since the epoch."""

    body: Mapping[str, Any]
    sent_at: float


class FoundSubmit(NamedTuple):
    """List the commands that a lost submit may have created.

    Attributes:
        others: commands that are a little older than the submit by the workspace's clock, or all of them if the clock
            is not known.
    """

    command: Command | None
    candidates: list[Command]
    others: list[Command]


def find_submitted(
    client: Client,
    lost: Sequence[LostSubmit],
    earlier_ids: frozenset[str],
    get_requester: Callable[[], Requester],
    knows_older: bool = False,
) -> list[FoundSubmit]:
    """Search once for the commands of lost submits, among the newest of their servers.

    A command is certain if it is the only candidate, by a clock that can be trusted, and is this requester's.

    Args:
        earlier_ids: commands that none of these submits has created.
        get_requester: called only if there is a candidate.
        knows_older: whether these are all commands from before the submits, so that no clock is needed.

    Raises:
        AlpaconError: the commands could not be read.
    """
    servers = list(dict.fromkeys(submit.body["server"] for submit in lost))
    newest: dict[str | None, list[Command]] = {}
    for command in _list_newest(client, servers, min(submit.sent_at for submit in lost)):
        if command.id not in earlier_ids:
            newest.setdefault(command.server.id, []).append(command)
    return [
        _find_command(client, submit, newest.get(submit.body["server"], []), get_requester, knows_older)
        for submit in lost
    ]


def _list_newest(client: Client, servers: Sequence[str], since: float) -> list[Command]:
    """List the commands of these servers since a time, from one list or, if that takes fewer requests, a list for each.

    If the workspace's clock is not known, list up to a page of each server.
    """
    query = {"ordering": NEWEST_FIRST, **({"server": servers[0]} if len(servers) == 1 else {})}
    commands: list[Command] = []
    for command in parse_commands(client.rows(COMMANDS_PATH, query, patient=False)):
        # The clock may be known from the first response on.
        if client.clock.is_known and command.added_at and command.added_at < _shown_since(client, since):
            break
        if len(commands) >= PAGE_SIZE * len(servers):
            if len(servers) > 1:
                return [command for server in servers for command in _list_newest(client, [server], since)]
            if not client.clock.is_known:
                break
        commands.append(command)
    return commands


def _shown_since(client: Client, sent_at: float) -> datetime:
    return client.clock.datetime_at(sent_at) - _SHOWN_SLACK


def _find_command(
    client: Client,
    submit: LostSubmit,
    newest: Sequence[Command],
    get_requester: Callable[[], Requester],
    knows_older: bool,
) -> FoundSubmit:
    wanted = Match.from_body(submit.body)
    found = [
        command
        for command in newest
        if wanted.matches(command)
        and not (client.clock.is_known and command.added_at and command.added_at < _shown_since(client, submit.sent_at))
        and _has_same_time(command, submit.body)
        and _will_run_as_submitted(client, command, submit.body)
    ]
    try:
        requester = get_requester() if found else Requester()
    except ApiError as error:
        if not error.stated:
            raise
        return FoundSubmit(None, found, [])  # their requester is unknown
    found = [command for command in found if requester.can_have_made(command, submit.body)]
    candidates = [command for command in found if knows_older or _is_new_enough(client, command, submit.sent_at)]
    is_certain = len(candidates) == 1 and (knows_older or not _is_from_the_future(client, candidates[0]))
    others = [command for command in found if command not in candidates]
    return FoundSubmit(candidates[0] if is_certain else None, candidates, others)


def _is_new_enough(client: Client, command: Command, sent_at: float) -> bool:
    """Return True if a command may have been added after a local time; False if the workspace's clock is not known."""
    if not client.clock.is_known:
        return False
    return command.added_at is None or last_moment(command.added_at) >= client.clock.datetime_at(sent_at)


def _is_from_the_future(client: Client, command: Command) -> bool:
    now = client.clock.timestamp_at(time.time()) + _CLOCK_SLACK
    return command.added_at is not None and command.added_at.timestamp() > now


@dataclass(frozen=True)
class Requester:
    """Identify the user of a token, with no ID for a service token, and the default account of its commands."""

    id: str | None = None
    names: tuple[str, ...] = ()
    username: str | None = None

    def can_have_made(self, command: Command, body: Mapping[str, Any]) -> bool:
        """Return True if this requester may have submitted a command with this body, as far as its row states."""
        if not command.states_requester:
            return True
        if self.id is None and command.requested_by is None:
            its_user = body.get("username") or self.username
            return not its_user or command.username in (None, "", its_user)
        # Some workspaces state the number of the user, with the name beside it.
        return command.requested_by == self.id or (
            not is_uuid(command.requested_by) and command.requested_by_name in self.names
        )


def fetch_requester(client: Client) -> Requester:
    who = get_or_none(client, WHOAMI)
    if isinstance(who, Mapping) and who.get("principal_type") == "application":
        application = who.get("application")
        username = application.get("username") if isinstance(application, Mapping) else None
        return Requester(username=username if isinstance(username, str) else None)
    user = get_or_none(client, MYSELF)
    if user is None:
        return Requester()
    if not isinstance(user, Mapping) or not isinstance(user.get("id"), str):
        raise LostResponse(f"GET {MYSELF}: the answer names no user.")
    username = user.get("username")
    names = tuple(name for name in (username, user.get("email")) if isinstance(name, str) and name)
    return Requester(user["id"], names, username if username in names else None)


class OwnCommands:
    """Recognise the commands of a token's requester, which is fetched at the first comparison."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def include(self, command: Command, match: Match) -> bool:
        """Return True if a command matches, is surely the token's own, and runs as the wanted account."""
        requester = self.requester
        return (
            requester is not None
            and command.states_requester
            and match.matches(command)
            and command.username in (None, "", match.username or requester.username)
            and requester.can_have_made(command, match.to_body())
        )

    @cached_property
    def requester(self) -> Requester | None:
        try:
            return fetch_requester(self._client)
        except AlpaconError:
            return None


def _will_run_as_submitted(client: Client, command: Command, body: Mapping[str, Any]) -> bool:
    """Compare when a command runs by its detail: list rows leave out ``run_after``, or times."""
    whole = find_command(client, command.id)
    return whole is not None and _has_same_time(whole, body)


def _has_same_time(command: Command, body: Mapping[str, Any]) -> bool:
    """Return True if a command has the same schedule and ``run_after`` as a submit, as far as its row states."""
    after = set(body.get("run_after") or ())
    if command.run_after and set(command.run_after) != after:
        return False
    if command.scheduled_at is None:
        return True
    wanted = parse_time(body.get("scheduled_at"))
    if wanted is not None:
        return is_same_time(command.scheduled_at, wanted)
    return command.added_at is None or command.scheduled_at <= command.added_at + timedelta(seconds=1)
