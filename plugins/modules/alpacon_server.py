#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_server
short_description: Change servers in an Alpacon workspace, and mute their alerts
version_added: 1.0.0
description:
  - Turns the alerts of servers that go offline off and on, such as for a planned reboot.
  - Changes the names, the descriptions and the IAM groups of servers.
  - Only the workspace is changed. Nothing runs on the servers, and they may be offline.
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers. If omitted, the server whose UUID is in the host variable C(alpacon_server_id),
        or else the server that has the name of the inventory host.
      - Name all servers in one task with C(run_once), so that the module reads the state of a hundred servers in one
        request.
    type: list
    elements: str
    aliases: [server]
  offline_alert:
    description:
      - Whether the workspace sends an alert when the server goes offline.
    type: bool
  name:
    description:
      - New name of the server, of 1 to 64 letters, digits, hyphens and underscores. Only for one server.
      - Give the UUID in O(servers), or use the inventory plugin, which knows it. A second run finds no server by its
        old name.
    type: str
  description:
    description:
      - Description of the server, of at most 255 characters. Blanks at its ends are removed. An empty text removes it.
    type: str
  groups:
    description:
      - Names or UUIDs of the IAM groups that have access to the server. The server leaves all others.
      - The module cannot remove the server from all groups.
    type: list
    elements: str
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
    support: full
notes:
  - A change takes a request for each server, besides those that read the servers.
  - The token must be allowed to change servers. A user's token can only change those that the user owns, unless the
    user is an administrator.
  - If the response to a change is lost, the module reads the server. If it does not have the values, the module sends
    them once more.
  - If the workspace refuses to change a server, the task changes the others, and fails. After any other error, it does
    not try the others.
  - Older workspaces state neither O(offline_alert) nor O(description) of their servers. There, the task fails, and
    nothing is changed.
  - The tags of a server cannot be changed.
seealso:
  - module: herdops.alpacon.alpacon_server_info
  - module: herdops.alpacon.alpacon_server_action
  - name: Planned work
    description: The guide on muting alerts, reboots in waves and automatic upgrades.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/planned_work.html
"""

EXAMPLES = r"""
- name: Mute the alert of the inventory host
  herdops.alpacon.alpacon_server:
    url: https://my-workspace.us1.alpacon.io
    offline_alert: false

- name: Turn the alerts of a group on
  herdops.alpacon.alpacon_server:
    servers: "{{ groups['web'] }}"
    offline_alert: true
  run_once: true

- name: Rename and describe a server
  herdops.alpacon.alpacon_server:
    server: 7a50ea6c-2138-4d3f-9633-e50694c847c4
    name: shop-01
    description: Shop, first of two
    groups: [Operations]
"""

RETURN = r"""
servers:
  description:
    - The servers, in the order of O(servers).
    - With a single server, its keys are at the top level as well.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: UUID of the server.
      type: str
    name:
      description: Name of the server after the change. This key, and those of the other options, are null if the
        workspace does not state them.
      type: str
    description:
      description: Description of the server after the change.
      type: str
    offline_alert:
      description: Whether the workspace sends an alert when the server goes offline, after the change.
      type: bool
    groups:
      description: UUIDs of the IAM groups of the server after the change.
      type: list
      elements: str
    changed:
      description: Whether the server was changed, or may have been. In check mode, whether it would be.
      type: bool
    failed:
      description: Whether the change failed, or was not tried after another server had failed.
      type: bool
    msg:
      description: What was changed, or why not.
      type: str
  sample:
    - id: 7a50ea6c-2138-4d3f-9633-e50694c847c4
      name: web-01
      description: Shop, first of two
      offline_alert: false
      groups: [2e884487-c348-412a-9a5b-a9c1f548ddb5]
      changed: true
      failed: false
      msg: "Changed: offline_alert."
requests:
  description: How many HTTP requests the task made.
  returned: unless the task failed before anything was sent
  type: int
  sample: 2
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server import RULES, SPEC, run_server


def main() -> None:
    run_module(SPEC, run_server, **RULES)


if __name__ == "__main__":
    main()
