# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the commands of submits whose answers were lost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Callable, NamedTuple

from .client import Client
from .commands import COMMANDS_PATH, Match, find_command
from .errors import AlpaconError, ApiError, LostResponse, UnknownEndpoint
from .lists import NEWEST_FIRST, PAGE_SIZE
from .records import Command, is_same_time, is_uuid, last_moment, parse_commands, parse_time

WHOAMI, MYSELF = "/api/auth/whoami/", "/api/iam/users/-/"
#: A Date header is cut to whole seconds, and the workspace may take so long between it and what it stores, in seconds.
_CLOCK_SLACK = 3.0
#: What is older by no more than this is named: the Date of answers may be that of a proxy, whose clock is another.
_NAMED_SLACK = timedelta(seconds=60)


class LostSubmit(NamedTuple):
    """A submit whose answer was lost.

    Attributes:
        body: what was submitted.
        sent_at: local time of the submit, in seconds since the epoch.
    """

    body: Mapping[str, Any]
    sent_at: float


class FoundSubmit(NamedTuple):
    """What was found of a submit whose answer was lost.

    Attributes:
        command: its command, where that is certain.
        candidates: the commands that can be it.
        others: those that are too old for that by the workspace's clock, but not by much, or all where it is not known.
    """

    command: Command | None
    candidates: list[Command]
    others: list[Command]


def find_submitted(
    client: Client,
    lost: Sequence[LostSubmit],
    known: frozenset[str],
    whose: Callable[[], Requester] | None = None,
    knows_older: bool = False,
) -> list[FoundSubmit]:
    """Look once for the commands of submits whose answers were lost, among the newest of their servers.

    One is certain if exactly one can be it, by a clock that can be trusted, and it is this requester's.

    Args:
        known: ids that are known to be other commands.
        whose: tells who the token is, asked only where something is found.
        knows_older: whether all that were there before the submits are known, so that no clock is needed.

    Raises:
        AlpaconError: the commands could not be read.
    """
    servers = list(dict.fromkeys(submit.body["server"] for submit in lost))
    commands = _newest(client, servers, min(submit.sent_at for submit in lost))
    newest: dict[str | None, list[Command]] = {}
    for command in commands:
        if command.id not in known:
            newest.setdefault(command.server.id, []).append(command)
    whose = whose or partial(fetch_requester, client)
    return [_judge(client, submit, newest.get(submit.body["server"], []), whose, knows_older) for submit in lost]


def _newest(client: Client, servers: Sequence[str], since: float) -> list[Command]:
    """Return the late commands of these servers: one reading for all, unless one for each takes fewer requests.

    Of a server it is as many as a page holds where no clock tells how old they are.
    """
    query = {"ordering": NEWEST_FIRST, **({"server": servers[0]} if len(servers) == 1 else {})}
    commands: list[Command] = []
    for command in parse_commands(client.rows(COMMANDS_PATH, query, patient=False)):
        # Asked after the first answer, which may tell the offset between both clocks.
        if client.clock.is_known and command.added_at and command.added_at < _named_since(client, since):
            break
        if len(commands) >= PAGE_SIZE * len(servers):
            if len(servers) > 1:
                return [command for server in servers for command in _newest(client, [server], since)]
            if not client.clock.is_known:
                break
        commands.append(command)
    return commands


def _named_since(client: Client, sent_at: float) -> datetime:
    return client.clock.datetime_at(sent_at) - _NAMED_SLACK


def _judge(
    client: Client, submit: LostSubmit, newest: Sequence[Command], whose: Callable[[], Requester], knows_older: bool
) -> FoundSubmit:
    wanted = Match.from_body(submit.body)
    found = [
        command
        for command in newest
        if wanted.matches(command)
        and not (client.clock.is_known and command.added_at and command.added_at < _named_since(client, submit.sent_at))
        and _has_same_time(command, submit.body)
        and _is_for_the_same_time(client, command, submit.body)
    ]
    try:
        requester = whose() if found else Requester()
    except ApiError as error:
        if not error.stated:
            raise
        return FoundSubmit(None, found, [])  # whose they are cannot be found out
    found = [command for command in found if requester.made(command, submit.body)]
    candidates = [command for command in found if knows_older or _is_new_enough(client, command, submit.sent_at)]
    sound = len(candidates) == 1 and (knows_older or not _is_from_the_future(client, candidates[0]))
    others = [command for command in found if command not in candidates]
    return FoundSubmit(candidates[0] if sound else None, candidates, others)


