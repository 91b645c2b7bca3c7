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
  - The module sends requests to the workspace only. The role P(herdops.alpacon.alpamon#role) installs the agent and
    writes its credentials to the host.
  - Each registration creates a new record. So the module registers a server only without O(id) and O(key), or if the
    workspace refuses them. It does not register if the workspace cannot be reached.
author:
  - herdops.alpacon contributors (@herdops)
options:
  state:
    description:
      - V(registered) verifies O(id) and O(key) if they are given, and otherwise registers the server.
      - V(connected) waits until the agent is commissioned and connected. After O(wait_timeout), the task fails, and
        RV(connected) is V(false), or null if the state is unknown.
      - V(unregistered) deletes the record. With O(name), O(machine) and O(token) instead of O(id), it deletes all
        records of the machine whose agent has never connected.
    type: str
    default: registered
    choices: [registered, connected, unregistered]
  id:
    description:
      - UUID of the server, from an earlier registration.
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
      - With O(token) and without O(machine), the module adds the tag C(ansible:registration) with a random value. It
        finds the record by that tag if the response to the registration is lost.
    type: dict
  machine:
    description:
      - Text that identifies the machine, such as its machine id together with its name in the inventory. Two machines
        must not have the same text.
      - The module adds a digest of the text as the tag C(ansible:machine). With O(token), it deletes other records with
        that tag whose agent has never connected, since their keys are lost.
    type: str
  replace_stale:
    description:
      - Whether to register the server again if the workspace refuses O(id) and O(key).
    type: bool
    default: false
  replace:
    description:
      - Whether to replace the old record of a reinstalled host. The new record gets the IAM groups of the old one in
        addition to its own, then the module deletes the old one. O(token) is required, and must be allowed to change
        and delete servers.
      - The old record is the only offline record with the same O(name) whose agent was connected before. If there are
        several, or if an agent with that name is connected, the module warns and replaces nothing. Do not use this
        option if two hosts have the same short name.
    type: bool
    default: false
  clean_up:
    description:
      - Whether to use O(token) to find and delete records that are left behind. With V(false), the token is not sent.
        Use V(false) if the token does not belong to O(url).
    type: bool
    default: true
  version:
    description:
      - With O(state=connected), the version of the agent to wait for, such as V(2.5.0). By default, any version. The
        option has no effect if the workspace states no version.
    type: str
  pinned:
    description:
      - With O(state=connected) and O(token), whether to warn once in a run if the workspace upgrades agents to the
        latest version by itself. The setting of older workspaces is unknown.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait for the connection with O(state=connected), and with any state if the request budget is used
        up. A number of seconds or a duration such as V(90s) or V(5m).
    type: str
    default: 2m
  token:
    description:
      - API token or service token. It is optional. The notes say where the module reads it from.
      - With the token, O(state=registered) deletes records whose key is lost, and returns RV(orphans).
        O(state=unregistered) also deletes a record whose O(key) is invalid or missing.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - With O(replace), RV(replaced) is the record that would be replaced.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=registered) is idempotent with the O(id) and O(key) that it returned before.
notes:
  - Workspaces of 2024 have no registration by token, so O(state=registered) fails.
  - Set C(no_log) to V(true) on tasks that may register a server. Otherwise, Ansible shows RV(key) with the result.
  - If the response to a registration is lost, the task fails and names the record that may be left behind. With
    O(token), it finds and deletes the record, and registers again, at most twice.
  - If the workspace lists no tags, the module finds that record by its name and age. Then do not register two servers
    with the same short name at the same time.
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
  description: UUID of the server; null if check mode predicts a registration, or without O(id) to unregister.
  returned: success
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
key:
  description:
    - The key of a server that the task registered. It is a secret, and the workspace returns it only once.
    - Null if O(id) and O(key) are valid.
  returned: success of O(state=registered)
  type: str
  sample: null
name:
  description: Name of the record; null if it is unknown.
  returned: success
  type: str
  sample: web-1a2b3c
credentials:
  description:
    - V(valid), V(stale) if the workspace refuses them, or V(unreachable) if they could not be verified.
  returned: when O(id) and O(key) were verified, and when the server was registered
  type: str
  sample: valid
commissioned:
  description: Whether the agent has sent its first report; null if that is unknown.
  returned: when RV(credentials) is
  type: bool
  sample: true
is_connected:
  description: Whether the agent is connected; null if that is unknown.
  returned: when RV(credentials) is
  type: bool
  sample: true
connected:
  description:
    - Whether the agent is commissioned, connected and on O(version). Null if the credentials could not be verified, or
      if agents did not have the time to reconnect after an outage of the workspace.
  returned: with O(state=connected)
  type: bool
  sample: true
version:
  description: Version of the agent; null if it is unknown.
  returned: when RV(credentials) is
  type: str
  sample: 2.5.0
orphans:
  description:
    - With O(state=registered) and O(token), other records with that name that are older than an hour and whose agents
      have never connected. They may belong to another host, so the module does not delete them. Records with the tag
      of another O(machine) are not listed.
    - If the task failed, the known records that it may have left behind.
  returned: with O(state=registered) and O(state=unregistered)
  type: list
  elements: dict
  sample:
    - {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-9f8e7d}
  contains:
    id:
      description: UUID of the record; null if it is unknown.
      type: str
    name:
      description: Name of the record; null if it is unknown.
      type: str
duplicates:
  description:
    - With O(token), other offline records with that name whose agents were connected before. They may belong to another
      host, or to this one before it was reinstalled, so the module does not delete them. See O(replace).
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
    - With O(replace), the old record that the module deleted or, in check mode, would delete. Null if there is none;
      RV(duplicates) lists the others.
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
