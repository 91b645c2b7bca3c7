# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands API: list, get, submit and cancel."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
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
    UnreadableRow,
)
from .lists import LATEST_DUE_FIRST, NEWEST_FIRST, PAGE_SIZE, Page
from .records import STATUSES, Command, Server, last_moment, normalize_uuid, parse_commands, parse_time
from .servers import SERVERS_PATH, parse_servers

COMMANDS_PATH = "/api/events/commands/"
#: Whether a command can be cancelled while it is in one of these is the workspace's choice.
_HELD = ("verifying", "awaiting_purpose", "awaiting_approval")
#: Pauses before the looks for a command whose cancel was not answered, in seconds.
_LATE_LOOKS = (0.0, 1.0, 2.0, 4.0, 8.0)


def get_command_path(command_id: str) -> str:
    """The address of one command."""
    return f"{COMMANDS_PATH}{normalize_uuid(command_id)}/"


def get_command(client: Client, command_id: str) -> Command:
    """Read one command; :class:`ApiError` with status 404 where there is none."""
    path = get_command_path(command_id)
    try:
        command = Command.from_row(client.get(path))
    except UnreadableRow as error:
        raise LostResponse(f"GET {path}: the answer is not that command. {error}") from None
    if command.id != normalize_uuid(command_id):
        raise LostResponse(f"GET {path}: the answer is another command, {command.id}.")
    return command


def find_command(client: Client, command_id: str) -> Command | None:
    """Read one command, or None where there is none: servers of 2024 delete what is cancelled."""
    try:
        return get_command(client, command_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def fetch_rc(client: Client, command: Command) -> Command:
    """A command with its exit code, where the server knows one that its list row leaves out."""
    return get_command(client, command.id) if command.hides_rc else command


def list_commands(client: Client, ordering: str = NEWEST_FIRST, **filters: Any) -> Iterator[Command]:
    """Walk the list of commands. Servers ignore filters that they do not know: check what comes."""
    yield from parse_commands(client.rows(COMMANDS_PATH, {"ordering": ordering, **filters}))


def list_newest_commands(client: Client) -> list[Command]:
    """List the newest commands in one request; none where the token may not read them."""
    try:
        page = next(client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST}), None)
    except ApiError as error:
        if error.refuses_token or error.status not in NO_ACCESS_STATUSES:
            raise
        return []
    return list(parse_commands(page.rows)) if page else []


def submit(client: Client, body: Mapping[str, Any], known: Collection[str] = ()) -> Command:
    """Submit a command to one server; whatever else the answer names is in its :attr:`Command.surplus`.

    Args:
        known: ids that are known to be other commands.

    Raises:
        ApiError: refused.
        LostResponse: it may have been accepted; see :func:`.lost_submits.find_submitted`.
        ConnectionFailed: it was not sent.
        TimeHasPassed: it was not sent, or not accepted, before the time that it states.
    """
    # The workspace runs at once what comes too late, and a used-up budget may hold a submit back for minutes.
    try:
        answer = client.write("POST", COMMANDS_PATH, dict(body), partial(_check_time, client, body.get("scheduled_at")))
    except ApiError as refusal:
        refusal.name_account(body)
        raise
    # Today's servers answer with a list of one, those of 2024 with the record itself.
    made = list(parse_commands(answer.body if isinstance(answer.body, list) else [answer.body]))
    own = next((command for command in made if command.id not in known and _answers(command, body)), None)
    if own is None:
        seen = ", ".join(f"{command.id} for {command.server}" for command in made)
        said = f"with another command in it than was submitted: {seen}" if seen else "without a command in it"
        error = LostResponse(f"POST {COMMANDS_PATH}: HTTP {answer.status} {said}.")
        error.others = tuple(command.id for command in made)
        raise error
    if own.added_at:
        client.clock.observe_row(own.added_at, answer.sent, answer.arrived)
    return replace(own, surplus=tuple(command.id for command in made if command.id != own.id))


def _check_time(client: Client, scheduled_at: str | None) -> None:
    time = parse_time(scheduled_at)
    if time and time <= client.clock.now():
        raise TimeHasPassed(f"{scheduled_at} passed before it could be submitted.")


