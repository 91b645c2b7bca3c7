# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Find the command of a submit whose answer was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Callable, NamedTuple

from .client import Client
from .commands import Match, find_command, list_commands
from .errors import AlpaconError, ApiError, LostAnswer, UnknownAddress
from .lists import PAGE_SIZE
from .records import Command, is_same_time, is_uuid, last_moment, parse_time

WHOAMI, MYSELF = "/api/auth/whoami/", "/api/iam/users/-/"
#: Pauses between looks for a command whose submit got no answer, in seconds.
_RECONCILE_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
#: A Date header is cut to whole seconds, and the workspace may take so long between it and what it stores, in seconds.
_CLOCK_SLACK = 3.0
#: What is older by no more than this is named: the Date of answers may be that of a proxy, whose clock is another.
_NAMED_SLACK = timedelta(seconds=60)


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
    body: Mapping[str, Any],
    sent_at: float,
    known: frozenset[str],
    sleep: Callable[[float], None] = time.sleep,
    whose: Callable[[], Requester] | None = None,
    knows_older: bool = False,
) -> FoundSubmit:
    """Look for the command of a submit whose answer was lost, among the newest of its server.

    It is certain if exactly one can be it, by a clock that can be trusted, and it is this requester's.

    Args:
        body: what was submitted.
        sent_at: local time of the submit, in seconds since the epoch.
        known: ids that are known to be other commands.
        whose: tells who the token is, asked only where something is found.
        knows_older: whether all that were there before the submit are known, so that no clock is needed.
    """
    found: list[Command] = []
    candidates: list[Command] = []
    for pause in _RECONCILE_PAUSES:
        if pause:
            sleep(pause)
        try:
            found = [
                command
                for command in _newest_alike(client, body, sent_at, known)
                if _is_for_the_same_time(client, command, body)
            ]
        except AlpaconError:
            continue
        try:
            requester = (whose or (lambda: requester_of(client)))() if found else Requester()
        except AlpaconError:
            return FoundSubmit(None, found, [])  # whose they are cannot be found out
        found = [command for command in found if requester.made(command, body)]
        candidates = [command for command in found if knows_older or _is_new_enough(client, command, sent_at)]
        if candidates:
            break
    sound = len(candidates) == 1 and (knows_older or not _is_from_the_future(client, candidates[0]))
    others = [command for command in found if command not in candidates]
    return FoundSubmit(candidates[0] if sound else None, candidates, others)


def _is_new_enough(client: Client, command: Command, sent_at: float) -> bool:
    """Whether a command can have been added after a time, by a clock that can be trusted."""
    if not client.clock.is_known:
        return False
    return command.added_at is None or last_moment(command.added_at) >= client.clock.moment_at(sent_at)


def _is_from_the_future(client: Client, command: Command) -> bool:
    """Whether a command is newer than the workspace's clock, as its answers state it, allows."""
    now = client.clock.at(time.time()) + _CLOCK_SLACK
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


def requester_of(client: Client) -> Requester:
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
        raise LostAnswer(f"GET {MYSELF}: the answer names no user.")
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
            return requester_of(self._client)
        except AlpaconError:
            return None


def _asked(client: Client, path: str) -> Any:
    try:
        return client.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
    except UnknownAddress:
        pass  # a server that is older than this question
    return None


def _newest_alike(client: Client, body: Mapping[str, Any], sent_at: float, known: frozenset[str]) -> Iterator[Command]:
    """Late commands that say what was submitted; as many as a page holds where no clock tells how old they are."""
    wanted = Match.of_body(body)
    for number, command in enumerate(list_commands(client, server=body["server"])):
        # Asked after the first answer, which may tell the offset between both clocks.
        if client.clock.is_known:
            if command.added_at and command.added_at < client.clock.moment_at(sent_at) - _NAMED_SLACK:
                return
        elif number >= PAGE_SIZE:
            return
        if command.id not in known and wanted.matches(command) and _has_same_time(command, body):
            yield command


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
