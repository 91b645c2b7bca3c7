# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the commands have finished.
      - With V(false), the task returns the ids of the commands that it submitted; await them later with
        O(state=finished), which waits whatever this says.
      - A scheduled command is never waited for.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each command, as a number of seconds or a duration such as V(90s), V(10m) or V(1h30m).
      - After that, the task fails and returns the ids and the last status. The commands go on, unless
        O(cancel_on_timeout) cancels them.
    type: str
    default: 30m
  wait_for_approval:
    description:
      - What to do if the workspace holds a command until somebody approves it.
      - With V(false), the task fails at once and returns the id, so that the command can be awaited with
        O(state=finished) once it is approved.
      - With V(true), the task goes on waiting. Either way, the command is never submitted again.
    type: bool
    default: false
  cancel_on_timeout:
    description:
      - Whether to cancel a command that has not been delivered to its server within O(wait_timeout).
      - A command that has been delivered can no longer be stopped.
    type: bool
    default: false
"""
