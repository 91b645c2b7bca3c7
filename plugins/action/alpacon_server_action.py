# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run M(herdops.alpacon.alpacon_server_action) on the controller, by default for the server of the inventory host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_action import (
    SPEC,
    lock_named_servers,
    run_server_action,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import (
    AlpaconAction,
    TaskRequest,
    refuse_other_slices,
)


class ActionModule(AlpaconAction):
    module_name = "herdops.alpacon.alpacon_server_action"
    spec: ClassVar[dict[str, dict[str, Any]]] = SPEC
    operation = staticmethod(run_server_action)
    selections: ClassVar[Mapping[str, str]] = {
        "servers": "Give names or UUIDs of servers, or leave it out to mean the inventory host.",
        "version": "Give a version such as 2.6.0, or leave it out to mean any newer one.",
    }
    async_remedy = "Set wait to false to submit without waiting."
    empty_result: ClassVar[Mapping[str, Any]] = {"servers": []}

    def is_for_own_server(self, arguments: Mapping[str, Any]) -> bool:
        return "servers" not in arguments and "server" not in arguments

    def validate_arguments(self, request: TaskRequest) -> dict[str, Any]:
        options = super().validate_arguments(request)
        if not request.own_name:
            refuse_other_slices(values.split_list(options["servers"] or ()), request.variables)
        return options

    def acquire_locks(self, host_locks: HostLocks, options: Mapping[str, Any]) -> None:
        """Lock the servers by the names in the task, which only the module resolves."""
        lock_named_servers(host_locks, options)

    def list_warnings(self, options: Mapping[str, Any], request: TaskRequest) -> list[str]:
        return self.warn_ignored_limits(options, request)
