# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What commands wrote, as jobs keep it."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

from .._api.agent_output import shortened
from .._api.client import Client
from .._api.errors import AlpaconError
from .._api.outputs import Output, output_of_row, read_output
from .._payload.frames import SKIPPED
from .._payload.results import unpacked, whole_of
from .jobs import Job, Limits
from .outcomes import Outcome, outcome_of


class KeptOutputs:
    """Gives jobs the outputs of their finished commands.

    Args:
        limits: of the task.
        hide: takes the secrets out of an output, before it is cut where half of one would be left.
        sleep: called with seconds to pause.
    """

    def __init__(
        self, client: Client, limits: Limits, hide: Callable[[str], str], sleep: Callable[[float], None]
    ) -> None:
        self._client = client
        self._limits = limits
        self._hide = hide
        self._sleep = sleep

    def take(self, job: Job) -> bool:
        """Keep the output that the row of the job's command carries; whether it carries all of it."""
        output = output_of_row(job.known)
        if output:
            self._keep(job, output)
        return output is not None

    def fetch(self, job: Job) -> None:
        """Keep the output of the job's command, from wherever the workspace has it."""
        try:
            is_whole = whole_of(job.known, job.body.get("line"))
            self._keep(job, read_output(self._client, job.known, self._sleep, is_whole))
        except AlpaconError as error:
            self.miss(job, error)

    def miss(self, job: Job, error: AlpaconError) -> None:
        """Keep what the row has where the output could not be read."""
        self._keep(job, Output(job.known.result or "", False, f"Its output could not be read: {error}"))

    def _keep(self, job: Job, output: Output) -> None:
        output = self._unpacked(job, output)
        if output.refused:
            job.end(Outcome.FAILED)  # whatever exit codes count as success: the code is the agent's
        if job.outcome == Outcome.SUCCESS and output.doubt:
            job.end(Outcome.UNKNOWN, f"The workspace says that it succeeded, and {output.doubt}.")
        whole = replace(output, text=self._hide(output.text), stderr=self._hide(output.stderr))
        job.output = shortened(job.known, whole, self._limits.output_limit)
        if job.output is not whole:
            job.command = job.known.without_result()

    def _unpacked(self, job: Job, output: Output) -> Output:
        """The streams of what was carried, apart; its exit code may be told by them alone."""
        job.command, output = unpacked(job.known, output, job.body.get("line"))
        if job.outcome in (Outcome.SUCCESS, Outcome.FAILED):
            job.outcome = outcome_of(job.command, self._limits.success_codes) or job.outcome
        if output.mark == SKIPPED:
            job.changed = False
            job.end(Outcome.SUCCESS, output.text)  # whatever exit codes count as success: nothing was to be run
        return output
