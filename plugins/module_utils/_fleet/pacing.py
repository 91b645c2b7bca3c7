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
    first_poll: float = 0.25
    #: Pause of a young command that is polled alone, as a share of its age.
    young_growth: float = 8.0
    #: Pause of an older command that is polled alone: a constant, the share of its age that is added, and the maximum.
    alone: float = 7.0
    alone_growth: float = 0.42
    alone_longest: float = 180.0
    #: Share of a pause by which it is changed so that a poll comes when the command is expected to end, and share of
    #: the age that is added when the command takes longer.
    expected_reach: float = 1.75
    expected_growth: float = 0.25
    #: Shortest pause between two polls.
    shortest: float = 0.2
    #: Share of the age of young commands that is added to the shortest pause.
    many_growth: float = 1.0
    #: Pause while many commands run for seconds, when users watch.
    steady: float = 1.0
    #: Pause of many older commands as a share of their age, so that results are at most this share late.
    growth: float = 0.08
    #: Longest pause of many commands: users notice when a result is later than this.
    longest: float = 10.0
    #: Pause for each page of a list after the first, so that long lists do not use up the quota.
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
    #: Added to that for each command that is awaited, since many commands are delivered slowly.
    queued_each: float = 0.01
    #: Time that a command runs before its server is read, which may have been restarted.
    running: float = 15.0
    #: Pause before the server of a queued command is read again; it doubles.
    ask_again: float = 60.0
    #: Longest pause before the server is read again, and the pause of a running command.
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

    def get_pause(self, age: float, commands: int = 1, pages: int = 1, expected: float | None = None) -> float:
        """Return the pause until the next poll: the older the commands and the longer the list, the longer.

        Args:
            age: seconds since the task began to await the command.
            commands: number of commands that the poll is for.
            pages: number of requests of the poll.
            expected: see :meth:`get_pause_alone`.
        """
        alone = self.get_pause_alone(age, expected)
        if commands == 1:
            return max(alone, self.shortest)
        young = self.shortest + age * self.many_growth
        pause = min(young, max(self.steady, age * self.growth * (1 + math.log2(pages))), self.longest)
        return max(pause, self.shortest, (pages - 1) * self.per_page, alone * pages / commands)

    def get_pause_alone(self, age: float, expected: float | None = None) -> float:
        """Return the pause of a command that is polled alone, so that each poll costs it a request.

        Args:
            expected: age in seconds at which the command is expected to end; None if unknown.
        """
        pause = min(age * self.young_growth, self.alone + age * self.alone_growth, self.alone_longest)
        if expected and age < expected <= age + self.expected_reach * pause:
            return expected - age
        if expected and expected <= age <= self.expected_reach * expected:
            return min(pause, max(self.shortest, age * self.expected_growth))
        return pause

    def get_first_poll(self, expected: float | None = None) -> float:
        """Return the pause from the submit to the first poll."""
        return expected if expected and expected <= self.expected_reach * self.first_poll else self.first_poll

    def get_check_pause(self, age: float) -> float:
        """Return the pause before reading again the files in which another worker may have written the result."""
        return min(max(self.shortest, age * self.growth), self.longest)

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
MODULE_PACING = replace(SHELL_PACING, first_poll=0.5, young_growth=3.9)
#: A batch of tasks takes seconds, and its polls replace those of many commands.
BATCH_PACING = replace(MODULE_PACING, alone=2.0)
#: Pieces of files have a megabyte each.
FILE_PACING = replace(SHELL_PACING, first_poll=1.0)
#: Audits run unattended: 2 polls in the first 2 seconds, 7 in the first 2 minutes.
AUDIT_PACING = Pacing(first_poll=0.3, shortest=0.5, many_growth=1.5, steady=60.0, longest=60.0)
