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
  - The workspace returns the key of a token only once, in the response to the request that creates the token. The
    module returns it as RV(key).
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - V(present) creates a token unless there is one of that name that is neither disabled nor expired. When it
        creates one, it deletes the disabled and expired tokens of that name.
      - V(rotated) creates a token, then deletes all other tokens of that name.
      - V(temporary) creates a token for this run of Ansible, whose name begins with O(name), see RV(name), and deletes
        the tokens of earlier runs on this controller. The task cannot be delegated.
      - V(absent) deletes all tokens of that name.
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
      - Names or UUIDs of the IAM groups of servers that register with the token. If omitted, an existing token may have
        any groups, and a new one has none.
      - The API cannot change a token. If the existing one has other groups, O(state=present) fails; use
        O(state=rotated).
    type: list
    elements: str
  expires_at:
    description:
      - When the token expires, as ISO 8601 with a time zone. If the existing token expires at another time,
        O(state=present) fails. It cannot be combined with O(expires_in).
    type: str
  expires_in:
    description:
      - How long a new token is valid, as a number of seconds or a duration such as V(2h) or V(30d). An existing token
        may expire at any time.
    type: str
  description:
    description:
      - Purpose of a new token. By default, a text with a random mark, by which the module finds the token if the
        response is lost.
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
  - Set C(no_log) to V(true) on tasks that may create a token. Otherwise, Ansible shows RV(key) with the result.
  - If the response with the key is lost, the module finds the token by the mark in its description or, with
    O(state=temporary), by its name. It deletes the token and creates another one, once. If O(description) is given, or
    the workspace does not list descriptions, the token may belong to another run. Then the task fails, names the token
    and deletes nothing.
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
    - Name of the token. With O(state=temporary), a hyphen and a mark of the run are added to O(name).
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
    - The key of a token that the task created. It is a secret, and the workspace returns it only once.
    - Null if the token existed before. O(state=rotated) returns a new key.
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
