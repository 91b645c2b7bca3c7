# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long to wait between looks at commands."""

from __future__ import annotations

import math
from typing import Callable

#: Pause before the first look at a command, in seconds.
FIRST_LOOK = 0.1
SHORTEST_PAUSE, LONGEST_PAUSE = 0.15, 10.0
#: The pause while a command is not as old as that, in seconds; later it grows with the age by so much of it.
#: So the looks come just after 0.1 and 0.4 s, and after each of the first seconds.
_YOUNG = ((0.2, 0.3), (1.0, 0.65))
_OLDER, _GROWTH = 1.0, 0.08
#: Where workers poll for each other, the pause is no more of the age than this, since most looks ask nobody.
_GROWTH_AMONG_OTHERS = 0.2
#: After a look that took several requests, the pause is at least so long for each of them, in seconds.
_PAUSE_A_PAGE = 0.3
#: The same where results are read once and may come later.
_WIDE, _WIDE_GROWTH, _LONGEST_WIDE_PAUSE = 0.5, 1.5, 60.0

#: Tells the pause until the next look by the age of a command, how many requests a look takes, and whether other
#: workers look as well.
Pacing = Callable[[float, int, bool], float]


def pause_at(age: float, pages: int = 1, among_others: bool = False) -> float:
    """Pause until the next look, in seconds: the older the command and the more a look costs, the longer.

    Args:
        age: since when the command is awaited, in seconds.
        pages: how many requests a look takes.
        among_others: whether other workers of the run look as well, and tell what they see.
    """
    pause = next((pause for young, pause in _YOUNG if age < young), max(_OLDER, age * _GROWTH))
    if among_others:
        pause = min(pause, age * _GROWTH_AMONG_OTHERS)
    cost = 1 + math.log2(pages)
    return max(min(pause * cost, LONGEST_PAUSE), SHORTEST_PAUSE, (pages - 1) * _PAUSE_A_PAGE)


def wide_pause_at(age: float, pages: int = 1, _among_others: bool = False) -> float:
    """Pause of an audit until the next look, in seconds: 2 looks in the first 2 seconds, 7 in the first 2 minutes."""
    return max(min(_WIDE + age * _WIDE_GROWTH, _LONGEST_WIDE_PAUSE), (pages - 1) * _PAUSE_A_PAGE)
