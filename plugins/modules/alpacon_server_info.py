#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_server_info
short_description: List servers of an Alpacon workspace
version_added: 1.0.0
description:
  - Lists servers by name, UUID or filters, with their operating system, agent, groups, tags and times.
  - Sends one request for each hundred servers that the workspace lists, and one for the names of IAM groups if needed.
  - With O(gather), also reads what the agents last reported about their hosts, without a command. Servers may be
    offline.
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of servers. If omitted, all servers. With O(filters), a server must match both.
      - A server that does not exist causes a warning.
    type: list
    elements: str
    aliases: [server]
  limit:
    description:
      - The maximum number of servers to return; V(0) for all.
    type: int
    default: 0
  gather:
    description:
      - Kinds of data to return for each server, as RV(servers[].gathered).
      - V(metrics) are the latest values of processor, memory, disks and network, of workspaces of version 2.37 and
        newer. Workspaces of 2024 have no V(addresses), V(disks), V(partitions) and V(metrics). The published API
        describes none of them.
      - Without O(servers), O(filters) and O(limit), the list of servers is not read. The result then has all servers
        with such data, each with RV(servers[].id), RV(servers[].name) and RV(servers[].gathered) only, unless the
        workspace does not state the names with the data. Each kind takes one request for each hundred of its rows.
        V(info), V(os), V(time) and V(metrics) have one row for each server, so those of 10,000 servers take about 115
        requests. The others have many.
      - Up to 10 selected servers take one request each for each kind. For more, the module chooses the way that takes
        fewer requests. Workspaces of 2024 allow at most 10.
    type: list
    elements: str
    choices: [info, os, time, users, groups, interfaces, addresses, disks, partitions, metrics]
extends_documentation_fragment:
  - herdops.alpacon.server_filters
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module only reads.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - plugin: herdops.alpacon.alpacon
    plugin_type: inventory
  - module: herdops.alpacon.alpacon_command
"""

EXAMPLES = r"""
- name: List all servers
  herdops.alpacon.alpacon_server_info:
  register: fleet

- name: Count the offline servers
  ansible.builtin.debug:
    msg: "{{ fleet.servers | rejectattr('is_connected') | length }} of {{ fleet.servers | length }} are offline."

- name: Read one server
  herdops.alpacon.alpacon_server_info:
    server: web-01

- name: Find old agents
  ansible.builtin.debug:
    msg: "{{ reported | selectattr('version', 'version', '2.5.0', '<') | map(attribute='name') }}"
  vars:
    # The version is null until the first report.
    reported: "{{ fleet.servers | selectattr('version') }}"

- name: List connected Debian servers
  herdops.alpacon.alpacon_server_info:
    filters:
      connected: true
      os: debian
      groups: Operations
  register: debian

- name: Run a command on them
  herdops.alpacon.alpacon_command:
    servers: "{{ debian.servers | map(attribute='id') }}"
    line: cat /etc/debian_version
  when: debian.servers | length > 0

- name: Read the latest metrics of all servers, including those that are offline
  herdops.alpacon.alpacon_server_info:
    gather: metrics
  register: measured

- name: Name the servers with a disk over 90 %
  ansible.builtin.debug:
    msg: "{{ full | map(attribute='name') | join(', ') | default('none', true) }}"
  vars:
    # The value is null if the workspace has none.
    known: "{{ measured.servers | rejectattr('gathered.metrics.disk-usage.value', 'none') }}"
    full: "{{ known | selectattr('gathered.metrics.disk-usage.value', 'gt', 90) }}"

- name: Read the accounts and the operating system of one server
  herdops.alpacon.alpacon_server_info:
    server: web-01
    gather: [users, os]
