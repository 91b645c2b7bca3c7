# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run M(herdops.alpacon.alpacon_agent_policy) on the controller."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.agent_policy import SPEC, run_agent_policy
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction


class ActionModule(AlpaconAction):
    module_name = "herdops.alpacon.alpacon_agent_policy"
    spec = SPEC
    operation = staticmethod(run_agent_policy)
