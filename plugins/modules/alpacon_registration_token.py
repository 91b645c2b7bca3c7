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
  - Makes, rotates and deletes registration tokens, with which new servers come into the workspace.
  - The workspace shows the key of a token once, in the answer to the request that makes it. The module returns it as
    RV(key), and nothing else ever contains it.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - With V(present), a token of that name that is neither disabled nor expired stands. Where there is none, one is
        made, and those of that name that cannot be used any more are deleted.
      - With V(rotated), a new token is made and then every other one of that name is deleted, so that there is one
        all the time. This is a change each time.
      - With V(absent), there is no token of that name.
    type: str
    default: present
    choices: [present, absent, rotated]
  name:
    description:
      - Name of the token, of 1 to 64 characters. It is compared exactly.
    type: str
    required: true
  groups:
    description:
      - Names or UUIDs of the IAM groups that servers come into which register with the token.
      - Left out, a token that stands may have any, and a new one has none.
      - The API changes no token. If the one that stands has other groups, O(state=present) fails; use
        O(state=rotated).
    type: list
    elements: str
  expires_at:
    description:
      - When the token expires, as ISO 8601 with a zone. What is said of O(groups) goes for this, too.
    type: str
  expires_in:
    description:
      - How long a new token can be used, as a number of seconds or a duration such as V(2h) or V(30d).
      - A token that stands is not compared with it. It does not go together with O(expires_at).
    type: str
  description:
    description:
      - What a new token is for. A token that stands is not compared with it.
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
      - O(state=rotated) makes a new token each time.
notes:
  - Set C(no_log) to V(true) on tasks that may make a token, else RV(key) is shown where results are shown.
  - If the answer to the request that makes a token is lost, its key is lost for ever. The module then looks for a token
    of that name and with these groups which was not there before, deletes it and makes another, once. Do not run two
    tasks that make a token of the same name at the same time.
  - O(token) has to be of a superuser, or a service token.
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

- name: Delete it
  herdops.alpacon.alpacon_registration_token:
    name: rollout
    state: absent
"""

RETURN = r"""
name:
  description: Name of the token.
  returned: success
  type: str
  sample: rollout
id:
  description: UUID of the token that stands; null where none does, and where one would be made in check mode.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The key of a token that the task made. It is a secret, and shown only this once.
    - Null where the token stood before. O(state=rotated) gets a new one.
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
  description: When the token expires; null where it never does.
  returned: success
  type: str
  sample: "2031-01-01T03:00:00Z"
deleted:
  description: UUIDs of the tokens of that name that were deleted, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
msg:
  description: What became of it.
  returned: always
  type: str
  sample: Made. This is the only time that its key is shown.
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 3
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import (
    SPEC as REGISTRATION_TOKEN_SPEC,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import run_registration_token


def main() -> None:
    """Manage registration tokens."""
    run_module(REGISTRATION_TOKEN_SPEC, run_registration_token)


if __name__ == "__main__":
    main()
