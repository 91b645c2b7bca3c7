# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callback plugin: write each result with the name, action and status of its task, as a line of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: every_result
type: notification
short_description: Write every result to a file
description:
  - Appends a line to the file that the environment variable E(RESULTS_FILE) names, also for tasks that were skipped.
author:
  - herdops.alpacon contributors (@herdops)
"""


class CallbackModule(CallbackBase):
    """Write every result as a line of JSON."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "every_result"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write the result of a task that succeeded."""
        self._write(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write the result of a task that failed."""
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Write the result of a task that was skipped."""
        self._write(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write the result of a task that did not reach its host."""
        self._write(result, "unreachable")

    def _write(self, result: Any, status: str) -> None:
        task = result.task
        row = {"host": result.host.name, "name": task.get_name(), "action": task.action, "status": status}
        row["result"] = result.result
        with Path(os.environ["RESULTS_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
