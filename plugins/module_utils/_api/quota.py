# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count the requests of a run, and poll less often when half of the token's quota is used."""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path

#: Period of the quota, in seconds.
PERIOD = 3600
#: Requests are counted in slots of this many seconds, so that those of more than an hour ago can be dropped.
_SLOT = 300
#: Share of the quota up to which callers may limit the pause; the rest is for requests that matter more.
_SPENDABLE = 0.9
_PREFIX = "requests-"


class Quota:
    """Count requests in a folder that all workers of the run share, or in this process.

    Args:
        limit: requests in an hour.
        folder: has a file for each slot of time, with a byte for each request; None to count in this process.
    """

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        self.limit = limit
        self._folder = folder
        #: Number of requests by slot.
        self._own: dict[int, int] = {}

    def count_request(self) -> None:
        slot = int(time.monotonic() // _SLOT)
        self._own[slot] = self._own.get(slot, 0) + 1
        if self._folder:
            with contextlib.suppress(OSError), open(self._folder / f"{_PREFIX}{slot}", "ab", buffering=0) as file:
                file.write(b".")

    def get_pause(self, requests: int, is_exceeded: bool = False, longest: float = math.inf) -> float | None:
        """Return the pause in seconds, after this many requests, that makes the quota last until the end of the hour.

        Args:
            longest: the longest pause until nine tenths of the quota are used, or a request is refused.
            is_exceeded: the workspace has refused a request. If it has not, and the run has made more requests than
                the limit, the workspace allows more than that.

        Returns:
            None if the run has not made more than half of the requests of this hour.
        """
        slots = self._read_slots()
        used = sum(slots.values())
        if not (is_exceeded or self.limit < 2 * used < 2 * self.limit):
            return None
        ends = min(slots, default=0) * _SLOT + PERIOD
        pause = max(0.0, ends - time.monotonic()) * requests / max(1, self.limit - used)
        return pause if is_exceeded or used >= _SPENDABLE * self.limit else min(pause, longest)

    def _read_slots(self) -> dict[int, int]:
        oldest = (time.monotonic() - PERIOD) // _SLOT
        slots = self._own
        if self._folder:
            with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
                files = [entry for entry in entries if entry.name.startswith(_PREFIX)]
                slots = {int(file.name[len(_PREFIX) :]): file.stat().st_size for file in files}
        return {slot: number for slot, number in slots.items() if slot > oldest}
