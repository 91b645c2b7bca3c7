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
  - Registers a server with a registration token, waits until its agent is connected, or unregisters the server.
  - The module changes nothing on the host. The role P(herdops.alpacon.alpamon#role) also installs the agent.
  - Each registration creates a new server in the workspace, so give O(id) and O(key) if you have them.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - V(registered) verifies O(id) and O(key). Without them, it registers the server.
      - V(connected) waits until the agent is connected, and fails after O(wait_timeout).
      - V(unregistered) deletes the server O(id). Without O(id), but with O(name), O(machine) and O(token), it deletes
        all servers of the machine whose agent has never connected.
    type: str
    default: registered
    choices: [registered, connected, unregistered]
  id:
    description:
      - UUID of the server, from an earlier registration.
    type: str
  key:
    description:
      - The agent's secret key, which belongs to O(id).
    type: str
  registration_token:
    description:
      - Registration token, required to register. It is a secret.
    type: str
  name:
    description:
      - Name of the server, required to register. The workspace appends a hyphen and six characters.
      - The module cuts it at the first dot, and replaces characters other than letters, digits and C(_) with hyphens.
    type: str
  platform:
    description:
      - Platform of the server, required to register. It cannot be changed later. Use V(rhel) for SUSE too.
    type: str
    choices: [debian, rhel, darwin, windows]
  tags:
    description:
      - Tags of the new server. Values must be strings. The module may add one that begins with C(ansible:).
    type: dict
  machine:
    description:
      - Text that identifies the machine, such as its machine ID and inventory name. It must be unique.
      - With O(token), the module deletes older servers of the same machine whose agent has never connected.
    type: str
  replace_stale:
    description:
      - Register the server again if the workspace refuses O(id) and O(key).
    type: bool
    default: false
  replace:
    description:
      - When the server registers, delete the offline server with the same O(name), and give its IAM groups to the new
        server. Needs a O(token) that may change and delete servers. Does nothing if several servers have that name, or
        if one is connected.
      - Do not use this if two hosts have the same short name.
    type: bool
    default: false
  clean_up:
    description:
      - Use O(token) to find and delete servers that failed registrations left behind. Set V(false) if the token does
        not belong to O(url).
    type: bool
    default: true
  version:
    description:
      - With O(state=connected), version of the agent to wait for, such as V(2.5.0). By default, any version.
    type: str
  pinned:
    description:
      - With O(state=connected) and O(token), warn if the workspace upgrades agents automatically.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait for the agent, or while the workspace limits requests. Seconds, or a duration such as V(90s) or
        V(5m).
    type: str
    default: 2m
  token:
    description:
      - API token or service token. Optional, and needed only to find and delete other servers.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - With O(replace), RV(replaced) is the server that would be replaced.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=registered) is idempotent with the O(id) and O(key) that it returned before.
notes:
  - Set C(no_log) to V(true) on tasks that may register a server. Otherwise, Ansible shows RV(key).
  - If the response to a registration is lost, the module deletes the new server with O(token) and registers again, at
    most twice. Without O(token), the task fails.
  - If the workspace lists no tags, do not register two servers with the same short name at the same time.
  - Workspaces of 2024 have no registration by token, so O(state=registered) fails.
seealso:
  - module: herdops.alpacon.alpacon_registration_info
  - module: herdops.alpacon.alpacon_registration_token
  - name: Agent rollout
    description: The guide to the role that installs and registers agents.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/agent_rollout.html
"""

EXAMPLES = r"""
- name: Register a host
  herdops.alpacon.alpacon_registration:
    url: https://my-workspace.us1.alpacon.io
    registration_token: "{{ vault_registration_token }}"
    name: "{{ inventory_hostname_short }}"
    platform: debian
    machine: "{{ ansible_facts.machine_id }} {{ inventory_hostname }}"
    tags:
      env: prod
  register: registration
  no_log: true

- name: Register a reinstalled host
  herdops.alpacon.alpacon_registration:
    registration_token: "{{ vault_registration_token }}"
    name: "{{ inventory_hostname_short }}"
    platform: debian
    replace: true
  register: registration
  no_log: true

- name: Verify the credentials
  herdops.alpacon.alpacon_registration:
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"

- name: Wait for the agent
  herdops.alpacon.alpacon_registration:
    state: connected
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"
    wait_timeout: 3m

- name: Unregister a host
  herdops.alpacon.alpacon_registration:
    state: unregistered
    id: "{{ alpamon_id }}"
    key: "{{ alpamon_key }}"

- name: Delete servers of failed registrations
  herdops.alpacon.alpacon_registration:
    state: unregistered
    name: "{{ inventory_hostname_short }}"
    machine: "{{ ansible_facts.machine_id }} {{ inventory_hostname }}"
"""

RETURN = r"""
id:
  description: UUID of the server; null if there is none, or if check mode predicts a registration.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The secret key of a server that the task registered, which the workspace returns only once. Null if O(id) and
      O(key) are valid.
  returned: success of O(state=registered)
  type: str
  sample: null
name:
  description: Name of the server; null if it is unknown.
  returned: success
  type: str
  sample: web-01-1a2b3c
credentials:
  description:
    - V(valid), V(stale) if the workspace refuses them, or V(unreachable) if the workspace did not answer.
  returned: when O(id) and O(key) were verified, and when the server was registered
  type: str
  sample: valid
commissioned:
  description: Whether the agent has sent its first report; null if that is unknown.
  returned: when RV(credentials) is returned
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null if that is unknown.
  returned: when RV(credentials) is returned
  type: bool
  sample: true
connected:
  description: Whether the agent is connected and has the version in O(version); null if that is unknown.
  returned: with O(state=connected)
  type: bool
  sample: true
version:
  description: Version of the agent; null if it is unknown.
  returned: when RV(credentials) is returned
  type: str
  sample: 2.5.0
orphans:
  description:
    - With O(token), other servers with that name, older than an hour, whose agent has never connected. They may belong
      to another host.
    - After a failure, the servers that the task may have left behind.
  returned: with O(state=registered) and O(state=unregistered)
  type: list
  elements: dict
  sample:
    - {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-01-9f8e7d}
  contains:
    id:
      description: UUID of the server; null if it is unknown.
      type: str
    name:
      description: Name of the server; null if it is unknown.
      type: str
duplicates:
  description:
    - With O(token), other offline servers with that name whose agent was connected before. They may belong to another
      host. O(replace) deletes one.
  returned: with O(state=registered)
  type: list
  elements: dict
  sample: []
  contains:
    id:
      description: UUID of the server.
      type: str
    name:
      description: Name of the server.
      type: str
replaced:
  description: With O(replace), the server that was deleted or, in check mode, would be; null if there is none.
  returned: with O(state=registered)
  type: dict
  sample:
    id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8
    name: web-01-9f8e7d
    groups: [7bf38068-4fc5-41ee-b987-4cfd59fbd0e8]
  contains:
    id:
      description: UUID of the old server.
      type: str
    name:
      description: Name of the old server.
      type: str
    groups:
      description: UUIDs of its IAM groups, which the new server has as well.
      type: list
      elements: str
msg:
  description: Summary of the result.
  returned: always
  type: str
  sample: Registered as web-01-1a2b3c.
requests:
  description: Number of HTTP requests that the task made.
  returned: success
  type: int
  sample: 2
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC, run_registration


def main() -> None:
    run_module(SPEC, run_registration)


if __name__ == "__main__":
    main()
