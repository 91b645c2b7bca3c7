# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run M(herdops.alpacon.alpacon_server) on the controller, by default for the server of the inventory host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server import RULES, SPEC, run_server
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction


class ActionModule(AlpaconAction):
    module_name = "herdops.alpacon.alpacon_server"
    spec = SPEC
    rules = RULES
    operation = staticmethod(run_server)
    selections: ClassVar[Mapping[str, str]] = {
        "servers": "Give names or UUIDs of servers, or leave it out to mean the inventory host.",
        "name": "Give a name, or leave it out to keep that of the server.",
        "groups": "Give names or UUIDs of IAM groups, or leave it out to keep those of the server.",
    }
    empty_result: ClassVar[Mapping[str, Any]] = {"servers": []}

    def is_for_own_server(self, arguments: Mapping[str, Any]) -> bool:
        return "servers" not in arguments and "server" not in arguments
