# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the access lists that a token needs for a playbook.

Ansible loads callbacks from this folder beside a playbook.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible import context
from ansible.constants import LOCALHOST
from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import get_needs, split_task_result
from ansible_collections.herdops.alpacon.plugins.plugin_utils._token_acl import TASK_RAN, write_acl

DOCUMENTATION = """
name: alpacon_token_acl
type: notification
short_description: Print the access lists that a token needs
description:
  - It makes the tasks of the playbook token_acl record the commands that they would submit, and prints what these need.
author:
  - herdops.alpacon contributors (@herdops)
"""
#: This variable identifies the play that ends the playbook.
PLAY_VARIABLE = "__token_acl"
#: These modules of ansible-core run nothing in check mode.
_NOT_IN_CHECK_MODE = ("fetch", "raw", "script", "wait_for_connection")
#: Access lists of commands and files apply to these modules.
_WITH_COMMANDS = ("alpacon_audit", "alpacon_command", "alpacon_file")
#: These write without a command.
_WITHOUT_COMMANDS = (
    *("alpacon_agent_policy", "alpacon_registration", "alpacon_registration_token"),
    *("alpacon_server", "alpacon_server_action"),
)
#: It runs other tasks, whose results are in its own.
_BATCH = "alpacon_tasks"
#: These choose the tasks to run.
_INCLUDES = ("import_role", "import_tasks", "include_role", "include_tasks")
#: These need no entry on any host.
_ON_CONTROLLER = (
    *("add_host", "assert", "debug", "fail", "group_by", "include_vars", "meta", "pause", "set_fact", "set_stats"),
    "validate_argument_spec",
)


@dataclass(frozen=True)
class _Task:
    """A task of a play, or one inside of C(alpacon_tasks).

    Attributes:
        key: the same on all hosts.
        module: its name without the collection.
        is_written: it is in a file, unlike the task of ansible-core that gathers facts.
    """

    key: str
    name: str
    module: str
    delegate_to: str | None
    is_written: bool = True

    @property
    def may_need_entries(self) -> bool:
        return self.module not in _ON_CONTROLLER


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_token_acl"

    def __init__(self) -> None:
        super().__init__()
        self._is_active = False
        self._is_comparing = False
        self._refused: set[str] = set()
        # The names of the tasks by UUID.
        self._tasks: dict[str, str] = {}
        self._tasks_with_result: set[str] = set()
        self._hosts_with_skips: set[str] = set()
        self._hosts_with_result: set[str] = set()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._is_active = False
        if context.CLIARGS["check"] and any(PLAY_VARIABLE in play.vars for play in playbook.get_plays()):
            get_needs().file.touch(0o600)
            self._is_active = True

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._is_comparing = PLAY_VARIABLE in play.vars
        if not self._is_active:
            return
        if self._is_comparing:
            self._record_uncovered()
        else:
            tasks = [_read_task(task) for task in _list_tasks(play) if "never" not in task.tags]
            self._tasks |= {task.key: task.name for task in tasks if task.may_need_entries}

    def v2_runner_on_ok(self, result: Any) -> None:
        self._record_result(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if self._is_comparing:
            # All needs are known, although the host failed.
            self._refused.add(split_task_result(result)[0])
        self._record_result(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._record_result(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._record_result(result, "skipped")

    def _record_result(self, result: Any, status: str) -> None:
        if not self._is_active or self._is_comparing:
            return
        host, described, returned = split_task_result(result)
        task = _read_task(described)
        self._record_task(host, task, returned, status)
        if task.module == _BATCH:
            for inner, inner_returned, inner_status in _list_inner_tasks(task, returned):
                self._record_task(host, inner, inner_returned, inner_status)

    def _record_task(self, host: str, task: _Task, returned: dict[str, Any], status: str) -> None:
        if status == "skipped" and _is_left_out(returned):
            if task.may_need_entries:
                self._tasks[task.key] = task.name
                self._hosts_with_skips.add(host)
            return
        self._tasks_with_result.add(task.key)
        has_others = task.module in _INCLUDES or (task.module == _BATCH and "censored" not in returned)
        if task.may_need_entries and task.is_written and not has_others:
            self._hosts_with_result.add(host)
            if status in ("ok", "skipped"):
                get_needs().add({"id": TASK_RAN})
        reason = _find_reason(task, returned, status)
        if reason:
            _add_uncovered(task.name, reason)

    def _record_uncovered(self) -> None:
        for key in self._tasks.keys() - self._tasks_with_result:
            _add_uncovered(self._tasks[key], "no host ran it")
        for host in self._hosts_with_skips - self._hosts_with_result:
            _add_uncovered(f"(all on {host})", "none ran there")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self._is_active:
            return
        self._record_uncovered()
        self._is_active = False
        rows = [row for row in get_needs().read_rows().values() if row["id"] != TASK_RAN]
        failed = sorted({*stats.failures, *stats.dark} - self._refused)
        if rows or not failed:
            self._display.display("\n".join(write_acl(rows, failed)))


def _read_task(task: Any) -> _Task:
    module = str(task.action.rpartition(".")[2])
    return _Task(task._uuid, task.get_name(), module, task.delegate_to, task.get_ds() is not None)


def _list_inner_tasks(task: _Task, returned: dict[str, Any]) -> Iterator[tuple[_Task, dict[str, Any], str]]:
    """Yield the tasks inside of C(alpacon_tasks), each with its result and status."""
    for item in returned.get("results") or [returned]:
        seen: Counter[str] = Counter()
        for inner in item.get("tasks", ()):
            name, module = inner["name"], inner["action"].rpartition(".")[2]
            seen[name] += 1
            key = f"{task.key} {seen[name]} {name}"
            status = {"changed": "ok", "ignored": "failed"}.get(inner["status"], inner["status"])
            yield _Task(key, name, module, inner.get("delegate_to")), inner["result"], status


def _is_left_out(returned: dict[str, Any]) -> bool:
    """Return True for a condition or an empty loop, which skips the task without check mode as well."""
    items = returned.get("results") or [returned]
    return all("skip_reason" in item or "skipped_reason" in item for item in items)


def _find_reason(task: _Task, returned: dict[str, Any], status: str) -> str:
    """Return why a task may need more than the entries that it recorded; empty if it does not."""
    module = task.module
    writes = module in (*_WITH_COMMANDS, *_WITHOUT_COMMANDS)
    if module in _NOT_IN_CHECK_MODE and status == "skipped":
        return f"check mode skips {module}"
    if module in ("alpacon_command", "alpacon_file") and "censored" in returned:
        return f"no_log hides its {module.rpartition('_')[2]}"
    if module == _BATCH and "censored" in returned:
        return "no_log hides its tasks"
    if module == _BATCH and status == "failed":
        return "it failed, and its later tasks are not known"
    if writes and task.delegate_to and task.delegate_to not in LOCALHOST:
        return f"it runs on {task.delegate_to}"
    if writes and status == "failed":
        return "it failed"
    if module in _WITHOUT_COMMANDS:
        return f"{module} needs a scope of the token"
    return "a host was unreachable" if status == "unreachable" else ""


def _add_uncovered(task: str, reason: str) -> None:
    get_needs().add({"id": f"{task} {reason}", "task": task, "reason": reason})


def _list_tasks(play: Any) -> Iterator[Any]:
    """Yield all tasks and handlers of a play, without those that it includes at run time."""
    items = [*play.compile(), *play.handlers]
    while items:
        item = items.pop()
        if hasattr(item, "rescue"):
            items += [*item.block, *item.rescue, *item.always]
        else:
            yield item
