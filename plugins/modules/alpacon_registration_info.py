#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_registration_info
short_description: Verify the registration of a server, or a registration token
version_added: 1.0.0
description:
  - Verifies the credentials of an agent, and reads whether the agent is connected, with one request.
  - Or checks whether the workspace accepts a registration token, without registering a server.
  - The task does not fail if the credentials are invalid or the workspace does not answer. Check RV(credentials), or
    RV(accepted).
author:
  - herdops.alpacon contributors (@herdops)
options:
  id:
    description:
      - UUID of the server, from its registration. Required without O(registration_token).
    type: str
  key:
    description:
      - The agent's secret key, which belongs to O(id).
    type: str
  registration_token:
    description:
      - Registration token to check. O(id) and O(key) are not verified then.
    type: str
  wait_timeout:
    description:
      - How long to wait while the workspace limits requests. Seconds, or a duration such as V(90s) or V(5m).
    type: str
    default: 2m
  token:
    description:
      - Ignored. The module authenticates with O(id) and O(key), or with O(registration_token).
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

- name: Check a registration token
  herdops.alpacon.alpacon_registration_info:
    url: https://my-workspace.us1.alpacon.io
    registration_token: "{{ vault_registration_token }}"
  register: checked

- name: Verify the credentials from the host
  herdops.alpacon.alpacon_registration_info:
    url: https://my-workspace.us1.alpacon.io
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
  delegate_to: "{{ inventory_hostname }}"
"""

RETURN = r"""
accepted:
  description: Whether the workspace accepts the registration token; null if it did not say.
  returned: with O(registration_token)
  type: bool
  sample: true
id:
  description: UUID of the server.
  returned: with O(id)
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
credentials:
  description:
    - V(valid), V(stale) if the workspace refuses them, or V(unreachable) if the workspace did not answer.
  returned: with O(id)
  type: str
  sample: valid
name:
  description: Name of the server; null if it is unknown.
  returned: with O(id)
  type: str
  sample: web-01-1a2b3c
commissioned:
  description: Whether the agent has sent its first report; null if that is unknown.
  returned: with O(id)
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null if that is unknown.
  returned: with O(id)
  type: bool
  sample: true
connected:
  description: Whether the agent has sent its first report and is connected; null if RV(credentials) is not V(valid).
  returned: with O(id)
  type: bool
  sample: true
version:
  description: Version of the agent; null if it is unknown.
  returned: with O(id)
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
