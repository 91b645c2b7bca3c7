# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the outputs of commands that ended."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Callable

from .._api.client import Client
from .._api.errors import RunIsOver, wrap_unexpected
from .._api.outputs import Output, fetch_output, limit_output, parse_output
from .._payload.frames import SKIPPED, make_end_check, unpack_output
from .._payload.packing import LATE
from .jobs import Job, Limits, Outcome, get_outcome

#: How many characters of a saved output to keep, unless the limits say so.
_SAVED_TAIL = 4000


class OutputCollector:
    """Reads the outputs of finished commands, unpacks them, and cuts them to the limit.

    Args:
        hide: removes secrets from an output before it is cut.
        on_output: called with each output as stored in the workspace, before it is unpacked.
        save: writes an output to a file before it is cut; returns True if that was done.
    """

    def __init__(
        self,
        client: Client,
        limits: Limits,
        hide: Callable[[str], str] = str,
        sleep: Callable[[float], None] = time.sleep,
        on_output: Callable[[Job, Output], None] | None = None,
        no_log: bool = False,
        save: Callable[[Job, Output], bool] | None = None,
    ) -> None:
        self.client = client
        self._limits = limits
        self._hide = hide
        self._sleep = sleep
        self._on_output = on_output
        self._no_log = no_log
        self._save = save

    def collect_from_row(self, job: Job) -> bool:
        """Set the output from the row of the command. Return False if the row does not have all of it."""
        output = parse_output(job.submitted)
        if output:
            self._set_output(job, output)
        return output is not None

    def fetch(self, job: Job) -> None:
        """Read the whole output of a command until its timeout. If that fails, set the output that its row has."""
        try:
            client = self._limits.limit_reads(self.client, [job])
            is_complete = make_end_check(job.submitted, job.body.get("line"))
            self._set_output(job, fetch_output(client, job.submitted, self._sleep, is_complete))
        except RunIsOver:
            raise
        except Exception as error:
            # An unexpected error must not lose the IDs of the other commands.
            failure = wrap_unexpected(error, self._no_log)
            self._set_output(job, Output(job.submitted.result or "", False, f"Its output could not be read: {failure}"))

    def _set_output(self, job: Job, output: Output) -> None:
        if self._on_output:
            self._on_output(job, output)
        job.command, output = unpack_output(job.submitted, output, job.body.get("line"))
        if job.outcome in (Outcome.SUCCESS, Outcome.FAILED):
            # A payload writes its exit code into its output.
            job.outcome = get_outcome(job.command, self._limits.success_codes) or job.outcome
        # A payload that ran nothing was skipped or refused, whatever success_codes are.
        if output.mark == SKIPPED:
            job.changed = False
            job.finish(Outcome.SUCCESS, output.text)
        if output.refused and output.mark == LATE:
            job.finish(Outcome.LATE, f"{Outcome.LATE.sentence} The server got it after that, by its own clock.")
        elif output.refused:
            job.finish(Outcome.FAILED)
        if job.outcome == Outcome.SUCCESS and output.doubt:
            job.finish(Outcome.UNKNOWN, f"The workspace says that it succeeded, and {output.doubt}.")
        whole = replace(output, text=self._hide(output.text), stderr=self._hide(output.stderr))
        is_saved = self._save is not None and self._save(job, whole)
        job.output = self._limit(job, whole, is_saved)
        if job.output is not whole:
            job.command = job.submitted.without_result()

    def _limit(self, job: Job, whole: Output, is_saved: bool) -> Output:
        """Cut an output to the limit. One that was saved is as complete as its file."""
        limit = self._limits.output_limit
        if is_saved and limit is None:
            limit = _SAVED_TAIL
        cut = limit_output(job.submitted, whole, limit)
        if cut is whole or not is_saved:
            return cut
        saved = "all of it" if whole.complete else "all that was read"
        note = f"{whole.note} The result has the end of its output, and the file {saved}."
        return replace(cut, complete=whole.complete, note=note.lstrip())
