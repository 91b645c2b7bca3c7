# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What came back for the commands of an audit."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.herdops.alpacon.plugins.module_utils._api.agent_output import (
    INTERRUPTED,
    WHY_INTERRUPTED,
    why_never_began,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import Outcome

from .judging import CheckAnswer


@dataclass(frozen=True)
class Reply:
    """What came back for a command: an answer, or why there is none."""

    answer: CheckAnswer | None = None
    reason: str = ""
    command: Command | None = None
    reused: bool = False


def reply_of(job: Job, reused: bool = False) -> Reply:
    """What came back for a job that is over."""
    command = job.command
    if command is None or job.outcome not in (Outcome.SUCCESS, Outcome.FAILED) or not command.ran or command.rc is None:
        return Reply(reason=_reason(job), command=command)
    if command.error_phase:
        return Reply(reason=f"The command got no result: {command.error_phase}. Id {command.id}.", command=command)
    output = job.output or Output("")
    never_began = why_never_began(command, output.text)
    if never_began or command.rc == INTERRUPTED:
        words = f"Never ran: {never_began}." if never_began else f"It ended early: {WHY_INTERRUPTED}."
        return Reply(reason=f"{words} Id {command.id}.", command=command)
    answer = CheckAnswer(command.rc, output.text, command.exit_code is not None, output.complete)
    return Reply(answer, command=command, reused=reused)


def _reason(job: Job) -> str:
    words = job.msg or (job.outcome.sentence if job.outcome else "What came of it was not awaited.")
    return f"{words} Id {job.id}." if job.id else words
