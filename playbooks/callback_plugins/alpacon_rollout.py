# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the summary of a rollout that ends early.

Ansible loads the callbacks in a folder of this name beside a playbook by itself.
"""

from __future__ import annotations

import atexit
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import SUMMARY, end_early

DOCUMENTATION = """
name: alpacon_rollout
type: notification
short_description: Show the summary of a rollout that ends early
description:
  - Ansible carries out no further play once a run is interrupted, or all of its hosts are lost.
author:
  - herdops.alpacon contributors (@herdops)
"""


class CallbackModule(CallbackBase):
    """Notes the play that rolls out, and whether the one with the summary has begun."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "alpacon_rollout"

    def __init__(self) -> None:
        super().__init__()
        self._rollout: Any = None
        self._latest: Any = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Note the play that rolls out."""
        self._latest = play
        if SUMMARY in play.vars:
            self._rollout = play
            atexit.register(self._end, interrupted=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Show the summary where its play has not begun."""
        if self._latest is self._rollout:
            self._end(interrupted=False)
        self._rollout = None

    def _end(self, interrupted: bool) -> None:
        """Show it at the end of the playbook or, where that was not reached, of the process."""
        # Each rollout of the run calls this at the end of the process.
        rollout, self._rollout = self._rollout, None
        if rollout is not None:
            self._display.display(end_early(rollout, interrupted))
