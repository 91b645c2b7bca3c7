# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""A mark for a process of this machine, by which later runs see whether it has ended."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import uuid
from pathlib import Path

_PROC = Path("/proc")
_MARK = re.compile(r"([0-9a-f]{8})-(\d{1,10})-(\d{1,20})")


def process_mark(pid: int) -> str:
    """What tells a process from all others, of other machines and of earlier times as well."""
    return f"{_machine()}-{pid}-{_started(pid)}"


def has_ended(mark: str) -> bool:
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
