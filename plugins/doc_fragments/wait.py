# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the commands are finished.
      - With V(false) the task returns the ids of what it submitted; await them later with O(state=finished).
      - A scheduled command is never waited for.
    type: bool
    default: true
  wait_timeout:
    description:
      - For how long to wait for each command, as a number of seconds or a duration such as V(90s), V(10m) or V(1h30m).
      - When it is over, the task fails and returns the ids and the last status. The commands go on, unless
        O(cancel_on_timeout) withdraws them.
    type: str
    default: 30m
  wait_for_approval:
    description:
      - What to do when the workspace holds a command until a human approves it.
      - With V(false) the task fails at once and gives the id, so that the command can be awaited with
        O(state=finished) once it is approved.
      - With V(true) it goes on waiting. Either way, the command is never submitted again.
    type: bool
    default: false
  cancel_on_timeout:
    description:
      - Whether a command that has not been delivered to its server when O(wait_timeout) is over is cancelled.
      - What has been delivered cannot be stopped any more.
    type: bool
    default: false
"""
