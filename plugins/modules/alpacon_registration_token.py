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
  - Creates, rotates and deletes registration tokens. New servers need one to register with the workspace.
  - The workspace shows the key of a token only once, when it creates the token. The module returns it as RV(key).
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - V(present) creates a token unless a valid one with that name exists. It replaces disabled and expired ones.
      - V(rotated) creates a token, then deletes all other tokens with that name.
      - V(temporary) creates a token for this run, with a suffix in RV(name), and deletes those of earlier runs on this
        controller. The task cannot be delegated.
      - V(absent) deletes all tokens with that name.
    type: str
    default: present
    choices: [present, absent, rotated, temporary]
  name:
    description:
      - Name of the token, of 1 to 64 characters.
    type: str
    required: true
  groups:
    description:
      - Names or UUIDs of the IAM groups that servers get when they register with the token.
      - A token cannot be changed. If the existing one has other groups, O(state=present) fails. Use O(state=rotated).
    type: list
    elements: str
  expires_at:
    description:
      - When the token expires, such as V(2027-01-31T00:00:00Z). By default, never. If the existing token expires at
        another time, O(state=present) fails.
    type: str
  expires_in:
    description:
      - How long a new token is valid. Seconds, or a duration such as V(2h) or V(30d). Cannot be combined with
        O(expires_at).
    type: str
  description:
    description:
      - Purpose of a new token. The default has a random part, by which the module finds a token whose response was
        lost.
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
    support: partial
    details:
      - O(state=rotated) and O(state=temporary) create a new token each time.
notes:
  - Set C(no_log) to V(true) on tasks that may create a token. Otherwise, Ansible shows RV(key).
  - O(token) must belong to a superuser, or be a service token.
  - If the response with the key is lost, the module deletes that token and creates another one, once. If it cannot
    identify the token, the task fails, names the token and deletes nothing.
seealso:
  - module: herdops.alpacon.alpacon_registration
"""

EXAMPLES = r"""
- name: Create a registration token
  herdops.alpacon.alpacon_registration_token:
    url: https://my-workspace.us1.alpacon.io
    name: rollout
    groups: [Operations]
    expires_in: 2h
  register: rollout_token
  no_log: true

- name: Rotate a registration token
  herdops.alpacon.alpacon_registration_token:
    name: images
    groups: [Operations]
    description: For the image builder
    state: rotated
  register: image_token
  no_log: true

- name: Create a temporary token
  herdops.alpacon.alpacon_registration_token:
    name: nightly
    expires_in: 1d
    state: temporary
  register: nightly_token
  no_log: true

- name: Delete the temporary token
  herdops.alpacon.alpacon_registration_token:
    name: "{{ nightly_token.name }}"
    state: absent
"""

RETURN = r"""
name:
  description:
    - Name of the token. With O(state=temporary), it is O(name), a hyphen and the suffix of the run.
  returned: success
  type: str
  sample: rollout
id:
  description: UUID of the token; null if there is none, or if check mode predicts a new one.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The secret key of a token that the task created; null if the token existed before.
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
  description: UUIDs of the tokens that the task deleted or, in check mode, would delete.
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
  description: Number of HTTP requests that the task made.
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
    run_module(SPEC, run_registration_token, **RULES)


if __name__ == "__main__":
    main()
