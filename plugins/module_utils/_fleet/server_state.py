# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What servers say of commands that stay where they are: their agent is not connected, or was restarted meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError
from .._api.outputs import newest_chunk
from .._api.records import UNDER_WAY, Command, Server, iso
from .._api.servers import look_up
from .jobs import Job, fuller
from .poller import look_at

#: A command that got no result for so long makes its server be asked, in seconds.
_UNDER_WAY_TOO_LONG = 15.0
#: The next question comes after so long, then after twice that, and so on, in seconds.
_ASK_AGAIN, _ASK_AGAIN_AT_MOST = 60.0, 300.0
#: An agent repeats its start report for 31 s, and meanwhile takes new commands: for so long a restart proves nothing,
#: in seconds.
_RESTART_GRACE = 35.0


@dataclass
class _Restart:
    """A restart of an agent that may have lost a command, and the progress of the command when that was seen first.

    Attributes:
        seen_at: monotonic seconds.
        survived: the command went on since, so that the new agent has it.
    """

    started_at: datetime | None
    seen_at: float
    progress: tuple[str, Any]
    survived: bool = False


class Presence:
    """Asks after the servers of commands that stay where they are, and seldom, since each answer is a request.

    Args:
        queued_too_long: a command that was not handed over for so long makes its server be asked, in seconds.
    """

    def __init__(self, client: Client, queued_too_long: float) -> None:
        self._client = client
        self._queued_too_long = queued_too_long
        #: Id of a command -> when its server is asked for next, in monotonic seconds, and the pause before that.
        self._asked: dict[str, tuple[float, float]] = {}
        #: Id of a command -> the restart of its server's agent.
        self._restarts: dict[str, _Restart] = {}

    def _is_due(self, command: Command, since: float, now: float) -> bool:
        """Whether the server of a command that is awaited since then is to be asked for now."""
        if command.id in self._asked:
            return now >= self._asked[command.id][0]
        if command.status == "queued":
            return now >= since + self._queued_too_long
        return command.status in UNDER_WAY and now >= since + _UNDER_WAY_TOO_LONG

    def learn(self, jobs: Sequence[Job]) -> None:
        """Ask how the servers of these jobs are."""
        states = self._states(str(job.server.id) for job in jobs)
        for job in jobs:
            job.server = fuller(states.get(str(job.server.id), job.server), job.server)

    def refresh(self, jobs: Sequence[Job], now: float, wait_timeout: float) -> list[Job]:
        """Ask how the servers of those jobs are whose commands stay where they are, and the first time their wait ends.

        Args:
            now: monotonic seconds.
            wait_timeout: seconds from the submit of a command until its wait ends.

        Returns:
            The jobs for which that was asked.
        """
        last = [job for job in jobs if now >= job.since + wait_timeout and not job.asked_last]
        for job in last:
            job.asked_last = True
        to_ask = {id(job) for job in last if _can_tell(job.known)}
        due = [job for job in jobs if id(job) in to_ask or self._is_due(job.known, job.since, now)]
        states = self._ask([job.known for job in due], now)
        for job in due:
            job.server = fuller(states.get(str(job.known.server.id), job.server), job.server)
        return due

    def is_given_up(self, job: Job, now: float) -> bool:
        """Look twice at a command whose agent was restarted; return True if it made no progress between both.

        Args:
            now: monotonic seconds.
        """
        try:
            look_at(self._client, job)
            command = job.known
            if job.missing or not was_restarted(command, job.server):
                return False
            progress = command.status, newest_chunk(self._client, command)
        except AlpaconError:
            return False
        restart = self._restarts.get(command.id)
        if restart is None or restart.started_at != job.server.started_at:
            self._restarts[command.id] = _Restart(job.server.started_at, now, progress)
            self._asked[command.id] = now + _RESTART_GRACE, _ASK_AGAIN
            return False
        restart.survived = restart.survived or restart.progress != progress
        return not restart.survived and now >= restart.seen_at + _RESTART_GRACE

    def _ask(self, commands: Sequence[Command], now: float) -> dict[str, Server]:
        for command in commands:
            _due, pause = self._asked.get(command.id, (now, _ASK_AGAIN / 2))
            pause = min(2 * pause, _ASK_AGAIN_AT_MOST)
            self._asked[command.id] = now + pause, pause
        return self._states(command.server.id for command in commands if command.server.id)

    def _states(self, ids: Iterable[str]) -> dict[str, Server]:
        """Servers as they are now, by id; those that cannot be read are left out."""
        wanted = list(dict.fromkeys(ids))
        try:
            found = look_up(self._client, wanted)[0] if wanted else {}
        except AlpaconError:
            return {}  # what is awaited goes on without
        return {server_id: servers[0] for server_id, servers in found.items() if servers}


def _can_tell(command: Command) -> bool:
    """Whether the server may say why a command stays where it is."""
    return command.status == "queued" or command.status in UNDER_WAY


def waits_for(command: Command, server: Server) -> bool:
    """Whether a command waits for a server whose agent is not connected."""
    return command.status == "queued" and server.is_connected is False


def is_cut_off(command: Command, server: Server) -> bool:
    """Return True if the agent that has taken a command is not connected, so that its result cannot come yet."""
    return command.status in UNDER_WAY and server.is_connected is False


def may_be_restarted(command: Command, server: Server) -> bool:
    """Return True if the agent started after a command that is under way was added: reason for a closer look."""
    if command.status not in UNDER_WAY or not command.added_at or not server.started_at:
        return False
    return server.started_at > command.added_at


def was_restarted(command: Command, server: Server) -> bool:
    """Return True if the agent reported its start after the command was acknowledged, or delivered and no more.

    The report may be late, so this is no proof; see :meth:`Presence.is_given_up`.
    """
    taken_at = command.acked_at or command.delivered_at
    if command.status not in UNDER_WAY or not taken_at or not server.started_at:
        return False
    return server.started_at > taken_at


def offline(server: Server) -> str:
    """A server that is offline, and when it was not, in words."""
    last_seen = iso(server.last_connectivity)
    return f"{server}, offline, last connected at {last_seen}" if last_seen else f"{server}, which is offline"
