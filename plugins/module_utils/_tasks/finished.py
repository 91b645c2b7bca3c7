# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""V(state=finished): await commands that were submitted before."""

from __future__ import annotations

from .._api.records import Server
from .._fleet.jobs import Job
from .command_task import CommandTask, Progress, placeholder


def finished(task: CommandTask) -> Progress:
    jobs = [Job(Server(None), command=placeholder(command_id)) for command_id in task.order.ids]
    cancels = task.order.limits.cancel_on_timeout and not task.run.check_mode
    task.fleet(cancel_on_timeout=cancels).run(jobs)
    return Progress(jobs)
