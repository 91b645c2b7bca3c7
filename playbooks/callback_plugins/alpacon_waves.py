# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say why a playbook stopped between two waves of hosts.

Ansible loads callbacks from this folder beside a playbook, in the order of their names. This one prints the last line.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import split_task_result

DOCUMENTATION = """
name: alpacon_waves
type: notification
short_description: Say why a playbook stopped between two waves
description:
  - If hosts were not tried, it says how many, and whether a gate or failed hosts prevented their wave.
author:
  - herdops.alpacon contributors (@herdops)
"""
#: This variable identifies the plays that run in waves.
PLAY_VARIABLE = "__wave_problems"
_MODULES = ("alpacon_command", "alpacon_server_action")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_waves"

    def __init__(self) -> None:
        super().__init__()
        self._not_tried = 0
        self._reason = ""
        self._has_begun = False
        self._wave: set[str] = set()
        self._offline: set[str] = set()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Ansible calls this for each wave."""
        variables = play.get_variable_manager().get_vars(play=play)
        if PLAY_VARIABLE not in variables:
            return
        hosts = variables["ansible_play_hosts_all"]
        self._wave = set(variables["ansible_play_batch"])
        # The implicit localhost is in no wave.
        last = max((number for number, host in enumerate(hosts, 1) if host in self._wave), default=len(hosts))
        self._not_tried = len(hosts) - last

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._has_begun = self._has_begun or task.action.rpartition(".")[2] in _MODULES

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        _host, task, returned = split_task_result(result)
        # Such a task decides for all hosts of the wave.
        if task.run_once:
            self._reason = clean_line(returned.get("msg") or f"The task '{task.name}' failed.")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._offline.add(split_task_result(result)[0])

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self._not_tried or not self._has_begun:
            return
        hosts = "1 host was" if self._not_tried == 1 else f"{self._not_tried} hosts were"
        is_offline = self._wave <= self._offline
        reason = "All hosts of the last wave are offline." if is_offline else "Too many hosts of the last wave failed."
        self._display.display(f"Stopped between waves, {hosts} not tried: {self._reason or reason}")
