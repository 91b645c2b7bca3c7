# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Look for the commands of lost submits, together and less and less often, until they are found or given up."""

from __future__ import annotations

import math
import time

from .._api.errors import AlpaconError, LostAnswer, unforeseen
from .jobs import Job, Limits
from .submitting import Submitting

#: Lists lag behind writes, and gateways hold requests: a command that is not listed is looked for so long, in seconds.
_NOT_LISTED_PATIENCE = 30.0
#: After 413 it is looked for so long, in seconds: a gateway that finds a request too large has hardly passed it on.
_TOO_LARGE_PATIENCE = 5.0
#: A task that does not wait for its commands looks for their ids no longer than this, in seconds.
_PATIENCE_WITHOUT_WAIT = 120.0
#: The shortest and the longest pause between two looks, in seconds: an outage of an hour costs some 35 requests.
_SHORTEST, _LONGEST = 0.5, 120.0


class LostJobs:
    """The jobs of a fleet whose submits got no answer: commands that are under way, perhaps, with ids not yet known.

    Args:
        no_log: see :func:`._api.errors.unforeseen`.
    """

    def __init__(self, submitting: Submitting, limits: Limits, no_log: bool) -> None:
        self._submitting = submitting
        self._no_log = no_log
        self._patience = limits.wait_timeout if limits.wait else min(limits.wait_timeout, _PATIENCE_WITHOUT_WAIT)
        self.jobs: list[Job] = []
        #: When the next look is due, in monotonic seconds.
        self.due = math.inf
        #: How many looks in a row have failed.
        self._failed = 0

    def add(self, job: Job) -> None:
        """Begin to look for the command of a job."""
        job.since = time.monotonic()
        # While looks fail, another lost submit makes none of them come sooner.
        if not (self.jobs and self._failed):
            self.due = job.since
        self.jobs.append(job)

    def look(self) -> list[Job]:
        """Look once for all of them; return those that have their command now, or are given up."""
        began, failure = time.monotonic(), None
        try:
            self._submitting.find_lost(self.jobs)
        except AlpaconError as error:
            failure = error
        except Exception as error:
            failure = unforeseen(error, self._no_log)
        self._failed = self._failed + 1 if failure else 0
        for job in self.jobs:
            if job.command is None and self._is_hopeless(job, began, failure):
                self._submitting.give_up(job, failure)
        decided = [job for job in self.jobs if job.command or job.outcome]
        self.jobs = [job for job in self.jobs if not (job.command or job.outcome)]
        self.due = self._next_look(began)
        return decided

    def _is_hopeless(self, job: Job, now: float, failure: AlpaconError | None) -> bool:
        if failure:
            return now >= job.since + self._patience
        return bool(job.found and job.found.candidates) or now >= self._ends(job)

    def _ends(self, job: Job) -> float:
        """Return when a job is given up whose command is not listed, in monotonic seconds."""
        too_large = isinstance(job.error, LostAnswer) and job.error.status == 413
        return job.since + min(_TOO_LARGE_PATIENCE if too_large else _NOT_LISTED_PATIENCE, self._patience)

    def _next_look(self, now: float) -> float:
        if not self.jobs:
            return math.inf
        if self._failed:
            last = min(job.since for job in self.jobs) + self._patience
            return now + max(min(_SHORTEST * 2.0**self._failed, _LONGEST, last - now), _SHORTEST)
        pauses = [min(max(now - job.since, _SHORTEST), max(self._ends(job) - now, 0.0)) for job in self.jobs]
        return now + max(min(pauses), _SHORTEST)
