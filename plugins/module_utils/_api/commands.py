# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The commands API: list, get, submit, cancel and output."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from .client import LARGEST_ANSWER, Client
from .errors import AlpaconError, ApiError, IncompleteList, LostAnswer, UnknownAddress, UnreadableRow
from .lists import PAGE_SIZE
from .records import Command, canonical_uuid, is_uuid, parse_time, plain_text, readable, row_id

COMMANDS_PATH = "/api/events/commands/"
WHOAMI, MYSELF = "/api/auth/whoami/", "/api/iam/users/-/"
NEWEST_FIRST = "-added_at"
LATEST_SCHEDULE_FIRST = "-scheduled_at"

#: A time that lies so far ahead is to come by every clock, and stays so while a list is read.
_CERTAIN_FUTURE = timedelta(minutes=5)
#: Pauses between looks for a command whose submit got no answer, in seconds.
_RECONCILE_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
#: A Date header is cut to whole seconds, and the workspace may take so long between it and what it stores, in seconds.
_CLOCK_SLACK = 3.0
#: Pauses between looks for chunks that are missing, in seconds: the agent repeats a lost one after 1, 2, 4 ... s.
_CHUNK_PAUSES = (0.3, 0.6, 1.2, 2.4, 4.8)
#: How old a finish must be before "no chunks" is believed, in seconds.
_CHUNK_SETTLE = 0.3
#: What has not arrived so long after the finish never will, in seconds.
_CHUNK_PATIENCE = 60.0
_SHOWN_GAPS = 20
#: The number of a chunk is less than this.
_MOST_CHUNKS = 2**31


def _path(command_id: str) -> str:
    return f"{COMMANDS_PATH}{canonical_uuid(command_id)}/"


def get_command(client: Client, command_id: str) -> Command:
    """Read one command; :class:`ApiError` with status 404 where there is none."""
    path = _path(command_id)
    try:
        command = Command.from_row(client.get(path))
    except UnreadableRow as error:
        raise LostAnswer(f"GET {path}: the answer is not that command. {error}") from None
    if command.id != canonical_uuid(command_id):
        raise LostAnswer(f"GET {path}: the answer is another command, {command.id}.")
    return command


