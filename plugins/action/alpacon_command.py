# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_command) in the controller's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._arguments import command_spec
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import digest_of
from ansible_collections.herdops.alpacon.plugins.module_utils._operations import refuse_shared, run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._run import Claims
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import WORKSPACE, refuse_foreign_server


class ActionModule(AlpaconAction):
    """Run, schedule, await and cancel commands."""

    module_name = "herdops.alpacon.alpacon_command"
    spec = staticmethod(command_spec)
    operation = staticmethod(run_command)

    def claim(self, claims: Claims) -> None:
        """Take the servers as the task names them: which they are is found out by the module."""
        arguments = {name: value for name, value in self._task.args.items() if name not in ("servers", "server")}
        if arguments.get("state") in (None, "executed", "scheduled"):
            servers = self._task.args.get("servers") or self._task.args.get("server") or ()
            servers = [servers] if isinstance(servers, str) else servers
            refuse_shared(claims, [(str(server), digest_of(arguments)) for server in servers])

    def arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's arguments; where they name neither servers nor commands, the inventory host is meant."""
        arguments = super().arguments(task_vars)
        named = any(arguments.get(name) for name in ("servers", "server", "ids", "id"))
        if not named and arguments.get("state") != "finished":
            refuse_foreign_server(self._task.args, self._templar.template(task_vars.get(WORKSPACE)))
            host = self._templar.template(task_vars.get("alpacon_server_id")) or task_vars["inventory_hostname"]
            arguments["servers"] = [host]
        return arguments
