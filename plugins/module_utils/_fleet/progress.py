# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What users are told while a task awaits commands."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Callable

from .jobs import Job
from .journal import Journal
from .server_state import offline, waits_for

#: Lines about the progress are this far apart, in seconds.
TELL_EVERY = 5.0
#: So many servers are named in a line about them.
_NAMED_SERVERS = 5


class Telling:
    """Says how far a task is, every few seconds, and at once what the user should know at once.

    Args:
        tell: takes a line about the progress; None for no such lines.
        announce: takes a line that the user is to see at once.
        journal: what an interrupted run leaves behind.
    """

    def __init__(
        self,
        tell: Callable[[str], None] | None,
        announce: Callable[[str], None],
        journal: Journal | None,
    ) -> None:
        self._tell = tell
        self._announce = announce
        self._journal = journal
        self._began: float
        self._told: float

    def begin(self, began: float) -> None:
        """Count the time from there, in monotonic seconds."""
        self._began = self._told = began

    def progress(self, to_submit: int, awaited: Sequence[Job], done: Counter[bool], lost: int = 0) -> None:
        """Say how far it is, where the last such line is old enough.

        Args:
            to_submit: how many commands are not submitted yet.
            awaited: those that are submitted and not over.
            done: how many are over, by whether that is fine.
            lost: how many may have been submitted, and are looked for.
        """
        now = time.monotonic()
        if self._tell is None or now < self._told + TELL_EVERY:
            return
        first = self._told == self._began
        self._told = now
        left = f"{to_submit} to submit, " if to_submit else ""
        left += f"{lost} looked for since their answers were lost, " if lost else ""
        away = sum(waits_for(job.known, job.server) for job in awaited)
        waiting = f", {away} of them waiting for a server that is offline" if away else ""
        self._tell(
            f"alpacon: {left}{len(awaited)} running{waiting}, {done[True]} done, {done[False]} failed"
            f" after {now - self._began:.0f} s"
        )
        if first and self._journal and self._journal.works:
            self._tell(f"alpacon: if this run is interrupted, the ids are in {self._journal.file}")

    def announce_offline(self, jobs: Sequence[Job]) -> None:
        """Say at once which commands wait for servers that are offline, or for results of them, once of each."""
        fresh = [job for job in jobs if not job.announced]
        if not fresh:
            return
        for job in fresh:
            job.announced = True
        named = "; ".join(f"{offline(job.server)} (command {job.id})" for job in fresh[:_NAMED_SERVERS])
        more = f"; and {len(fresh) - _NAMED_SERVERS} more" if len(fresh) > _NAMED_SERVERS else ""
        self._announce(f"alpacon: {len(fresh)} {'waits' if len(fresh) == 1 else 'wait'} for {named}{more}")
