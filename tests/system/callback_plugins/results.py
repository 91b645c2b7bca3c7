# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write down what each task returned for each host, one JSON line each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: notification
short_description: Write down what tasks returned
description:
  - Appends a line to the file that the environment variable E(RESULTS_FILE) names.
author:
  - herdops.alpacon contributors (@herdops)
"""


class CallbackModule(CallbackBase):
    """Notes every result, good or bad."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a task that went well."""
        self._note(result, failed=False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note a task that failed."""
        self._note(result, failed=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note a task that did not reach its host."""
        self._note(result, failed=True)

    def _note(self, result: Any, failed: bool) -> None:
        if hasattr(result, "task"):
            host, task, returned = result.host, result.task, result.result
        else:  # before ansible-core 2.19
            host, task, returned = result._host, result._task, result._result
        note = {"host": host.name, "task": task.name, "result": {**returned, "failed": failed}}
        with Path(os.environ["RESULTS_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
