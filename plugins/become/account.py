# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: account
short_description: Run tasks as another account, without sudo and without a password
version_added: 1.0.0
description:
  - The agent runs each command as C(become_user), without C(sudo) and without a password.
  - This works with the connection P(herdops.alpacon.alpacon#connection) only. Over another connection, the task fails.
  - The workspace decides which accounts a token may use. With any other account, the task fails.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-core 2.16 or newer
  - Python 3.10 or newer
options:
  become_user:
    description: The account that tasks run as.
    type: str
    default: root
    ini:
      - section: privilege_escalation
        key: become_user
    env:
      - name: ANSIBLE_BECOME_USER
    vars:
      - name: ansible_become_user
    keyword:
      - name: become_user
notes:
  - C(become_flags), C(become_exe) and C(become_pass) have no effect.
  - If the account is not in the group that the workspace chooses, set O(herdops.alpacon.alpacon#connection:groupname).
seealso:
  - plugin: herdops.alpacon.alpacon
    plugin_type: connection
"""

EXAMPLES = r"""
# group_vars/web.yml, for playbooks that use become already:
#
#   ansible_become_method: herdops.alpacon.account

- name: Use become in one play
  hosts: web
  connection: herdops.alpacon.alpacon
  gather_facts: false
  vars:
    ansible_user: deploy
    ansible_become_method: herdops.alpacon.account
  tasks:
    - name: Run a task as deploy
      ansible.builtin.command: id -un
      changed_when: false

    - name: Run a task as root
      ansible.builtin.command: id -un
      become: true
      changed_when: false

    - name: Run a task as postgres
      ansible.builtin.command: id -un
      become: true
      become_user: postgres
      changed_when: false
"""

from ansible.errors import AnsibleError
from ansible.plugins.become import BecomeBase


class BecomeModule(BecomeBase):
    name = "herdops.alpacon.account"
    #: Set by the connection of this collection.
    connection_names_account = False

    def build_become_command(self, cmd: str, shell: object) -> str:
        """Return the command, and refuse other connections, which would run it as their own user."""
        if not self.connection_names_account:
            raise AnsibleError(
                f"Become method {self.name} works with the connection herdops.alpacon.alpacon only, and this task uses"
                " another one. Set ansible_become_method for the hosts of the workspace only, or another method here,"
                " such as ansible.builtin.sudo."
            )
        return cmd
