# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watch a workspace for commands that end and servers that connect or disconnect, for Event-Driven Ansible."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from ..module_utils._api.client import Client
from ..module_utils._api.commands import COMMANDS_PATH, find_command
from ..module_utils._api.errors import (
    AlpaconError,
    ApiError,
    IncompleteList,
    MissingLibrary,
    RunIsOver,
    UnknownEndpoint,
    UntrustedCertificate,
    UsageError,
    clean,
    clean_line,
    did_you_mean,
)
from ..module_utils._api.lists import NEWEST_FIRST, PAGE_SIZE
from ..module_utils._api.outputs import parse_output
from ..module_utils._api.records import Command, Server, parse_commands, parse_row_id
from ..module_utils._api.servers import SERVERS_PATH, query_by_id
from ..module_utils._api.settings import Settings
from ..module_utils._fleet.jobs import Job, Limits
from ..module_utils._fleet.pacing import PACING
from ..module_utils._fleet.poller import Poller
from ..module_utils._fleet.threads import run_in_thread
from ..module_utils._options.connection import CONNECTION, is_given, parse_settings
from ..module_utils._options.values import parse_boolean, parse_number
from ..module_utils._tasks.command_info import describe_listed
from ..module_utils._tasks.server_info import GroupNames, describe_server
from ._settings import normalize_url

_log = logging.getLogger("herdops.alpacon.alpacon_commands")

#: Defaults of the options besides the connection settings.
_DEFAULTS = {"interval": 30, "commands": True, "servers": True}
_REQUESTS_PER_HOUR = 300
_SHORTEST_INTERVAL = 5
#: Share of requests_per_hour that polls may use at once.
_BURST = 0.1

#: Longest time until every list shows a new command, since reads lag behind writes.
_OVERLAP = timedelta(minutes=2)
#: Age of the oldest command that the first poll reads. The agent ends commands after half of it.
_LONGEST_RUN = timedelta(hours=1)
#: Pause between polls of a scheduled command before it is due, since it may be cancelled.
_SCHEDULED = timedelta(minutes=30)
#: Age from which a stuck command is ignored. Workspaces of 2024 show lost commands as stuck forever.
_STUCK = timedelta(days=1)
#: Ordering that lists unended commands first. Workspaces of 2024 ignore handled_at.
_UNENDED_FIRST = f"-handled_at,{NEWEST_FIRST}"
#: Most pages of unended commands that the first poll reads. Most commands that a poll reads by ID, of the unended ones
#: and of those whose exit code lists do not show.
_MOST_PAGES, _MOST_READS = 200, 50
#: Characters of each stream in an event.
_OUTPUT_LIMIT = 4000
#: Seconds between two reads of the list of all servers. Other polls read the list of offline servers.
_WHOLE_LIST = 86400.0

#: Place for a space in what begins a template, a header that changes how templates begin, or text that
#: ansible-rulebook decrypts.
_SPECIAL = re.compile(r"(?<=\{)(?=[{%#])|(?<=#)(?=jinja2:)|(?<=\$)(?=ANSIBLE_VAULT)")

Event = dict[str, Any]


async def watch_workspace(queue: asyncio.Queue[Any], arguments: Mapping[str, Any]) -> None:
    """Put the events of a workspace into a queue until the task is cancelled.

    Raises:
        UsageError: an argument is wrong.
        AlpaconError: the workspace refuses the token, or the first poll.
    """
    watch = WorkspaceWatch(EventOptions.from_arguments(arguments, os.environ))
    try:
        while True:
            # At its end, asyncio awaits the threads of asyncio.to_thread, and thereby a request without an answer.
            events, pause = await asyncio.wrap_future(run_in_thread(watch.poll))
            for event in events:
                await queue.put(event)
            await asyncio.sleep(pause)
    finally:
        watch.stop()


@dataclass(frozen=True)
class EventOptions:
    settings: Settings
    interval: float
    commands: bool
    servers: bool

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any], environ: Mapping[str, str]) -> EventOptions:
        """Check the arguments of a source; connection settings may come from the environment."""
        known = [*CONNECTION, *_DEFAULTS]
        # ansible-rulebook may add a queue of its own.
        for name in arguments.keys() - {*known, "eda_feedback_queue"}:
            raise UsageError(name, "there is no such option", did_you_mean(name, known, f"Give {', '.join(known)}."))
        given = {**_DEFAULTS, **{name: value for name, value in arguments.items() if is_given(value)}}
        interval = parse_number(given["interval"])
        if interval is None or interval < _SHORTEST_INTERVAL:
            remedy = f"Give a number of seconds, at least {_SHORTEST_INTERVAL}."
            raise UsageError("interval", f"{given['interval']} is too short or not a number", remedy)
        kinds = {name: parse_boolean(name, given[name]) for name in ("commands", "servers")}
        if not any(kinds.values()):
            raise UsageError("commands", "commands and servers are both false", "Set one of them to true.")
        return cls(_parse_settings(given, environ), interval, **kinds)


