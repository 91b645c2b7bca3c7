#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_server_action
short_description: Upgrade or restart the agents of servers in an Alpacon workspace
version_added: 1.0.0
description:
  - Upgrades or restarts the agents of one server or many through the workspace, without SSH, and waits until they are
    connected again.
  - An action is submitted at most once for each server. If the response to a submit is lost, the module searches for
    the command of the action, reads the state of the server, and never submits it again.
  - To reboot a server, use M(herdops.alpacon.alpacon_command).
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers. If omitted, the server whose UUID is in the host variable C(alpacon_server_id),
        or else the server that has the name of the inventory host.
      - Name all servers in one task with C(run_once), so that the module reads the state of a hundred servers in one
        request. The hosts of a play that run at the same time share their reads if it runs for each of them.
    type: list
    elements: str
    aliases: [server]
  action:
    description:
      - V(upgrade_agent) upgrades the agent to the newest version that the package repository of its server offers.
        The action has ended when the agent is connected again with another version, or has installed nothing.
      - The agent may still have to restart with the package of an earlier upgrade, which dnf and yum do not state. With
        O(version), the module waits seven minutes for that; without it, the action ends at once.
      - If the workspace pins a version, V(upgrade_agent) installs that one. An agent that does not prove healthy goes
        back to its old version by itself. The action therefore ends eight minutes after the upgrade, and fails if the
        agent does not have the new version by then. Meanwhile the module does not poll the server.
      - If another upgrade of the agent runs, V(upgrade_agent) waits for that one. An agent refuses an upgrade until a
        pinned one has completed, and its server fails.
      - V(restart_agent) restarts the agent. The action has ended when the agent is connected again after a new start.
      - When an agent restarts, including after an upgrade, most commands that run on its server fail, or get no result.
      - V(update_information) makes the agent report what it knows about its server, such as its system and its disks.
      - V(install_pam) installs the package alpamon-pam as root, with which the workspace verifies sudo. The action has
        ended when the package manager has. If the server has the newest version, nothing changes.
    type: str
    required: true
    choices: [upgrade_agent, restart_agent, update_information, install_pam]
  version:
    description:
      - With O(action=upgrade_agent), the version that agents must have at least, such as V(2.6.0). Agents that have it
        or a newer one are not touched. If an agent has an older one after the upgrade, its server fails.
      - A task cannot install a specific version. The workspace or the package repository decides which one is
        installed.
      - If omitted, each agent is asked to upgrade.
    type: str
  force:
    description:
      - Act also on servers on which a user works now. It cannot be used with O(action=install_pam).
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the actions have ended.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each server, as a number of seconds or a duration such as V(90s), V(10m) or V(1h30m).
        After that, the server fails.
      - A Linux package restarts its agent five minutes after an upgrade, and a pinned version is confirmed after eight.
        Give at least V(10m) for upgrades.
    type: str
    default: 15m
  max_concurrency:
    description:
      - On how many servers the action may run at the same time, as a number or a percentage of O(servers). If omitted,
        there is no limit.
    type: str
  max_errors:
    description:
      - How many failed servers to accept, as a number or a percentage of O(servers). If more fail, no further actions
        are submitted. If omitted, there is no limit.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Without O(version), and with O(action=install_pam), the module cannot know which servers have the newest
        version, so it predicts a change for each connected server.
  diff_mode:
    support: full
    details:
      - Shows the versions of the agents.
  idempotent:
    support: partial
    details:
      - O(action=upgrade_agent) and O(action=install_pam) are idempotent. The other actions always change the server.
notes:
  - A server that is offline fails, and nothing is submitted to it.
  - Agents ignore the arguments of their internal command C(restart). C(restart collector), submitted with
    M(herdops.alpacon.alpacon_command), also restarts the whole agent.
  - Workspaces of 2024 do not list the versions and start times of agents. There, each poll takes a request for each
    server.
  - Workspaces that have no actions, such as those of the published API, refuse them.
seealso:
  - module: herdops.alpacon.alpacon_command
  - module: herdops.alpacon.alpacon_server_info
"""

EXAMPLES = r"""
- name: Upgrade the agent of the inventory host
  herdops.alpacon.alpacon_server_action:
    url: https://my-workspace.us1.alpacon.io
    action: upgrade_agent
    version: 2.5.0

- name: Restart the agents of a group, ten at a time
  herdops.alpacon.alpacon_server_action:
    servers: "{{ groups['web'] }}"
    action: restart_agent
    max_concurrency: 10
    max_errors: 5%
    wait_timeout: 3m
  run_once: true

- name: Install alpamon-pam
  herdops.alpacon.alpacon_server_action:
    servers: "{{ groups['web'] }}"
    action: install_pam
  run_once: true

- name: Update what the workspace knows about a server
  herdops.alpacon.alpacon_server_action:
    server: web-01
    action: update_information
    wait: false
"""

RETURN = r"""
servers:
  description:
    - The servers, in the order of O(servers).
    - With a single server, its keys are at the top level as well.
  returned: unless the task failed before anything was sent
  type: list
  elements: dict
  contains:
    id:
      description: UUID of the server.
      type: str
    name:
      description: Name of the server.
      type: str
    outcome:
      description:
        - V(success); V(pending) with O(wait=false); V(offline), V(refused) or V(not_tried) if nothing was submitted;
          V(failed); V(timed_out); V(unknown) if the response to the submit was lost; or what a reviewer decided, as in
          M(herdops.alpacon.alpacon_command). Null in check mode.
      type: str
    msg:
      description: Explanation of the outcome.
      type: str
    version_before:
      description: Version of the agent before the action; null if the workspace does not state it.
      type: str
    version:
      description: Version of the agent as last read.
      type: str
    started_at:
      description: Start of the agent as last read.
      type: str
    command_id:
      description: UUID of the command that carries out the action; null if there is none.
      type: str
    changed:
      description: Whether the action changed the server, or may have.
      type: bool
  sample:
    - id: 7a50ea6c-2138-4d3f-9633-e50694c847c4
      name: web-01
      outcome: success
      msg: Upgraded from 2.4.1 to 2.5.0.
      version_before: 2.4.1
      version: 2.5.0
      started_at: "2031-01-01T03:05:12.000000Z"
      command_id: 550e8400-e29b-41d4-a716-446655440000
      changed: true
summary:
  description: Number of servers with each outcome.
  returned: unless the task failed before anything was sent
  type: dict
  sample:
    success: 98
    timed_out: 2
servers_left:
  description:
    - IDs of the servers whose action failed or never ran, for the option O(servers) of another task.
    - Servers whose action may still run are in RV(servers_unknown) instead. Those whose action a reviewer or a policy
      declined are in neither list.
  returned: unless the task failed before anything was sent
  type: list
  elements: str
  sample: [550e8400-e29b-41d4-a716-446655440000]
servers_unknown:
  description:
    - IDs of the servers whose action may still run. Its outcome is V(unknown), V(timed_out), V(stuck), V(error) or
      V(awaiting_approval).
    - Read the server before you repeat it.
  returned: unless the task failed before anything was sent
  type: list
  elements: str
  sample: []
requests:
  description: How many HTTP requests the task made.
  returned: unless the task failed before anything was sent
  type: int
  sample: 5
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_action import SPEC, run_server_action


def main() -> None:
    run_module(SPEC, run_server_action)


if __name__ == "__main__":
    main()
