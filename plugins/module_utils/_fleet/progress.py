# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the progress of a task."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Callable

from .._api.client import OUTAGE_REPORT
from .._api.errors import AlpaconError, join_first
from .completion import describe_offline, is_queued_offline
from .jobs import Job
from .journal import Journal
from .pacing import PACING

#: Seconds between two progress lines, and between two lines with the same numbers.
REPORT_EVERY, REPEAT_EVERY = 5.0, 60.0
#: Maximum numbers of servers and commands in a message.
_NAMED_SERVERS, _NAMED_COMMANDS = 5, 10


class ProgressReporter:
    """Prints the progress of a task, and a warning as soon as commands wait for offline servers.

    A progress line has new numbers, or names once a minute the servers that are awaited.

    Args:
        report: prints a progress line; None to print none.
        report_offline: prints a warning about offline servers or missing commands.
        report_any: prints what users have to know in any case.

    Attributes:
        finished: number of finished jobs: successes by True, failures by False.
    """

    def __init__(
        self,
        report: Callable[[str], None] | None,
        report_offline: Callable[[str], None],
        report_any: Callable[[str], None],
        journal: Journal | None,
    ) -> None:
        self._report = report
        self._report_offline = report_offline
        self._report_any = report_any
        self._journal = journal
        self.finished: Counter[bool] = Counter()
        self._began = self._reported_at = time.monotonic()
        #: Numbers of the previous progress line.
        self._reported: tuple[int, ...] = ()
        #: IDs of the commands that :meth:`report_offline` has named, and :meth:`report_missing`.
        self._reported_ids: set[str | None] = set()
        self._missing_ids: set[str | None] = set()

    def report(self, to_submit: int, awaited: Sequence[Job], lost: int = 0) -> None:
        """Print a progress line if the previous one is old enough.

        Args:
            lost: number of jobs whose submits got no response.
        """
        now = time.monotonic()
        if self._report is None or now < self._reported_at + REPORT_EVERY:
            return
        offline = sum(map(is_queued_offline, awaited))
        numbers = (to_submit, lost, len(awaited), offline, self.finished[True], self.finished[False])
        is_repeated = numbers == self._reported
        if is_repeated and now < self._reported_at + REPEAT_EVERY:
            return
        first = not self._reported
        self._reported_at, self._reported = now, numbers
        left = f"{to_submit} to submit, " if to_submit else ""
        left += f"{lost} searched for after a lost response, " if lost else ""
        waiting = f", {offline} of them waiting for a server that is offline" if offline else ""
        where = ""
        if awaited and (is_repeated or len(awaited) <= _NAMED_SERVERS):
            where = f" on {join_first([str(job.server) for job in awaited], _NAMED_SERVERS)}"
        ended = f"{self.finished[True]} done, {self.finished[False]} failed after {now - self._began:.0f} s"
        self._report(f"alpacon: {left}{len(awaited)} running{where}{waiting}, {ended}")
        if first and self._journal and self._journal.works:
            self._report(f"alpacon: if this run is interrupted, the IDs are in {self._journal.file}")

    def report_offline(self, jobs: Sequence[Job]) -> None:
        """Print a warning that names, once each, the commands that wait for an offline server."""
        fresh = [job for job in jobs if job.id not in self._reported_ids]
        if not fresh:
            return
        self._reported_ids.update(job.id for job in fresh)
        named = [f"{describe_offline(job.server)} (command {job.id})" for job in fresh]
        verb = "waits" if len(fresh) == 1 else "wait"
        self._report_offline(f"alpacon: {len(fresh)} {verb} for {join_first(named, _NAMED_SERVERS, '; ')}")

    def report_missing(self, awaited: Sequence[Job]) -> None:
        """Print a line that names, once each, the commands that the workspace has not shown for some seconds."""
        now = time.monotonic()
        missing = [job for job in awaited if job.missing_since and now >= job.missing_since + REPORT_EVERY]
        fresh = [job.submitted.id for job in missing if job.id not in self._missing_ids]
        if not fresh:
            return
        self._missing_ids.update(fresh)
        left = max(0.0, min(job.missing_since for job in missing) + PACING.patience - now)
        noun = "command" if len(fresh) == 1 else f"{len(fresh)} commands"
        self._report_offline(
            f"alpacon: the workspace does not show {noun} {join_first(fresh, _NAMED_COMMANDS)}. Waiting for up to"
            f" {left:.0f} s, in case its list lags behind. Check that the ID belongs to this workspace."
        )

    def report_outage(self, awaited: Sequence[Job], error: AlpaconError) -> None:
        """Print which commands wait for the end of an outage."""
        ids = [job.submitted.id for job in awaited]
        if ids:
            self._report_any(
                f"alpacon: the workspace has been down for {OUTAGE_REPORT:.0f} s. Commands whose results wait for it:"
                f" {join_first(ids, _NAMED_COMMANDS)}. {error}"
            )
