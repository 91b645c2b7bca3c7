#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_registration_token
short_description: Manage the registration tokens of an Alpacon workspace
version_added: 1.0.0
description:
  - Creates, rotates and deletes registration tokens, with which new servers are registered in the workspace.
  - The workspace shows the key of a token only once, in the answer to the request that creates it. The module returns
    it as RV(key), and nothing else ever contains it.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - V(present) creates a token if there is none of that name that is neither disabled nor expired, and deletes those
        of that name that can no longer be used.
      - V(rotated) creates a token and then deletes every other one of that name. It is always a change.
      - V(temporary) creates a token for this run of Ansible, whose name begins with O(name), see RV(name), and deletes
        those of runs on this controller that have ended. It is always a change, and cannot be delegated.
      - V(absent) deletes all tokens of that name.
    type: str
    default: present
    choices: [present, absent, rotated, temporary]
  name:
    description:
      - Name of the token, of 1 to 64 characters. It is compared exactly.
    type: str
    required: true
  groups:
    description:
      - Names or UUIDs of the IAM groups of servers that register with the token. If omitted, an existing token may have
        any groups, and a new one has none.
      - The API cannot change a token. If the existing one has other groups, O(state=present) fails; use
        O(state=rotated).
    type: list
    elements: str
  expires_at:
    description:
      - When the token expires, as ISO 8601 with a time zone. An existing token is compared with it as with O(groups).
        It cannot be combined with O(expires_in).
    type: str
  expires_in:
    description:
      - How long a new token is valid, as a number of seconds or a duration such as V(2h) or V(30d). An existing token
        is not compared with it.
    type: str
  description:
    description:
      - Purpose of a new token. By default, it says that Ansible made the token, with a mark by which the task
        recognizes it.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=rotated) and O(state=temporary) create a new token each time.
notes:
  - Set C(no_log) to V(true) on tasks that may create a token; otherwise RV(key) is shown wherever results are shown.
  - If the answer to the request that creates a token is lost, its key is lost too. The module then finds the token by
    the mark in its description or, with O(state=temporary), by its name, deletes it and creates another, once. If
    O(description) is given, or the workspace does not list descriptions, the token may be another run's. The task then
    fails, names the token and deletes nothing.
  - O(token) must belong to a superuser, or be a service token.
seealso:
  - module: herdops.alpacon.alpacon_registration
"""

EXAMPLES = r"""
- name: Create a token for two hours
  herdops.alpacon.alpacon_registration_token:
    name: rollout
    groups: [Operations]
    expires_in: 2h
  register: rollout_token
  no_log: true

- name: Rotate the token of the image builder
  herdops.alpacon.alpacon_registration_token:
    name: images
    groups: [Operations]
    description: For the image builder
    state: rotated
  register: image_token
  no_log: true

- name: Create a token for this run
  herdops.alpacon.alpacon_registration_token:
    name: nightly
    expires_in: 1d
    state: temporary
  register: nightly_token
  no_log: true

- name: Delete the token of this run
  herdops.alpacon.alpacon_registration_token:
    name: "{{ nightly_token.name }}"
    state: absent
"""

RETURN = r"""
name:
  description:
    - Name of the token. With O(state=temporary), a hyphen and a mark of the run follow O(name).
  returned: success
  type: str
  sample: rollout
id:
  description: UUID of the token; null if there is none, or if one would be created, in check mode.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The key of a token that the task created. It is a secret, and shown only once.
    - Null if the token existed before. O(state=rotated) returns a new one.
  returned: success
  type: str
  sample: null
groups:
  description: UUIDs of the token's groups.
  returned: success
  type: list
  elements: str
  sample: [2e884487-c348-412a-9a5b-a9c1f548ddb5]
expires_at:
  description: When the token expires; null if it never does.
  returned: success
  type: str
  sample: "2031-01-01T03:00:00Z"
deleted:
  description: UUIDs of the tokens that were deleted or, in check mode, would be.
  returned: success
  type: list
  elements: str
  sample: []
msg:
  description: Summary of the result.
  returned: always
  type: str
  sample: Created. Its key is only shown now.
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 3
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import (
    RULES,
    SPEC,
    run_registration_token,
)


def main() -> None:
    """Manage registration tokens."""
    run_module(SPEC, run_registration_token, **RULES)


if __name__ == "__main__":
    main()
