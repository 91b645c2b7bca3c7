#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_agent_policy
short_description: Set when an Alpacon workspace upgrades agents by itself
version_added: 1.0.0
description:
  - Sets the policy by which the workspace upgrades the agents of all its servers, and the hours in which it may do so.
  - Without O(mode) and O(window), the module returns the policy and changes nothing.
author:
  - herdops.alpacon contributors (@herdops)
options:
  mode:
    description:
      - V(latest) upgrades agents to the newest version.
      - V(n_minus_1) keeps them one version behind the newest. A workspace may not offer this mode.
      - V(manual) turns automatic upgrades off.
      - If omitted, the mode stays.
    type: str
    choices: [latest, n_minus_1, manual]
  window:
    description:
      - When the workspace may upgrade agents. What is omitted stays as it is. If the workspace has no window yet, give
        all of it.
      - A window cannot be removed.
    type: dict
    suboptions:
      days:
        description:
          - The days on which the window begins.
        type: list
        elements: str
        choices: [monday, tuesday, wednesday, thursday, friday, saturday, sunday]
      start_hour:
        description:
          - The hour at which the window begins, V(0) to V(23).
        type: int
      length_hours:
        description:
          - How many hours it is open, V(1) to V(24).
        type: int
      timezone:
        description:
          - The time zone of O(window.start_hour), such as V(Asia/Seoul).
        type: str
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - A workspace has one policy. Run the task once, with C(run_once) or on C(localhost).
  - The token must be allowed to change the preferences of the workspace.
  - If the response to a change is lost, the module reads the policy. If it is not the one that the task sets, the
    module sends the change once more.
  - Older workspaces have no policy. There, the task fails.
seealso:
  - module: herdops.alpacon.alpacon_server_action
  - name: Planned work
    description: The guide on muting alerts, reboots in waves and automatic upgrades.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/planned_work.html
"""

EXAMPLES = r"""
- name: Upgrade agents at the weekend
  herdops.alpacon.alpacon_agent_policy:
    url: https://my-workspace.us1.alpacon.io
    mode: latest
    window:
      days: [saturday, sunday]
      start_hour: 2
      length_hours: 4
      timezone: Asia/Seoul
  run_once: true

- name: Turn automatic upgrades off
  herdops.alpacon.alpacon_agent_policy:
    mode: manual
  run_once: true

- name: Read the policy
  herdops.alpacon.alpacon_agent_policy:
  register: policy
  run_once: true
"""

RETURN = r"""
mode:
  description: The mode after the task. In check mode, the predicted one.
  returned: success
  type: str
  sample: latest
window:
  description:
    - The window after the task, with the keys of O(window) that the workspace states; null if the workspace has none.
  returned: success
  type: dict
  sample: {days: [saturday, sunday], start_hour: 2, length_hours: 4, timezone: Asia/Seoul}
automatic:
  description: Whether the workspace upgrades agents by itself, which is so with every mode except V(manual).
  returned: success
  type: bool
  sample: true
msg:
  description: Summary of the result, or the reason of a failure.
  returned: always
  type: str
  sample: Changed.
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 2
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.agent_policy import SPEC, run_agent_policy


def main() -> None:
    run_module(SPEC, run_agent_policy)


if __name__ == "__main__":
    main()