def _answers(command: Command, body: Mapping[str, Any]) -> bool:
    """Whether a row can be the command of a submit: it says for which server it is, or its line, and nothing else."""
    if not (command.server.id or command.line):
        return False
    server_id = body.get("server") if command.server.id else None
    return Match(server_id, body.get("line") if command.line else None).matches(command)


@dataclass(frozen=True)
class Match:
    """What makes two commands the same. What is None is not compared."""

    server_id: str | None = None
    line: str | None = None
    shell: str | None = None
    username: str | None = None
    groupname: str | None = None

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Match:
        """The commands that are the same as one that this body submits."""
        return cls(
            server_id=body["server"],
            line=body["line"],
            shell=body["shell"],
            username=body.get("username") or None,
            groupname=body.get("groupname") or None,
        )

    def body(self) -> dict[str, Any]:
        """What submits a command that is one of these, to be run at once."""
        return {
            "server": self.server_id,
            "shell": self.shell,
            "line": self.line,
            "username": self.username or "",
            "groupname": self.groupname or "",
            "scheduled_at": None,
        }

    def matches(self, command: Command) -> bool:
        """Whether a command is one of these, as far as its row says."""
        return self.server_id in (None, command.server.id) and self._same_line(command) and self.runs_as(command)

    def _same_line(self, command: Command) -> bool:
        # The API trims lines.
        return self.line is None or self.line == command.line or self.line.strip() == command.line.strip()

    def runs_as(self, command: Command) -> bool:
        """Whether shell, user and group are the ones asked for."""
        return (
            self.shell in (None, command.shell)
            and (self.username is None or command.username in (None, self.username))
            and (self.groupname is None or command.groupname in (None, self.groupname))
        )


CANCELLED = "cancelled"
GONE = "gone"
SENT = "sent"


def cancel(client: Client, command_id: str) -> str:
    """Withdraw a command: :data:`CANCELLED`, :data:`GONE` (none is there that could run) or :data:`SENT` (too late).

    Raises:
        LostResponse: no answer says that it was cancelled, and the command still waits.
        NotCancellable: it is refused, and the command is held, so that it may still run.
    """
    try:
        answer = client.write("DELETE", get_command_path(command_id))
    except ApiError as error:
        if error.status == 404:
            return GONE
        if error.code == "event_command_already_sent" or error.status == 409:
            return _refused(client, command_id, error)
        raise
    except LostResponse:
        return _seen_cancelled(client, command_id)
    said = answer.status == 204 or _is_cancelled(answer.body, command_id)
    return CANCELLED if said else _seen_cancelled(client, command_id)


def _is_cancelled(row: Any, command_id: str) -> bool:
    """Whether a row is that command, and says that it was cancelled."""
    return any(
        command.id == normalize_uuid(command_id) and command.status == "cancelled" for command in parse_commands([row])
    )


def _refused(client: Client, command_id: str, error: ApiError) -> str:
    """What a command is that is said to be too late to cancel: over at that very moment, delivered, or only held."""
    command = None
    with contextlib.suppress(AlpaconError):
        command = find_command(client, command_id)
    if command is not None and _will_not_run(command):
        return GONE
    # What is scheduled or queued can be cancelled until it is delivered: a row that shows it so lags behind.
    if command is not None and command.pending and (command.status in _HELD or command.cancellable is False):
        raise NotCancellable(error, command.status) from error
    return SENT


def _seen_cancelled(client: Client, command_id: str) -> str:
    """Return how a command ended whose cancel was not answered; it may be carried out after that."""
    lost = f"DELETE {get_command_path(command_id)}: no answer said that it was cancelled"
    for pause in _LATE_LOOKS:
        client.sleep(pause)
        try:
            command = find_command(client, command_id)
        except AlpaconError as error:
            raise LostResponse(f"{lost}, and whether the command still waits could not be seen. {error}") from None
        if command is None or command.status == "cancelled":
            return CANCELLED
        if not command.pending:
            return GONE if _will_not_run(command) else SENT
    raise LostResponse(f"{lost} and the command still waits. Run the task again.")


def _will_not_run(command: Command) -> bool:
    """Whether a command is over without having run: it was denied, rejected, cancelled or not approved in time."""
    return command.finished and command.ran is False


