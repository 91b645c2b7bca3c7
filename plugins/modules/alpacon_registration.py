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
  - Registers one server with a registration token, waits until its agent is connected, or ends a registration.
  - It talks to the workspace only. The role P(herdops.alpacon.alpamon#role) installs the agent, and stores on the host
    what this module returns.
  - The workspace creates a new record for every registration, whatever the name. So the module registers only if there
    are no credentials, or if the workspace says that they are invalid. A workspace that cannot be reached never leads
    to a registration.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - V(registered) verifies O(id) and O(key) if they are given, and otherwise registers the server.
      - V(connected) waits until the agent is commissioned and connected. If it is not in time, the task fails, and
        RV(connected) is V(false), or null if the workspace could not be asked.
      - V(unregistered) deletes the record. With O(name), O(machine) and O(token) instead of O(id), it deletes the
        records of that name that the machine has left behind and whose agent has never connected.
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
      - Key of a registration token, required to register. It is a secret.
    type: str
  name:
    description:
      - Name of the server, required to register. The workspace appends a hyphen and six hexadecimal digits, see
        RV(name).
      - Like the agent, the module cuts it at the first dot, replaces characters other than letters, digits and
        underscores by hyphens, and takes the first 64 characters.
    type: str
  platform:
    description:
      - Platform of the server, required to register. It cannot be changed later. V(rhel) is for the SUSE family too,
        V(darwin) for macOS.
    type: str
    choices: [debian, rhel, darwin, windows]
  tags:
    description:
      - Tags of a new record, with strings as values.
      - With O(token) and without O(machine), the tag C(ansible:registration) with a random value is added, by which the
        module recognizes the record if the answer to the registration is lost.
    type: dict
  machine:
    description:
      - Text that identifies the machine, such as its machine id together with its name in the inventory. Two machines
        must not have the same text.
      - A digest of it is added as the tag C(ansible:machine). By that tag, a task with O(token) deletes the records of
        this machine whose key was lost, also in earlier runs, unless their agent has connected.
    type: str
  replace_stale:
    description:
      - Whether the server is registered again if the workspace says that O(id) and O(key) are invalid.
    type: bool
    default: false
  replace:
    description:
      - Whether a new record replaces the old one of this host, from before it was installed anew. The new record gets
        the IAM groups of the old one in addition to its own, then the old one is deleted. O(token) is required, and
        must be allowed to change and delete servers.
      - The old record is the only offline record of the same O(name) whose agent was connected before. If there are
        several, or if an agent of that name is connected, nothing is replaced, with a warning. Do not use this if two
        hosts have the same short name.
    type: bool
    default: false
  clean_up:
    description:
      - Whether O(token) is used to search for records that are left behind, and to delete them. With V(false), the
        token is not sent; use this if it does not belong to O(url).
    type: bool
    default: true
  version:
    description:
      - With O(state=connected), the version of the agent to wait for, such as V(2.5.0). By default, any version. It is
        ignored if the workspace states no version.
    type: str
  pinned:
    description:
      - With O(state=connected) and O(token), whether to warn, once in a run, if the workspace upgrades agents to the
        latest version by itself. Older workspaces do not say so.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long O(state=connected) waits, and how long every state waits if the request budget is used up. A number of
        seconds or a duration such as V(90s) or V(5m).
    type: str
    default: 2m
  token:
    description:
      - API token or service token. It is optional, and looked up as described in the notes.
      - With it, O(state=registered) deletes records whose key was lost, and lists RV(orphans). O(state=unregistered)
        also deletes a record whose O(key) is not valid or not known.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - It only reads. O(state=registered) without O(id) and O(key) is predicted to register.
      - With O(replace), RV(replaced) is the record that would be replaced.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=registered) is idempotent if it is given the credentials that it returned before.
notes:
  - Workspaces of 2024 have no registration by token. O(state=registered) fails there with a message that says so.
  - Set C(no_log) to V(true) on tasks that may register; otherwise RV(key) is shown wherever results are shown.
  - If the answer to a registration is lost, the task fails and names what may be left behind. With O(token), it finds
    and deletes the record, and registers again, at most twice.
  - If the workspace lists no tags, a lost record is recognized by its name and age, and by the fact that no agent has
    connected with it. Do not register two servers with the same short name at the same time there.
