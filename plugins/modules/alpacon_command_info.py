#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_command_info
short_description: List commands of an Alpacon workspace
version_added: 1.0.0
description:
  - Lists commands by id or by filters, with their exit codes and outputs. Without filters, it lists the latest 100.
  - The module itself applies the filters O(status), O(success), O(line) and O(until), so they save no requests.
author:
  - herdops.alpacon contributors (@herdops)
options:
  ids:
    description:
      - UUIDs of commands, instead of filters. A command that cannot be read is left out with a warning. The task fails
        if none can be read.
    type: list
    elements: str
    aliases: [id]
  server:
    description: Name or UUID of the server.
    type: str
  shell:
    description: What runs the line, V(system), V(internal) or V(osquery); V(file) for verified files.
    type: str
  requested_by:
    description: Id of the user who requested the command, as in RV(commands[].requested_by).
    type: str
  requested_by_isnull:
    description: Whether the command has no requester, as with a service token.
    type: bool
  is_scheduled:
    description: Whether the command is scheduled for a time in the future.
    type: bool
  search:
    description: Text that the name of the server, the line or the name of the requester contains.
    type: str
  ordering:
    description:
      - The time to sort the commands by. With a minus, the latest comes first. If omitted, commands are in the order of
        O(ids), or else sorted by V(-added_at).
      - Commands with the same time come in any order. Commands of one task often have the same C(scheduled_at).
    type: str
    choices:
      - -added_at
      - added_at
      - -scheduled_at
      - scheduled_at
      - -delivered_at
      - delivered_at
      - -acked_at
      - acked_at
      - -handled_at
      - handled_at
  limit:
    description: The maximum number of commands; V(0) for all. If omitted, V(100), or all of O(ids).
    type: int
  status:
    description: One or more of the values of RV(commands[].status).
    type: list
    elements: str
  success:
    description: Whether the command succeeded. Commands that never ran do not match.
    type: bool
  line:
    description: The exact command line. Blanks at both ends are ignored.
    type: str
    aliases: [cmd]
  since:
    description:
      - Only commands that were added at this time or later. Give it as ISO 8601 with a time zone, or as a duration
        before now, such as V(2h). It saves requests if O(ordering) is V(-added_at).
    type: str
  until:
    description:
      - Only commands that were added at this time or earlier, written like O(since).
    type: str
  with_output:
    description:
      - Whether to return outputs. Each output that the workspace keeps in parts costs a request.
    type: bool
    default: true
  output_limit:
    description: How many characters to return from the end of each output. If omitted, all of it.
    type: int
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - It only reads. In check mode, null elements of O(ids) are ignored, since predicted commands have no id.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: herdops.alpacon.alpacon_command
  - plugin: herdops.alpacon.alpacon_command
    plugin_type: lookup
  - name: Run commands
    description: Guide with examples, and what to do about each outcome.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/run_commands.html
"""

EXAMPLES = r"""
- name: List today's failures
  herdops.alpacon.alpacon_command_info:
    server: web-01
    success: false
    since: 24h
  register: failures

- name: Show the failed lines
  ansible.builtin.debug:
    msg: "{{ failures.commands | map(attribute='line') }}"

- name: List scheduled commands
  herdops.alpacon.alpacon_command_info:
    is_scheduled: true
    status: scheduled
    ordering: scheduled_at
    with_output: false

- name: Read one command
  herdops.alpacon.alpacon_command_info:
    id: 550e8400-e29b-41d4-a716-446655440000

- name: Wait until nothing runs
  herdops.alpacon.alpacon_command_info:
    server: web-01
    status: [delivered, running]
    since: 1h
    with_output: false
  register: busy
  until: busy.commands | length == 0
  retries: 10
  delay: 30
"""

RETURN = r"""
commands:
  description:
    - The commands. They have the keys of M(herdops.alpacon.alpacon_command), except for C(changed), C(error) and
      C(msg), and these.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 550e8400-e29b-41d4-a716-446655440000
      server: {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-01}
      line: df -h /
      shell: system
      username: ubuntu
      groupname: alpacon
      requested_by: {id: "1", name: admin}
      status: success
      outcome: success
      cancellable: false
      rc: 0
      stdout: "/dev/xvda1  20G  8.5G  11G  46% /"
      stdout_lines: ["/dev/xvda1  20G  8.5G  11G  46% /"]
      stderr: ""
      stderr_lines: []
      output_complete: true
      start: "2026-11-24T10:30:44.125000Z"
      end: "2026-11-24T10:30:44.148000Z"
      delta: "0:00:00.023000"
      success: true
      ran: true
      error_phase: null
      added_at: "2026-11-24T10:30:44Z"
      scheduled_at: "2026-11-24T10:30:44Z"
      delivered_at: "2026-11-24T10:30:44.010000Z"
      acked_at: "2026-11-24T10:30:44.125000Z"
      handled_at: "2026-11-24T10:30:44.148000Z"
      run_after: []
  contains:
    status:
      description:
        - The state of the command in the workspace.
        - V(scheduled) and V(queued) wait for their time or their server.
        - V(verifying), V(awaiting_purpose) and V(awaiting_approval) are held by the workspace.
        - V(delivered) and V(running) have reached the server.
        - V(success) and V(failed) ran, unless C(ran) is null or false.
        - V(denied), V(rejected), V(expired) and V(cancelled) never ran and never will.
        - V(stuck) and V(error) have no result and may have run.
        - Other words come from newer workspaces.
      type: str
    shell:
      description: Handler of the line.
      type: str
    username:
      description: System user; null if not known.
      type: str
    groupname:
      description: System group; null if not known.
      type: str
    requested_by:
      description: Id and name of the requester; null for a service token.
      type: dict
    cancellable:
      description: Whether the command can be cancelled.
      type: bool
    added_at:
      description: When it was submitted.
      type: str
    scheduled_at:
      description: When it is to run; null if not known.
      type: str
    delivered_at:
      description: When it was sent to the server; null if not known.
      type: str
    acked_at:
      description: When the server started it; null if not known.
      type: str
    handled_at:
      description: When it ended; null if not known.
      type: str
    run_after:
      description: UUIDs of the commands that must succeed first.
      type: list
      elements: str
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import RULES, SPEC, run_info


def main() -> None:
    run_module(SPEC, run_info, **RULES)


if __name__ == "__main__":
    main()
