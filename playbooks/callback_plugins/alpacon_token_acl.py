# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the access lists that a token needs for a playbook.

Ansible loads callbacks from this folder beside a playbook.
"""

from __future__ import annotations

from collections.abc import Iterator
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
#: Access lists of commands apply to these modules.
_WITH_COMMANDS = ("alpacon_audit", "alpacon_command")
#: These write without a command.
_WITHOUT_COMMANDS = ("alpacon_registration", "alpacon_registration_token", "alpacon_server_action")
#: These choose the tasks to run.
_INCLUDES = ("import_role", "import_tasks", "include_role", "include_tasks")
#: These need no entry on any host.
_ON_CONTROLLER = (
    *("add_host", "assert", "debug", "fail", "group_by", "include_vars", "meta", "pause", "set_fact", "set_stats"),
    "validate_argument_spec",
)


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
            tasks = filter(_may_need_entries, _list_tasks(play))
            self._tasks |= {task._uuid: task.get_name() for task in tasks if "never" not in task.tags}

    def v2_runner_on_ok(self, result: Any) -> None:
        self._record_result(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if self._is_comparing:
            # All needs are known, although the host failed.
            self._refused.add(split_task_result(result)[0])
        self._record_result(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._record_result(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        host, task, returned = split_task_result(result)
        items = returned.get("results") or [returned]
        if all("skip_reason" in item or "skipped_reason" in item for item in items):
            # A condition or an empty loop, which skips the task without check mode as well.
            if self._is_active and not self._is_comparing and _may_need_entries(task):
                self._tasks[task._uuid] = task.get_name()
                self._hosts_with_skips.add(host)
        else:
            self._record_result(result, "skipped")

    def _record_result(self, result: Any, status: str = "ok") -> None:
        if not self._is_active or self._is_comparing:
            return
        host, task, returned = split_task_result(result)
        self._tasks_with_result.add(task._uuid)
        # The task of ansible-core that gathers facts has no source.
        if _may_need_entries(task) and _get_module(task) not in _INCLUDES and task.get_ds() is not None:
            self._hosts_with_result.add(host)
            if status in ("ok", "skipped"):
                get_needs().add({"id": TASK_RAN})
        reason = _find_reason(task, returned, status)
        if reason:
            _add_uncovered(task.get_name(), reason)

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


def _find_reason(task: Any, returned: dict[str, Any], status: str) -> str:
    """Return why a task may need more than the entries that it recorded; empty if it does not."""
    module = _get_module(task)
    writes = module in (*_WITH_COMMANDS, *_WITHOUT_COMMANDS)
    if module in _NOT_IN_CHECK_MODE and status == "skipped":
        return f"check mode skips {module}"
    if module == "alpacon_command" and "censored" in returned:
        return "no_log hides its command"
    if writes and task.delegate_to and task.delegate_to not in LOCALHOST:
        return f"it runs on {task.delegate_to}"
    if writes and status == "failed":
        return "it failed"
    if module in _WITHOUT_COMMANDS:
        return f"{module} needs a scope of the token"
    return "a host was unreachable" if status == "unreachable" else ""


def _add_uncovered(task: str, reason: str) -> None:
    get_needs().add({"id": f"{task} {reason}", "task": task, "reason": reason})


def _get_module(task: Any) -> str:
    return str(task.action.rpartition(".")[2])


def _may_need_entries(task: Any) -> bool:
    return _get_module(task) not in _ON_CONTROLLER


def _list_tasks(play: Any) -> Iterator[Any]:
    """Yield all tasks and handlers of a play, without those that it includes at run time."""
    items = [*play.compile(), *play.handlers]
    while items:
        item = items.pop()
        if hasattr(item, "rescue"):
            items += [*item.block, *item.rescue, *item.always]
        else:
            yield item