def find_command(client: Client, command_id: str) -> Command | None:
    """Read one command, or None where there is none: servers of 2024 delete what is cancelled."""
    try:
        return get_command(client, command_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def with_rc(client: Client, command: Command) -> Command:
    """The same command with its exit code, where the server knows one that its list row leaves out."""
    return get_command(client, command.id) if command.hides_rc else command


def list_commands(client: Client, ordering: str = NEWEST_FIRST, **filters: Any) -> Iterator[Command]:
    """Walk the list of commands. Servers ignore filters that they do not know: check what comes."""
    yield from readable(client.rows(COMMANDS_PATH, {"ordering": ordering, **filters}))


def submit(client: Client, body: Mapping[str, Any], known: Collection[str] = ()) -> Command:
    """Submit a command to one server; whatever else the answer names is in its :attr:`Command.surplus`.

    Args:
        known: ids that are known to be other commands.

    Raises:
        ApiError: refused.
        LostAnswer: it may have been accepted; see :func:`find_submitted`.
        ConnectionFailed: it was not sent.
    """
    answer = client.write("POST", COMMANDS_PATH, dict(body))
    # Today's servers answer with a list of one, those of 2024 with the record itself.
    made = list(readable(answer.body if isinstance(answer.body, list) else [answer.body]))
    own = next((command for command in made if command.id not in known and _answers(command, body)), None)
    if own is None:
        seen = ", ".join(f"{command.id} for {command.server}" for command in made)
        said = f"with another command in it than was submitted: {seen}" if seen else "without a command in it"
        error = LostAnswer(f"POST {COMMANDS_PATH}: HTTP {answer.status} {said}.")
        error.others = tuple(command.id for command in made)
        raise error
    return replace(own, surplus=tuple(command.id for command in made if command.id != own.id))


def _answers(command: Command, body: Mapping[str, Any]) -> bool:
    """Whether a row can be the command of a submit: it says for which server it is, or its line, and nothing else."""
    if not (command.server.id or command.line):
        return False
    server_id = body.get("server") if command.server.id else None
    return Match(server_id, body.get("line") if command.line else None).matches(command)


def find_submitted(
    client: Client,
    body: Mapping[str, Any],
    sent_at: float,
    known: frozenset[str],
    sleep: Callable[[float], None] = time.sleep,
    whose: Callable[[], Requester] | None = None,
) -> tuple[Command | None, list[Command]]:
    """Look for the command of a submit whose answer was lost, among the newest of its server.

    Args:
        body: what was submitted.
        sent_at: local time of the submit, in seconds since the epoch.
        known: ids that are known to be other commands.
        whose: tells who the token is, asked only where something is found.

    Returns:
        The command, if exactly one can be it by a clock that can be trusted and it is this requester's; and all that
        can be it.
    """
    candidates: list[Command] = []
    for pause in _RECONCILE_PAUSES:
        if pause:
            sleep(pause)
        try:
            candidates = [
                command
                for command in _added_since(client, body, sent_at, known)
                if command.scheduled_at or _is_for_the_same_time(client, command, body)
            ]
        except AlpaconError:
            continue
        try:
            requester = (whose or (lambda: requester_of(client)))() if candidates else Requester()
        except AlpaconError:
            return None, candidates  # whose they are cannot be found out
        candidates = [command for command in candidates if requester.made(command, body)]
        if candidates:
            break
    sound = len(candidates) == 1 and client.knows_clock and not _is_from_the_future(client, candidates[0])
    return (candidates[0] if sound else None), candidates


def _is_from_the_future(client: Client, command: Command) -> bool:
    """Whether a command is newer than the workspace's clock, as its answers state it, allows."""
    now = client.server_time(time.time()) + _CLOCK_SLACK
    return command.added_at is not None and command.added_at.timestamp() > now


@dataclass(frozen=True)
class Requester:
    """Whom the commands of a token are requested by: a user, or nobody, as for a service token.

    Attributes:
        username: the system user of a service token, as which its commands run where they name no other.
    """

    id: str | None = None
    names: tuple[str, ...] = ()
    username: str | None = None

    def made(self, command: Command, body: Mapping[str, Any]) -> bool:
        """Whether a command can be the one that this requester submitted so, as far as its row says."""
        if not command.states_requester:
            return True
        if self.id is None or command.requested_by is None:
            its_user = body.get("username") or self.username
            same_user = not its_user or command.username in (None, "", its_user)
            return self.id is None and command.requested_by is None and same_user
        # Some workspaces number users in commands, and name them beside that.
        return command.requested_by == self.id or (
            not is_uuid(command.requested_by) and command.requested_by_name in self.names
        )


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
    names = [user.get(name) for name in ("username", "email")]
    return Requester(user["id"], tuple(name for name in names if isinstance(name, str) and name))


def _asked(client: Client, path: str) -> Any:
    try:
        return client.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
    except UnknownAddress:
        pass  # a server that is older than this question
    return None


def _added_since(client: Client, body: Mapping[str, Any], sent_at: float, known: frozenset[str]) -> Iterator[Command]:
    wanted = Match.of_body(body)
    for command in list_commands(client, server=body["server"]):
        # Read after the first answer, which tells the offset between both clocks.
        since = datetime.fromtimestamp(client.server_time(sent_at), timezone.utc)
        if command.added_at and command.added_at < since:
            return
        if command.id not in known and wanted.matches(command) and _has_same_time(command, body):
            yield command


def _is_for_the_same_time(client: Client, command: Command, body: Mapping[str, Any]) -> bool:
    """As :func:`_has_same_time`, by the command's own record: list rows of 2024 leave the time out."""
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
        return wanted == command.scheduled_at
    return command.added_at is None or command.scheduled_at <= command.added_at + timedelta(seconds=1)


@dataclass(frozen=True)
class Match:
    """What makes two commands the same. What is None is not compared."""

    server_id: str | None = None
    line: str | None = None
    shell: str | None = None
    username: str | None = None
    groupname: str | None = None

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> Match:
        """The commands that are the same as one that this body submits."""
        return cls(
            server_id=body["server"],
            line=body["line"],
            shell=body["shell"],
            username=body.get("username") or None,
            groupname=body.get("groupname") or None,
        )

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
        LostAnswer: the answer was lost, and the command still waits.
    """
    try:
        answer = client.write("DELETE", _path(command_id))
    except ApiError as error:
        if error.status == 404:
            return GONE
        if error.code == "event_command_already_sent" or error.status == 409:
            return GONE if _will_not_run(client, command_id) else SENT
        raise
    except LostAnswer:
        return _seen_cancelled(client, command_id)
    said = answer.status == 204 or row_id(answer.body) == canonical_uuid(command_id)
    return CANCELLED if said else _seen_cancelled(client, command_id)


def _will_not_run(client: Client, command_id: str) -> bool:
    """Whether a command that cannot be cancelled was denied, rejected or expired at that very moment."""
    with contextlib.suppress(AlpaconError):
        command = find_command(client, command_id)
        return command is not None and command.finished and command.ran is False
    return False


def _seen_cancelled(client: Client, command_id: str) -> str:
    lost = f"DELETE {_path(command_id)}: the answer was lost"
    try:
        command = find_command(client, command_id)
    except AlpaconError as error:
        raise LostAnswer(f"{lost}, and whether the command still waits could not be seen. {error}") from None
    if command is None:
        return CANCELLED
    if command.pending:
        raise LostAnswer(f"{lost} and the command still waits. Run the task again.")
    return CANCELLED if command.status == "cancelled" else SENT


@dataclass(frozen=True)
class Output:
    """What a command wrote.

    Attributes:
        text: both streams merged, as the API has them.
        complete: whether nothing of it is missing.
        note: what is missing, for a user; empty if nothing is.
    """

    text: str
    complete: bool = True
    note: str = ""


def output_of_row(command: Command) -> Output | None:
    """The output of a finished command as far as its row carries it, or None where chunks may have more."""
    complete = bool(command.result) and not command.truncated
    return _from_result(command) if complete or not command.may_have_chunks or command.ran is False else None


def read_output(client: Client, command: Command, sleep: Callable[[float], None] = time.sleep) -> Output:
    """The output of a finished command, from its row where that carries it, else from its chunks."""
    carried = output_of_row(command)
    if carried:
        return carried
    age = (client.now() - command.handled_at).total_seconds() if command.handled_at else 0.0
    if age < _CHUNK_SETTLE:
        # The last chunk may arrive after the word that the command is over.
        sleep(min(_CHUNK_SETTLE - age, _CHUNK_SETTLE))
    chunks: dict[int, str] = {}
    missing = _fetch_chunks(client, command, chunks)
    for pause in _CHUNK_PAUSES if age < _CHUNK_PATIENCE else ():
        if not missing:
            break
        sleep(pause)
        missing = _fetch_chunks(client, command, chunks)
    if not chunks and not missing:
        return _from_result(command)
    text = "".join(chunks[seq] for seq in sorted(chunks)) if chunks else command.result or ""
    return Output(text, not missing, f"Output is incomplete: {missing}." if missing else "")


def _from_result(command: Command) -> Output:
    if command.truncated:
        return Output(command.result or "", False, "Output is incomplete: the agent cut it in the middle.")
    return Output(command.result or "")


def _fetch_chunks(client: Client, command: Command, chunks: dict[int, str]) -> str:
    """Add the chunks that are not there yet; say what is still missing."""
    first_unknown, size, nowhere = _first_gap(chunks), 0, 0
    params = {"ordering": "seq", **({"seq__gte": first_unknown} if first_unknown else {})}
    try:
        for row in client.rows(f"{_path(command.id)}chunks/", params):
            seq, content = row.get("seq"), row.get("content")
            if isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < _MOST_CHUNKS:
                chunks[seq] = plain_text(content) or ""
                size += len(chunks[seq])
            else:
                nowhere += 1
            if size > LARGEST_ANSWER:
                raise LostAnswer(f"its chunks have more than {LARGEST_ANSWER // 2**20} MiB.")
    except UnknownAddress:
        return ""  # as below, in words of 2024
    except ApiError as error:
        if error.status != 404:
            raise
        return ""  # a server that knows no chunks
    unplaced = f"{_plural(nowhere, 'chunk')} came without a number that says where to put it" if nowhere else ""
    return ", and ".join(filter(None, (_missing(command, chunks), unplaced)))


def _first_gap(chunks: Mapping[int, str]) -> int:
    return next((seq for seq in range(len(chunks)) if seq not in chunks), len(chunks))


def _missing(command: Command, chunks: Mapping[int, str]) -> str:
    gaps = _gaps(chunks)
    if gaps:
        lost = sum(last - first + 1 for first, last in gaps)
        return f"{_plural(lost, 'chunk')} of {max(chunks) + 1} never arrived ({_ranges(gaps)})"
    if command.truncated and chunks:
        # The agent's own copy keeps the end: chunks that do not end alike stopped early.
        tail = command.split_result()[1].rstrip()
        whole = "".join(chunks[seq] for seq in sorted(chunks)).rstrip()
        if not whole.endswith(tail[-1000:]):
            return "its last chunks never arrived"
    return ""


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _gaps(chunks: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each stretch of numbers that are not there, from 0 on."""
    known = sorted(chunks)
    return [(before + 1, after - 1) for before, after in zip([-1, *known], known) if after > before + 1]


def _ranges(gaps: Sequence[tuple[int, int]]) -> str:
    """3, 5-8"""
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in gaps[:_SHOWN_GAPS]]
    return ", ".join([*parts, "..."] if len(gaps) > _SHOWN_GAPS else parts)