seealso:
  - module: herdops.alpacon.alpacon_registration_info
  - module: herdops.alpacon.alpacon_registration_token
"""

EXAMPLES = r"""
- name: Register a host
  herdops.alpacon.alpacon_registration:
    url: https://my-workspace.us1.alpacon.io
    registration_token: "{{ vault_registration_token }}"
    name: "{{ inventory_hostname_short }}"
    platform: debian
    tags:
      env: prod
  register: registration
  no_log: true

- name: Replace the old record of a reinstalled host
  herdops.alpacon.alpacon_registration:
    registration_token: "{{ vault_registration_token }}"
    name: "{{ inventory_hostname_short }}"
    platform: debian
    replace: true
  register: registration
  no_log: true

- name: Wait until the agent is connected
  herdops.alpacon.alpacon_registration:
    state: connected
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
    wait_timeout: 3m

- name: Delete the record of a host
  herdops.alpacon.alpacon_registration:
    state: unregistered
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"

- name: Delete records left by failed registrations
  herdops.alpacon.alpacon_registration:
    state: unregistered
    name: "{{ inventory_hostname_short }}"
    machine: "{{ alpamon_machine_id }} {{ inventory_hostname }}"
"""

RETURN = r"""
id:
  description: UUID of the server; null if it would be registered, in check mode, or if no O(id) was given to end it.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The key of a server that the task registered. It is a secret, and shown only once.
    - Null if the given credentials are valid.
  returned: success of O(state=registered)
  type: str
  sample: null
name:
  description: Name of the record; null if the workspace did not say.
  returned: success
  type: str
  sample: web-1a2b3c
credentials:
  description:
    - V(valid), V(stale) if the workspace refuses them, or V(unreachable) if it did not say.
  returned: when O(id) and O(key) were verified, and when the server was registered
  type: str
  sample: valid
commissioned:
  description: Whether the agent has sent its first report; null if the workspace did not say.
  returned: when RV(credentials) is
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null if the workspace did not say.
  returned: when RV(credentials) is
  type: bool
  sample: true
connected:
  description:
    - Whether the agent is commissioned, connected and on O(version). Null if the workspace could not be asked at the
      end, refused the credentials, or has answered again for a shorter time than agents need to come back.
  returned: with O(state=connected)
  type: bool
  sample: true
version:
  description: Version of the agent; null if the workspace did not say.
  returned: when RV(credentials) is
  type: str
  sample: 2.5.0
orphans:
  description:
    - With O(state=registered) and O(token), other records of that name that are older than an hour and whose agents
      never connected. They are not deleted, since they may be another host's. Records with the tag of another
      O(machine) are left out.
    - If the task failed, the records that it may have left behind, as far as they are known.
  returned: with O(state=registered) and O(state=unregistered)
  type: list
  elements: dict
  sample:
    - {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-9f8e7d}
  contains:
    id:
      description: UUID of the record; null if it is not known.
      type: str
    name:
      description: Name of the record; null if it is not known.
      type: str
duplicates:
  description:
    - With O(token), other records of that name whose agents are offline and have been connected before. One of them may
      be that of this host from before it was installed anew. They are not deleted, since they may be another host's.
  returned: with O(state=registered)
  type: list
  elements: dict
  sample: []
  contains:
    id:
      description: UUID of the record.
      type: str
    name:
      description: Name of the record.
      type: str
replaced:
  description:
    - With O(replace), the old record that is gone, or would be in check mode. Null if no record was replaced; then
      RV(duplicates) has those that are still there.
  returned: with O(state=registered)
  type: dict
  sample: {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-9f8e7d, groups: [7bf38068-4fc5-41ee-b987-4cfd59fbd0e8]}
  contains:
    id:
      description: UUID of the old record.
      type: str
    name:
      description: Name of the old record.
      type: str
    groups:
      description: UUIDs of its IAM groups, which the new record has as well.
      type: list
      elements: str
msg:
  description: Summary of the result.
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
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC, run_registration


def main() -> None:
    """Register a server."""
    run_module(SPEC, run_registration)


if __name__ == "__main__":
    main()
