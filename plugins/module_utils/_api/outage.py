# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record the outage of a workspace, and decide who probes whether it has ended."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple

from .errors import AlpaconError

_MAX_PROBE_PAUSE = 15.0


class OutageState(NamedTuple):
    """Describe an outage: its start and next probe in monotonic seconds, and the pause between probes in seconds."""

    since: float
    next_probe: float
    pause: float


class Outage:
    """State of a workspace's outage, shared by the threads of a process.

    Attributes:
        error: the latest error; None if this process has seen none.
    """

    def __init__(self) -> None:
        self.error: AlpaconError | None = None
        self._state: OutageState | None = None
        #: Start of the outage that was reported last.
        self._reported = 0.0
        self._accepted = False
        self._announced = False
        self._lock = threading.Lock()

    @property
    def accepted(self) -> bool:
        """Return True if the workspace has accepted the token in this run."""
        return self._accepted

    def accept(self) -> None:
        self._accepted = True

    def is_first_notice(self) -> bool:
        """Return True at the first call in this run."""
        is_first, self._announced = not self._announced, True
        return is_first

    def is_first_report(self, since: float) -> bool:
        """Return True at the first call of this process in an outage that began then."""
        with self._lock:
            is_first, self._reported = self._reported != since, since
        return is_first

    def read_state(self) -> OutageState | None:
        return self._state

    def write_state(self, state: OutageState | None) -> None:
        self._state = state

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock:
            yield

    def record_failure(self, now: float, pause: float, error: AlpaconError) -> None:
        """Start or prolong an outage, with the next probe after the pause."""
        self.error = error
        with self.locked():
            state = self.read_state() or OutageState(now, 0.0, pause)
            self.write_state(state._replace(next_probe=max(state.next_probe, now + pause)))

    def acquire_probe(self, now: float) -> bool:
        """Return True to one caller if a probe is due."""
        with self.locked():
            state = self.read_state()
            if state is None or now < state.next_probe:
                return False
            pause = min(2 * state.pause, _MAX_PROBE_PAUSE)
            self.write_state(OutageState(state.since, now + pause, pause))
            return True

    def clear(self) -> None:
        with self.locked():
            self.write_state(None)