def commands_of(
    client: Client,
    server_ids: Sequence[str],
    ordering: str,
    ends: Callable[[Command], bool] | None = None,
) -> list[Command]:
    """The commands of some servers, with as few requests as possible; each comes once, in no certain order.

    One server is asked for by itself. For more, the whole list is read as long as that costs no more requests
    than asking for each of them; then each is asked for.

    Args:
        ordering: in which they are read; where rows tie in it over pages, they are read in one without ties instead.
        ends: whether nothing from this command on is wanted. Without it, everything that may still be pending is:
            then the list of a server ends where :class:`_EndOfPending` says so.

    Raises:
        IncompleteList: not all of them came.
    """
    wanted = frozenset(server_ids)
    if len(wanted) > 1:
        try:
            commands = _walk_all(client, wanted, ordering, ends) if ends else _walk_all(client, wanted)
        except IncompleteList:
            commands = _walk_all_or_none(client, wanted)
        if commands is not None:
            return commands
    return [command for server_id in server_ids for command in _walk_one(client, server_id, ordering, ends)]


def scheduled_for(client: Client, server_ids: Sequence[str], time: datetime) -> list[Command]:
    """The commands of some servers that are scheduled for that very time, and others; as for :func:`commands_of`."""
    wanted = frozenset(server_ids)
    if len(wanted) > 1 and _certain_future(client, time):
        commands = _walk_future(client, wanted, time)
        if commands is not None:
            return commands
    return commands_of(
        client,
        server_ids,
        LATEST_SCHEDULE_FIRST,
        lambda command: command.latest_schedule is not None and command.latest_schedule < time,
    )


