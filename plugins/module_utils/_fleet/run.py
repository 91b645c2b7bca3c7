# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The run of ansible-playbook that a task is part of: how it speaks to the user, what its workers share, its journal.

Workers are processes. What they share is files in the run's own temporary folder, which nobody else may read and
which is gone when the run is: names of servers, rows of commands that others await, until when requests must pause,
and which host may submit what. No token and no environment variable is ever in there.
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
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, NamedTuple

from .._api.errors import AlpaconError, RunIsOver

#: For how long names of servers are taken from another worker, in seconds.
_NAMES_LAST = 60.0
#: For how long a worker waits for another one that reads the names, in seconds.
_NAMES_PATIENCE = 60.0


#: For how long a lock on a file that workers share is waited for, in seconds.
_LOCK_PATIENCE = 5.0


#: Takes a warning for the user.
Warn = Callable[[str], None]


def _silent(_text: str) -> None:
    return None


def _goes_on() -> bool:
    return False


@dataclass
class Attempt:
    """A submit that an earlier attempt of the same task has made.

    Attributes:
        sent_at: local time of the submit, in seconds since the epoch.
        command_id: id of the command, as soon as it is known.
        over: whether its end is known, or that it was never accepted: only then it may be submitted again.
    """

    sent_at: float
    command_id: str | None = None
    over: bool = False


@dataclass(frozen=True)
class Run:
    """The surroundings of a task.

    Attributes:
        tell: takes a line about the progress of the task.
        warn: takes a warning that the user is to see at once.
        hosts: how many hosts the task runs for, each in a worker of its own.
        folder: temporary folder of the run, which its workers share; None where there is none.
        journal: file for the commands that are under way, which an interrupted run leaves behind; None for none.
        is_over: whether the run has ended without this worker, which then must not write to the workspace any more.
        claims: which host of the task may submit what; None where there is but one host.
        attempts: what earlier attempts of this very task have submitted, by the digest of each; None for a task that
            is not repeated.
    """

    tell: Callable[[str], None] = _silent
    warn: Warn = _silent
    hosts: int = 1
    folder: Path | None = None
    journal: Path | None = None
    is_over: Callable[[], bool] = _goes_on
    claims: Claims | None = None
    attempts: dict[str, Attempt] | None = None

    @property
    def submitted(self) -> Submitted | None:
        """The commands that this run has submitted."""
        return Submitted(self.folder / "alpacon-submitted") if self.folder else None

    @property
    def under_way(self) -> Journal | None:
        """Those that it has not seen the end of."""
        return Journal(self.journal, self.warn) if self.journal else None

    def check(self) -> None:
        """Raise :class:`RunIsOver` where nothing must be written any more."""
        if self.is_over():
            raise RunIsOver("The run of this task has ended; nothing more is submitted or cancelled.")


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

    def expected_for(self, command_id: str) -> float:
        """For how long somebody has waited for this command, in seconds; 0 where nobody does."""
        try:
            return time.time() - (self._awaited / command_id).stat().st_mtime
        except OSError:
            return 0.0

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

    def server_ids(self, names: Iterable[str], read: Callable[[], Iterable[tuple[str, str]]]) -> dict[str, list[str]]:
        """The ids of servers by name, of those that ``read`` gives, or another worker has just read.

        A worker finds its own names without reading the others, however many there are. Where another one takes too
        long to read them, none is known.
        """
        file = self._folder / "servers"
        patience = time.monotonic() + _NAMES_PATIENCE
        while time.monotonic() < patience:
            known = _look_in(file, names)
            if known is not None:
                return known
            with self.lock("servers") as mine:
                # Another one may have read them between the look and the lock.
                if mine and _look_in(file, ()) is None:
                    began = time.monotonic()
                    servers = list(read())
                    _write_names(file, began, servers)
                    return {name: ids for name in names if (ids := [key for other, key in servers if other == name])}
            if not mine:
                time.sleep(0.02)
        return {}


def _file_name(command_id: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]+", command_id):
        raise ValueError("no id of a command looks like that")
    return command_id


# The file of names: when it was begun, then a record for each server, in order of its name's digest.
_DIGEST, _ID = 32, 36
_RECORD = _DIGEST + _ID + 1


class _Records(Sequence[bytes]):
    """The records of a file of names."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._length = os.fstat(descriptor).st_size // _RECORD

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: Any) -> Any:
        return os.pread(self._descriptor, _RECORD - 1, number * _RECORD)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST].encode()


def _write_names(file: Path, began: float, servers: Iterable[tuple[str, str]]) -> None:
    records = sorted(_digest(name) + server_id.encode() for name, server_id in servers)
    first = f"{began:<{_RECORD - 1}.3f}".encode()
    _write(file, b"".join(record + b"\n" for record in (first, *records)).decode())


def _look_in(file: Path, names: Iterable[str]) -> dict[str, list[str]] | None:
    """The ids of those of these names that a worker has read lately, or None where none has."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        records = _Records(descriptor)
        if time.monotonic() - float(records[0]) >= _NAMES_LAST:
            return None
        return {name: ids for name in names if (ids := _ids_of(records, _digest(name)))}
    finally:
        os.close(descriptor)


def _ids_of(records: Sequence[bytes], digest: bytes) -> list[str]:
    ids = []
    for number in range(bisect_left(records, digest, 1), len(records)):
        if not records[number].startswith(digest):
            break
        ids.append(records[number][_DIGEST:].decode())
    return ids


