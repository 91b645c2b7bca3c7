# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run of ansible-playbook that a task is part of: how it speaks to the user, and what its workers know of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .._api.client import Client
from .._api.errors import AlpaconError, RunIsOver
from .._api.settings import Settings, Warn
from .journal import Journal, SubmittedCommands
from .sharing import Shared

_PROC = Path("/proc")
_MARK = re.compile(r"([0-9a-f]{8})-(\d{1,10})-(\d{1,20})")


def get_process_key(pid: int) -> str:
    """What tells a process from all others, of other machines and of earlier times as well."""
    return f"{_machine()}-{pid}-{_started(pid)}"


def has_process_ended(mark: str) -> bool:
    """Whether a text is the mark of a process of this machine that is gone; one of another machine may go on."""
    found = _MARK.fullmatch(mark)
    if found is None or found[1] != _machine():
        return False
    pid, started = int(found[2]), int(found[3])
    return _started(pid) != started if started else not _is_there(pid)


def _machine() -> str:
    """A digest of this machine since it was started, and of what of it this process sees: container and user."""
    try:
        parts = [(_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink(_PROC / "self/ns/pid")]
    except OSError:
        parts = [str(uuid.getnode())]
    return hashlib.sha256(" ".join([platform.node(), str(os.getuid()), *parts]).encode()).hexdigest()[:8]


def _started(pid: int) -> int:
    """When a process was started, in ticks since the machine was; 0 where there is none, or the system does not say."""
    try:
        status = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    # The name in front may have anything in it.
    return int(status.rpartition(b")")[2].split()[19])


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@dataclass(frozen=True)
class HostLocks:
    """Who of the hosts of a task may submit what: whoever asks first.

    Args:
        folder: temporary folder of the run.
        task: what tells the task and its loop item from all others.
        host: the host that asks.
        remedy: what to do where another host has it.
        own: what to call the server, of a task that names none; else an empty string.
    """

    folder: Path
    task: str
    host: str
    remedy: str = ""
    own: str = ""

    def acquire(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        """Take all of these or none.

        Args:
            wanted: server and digest of what is to be submitted to it.

        Returns:
            The server that another host has, and that host; None where all are this host's now.

        Raises:
            AlpaconError: it could not be found out.
        """
        try:
            return self._acquire_all(wanted)
        except OSError as error:
            raise AlpaconError(
                f"Which host of the task submits what cannot be agreed on in {self.folder}: {error}"
            ) from None

    def _acquire_all(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        taken: list[Path] = []
        # In one order for all: so one of the hosts that want some of the same gets all of its own.
        for server, digest in sorted(wanted):
            name = hashlib.sha256(f"{self.task}\0{server}\0{digest}".encode("utf-8", "surrogatepass")).hexdigest()
            file = self.folder / "alpacon-host-locks" / name
            owner = self._acquire(file, taken)
            if owner != self.host:
                for own in taken:
                    with contextlib.suppress(OSError):
                        own.unlink()
                return server, owner
        return None

    def _acquire(self, file: Path, taken: list[Path]) -> str:
        """The host that has it, which is this one if nobody has had it."""
        try:
            self._link(file)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                return os.readlink(file)
            return "?"  # given up at this moment
        taken.append(file)
        return self.host

    def _link(self, file: Path) -> None:
        """Write the host's name into a file that is not there yet: a link is there with its text at once."""
        try:
            os.symlink(self.host, file)
        except FileNotFoundError:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            os.symlink(self.host, file)


@dataclass
class EarlierSubmit:
    """A submit that an earlier attempt of the same task has made.

    Attributes:
        sent_at: local time of the submit, in seconds since the epoch.
        command_id: id of the command, as soon as it is known.
        over: whether its end is known and was no refusal, or that it was never accepted: only then it may be submitted
            again.
    """

    sent_at: float
    command_id: str | None = None
    over: bool = False


def _ignore(_text: str) -> None:
    return None


@dataclass(frozen=True)
class RunContext:
    """The ansible-playbook that all workers of a run belong to; the default stands for a module on another host.

    Attributes:
        report: prints a line about the progress of a task.
        alert: prints a warning at once.
        is_first: returns True the first time any worker of the run passes this mark.
        is_over: returns True if the run has ended without this worker.
        name_journal: prints the path of the journal, once in a long run.
        folder: temporary folder that the workers share.
        journal_file: list of the commands that have not ended, which an interrupted run leaves behind.
        process: id of the process on this machine.
    """

    report: Callable[[str], None] = _ignore
    alert: Warn = _ignore
    is_first: Callable[[str], bool] = lambda _mark: True
    is_over: Callable[[], bool] = lambda: False
    name_journal: Callable[[], None] = lambda: None
    folder: Path | None = None
    journal_file: Path | None = None
    process: int | None = None


@dataclass(frozen=True)
class Run:
    """The run of a task.

    Attributes:
        warn: adds a warning to the result of the task.
        no_log: hides output and values in messages too, since Ansible prints those of failures.
        hosts: number of hosts that the task runs for, each in a worker of its own.
        host_locks: locks between these hosts; None if one host alone has the task.
        earlier_submits: submits of earlier attempts of this task by digest; None if it is never retried.
        own_server: server name of the host, in a task that names no servers.
    """

    context: RunContext = RunContext()
    warn: Warn = _ignore
    check_mode: bool = False
    diff_mode: bool = False
    no_log: bool = False
    hosts: int = 1
    host_locks: HostLocks | None = None
    earlier_submits: dict[str, EarlierSubmit] | None = None
    own_server: str = ""

    @property
    def submitted(self) -> SubmittedCommands | None:
        folder = self.context.folder
        return SubmittedCommands(folder / "alpacon-submitted") if folder else None

    def open_journal(self) -> Journal | None:
        """Return a journal for one task, in the file of the run."""
        return Journal(self.context.journal_file, self.context.alert) if self.context.journal_file else None

    def shared(self, settings: Settings) -> Shared | None:
        """Return the state that the workers share about a workspace, if they can share any."""
        try:
            return Shared(self.context.folder, settings.url, settings.token) if self.context.folder else None
        except OSError:
            return None  # the disk is full, say: then each worker polls for itself

    def client(self, settings: Settings, shared: Shared | None = None) -> Client:
        """Return a client that pauses as all workers do, and writes nothing once the run is over."""
        return Client(
            settings,
            pause=shared.pause if shared else None,
            outage=shared.outage if shared else None,
            report=self.context.report,
            before_write=self.check,
            quoted=not self.no_log,
        )

    def check(self) -> None:
        """Raise :class:`RunIsOver` if nothing may be written any more."""
        if self.context.is_over():
            raise RunIsOver("The run of this task has ended; nothing more is written to the workspace.")
