# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Files that the workers of a run share: changed at once, and under a lock that nobody waits for without end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

#: For how long a lock on a file that workers share is waited for, in seconds.
_LOCK_PATIENCE = 5.0


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one who changes a file in there; the folder is locked, since the file itself is replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, kind: int) -> None:
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


def replace(file: Path, text: str) -> None:
    """Replace a file at once, so that nobody ever reads half of it."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_bytes(text.encode("utf-8", "surrogateescape"))
    fresh.replace(file)


def read_number(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return 0.0
