# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down when a task returned, and what it returned, one JSON line for each host."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: returns
type: notification
short_description: Write down when tasks returned
description:
  - Appends a line to the file that the environment variable E(BENCHMARK_RETURNS) names.
author:
  - herdops.alpacon contributors (@herdops)
"""

_KEPT = ("msg", "requests", "stdout", "summary")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "returns"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: t.Any) -> None:
        returned = time.time()
        kept = {key: result.result[key] for key in _KEPT if key in result.result}
        with open(os.environ["BENCHMARK_RETURNS"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"returned": returned, "host": result.host.name, **kept}) + "\n")
