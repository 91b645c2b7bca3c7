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
    description: Can run in C(check_mode) and return changed status prediction without modifying the workspace.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no
        change.
  action_group:
    description: Use C(group/herdops.alpacon.alpacon) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - herdops.alpacon.alpacon
  action:
    description:
      - Runs in the Ansible process of the controller, without a connection to the host and without shipping a module.
    support: full
    details:
      - If the task is delegated to a host other than the controller, the module is shipped there and runs from it, with
        the same result.
  async:
    description: Can be used with the C(async) keyword.
    support: none
  facts:
    description: Returns C(ansible_facts), which become facts of the host.
    support: none
  platform:
    description: Systems on which the module can run.
    support: full
    platforms: posix
    details:
      - It speaks to the workspace, whatever systems the servers run.
"""
