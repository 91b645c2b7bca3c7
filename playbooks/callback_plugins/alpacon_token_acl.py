# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the access lists that a token needs for a playbook.

Ansible loads callbacks from this folder beside a playbook.
"""

from __future__ import annotations

from typing import Any

from ansible import context
from ansible.constants import LOCALHOST
from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import get_needs, split_task_result
from ansible_collections.herdops.alpacon.plugins.plugin_utils._token_acl import write_acl

DOCUMENTATION = """
name: alpacon_token_acl
type: notification
short_description: Print the access lists that a token needs
description:
  - It has the tasks of the playbook token_acl record the commands that they would submit, and prints what these need.
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


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_token_acl"

    def __init__(self) -> None:
        super().__init__()
        self._is_active = False
        self._is_comparing = False
        self._refused: set[str] = set()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._is_active = False
        if context.CLIARGS["check"] and any(PLAY_VARIABLE in play.vars for play in playbook.get_plays()):
            get_needs().file.touch(0o600)
            self._is_active = True

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._is_comparing = PLAY_VARIABLE in play.vars

    def v2_runner_on_ok(self, result: Any) -> None:
        self._find_uncovered(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if self._is_comparing:
            # All needs are known, although the host failed.
            self._refused.add(split_task_result(result)[0])
        self._find_uncovered(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._find_uncovered(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        # A condition that is false skips a task without check mode as well.
        returned = split_task_result(result)[2]
        if not all("skip_reason" in item for item in returned.get("results") or [returned]):
            self._find_uncovered(result, "skipped")

    def _find_uncovered(self, result: Any, status: str = "ok") -> None:
        if not self._is_active or self._is_comparing:
            return
        _host, task, returned = split_task_result(result)
        module, reason = task.action.rpartition(".")[2], ""
        writes = module in (*_WITH_COMMANDS, *_WITHOUT_COMMANDS)
        if module in _NOT_IN_CHECK_MODE and status == "skipped":
            reason = f"check mode skips {module}"
        elif module == "alpacon_command" and "censored" in returned:
            reason = "no_log hides its command"
        elif writes and task.delegate_to and task.delegate_to not in LOCALHOST:
            reason = f"it runs on {task.delegate_to}"
        elif writes and status == "failed":
            reason = "it failed"
        elif module in _WITHOUT_COMMANDS:
            reason = f"{module} needs a scope of the token"
        elif status == "unreachable":
            reason = "a host was unreachable"
        if reason:
            get_needs().add({"id": f"{task.get_name()} {reason}", "task": task.get_name(), "reason": reason})

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self._is_active:
            return
        self._is_active = False
        rows, failed = get_needs().read_rows().values(), sorted({*stats.failures, *stats.dark} - self._refused)
        if rows or not failed:
            self._display.display("\n".join(write_acl(rows, failed)))
