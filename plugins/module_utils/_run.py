# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The run of ansible-playbook that a task is part of: how it speaks to the user, what its workers share, its journal.

Workers are processes. What they share is files in the run's own temporary folder, which nobody else may read and
which is gone when the run is: names of servers, rows of commands that others await, until when requests must pause.
No token and no environment variable is ever in there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

#: For how long names of servers are taken from another worker, in seconds.
_NAMES_LAST = 60.0
#: For how long a worker waits for another one that reads the names, in seconds.
_NAMES_PATIENCE = 60.0


#: Takes a warning for the user.
Warn = Callable[[str], None]


def _silent(_text: str) -> None:
    return None


@dataclass(frozen=True)
class Run:
    """The surroundings of a task.

    Attributes:
        tell: takes a line about the progress of the task.
        hosts: how many hosts the task runs for, each in a worker of its own.
        folder: temporary folder of the run, which its workers share; None where there is none.
        journal: file for the ids of commands that are under way, which an interrupted run leaves behind; None for none.
    """

    tell: Callable[[str], None] = _silent
    hosts: int = 1
    folder: Path | None = None
    journal: Path | None = None

    @property
    def submitted(self) -> Ids | None:
        """The commands that this run has submitted."""
        return Ids(self.folder / "alpacon-submitted") if self.folder else None

    @property
    def under_way(self) -> Ids | None:
        """Those that it has not seen the end of."""
        return Ids(self.journal) if self.journal else None


#: A task that shares nothing and tells nobody.
ALONE = Run()


class Pause:
    """Until when no request may be sent, since the request budget is used up; for the threads of a process."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def until(self) -> float:
        """Monotonic seconds."""
        return self._until

    def hold(self, until: float) -> None:
        """Make everybody wait until then, in monotonic seconds."""
        with self._lock:
            self._until = max(self._until, until)


class SharedPause(Pause):
    """The same, for all workers of a run. Where the file cannot be written, it holds for the process alone."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def until(self) -> float:
        """Monotonic seconds, which all processes of a machine count alike."""
        return max(self._until, _read_number(self._file))

    def hold(self, until: float) -> None:
        """Make everybody wait until then, in monotonic seconds."""
        super().hold(until)
        with contextlib.suppress(OSError), _locked(self._file.parent):
            if until > _read_number(self._file):
                _write(self._file, str(until))


class Shared:
    """What the workers of a run share about one workspace, as seen with one token.

    Args:
        folder: temporary folder of the run.
        url, token: they decide which workers share; only a digest of both is used.
    """

    def __init__(self, folder: Path, url: str, token: str) -> None:
        digest = hashlib.sha256(f"{url}\0{token}".encode()).hexdigest()[:16]
        self._folder = folder / f"alpacon-{digest}"
        self._awaited = self._folder / "awaited"
        self._rows = self._folder / "rows"
        # Parents that mkdir makes itself would be open to others.
        for path in (self._folder, self._awaited, self._rows):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.pause = SharedPause(self._folder / "paused_until")

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Whether this worker holds the lock now. It never waits, and a worker that dies lets go of it."""
        with (self._folder / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    # Commands

    def expect(self, command_id: str) -> None:
        """Ask whoever polls to look for this command as well."""
        with contextlib.suppress(OSError):
            (self._awaited / _file_name(command_id)).touch()

    def forget(self, command_id: str) -> None:
        """Take the command off the list of those that are looked for."""
        for folder in (self._awaited, self._rows):
            with contextlib.suppress(OSError):
                (folder / _file_name(command_id)).unlink(missing_ok=True)

    def expected(self) -> set[str]:
        """The ids of all commands that somebody awaits."""
        return {entry.name for entry in os.scandir(self._awaited)}

    def offer(self, command_id: str, row: dict[str, Any]) -> None:
        """Leave the row of a command that is over to the worker that awaits it. An empty row: it is not in the list."""
        _write(self._rows / _file_name(command_id), json.dumps(row))
        (self._awaited / _file_name(command_id)).unlink(missing_ok=True)

    def take(self, command_id: str) -> dict[str, Any] | None:
        """The row that another worker left, once, or None."""
        file = self._rows / _file_name(command_id)
        try:
            row: dict[str, Any] = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        file.unlink(missing_ok=True)
        return row

    def polled_at(self) -> float:
        """When the latest poll that came to its end was begun, in monotonic seconds."""
        return _read_number(self._folder / "polled_at")

    def note_poll(self, began: float) -> None:
        """Say when a poll that has come to its end was begun."""
        _write(self._folder / "polled_at", str(began))

    # Servers

    def servers(self, read: Callable[[], Iterable[tuple[str, str]]]) -> list[tuple[str, str]]:
        """Id and name of each server of the workspace, by ``read`` or by what another worker has just read."""
        file = self._folder / "servers.json"
        patience = time.monotonic() + _NAMES_PATIENCE
        while time.monotonic() < patience:
            known = _known_servers(file)
            if known is not None:
                return known
            with self.lock("servers") as mine:
                # Another one may have read them between the look and the lock.
                known = _known_servers(file) if mine else None
                if mine and known is None:
                    began = time.monotonic()
                    known = list(read())
                    _write(file, json.dumps({"began": began, "servers": known}))
            if known is not None:
                return known
            time.sleep(0.02)
        return list(read())


def _file_name(command_id: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]+", command_id):
        raise ValueError("no id of a command looks like that")
    return command_id


def _known_servers(file: Path) -> list[tuple[str, str]] | None:
    """What a worker has read lately, or None."""
    try:
        known = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    if time.monotonic() - known["began"] >= _NAMES_LAST:
        return None
    return [tuple(server) for server in known["servers"]]


class Ids:
    """A file with one id of a command a line, which the workers of a run write to together.

    A file that cannot be written must not stop the commands, so errors of the file system are passed over.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, command_id: str) -> None:
        """Note a command as soon as its id is known."""
        line = f"{command_id}\n".encode()
        with contextlib.suppress(OSError):
            try:
                self._append(line)
            except FileNotFoundError:
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._append(line)

    def _append(self, line: bytes) -> None:
        # Once for each submit: pathlib and text files would take several times as long.
        with _locked(self.file.parent):
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def remove(self, command_ids: Iterable[str]) -> None:
        """Strike out commands; the file is gone when none is left."""
        struck = set(command_ids)
        with contextlib.suppress(OSError), _locked(self.file.parent):
            left = [line for line in self.file.read_text().splitlines() if line not in struck]
            if left:
                _write(self.file, "".join(f"{line}\n" for line in left))
            else:
                self.file.unlink()

    def read(self) -> set[str]:
        """All ids that are in it."""
        with contextlib.suppress(OSError):
            return set(self.file.read_text().splitlines())
        return set()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only one who changes a file in there; the folder is locked, since the file itself is replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, text: str) -> None:
    """Replace a file at once, so that nobody ever reads half of it."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(file)


def _read_number(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return 0.0
