# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_registration) in the controller's process."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC, run_registration
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction


class ActionModule(AlpaconAction):
    """Register a server."""

    module_name = "herdops.alpacon.alpacon_registration"
    spec: ClassVar[dict[str, dict[str, Any]]] = SPEC
    operation = staticmethod(run_registration)
