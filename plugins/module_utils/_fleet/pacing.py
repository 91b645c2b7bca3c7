# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times of polling: the pauses between polls, and the time to wait for a lag of reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pacing:
    """Times in seconds, and factors of times."""

    #: Pause from a submit to the first poll: short commands have ended by then.
    first_poll: float = 0.12
    #: Shortest pause between two polls.
    shortest: float = 0.2
    #: Share of a young command's age that is added to the shortest pause.
    young_growth: float = 1.0
    #: Pause while a command runs for seconds, when users watch.
    steady: float = 1.0
    #: Pause of an older command as a share of its age, so that its result is at most this share late.
    growth: float = 0.08
    #: Longest pause: users notice when a result is later than this.
    longest: float = 10.0
    #: Pause for each page of a list after the first, so that long lists do not use up the request budget.
    per_page: float = 0.3
    #: Longest pause between two polls of workers that share them, for each command that they await.
    shared_each: float = 0.045
    #: Number of polls of the newest page alone between two polls of a whole long list.
    newest_polls: int = 3
    #: Pause between polls while commands are still being submitted.
    submitting: float = 20.0
    #: The same if max_errors can stop the submits, and the pause after a failed poll.
    failing: float = 5.0
    #: Time that a command is queued before its server is read, which may be offline.
    queued: float = 1.0
    #: Added to that for each command that other workers await, since many commands are delivered slowly.
    queued_each: float = 0.0
    #: Time that a command runs before its server is read, which may have been restarted.
    running: float = 15.0
    #: Pause before the server is read again; it doubles.
    ask_again: float = 60.0
    #: Longest pause before the server is read again.
    ask_again_longest: float = 300.0
    #: Wait for a change that reads do not show yet: they lag behind writes, gateways delay requests, and an agent
    #: that was restarted repeats its report for 31 s.
    patience: float = 35.0
    #: Wait for a command that the list most likely contains already.
    list_lag: float = 5.0
    #: Shortest pause between two searches for a lost submit.
    search: float = 0.5
    #: Longest pause between two searches, and the longest search of a task that awaits no command.
    search_longest: float = 120.0

    def get_pause(self, age: float, pages: int = 1, shared: bool = False) -> float:
        """Return the pause until the next poll: the older the command and the longer the list, the longer.

        Args:
            age: seconds since the task began to await the command.
            pages: number of requests of a poll.
            shared: True if other workers poll too, so that most polls only read their files.
        """
        young = self.shortest + age * self.young_growth
        pause = min(young, max(self.steady, age * self.growth * (1 + math.log2(pages))), self.longest)
        if shared:
            pause = min(pause, age * self.growth)
        return max(pause, self.shortest, (pages - 1) * self.per_page)

    def get_read_pauses(self) -> Iterator[float]:
        """Yield the pauses between reads that wait for a change to become visible."""
        waited, pause = 0.0, self.search
        while waited < self.patience:
            yield pause
            waited += pause
            pause = min(2 * pause, self.failing)


PACING = Pacing()
SHELL_PACING = Pacing(queued=5.0, queued_each=0.2)
#: Python takes a while to start.
MODULE_PACING = replace(SHELL_PACING, first_poll=0.3)
#: Audits run unattended: 2 polls in the first 2 seconds, 7 in the first 2 minutes.
AUDIT_PACING = Pacing(first_poll=0.3, shortest=0.5, young_growth=1.5, steady=60.0, longest=60.0)
