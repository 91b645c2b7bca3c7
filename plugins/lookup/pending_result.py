# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pending_result
short_description: Wait for a variable of a task in a batch (internal)
version_added: 1.0.0
description:
  - Internal to M(herdops.alpacon.alpacon_tasks), which uses it for variables that its tasks register. Do not use it. It
    may change or be removed at any time.
requirements:
  - ansible-core 2.21 or newer
  - Python 3.12 or newer
author:
  - herdops.alpacon contributors (@herdops)
options:
  _terms:
    description: Names of variables.
    type: list
    elements: str
    required: true
seealso:
  - module: herdops.alpacon.alpacon_tasks
"""

EXAMPLES = r"""
# Do not use it in playbooks: alpacon_tasks does.
- name: Use a registered variable as always
  ansible.builtin.debug:
    msg: "{{ name_of_a_registered_variable }}"
"""

RETURN = r"""
_raw:
  description: The values of the variables.
  type: list
  elements: raw
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.batches import get_current_batches


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return the values of variables, after their tasks have ended."""
        batches = get_current_batches()
        if not batches:
            raise AnsibleLookupError("It works only for tasks inside of alpacon_tasks.")
        return [batches.read(name) for name in terms]
