# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the hosts or servers to run a playbook on again to a file.

Ansible loads callbacks from this folder beside a playbook.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._retry_list import RetryList
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import split_task_result

DOCUMENTATION = """
name: alpacon_retry
type: notification
short_description: Write the servers to retry to a file
description:
  - It writes the hosts or servers on which the command or audit of a playbook failed or never ran to a file in the
    current directory, and names the option that takes the file.
author:
  - herdops.alpacon contributors (@herdops)
"""
#: This variable of a play has the name of the playbook.
PLAY_VARIABLE = "__retry"
#: These variables identify tasks: those of gates, and the one that fails the hosts that the task of a wave has tried.
GATE_VARIABLE, HOST_VARIABLE = "__of_gate", "__fails_host"
_MODULES = ("alpacon_audit", "alpacon_command")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_retry"

    def __init__(self) -> None:
        super().__init__()
        self._lists: dict[str, RetryList] = {}
        self._current: RetryList | None = None
        # Ansible does not report the end of an interrupted run.
        atexit.register(self._end)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._current = None
        name = play.vars.get(PLAY_VARIABLE)
        if name is None or context.CLIARGS["check"]:
            return
        of_play = play.get_variable_manager().get_vars(play=play)
        if "alpacon_ids" in of_play:  # servers are no option beside them
            return
        self._current = self._lists.setdefault(name, RetryList(name, os.getcwd()))
        if "alpacon_servers" not in of_play:
            self._current.add_hosts(of_play["ansible_play_hosts_all"])

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if self._current and _is_command(task):
            self._current.host_started(host.name)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._add_result(result, False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._add_result(result, True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._add_result(result, True)

    def _add_result(self, result: Any, failed: bool) -> None:
        host, task, returned = split_task_result(result)
        if self._current and _is_command(task):
            self._current.add_result(host, returned)
        elif self._current and HOST_VARIABLE in task.vars:
            self._current.add_result(host, {"servers_left": [host] if failed else []})

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end()

    def _end(self) -> None:
        lists, self._lists = self._lists, {}
        for of_playbook in lists.values():
            of_playbook.end(self._display.display, self._display.warning)


def _is_command(task: Any) -> bool:
    return str(task.action.rpartition(".")[2]) in _MODULES and GATE_VARIABLE not in task.get_vars()
