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
  - Lists commands by id or by filters, over all pages, with their exit codes and outputs.
  - The workspace filters by O(server), O(shell), O(requested_by), O(requested_by_isnull), O(is_scheduled) and
    O(search). This module filters by the others, and checks every command against all of them, since workspaces
    silently ignore filters that they do not know.
author:
  - herdops.alpacon contributors (@herdops)
options:
  ids:
    description:
      - UUIDs of commands, instead of filters. One that does not exist or cannot be read is left out, and a warning
        names it. The task fails if none can be read.
    type: list
    elements: str
    aliases: [id]
  server:
    description: Name or UUID of the server.
    type: str
  shell:
    description: The handler of the line, such as V(system).
    type: str
  requested_by:
    description: Id of the user who requested the command, a number or a UUID, depending on the workspace.
    type: str
  requested_by_isnull:
    description: Whether the command has no requester, like those of service tokens.
    type: bool
  is_scheduled:
    description: V(true) for commands that are scheduled for a time in the future, V(false) for the others.
    type: bool
  search:
    description: Words in the name of the server, the line or the name of the requester.
    type: str
  ordering:
    description:
      - The time to order the commands by; with a minus, the latest first. A warning says if the workspace ignores it.
      - If omitted, the commands come in the order of O(ids), or else by V(-added_at).
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
    description: How many commands to return at most; V(0) for all. If omitted, all of O(ids), or else V(100).
    type: int
  status:
    description: One or more of the values of RV(commands[].status).
    type: list
    elements: str
  success:
    description: Whether the command succeeded; only commands that ran match, or may have run.
    type: bool
  line:
    description: The exact command line, except for blanks at its ends.
    type: str
    aliases: [cmd]
  since:
    description:
      - Only commands that were added at this time or later, as ISO 8601 with a time zone, or as a duration before now
        by the clock of the workspace, such as V(2h). With O(ordering=-added_at), reading stops there.
    type: str
  until:
    description:
      - Only commands that were added at this time or earlier, in the form of O(since).
    type: str
  with_output:
    description:
      - Whether to return outputs. An output that is kept in chunks costs a request of its own.
      - If an output cannot be read, a warning says so, and C(output_complete) of that command is V(false).
    type: bool
    default: true
  output_limit:
    description: How many characters of the end of each output to return. If omitted, all of it.
    type: int
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - It only reads. In check mode, null elements of O(ids) are left out, since a predicted command has no id.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: herdops.alpacon.alpacon_command
  - plugin: herdops.alpacon.alpacon_command
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: List what failed on a server today
  herdops.alpacon.alpacon_command_info:
    server: web-01
    success: false
    since: 24h
  register: failures

- name: Show the lines
  ansible.builtin.debug:
    msg: "{{ failures.commands | map(attribute='line') }}"

- name: List what is scheduled, without outputs
  herdops.alpacon.alpacon_command_info:
    is_scheduled: true
    ordering: scheduled_at
    with_output: false

- name: Read one command
  herdops.alpacon.alpacon_command_info:
    id: 550e8400-e29b-41d4-a716-446655440000

- name: Wait, with Ansible's own means, until nothing runs on a server
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
    - The commands, in the requested order. They have the keys that M(herdops.alpacon.alpacon_command) returns, except
      for C(changed), C(error) and C(msg), and these.
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
        - The state of the command in the workspace. V(scheduled) and V(queued) wait for their time or their server.
        - V(verifying), V(awaiting_purpose) and V(awaiting_approval) are held by the workspace.
        - V(delivered) and V(running) are at the server.
        - V(success) ran, and so did V(failed), unless C(ran) is null.
        - V(denied), V(rejected), V(expired) and V(cancelled) never ran and never will.
        - V(stuck) and V(error) have no result.
        - A word of a newer workspace is returned as it is.
      type: str
    shell:
      description: What handled the line.
      type: str
    username:
      description: System user; null if the workspace did not say.
      type: str
    groupname:
      description: System group; null if the workspace did not say.
      type: str
    requested_by:
      description: The requester's id and name; null for a service token.
      type: dict
    cancellable:
      description: Whether the workspace says that it can be cancelled.
      type: bool
    added_at:
      description: When it was created.
      type: str
    scheduled_at:
      description: When it is or was to run; null if the workspace does not list it.
      type: str
    delivered_at:
      description: When it was sent to the server; null if the workspace does not list it.
      type: str
    acked_at:
      description: When the server started it; null if the workspace does not list it.
      type: str
    handled_at:
      description: When it ended; null if the workspace does not list it.
      type: str
    run_after:
      description: UUIDs of the commands that it runs after.
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
    """List commands."""
    run_module(SPEC, run_info, **RULES)


if __name__ == "__main__":
    main()
