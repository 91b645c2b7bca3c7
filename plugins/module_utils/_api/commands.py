# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Call the commands API: get, submit and cancel commands, detect ``env``, and list the commands of many servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import Any, Callable

from .client import Client
from .errors import (
    NO_ACCESS_STATUSES,
    AlpaconError,
    ApiError,
    IncompleteList,
    LostResponse,
    NotCancellable,
    TimeHasPassed,
    UnknownEndpoint,
    UnreadableRow,
)
from .lists import LATEST_DUE_FIRST, NEWEST_FIRST, PAGE_SIZE, Page
from .records import STATUSES, Command, Server, last_moment, normalize_uuid, parse_commands, parse_servers, parse_time
from .response import ApiResponse
from .servers import SERVERS_PATH

COMMANDS_PATH = "/api/events/commands/"

#: Returns True if a list has no wanted command from this one on.
_Ends = Callable[[Command], bool]

#: Results of :func:`cancel`: cancelled, gone (it can no longer run), or sent to the server already.
CANCELLED, GONE, SENT = "cancelled", "gone", "sent"
#: Statuses in which some workspaces refuse a cancel.
_WITHHELD = ("verifying", "awaiting_purpose", "awaiting_approval")
#: Pauses before each read of a command whose cancel was not answered, in seconds.
_CANCEL_CHECKS = (0.0, 1.0, 2.0, 4.0, 8.0)

CLOCK_UNKNOWN = (
    "reuse_within: the workspace's clock is not known, since its responses have no Date, or one earlier than the end of"
    " a command. So no command is reused. If a proxy sets the Date, correct its clock."
)
_LATEST_SCHEDULE_FIRST = "-scheduled_at"
#: A time this far ahead is in the future by every clock, even after a list was read.
_CERTAIN_FUTURE = timedelta(minutes=5)
#: The agent's own limit for a command.
_LONGEST_RUN = timedelta(minutes=30)


def get_command_path(command_id: str) -> str:
    return f"{COMMANDS_PATH}{normalize_uuid(command_id)}/"


def get_command(client: Client, command_id: str) -> Command:
    """Read one command; :class:`ApiError` with status 404 if there is none."""
    path = get_command_path(command_id)
    try:
        command = Command.from_row(client.get(path))
    except UnreadableRow as error:
        raise LostResponse(f"GET {path}: the answer is not that command. {error}") from None
    if command.id != normalize_uuid(command_id):
        raise LostResponse(f"GET {path}: the answer is another command, {command.id}.")
    return command


