# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: by_output
short_description: Group commands with the same result
version_added: 1.0.0
description:
  - Groups commands that have the same outcome, exit code, stdout and stderr.
  - Use it to find the few servers of a large fleet that answer differently.
author:
  - herdops.alpacon contributors (@herdops)
positional: _input
options:
  _input:
    description: The list C(commands) of a result of M(herdops.alpacon.alpacon_command).
    type: list
    elements: dict
    required: true
seealso:
  - module: herdops.alpacon.alpacon_command
"""

EXAMPLES = r"""
- name: Read the kernel version of all servers
  herdops.alpacon.alpacon_command:
    servers: "{{ groups.all }}"
    line: uname -r
  register: kernel
  run_once: true

- name: Show each version with the number of servers
  ansible.builtin.debug:
    msg: "{{ item.count }} x {{ item.stdout or item.outcome }}"
  loop: "{{ kernel.commands | herdops.alpacon.by_output }}"
  loop_control:
    label: "{{ item.servers | first }}"
  run_once: true

- name: Name the servers whose version is not the most common one
  ansible.builtin.debug:
    msg: "{{ (kernel.commands | herdops.alpacon.by_output)[1:] | map(attribute='servers') | flatten }}"
  run_once: true

- name: Run a command in a task of each host
  herdops.alpacon.alpacon_command: uptime
  register: uptime

- name: Group the results of all hosts
  ansible.builtin.debug:
    msg: "{{ results | map(attribute='commands') | flatten | herdops.alpacon.by_output }}"
  vars:
    results: "{{ ansible_play_hosts | map('extract', hostvars, 'uptime') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The groups, the largest first.
  type: list
  elements: dict
  contains:
    count:
      description: The number of commands.
      type: int
      sample: 1958
    servers:
      description: The names of their servers, or the UUID of a server without a name.
      type: list
      elements: str
      sample: [web-01, web-02]
    outcome:
      description: How the commands ended, as in the result of M(herdops.alpacon.alpacon_command). Null in check mode.
      type: str
      sample: success
    rc:
      description: The exit code. Null if there is none.
      type: int
      sample: 0
    stdout:
      description: What the commands wrote to standard output.
      type: str
      sample: 5.15.0-91-generic
    stderr:
      description: What the commands wrote to standard error.
      type: str
      sample: ""
    msg:
      description: The message of the first command. Those of the others may differ.
      type: str
      sample: Succeeded.
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._fold import group_commands


def by_output(commands: Any) -> list[dict[str, Any]]:
    try:
        return group_commands(commands)
    except AlpaconError as error:
        raise AnsibleFilterError(f"by_output: {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"by_output": by_output}
