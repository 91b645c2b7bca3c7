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
      - With V(present), there is a token of that name that is neither disabled nor expired. If there is none, one is
        created, and those of that name that can no longer be used are deleted.
      - With V(rotated), a new token is created, and then every other one of that name is deleted, so that there is one
        at any time. This is always a change.
      - With V(temporary), a new token is created for this run of Ansible, and O(name) is only the beginning of its
        name, see RV(name). Those that other runs on this controller created so and left behind when they ended are
        deleted. This is always a change, and the task cannot be delegated to another host.
      - With V(absent), there is no token of that name.
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
      - Names or UUIDs of the IAM groups that servers which register with the token are added to.
      - If omitted, an existing token may have any groups, and a new one has none.
      - The API cannot change a token. If the existing one has other groups, O(state=present) fails; use
        O(state=rotated).
    type: list
    elements: str
  expires_at:
    description:
      - When the token expires, as ISO 8601 with a time zone. An existing token is compared with it in the same way as
        with O(groups).
      - A time in the past, by the clock of the workspace, is refused.
    type: str
  expires_in:
    description:
      - How long a new token is valid, as a number of seconds or a duration such as V(2h) or V(30d), by the clock of the
        workspace.
      - An existing token is not compared with it. It cannot be combined with O(expires_at).
    type: str
  description:
    description:
      - What a new token is for. An existing token is not compared with it.
      - If omitted, a new one is described as made by Ansible, with a mark by which the task knows it again.
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
  - If the answer to the request that creates a token is lost, its key is lost for good. The module then looks for a
    token with that name and these groups that was not there before, deletes it and creates another, once. It knows the
    token by the mark in its description or, with O(state=temporary), by its name. If O(description) is given, or the
    workspace does not list descriptions, the token may be another run's. The task then fails, names the token and
    deletes nothing.
  - O(token) must belong to a superuser, or be a service token.
seealso:
  - module: herdops.alpacon.alpacon_registration
"""

EXAMPLES = r"""
- name: Have a registration token for two hours
  herdops.alpacon.alpacon_registration_token:
    name: rollout
    groups: [Operations]
    expires_in: 2h
  register: rollout_token
  no_log: true

- name: Replace the one that the image builder uses
  herdops.alpacon.alpacon_registration_token:
    name: images
    groups: [Operations]
    description: For the image builder
    state: rotated
  register: image_token
  no_log: true

- name: Have one for this run only
  herdops.alpacon.alpacon_registration_token:
    name: nightly
    expires_in: 1d
    state: temporary
  register: nightly_token
  no_log: true

- name: Delete it
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
  description: What the task did.
  returned: always
  type: str
  sample: Created. This is the only time that its key is shown.
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