def find_command(client: Client, command_id: str) -> Command | None:
    """Read one command, or return None: workspaces of 2024 delete cancelled ones."""
    try:
        return get_command(client, command_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def fetch_rc(client: Client, command: Command) -> Command:
    """Read a command again if the workspace has an exit code that its list row leaves out."""
    return get_command(client, command.id) if command.hides_rc else command


def list_commands(client: Client, ordering: str = NEWEST_FIRST, **filters: Any) -> Iterator[Command]:
    """Yield commands. Servers ignore filters that they do not know, so check the result."""
    yield from parse_commands(client.rows(COMMANDS_PATH, {"ordering": ordering, **filters}))


def list_newest_commands(client: Client) -> list[Command]:
    """List the newest commands in one request; return none if the token is not allowed to read them."""
    return list(parse_commands(_read_first_page(client, COMMANDS_PATH, NEWEST_FIRST)))


def _read_first_page(client: Client, path: str, ordering: str) -> list[dict[str, Any]]:
    try:
        page = next(client.pages(path, {"ordering": ordering}), None)
    except ApiError as error:
        if error.refuses_token or error.status not in NO_ACCESS_STATUSES:
            raise
        return []
    return page.rows if page else []


def submit(client: Client, body: Mapping[str, Any], earlier_ids: Collection[str] = ()) -> Command:
    """Submit a command to one server; other commands in the response are in its :attr:`Command.surplus`.

    Args:
        body: with C(file), C(line) and C(shell) are only what the command will have, and are not sent.
        earlier_ids: commands that this submit has not created.

    Raises:
        ApiError: refused.
        LostResponse: it may have been accepted; see :func:`.lost_submits.find_submitted`.
        TimeHasPassed: it was not sent, or not accepted, before its ``scheduled_at``.
    """

    def check_time() -> None:
        # The workspace runs a late one at once, and the rate limit may hold a submit back for minutes.
        scheduled_at = parse_time(body.get("scheduled_at"))
        if scheduled_at and scheduled_at <= client.clock.now():
            raise TimeHasPassed(f"{body['scheduled_at']} passed before it could be submitted.")

    try:
        sent = {name: value for name, value in body.items() if "file" not in body or name not in ("line", "shell")}
        response = client.write("POST", COMMANDS_PATH, sent, check_time)
    except ApiError as refusal:
        refusal.describe_command(body)
        raise
    return _find_own(client, COMMANDS_PATH, response, body, earlier_ids)


def submit_action(
    client: Client, body: Mapping[str, Any], earlier_ids: Collection[str] = (), *, action: str, force: bool = False
) -> Command:
    """Submit an action to the server of a body. Return its internal command, whose line is up to the workspace.

    Raises as :func:`submit`.
    """
    path = f"{SERVERS_PATH}{body['server']}/actions/"
    try:
        response = client.write("POST", path, {"action": action, **({"force": True} if force else {})})
    except UnknownEndpoint:
        why = "This workspace has no server actions."
        raise ApiError("POST", path, 404, text=why, stated=True) from None
    return _find_own(client, path, response, {"server": body["server"]}, earlier_ids)


def _find_own(
    client: Client, path: str, response: ApiResponse, body: Mapping[str, Any], earlier_ids: Collection[str]
) -> Command:
    """Return the command in the response to a submit; raise :class:`LostResponse` if there is none."""
    # Today's workspaces answer with a list of one, those of 2024 with the record itself.
    made = list(parse_commands(response.body if isinstance(response.body, list) else [response.body]))
    own = next((command for command in made if command.id not in earlier_ids and _can_answer(command, body)), None)
    if own is None:
        seen = ", ".join(f"{command.id} for {command.server}" for command in made)
        problem = f"with a command other than the submitted one: {seen}" if seen else "without a command"
        error = LostResponse(f"POST {path}: HTTP {response.status} {problem}.")
        error.others = tuple(command.id for command in made)
        raise error
    if own.added_at:
        client.clock.observe_row(own.added_at, response.sent, response.arrived)
    return replace(own, surplus=tuple(command.id for command in made if command.id != own.id))


def _can_answer(command: Command, body: Mapping[str, Any]) -> bool:
    """Return True if a row states the submitted server or line, and no other one."""
    if not (command.server.id or command.line):
        return False
    server_id = body.get("server") if command.server.id else None
    return Match(server_id, body.get("line") if command.line else None).matches(command)


@dataclass(frozen=True)
class Match:
    server_id: str | None = None
    line: str | None = None
    shell: str | None = None
    username: str | None = None
    groupname: str | None = None

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Match:
        account = (body.get(name) or None for name in ("username", "groupname"))
        return cls(body["server"], body["line"], body["shell"], *account)

    def to_body(self) -> dict[str, Any]:
        return {
            "server": self.server_id,
            "shell": self.shell,
            "line": self.line,
            "username": self.username or "",
            "groupname": self.groupname or "",
            "scheduled_at": None,
        }

    def matches(self, command: Command) -> bool:
        """Return True if a command matches, as far as its row states. The API trims lines."""
        return (
            self.server_id in (None, command.server.id)
            and (self.line is None or self.line.strip() == command.line.strip())
            and self.shell in (None, command.shell)
            and (self.username is None or command.username in (None, self.username))
            and (self.groupname is None or command.groupname in (None, self.groupname))
        )


def cancel(client: Client, command_id: str) -> str:
    """Cancel a command and return :data:`CANCELLED`, :data:`GONE` or :data:`SENT`.

    Raises:
        LostResponse: no response says that it was cancelled, and the command still waits.
        NotCancellable: refused while the command is held, so that it may still run.
    """
    done = _try_cancel(client, command_id) or _read_end(client, command_id, GONE)
    # A replica that lags behind the submit answers 404 although the command waits, so cancel it once more.
    return done or _try_cancel(client, command_id) or _check_lost_cancel(client, command_id, GONE)


def _try_cancel(client: Client, command_id: str) -> str | None:
    """Cancel as :func:`cancel`; return None if the workspace knows no such command."""
    try:
        response = client.write("DELETE", get_command_path(command_id))
    except ApiError as error:
        if error.status == 404:
            return None
        if error.code == "event_command_already_sent" or error.status == 409:
            return _check_refused_cancel(client, command_id, error)
        raise
    except LostResponse:
        return _check_lost_cancel(client, command_id, CANCELLED)
    cancelled = response.status == 204 or any(
        command.id == normalize_uuid(command_id) and command.status == "cancelled"
        for command in parse_commands([response.body])
    )
    return CANCELLED if cancelled else _check_lost_cancel(client, command_id, CANCELLED)


def _check_refused_cancel(client: Client, command_id: str, error: ApiError) -> str:
    """Return :data:`GONE` or :data:`SENT`; raise NotCancellable if the workspace withholds the command."""
    command = None
    with contextlib.suppress(AlpaconError):
        command = find_command(client, command_id)
    if command is not None and command.finished and command.ran is False:
        return GONE
    # A scheduled or queued command can be cancelled until it is delivered, so a row with these statuses is outdated.
    if command is not None and command.pending and (command.status in _WITHHELD or command.cancellable is False):
        raise NotCancellable(error, command.status) from error
    return SENT


def _check_lost_cancel(client: Client, command_id: str, cancelled: str) -> str:
    """Poll the command until it has ended: the workspace may carry out a lost cancel late."""
    for pause in _CANCEL_CHECKS:
        client.sleep(pause)
        end = _read_end(client, command_id, cancelled)
        if end:
            return end
    raise LostResponse(f"{_describe_lost_cancel(command_id)} and the command still waits. Run the task again.")


def _read_end(client: Client, command_id: str, cancelled: str) -> str | None:
    """Read the command; return None if it still waits.

    Args:
        cancelled: the result if it does not exist or is cancelled.
    """
    try:
        command = find_command(client, command_id)
    except AlpaconError as error:
        lost = _describe_lost_cancel(command_id)
        raise LostResponse(f"{lost}, and the command could not be read. {error}") from None
    if command is None or command.status == "cancelled":
        return cancelled
    if command.pending:
        return None
    return GONE if command.finished and command.ran is False else SENT


def _describe_lost_cancel(command_id: str) -> str:
    return f"DELETE {get_command_path(command_id)}: no answer states that it was cancelled"


def supports_env(client: Client) -> bool | None:
    """Detect C(env) by the newest commands or, if there is none, by servers; None if no row shows it."""
    for command in list_newest_commands(client):
        # Workspaces without env state the status as an object.
        if command.status in STATUSES:
            return command.may_have_chunks
    return detect_env_by_servers(parse_servers(_read_first_page(client, SERVERS_PATH, "name")))


def detect_env_by_servers(servers: Iterable[Server]) -> bool | None:
    """Detect C(env) by the owner, which is an ID in workspaces without it."""
    owners = (server.fields.get("owner") for server in servers)
    return next((not isinstance(owner, str) for owner in owners if owner), None)


def list_server_commands(client: Client, server_ids: Sequence[str], ordering: str, ends: _Ends) -> list[Command]:
    """List the commands of some servers, each once, with as few requests as possible; the order is undefined.

    If rows tie in the ordering, read the lists in an order without ties instead.

    Args:
        ends: returns True if the list has no wanted command from this one on.
    """
    commands = _read_whole_list(client, len(set(server_ids)), _is_of(server_ids), ordering, ends)
    if commands is None:
        commands = _read_each(client, server_ids, ordering, ends)
    return commands


def list_waiting(
    client: Client, count: int, accept: Callable[[Command], bool], time: datetime | None = None
) -> list[Command] | None:
    """List at least the pending commands, or those that are scheduled for a time, of all servers.

    Args:
        count: number of wanted servers.

    Returns:
        None if a list for each of the servers takes fewer requests; see :func:`list_waiting_of_each`.
    """
    if time is None:
        return _read_whole_list(client, count, accept, NEWEST_FIRST, None)
    commands = _read_future(client, count, accept, time)
    if commands is None:
        commands = _read_whole_list(client, count, accept, _LATEST_SCHEDULE_FIRST, _end_of_schedule(time))
    return commands


def list_waiting_of_each(client: Client, server_ids: Sequence[str], time: datetime | None = None) -> list[Command]:
    """List at least the pending commands, or those that are scheduled for a time, from a list for each server."""
    ends = _end_of_schedule(time) if time else None
    return _read_each(client, server_ids, _LATEST_SCHEDULE_FIRST, ends)


def list_waiting_on(client: Client, server_ids: Sequence[str], time: datetime | None = None) -> list[Command]:
    """List at least the pending commands of some servers, or those that are scheduled for a time."""
    commands = list_waiting(client, len(set(server_ids)), _is_of(server_ids), time)
    return list_waiting_of_each(client, server_ids, time) if commands is None else commands


def _is_of(server_ids: Iterable[str]) -> Callable[[Command], bool]:
    wanted = frozenset(server_ids)
    return lambda command: command.server.id in wanted


def find_latest_ended(
    client: Client, matches: Iterable[Match], seconds: float, accept: Callable[[Command], Command | None]
) -> dict[Match, Command]:
    """Find the accepted command that ended last, within so many seconds, for each match with a server and line.

    Return none if the workspace's clock is not known. Lists are read back to commands that were due, or in 2024
    submitted, half an hour before that time, since a command runs for at most half an hour.
    """

    def is_older(command: Command) -> bool:
        due = command.scheduled_at or command.added_at
        # The clock may be known from the first response on.
        since = client.clock.now() - timedelta(seconds=seconds)
        return not client.clock.is_known or (due is not None and due < since - _LONGEST_RUN)

    by_line: dict[tuple[str | None, str], list[Match]] = {}
    for match in matches:
        by_line.setdefault((match.server_id, (match.line or "").strip()), []).append(match)
    ids = list(dict.fromkeys(str(server_id) for server_id, _line in by_line))
    commands = list_server_commands(client, ids, LATEST_DUE_FIRST, is_older)
    since = client.clock.now() - timedelta(seconds=seconds)
    latest: dict[Match, Command] = {}
    for command in commands if client.clock.is_known else ():
        alike = by_line.get((command.server.id, command.line.strip()), ())
        fitting = [match for match in alike if match.matches(command)]
        accepted = accept(command) if fitting and command.end and command.end >= since else None
        if accepted is None:
            continue
        for match in fitting:
            if match not in latest or end_sort_key(latest[match]) < end_sort_key(accepted):
                latest[match] = accepted
    return latest


def end_sort_key(command: Command) -> datetime:
    """Sort key: end time, unknown first."""
    return command.end or datetime.min.replace(tzinfo=timezone.utc)


def _read_whole_list(
    client: Client, count: int, accept: Callable[[Command], bool], ordering: str, ends: _Ends | None
) -> list[Command] | None:
    """Read commands of several servers from the list of all; return None if a list for each server is better."""
    if count < 2:
        return None
    commands: list[Command] = []
    pages = client.pages(COMMANDS_PATH, {"ordering": ordering}, whole=True)
    try:
        for number, page in enumerate(pages, start=1):
            for command in _parse_page(client, page):
                if ends and ends(command):
                    return commands
                if accept(command):
                    commands.append(command)
            left = (page.count or 0) - number * PAGE_SIZE
            too_many = number >= count if ends else number + left // PAGE_SIZE >= count
            if left > 0 and too_many:
                return None
    except IncompleteList:
        # No rows tie in the order by age.
        return _read_whole_list(client, count, accept, NEWEST_FIRST, None) if ends else None
    return commands


def _parse_page(client: Client, page: Page) -> list[Command]:
    commands, now = list(parse_commands(page.rows)), time.time()
    past = [moment for command in commands for moment in (command.added_at, command.handled_at) if moment]
    if past:
        client.clock.observe_past(max(past), now)
    return commands


def _read_future(client: Client, count: int, accept: Callable[[Command], bool], time: datetime) -> list[Command] | None:
    """Read the list of scheduled commands; return None if it is long, is not filtered, or the time may have passed."""
    if count < 2 or time <= client.clock.now() + _CERTAIN_FUTURE:
        return None
    commands: list[Command] = []
    pages = client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, "is_scheduled": "true"}, whole=True)
    with contextlib.suppress(IncompleteList):
        for page in pages:
            rows = list(parse_commands(page.rows))
            # The clock may be known from the first response on.
            now = client.clock.now()
            if not client.clock.is_known or time <= now + _CERTAIN_FUTURE:
                return None
            if any(not row.scheduled_at or row.scheduled_at < now - _CERTAIN_FUTURE for row in rows):
                return None
            commands += filter(accept, rows)
            if (page.count or 0) > count * PAGE_SIZE:
                return None
        return commands
    return None


