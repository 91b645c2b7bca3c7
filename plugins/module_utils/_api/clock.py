# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The workspace's clock, as far as its answers tell it."""

from __future__ import annotations

import math
import threading
import time
from datetime import datetime, timezone

from .records import last_moment

#: By how much readings may disagree on the offset between both clocks, in seconds.
_TOLERANCE = 1.0
#: A clock that is further off than this is none, in seconds: a controller that lost its own may live in 1970.
_FARTHEST = 100 * 366 * 86400.0


class Offset:
    """By how much another clock is ahead, in seconds: not less and not more than this, by all readings."""

    def __init__(self) -> None:
        self.least, self.most = -math.inf, math.inf

    def narrow(self, shown: float, precision: float, sent: float, arrived: float) -> None:
        """Take a reading into account.

        Args:
            shown: what the clock showed, in seconds since the epoch; up to ``precision`` less than its time.
            sent, arrived: local times of the request and of its answer, between which it did.
        """
        if abs(shown - sent) <= _FARTHEST:
            self.least = max(self.least, shown - arrived)
            self.most = min(self.most, shown + precision - sent)

    @property
    def is_known(self) -> bool:
        """Whether there are readings, and one offset fits all of them."""
        return math.isfinite(self.least) and self.least <= self.most + _TOLERANCE


class WorkspaceClock:
    """The clock of a workspace, out of both sources that its answers are; threads may share one.

    What a submit of one's own says of when it was added is the clock that all rows go by. ``Date`` counts until there
    is one: some workspaces state none, and a proxy states its own.
    """

    def __init__(self) -> None:
        self._by_rows, self._by_dates = Offset(), Offset()
        self._lock = threading.Lock()

    def read_date(self, shown: float, sent: float, arrived: float) -> None:
        """Read the Date of an answer, which is cut to whole seconds."""
        with self._lock:
            self._by_dates.narrow(shown, 1.0, sent, arrived)

    def read_row(self, added_at: datetime, sent: float, arrived: float) -> None:
        """Read when what was submitted with a request was added."""
        shown = added_at.timestamp()
        with self._lock:
            self._by_rows.narrow(shown, last_moment(added_at).timestamp() - shown, sent, arrived)

    def read_past(self, moment: datetime, local: float) -> None:
        """Read a moment that has passed by the workspace's clock at this local time; only a Date can contradict it."""
        with self._lock:
            if math.isfinite(self._by_dates.least):
                self._by_dates.narrow(moment.timestamp(), math.inf, local, local)

    def at(self, local: float) -> float:
        """The earliest time, in seconds since the epoch, that it can have shown at a time of this machine's clock."""
        least = self._offset.least
        return local + (least if math.isfinite(least) else 0.0)

    def moment_at(self, local: float) -> datetime:
        """The earliest moment that it can have shown at a time of this machine's clock, in UTC."""
        return datetime.fromtimestamp(self.at(local), timezone.utc)

    def now(self) -> datetime:
        """The time by it, or by this machine's clock where no answer has told."""
        return self.moment_at(time.time())

    @property
    def is_known(self) -> bool:
        """Whether answers tell it, and do not contradict each other."""
        return self._offset.is_known

    @property
    def _offset(self) -> Offset:
        return self._by_rows if math.isfinite(self._by_rows.least) else self._by_dates