def supports_env(client: Client) -> bool | None:
    """Ask for rows that tell: of the newest commands or, if there is none, of servers; None if no row tells."""
    told = detect_env_by_commands(list_newest_commands(client))
    if told is not None:
        return told
    try:
        page = next(client.pages(SERVERS_PATH, {"ordering": "name"}), None)
    except ApiError as error:
        if error.refuses_token or error.status not in NO_ACCESS_STATUSES:
            raise
        return None
    return detect_env_by_servers(parse_servers(page.rows)) if page else None


def detect_env_by_commands(commands: Iterable[Command]) -> bool | None:
    """Tell by the status, which workspaces without C(env) state as an object."""
    return next((command.may_have_chunks for command in commands if command.status in STATUSES), None)


def detect_env_by_servers(servers: Iterable[Server]) -> bool | None:
    """Tell by the owner, which workspaces without C(env) state as an id."""
    owners = (server.fields.get("owner") for server in servers)
    return next((not isinstance(owner, str) for owner in owners if owner), None)


_LATEST_SCHEDULE_FIRST = "-scheduled_at"
#: What to say where no answer tells the workspace's clock, or a proxy's clock contradicts it.
CLOCK_UNKNOWN = (
    "reuse_within: the workspace's clock is not known, since no answer states it, or commands ended later than the Date"
    " of the answer. So no command is reused. If a proxy sets the Date, correct its clock."
)
#: A time that lies so far ahead is to come by every clock, and stays so while a list is read.
_CERTAIN_FUTURE = timedelta(minutes=5)
#: How long the agent lets a command run, unless it is told otherwise.
_LONGEST_RUN = timedelta(minutes=30)


def list_server_commands(
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


def list_pending(client: Client, server_ids: Sequence[str]) -> list[Command]:
    """The commands of some servers that may still be pending, and others; as for :func:`list_server_commands`.

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


def list_scheduled_for(client: Client, server_ids: Sequence[str], time: datetime) -> list[Command]:
    """List the commands of some servers that are scheduled for a time, and others; see :func:`list_server_commands`."""
    wanted = frozenset(server_ids)
    if len(wanted) > 1 and _certain_future(client, time):
        commands = _walk_future(client, wanted, time)
        if commands is not None:
            return commands
    return list_server_commands(
        client,
        server_ids,
        _LATEST_SCHEDULE_FIRST,
        lambda command: command.latest_schedule is not None and last_moment(command.latest_schedule) < time,
    )


def list_ended_within(client: Client, server_ids: Sequence[str], seconds: float) -> Iterator[Command]:
    """List the commands of some servers that ended within so many seconds; see :func:`list_server_commands`.

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

    commands = list_server_commands(client, server_ids, LATEST_DUE_FIRST, is_older)
    earliest = since()
    return (command for command in commands if client.clock.is_known and command.end and command.end >= earliest)


def find_latest_ended(
    client: Client,
    matches: Iterable[Match],
    seconds: float,
    accept: Callable[[Command], Command | None],
) -> dict[Match, Command]:
    """For each match, with its server and line, the accepted command that ended last; as for :func:`list_ended_within`.

    Args:
        accept: returns a command that counts, with what else should be known of it, or None.
    """
    by_line: dict[tuple[str | None, str], list[Match]] = {}
    for match in matches:
        by_line.setdefault((match.server_id, (match.line or "").strip()), []).append(match)
    latest: dict[Match, Command] = {}
    ids = list(dict.fromkeys(str(server_id) for server_id, _line in by_line))
    for command in list_ended_within(client, ids, seconds):
        alike = by_line.get((command.server.id, command.line.strip()), ())
        fitting = [match for match in alike if match.matches(command)]
        accepted = accept(command) if fitting else None
        if accepted is None:
            continue
        for match in fitting:
            if match not in latest or end_sort_key(latest[match]) < end_sort_key(accepted):
                latest[match] = accepted
    return latest


def end_sort_key(command: Command) -> datetime:
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
    commands, now = list(parse_commands(page.rows)), time.time()
    past = [moment for command in commands for moment in (command.added_at, command.handled_at) if moment]
    if past:
        client.clock.observe_past(max(past), now)
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
            rows = list(parse_commands(page.rows))
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
