# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callback plugin: write the result of each task on each host as a line of JSON."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: notification
short_description: Write the results of tasks to a file
description:
  - Appends a line to the file that the environment variable E(RESULTS_FILE) names.
author:
  - herdops.alpacon contributors (@herdops)
"""


class CallbackModule(CallbackBase):
    """Write every result as a line of JSON."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write the result of a task that succeeded."""
        self._write(result, failed=False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write the result of a task that failed."""
        self._write(result, failed=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write the result of a task that did not reach its host."""
        self._write(result, failed=True)

    def _write(self, result: Any, failed: bool) -> None:
        returned_at = time.time()
        if hasattr(result, "task"):
            host, task, returned = result.host, result.task, result.result
        else:  # before ansible-core 2.19
            host, task, returned = result._host, result._task, result._result
        row = {"host": host.name, "task": task.name, "time": returned_at, "result": {**returned, "failed": failed}}
        with Path(os.environ["RESULTS_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