class Submitted:
    """The commands that the workers of a run have submitted: a file with a row of each a line.

    A file that cannot be written must not stop the commands, so errors of the file system are passed over.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, row: Mapping[str, Any]) -> None:
        """Note a command as soon as its id is known; nothing of the row may be secret."""
        with contextlib.suppress(OSError):
            _append(self.file, f"{json.dumps(row)}\n".encode())

    def read(self) -> dict[str, dict[str, Any]]:
        """The row of each of them by its id, in their order."""
        rows: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError):
            for line in self.file.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    row = json.loads(line)
                    rows[row["id"]] = row
        return rows


class Place(NamedTuple):
    """Where in a journal a command has its line: offset and length in bytes."""

    offset: int
    length: int


class Journal:
    """A file with a line for each command that the workers of a run are about to submit or have under way.

    A line has the id of the command (blanks as long as it is not known), the id of its server, the time before its
    submit and the SHA-256 of the command line. Whoever knows the end of a command, or has returned it, blanks its
    line; the file is gone when nothing else is left.

    A file that cannot be written must not stop the commands, so that is told, once.
    """

    _ID = 36

    def __init__(self, file: Path, warn: Warn = _silent) -> None:
        self.file = file
        self._warn = warn
        #: Whether it could be written so far.
        self.works = True

    def intend(self, server_id: str, line: str) -> Place | None:
        """Note what is about to be submitted; None where that was not possible."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        digest = hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{'':{self._ID}} {server_id} {now} sha256:{digest}\n".encode()
        try:
            try:
                return Place(_append(self.file, text), len(text))
            except FileNotFoundError:
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                return Place(_append(self.file, text), len(text))
        except OSError as error:
            self._fail(error)
            return None

    def note(self, place: Place, command_id: str) -> None:
        """Add the id of a command as soon as it is known."""
        self._overwrite([(place.offset, f"{command_id:{self._ID}.{self._ID}}".encode())])

    def strike(self, places: Iterable[Place]) -> None:
        """Blank the lines of commands; the file is gone when nothing else is left."""
        if not self._overwrite([(place.offset, b" " * (place.length - 1)) for place in places]):
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self.file, os.O_RDONLY)
            try:
                _lock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_nlink and not self.file.read_bytes().strip():
                    self.file.unlink()
            finally:
                os.close(descriptor)

    def _overwrite(self, changes: Sequence[tuple[int, bytes]]) -> bool:
        if not changes:
            return False
        try:
            # The line is this worker's own, so that no lock is needed.
            descriptor = os.open(self.file, os.O_WRONLY)
            try:
                for offset, text in changes:
                    os.pwrite(descriptor, text, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: OSError) -> None:
        if self.works:
            self.works = False
            self._warn(f"alpacon: {self.file} cannot be written: an interrupted run leaves no ids behind. {error}")


@dataclass(frozen=True)
class Claims:
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

    def take(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        """Take all of these or none.

        Args:
            wanted: server and digest of what is to be submitted to it.

        Returns:
            The server that another host has, and that host; None where all are this host's now.

        Raises:
            AlpaconError: it could not be found out.
        """
        try:
            return self._take_all(wanted)
        except OSError as error:
            raise AlpaconError(
                f"Which host of the task submits what cannot be agreed on in {self.folder}: {error}"
            ) from None

    def _take_all(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        taken: list[Path] = []
        # In one order for all: so one of the hosts that want some of the same gets all of its own.
        for server, digest in sorted(wanted):
            name = hashlib.sha256(f"{self.task}\0{server}\0{digest}".encode("utf-8", "surrogatepass")).hexdigest()
            file = self.folder / "alpacon-claims" / name
            owner = self._take(file, taken)
            if owner != self.host:
                for own in taken:
                    with contextlib.suppress(OSError):
                        own.unlink()
                return server, owner
        return None

    def _take(self, file: Path, taken: list[Path]) -> str:
        """The host that has it, which is this one if nobody has had it."""
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        file.parent.mkdir(mode=0o700, exist_ok=True)
        fresh.write_text(self.host, encoding="utf-8")
        try:
            # A link is there with its content at once.
            os.link(fresh, file)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                return file.read_text(encoding="utf-8")
            return "?"  # given up at this moment
        else:
            taken.append(file)
            return self.host
        finally:
            fresh.unlink()


def _append(file: Path, text: bytes) -> int:
    """Add to the end of a file that only the user may read, and give the place where it begins."""
    # Once for each submit: pathlib and text files would take several times as long.
    while True:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            with contextlib.suppress(TimeoutError):
                _lock(descriptor, fcntl.LOCK_SH)
            if not os.fstat(descriptor).st_nlink:
                continue  # it was taken away between both
            os.write(descriptor, text)
            return os.lseek(descriptor, 0, os.SEEK_CUR) - len(text)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only one who changes a file in there; the folder is locked, since the file itself is replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> None:
    """Wait for a lock for a bounded time; :class:`TimeoutError` where somebody holds on to it."""
    deadline = 0.0
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now = time.monotonic()
            deadline = deadline or now + _LOCK_PATIENCE
            if now >= deadline:
                raise TimeoutError("a lock is held for too long") from None
            time.sleep(0.002)


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
