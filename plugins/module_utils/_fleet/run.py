# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run of a task: its messages, the files that its workers share, and locks between the hosts of the task."""

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
from .sharing import SharedState

_PROC = Path("/proc")
_PROCESS_KEY = re.compile(r"([0-9a-f]{8})-(\d{1,10})-(\d{1,20})")


def get_process_key(pid: int) -> str:
    """Return a text that no other process has, also on other machines and at other times."""
    return f"{_digest_machine()}-{pid}-{_get_start(pid)}"


def has_process_ended(key: str) -> bool:
    """Return True if this is the key of a process of this machine that is gone."""
    found = _PROCESS_KEY.fullmatch(key)
    if found is None or found[1] != _digest_machine():
        return False
    pid, start = int(found[2]), int(found[3])
    if start:
        return _get_start(pid) != start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _digest_machine() -> str:
    """Return a digest of the machine since its boot, of the container, and of the user."""
    try:
        parts = [(_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink(_PROC / "self/ns/pid")]
    except OSError:
        parts = [str(uuid.getnode())]
    return hashlib.sha256(" ".join([platform.node(), str(os.getuid()), *parts]).encode()).hexdigest()[:8]


def _get_start(pid: int) -> int:
    """Return the start of a process in ticks since the boot; 0 if there is none, or the system does not say."""
    try:
        status = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    # The name in front may have anything in it.
    return int(status.rpartition(b")")[2].split()[19])


@dataclass(frozen=True)
class HostLocks:
    """Locks that decide which host of a task submits a command to a server: the first one.

    Args:
        folder: temporary folder of the run.
        task: identity of the task and its loop item.
        remedy: advice if another host has the lock.
        own: name of the server in a task that names none.
    """

    folder: Path
    task: str
    host: str
    remedy: str = ""
    own: str = ""

    def acquire(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        """Acquire all of these locks or none.

        Args:
            wanted: servers, and the digests of their submits.

        Returns:
            A server that another host has, and that host; None if this host has all.

        Raises:
            AlpaconError: the locks cannot be written.
        """
        acquired: list[Path] = []
        # In one order for all: so one of the hosts that want some of the same gets all of its own.
        for server, digest in sorted(wanted):
            name = hashlib.sha256(f"{self.task}\0{server}\0{digest}".encode("utf-8", "surrogatepass")).hexdigest()
            file = self.folder / "alpacon-host-locks" / name
            owner = self._acquire_file(file, acquired)
            if owner != self.host:
                for own in acquired:
                    with contextlib.suppress(OSError):
                        own.unlink()
                return server, owner
        return None

    def _acquire_file(self, file: Path, acquired: list[Path]) -> str:
        """Return the host that has a lock, which is this one if nobody had it."""
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            os.symlink(self.host, file)  # a link has its text at once
        except FileExistsError:
            with contextlib.suppress(OSError):
                return os.readlink(file)
            return "?"  # released at this moment
        except OSError as error:
            raise AlpaconError(f"Hosts of the task cannot be locked in {self.folder}: {error}") from None
        acquired.append(file)
        return self.host


@dataclass
class EarlierSubmit:
    """A submit that an earlier attempt of the same task has made.

    Attributes:
        sent_at: local time of the submit, in seconds since the epoch.
        may_repeat: True if it may be submitted again: it has ended and was not declined, or was never accepted.
    """

    sent_at: float
    command_id: str | None = None
    may_repeat: bool = False


@dataclass(frozen=True)
class RunContext:
    """The ansible-playbook that all workers of a run belong to; the default stands for a module on another host.

    Attributes:
        report: prints a line about the progress of a task.
        alert: prints a warning at once.
        is_first: returns True the first time any worker of the run passes this mark.
        is_over: returns True if the run has ended without this worker.
        report_journal: prints the path of the journal, once in a long run.
        folder: temporary folder that the workers share.
        journal_file: list of the commands that have not ended, which an interrupted run leaves behind.
        process: id of the process on this machine.
    """

    report: Callable[[str], None] = lambda _text: None
    alert: Warn = lambda _text: None
    is_first: Callable[[str], bool] = lambda _mark: True
    is_over: Callable[[], bool] = lambda: False
    report_journal: Callable[[], None] = lambda: None
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
    warn: Warn = lambda _text: None
    check_mode: bool = False
    diff_mode: bool = False
    no_log: bool = False
    hosts: int = 1
    host_locks: HostLocks | None = None
    earlier_submits: dict[str, EarlierSubmit] | None = None
    own_server: str = ""

    @property
    def submitted_commands(self) -> SubmittedCommands | None:
        folder = self.context.folder
        return SubmittedCommands(folder / "alpacon-submitted") if folder else None

    def open_journal(self) -> Journal | None:
        """Return a journal for one task, in the file of the run."""
        return Journal(self.context.journal_file, self.context.alert) if self.context.journal_file else None

    def open_shared_state(self, settings: Settings) -> SharedState | None:
        """Return the state that the workers share about a workspace, if they can share any."""
        try:
            return SharedState(self.context.folder, settings.url, settings.token) if self.context.folder else None
        except OSError:
            return None  # the disk is full, say: then each worker polls for itself

    def open_client(self, settings: Settings, shared: SharedState | None = None) -> Client:
        """Return a client that pauses as all workers do, and writes nothing once the run is over."""
        return Client(
            settings,
            pause=shared.pause if shared else None,
            outage=shared.outage if shared else None,
            report=self.context.report,
            before_write=self.check_not_over,
            quoted=not self.no_log,
        )

    def check_not_over(self) -> None:
        """Raise :class:`RunIsOver` if nothing may be written any more."""
        if self.context.is_over():
            raise RunIsOver("The run of this task has ended; nothing more is written to the workspace.")