def ended_within(client: Client, server_ids: Sequence[str], seconds: float) -> Iterator[Command]:
    """The commands of some servers that ended no longer ago, by the workspace's clock; as for :func:`commands_of`.

    One that was scheduled for later must have been submitted no longer ago as well.
    """

    def since() -> datetime:
        # The first answer tells the offset between both clocks.
        return client.now() - timedelta(seconds=seconds)

    commands = commands_of(
        client, server_ids, NEWEST_FIRST, lambda command: command.added_at is not None and command.added_at < since()
    )
    earliest = since()
    # What is known of the workspace's clock is up to a second early: no time at all must not become a second.
    return (command for command in commands if seconds > 0 and command.end and command.end >= earliest)


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
        for command in readable(page.rows):
            if ends and ends(command):
                return commands
            if command.server.id in wanted:
                commands.append(command)
        left = (page.count or 0) - number * PAGE_SIZE
        too_many = number >= len(wanted) if ends else number + left // PAGE_SIZE >= len(wanted)
        if left > 0 and too_many:
            return None
    return commands


def _walk_all_or_none(client: Client, wanted: frozenset[str]) -> list[Command] | None:
    """The same by age, in which no rows tie, or None also where not all came: short lists may come whole."""
    try:
        return _walk_all(client, wanted)
    except IncompleteList:
        return None


def _certain_future(client: Client, time: datetime) -> bool:
    return time > client.now() + _CERTAIN_FUTURE


def _walk_future(client: Client, wanted: frozenset[str], time: datetime) -> list[Command] | None:
    """The commands whose time is to come, or None where that time is not, or the workspace ignores that filter."""
    commands: list[Command] = []
    pages = client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST, "is_scheduled": "true"}, whole=True)
    try:
        for number, page in enumerate(pages, start=1):
            rows = list(readable(page.rows))
            earliest = client.now() - _CERTAIN_FUTURE
            # The first answer tells the offset between both clocks.
            if not _certain_future(client, time):
                return None
            if any(not row.scheduled_at or row.scheduled_at < earliest for row in rows):
                return None
            commands += [row for row in rows if row.server.id in wanted]
            if (page.count or 0) > number * PAGE_SIZE and number >= len(wanted):
                return None
    except IncompleteList:
        return None
    return commands


def _walk_one(client: Client, server_id: str, ordering: str, ends: Callable[[Command], bool] | None) -> list[Command]:
    try:
        commands = _read_until(client, server_id, ordering, ends or _EndOfPending(client))
    except IncompleteList:
        commands = list(list_commands(client, server=server_id))
    return [command for command in commands if command.server.id == server_id]


def _read_until(client: Client, server_id: str, ordering: str, ends: Callable[[Command], bool]) -> list[Command]:
    commands: list[Command] = []
    query = {"ordering": ordering, "server": server_id}
    for page in client.pages(COMMANDS_PATH, query, whole=True):
        for command in readable(page.rows):
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
        due, since = command.latest_schedule, self._client.now() - timedelta(days=1)
        over = not command.pending and due is not None and due < since
        self._rows = self._rows + 1 if over else 0
        return self._rows > PAGE_SIZE
