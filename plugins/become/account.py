# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: account
short_description: Run tasks as another account by having the agent switch to it
version_added: 1.0.0
description:
  - The agent of an Alpacon server runs each command as the account that the command names. With this plugin, the user
    of C(become_user) is that account, so that neither C(sudo) nor a password is needed.
  - It goes with the connection P(herdops.alpacon.alpacon#connection) only. Whether an account may be used is decided by
    the workspace.
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
"""

EXAMPLES = r"""
- name: Install a package as root, over a connection that is not root's
  hosts: web-1
  gather_facts: false
  vars:
    ansible_connection: herdops.alpacon.alpacon
    ansible_user: deploy
    ansible_become_method: herdops.alpacon.account
  tasks:
    - name: See who it is
      ansible.builtin.command: id -un
      become: true
      changed_when: false
"""

from ansible.plugins.become import BecomeBase


class BecomeModule(BecomeBase):
    """Leaves commands as they are: the connection names the account beside them."""

    name = "herdops.alpacon.account"

    def build_become_command(self, cmd: str, shell: object) -> str:
        """The command as it is."""
        return cmd
