# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide how a task can be part of a batch, and refuse the tasks that cannot run inside of another one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible import constants as C
from ansible.playbook.block import Block
from ansible.plugins.loader import action_loader

from ...module_utils._api.errors import AlpaconError

#: Actions without effects outside of the variables: they may run before the tasks before them have ended.
_AHEAD = {"assert", "debug", "fail", "set_fact", "validate_argument_spec"}
#: Action plugins that run one module, and no other command.
_SINGLE = {"command", "normal", "shell"}
#: Action plugins that run one module if the facts of the host name it.
_BY_FACT = {"dnf": "pkg_mgr", "package": "pkg_mgr", "service": "service_mgr"}
_COPIES = {"copy", "template"}
#: Modules whose facts the next tasks may use.
_FACTS = re.compile(r"(?:^|\.)(?:setup|gather_facts|\w*_facts|getent|hostname)$")
_REFUSED_ACTIONS = {
    "add_host": "it changes the inventory",
    "group_by": "it changes the inventory",
    "pause": "it waits for a person or a time",
    "reboot": "the host does not answer meanwhile",
    "set_stats": "its values are for the end of the run",
    "synchronize": "it needs SSH",
    "wait_for_connection": "the host does not answer meanwhile",
}


class TaskRefused(AlpaconError):
    """A task cannot run as it would outside of the task that it is inside of."""

    def __init__(self, task: Any, reason: str) -> None:
        name = task.get_name()
        remedy = "Use include_role or include_tasks instead of alpacon_tasks."
        super().__init__(f"The task {name!r} cannot run here: {reason}. {remedy}")


@dataclass(frozen=True)
class Kind:
    """The part that a task can have in a batch.

    Attributes:
        runs_ahead: it runs no command on the host.
        is_alone: it runs by itself, without recording, after all tasks before it have ended.
        is_last: tasks after it depend on its end.
        stops: the batch ends if it fails.
        branches: it copies a file if the host has another one.
        reason: why it cuts batches.
    """

    runs_ahead: bool = False
    is_alone: bool = False
    is_last: bool = False
    stops: bool = True
    branches: bool = False
    reason: str = ""


def get_kind(task: Any, facts: Mapping[str, Any], is_own_connection: bool) -> Kind:
    """Return how a task can be part of a batch.

    Args:
        facts: those of the host.
        is_own_connection: whether it has the connection of the task that it is inside of.
    """
    name = get_short_name(task.resolved_action or task.action)
    if task.action in C._ACTION_ALL_INCLUDES:
        return Kind(runs_ahead=True)
    if task.delegate_to or not is_own_connection:
        return Kind(is_alone=True, is_last=True, reason="it runs elsewhere")
    plugin = _find_action_plugin(task)
    if plugin in _AHEAD:
        return Kind(runs_ahead=True)
    if plugin in _COPIES and (task.diff and not task.no_log):
        return Kind(is_alone=True, is_last=True, reason="its difference needs the file of the host")
    is_single = plugin in _SINGLE or (plugin in _BY_FACT and facts.get(_BY_FACT[plugin]) not in (None, "", "auto"))
    if not is_single and plugin not in _COPIES:
        return Kind(is_alone=True, is_last=True, reason="it may need several commands")
    reason = ""
    if _FACTS.search(name):
        reason = "it returns facts"
    elif task.until or task.retries is not None:
        reason = "it may run several times"
    elif task.failed_when and not _is_constant(task.failed_when, False):
        reason = "its failed_when needs the result"
    stops = not (_is_constant(task.ignore_errors, True) or _is_constant(task.failed_when, False))
    return Kind(is_last=bool(reason), stops=stops, branches=plugin in _COPIES, reason=reason)


def check_tasks(blocks: Iterable[Any], hosts: int) -> None:
    """Refuse tasks that cannot run inside of another one.

    Args:
        hosts: number of hosts of the play.

    Raises:
        TaskRefused: for the first of them.
    """
    for task in _iterate_tasks(blocks):
        name = get_short_name(task.resolved_action or task.action)
        meta = task.args.get("_raw_params") if name == "meta" else None
        if name in _REFUSED_ACTIONS:
            raise TaskRefused(task, f"{name} is not supported, since {_REFUSED_ACTIONS[name]}")
        if name in ("alpacon_tasks", "herdops.alpacon.alpacon_tasks"):
            raise TaskRefused(task, "alpacon_tasks cannot be inside of itself")
        if meta not in (None, "flush_handlers", "noop", "role_complete"):
            raise TaskRefused(task, f"meta: {meta} is not supported")
        for keyword in ("async_val", "throttle", "timeout"):
            if getattr(task, keyword):
                raise TaskRefused(task, f"the keyword {keyword.removesuffix('_val')} is not supported")
        if task.run_once and hosts > 1:
            raise TaskRefused(task, "the keyword run_once is not supported for several hosts")


def get_short_name(action: str | None) -> str:
    """Return the name of an action without the collection of ansible-core."""
    return re.sub(r"^ansible\.(?:builtin|legacy)\.", "", action or "")


def _iterate_tasks(blocks: Iterable[Any]) -> Iterable[Any]:
    for block in blocks:
        if isinstance(block, Block):
            yield from _iterate_tasks([*block.block, *block.rescue, *block.always])
        else:
            yield block


def _find_action_plugin(task: Any) -> str:
    """Return the name of the action plugin of a task, with its collection if it is not that of ansible-core."""
    action = task.resolved_action or task.action
    found = action_loader.find_plugin_with_context(action, collection_list=task.collections)
    if not found.resolved:
        return "normal"  # a module without an action plugin
    fqcn = str(found.resolved_fqcn)
    return get_short_name(fqcn) if fqcn.startswith("ansible.") else f"other {fqcn}"


def _is_constant(value: Any, constant: bool) -> bool:
    """Return True for a keyword that is this value without a template."""
    return value in (constant, [constant], str(constant).lower(), [str(constant).lower()])