def _parse_settings(given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    names = [name for name in CONNECTION if name not in ("token", "requests_per_hour")]
    options = {name: given.get(name, environ.get(f"ALPACON_{name.upper()}")) for name in names}
    options["requests_per_hour"] = given.get("requests_per_hour", _REQUESTS_PER_HOUR)
    options["token"] = given.get("token")
    url, own_url = options["url"], environ.get("ALPACON_URL")
    if not is_given(options["token"]) and is_given(url):
        # A token goes to its own workspace only.
        workspaces = {normalize_url(each) for each in (url, own_url) if is_given(each)}
        options["token"] = environ.get("ALPACON_TOKEN") if len(workspaces) == 1 else None
    for name in ("url", "token"):
        if not is_given(options[name]):
            owner = " and ALPACON_URL, since that token goes to that workspace only" if name == "token" else ""
            remedy = f"Give it as the option {name} of the source, or set ALPACON_{name.upper()}{owner}."
            raise UsageError(name, "it is missing", remedy)
    return parse_settings(options, _log.warning)


class WorkspaceWatch:
    """Poll a workspace within the quota of the source, and retry after temporary errors."""

    def __init__(self, options: EventOptions) -> None:
        self._stopped = threading.Event()
        log = _log.debug if _log.isEnabledFor(logging.DEBUG) else None
        self._client = Client(options.settings, sleep=self._sleep, report=_log.warning, log=log)
        self._interval = options.interval
        self._watchers: list[CommandWatcher | ServerWatcher] = []
        if options.commands:
            self._watchers.append(CommandWatcher(self._client))
        if options.servers:
            self._watchers.append(ServerWatcher(self._client))
        self._failure = ""
        # Token bucket: a share of the quota may be used at once, and the rest is added evenly over the hour.
        self._most = self._left = options.settings.requests_per_hour * _BURST
        self._per_second = (options.settings.requests_per_hour - self._most) / 3600
        self._polled_at = time.monotonic()

    def stop(self) -> None:
        self._stopped.set()

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RunIsOver

    def poll(self) -> tuple[list[Event], float]:
        """Return the new events, and the pause until the next poll in seconds.

        Raises:
            AlpaconError: the workspace refuses the token, or refuses the first poll for good.
        """
        events: list[Event] = []
        requests, errors = self._client.requests, []
        is_first = not all(watcher.is_started for watcher in self._watchers)
        for watcher in self._watchers:
            try:
                for event in watcher.poll():
                    events.append(event)
            except AlpaconError as error:
                if _is_final(error, watcher.is_started) and not events:
                    raise
                errors.append(error)
        self._report(errors)
        # The first poll reads all servers, and must not delay the second one.
        used = 0 if is_first and not errors else self._client.requests - requests
        asked = [error.retry_after or 0.0 for error in errors if isinstance(error, ApiError)]
        return events, max([self._get_pause(used), *asked])

    def _get_pause(self, used: int) -> float:
        """Return the pause after which as many requests are left as this poll made."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._polled_at) * self._per_second) - used
        self._polled_at = now
        return max(self._interval, (min(used, self._most) - self._left) / self._per_second)

    def _report(self, errors: list[AlpaconError]) -> None:
        failure = " ".join(clean_line(error) for error in errors)
        if failure and failure != self._failure:
            _log.warning("alpacon: a poll failed; the next one finds what it missed. %s", failure)
        self._failure = failure


def _is_final(error: AlpaconError, is_started: bool) -> bool:
    """Return True if further polls will fail as well: the token is refused, or the first poll for good."""
    if isinstance(error, ApiError):
        # A workspace of 2024 without its database refuses every token.
        is_refused = error.refuses_token and not (is_started and error.is_unexplained)
        return is_refused or (not is_started and 400 <= error.status < 500 and error.status not in (408, 429))
    return not is_started and isinstance(error, (MissingLibrary, UntrustedCertificate, UnknownEndpoint))


@dataclass(frozen=True)
class _OpenCommand:
    """Times of a command that has not ended: added, due, and the next poll by ID if no list shows it."""

    added: datetime
    due: datetime
    poll_at: datetime


class CommandWatcher:
    """Find each command that ends, and report it once.

    A poll reads the list, newest first, back to :data:`_OVERLAP` before the newest command of the poll before. Older
    commands that have not ended are found in a list of such commands, or read by ID.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._poller = Poller(None, Limits(), PACING)
        self.is_started = False
        self._newest: datetime | None = None
        #: Number of exit codes that this poll may still read.
        self._reads = 0
        #: By ID, in the order of the last poll by ID.
        self._open: dict[str, _OpenCommand] = {}
        #: By ID: the time of each command, and the monotonic seconds at which the source found that it had ended.
        self._ended: dict[str, tuple[datetime, float]] = {}

    def poll(self) -> Iterator[Event]:
        """Yield the events of commands that ended since the poll before; none in the first poll."""
        seen: set[str] = set()
        self._reads, since = _MOST_READS, self._newest and self._newest - _OVERLAP
        try:
            self._newest = yield from self._read_newest(since, seen, whole=True)
        except IncompleteList:
            # Many commands of one time change places while they are read, so further polls read them again.
            newest = yield from self._read_newest(since, seen, whole=False)
            self._newest = newest and max(self._newest or newest, newest - _LONGEST_RUN)
        if self.is_started:
            yield from self._poll_older([key for key in self._open if key not in seen], since)
        else:
            for command in self._list_unended(_MOST_PAGES):
                yield from self._note(command, command.added_at)
        self.is_started = True
        self._forget()

    def _read_newest(
        self, since: datetime | None, seen: set[str], whole: bool
    ) -> Generator[Event, None, datetime | None]:
        """Yield the events of the commands added since a time, and return the time of the newest one.

        Args:
            since: None to read as far back as the first poll does.
            seen: gets the IDs of the commands that were read.

        Raises:
            IncompleteList: commands may be missing, with ``whole``.
        """
        newest = self._newest
        for page in self._client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST}, whole=whole):
            commands = [(command, command.added_at) for command in parse_commands(page.rows) if command.added_at]
            for command, added in commands:
                # A time in the future would hide the commands that follow.
                past = min(added, self._client.clock.now())
                newest = max(newest or past, past)
                since = since if since or self.is_started else past - _LONGEST_RUN
                seen.add(command.id)
                if since is None or added >= since or command.id in self._open:
                    yield from self._note(command, added)
            if since and any(added < since for _command, added in commands):
                break
        return newest

    def _note(self, command: Command, added: datetime | None) -> Iterator[Event]:
        """Record a command, and yield an event if it has ended since the last poll."""
        if command.id in self._ended or added is None:
            return
        if not _has_ended(command):
            now, before = self._client.clock.now(), self._open.get(command.id)
            # Lists of 2024 do not state it.
            due = command.scheduled_at or (before and before.due) or added
            self._open[command.id] = _OpenCommand(added, due, min(due, now + _SCHEDULED))
            if command.status == "stuck" and added < now - _STUCK:
                del self._open[command.id]
            return
        if self.is_started and command.hides_rc and self._reads:
            self._reads -= 1
            detail = find_command(self._client, command.id)
            command = detail if detail and _has_ended(detail) else command
        self._open.pop(command.id, None)
        self._ended[command.id] = added, time.monotonic()
        if self.is_started:
            yield _make_event("command_ended", command=_describe_command(command))

    def _poll_older(self, ids: list[str], since: datetime | None) -> Iterator[Event]:
        """Poll commands that the newest pages do not show."""
        now = self._client.clock.now()
        # Newer commands that are missing were deleted, or lists do not show them yet.
        older = {key: self._open[key] for key in ids if since and self._open[key].added < since}
        missing = {key: command.added for key, command in older.items() if command.poll_at <= now}
        if len(missing) > 2:
            for command in self._list_unended(len(missing) // PAGE_SIZE + 2):
                if command.id in missing or not _has_ended(command):
                    yield from self._note(command, command.added_at)
                    if command.scheduled_at or command.status != "scheduled":
                        missing.pop(command.id, None)
        unread = {key: _make_unlisted_job(key) for key in islice(missing, _MOST_READS)}
        self._open |= {key: self._open.pop(key) for key in unread}
        if unread:
            self._poller.poll(list(unread.values()), self._client, map)
        for key, job in unread.items():
            if job.missing_since:
                del self._open[key]
            elif not job.error:
                yield from self._note(job.submitted, missing[key])

    def _list_unended(self, most_pages: int) -> Iterator[Command]:
        """Yield the commands that have not ended, among others."""
        for page in islice(self._client.pages(COMMANDS_PATH, {"ordering": _UNENDED_FIRST}), most_pages):
            commands = list(parse_commands(page.rows))
            yield from commands
            # Workspaces of 2024 do not state scheduled_at.
            if all(command.is_handled and command.scheduled_at for command in commands):
                return

    def _forget(self) -> None:
        """Forget the ended commands that later polls will not read again."""
        since, now = self._newest and self._newest - _OVERLAP, time.monotonic()
        for key, (added, noted) in list(self._ended.items()):
            if since and added < since and now - noted > _OVERLAP.total_seconds():
                del self._ended[key]


def _make_unlisted_job(command_id: str) -> Job:
    return Job(Server(None), command=Command(command_id, Server(None), "", "", "unknown"), listed=False)


def _has_ended(command: Command) -> bool:
    return command.finished and not command.pending


def _describe_command(command: Command) -> dict[str, Any]:
    output = parse_output(command)
    described = describe_listed(command, (lambda _command: output) if output else None, _OUTPUT_LIMIT)
    if output is None:
        described.update(stdout="", stdout_lines=[], stderr="", stderr_lines=[], output_complete=False)
    return described


class ServerWatcher:
    """Find the servers that connect or disconnect.

    The first poll reads the whole list. Later ones read the list of offline servers, and each server that has left it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.is_started = False
        #: By ID.
        self._connected: dict[str, bool] = {}
        #: When the whole list was read, by the workspace's clock, and when to read it again, in monotonic seconds.
        self._listed_at = client.clock.now()
        self._list_again = 0.0

    def poll(self) -> Iterator[Event]:
        """Yield the events of servers whose state changed since the poll before; none in the first poll."""
        if time.monotonic() >= self._list_again:
            yield from self._poll_all()
            return
        # Workspaces that ignore the filter list all.
        rows = list(self._client.rows(SERVERS_PATH, {"ordering": "name", "is_connected": "false"}))
        listed = set(map(parse_row_id, rows))
        returned = [key for key, connected in self._connected.items() if not connected and key not in listed]
        if len(returned) > len(self._connected) // PAGE_SIZE + 1:
            yield from self._poll_all()
            return
        for row in rows:
            yield from self._note(row)
        for key in returned:
            found = query_by_id(self._client, key)
            if not found:
                del self._connected[key]
            for server in found:
                yield from self._note(server.fields)

    def _poll_all(self) -> Iterator[Event]:
        listed_at, listed = self._client.clock.now(), set()
        for row in self._client.rows(SERVERS_PATH, {"ordering": "name"}):
            listed.add(parse_row_id(row))
            yield from self._note(row)
        self._listed_at, self._list_again = listed_at, time.monotonic() + _WHOLE_LIST
        self._connected = {key: connected for key, connected in self._connected.items() if key in listed}
        self.is_started = True

    def _note(self, row: Mapping[str, Any]) -> Iterator[Event]:
        """Record the state of a server, and yield an event if another one was recorded."""
        server = Server.from_row(row)
        if server.id is None or server.is_connected is None:
            return
        before = self._connected.get(server.id)
        if before is None and server.last_connectivity and server.last_connectivity > self._listed_at:
            # It was added and connected after the whole list was read.
            before = True
        self._connected[server.id] = server.is_connected
        if self.is_started and before not in (None, server.is_connected):
            kind = "server_connected" if server.is_connected else "server_disconnected"
            # The names of groups may take further requests.
            fields = {name: value for name, value in row.items() if name != "groups"}
            yield _make_event(kind, server=describe_server(fields, GroupNames(self._client, _log.warning)))


def _make_event(kind: str, **details: Any) -> Event:
    return {"alpacon": {"type": kind, **{name: make_harmless(value) for name, value in details.items()}}}


def make_harmless(value: Any) -> Any:
    """Escape control characters, and put a space into what begins a template: playbooks get events as extra variables.

    Ansible runs templates in extra variables, and these texts come from the workspace and its servers.
    """
    if isinstance(value, str):
        return _SPECIAL.sub(" ", clean(value))
    if isinstance(value, Mapping):
        return {make_harmless(key): make_harmless(item) for key, item in value.items()}
    return [make_harmless(item) for item in value] if isinstance(value, (list, tuple)) else value
