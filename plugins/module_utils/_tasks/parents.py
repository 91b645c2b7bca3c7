# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The commands that others are to run after."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .._api.commands import find_command
from .._api.errors import UsageError
from .._api.records import Command
from .._fleet.jobs import Job
from .._fleet.outcomes import Outcome, outcome_of
from .command_task import VISIBLE_PAUSES, CommandTask


def await_parents(task: CommandTask, jobs: Sequence[Job]) -> bool:
    """Await what the jobs are to run after, where the workspace may not; whether they may be submitted.

    Workspaces that give the status as an object deliver a command at once, whatever it is to run after.
    """
    ids = task.order.extra.get("run_after") if jobs else None
    parents = [_parent(task, command_id) for command_id in ids or ()]
    if all(parent.may_have_chunks for parent in parents):
        return True
    awaited = [Job(parent.server, command=parent) for parent in parents]
    # They are not this task's own: nothing is cancelled, and its codes are not theirs.
    task.fleet(cancel_on_timeout=False, offline="wait", success_codes=frozenset((0,))).run(awaited)
    bad = next((job for job in awaited if job.outcome != Outcome.SUCCESS), None)
    if bad is None:
        return True
    outcome = Outcome.PARENT_FAILED if bad.known.finished else Outcome.NOT_TRIED
    for job in jobs:
        job.end(outcome, f"{outcome.sentence} It was to run after {bad.id}, which is {bad.outcome}.")
    return False


def check_parents(task: CommandTask) -> None:
    """Refuse to schedule behind a command that failed, or where the workspace may not wait for one that runs."""
    for command_id in task.order.extra.get("run_after") or ():
        parent = _parent(task, command_id)
        if outcome_of(parent) == Outcome.SUCCESS:
            continue
        # Whether one in error ran is not known, and it may yet be delivered.
        if parent.finished and parent.ran is not None:
            raise UsageError(
                "run_after",
                f"{command_id} is {parent.status}, and what is scheduled after it never runs",
                "Give the id of a command that succeeded or is to come, or leave it out.",
            )
        if not parent.may_have_chunks:
            raise UsageError(
                "run_after",
                f"{command_id} is {parent.status}, and this workspace does not hold what is scheduled back for it",
                "Await it with state=finished first, then schedule.",
            )


def _parent(task: CommandTask, command_id: str) -> Command:
    submitted = task.run.submitted
    own = submitted is not None and command_id in submitted.read()
    # What this run has submitted may not be visible yet.
    for pause in (*VISIBLE_PAUSES, None) if own else (None,):
        command = find_command(task.client, command_id)
        if command:
            return command
        if pause:
            time.sleep(pause)
    raise UsageError(
        "run_after", f"there is no command {command_id}, or the token may not see it", "Give ids of commands there are."
    )
