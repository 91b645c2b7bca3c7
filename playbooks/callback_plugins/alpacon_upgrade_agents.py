# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the versions of the agents that were upgraded, and name the hosts whose agents were not.

Ansible loads callbacks from this folder beside a playbook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line, join_first
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import split_task_result

DOCUMENTATION = """
name: alpacon_upgrade_agents
type: notification
short_description: Show the versions of agents, and name those that were not upgraded
description:
  - At the end of the playbook upgrade_agents, it shows the versions before and after, and names each host that failed,
    with the reason.
author:
  - herdops.alpacon contributors (@herdops)
"""
#: This variable identifies the play that upgrades agents.
PLAY_VARIABLE = "__upgrade_agents"
_MAX_NAMED = 20
_UNDONE = (
    "The workspace keeps agents one version behind the newest (policy n_minus_1), so agents that get the newest version"
    " might not keep it. Change the policy with the module alpacon_agent_policy, or leave upgrades to the workspace."
)


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_upgrade_agents"

    def __init__(self) -> None:
        super().__init__()
        self._hosts: set[str] = set()
        self._tried: set[str] = set()
        self._failed: dict[str, str] = {}
        #: Names of the servers by their versions before and after.
        self._upgraded: dict[tuple[str, str], list[str]] = {}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if PLAY_VARIABLE in play.vars:
            self._hosts.update(play.get_variable_manager().get_vars(play=play)["ansible_play_hosts_all"])

    def v2_runner_on_ok(self, result: Any) -> None:
        # The checks of a wave run on its first host, and the result of each host follows.
        host, task, returned = split_task_result(result)
        if PLAY_VARIABLE in task.play.vars:
            self._tried.add(host)
            if task.action.endswith("alpacon_server_action"):
                self._add_versions(returned.get("servers") or ())
            if task.action.endswith("alpacon_agent_policy") and returned.get("mode") == "n_minus_1":
                self._display.warning(_UNDONE)

    def _add_versions(self, servers: Iterable[Mapping[str, Any]]) -> None:
        for server in servers:
            versions = tuple(clean_line(server.get(key) or "unknown") for key in ("version_before", "version"))
            if server.get("outcome") == "success" and versions[0] != versions[1]:
                name = clean_line(server.get("name") or server.get("id"))
                self._upgraded.setdefault((versions[0], versions[1]), []).append(name)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host, task, returned = split_task_result(result)
        if PLAY_VARIABLE in task.play.vars:
            self._failed[host] = clean_line(returned.get("msg") or "no reason is stated.")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._upgraded:
            count = sum(map(len, self._upgraded.values()))
            self._display.display(f"agents: {count} of {len(self._hosts)} upgraded")
            for (before, after), names in self._upgraded.items():
                self._display.display(f"    {before} -> {after}: {join_first(names, _MAX_NAMED)}")
        if self._failed:
            shown = list(self._failed.items())[:_MAX_NAMED]
            self._display.display(f"agents: {len(self._failed)} of {len(self._hosts)} failed")
            for host, why in shown:
                self._display.display(f"    {host}: {why}")
            if len(self._failed) > len(shown):
                self._display.display(f"    and {len(self._failed) - len(shown)} more")
            left = len(self._hosts - self._tried - set(self._failed))
            if left:
                self._display.display(f"agents: {left} of {len(self._hosts)} not tried")