def _is_new_enough(client: Client, command: Command, sent_at: float) -> bool:
    """Whether a command can have been added after a time, by a clock that can be trusted."""
    if not client.clock.is_known:
        return False
    return command.added_at is None or last_moment(command.added_at) >= client.clock.datetime_at(sent_at)


def _is_from_the_future(client: Client, command: Command) -> bool:
    """Whether a command is newer than the workspace's clock, as its answers state it, allows."""
    now = client.clock.timestamp_at(time.time()) + _CLOCK_SLACK
    return command.added_at is not None and command.added_at.timestamp() > now


@dataclass(frozen=True)
class Requester:
    """Whom the commands of a token are requested by: a user, or nobody, as for a service token.

    Attributes:
        username: as which its commands run where they name no other.
    """

    id: str | None = None
    names: tuple[str, ...] = ()
    username: str | None = None

    def made(self, command: Command, body: Mapping[str, Any]) -> bool:
        """Whether a command can be the one that this requester submitted so, as far as its row says."""
        if not command.states_requester:
            return True
        if self.id is None and command.requested_by is None:
            its_user = body.get("username") or self.username
            return not its_user or command.username in (None, "", its_user)
        # Some workspaces number users in commands, and name them beside that.
        return command.requested_by == self.id or (
            not is_uuid(command.requested_by) and command.requested_by_name in self.names
        )

    def has_made(self, command: Command, match: Match) -> bool:
        """Whether a command is one of these, surely this requester's, and runs as the account that is asked for."""
        account = match.username or self.username
        its_account = command.username in (None, "", account)
        return match.matches(command) and command.states_requester and its_account and self.made(command, match.body())


def fetch_requester(client: Client) -> Requester:
    """Ask the workspace who the token is.

    Raises:
        AlpaconError: it does not say.
    """
    who = _asked(client, WHOAMI)
    if isinstance(who, Mapping) and who.get("principal_type") == "application":
        application = who.get("application")
        username = application.get("username") if isinstance(application, Mapping) else None
        return Requester(username=username if isinstance(username, str) else None)
    user = _asked(client, MYSELF)
    if user is None:
        return Requester()
    if not isinstance(user, Mapping) or not isinstance(user.get("id"), str):
        raise LostResponse(f"GET {MYSELF}: the answer names no user.")
    username = user.get("username")
    names = tuple(name for name in (username, user.get("email")) if isinstance(name, str) and name)
    return Requester(user["id"], names, username if username in names else None)


class OwnCommands:
    """The commands that a token has made; who that is, is asked where there is something to compare with."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def include(self, command: Command, match: Match) -> bool:
        """Whether a command is one of these that is surely the token's own; none is where nobody says who it is."""
        return self._requester is not None and self._requester.has_made(command, match)

    @cached_property
    def _requester(self) -> Requester | None:
        try:
            return fetch_requester(self._client)
        except AlpaconError:
            return None


def _asked(client: Client, path: str) -> Any:
    try:
        return client.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
    except UnknownEndpoint:
        pass  # a server that is older than this question
    return None


def _is_for_the_same_time(client: Client, command: Command, body: Mapping[str, Any]) -> bool:
    """Whether a command is to run as a submit says, by its own record: rows leave out ``run_after``, or times."""
    whole = find_command(client, command.id)
    return whole is not None and _has_same_time(whole, body)


def _has_same_time(command: Command, body: Mapping[str, Any]) -> bool:
    """Whether a command is to run when and after what a submit says, as far as its row does."""
    after = set(body.get("run_after") or ())
    if command.run_after and set(command.run_after) != after:
        return False
    if command.scheduled_at is None:
        return True
    wanted = parse_time(body.get("scheduled_at"))
    if wanted is not None:
        return is_same_time(command.scheduled_at, wanted)
    return command.added_at is None or command.scheduled_at <= command.added_at + timedelta(seconds=1)
