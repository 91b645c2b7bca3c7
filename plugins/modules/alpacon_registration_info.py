#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_registration_info
short_description: Verify the registration of a server with an Alpacon workspace
version_added: 1.0.0
description:
  - Verifies the credentials of an agent, and reads whether the agent is connected, with one request.
  - The task does not fail if the credentials are invalid or the workspace does not answer. Check RV(credentials).
author:
  - herdops.alpacon contributors (@herdops)
options:
  id:
    description:
      - UUID of the server, from its registration.
    type: str
    required: true
  key:
    description:
      - The agent's secret key, which belongs to O(id).
    type: str
    required: true
  wait_timeout:
    description:
      - How long to wait while the workspace limits requests. Seconds, or a duration such as V(90s) or V(5m).
    type: str
    default: 2m
  token:
    description:
      - Ignored. The module authenticates with O(id) and O(key).
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module only reads.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: herdops.alpacon.alpacon_registration
  - module: herdops.alpacon.alpacon_server_info
"""

EXAMPLES = r"""
- name: Verify the credentials
  herdops.alpacon.alpacon_registration_info:
    url: https://my-workspace.us1.alpacon.io
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
  register: registration

- name: Stop if they are refused
  ansible.builtin.assert:
    that: registration.credentials != 'stale'
    fail_msg: "{{ registration.msg }}"

- name: Verify them from the host
  herdops.alpacon.alpacon_registration_info:
    url: https://my-workspace.us1.alpacon.io
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
  delegate_to: "{{ inventory_hostname }}"
"""

RETURN = r"""
id:
  description: UUID of the server.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
credentials:
  description:
    - V(valid), V(stale) if the workspace refuses them, or V(unreachable) if the workspace did not answer.
  returned: success
  type: str
  sample: valid
name:
  description: Name of the server; null if it is unknown.
  returned: success
  type: str
  sample: web-01-1a2b3c
commissioned:
  description: Whether the agent has sent its first report; null if that is unknown.
  returned: success
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null if that is unknown.
  returned: success
  type: bool
  sample: true
connected:
  description: Whether the agent has sent its first report and is connected; null if RV(credentials) is not V(valid).
  returned: success
  type: bool
  sample: true
version:
  description: Version of the agent; null if it is unknown.
  returned: success
  type: str
  sample: 2.5.0
msg:
  description: Summary of the result.
  returned: always
  type: str
  sample: The stored credentials are valid.
requests:
  description: Number of HTTP requests that the task made.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import (
    INFO_SPEC,
    run_registration_info,
)


def main() -> None:
    run_module(INFO_SPEC, run_registration_info)


if __name__ == "__main__":
    main()
