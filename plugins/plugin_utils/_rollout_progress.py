# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Track the task that the hosts of a wave run, and report progress while ansible-core waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable


class CurrentTask:
    """Track the hosts that run the current task of the play, and the time that each host spent in tasks.

    ansible-core starts a task when all hosts have ended the one before.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.name = ""
        self.ended: set[str] = set()
        #: By host: the name of the last task that it started.
        self.last: dict[str, str] = {}
        self._clock = clock
        self._started_at: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def start(self, name: str) -> None:
        self.name, self.ended, self._started_at = name, set(), {}

    def start_host(self, host: str) -> None:
        self._started_at[host] = self._clock()
        self.last[host] = self.name

    def end_host(self, host: str) -> None:
        if host in self._started_at:
            self._seconds[host] = self.count_seconds(host)
            del self._started_at[host]
            self.ended.add(host)

    def list_running(self) -> dict[str, float]:
        """Return the seconds since each running host started, longest first."""
        # Another thread may call this: copying is atomic.
        started_at, now = dict(self._started_at), self._clock()
        return {host: now - started_at[host] for host in sorted(started_at, key=started_at.__getitem__)}

    def count_seconds(self, host: str) -> float:
        now = self._clock()
        return self._seconds.get(host, 0.0) + now - self._started_at.get(host, now)


class Ticker:
    """Call a function once a minute in another thread, until it is stopped."""

    interval = 60.0

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollout_progress", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self.interval):
            self._function()

    def stop(self) -> None:
        """Stop, so that the function is not called any more."""
        self._stopped.set()
        self._thread.join()
