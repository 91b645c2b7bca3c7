#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_registration_info
short_description: Ask an Alpacon workspace about the registration of a server
version_added: 1.0.0
description:
  - Asks the workspace, with the credentials of a server's agent, whether they are valid and whether the agent is
    connected. It sends one request.
  - It does not fail if they are not valid, or if the workspace cannot be reached. RV(credentials) is the answer.
author:
  - herdops.alpacon contributors (@herdops)
options:
  id:
    description:
      - UUID of the server, which its agent knows from its registration.
    type: str
    required: true
  key:
    description:
      - The key that goes with O(id). It is a secret.
    type: str
    required: true
  wait_timeout:
    description:
      - How long to wait if the request budget is used up, as a number of seconds or a duration such as V(90s) or V(5m).
    type: str
    default: 2m
  token:
    description:
      - It is neither required nor sent; the request is sent with O(id) and O(key).
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - It only reads.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: herdops.alpacon.alpacon_registration
  - module: herdops.alpacon.alpacon_server_info
"""

EXAMPLES = r"""
- name: Verify the credentials of a host, from that host
  herdops.alpacon.alpacon_registration_info:
    url: https://my-workspace.us1.alpacon.io
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
  delegate_to: "{{ inventory_hostname }}"
  register: registration

- name: Stop if the workspace refuses them
  ansible.builtin.assert:
    that: registration.credentials != 'stale'
    fail_msg: "{{ registration.msg }}"
"""

RETURN = r"""
id:
  description: UUID of the server.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
credentials:
  description:
    - V(valid), V(stale) if the workspace refuses them, or V(unreachable) if it did not say.
  returned: success
  type: str
  sample: valid
name:
  description: Name of the record; null if the workspace did not say.
  returned: success
  type: str
  sample: web-1a2b3c
commissioned:
  description: Whether the agent has sent its first report; null if the workspace did not say.
  returned: success
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null if the workspace did not say.
  returned: success
  type: bool
  sample: true
connected:
  description:
    - Whether the agent is commissioned and connected. Null if the workspace did not say, or refused the credentials.
  returned: success
  type: bool
  sample: true
version:
  description: Version of the agent; null if the workspace did not say.
  returned: success
  type: str
  sample: 2.5.0
msg:
  description: Summary of the result.
  returned: always
  type: str
  sample: The stored credentials are valid.
requests:
  description: How many HTTP requests the task made.
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
    """Ask about the registration of a server."""
    run_module(INFO_SPEC, run_registration_info)


if __name__ == "__main__":
    main()
