#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_registration
short_description: Register a server with an Alpacon workspace
version_added: 1.0.0
description:
  - Registers one server with a registration token, waits until its agent is connected, and ends a registration.
  - It speaks to the workspace only. The role P(herdops.alpacon.alpamon#role) installs the agent, and keeps on the host
    what this module returns.
  - The workspace makes a new record for every registration, whatever the name. Hence the module registers only where
    there are no credentials, or where the workspace itself says that they are worth nothing; a workspace that cannot
    be reached never leads to a registration.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - With V(registered), the server has credentials that are valid. O(id) and O(key) are verified where they are
        given; else the server is registered.
      - With V(connected), the task waits until the workspace says that the agent is commissioned and connected.
      - With V(unregistered), the record is gone from the workspace.
    type: str
    default: registered
    choices: [registered, connected, unregistered]
  id:
    description:
      - UUID of the server, which its agent knows from its registration.
    type: str
  key:
    description:
      - The key that goes with O(id). It is a secret.
    type: str
  registration_token:
    description:
      - Key of a registration token, which is needed to register. It is a secret.
    type: str
  name:
    description:
      - Name to register, which is needed to do so. As the agent does, the module cuts it at the first dot, makes a
        hyphen of every run of characters other than letters, digits and underscores, and takes 64 characters of it.
      - The workspace puts a hyphen and six hexadecimal digits behind it, see RV(name).
    type: str
  platform:
    description:
      - Platform of the server, which is needed to register. It cannot be changed later.
    type: str
    choices: [debian, rhel]
  tags:
    description:
      - Tags that the record gets when it is made, with values that are strings.
      - Where O(token) is given, a tag C(ansible:registration) with a random value comes to them. It stays there; by it
        the module knows the record again if the answer to the registration is lost.
    type: dict
  replace_stale:
    description:
      - Whether the server is registered anew where the workspace says that O(id) and O(key) are worth nothing.
    type: bool
    default: false
  clean_up:
    description:
      - Whether O(token) is used to look for records that are left behind, and to delete them.
      - With V(false) it is sent nowhere, wherever it was taken from, such as for an O(url) that it is not meant for.
    type: bool
    default: true
  wait_timeout:
    description:
      - For how long O(state=connected) waits, as a number of seconds or a duration such as V(90s) or V(5m).
      - In every state, this is also how long a used-up request budget is waited for.
    type: str
    default: 2m
  token:
    description:
      - API token or service token. It is not needed.
      - With it, O(state=registered) deletes a record whose credentials were lost with the answer to the registration,
        and lists RV(orphans). O(state=unregistered) also deletes a record whose O(key) is not valid or not known.
      - It is looked for where the notes say. Where the task is delegated to the host, it is sent there.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - It only reads. O(state=registered) without O(id) and O(key) is predicted to register.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=registered) is idempotent if it gets the credentials that it returned before.
notes:
  - Workspaces of 2024 have no registration by token. O(state=registered) fails there and says so.
  - Set C(no_log) to V(true) on tasks that may register, else RV(key) is shown where results are shown.
  - If the answer to a registration is lost and O(token) is not given, the task fails and says what may be left behind.
    With O(token), it looks for the record and deletes it before it registers again, at most twice. It knows the record
    by the tag; where the workspace lists no tags, by its name and age, and by that no agent has come with it. Such a
    workspace should not see two servers of the same short name registered at the same time.
seealso:
  - module: herdops.alpacon.alpacon_registration_info
  - module: herdops.alpacon.alpacon_registration_token
"""

EXAMPLES = r"""
- name: Register a host, from the controller
  herdops.alpacon.alpacon_registration:
    url: https://my-workspace.us1.alpacon.io
    registration_token: "{{ vault_registration_token }}"
    name: "{{ inventory_hostname_short }}"
    platform: debian
    tags:
      env: prod
  register: registration
  no_log: true

- name: Wait until its agent is connected
  herdops.alpacon.alpacon_registration:
    state: connected
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
    wait_timeout: 3m

- name: Take it out of the workspace
  herdops.alpacon.alpacon_registration:
    state: unregistered
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
"""

RETURN = r"""
id:
  description: UUID of the server; null where it would be registered in check mode.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The key of a server that the task registered. It is a secret, and shown only this once.
    - Null where the credentials that were given are valid.
  returned: success of O(state=registered)
  type: str
  sample: null
name:
  description: Name of the record; null where the workspace did not say.
  returned: success
  type: str
  sample: web-1a2b3c
credentials:
  description:
    - V(valid), V(stale) where the workspace refuses them, or V(unreachable) where it did not say.
  returned: when O(id) and O(key) were verified, and when the server was registered
  type: str
  sample: valid
commissioned:
  description: Whether the agent has sent its first report; null where the workspace did not say.
  returned: when RV(credentials) is
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null where the workspace did not say.
  returned: when RV(credentials) is
  type: bool
  sample: true
version:
  description: Version of the agent; null where the workspace did not say.
  returned: when RV(credentials) is
  type: str
  sample: 2.5.0
orphans:
  description:
    - With O(state=registered) and O(token), other records of that name whose agents never came. They are not deleted.
    - Where the task failed, the records that it may have left behind, as far as they are known.
  returned: with O(state=registered) and O(state=unregistered)
  type: list
  elements: dict
  sample:
    - {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-9f8e7d}
  contains:
    id:
      description: UUID of the record; null where it is not known.
      type: str
    name:
      description: Name of the record; null where it is not known.
      type: str
msg:
  description: What became of it.
  returned: always
  type: str
  sample: Registered as web-1a2b3c.
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 2
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC as REGISTRATION_SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import run_registration


def main() -> None:
    """Register a server."""
    run_module(REGISTRATION_SPEC, run_registration)


if __name__ == "__main__":
    main()
