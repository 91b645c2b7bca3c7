# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Event source of ansible-rulebook: commands that end, and servers that connect or disconnect."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

DOCUMENTATION = r"""
short_description: Commands that end and servers that connect or disconnect in an Alpacon workspace
version_added: 1.0.0
description:
  - Polls a workspace and yields an event for each command that ends, whoever submitted it, and for each server that
    connects or disconnects. Each event comes once, and only for what happens after the source has started.
  - After a temporary error, such as an outage of the workspace, the next poll finds what was missed. The source ends
    only if the workspace refuses the token, or refuses the first poll.
  - A poll takes one request per hundred commands of the last two minutes, one per hundred older commands that have not
    ended, and one per hundred servers that are offline. Workspaces before version 2.37 list all servers in each poll.
    Up to 50 further requests read older commands that no list shows, and up to 50 read exit codes that no list shows;
    for further commands, C(rc_assumed) is true. If O(requests_per_hour) does not suffice for a poll each O(interval),
    the source polls less often.
  - Texts of events are data. Control characters are escaped, and what begins a template gets a space, as in C({ {) and
    C(# jinja2:), since Ansible would run it.
  - A server that disconnects and connects again between two polls makes no event, and neither does a command that is
    deleted before it ends. The end of a scheduled command that is cancelled may be noticed half an hour late. A command
    with the status C(stuck) and an C(error_phase) counts as ended.
  - In workspaces of 2024, the first poll reads the newest 20,000 commands, and ends of older ones may be missed.
  - Workspaces of 2024 refuse a token in the same way while their database is down, so a token that is revoked later
    does not end the source. It logs the error.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-rulebook
  - ansible-core 2.16 or newer and the Python library C(requests), in the same Python as ansible-rulebook
options:
  url:
    description: URL of the workspace. If omitted, E(ALPACON_URL).
    type: str
  token:
    description:
      - API token or service token. If omitted, E(ALPACON_TOKEN). If E(ALPACON_URL) is set, that token is sent to its
        workspace only.
    type: str
  validate_certs:
    description: Whether to verify TLS certificates. If omitted, E(ALPACON_VALIDATE_CERTS).
    type: bool
    default: true
  ca_path:
    description: File or directory with the CA certificates to trust, in PEM format. If omitted, E(ALPACON_CA_PATH).
    type: path
  request_timeout:
    description: Seconds to wait for the next data of a response. If omitted, E(ALPACON_REQUEST_TIMEOUT).
    type: int
    default: 30
  requests_per_hour:
    description: Most requests that this source makes in an hour, after its first poll, unless a single poll needs more.
    type: int
    default: 300
  declared_agent_name:
    description:
      - Who asks, as each request declares it. If omitted, E(ALPACON_DECLARED_AGENT_NAME), or C(herdops.alpacon) with
        its version.
    type: str
  interval:
    description: Seconds between two polls, at least 5.
    type: int
    default: 30
  commands:
    description: Whether to yield events of commands.
    type: bool
    default: true
  servers:
    description: Whether to yield events of servers.
    type: bool
    default: true
notes:
  - C(event.alpacon.type) is V(command_ended), V(server_connected) or V(server_disconnected).
  - C(event.alpacon.command) has the keys of RV(herdops.alpacon.alpacon_command_info#module:commands). C(stdout) and
    C(stderr) are the last 4,000 characters each. If C(output_complete) is false, read the whole output with
    M(herdops.alpacon.alpacon_command_info).
  - C(event.alpacon.server) has the keys of RV(herdops.alpacon.alpacon_server_info#module:servers), without groups.
"""

EXAMPLES = r"""
# rulebook.yml, for: ansible-rulebook --rulebook rulebook.yml --inventory inventory.yml
- name: Open a ticket when a server goes offline
  hosts: all
  sources:
    - name: Watch the workspace of ALPACON_URL
      herdops.alpacon.alpacon_commands:
        interval: 30
        commands: false
  rules:
    - name: A server went offline
      condition: event.alpacon.type == "server_disconnected"
      action:
        run_playbook:
          name: open_ticket.yml

---
# open_ticket.yml
- name: Open a ticket
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Post the ticket
      ansible.builtin.uri:
        url: https://tickets.example.com/
        method: POST
        body_format: json
        body:
          title: "{{ ansible_eda.event.alpacon.server.name }} is offline"
        status_code: 201
"""


async def main(queue: asyncio.Queue[Any], args: dict[str, Any]) -> None:
    """Put the events into the queue. ansible-rulebook calls this with the arguments of the source."""
    # It loads this file alone, without Ansible's loader of collections.
    root = str(Path(__file__).absolute().parents[7])
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        from ansible_collections.herdops.alpacon.plugins.plugin_utils._event_source import watch_workspace
    except ModuleNotFoundError as error:
        if error.name != "ansible":
            raise
        remedy = f"Install it in the Python of ansible-rulebook: {sys.executable} -m pip install ansible-core"
        raise ModuleNotFoundError(f"ansible-core is missing. {remedy}") from None
    await watch_workspace(queue, args)
