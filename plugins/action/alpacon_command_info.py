# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin of M(herdops.alpacon.alpacon_command_info)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import RULES, SPEC, run_info
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import drop_predicted_ids


class ActionModule(AlpaconAction):
    module_name = "herdops.alpacon.alpacon_command_info"
    spec: ClassVar[dict[str, dict[str, Any]]] = SPEC
    rules: ClassVar[Mapping[str, Any]] = RULES
    operation = staticmethod(run_info)
    exclusions: ClassVar[Mapping[str, str]] = {"ids": "Leave {other} out: {ids} names the commands."}
    selections: ClassVar[Mapping[str, str]] = {
        "ids": "Give UUIDs of commands, or leave it out.",
        "server": "Give a name or UUID, or leave it out to mean all servers.",
        "status": "Give statuses, or leave it out to mean all of them.",
        **dict.fromkeys(
            ("shell", "requested_by", "search", "line", "since", "until"),
            "Give a value, or leave it out to mean all commands.",
        ),
    }

    def read_arguments(self) -> tuple[dict[str, Any], bool]:
        """Read the arguments as written, in check mode without the null IDs of predicted commands."""
        arguments, _only_predicted_ids = super().read_arguments()
        return arguments, bool(self._task.check_mode) and drop_predicted_ids(arguments, "ids", "id")
