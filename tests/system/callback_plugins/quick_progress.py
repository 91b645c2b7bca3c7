# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callback plugin: let a rollout show its progress ten times a second instead of once a minute."""

from __future__ import annotations

from ansible.plugins.callback import CallbackBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout_progress import Ticker

DOCUMENTATION = """
name: quick_progress
type: notification
short_description: Show the progress of a rollout ten times a second
description:
  - Shortens the interval.
author:
  - herdops.alpacon contributors (@herdops)
"""


class CallbackModule(CallbackBase):
    """Shorten the interval."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "quick_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Shorten the interval before a rollout starts."""
        super().__init__()
        Ticker.interval = 0.1
