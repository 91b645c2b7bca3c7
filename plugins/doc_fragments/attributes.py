# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - Python 3.10 or newer on the controller, and 3.9 or newer on a host that the task is delegated to
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict changes without modifying the workspace.
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: A second run with the same arguments, outside check mode, reports no change.
  action_group:
    description: Use C(group/herdops.alpacon.alpacon) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - herdops.alpacon.alpacon
  action:
    description: Runs on the controller, without a connection to the host.
    support: full
    details:
      - Delegated to another host, the module is sent there and talks to the workspace from there.
  async:
    description: Can be used with the C(async) keyword.
    support: none
  facts:
    description: Returns C(ansible_facts).
    support: none
  platform:
    description: Systems on which the module can run.
    support: full
    platforms: posix
"""
