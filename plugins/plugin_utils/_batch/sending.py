# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send entries to a host in one submit, and return their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._connection.connection import HostConnection, HostStepFailed, get_error_text
from .._connection.runner import CommandResult
from .program import MAX_SECONDS, Entry, Progress, Record, build_program, read_progress

#: The rest of the time is for the last entry.
_SHARE_OF_TIMEOUT = 0.8
#: Seconds that a usual module takes, measured on small servers. It decides only when the workspace is polled.
_MODULE_SECONDS = 0.2


@dataclass(frozen=True)
class BatchResult:
    """Results of the entries of a batch.

    Attributes:
        records: Records by the index of their entry.
        problem: Reason why records are missing; empty if none are, or the program stopped as its entries say.
        may_have_run: Entries that have no record and may have run.
    """

    records: Mapping[int, Record]
    problem: str
    may_have_run: tuple[int, ...] = ()


def send_entries(host: HostConnection, python: str, entries: Sequence[Entry], label: str) -> BatchResult:
    """Run entries on a host by one command.

    Args:
        python: Command line of the Python interpreter on the host.
        label: Name of the batch in the label of the payload.

    Raises:
        PayloadTooLarge, RequestTooLarge: The entries do not fit into one submit, and nothing ran.
        HostStepFailed: Nothing ran, as the message says.
        AlpaconError: Nothing ran, or may have run, as the message says.
    """
    cached = host.get_cached_parts()
    seconds = min(MAX_SECONDS, host.wait_timeout * _SHARE_OF_TIMEOUT)
    expected = _MODULE_SECONDS * sum(2 if entry.branches else 1 for entry in entries)
    program = build_program(entries, python, cached, seconds)
    result = host.run_in_parts(label, program.command, program.stdin, expected)
    progress = read_progress(result.stdout, entries)
    if progress.is_part_missing and not progress.begun and program.relies_on_host:
        host.stop_caching()
        program = build_program(entries, python, None, seconds)
        result = host.run_in_parts(label, program.command, program.stdin, expected)
        progress = read_progress(result.stdout, entries)
    if not progress.begun and not result.problem:
        raise HostStepFailed(f"The host could not run the program with the tasks: {get_error_text(result)}")
    if progress.begun:
        host.add_cached_parts(program.parts)
    return _get_result(entries, result, progress)


def _get_result(entries: Sequence[Entry], result: CommandResult, progress: Progress) -> BatchResult:
    # The program writes how many entries began, but that may be in the missing part of the output.
    is_certain = progress.ended or not result.problem
    possible = range(progress.begun if is_certain else len(entries))
    may_have_run = tuple(number for number in possible if number not in progress.records)
    problem = ""
    if progress.too_large:
        problem = f"Its output of {progress.too_large:,} bytes is too large for a batch of tasks."
    elif len(progress.records) < len(entries) and not progress.ended:
        problem = result.problem or f"The program with the tasks was ended: {get_error_text(result)}"
    elif may_have_run:
        problem = result.problem or "The host did not send all results."
    return BatchResult(progress.records, problem, may_have_run)
