# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the results of a rollout, and show its waves and its summary.

Ansible loads callbacks from this folder beside a playbook.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
from functools import partial
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import Rollout
from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout_progress import Ticker
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import split_task_result

DOCUMENTATION = """
name: alpacon_rollout
type: notification
short_description: Write the results of a rollout
description:
  - It appends a line of JSON for each host to a file, and shows a line for each wave and a summary.
  - While a wave runs, it shows the progress once a minute, on standard error.
author:
  - herdops.alpacon contributors (@herdops)
"""
#: This variable identifies the play that rolls out.
PLAY_VARIABLE = "rollout_plan"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_rollout"

    def __init__(self) -> None:
        super().__init__()
        self._rollout: Rollout | None = None
        self._ticker: Ticker | None = None
        self._file = ""
        self._retry: list[str] = []
        atexit.register(self._end, interrupted=True)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Start the next wave, or end the rollout before any other play."""
        if PLAY_VARIABLE not in play.vars:
            self._end()
            return
        of_play = play.get_variable_manager().get_vars(play=play)
        hosts = of_play["ansible_play_hosts_all"]
        if not hosts:
            return
        if self._rollout is None:
            variables = of_play["hostvars"]
            show, warn = self._display.display, self._display.warning
            # Else Ansible ends at once without a summary.
            signal.signal(signal.SIGTERM, _interrupt)
            self._rollout = Rollout(hosts, self._file, show, warn, variables.__getitem__, self._retry)
            self._ticker = Ticker(partial(self._show_progress, self._rollout))
        self._rollout.start_wave(of_play["ansible_play_batch"], play.serial, play.max_fail_percentage)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self._rollout:
            self._rollout.task_started(task.name or task.action)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if self._rollout:
            self._rollout.host_started(host.name)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._end_task(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        _host, task, returned = self._end_task(result)
        if task.action.endswith("set_stats"):
            data = (returned.get("ansible_stats") or {}).get("data") or {}
            self._file = (data.get("alpamon_rollout_files") or {}).get("results", self._file)
            if self._rollout:
                if "wave" in data:
                    self._rollout.hosts_compared(data["wave"])
                self._rollout.add_results(data.get("alpamon_rollout") or {})

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host, _task, returned = self._end_task(result)
        if self._rollout and not ignore_errors:
            self._rollout.host_failed(host, returned)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        host, task, returned = self._end_task(result)
        if self._rollout and not task.ignore_unreachable:
            self._rollout.host_unreachable(host, returned)

    def _end_task(self, result: Any) -> tuple[str, Any, dict[str, Any]]:
        host, task, returned = split_task_result(result)
        if self._rollout:
            self._rollout.host_ended(host)
        return host, task, returned

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end()

    def _end(self, interrupted: bool = False) -> None:
        rollout, self._rollout = self._rollout, None
        if rollout:
            if interrupted:  # a second Ctrl-C would cut the summary short
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            if self._ticker:
                self._ticker.stop()
            rollout.end_rollout(interrupted)

    def _show_progress(self, rollout: Rollout) -> None:
        line = rollout.describe_progress()
        if line:
            # Some callbacks print one document to standard output.
            self._display.display(line, stderr=True)


def _interrupt(*_signal: Any) -> None:
    """Do as Ctrl-C does. Workers of old ansible-core have this handler too, and end silently."""
    if multiprocessing.parent_process():
        sys.exit(1)
    signal.raise_signal(signal.SIGINT)
