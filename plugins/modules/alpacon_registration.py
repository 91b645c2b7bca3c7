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
    are no credentials, or if the workspace itself says that they are invalid; a workspace that cannot be reached never
    leads to a registration.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - With V(registered), the server has valid credentials. O(id) and O(key) are verified if they are given; otherwise
        the server is registered.
      - With V(connected), the task waits until the workspace says that the agent is commissioned and connected. It
        fails otherwise; RV(connected) is then V(false), or null if the workspace could not be asked.
      - With V(unregistered), the record is gone from the workspace. With O(name), O(machine) and O(token) instead of
        O(id), these are the records of that name which the machine has left there and whose agent has never connected.
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
      - Name of the server, required to register. Like the agent, the module cuts it at the first dot, replaces every
        run of characters other than letters, digits and underscores by a hyphen, and takes the first 64 characters.
      - The workspace appends a hyphen and six hexadecimal digits, see RV(name).
    type: str
  platform:
    description:
      - Platform of the server, required to register. It cannot be changed later.
      - V(rhel) is for the SUSE family as well, V(darwin) for macOS.
    type: str
    choices: [debian, rhel, darwin, windows]
  tags:
    description:
      - Tags that the record gets when it is created, with strings as values.
      - If O(token) is given and O(machine) is not, a tag C(ansible:registration) with a random value is added and kept,
        so that the module can recognize the record if the answer to the registration is lost.
    type: dict
  machine:
    description:
      - Text that tells the machine from all others, such as its machine id together with its name in the inventory.
      - A digest of it, and never the text itself, is added as the tag C(ansible:machine) and kept. By that tag, a task
        with O(token) recognizes records of this machine whose key was lost, also those of earlier runs, and deletes
        them. It spares a record whose agent has ever connected.
      - Two machines must not have the same text.
    type: str
  replace_stale:
    description:
      - Whether the server is registered again if the workspace says that O(id) and O(key) are invalid.
    type: bool
    default: false
  replace:
    description:
      - Whether a server that this task registers replaces its own old record, from before it was installed anew.
        The new record gets the IAM groups of the old one in addition to its own. Then the old record is deleted.
      - The old record is the offline record of the same O(name) whose agent was connected before. If there are several,
        or if an agent of that name is connected, nothing is replaced, and a warning names the records.
      - With O(machine), the groups of records of this machine whose key was lost are taken over as well.
      - The workspace does not know which host an old record was. Do not use this if two hosts have the same short name.
      - It requires O(token). The token must be allowed to change and delete servers.
    type: bool
    default: false
  clean_up:
    description:
      - Whether O(token) is used to look for records that are left behind, and to delete them.
      - With V(false), the token is not sent, wherever it came from; use this if it does not belong to O(url).
    type: bool
    default: true
  version:
    description:
      - With O(state=connected), the version of the agent to wait for, such as V(2.5.0). If left out, any version will
        do.
      - A workspace that states no version is taken at its word that the agent is connected.
    type: str
  pinned:
    description:
      - With O(state=connected) and O(token), whether the agent is to stay on its version although nothing holds the
        package. If the workspace upgrades agents to the latest version by itself, there is a warning, once in a run.
      - Older workspaces do not say so, and not every token may read it. Then there is no warning.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long O(state=connected) waits, as a number of seconds or a duration such as V(90s) or V(5m).
      - In every state, this is also how long to wait if the request budget is used up.
    type: str
    default: 2m
  token:
    description:
      - API token or service token. It is optional.
      - With it, O(state=registered) deletes a record whose credentials were lost with the answer to the registration,
        deletes those that O(machine) describes, and lists RV(orphans). O(state=unregistered) also deletes a record
        whose O(key) is not valid or not known.
      - It is looked up as described in the notes. If the task is delegated to the host, it is sent there.
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
  - If the answer to a registration is lost and O(token) is not given, the task fails and says what may be left behind.
    With O(token), it looks for the record and deletes it before it registers again, at most twice. It recognizes the
    record by the tag or, if the workspace lists no tags, by its name and age and by the fact that no agent has
    connected with it. Do not register two servers with the same short name at the same time in such a workspace.
    Records of earlier runs are only named there, in RV(orphans).
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

- name: Register a host that was installed anew, and replace its old record
  herdops.alpacon.alpacon_registration:
    registration_token: "{{ vault_registration_token }}"
    name: "{{ inventory_hostname_short }}"
    platform: debian
    replace: true
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

- name: Take out what earlier registrations of it have left behind
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
  description: What the task did.
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
