# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""An outage of a workspace, shared by all who send to it: everybody waits, and one at a time probes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple

#: The longest pause between two probes, in seconds.
LONGEST_PROBE_PAUSE = 15.0


class OutageState(NamedTuple):
    """An outage that goes on.

    Attributes:
        since: when it began, in monotonic seconds.
        next_probe: when it is probed next, in monotonic seconds.
        pause: seconds between the last probe and the next one.
    """

    since: float
    next_probe: float
    pause: float


class Outage:
    """The outage of a workspace, if there is one, for the threads of a process."""

    def __init__(self) -> None:
        self._state: OutageState | None = None
        self._accepted = False
        self._announced = False
        self._lock = threading.Lock()

    @property
    def accepted(self) -> bool:
        """Return True if the workspace has accepted the token in this run."""
        return self._accepted

    def accept(self) -> None:
        """Note that the workspace has accepted the token."""
        self._accepted = True

    def is_first_notice(self) -> bool:
        """Return True the first time in this run."""
        first, self._announced = not self._announced, True
        return first

    def read(self) -> OutageState | None:
        """Return the outage, or None if there is none."""
        return self._state

    def write(self, state: OutageState | None) -> None:
        """Replace the outage, under the lock."""
        self._state = state

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the outage."""
        with self._lock:
            yield

    def begin(self, now: float, pause: float) -> None:
        """Begin an outage, or go on with one; no probe is due before the pause is over."""
        with self.locked():
            state = self.read() or OutageState(now, 0.0, pause)
            self.write(state._replace(next_probe=max(state.next_probe, now + pause)))

    def take_probe(self, now: float) -> bool:
        """Return True if a probe is due, to one caller alone."""
        with self.locked():
            state = self.read()
            if state is None or now < state.next_probe:
                return False
            pause = min(2 * state.pause, LONGEST_PROBE_PAUSE)
            self.write(OutageState(state.since, now + pause, pause))
            return True

    def end(self) -> None:
        """End the outage."""
        with self.locked():
            self.write(None)
