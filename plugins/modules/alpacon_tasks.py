#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of this name.

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_tasks
short_description: Run a role or a file of tasks in few commands
version_added: 1.0.0
description:
  - B(This module is experimental.) It uses private interfaces of ansible-core, so it may refuse to run on a later
    version.
  - Runs the tasks of a role or a file on the host, over the connection P(herdops.alpacon.alpacon#connection), and sends
    what they run there in batches. A batch is one command of the workspace. Without this module, each task is a command
    of its own, or several.
  - A batch ends before a task that needs the result of an earlier task, and after a task that failed or returned facts.
    RV(cuts) says which tasks ended batches, and why.
  - A task that began and did not report its end may have run. It fails or the host is unreachable, and it is not run
    again.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-core 2.21 or newer
  - Python 3.12 or newer on the controller, and 3.9 or newer on the host
options:
  role:
    description:
      - Name of a role, as in M(ansible.builtin.include_role). Exactly one of O(role) and O(file) is required.
    type: str
  tasks_from:
    description:
      - File in C(tasks) of O(role). By default, C(main).
    type: str
  file:
    description:
      - Path of a file of tasks, as in M(ansible.builtin.include_tasks).
    type: str
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the host.
    support: full
    details:
      - The tasks run in check mode. Each supports it as it does outside of this module.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: full
    details:
      - Shows what the tasks show. C(copy) and C(template) then need commands of their own.
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: partial
    details:
      - It is if the tasks are.
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the
      controller.
    support: full
  async:
    description: Can be used with the C(async) keyword.
    support: none
  facts:
    description: Returns C(ansible_facts).
    support: partial
    details:
      - Facts that the tasks return become facts of the host, and so do the variables that they set or register.
  platform:
    description: Systems on which the tasks can run.
    support: full
    platforms: posix
notes:
  - "These are refused before anything runs, if the tasks are known by then: the keywords C(async) (with or without
    C(poll)), C(timeout) and C(throttle); C(run_once) in a play of several hosts; M(ansible.builtin.add_host),
    M(ansible.builtin.group_by), M(ansible.builtin.pause), M(ansible.builtin.reboot), M(ansible.builtin.set_stats),
    M(ansible.builtin.wait_for_connection), M(ansible.posix.synchronize), this module itself, and
    M(ansible.builtin.meta) except C(flush_handlers) and C(noop). Tasks of files and roles that the tasks include are
    refused when they are included. Use M(ansible.builtin.include_role) or M(ansible.builtin.include_tasks) instead."
  - Handlers of the role run at its end, not at the end of the play. Handlers of the play run as usual.
  - Hosts do not wait for each other between the tasks, as with the strategy P(ansible.builtin.free#strategy).
    C(any_errors_fatal) ends the play after this task.
  - This task cannot have the keyword C(delegate_to).
  - The output of a task appears when its batch ends. Each task is shown as an item of this task, and the recap counts
    one task.
  - The play gets the variables and facts of the tasks, and notifications for its handlers, only if this task succeeds.
  - Conditions, templates and lookups of a task may be evaluated although an earlier task of the same batch then fails,
    and more than once. Do not use lookups that change something, such as P(ansible.builtin.password#lookup).
  - The tasks inherit the keywords of this task, such as C(become), C(environment), C(tags), C(vars) and C(no_log).
    C(--start-at-task) and C(--step) do not know the tasks.
seealso:
  - name: A role in few commands
    description: When it pays, how to write roles for it, and what it does not do.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/tasks_in_batches.html
  - plugin: herdops.alpacon.alpacon
    plugin_type: connection
  - module: ansible.builtin.include_role
  - module: ansible.builtin.include_tasks
  - module: herdops.alpacon.alpacon_command
"""

EXAMPLES = r"""
- name: Set up the servers
  hosts: web
  connection: herdops.alpacon.alpacon
  tasks:
    - name: Set up the clock
      herdops.alpacon.alpacon_tasks:
        role: geerlingguy.ntp
      vars:
        ntp_timezone: Etc/UTC
      register: clock

    - name: Show what ended the batches
      ansible.builtin.debug:
        var: clock.cuts

    - name: Run the tasks of a file as root
      herdops.alpacon.alpacon_tasks:
        file: motd.yml
      become: true
      become_method: herdops.alpacon.account

    - name: Run another file of the role
      herdops.alpacon.alpacon_tasks:
        role: geerlingguy.ntp
        tasks_from: clock
"""

RETURN = r"""
tasks:
  description:
    - The tasks that ended, in the order in which they ran, with includes and handlers.
    - If this task failed, the last one is the task that failed, unless C(always) or handlers ran after it.
  returned: unless the options, ansible-core or the connection were refused
  type: list
  elements: dict
  contains:
    name:
      description: Name of the task, with that of its role.
      type: str
    action:
      description: Name of the module or action, as the task has it.
      type: str
    delegate_to:
      description: Host that the task is delegated to; null if it is not.
      type: str
    status:
      description:
        - V(ok), V(changed), V(skipped), V(failed), V(ignored) (failed with C(ignore_errors)) or V(unreachable).
      type: str
    result:
      description: Result of the task, as it would be registered. Hidden if the task has C(no_log).
      type: dict
  sample:
    - name: "geerlingguy.ntp : Set timezone."
      action: community.general.timezone
      delegate_to: null
      status: changed
      result:
        changed: true
submits:
  description: How many commands were submitted, for batches and for tasks that ran by themselves.
  returned: unless the options, ansible-core or the connection were refused
  type: int
  sample: 3
cuts:
  description: Why the batches ended, in their order.
  returned: unless the options, ansible-core or the connection were refused
  type: list
  elements: dict
  contains:
    task:
      description: Name of the task at which the batch ended; empty at the end of a block or of all tasks.
      type: str
    reason:
      description: What the task needed, such as a registered variable.
      type: str
  sample:
    - task: "geerlingguy.ntp : Ensure NTP is running."
      reason: it needs ntp_config
    - task: ""
      reason: the end of the tasks
"""