def _read_each(client: Client, server_ids: Sequence[str], ordering: str, ends: _Ends | None) -> list[Command]:
    """Read a list for each server; without ``ends``, up to the end of its pending commands."""
    return [
        command
        for server_id in server_ids
        for command in _read_one(client, server_id, ordering, ends or _end_of_pending(client))
    ]


def _read_one(client: Client, server_id: str, ordering: str, ends: _Ends) -> list[Command]:
    try:
        pages = client.pages(COMMANDS_PATH, {"ordering": ordering, "server": server_id}, whole=True)
        rows = (command for page in pages for command in _parse_page(client, page))
        commands = list(takewhile(lambda command: not ends(command), rows))
    except IncompleteList:
        commands = list(list_commands(client, server=server_id))
    except ApiError as error:
        # Workspaces of 2024 answer an unknown server with this error; others send an empty list.
        if error.status == 400 and error.text.startswith("server: "):
            return []
        raise
    return [command for command in commands if command.server.id == server_id]


def _end_of_schedule(time: datetime) -> _Ends:
    """Return a function that finds the end of the commands for a time in a list, latest schedule first."""
    return lambda command: command.latest_schedule is not None and last_moment(command.latest_schedule) < time


def _end_of_pending(client: Client) -> _Ends:
    """Return a function that finds the end of the pending commands in a server's list, latest schedule first.

    Pending commands are newer than sent ones, except those that wait for an approval or for another command: read the
    commands of the last day and a hundred more to find them.
    """
    rows_over = 0

    def ends(command: Command) -> bool:
        nonlocal rows_over
        due, since = command.latest_schedule, client.clock.now() - timedelta(days=1)
        over = not command.pending and due is not None and due < since
        rows_over = rows_over + 1 if over else 0
        return rows_over > PAGE_SIZE

    return ends
