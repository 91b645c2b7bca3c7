# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The context of a task: how it reports, the files that its workers share, and locks between its hosts."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from .._api.client import Client, Deadlines
from .._api.errors import PAYLOAD_PATTERN, AlpaconError, RunIsOver
from .._api.quota import Quota
from .._api.records import Server
from .._api.settings import Settings, Warn
from .._payload.packing import parse_digest
from .jobs import SubmitRecord, get_digest
from .journal import SubmittedCommands
from .sharing import SharedState

_PROC = Path("/proc")
_PROCESS_KEY = re.compile(r"([0-9a-f]{8})-(\d{1,10})-(\d{1,20})")


def get_process_key(pid: int) -> str:
    """Return a key that is unique to this process on all machines and at all times."""
    return f"{_digest_machine()}-{pid}-{_get_start(pid)}"


def has_process_ended(key: str) -> bool:
    """Return True if the key is that of a process on this machine, and the process has exited."""
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
    try:
        parts = [(_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink(_PROC / "self/ns/pid")]
    except OSError:
        parts = [str(uuid.getnode())]
    return hashlib.sha256(" ".join([platform.node(), str(os.getuid()), *parts]).encode()).hexdigest()[:8]


def _get_start(pid: int) -> int:
    """Return the start of a process in ticks since the boot, or 0 if it is unknown or the process has ended."""
    try:
        status = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    # The name before the last parenthesis may contain spaces and parentheses.
    state, *fields = status.rpartition(b")")[2].split()
    return 0 if state == b"Z" else int(fields[18])


@dataclass(frozen=True)
class HostLocks:
    """Locks with which only the first host of a task submits a command to a server.

    Args:
        task: identity of the task and its loop item.
        remedy: advice to users if another host has the lock.
        own_server: server name of the host, for a task without the option servers.
    """

    folder: Path
    task: str
    host: str
    remedy: str = ""
    own_server: str = ""

    def acquire(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        """Acquire all of these locks or none.

        Returns:
            None if this host has all locks, otherwise a server that another host has locked, and that host.

        Raises:
            AlpaconError: the locks cannot be written.
        """
        acquired: list[Path] = []
        # In the same order on each host, so that one of several competing hosts gets all of its locks.
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
        """Acquire a lock unless another host has it. Return the host that has it now."""
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            os.symlink(self.host, file)  # unlike a file, a link is never empty
        except FileExistsError:
            with contextlib.suppress(OSError):
                return os.readlink(file)
            return "?"  # released at this moment
        except OSError as error:
            raise AlpaconError(f"Hosts of the task cannot be locked in {self.folder}: {error}") from None
        acquired.append(file)
        return self.host


@dataclass(frozen=True)
class RunContext:
    """The run of ansible-playbook, from a worker's view. The default is for a module that runs on another host.

    Attributes:
        report_details: prints a line if Ansible runs with C(-v).
        report_command, report_request: print a line if Ansible runs with C(-vvv), and with C(-vvvv); else None.
        alert: prints a warning at once.
        is_first: returns True the first time any worker of the run passes this key.
        is_over: returns True if ansible-playbook has exited before this worker.
        report_journal: prints the path of the journal, once in a long run.
        journal_file: the journal of unfinished commands, which remains after an interrupted run.
        needs: the commands of tasks, for the playbook token_acl; None in other runs.
    """

    report: Callable[[str], None] = lambda _text: None
    report_details: Callable[[str], None] = lambda _text: None
    report_command: Callable[[str], None] | None = None
    report_request: Callable[[str], None] | None = None
    alert: Warn = lambda _text: None
    is_first: Callable[[str], bool] = lambda _key: True
    is_over: Callable[[], bool] = lambda: False
    report_journal: Callable[[], None] = lambda: None
    folder: Path | None = None
    journal_file: Path | None = None
    process: int | None = None
    needs: SubmittedCommands | None = None


@dataclass(frozen=True)
class Run:
    """The run of ansible-playbook as a task sees it: the task's keywords, and what it shares with other workers.

    Attributes:
        no_log: keeps outputs and values out of messages, which Ansible prints for failed tasks.
        host_locks: locks between these hosts; None if the task runs for one host.
        earlier_submits: submits of earlier attempts of this task by digest; None if the task has no retries.
        own_server: server name of the host, for a task without the option servers.
    """

    context: RunContext = RunContext()
    warn: Warn = lambda _text: None
    check_mode: bool = False
    diff_mode: bool = False
    no_log: bool = False
    hosts: int = 1
    host_locks: HostLocks | None = None
    earlier_submits: dict[str, SubmitRecord] | None = None
    own_server: str = ""

    @property
    def submitted_commands(self) -> SubmittedCommands | None:
        folder = self.context.folder
        return SubmittedCommands(folder / "alpacon-submitted") if folder else None

    def open_shared_state(self, settings: Settings) -> SharedState | None:
        try:
            return SharedState(self.context.folder, settings.url, settings.token) if self.context.folder else None
        except OSError:
            return None  # for example if the disk is full: then each worker polls alone

    def open_client(
        self, settings: Settings, shared: SharedState | None = None, quota_wait: float | None = None
    ) -> Client:
        """Return a client that obeys shared pauses and outages, and writes nothing after the end of the run.

        Args:
            quota_wait: seconds from now in which requests may wait for the quota; None for five minutes each.
        """
        state = shared or self.open_shared_state(settings)
        return Client(
            settings,
            deadlines=Deadlines(None if quota_wait is None else time.monotonic() + quota_wait),
            pause=shared.pause if shared else None,
            outage=shared.outage if shared else None,
            quota=Quota(settings.requests_per_hour, state.folder if state else None),
            report=self.context.report,
            before_write=self.check_not_over,
            quoted=not self.no_log,
            log=self.context.report_request,
        )

    def may_have_submitted(self, body: Mapping[str, Any]) -> bool:
        """Return True if the workspace may have accepted this submit from an earlier attempt of the task."""
        earlier = (self.earlier_submits or {}).get(get_digest(body))
        return bool(earlier and (earlier.command_id or not earlier.may_repeat))

    def check_not_over(self) -> None:
        """Raise :class:`RunIsOver` if the run has ended, so that nothing more may be written."""
        if self.context.is_over():
            raise RunIsOver("The run of ansible-playbook has ended; nothing more is written to the workspace.")

    def report_thrift(self, settings: Settings, effect: str) -> None:
        """Print once in a run that more than half of the quota is used."""
        if self.context.is_first("quota"):
            self.context.report(
                f"alpacon: more than half of the {settings.requests_per_hour} requests that the token has in an hour"
                f" (requests_per_hour) is used, and this run {effect} from now on"
            )

    def record_need(self, url: str, server: Server, body: Mapping[str, Any] | None = None) -> None:
        """Record the entries of access lists that a server and a command need, also in check mode.

        Args:
            url: of the workspace.
            body: C(line), C(username) and C(groupname) of a submit; of a file transfer, C(path) and C(action) in place
                of the line. Neither has secrets.
        """
        if self.context.needs is None:
            return
        entry = {"workspace": url, "server": server.id}
        if body:
            if "path" in body:
                entry |= {"path": body["path"], "action": body["action"]}
            else:
                line = str(body["line"]).strip()
                entry["command"] = PAYLOAD_PATTERN if parse_digest(line) else line
            entry |= {name: body[name] for name in ("username", "groupname")}
        self.context.needs.add({"id": get_digest(entry), **entry, "name": server.name or self.own_server})
