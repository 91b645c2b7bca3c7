# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide when to poll."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Callable

from .._api.client import Client
from .._api.lists import PAGE_SIZE
from .jobs import Job, Limits
from .pacing import Pacing
from .poller import Poller
from .push import Push
from .run import Run

#: With more commands than this, most polls read only the newest page.
_LONG_LIST = 4 * PAGE_SIZE


class PollTimer:
    """Answers one question: when is the next poll due?

    A job is due after a pause that grows with its age (:class:`.Pacing`), that is longer when half of the quota is
    used, and much longer while the listener awaits the end of its command (:class:`.Push`). It is due at its timeout
    at the latest. A poll reads all awaited jobs, so the next one is due when the first job is.

    Attributes:
        push: None to poll without a listener.
        began, ended: of the last poll, in monotonic seconds.
        newest_only: whether the last poll reads no more than the newest page.
    """

    def __init__(
        self,
        client: Client,
        limits: Limits,
        pacing: Pacing,
        poller: Poller,
        push: Push | None,
        run: Run,
        sleep: Callable[[float], None],
    ) -> None:
        #: The client of the last poll, which counts its requests.
        self._client = client
        self._limits = limits
        self._pacing = pacing
        self._poller = poller
        self.push = push
        self._run = run
        self._sleep = sleep
        self._next = math.inf
        self._newest_polls_left = pacing.newest_polls
        self.began = self.ended = time.monotonic()
        self.newest_only = False

    def add(self, job: Job, pause: float | None = None) -> None:
        """Poll a job from now on.

        Args:
            pause: seconds until its first poll; None for a command that was just submitted.
        """
        if pause is None:
            pause = self._lengthen(job, self._pacing.get_first_poll(job.expected))
        self._next = min(self._next, time.monotonic() + pause, self._limits.get_end(job))

    def get_next(self, is_submitting: bool) -> float:
        """Return when the next poll is due, in monotonic seconds; polls are rare while commands are submitted."""
        if not is_submitting:
            return self._next
        pause = self._pacing.submitting if self._limits.max_errors is None else self._pacing.failing
        return max(self._next, self.ended + pause)

    def begin(self, jobs: Sequence[Job], client: Client, is_submitting: bool) -> None:
        """Begin a poll of these jobs with this client."""
        if self.push:
            self.push.begin_poll()
        self.began, self._client = time.monotonic(), client
        self.newest_only = self._is_long_list(jobs, is_submitting) and self._newest_polls_left > 0
        self._newest_polls_left = self._newest_polls_left - 1 if self.newest_only else self._pacing.newest_polls

    def end(self, jobs: Sequence[Job], failed: bool) -> None:
        """End a poll of these jobs."""
        self.ended = time.monotonic()
        if self.push and not failed:
            self.push.end_poll(self._poller.has_read)
            if self._client.requests and not self._poller.has_found_end(jobs):
                self.push.add_useless(jobs, self._client.requests)

    def set_next(
        self, jobs: Sequence[Job], is_submitting: bool, other_requests: int, failed: bool, follows: bool
    ) -> None:
        """Set the next poll of the jobs that are still awaited.

        Args:
            other_requests: number of requests of a poll besides those for commands.
            failed: whether the last poll failed.
            follows: whether reads of output tell the user about the quota.
        """
        polls = 1 + self._pacing.newest_polls if self._is_long_list(jobs, is_submitting) else 1
        wide = self._client.get_quota_pause(self._poller.pages + other_requests) or 0.0
        self._next, is_widened = math.inf, False
        for job in jobs:
            age = self.ended - job.awaited_since
            usual = self._poller.get_pause(job, len(jobs), other_requests)
            is_widened = is_widened or wide > usual
            pause = max(usual, min(age, wide)) / polls
            pause = self._pacing.failing if failed else self._lengthen(job, pause)
            # Poll once more at the timeout before the job times out.
            end = max(self.ended + self._pacing.shortest, self._limits.get_end(job))
            self._next = min(self._next, self.ended + pause, end)
        if is_widened and not follows:
            self._run.report_thrift(self._client.settings, "polls less often")

    def wait(self, jobs: Sequence[Job], seconds: float) -> None:
        """Sleep, or poll sooner if the workspace pushes the end of a command."""
        if self.push is None:
            self._sleep(seconds)
        elif self.push.wait(jobs, seconds, self._sleep):
            # Commands of a task often end together, and are read together.
            self._next = self.ended + self._pacing.shared_each * len(jobs)

    def _lengthen(self, job: Job, pause: float) -> float:
        return self.push.get_pause(job, pause) if self.push else pause

    def _is_long_list(self, jobs: Sequence[Job], is_submitting: bool) -> bool:
        """Return True if a poll would read many pages, and no job has to be read for its timeout."""
        if is_submitting or len(jobs) <= _LONG_LIST:
            return False
        now = time.monotonic()
        return all(now < self._limits.get_end(job) for job in jobs)
