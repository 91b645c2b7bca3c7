# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run M(herdops.alpacon.alpacon_server_info) on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import SPEC, run_server_info
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction


class ActionModule(AlpaconAction):
    module_name = "herdops.alpacon.alpacon_server_info"
    spec = SPEC
    operation = staticmethod(run_server_info)
    selections: ClassVar[Mapping[str, str]] = {"servers": "Give names or UUIDs, or leave it out to select all servers."}
