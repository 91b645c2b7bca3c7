# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record the submitted commands of a run, and its unfinished ones in a journal. All workers write the same files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .._api.records import is_uuid
from .._api.settings import Warn

#: Maximum seconds to wait for a lock.
_LOCK_WAIT = 5.0


@contextlib.contextmanager
def lock_folder(folder: Path, seconds: float = _LOCK_WAIT) -> Iterator[None]:
    """Lock a folder. Raise :class:`TimeoutError` if another process holds the lock for more than these seconds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_file(descriptor, fcntl.LOCK_EX, seconds)
        yield
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, kind: int, seconds: float = _LOCK_WAIT) -> None:
    """Wait for a lock. Raise :class:`TimeoutError` if another process holds it for more than these seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError("another process has held the lock for too long") from None
            time.sleep(0.002)


def replace_file(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_bytes(text.encode("utf-8", "surrogateescape"))
    fresh.replace(file)


def read_number(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return 0.0


def hash_line(line: str) -> str:
    """Return a digest to write in place of a line if the task has C(no_log)."""
    return f"sha256:{hashlib.sha256(line.strip().encode('utf-8', 'surrogatepass')).hexdigest()}"


class SubmittedCommands:
    """A file of the commands that the workers of a run have submitted, with a JSON row in each line.

    Errors of the file system are ignored, so that they do not stop the task.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the row of a command. It must not contain secrets."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # Begin a new line: a full disk may have cut the previous one.
                os.write(descriptor, f"\n{json.dumps(row)}\n".encode())
            finally:
                os.close(descriptor)

    def read_rows(self) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError):
            for line in self.file.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    row = json.loads(line)
                    rows[row["id"]] = row
        return rows


class Position(NamedTuple):
    """Offset and length of a line in bytes."""

    offset: int
    length: int


def read_journal(file: Path) -> tuple[list[str], int]:
    """Return the IDs of the commands in a journal, and the number of submits whose IDs are unknown.

    Raises:
        OSError: the file cannot be read.
    """
    lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    ids = [line[: Journal.ID_LENGTH] for line in lines]
    known = [command_id for command_id in ids if is_uuid(command_id)]
    return known, len(ids) - len(known)


class Journal:
    """A file with a line for each unfinished command of a run, written before its submit.

    A line contains the ID of the command (blanks until the workspace accepts it), the ID of its server, the time before
    the submit, and the SHA-256 of the command line. A worker overwrites the lines of its finished commands with blanks,
    and removes the file if no other line is left.

    If the file cannot be written, the journal warns once and the task continues. Threads may share a journal.
    """

    ID_LENGTH = 36

    def __init__(self, file: Path, warn: Warn) -> None:
        self.file = file
        self._warn = warn
        self.works = True
        self._lock = threading.Lock()
        #: One to append, one to write anywhere. They stay open, since opening takes longer than all the rest.
        self._descriptors: list[int] = []
        self._lines = 0

    def add_submit(self, server_id: str, line: str) -> Position | None:
        """Add a line before a submit. Return None if that fails."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        digest = hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{'':{self.ID_LENGTH}} {server_id} {now} sha256:{digest}\n".encode()
        try:
            with self._lock:
                position = Position(self._append(text), len(text))
                self._lines += 1
                return position
        except OSError as error:
            self._fail(error)
            return None

    def add_id(self, position: Position, command_id: str) -> None:
        self._overwrite([(position.offset, f"{command_id:{self.ID_LENGTH}.{self.ID_LENGTH}}".encode())])

    def remove(self, positions: Sequence[Position]) -> None:
        """Overwrite lines of this worker with blanks, and remove the file if no line is left."""
        if not positions:
            return
        self._overwrite([(position.offset, b" " * (position.length - 1)) for position in positions])
        with self._lock:
            self._lines -= len(positions)
            if not self._lines:
                with contextlib.suppress(OSError):
                    self._remove_empty_file()
                self._close()

    def _append(self, text: bytes) -> int:
        while True:
            descriptor, anywhere = self._open()
            with contextlib.suppress(TimeoutError):
                lock_file(descriptor, fcntl.LOCK_SH)
            try:
                if os.fstat(descriptor).st_nlink:
                    written = os.write(descriptor, text)
                    begin = os.lseek(descriptor, 0, os.SEEK_CUR) - written
                    if written < len(text):
                        # Another worker may have appended a line since, so blank the part instead of truncating.
                        os.pwrite(anywhere, b"\n".rjust(written)[:written], begin)
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return begin
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._close()  # another worker has removed the file

    def _open(self) -> list[int]:
        while len(self._descriptors) < 2:
            self._close()
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for flags in (os.O_WRONLY | os.O_APPEND, os.O_RDWR):
                self._descriptors.append(os.open(self.file, flags | os.O_CREAT, 0o600))
            if not os.path.sameopenfile(*self._descriptors):
                self._close()  # another worker has removed the file between the two calls
        return self._descriptors

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _remove_empty_file(self) -> None:
        _appending, descriptor = self._open()
        lock_file(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink and not self.file.read_bytes().strip():
            self.file.unlink()

    def _overwrite(self, changes: Sequence[tuple[int, bytes]]) -> None:
        try:
            # No other worker writes to these lines, so no lock between workers is needed.
            with self._lock:
                _appending, descriptor = self._open()
                for offset, text in changes:
                    if os.pwrite(descriptor, text, offset) < len(text):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.works:
            self.works = False
            self._warn(f"alpacon: {self.file} cannot be written. If this run is interrupted, its IDs are lost. {error}")
