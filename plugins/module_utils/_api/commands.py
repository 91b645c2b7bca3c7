# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The commands API: list, get, submit and cancel."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .client import Client
from .errors import HIDDEN, AlpaconError, ApiError, LostAnswer, NotCancellable, TimeHasPassed, UnreadableRow
from .lists import NEWEST_FIRST
from .records import Command, canonical_uuid, parse_time, readable

COMMANDS_PATH = "/api/events/commands/"
#: Whether a command can be cancelled while it is in one of these is the workspace's choice.
_HELD = ("verifying", "awaiting_purpose", "awaiting_approval")
#: Pauses before the looks for a command whose cancel was not answered, in seconds.
_LATE_LOOKS = (0.0, 1.0, 2.0, 4.0, 8.0)


def path_of(command_id: str) -> str:
    """The address of one command."""
    return f"{COMMANDS_PATH}{canonical_uuid(command_id)}/"


def get_command(client: Client, command_id: str) -> Command:
    """Read one command; :class:`ApiError` with status 404 where there is none."""
    path = path_of(command_id)
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
    """A command with its exit code, where the server knows one that its list row leaves out."""
    return get_command(client, command.id) if command.hides_rc else command


def list_commands(client: Client, ordering: str = NEWEST_FIRST, **filters: Any) -> Iterator[Command]:
    """Walk the list of commands. Servers ignore filters that they do not know: check what comes."""
    yield from readable(client.rows(COMMANDS_PATH, {"ordering": ordering, **filters}))


def newest_commands(client: Client) -> list[Command]:
    """List the newest commands in one request; none where the token may not read them."""
    try:
        page = next(client.pages(COMMANDS_PATH, {"ordering": NEWEST_FIRST}), None)
    except ApiError as error:
        if error.refuses_token or error.status not in HIDDEN:
            raise
        return []
    return list(readable(page.rows)) if page else []


def submit(client: Client, body: Mapping[str, Any], known: Collection[str] = ()) -> Command:
    """Submit a command to one server; whatever else the answer names is in its :attr:`Command.surplus`.

    Args:
        known: ids that are known to be other commands.

    Raises:
        ApiError: refused.
        LostAnswer: it may have been accepted; see :func:`.lost_submits.find_submitted`.
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
    made = list(readable(answer.body if isinstance(answer.body, list) else [answer.body]))
    own = next((command for command in made if command.id not in known and _answers(command, body)), None)
    if own is None:
        seen = ", ".join(f"{command.id} for {command.server}" for command in made)
        said = f"with another command in it than was submitted: {seen}" if seen else "without a command in it"
        error = LostAnswer(f"POST {COMMANDS_PATH}: HTTP {answer.status} {said}.")
        error.others = tuple(command.id for command in made)
        raise error
    if own.added_at:
        client.clock.read_row(own.added_at, answer.sent, answer.arrived)
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
    def of_body(cls, body: Mapping[str, Any]) -> Match:
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
        LostAnswer: no answer says that it was cancelled, and the command still waits.
        NotCancellable: it is refused, and the command is held, so that it may still run.
    """
    try:
        answer = client.write("DELETE", path_of(command_id))
    except ApiError as error:
        if error.status == 404:
            return GONE
        if error.code == "event_command_already_sent" or error.status == 409:
            return _refused(client, command_id, error)
        raise
    except LostAnswer:
        return _seen_cancelled(client, command_id)
    said = answer.status == 204 or _is_cancelled(answer.body, command_id)
    return CANCELLED if said else _seen_cancelled(client, command_id)


def _is_cancelled(row: Any, command_id: str) -> bool:
    """Whether a row is that command, and says that it was cancelled."""
    return any(
        command.id == canonical_uuid(command_id) and command.status == "cancelled" for command in readable([row])
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
    lost = f"DELETE {path_of(command_id)}: no answer said that it was cancelled"
    for pause in _LATE_LOOKS:
        client.sleep(pause)
        try:
            command = find_command(client, command_id)
        except AlpaconError as error:
            raise LostAnswer(f"{lost}, and whether the command still waits could not be seen. {error}") from None
        if command is None or command.status == "cancelled":
            return CANCELLED
        if not command.pending:
            return GONE if _will_not_run(command) else SENT
    raise LostAnswer(f"{lost} and the command still waits. Run the task again.")


def _will_not_run(command: Command) -> bool:
    """Whether a command is over without having run: it was denied, rejected, cancelled or not approved in time."""
    return command.finished and command.ran is False
