# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_server_info) in the controller's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import SPEC, run_server_info
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import check_filters


class ActionModule(AlpaconAction):
    """List servers."""

    module_name = "herdops.alpacon.alpacon_server_info"
    spec: ClassVar[dict[str, dict[str, Any]]] = SPEC
    operation = staticmethod(run_server_info)
    selections: ClassVar[Mapping[str, str]] = {
        "servers": "Give names or UUIDs of servers, or leave it out to mean all of them."
    }

    def read_arguments(self) -> dict[str, Any]:
        """The task's arguments as they are written."""
        arguments = super().read_arguments()
        check_filters(arguments)
        return arguments
