# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record what a task runs on the host, and let the task wait for the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...module_utils._api.errors import AlpaconError
from .._connection.command_batch import File
from .._connection.connection import HostConnection, HostStepFailed
from .._connection.runner import CommandResult
from .coroutine import wait_for
from .program import Entry, Record


@dataclass
class Call:
    """Command that a task waits for.

    Attributes:
        host: the connection of the task.
        branches: what the task does next if the command is a stat, by the state of the file.
    """

    host: RecordingHost
    command: str
    stdin: bytes
    steps: Sequence[str | File]
    branches: dict[str, Call | None] = field(default_factory=dict)
    checksum: str = ""

    @property
    def is_question(self) -> bool:
        """Return True if it has no module, so that what the task does next depends on its output."""
        return not self.stdin

    def to_entry(self, task: int, stops: bool) -> Entry:
        """Return what the host runs."""
        branches = {state: call.to_entry(task, stops) if call else None for state, call in self.branches.items()}
        return Entry(self.command, self.stdin, self.steps, task, stops, branches or None, self.checksum)

    def run(self) -> CommandResult:
        """Run it by itself, as without a batch."""
        return self.host.run_recorded(self.command, self.stdin, self.steps)


@dataclass(frozen=True)
class RunsAlone:
    """Request of a coroutine to run its task by itself, without recording."""

    reason: str


class RecordingHost(HostConnection):
    """Hands over the commands of a task as calls, instead of running them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        #: Records of a branch that has run, for the next commands.
        self._replayed: list[Record] = []

    def run_recorded(self, command: str, stdin: bytes, steps: Sequence[str | File]) -> CommandResult:
        """Run a recorded command now."""
        self._batch.steps = list(steps)
        return super()._run_now(command, stdin)

    @property
    def account(self) -> tuple[str | None, ...]:
        """Return what all commands of a batch have in common."""
        return self._runner.account

    def fetch(self, path: str, into: Path) -> None:
        """Read a file, in a task that runs by itself."""
        _wait_for(RunsAlone("it reads a file of the host"))

    def _run_now(self, command: str, stdin: bytes = b"") -> CommandResult:
        steps = list(self._batch.steps)
        self._batch.clear()
        if self._replayed:
            return _to_result(self._replayed.pop(0))
        record = _wait_for(Call(self, command, stdin, steps))
        if record.branch_record:
            self._replayed.append(record.branch_record)
        return _to_result(record)

    def _send_pieces(self, file: File) -> str:
        _wait_for(RunsAlone("its file is large"))
        return ""


def _wait_for(request: Call | RunsAlone) -> Record:
    """Wait for the record of a command, or raise the reason why there is none."""
    answer: Record | AlpaconError = wait_for(request)
    if isinstance(answer, AlpaconError):
        raise answer
    return answer


def _to_result(record: Record) -> CommandResult:
    if record.undone:
        raise HostStepFailed(f"The host could not be prepared: {record.undone}")
    return CommandResult(record.rc, record.stdout, record.stderr)


class HostConnections:
    """The connections of all tasks of a host.

    Args:
        described_as: what reviewers see of the tasks.
    """

    def __init__(self, described_as: str) -> None:
        self._described_as = described_as
        self._hosts: list[HostConnection] = []

    @property
    def submits(self) -> int:
        """Return the number of commands that were submitted."""
        return sum(host.submits for host in self._hosts)

    def prepare(self, connection: Any, records: bool) -> None:
        """Let a connection plugin count its submits, and record commands if it has to."""
        connection.described_as = self._described_as if records else ""
        connection.make_host = partial(self._make_host, RecordingHost if records else HostConnection)

    def _make_host(self, kind: type[HostConnection], *args: Any) -> HostConnection:
        self._hosts.append(kind(*args))
        return self._hosts[-1]
