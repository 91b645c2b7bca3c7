# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a task of M(herdops.alpacon.alpacon_command) means."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from .._api.errors import clean_line
from .._api.records import SHELLS
from .._fleet.jobs import Job
from .._fleet.outcomes import Outcome
from .._fleet.run import Run
from .._options.connection import CONNECTION, settings_of
from .._options.secrets import secrets
from . import command_results, payload_options
from .cancelled import cancelled
from .command_options import Order
from .command_task import CommandTask, Progress
from .executed import executed
from .finished import finished
from .scheduled import scheduled

WAIT: dict[str, dict[str, Any]] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "30m"},
    "wait_for_approval": {"type": "bool", "default": False},
    "cancel_on_timeout": {"type": "bool", "default": False},
}

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "line": {"type": "str", "aliases": ["cmd"]},
    "script": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "stdin": {"type": "str"},
    "chdir": {"type": "str"},
    "executable": {"type": "str"},
    "creates": {"type": "str"},
    "removes": {"type": "str"},
    "state": {"type": "str", "default": "executed", "choices": ["executed", "scheduled", "finished", "cancelled"]},
    "ids": {"type": "list", "elements": "str", "aliases": ["id"]},
    "shell": {"type": "str", "default": "system", "choices": list(SHELLS)},
    "username": {"type": "str"},
    "groupname": {"type": "str"},
    "env": {"type": "dict"},
    "run_after": {"type": "list", "elements": "str"},
    "work_session": {"type": "str"},
    "purpose": {"type": "str"},
    "scheduled_at": {"type": "str"},
    "reschedule": {"type": "bool", "default": False},
    "reuse_within": {"type": "str"},
    "fail_if_sent": {"type": "bool", "default": True},
    "offline": {"type": "str", "default": "wait", "choices": ["wait", "fail", "skip"]},
    "max_concurrency": {"type": "str"},
    "max_errors": {"type": "str"},
    "progress": {"type": "bool"},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
    "output_limit": {"type": "int"},
    **WAIT,
}
#: What the module takes where it is shipped to another host: no file of the controller is there.
SHIPPED_SPEC: dict[str, dict[str, Any]] = {**SPEC, payload_options.CONTENT: {"type": "str", "no_log": True}}


#: So many servers are named in a warning.
_NAMED_SERVERS = 10
_TRIMMED = (
    "env: workspaces may take off blanks and line breaks at both ends of a value, and these have some: {names}."
    " Use script or argv, with which each value arrives as it is."
)


def run_command(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_command).

    Args:
        options: the validated options of the task.
        run: the run that the task is part of.

    Returns:
        The result of the task, with ``failed`` where it failed.

    Raises:
        AlpaconError: nothing was written.
    """
    settings = settings_of(options, run.warn)
    order = Order.from_options(options)
    if order.trimmed:
        names = f"{len(order.trimmed)} of them" if run.no_log else ", ".join(order.trimmed)
        run.warn(_TRIMMED.format(names=names))
    shared = run.shared(settings) if run.hosts > 1 else None
    with run.client(settings, shared) as client:
        client.deadline = time.monotonic() + order.limits.wait_timeout
        progress = _STATES[order.state](CommandTask(client, order, run, shared, secrets(options)))
        if order.limits.offline == "skip":
            _warn_of_skipped(progress.jobs, run)
        result = command_results.of_jobs(progress.jobs, progress.fine, run.no_log)
        result["requests"] = client.requests
    for warning in progress.warnings:
        run.warn(warning)
    if run.diff_mode and (progress.before or progress.after):
        result["diff"] = {"before": _lines(progress.before), "after": _lines(progress.after)}
    return result


def _warn_of_skipped(jobs: Sequence[Job], run: Run) -> None:
    """Name the servers that were skipped because they are offline."""
    # By its UUID alone, a server has no name.
    names = [str(job.server.name or run.own_server or job.server) for job in jobs if job.outcome == Outcome.OFFLINE]
    if names:
        more = f" and {len(names) - _NAMED_SERVERS} more" if len(names) > _NAMED_SERVERS else ""
        count = "1 server is" if len(names) == 1 else f"{len(names)} servers are"
        run.warn(f"offline: {count} offline and skipped: {', '.join(names[:_NAMED_SERVERS])}{more}.")


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{clean_line(text)}\n" for text in texts)


_STATES: dict[str, Callable[[CommandTask], Progress]] = {
    "executed": executed,
    "scheduled": scheduled,
    "finished": finished,
    "cancelled": cancelled,
}