"""

RETURN = r"""
servers:
  description:
    - The servers, ordered by name. A field that the workspace does not list is missing, and most are null until the
      first report of the agent.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8
      name: web-01
      description: ""
      remote_ip: 192.0.2.17
      is_connected: true
      commissioned: true
      starred: false
      status: {code: ok, icon: check_circle, text: Good, color: success, messages: [Server is okay.], meta: {}}
      os_name: Debian
      os_version: "13"
      platform: debian
      version: 2.5.0
      osquery_version: null
      cpu_physical_cores: 2
      cpu_logical_cores: 4
      cpu_type: x86_64
      physical_memory: 8589934592
      load: 0.1
      uptime: 86400.5
      boot_time: "2026-11-23T10:30:44Z"
      last_connectivity: "2026-11-24T10:30:44Z"
      started_at: "2026-11-23T10:31:02Z"
      added_at: "2026-03-02T08:00:00Z"
      updated_at: "2026-11-24T10:30:44Z"
      owner: {id: 9e2e4c06-8052-4d6b-92b7-9204081e4126, name: Bob Builder, email: bob@example.com}
      groups: [{id: a7282bea-31d7-4b55-a43e-97e1240c90ab, name: Operations}]
      is_root: true
      offline_alert_enabled: true
      tags: {role: web}
      gathered:
        os: {name: Debian, version: "13", platform: debian, added_at: "2026-11-24T10:30:44Z"}
        users: [{uid: 0, gid: 0, username: root, directory: /root, shell: /bin/bash}]
        metrics: {disk-usage: {value: 41.5, unit: percent, sampled_at: "2026-11-24T10:30:00Z", device: /dev/sda1}}
  contains:
    id:
      description: UUID.
      type: str
    name:
      description: Name in the workspace.
      type: str
    description:
      description: Description of the server.
      type: str
    remote_ip:
      description: Address that the agent connects from; not an address for SSH.
      type: str
    is_connected:
      description: Whether the agent is connected.
      type: bool
    commissioned:
      description: Whether the agent has sent its first report.
      type: bool
    starred:
      description: Whether the user of the token starred it.
      type: bool
    status:
      description: Status, as the workspace states it.
      type: raw
    os_name:
      description: Name of the operating system.
      type: str
    os_version:
      description: Version of the operating system.
      type: str
    platform:
      description: Family of the operating system, such as V(debian) or V(rhel).
      type: str
    version:
      description: Version of the agent.
      type: str
    osquery_version:
      description: Version of osquery.
      type: str
    cpu_physical_cores:
      description: Number of physical cores.
      type: int
    cpu_logical_cores:
      description: Number of logical cores.
      type: int
    cpu_type:
      description: Type of the processor.
      type: str
    physical_memory:
      description: Memory in bytes.
      type: int
    load:
      description: Load in the last report.
      type: float
    uptime:
      description: Uptime, as the workspace states it.
      type: raw
    boot_time:
      description: Time of the last boot.
      type: str
    last_connectivity:
      description: Time of the last data from the agent.
      type: str
    started_at:
      description: Time when the agent started.
      type: str
    added_at:
      description: Time when the server was added to the workspace.
      type: str
    updated_at:
      description: Time of the last change of its record.
      type: str
    owner:
      description: Id, name and email of the owner; null without one.
      type: dict
    groups:
      description: Id and name of each IAM group of the server.
      type: list
      elements: dict
    is_root:
      description: Whether the agent runs as root.
      type: bool
    offline_alert_enabled:
      description: Whether the workspace sends an alert when the server goes offline.
      type: bool
    tags:
      description: Tags with their values.
      type: dict
    gathered:
      description:
        - The data of each kind of O(gather). V(info), V(os), V(time) and V(metrics) are a dictionary, or null without
          data. The others are lists, by name. The keys and values are those of the workspace.
        - V(metrics) has C(cpu), C(memory), C(disk-usage), C(disk-io) and C(net). Each is a dictionary with the keys
          C(value), C(unit) (V(percent) or V(bytes_per_sec)), C(sampled_at), C(device), C(collected), C(reason) and
          C(interval_s). C(value) is null without a sample, and may be old if the server is offline.
        - Data of more than 100,000 characters is null, and a warning says so.
        - The data comes from the hosts. It never becomes facts of Ansible.
      returned: with O(gather)
      type: dict
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import SPEC, run_server_info


def main() -> None:
    run_module(SPEC, run_server_info)


if __name__ == "__main__":
    main()
